//! STAT, LIST and UIDL.

use super::Knob;

/// See the knobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListingQuirks {}

pub(super) const KNOBS: &[Knob] = &[];
