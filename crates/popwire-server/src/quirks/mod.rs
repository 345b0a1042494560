//! Quirks: the ways of real servers that are not the RFCs', each by a name and a value, such as `uidl_dup=2,5`.
//!
//! Each section is a file: its knobs, what they set, and where in a connection that is looked at. A knob that other
//! methods of [`Builder`] can express is a name for what they do; only the rest has settings of its own, in the
//! section's struct of [`Quirks`].

mod capabilities;
mod corpus;
mod input;
mod listing;
mod login;
mod message;
mod transport;
mod update;
mod value;
mod view;

use std::error::Error;
use std::fmt;
use std::io;

pub(crate) use self::capabilities::CapabilityQuirks;
pub(crate) use self::input::{InputQuirks, Pipeline};
pub(crate) use self::listing::{Listing, ListingQuirks, One};
pub(crate) use self::login::{LoginQuirks, Often};
pub(crate) use self::message::MessageQuirks;
pub(crate) use self::transport::TransportQuirks;
pub(crate) use self::update::{Dele, UpdateQuirks};
use self::value::Value;
pub(crate) use self::value::{time, unescape};
pub(crate) use self::view::{Memory, ViewQuirks};
use crate::options::Options;
use crate::{Builder, Maildrop};

/// What knobs set that no other method of the builder does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quirks {
    pub(crate) capabilities: CapabilityQuirks,
    pub(crate) transport: TransportQuirks,
    pub(crate) input: InputQuirks,
    pub(crate) login: LoginQuirks,
    pub(crate) view: ViewQuirks,
    pub(crate) listing: ListingQuirks,
    pub(crate) message: MessageQuirks,
    pub(crate) update: UpdateQuirks,
}

impl Quirks {
    /// Does what can only be done when all of the server is described.
    pub(crate) fn prepare(options: &mut Options) -> io::Result<()> {
        let Options { accounts, scripts, quirks, .. } = options;
        let maildrops: Vec<&Maildrop> = accounts.values().map(|account| &account.maildrop).collect();
        for (at, maildrop) in maildrops.iter().enumerate() {
            // Two users may share one.
            if !maildrops.iter().take(at).any(|other| other.is(maildrop)) {
                let mut messages = quirks.message.delivered().chain(quirks.view.delivered());
                messages.try_for_each(|message| maildrop.deliver(message))?;
            }
        }
        quirks.view.add_recent(accounts);
        quirks.message.add_refusals(scripts);
        Ok(())
    }
}

/// One way in which the server may depart from the RFCs.
///
/// ```
/// for knob in popwire_server::Knob::all() {
///     println!("{}={}  {}", knob.name(), knob.values().join("|"), knob.about());
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Knob {
    name: &'static str,
    values: &'static [&'static str],
    about: &'static str,
    deviations: &'static [u16],
    /// `None` if the value is not for this knob.
    set: fn(Builder, &Value<'_>) -> Option<Builder>,
}

impl Knob {
    /// All knobs, in the order in which their effects come up in a session.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        SECTIONS.iter().copied().flatten()
    }

    /// The name before the equals sign.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The values it takes, each by an example. Numbers, times (`60`, `5s`, `150ms`), lists of numbers (`2,5`) and
    /// octets (`"+OK fake\r\n"`) may differ from the example; words may not.
    #[must_use]
    pub fn values(&self) -> &'static [&'static str] {
        self.values
    }

    /// What it makes the server do, and which server was seen to do it.
    #[must_use]
    pub fn about(&self) -> &'static str {
        self.about
    }

    /// The numbers of the deviations that it imitates: 69 for Q-069.
    #[must_use]
    pub fn deviations(&self) -> &'static [u16] {
        self.deviations
    }
}

impl fmt::Debug for Knob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Knob").field("name", &self.name).field("values", &self.values).finish_non_exhaustive()
    }
}

const SECTIONS: [&[Knob]; 8] = [
    capabilities::KNOBS,
    transport::KNOBS,
    input::KNOBS,
    login::KNOBS,
    view::KNOBS,
    listing::KNOBS,
    message::KNOBS,
    update::KNOBS,
];

impl Builder {
    /// Makes the server depart from the RFCs in one way: `name=value`, as [`Knob::all`] lists them. A name alone means
    /// `name=1`. Quirks may be combined.
    ///
    /// ```
    /// use popwire_server::{Maildrop, Server};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // A server that gives the second and the third message the same unique-id, and stuffs no dots.
    /// let server = Server::builder()
    ///     .user("alice", "secret", Maildrop::memory(["a\r\n", "b\r\n", "c\r\n"]))
    ///     .quirk("uidl_dup=2,3")?
    ///     .quirk("stuff=none")?
    ///     .start()?;
    /// # drop(server);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`QuirkError`], if there is no such knob, or it takes no such value.
    pub fn quirk(self, setting: &str) -> Result<Self, QuirkError> {
        let (name, value) = setting.split_once('=').unwrap_or((setting, "1"));
        let (name, value) = (name.trim(), Value::new(value.trim()));
        let Some(knob) = Knob::all().find(|knob| knob.name.eq_ignore_ascii_case(name)) else {
            let nearest = nearest(name, Knob::all().map(Knob::name));
            return Err(QuirkError { setting: setting.to_owned(), knob: None, nearest });
        };
        let refused = || QuirkError { setting: setting.to_owned(), knob: Some(knob), nearest: None };
        (knob.set)(self, &value).ok_or_else(refused)
    }
}

/// A setting of [`Builder::quirk`] that makes no sense.
#[derive(Clone, Debug)]
pub struct QuirkError {
    setting: String,
    knob: Option<&'static Knob>,
    nearest: Option<&'static str>,
}

impl fmt::Display for QuirkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = self.setting.escape_debug();
        match (self.knob, self.nearest) {
            (Some(knob), _) => {
                write!(f, "\"{setting}\": {} takes {}", knob.name, knob.values.join(", "))
            }
            (None, Some(nearest)) => {
                write!(f, "\"{setting}\": there is no such quirk; did you mean {nearest}?")
            }
            (None, None) => write!(f, "\"{setting}\": there is no such quirk"),
        }
    }
}

impl Error for QuirkError {}

/// The one of these names that is at most two letters away.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let far = |known: &&str| distance(name.as_bytes(), known.as_bytes());
    names.min_by_key(far).filter(|known| far(known) <= 2)
}

/// Levenshtein's.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut left = i + 1;
        let mut diagonal = i;
        for (cell, y) in row.iter_mut().skip(1).zip(b) {
            let best = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_knob_takes_what_it_says_and_nothing_else() {
        for knob in Knob::all() {
            for value in knob.values() {
                let setting = format!("{}={value}", knob.name());
                assert!(Builder::default().quirk(&setting).is_ok(), "{setting}");
            }
            let error =
                Builder::default().quirk(&format!("{}=no such value", knob.name())).expect_err("refused");
            assert!(error.to_string().contains(knob.values()[0]), "{error}");
            assert!(!knob.about().is_empty() && !knob.deviations().is_empty(), "{knob:?}");
        }
    }

    #[test]
    fn no_name_is_given_twice() {
        let names: Vec<_> = Knob::all().map(Knob::name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn a_slip_of_the_pen_is_understood() {
        let error = Builder::default().quirk("udil_dup=2").expect_err("refused").to_string();
        assert!(error.contains("uidl_dup"), "{error}");
    }
}
