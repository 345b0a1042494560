//! What a session says and hears, for people who look for a fault. Secrets are never in it.

use std::fmt;
use std::sync::Arc;

use popwire_proto::{Reply, Submitted};

/// How much of a session is traced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TraceLevel {
    /// Nothing.
    #[default]
    Off,
    /// A line per command.
    Commands,
    /// Every line sent and received; the contents of messages are left out.
    Lines,
    /// The contents of messages too.
    Bodies,
}

/// One event of a session.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TraceEvent<'a> {
    /// A command line goes out. Its `Display` has stars where a secret stands.
    Sent(Submitted<'a>),
    /// A status line came in.
    Received(&'a Reply),
    /// A line of a listing came in, without its line end.
    Line(&'a [u8]),
    /// Octets of a message came in, unstuffed.
    Body(&'a [u8]),
}

impl TraceEvent<'_> {
    fn level(&self) -> TraceLevel {
        match self {
            Self::Sent(_) => TraceLevel::Commands,
            Self::Received(_) | Self::Line(_) => TraceLevel::Lines,
            Self::Body(_) => TraceLevel::Bodies,
        }
    }
}

/// `C: ` or `S: ` and the line; a message's octets as their number only.
impl fmt::Display for TraceEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent(line) => write!(f, "C: {line}"),
            Self::Received(reply) => write!(f, "S: {reply}"),
            Self::Line(line) => write!(f, "S: {}", popwire_proto::Text::from(*line)),
            Self::Body(octets) => write!(f, "S: ({} octets of the message)", octets.len()),
        }
    }
}

type Hook = dyn Fn(TraceEvent<'_>) + Send + Sync;

/// A level and the hook that gets the events up to it.
#[derive(Clone, Default)]
pub(crate) struct Trace {
    pub(crate) level: TraceLevel,
    pub(crate) hook: Option<Arc<Hook>>,
}

impl Trace {
    pub(crate) fn event(&self, event: TraceEvent<'_>) {
        #[cfg(feature = "tracing")]
        match event {
            TraceEvent::Sent(_) => tracing::debug!(target: "popwire", "{event}"),
            TraceEvent::Received(_) | TraceEvent::Line(_) => tracing::trace!(target: "popwire", "{event}"),
            TraceEvent::Body(_) => {}
        }
        if let Some(hook) = &self.hook
            && event.level() <= self.level
        {
            hook(event);
        }
    }

    /// Whether single lines of a listing are worth taking apart.
    pub(crate) fn wants_lines(&self) -> bool {
        (self.hook.is_some() && self.level >= TraceLevel::Lines) || {
            #[cfg(feature = "tracing")]
            {
                tracing::enabled!(target: "popwire", tracing::Level::TRACE)
            }
            #[cfg(not(feature = "tracing"))]
            {
                false
            }
        }
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("level", &self.level).finish_non_exhaustive()
    }
}
