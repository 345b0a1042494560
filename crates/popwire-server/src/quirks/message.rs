//! RETR and TOP: what becomes of a message on its way.

use std::time::Duration;

use popwire_proto::stuff::{LineEnds, Stuffer, TopCutter};

use super::{Knob, corpus};
use crate::edit::{AddSeparator, BareLfBody, Chain, Cut, CutAtNul, Edit, Prepend, Replace, Trim, TrimEnd};
use crate::store::Entry;
use crate::{Answer, Builder, Content, Message};

/// See the knobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct MessageQuirks {
    end: End,
    eol: Eol,
    nul: Nul,
    unstuffed: bool,
    separator: bool,
    cr_cr_lf: bool,
    added: Vec<Added>,
    /// Waited before the answer to RETR.
    pub(crate) delay: Duration,
    pub(crate) top: TopQuirks,
    /// Messages that RETR refuses.
    refused: Vec<u64>,
    closes_when_asked_twice: bool,
    /// What is delivered when the server starts.
    corpus: Vec<Content>,
}

/// Where TOP departs from RFC 1939 section 7.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopQuirks {
    pub(crate) marks_seen: bool,
    pub(crate) arg_max: Option<u64>,
    lines: Option<u64>,
    max: Option<u64>,
    whole: bool,
    says_ok_twice: bool,
    other_headers: bool,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, Default)]
enum End {
    #[default]
    Regular,
    DotCr,
    DotLf,
    ExtraBlank,
    NoCrlfBeforeDot,
    StripBlank,
}

/// Which line ends are sent as bare LF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Eol {
    #[default]
    None,
    All,
    Body,
}

/// What becomes of a NUL.
#[derive(Clone, Copy, Debug, Default)]
enum Nul {
    #[default]
    Sent,
    Octet0x80,
    CutsLine,
}

/// A header field that the message does not have in its store.
#[derive(Clone, Copy, Debug)]
enum Added {
    UniqueId,
    Status,
}

impl Added {
    fn line(self, entry: &Entry) -> Vec<u8> {
        match self {
            Self::UniqueId => [b"X-UIDL: ", entry.unique_id.as_slice(), b"\r\n"].concat(),
            Self::Status => b"Status: U\r\n".to_vec(),
        }
    }
}

impl MessageQuirks {
    /// All that is done to a message behind the store, and behind the [`TopCutter`] if it is for `top`.
    pub(crate) fn chain(&self, entry: &Entry, top: bool, mut ends: LineEnds) -> Chain {
        let mut edits: Vec<Box<dyn Edit>> = Vec::new();
        if top && self.top.other_headers {
            edits.push(Box::new(Prepend(b"X-Retrieved-With: TOP\r\n".to_vec())));
        }
        edits.extend(self.added.iter().map(|added| Box::new(Prepend(added.line(entry))) as Box<dyn Edit>));
        match self.nul {
            Nul::Sent => {}
            Nul::Octet0x80 => edits.push(Box::new(Replace { octet: 0, with: b"\x80" })),
            Nul::CutsLine => edits.push(Box::<CutAtNul>::default()),
        }
        if self.separator {
            edits.push(Box::<AddSeparator>::default());
        }
        if let Some(max) = self.top.max.filter(|_| top) {
            edits.push(Box::new(Cut(max)));
        }
        if self.cr_cr_lf {
            edits.push(Box::new(Replace { octet: b'\n', with: b"\r\n" }));
            ends = LineEnds::AsStored;
        }
        if self.eol == Eol::Body {
            edits.push(Box::<BareLfBody>::default());
            ends = LineEnds::AsStored;
        }
        let stuffer = Stuffer::with(ends);
        edits.push(Box::new(if self.unstuffed { stuffer.unstuffed() } else { stuffer }));
        // What follows works on lines as they are sent.
        if top && self.top.says_ok_twice {
            edits.push(Box::new(Prepend(b"+OK\r\n".to_vec())));
        }
        let mut terminator = b".\r\n".to_vec();
        match self.end {
            End::Regular => {}
            End::DotCr => terminator = b".\r".to_vec(),
            End::DotLf => terminator = b".\n".to_vec(),
            End::ExtraBlank => terminator = b"\r\n.\r\n".to_vec(),
            End::NoCrlfBeforeDot => edits.push(Box::new(TrimEnd::new(Trim::LastLineEnd))),
            End::StripBlank => edits.push(Box::new(TrimEnd::new(Trim::BlankLines))),
        }
        if self.eol == Eol::All {
            edits.push(Box::new(Replace { octet: b'\r', with: b"" }));
            terminator.retain(|octet| *octet != b'\r');
        }
        Chain::new(edits, terminator)
    }

    /// What is delivered when the server starts.
    pub(crate) fn delivered(&self) -> impl Iterator<Item = Message> {
        self.corpus.iter().cloned().map(Message::new)
    }

