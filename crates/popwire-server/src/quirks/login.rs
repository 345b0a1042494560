//! Signing in.

use super::Knob;

pub(super) const KNOBS: &[Knob] = &[Knob {
    name: "auth_line_max",
    values: &["4096"],
    about: "A longer response within AUTH is answered `-ERR Protocol error. 18` and the connection closed: Exchange \
            Online.",
    deviations: &[28],
    set: |builder, value| Some(builder.auth_line_max(usize::try_from(value.number()?).ok()?)),
}];
