//! What the server takes in: how long it waits, lines of commands, commands that come together.

use std::borrow::Cow;

use super::Knob;

/// See the knobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct InputQuirks {
    /// What the idle timer says when it runs out.
    pub(crate) autologout: Option<&'static str>,
    /// How many lines in a row may make no sense.
    pub(crate) bad_cmd_max: Option<u64>,
    /// The longest command line, in place of the RFC's.
    pub(crate) line_max: Option<usize>,
    /// A command must come in one read.
    pub(crate) whole_commands: bool,
    pub(crate) pipeline: Pipeline,
    pub(crate) small_send_buffer: bool,
}

/// What becomes of commands that come in one read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pipeline {
    /// They are answered one by one, in order.
    #[default]
    Answered,
    /// All but the first are lost.
    Dropped,
    /// The last comes first.
    Reordered,
    /// After one that is refused the rest is lost.
    FlushedOnError,
}

/// The longest line that `line_max` may allow: it is kept in memory.
const LONGEST_LINE: u64 = 64 << 10;

impl InputQuirks {
    /// What the server takes in of the octets that one read brought, and whether the beginning of a command was lost.
    pub(crate) fn take_in<'a>(&self, read: &'a [u8]) -> (Cow<'a, [u8]>, bool) {
        let whole = read.iter().rposition(|octet| *octet == b'\n').map_or(0, |end| end + 1);
        let (lines, rest) = read.split_at_checked(whole).unwrap_or((read, &[]));
        let cut_off = self.whole_commands && !rest.is_empty();
        let read = if cut_off { lines } else { read };
        let taken = match self.pipeline {
            Pipeline::Answered | Pipeline::FlushedOnError => Cow::Borrowed(read),
            Pipeline::Dropped => {
                Cow::Borrowed(read.split_inclusive(|octet| *octet == b'\n').next().unwrap_or(read))
            }
            Pipeline::Reordered => {
                let last_first = lines.split_inclusive(|octet| *octet == b'\n').rev();
                Cow::Owned(last_first.chain((!cut_off).then_some(rest)).flatten().copied().collect())
            }
        };
        (taken, cut_off)
    }
}

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "idle_timeout",
        values: &["60", "5", "150ms"],
        about: "A client that is silent for so long is disconnected: Outlook, Exchange and others wait less than the ten \
                minutes of RFC 1939.",
        deviations: &[117, 118],
        set: |builder, value| Some(builder.idle_timeout(value.time()?)),
    },
    Knob {
        name: "say",
        values: &["1", "dovecot", "hmailserver"],
        about: "The idle timer says a last word, which nobody asked for: Dovecot (1) and hMailServer.",
        deviations: &[118],
        set: |mut builder, value| {
            builder.options.quirks.input.autologout = match value.word() {
                "0" => None,
                "1" | "dovecot" => Some("Disconnected for inactivity."),
                "hmailserver" => Some("Autologout; idle too long"),
                _ => return None,
            };
            Some(builder)
        },
    },
    Knob {
        name: "bad_cmd_max",
        values: &["20"],
        about: "After so many lines in a row that make no sense, one more is answered, and then, unasked, \
                `-ERR Too many bad commands.`, and the connection is closed: Dovecot.",
        deviations: &[119],
        set: |mut builder, value| {
            builder.options.quirks.input.bad_cmd_max = Some(value.number()?);
            Some(builder)
        },
    },
    Knob {
        name: "line_max",
        values: &["500"],
        about: "A command line may have so many octets; a longer one is answered `-ERR Line too long.`, and 64 \
                kilobytes without a line end `-ERR Excessive amount of data sent to server.`, and the connection is \
                closed: hMailServer.",
        deviations: &[120],
        set: |mut builder, value| {
            let octets = value.number().filter(|octets| *octets <= LONGEST_LINE)?;
            builder.options.quirks.input.line_max = Some(usize::try_from(octets).ok()?);
            Some(builder)
        },
    },
    Knob {
        name: "cmd_split",
        values: &["err"],
        about: "A command that does not come in one piece is lost, and each piece answered -ERR: Dovecot 2.3.11 and \
                others.",
        deviations: &[57, 135],
        set: |mut builder, value| {
            builder.options.quirks.input.whole_commands = value.word() == "err";
            builder.options.quirks.input.whole_commands.then_some(builder)
        },
    },
    Knob {
        name: "pipeline",
        values: &["drop", "reorder", "flush_on_error"],
        about: "Of commands that come together only the first is answered, or the last is answered first, or what comes \
                behind a refused one is lost: servers that are not made for pipelining.",
        deviations: &[136],
        set: |mut builder, value| {
            builder.options.quirks.input.pipeline = match value.word() {
                "drop" => Pipeline::Dropped,
                "reorder" => Pipeline::Reordered,
                "flush_on_error" => Pipeline::FlushedOnError,
                _ => return None,
            };
            Some(builder)
        },
    },
    Knob {
        name: "small_sndbuf",
        values: &["1"],
        about: "The server's socket takes a few kilobytes only: while a client does not read, the server waits, and \
                reads nothing either.",
        deviations: &[137],
        set: |mut builder, value| {
            builder.options.quirks.input.small_send_buffer = value.flag()?;
            Some(builder)
        },
    },
];

#[cfg(test)]
mod tests {
    fn taken(quirk: &str, read: &str) -> (String, bool) {
        let builder = crate::Builder::default().quirk(quirk).expect("a quirk");
        let (taken, cut_off) = builder.options.quirks.input.take_in(read.as_bytes());
        (String::from_utf8_lossy(&taken).into_owned(), cut_off)
    }

    #[test]
    fn q_135_pieces_of_commands_are_lost() {
        assert_eq!(taken("cmd_split=err", "NOOP\r\nST"), ("NOOP\r\n".to_owned(), true));
        assert_eq!(taken("cmd_split=err", "NO"), (String::new(), true));
        assert_eq!(taken("cmd_split=err", "NOOP\r\n"), ("NOOP\r\n".to_owned(), false));
    }

    #[test]
    fn q_136_commands_that_come_together() {
        for (quirk, expected) in [
            ("pipeline=drop", "NOOP\r\n"),
            ("pipeline=reorder", "LIST\r\nSTAT\r\nNOOP\r\nQU"),
            ("pipeline=flush_on_error", "NOOP\r\nSTAT\r\nLIST\r\nQU"),
        ] {
            assert_eq!(taken(quirk, "NOOP\r\nSTAT\r\nLIST\r\nQU"), (expected.to_owned(), false));
        }
        // The beginning of a command is not one that comes behind another.
        assert_eq!(taken("pipeline=drop", "NO"), ("NO".to_owned(), false));
    }
}
