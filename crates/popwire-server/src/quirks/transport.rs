//! The connection: TLS, segments, timers, lines of commands.

use super::Knob;

/// See the knobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct TransportQuirks {}

pub(super) const KNOBS: &[Knob] = &[Knob {
    name: "segment",
    values: &["1", "7"],
    about: "Answers come in pieces of so many octets: slow links and servers on an event loop.",
    deviations: &[96],
    set: |builder, value| Some(builder.segment(usize::try_from(value.number()?).ok()?)),
}];
