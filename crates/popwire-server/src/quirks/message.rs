//! RETR and TOP: what becomes of a message on its way.

use super::Knob;

/// See the knobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct MessageQuirks {}

pub(super) const KNOBS: &[Knob] = &[];
