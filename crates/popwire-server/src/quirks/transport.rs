//! The connection: TLS, segments.

use super::Knob;
use crate::wire::Segment;

/// See the knobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct TransportQuirks {}

pub(super) const KNOBS: &[Knob] = &[Knob {
    name: "segment",
    values: &["1", "7", "random"],
    about: "Answers come in pieces of so many octets, or of one to a packet's, at random but alike in every \
            connection: slow links and servers on an event loop.",
    deviations: &[96],
    set: |mut builder, value| {
        if value.word() == "random" {
            builder.options.segment = Some(Segment::Random(1));
            return Some(builder);
        }
        Some(builder.segment(usize::try_from(value.number()?).ok()?))
    },
}];
