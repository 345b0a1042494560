//! DELE, RSET and QUIT, and what the next session finds.

use super::{Knob, Value};
use crate::QuitReply;

/// See the knobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpdateQuirks {
    pub(crate) dele: Dele,
    pub(crate) rset_ignored: bool,
    /// What was retrieved is removed at QUIT, marked or not.
    pub(crate) auto_delete: bool,
}

/// What DELE does. It is answered `+OK` in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dele {
    /// RFC 1939 section 5.
    #[default]
    Marks,
    /// Nothing.
    Ignored,
    /// The message is removed at once.
    Immediate,
    /// Marks, and STAT and the listings go on counting the message.
    Listed,
    /// Marks, and the listings number the messages that are left from 1 on. All else keeps the old numbers.
    Renumbers,
}

/// How long after QUIT `quit=async_delete` removes, unless told otherwise.
const LATER: &str = "1s";

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "dele",
        values: &["ignored", "immediate", "listed", "renumber"],
        about: "DELE does nothing (Yandex), removes the message at once (Qpopper 2.1, Twisted), leaves it in STAT, LIST \
                and UIDL (tcllib), or makes LIST and UIDL number the messages that are left anew (WildDuck).",
        deviations: &[64, 124, 126],
        set: |mut builder, value| {
            builder.options.quirks.update.dele = match value.word() {
                "ignored" => Dele::Ignored,
                "immediate" => Dele::Immediate,
                "listed" => Dele::Listed,
                "renumber" => Dele::Renumbers,
                _ => return None,
            };
            Some(builder)
        },
    },
    Knob {
        name: "rset",
        values: &["ignored"],
        about: "RSET is answered +OK and takes no mark back.",
        deviations: &[126],
        set: |mut builder, value| {
            builder.options.quirks.update.rset_ignored = value.word() == "ignored";
            builder.options.quirks.update.rset_ignored.then_some(builder)
        },
    },
    Knob {
        name: "auto_delete",
        values: &["on_quit"],
        about: "Messages that were retrieved are removed at QUIT without DELE, unless RSET came in between: Qpopper, \
                MercuryP/NLM, GroupWise.",
        deviations: &[127, 152],
        set: |mut builder, value| {
            builder.options.quirks.update.auto_delete = value.word() == "on_quit";
            builder.options.quirks.update.auto_delete.then_some(builder)
        },
    },
    Knob {
        name: "delete_at_disconnect",
        values: &["1"],
        about: "Marked messages are removed however the session ends: Eudora's qpopper.",
        deviations: &[126],
        set: |builder, value| Some(builder.delete_at_disconnect(value.flag()?)),
    },
    Knob {
        name: "last",
        values: &["1"],
        about: "LAST is answered with the highest number retrieved: qmail-pop3d, and Dovecot if told so.",
        deviations: &[139],
        set: |builder, value| Some(builder.last(value.flag()?)),
    },
    Knob {
        name: "quit",
        values: &[
            "close",
            "close_before",
            "rst",
            "err",
            "err:1",
            "need_newline",
            "async_delete",
            "async_delete:300ms",
        ],
        about: "QUIT ends without an answer: the connection is closed after the marked messages were removed \
                (close) or before (close_before), or reset (rst). Or it is answered -ERR, with so many of them removed \
                (err); carried out only when one more line has come (need_newline); or answered before they are removed, \
                which takes so long (async_delete: Exchange).",
        deviations: &[131, 132, 133, 134],
        set: |builder, value| {
            let (word, detail) = match value.word().split_once(':') {
                Some((word, detail)) => (word, Some(Value::new(detail))),
                None => (value.word(), None),
            };
            Some(builder.quit_reply(match (word, detail) {
                ("close", None) => QuitReply::CloseAfterCommit,
                ("close_before", None) => QuitReply::CloseBeforeCommit,
                ("rst", None) => QuitReply::ResetAfterCommit,
                ("need_newline", None) => QuitReply::AfterOneMoreLine,
                ("err", removed) => {
                    let removed = removed.map_or(Some(0), |removed| removed.number())?;
                    QuitReply::SomeNotRemoved { removed: usize::try_from(removed).ok()? }
                }
                ("async_delete", after) => {
                    QuitReply::RemovedLater { after: after.unwrap_or(Value::new(LATER)).time()? }
                }
                _ => return None,
            }))
        },
    },
];
