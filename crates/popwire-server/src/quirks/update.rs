//! DELE, RSET and QUIT, and what the next session finds.

use super::Knob;
use crate::QuitReply;

/// See the knobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpdateQuirks {}

pub(super) const KNOBS: &[Knob] = &[Knob {
    name: "quit",
    values: &["close", "close_before"],
    about: "QUIT closes the connection without an answer, after the marked messages were removed or before.",
    deviations: &[132],
    set: |builder, value| {
        Some(match value.word() {
            "close" => builder.quit_reply(QuitReply::CloseAfterCommit),
            "close_before" => builder.quit_reply(QuitReply::CloseBeforeCommit),
            _ => return None,
        })
    },
}];
