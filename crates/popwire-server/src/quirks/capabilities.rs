//! The greeting and CAPA.

use super::Knob;
use crate::Answer;

pub(super) const KNOBS: &[Knob] = &[Knob {
    name: "capa",
    values: &["close", "hang", "garbage", "err"],
    about: "CAPA closes the connection, is never answered, is answered with what is no answer, or is unknown: \
            several servers from before RFC 2449.",
    deviations: &[1],
    set: |builder, value| {
        Some(match value.word() {
            "close" => builder.script("CAPA", Answer::raw("").then_close()),
            "hang" => builder.script("CAPA", Answer::raw("").then_hang()),
            "garbage" => builder.script("CAPA", Answer::raw("\x07 What? CAPA?\r\n")),
            "err" => builder.capa(false),
            _ => return None,
        })
    },
}];