    /// The answers to RETR of messages that are refused.
    pub(crate) fn add_refusals(&self, scripts: &mut Vec<(String, Answer)>) {
        for number in &self.refused {
            let command = format!("RETR {number}");
            if self.closes_when_asked_twice {
                scripts.push((command.clone(), Answer::raw("").then_close().from_nth(2)));
            }
            scripts.push((command, Answer::raw(format!("-ERR Message {number} expunged.\r\n"))));
        }
    }
}

impl TopQuirks {
    /// What cuts a message for `TOP n lines`; `None` cuts nothing.
    pub(crate) fn cutter(&self, lines: u64, ends: LineEnds) -> Option<TopCutter> {
        if self.whole && lines == 0 {
            return None;
        }
        Some(TopCutter::new(self.lines.map_or(lines, |most| most.min(lines)), ends))
    }
}

/// The builder with a changed setting.
fn set(mut builder: Builder, change: impl FnOnce(&mut MessageQuirks)) -> Option<Builder> {
    change(&mut builder.options.quirks.message);
    Some(builder)
}

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "msg_corpus",
        values: &["bare_lf_dot", "status_lines", "weird"],
        about: "When the server starts, each maildrop gets messages more: one with a dot behind a bare LF and forged \
                answers behind it, two with lines that look like answers, or nine with NULs, 8-bit octets, lone CRs \
                and no header. With stuff=crlf_only they are sent as they are.",
        deviations: &[95, 103, 104],
        set: |builder, value| {
            let messages = match value.word() {
                "bare_lf_dot" => corpus::BARE_LF_DOT,
                "status_lines" => corpus::STATUS_LINES,
                "weird" => corpus::WEIRD,
                _ => return None,
            };
            set(builder, |quirks| {
                quirks.corpus.extend(messages.iter().map(|message| Content::from(*message)))
            })
        },
    },
    Knob {
        name: "long_line",
        values: &["1000000"],
        about: "When the server starts, each maildrop gets a message more, with a line of so many octets: what \
                senders of HTML and of raw 8-bit data write.",
        deviations: &[101],
        set: |builder, value| {
            let octets = value.number()?;
            set(builder, |quirks| quirks.corpus.push(Content::long_line(octets)))
        },
    },
    Knob {
        name: "first_byte_delay",
        values: &["120", "60s", "150ms"],
        about: "RETR is answered after so long a time: Yahoo with large mails, virus scanners that look at all of a \
                message first.",
        deviations: &[23, 116],
        set: |builder, value| {
            let delay = value.time()?;
            set(builder, |quirks| quirks.delay = delay)
        },
    },
    Knob {
        name: "retr_err",
        values: &["3", "2,5"],
        about: "RETR of these messages is answered `-ERR Message 3 expunged.`, though they are listed: Dovecot, where \
                another session removed them; Cyrus and Exchange for other reasons.",
        deviations: &[112],
        set: |builder, value| {
            let numbers = value.numbers()?;
            set(builder, |quirks| quirks.refused.extend(numbers))
        },
    },
    Knob {
        name: "retr_err_twice",
        values: &["close"],
        about: "The connection is closed when a message of retr_err is asked for again: Dovecot.",
        deviations: &[112],
        set: |builder, value| {
            let "close" = value.word() else { return None };
            set(builder, |quirks| quirks.closes_when_asked_twice = true)
        },
    },
    Knob {
        name: "retr_quota",
        values: &["10"],
        about: "After so many RETRs of a session, each is answered `-ERR Download exceed. msg=10`: NetEase.",
        deviations: &[141],
        set: |builder, value| {
            let most = value.number()?;
            let refusal = Answer::raw(format!("-ERR Download exceed. msg={most}\r\n"));
            Some(builder.script("RETR", refusal.from_nth(most.saturating_add(1))))
        },
    },
    Knob {
        name: "retr_text_size",
        values: &["wrong"],
        about: "RETR says `+OK 832 octets` of every message.",
        deviations: &[115],
        set: |builder, value| (value.word() == "wrong").then(|| builder.heading("RETR", "+OK 832 octets")),
    },
    Knob {
        name: "end",
        values: &["dot_cr", "dot_lf", "extra_blank", "nocrlf_dot", "strip_blank"],
        about: "A message ends in dot and CR (Cyrus 3.4.6) or dot and LF without the other half, with a blank line more \
                (netius, hMailServer, qmail-pop3d), with no CRLF before the dot (Exchange 2000), or without the blank \
                lines of its own (VPOP3).",
        deviations: &[90, 91, 92, 97, 98],
        set: |builder, value| {
            let end = match value.word() {
                "dot_cr" => End::DotCr,
                "dot_lf" => End::DotLf,
                "extra_blank" => End::ExtraBlank,
                "nocrlf_dot" => End::NoCrlfBeforeDot,
                "strip_blank" => End::StripBlank,
                _ => return None,
            };
            set(builder, |quirks| quirks.end = end)
        },
    },
    Knob {
        name: "eol",
        values: &["lf", "lf_body"],
        about: "The lines of a message and its terminator end in bare LF (servers that print text), or the lines of its \
                body do (Mailtrap).",
        deviations: &[92, 93],
        set: |builder, value| {
            let eol = match value.word() {
                "lf" => Eol::All,
                "lf_body" => Eol::Body,
                _ => return None,
            };
            set(builder, |quirks| quirks.eol = eol)
        },
    },
    Knob {
        name: "stuff",
        values: &["none", "crlf_only"],
        about: "Dots are not stuffed (GreenMail, netius, Mailpit), or messages are sent as they are stored, and dots \
                stuffed behind CRLF only.",
        deviations: &[94, 95],
        set: |builder, value| match value.word() {
            "none" => set(builder, |quirks| quirks.unstuffed = true),
            "crlf_only" => Some(builder.verbatim(true)),
            _ => None,
        },
    },
    Knob {
        name: "hdr_add",
        values: &["X-UIDL", "Status"],
        about: "A header field is put before each message: X-UIDL with its unique-id, or Status: qpopper.",
        deviations: &[114],
        set: |builder, value| {
            let added = match value.word() {
                "X-UIDL" => Added::UniqueId,
                "Status" => Added::Status,
                _ => return None,
            };
            set(builder, |quirks| quirks.added.push(added))
        },
    },
    Knob {
        name: "nul",
        values: &["80", "cut"],
        about: "A NUL is sent as 0x80 (Dovecot's outlook-no-nuls), or cuts its line, line end included (Cyrus).",
        deviations: &[103],
        set: |builder, value| {
            let nul = match value.word() {
                "80" => Nul::Octet0x80,
                "cut" => Nul::CutsLine,
                _ => return None,
            };
            set(builder, |quirks| quirks.nul = nul)
        },
    },
    Knob {
        name: "eoh",
        values: &["1"],
        about: "A message that has only a header gets the blank line behind it: Dovecot's oe-ns-eoh.",
        deviations: &[103],
        set: |builder, value| {
            let separator = value.flag()?;
            set(builder, |quirks| quirks.separator = separator)
        },
    },
    Knob {
        name: "crlf",
        values: &["cr_cr_lf"],
        about: "CRLF in the store is sent as CR CR LF: Courier, solid-pop3d, twisted and others, which expect LF there.",
        deviations: &[103],
        set: |builder, value| {
            let "cr_cr_lf" = value.word() else { return None };
            set(builder, |quirks| quirks.cr_cr_lf = true)
        },
    },
    Knob {
        name: "top",
        values: &["none", "double_ok", "whole"],
        about: "TOP is unknown; has a second `+OK` before its data (FTGate V2); or sends all of the message if it is \
                asked for no line of the body (tcllib's pop3d). CAPA does not change.",
        deviations: &[107, 108, 111],
        set: |builder, value| match value.word() {
            "none" => Some(builder.script("TOP", "-ERR unknown command\r\n")),
            "double_ok" => set(builder, |quirks| quirks.top.says_ok_twice = true),
            "whole" => set(builder, |quirks| quirks.top.whole = true),
            _ => None,
        },
    },
    Knob {
        name: "top_arg_max",
        values: &["99999999"],
        about: "TOP with a larger number of lines is refused: CompuServe.",
        deviations: &[110],
        set: |builder, value| {
            let most = value.number()?;
            set(builder, |quirks| quirks.top.arg_max = Some(most))
        },
    },
    Knob {
        name: "top_lines",
        values: &["1", "10"],
        about: "TOP sends so many lines of the body at most, however many are asked for: OpenMail, usa.net.",
        deviations: &[107],
        set: |builder, value| {
            let most = value.number()?;
            set(builder, |quirks| quirks.top.lines = Some(most))
        },
    },
    Knob {
        name: "top_max",
        values: &["65536"],
        about: "TOP sends so many octets at most: Maillennium, which is Comcast's.",
        deviations: &[106],
        set: |builder, value| {
            let most = value.number()?;
            set(builder, |quirks| quirks.top.max = Some(most))
        },
    },
    Knob {
        name: "top_headers",
        values: &["differ"],
        about: "TOP has a header field that RETR has not: Exchange and Lotus Notes, which make headers anew.",
        deviations: &[105],
        set: |builder, value| {
            let "differ" = value.word() else { return None };
            set(builder, |quirks| quirks.top.other_headers = true)
        },
    },
    Knob {
        name: "top_marks_seen",
        values: &["1"],
        about: "TOP marks the message as seen: SpryNet.",
        deviations: &[109],
        set: |builder, value| {
            let marks = value.flag()?;
            set(builder, |quirks| quirks.top.marks_seen = marks)
        },
    },
    Knob {
        name: "top_err",
        values: &["3", "2,5"],
        about: "TOP of these messages is answered `-ERR Can't get the letter xtb[301], try again later`, and from the \
                second time on `-ERR Message can not load`: NetEase.",
        deviations: &[142],
        set: |builder, value| {
            Some(value.numbers()?.into_iter().fold(builder, |builder, number| {
                let command = format!("TOP {number}");
                let first = "-ERR Can't get the letter xtb[301], try again later\r\n";
                builder
                    .script(&command, Answer::raw(first).nth(1))
                    .script(&command, Answer::raw("-ERR Message can not load\r\n"))
            }))
        },
    },
];
