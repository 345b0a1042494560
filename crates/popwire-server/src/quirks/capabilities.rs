//! The greeting and CAPA.

use popwire_proto::sasl::Mechanism;

use super::Knob;
use crate::Answer;

/// See the knobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct CapabilityQuirks {
    /// CAPA is refused once logged in.
    pub(crate) refused_after_login: bool,
    /// Every `+OK` is bare.
    pub(crate) bare_ok: bool,
    /// Every second connection announces RFC 1939's commands only, as another server behind the same name might.
    pub(crate) alternates: bool,
    omitted: Vec<String>,
    hidden_mechanisms: Vec<String>,
    added: Vec<Vec<u8>>,
    trailing_blanks: bool,
    stls_within_tls: bool,
    flood: u64,
}

impl CapabilityQuirks {
    /// What becomes of the true lines of CAPA.
    pub(crate) fn apply(&self, lines: &mut Vec<Vec<u8>>, other_host: bool, tls: bool) {
        if other_host {
            lines.retain(|line| tag(line).eq_ignore_ascii_case(b"USER"));
        }
        lines.retain(|line| {
            !self.omitted.iter().any(|omitted| tag(line).eq_ignore_ascii_case(omitted.as_bytes()))
        });
        if !self.hidden_mechanisms.is_empty() {
            for line in lines.iter_mut().filter(|line| tag(line).eq_ignore_ascii_case(b"SASL")) {
                let hidden = |word: &[u8]| {
                    self.hidden_mechanisms.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
                };
                let kept: Vec<&[u8]> =
                    line.split(|octet| *octet == b' ').filter(|word| !hidden(word)).collect();
                *line = kept.join(&b' ');
            }
        }
        if self.stls_within_tls && tls {
            lines.push(b"STLS".to_vec());
        }
        lines.extend(self.added.iter().cloned());
        lines.extend((0..self.flood).map(|number| format!("X-FLOOD-{number}").into_bytes()));
        if self.trailing_blanks {
            lines.iter_mut().for_each(|line| line.extend_from_slice(b" \t "));
        }
    }
}

/// The first word.
fn tag(line: &[u8]) -> &[u8] {
    line.split(|octet| *octet == b' ').next().unwrap_or_default()
}

/// Texts with angle brackets in them that are no msg-id (RFC 5322 section 3.6.4).
const BAD_TIMESTAMPS: [&[u8]; 4] = [
    b"+OK POP3 server <> ready\r\n",
    b"+OK <Buy one, get two> only at <our shop> ready\r\n",
    b"+OK <no-at-sign-in-here> ready\r\n",
    b"+OK <gr\xfc\xdfe@example.org> ready\r\n",
];

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "greeting",
        values: &[
            "exchange",
            "apop_bad1",
            "apop_bad2",
            "apop_bad3",
            "apop_bad4",
            "err",
            "busy",
            "imap",
            "smtp",
            "http",
            "tls",
        ],
        about: "The greeting has a bracketed token that is no response code (Exchange Online), angle brackets that are no \
                APOP timestamp, or is a refusal, bare (err) or for too many connections (busy: Courier, Cyrus); or the \
                port speaks another protocol.",
        deviations: &[12, 13, 15, 147],
        set: |builder, value| {
            let greeting = match value.word() {
                "exchange" => Answer::raw(
                    "+OK The Microsoft Exchange POP3 service is ready. [UwBOADQAUABSADAAMgBDAEEAMAAwADMANAA=]\r\n",
                ),
                "err" => Answer::raw("-ERR\r\n").then_close(),
                "busy" => Answer::raw("-ERR Maximum connection limit reached.\r\n").then_close(),
                "imap" => Answer::raw("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n").then_hang(),
                "smtp" => Answer::raw("220 mx.example.org ESMTP\r\n").then_hang(),
                "http" => Answer::raw("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").then_close(),
                // A fatal alert, unexpected_message.
                "tls" => Answer::raw(b"\x15\x03\x03\x00\x02\x02\x0a".as_slice()).then_close(),
                word => {
                    let number: usize = word.strip_prefix("apop_bad")?.parse().ok()?;
                    Answer::raw(*BAD_TIMESTAMPS.get(number.checked_sub(1)?)?)
                }
            };
            Some(builder.greeting(greeting))
        },
    },
    Knob {
        name: "ok_text",
        values: &["empty"],
        about: "Every positive answer that needs no text is a bare +OK: old Exchange, o2.pl.",
        deviations: &[2, 4],
        set: |mut builder, value| {
            builder.options.quirks.capabilities.bare_ok = value.word() == "empty";
            (value.word() == "empty").then_some(builder)
        },
    },
    Knob {
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
    },
    Knob {
        name: "capa_after_login",
        values: &["err"],
        about: "CAPA is refused once logged in: o2.pl.",
        deviations: &[2],
        set: |mut builder, value| {
            builder.options.quirks.capabilities.refused_after_login = value.word() == "err";
            (value.word() == "err").then_some(builder)
        },
    },
    Knob {
        name: "capa_omit",
        values: &["UIDL,TOP", "PIPELINING"],
        about: "CAPA leaves out these tags, which work all the same: Verizon's JPOP and others.",
        deviations: &[3],
        set: |mut builder, value| {
            builder.options.quirks.capabilities.omitted = value.words(|word| {
                word.bytes().all(|octet| octet.is_ascii_uppercase() || matches!(octet, b'-' | b'0'..=b'9'))
            })?;
            Some(builder)
        },
    },
    Knob {
        name: "capa_pre",
        values: &["\"EXPIRE 31 USER\\nUSER\\nTOP\\nUIDL\\nX-VENDOR\""],
        about: "CAPA before login is exactly these lines: as Comcast's Zimbra, which announces other things later.",
        deviations: &[5],
        set: |mut builder, value| {
            let lines = lines(&value.octets()?);
            let dictated = builder.options.capabilities.dictated.get_or_insert_default();
            dictated.before_login = lines;
            Some(builder)
        },
    },
    Knob {
        name: "capa_post",
        values: &["\"EXPIRE NEVER\\nTOP\\nUIDL\\nXOIP\""],
        about: "CAPA after login is exactly these lines.",
        deviations: &[5],
        set: |mut builder, value| {
            let lines = lines(&value.octets()?);
            let dictated = builder.options.capabilities.dictated.get_or_insert_default();
            dictated.after_login = lines;
            Some(builder)
        },
    },
    Knob {
        name: "capa_hide_mech",
        values: &["XOAUTH2", "PLAIN,LOGIN"],
        about: "CAPA's SASL line leaves out these mechanisms, which work all the same.",
        deviations: &[7],
        set: |mut builder, value| {
            let is_known =
                |word: &str| Mechanism::ALL.iter().any(|known| known.name().eq_ignore_ascii_case(word));
            builder.options.quirks.capabilities.hidden_mechanisms = value.words(is_known)?;
            Some(builder)
        },
    },
    Knob {
        name: "capa_trailing_ws",
        values: &["1"],
        about: "Lines of CAPA end in blanks.",
        deviations: &[8],
        set: |mut builder, value| {
            builder.options.quirks.capabilities.trailing_blanks = value.flag()?;
            Some(builder)
        },
    },
    Knob {
        name: "capa_flood",
        values: &["100000"],
        about: "CAPA has so many lines more: a server that means harm.",
        deviations: &[10],
        set: |mut builder, value| {
            // Enough to be over any limit, little enough to be made in memory.
            builder.options.quirks.capabilities.flood = value.number().filter(|lines| *lines <= 1_000_000)?;
            Some(builder)
        },
    },
    Knob {
        name: "capa_line",
        values: &["..X", "X-TAG ARGUMENT"],
        about: "CAPA has this line too, on the wire as it stands here: a tag may begin with a dot, which is then doubled.",
        deviations: &[11],
        set: |mut builder, value| {
            let word = value.word();
            // The dot is doubled again when it is sent.
            let line = if word.starts_with("..") { word.get(1..)? } else { word };
            let is_line = !line.is_empty()
                && line != "."
                && line.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic())
                && !line.contains(char::is_lowercase);
            builder.options.quirks.capabilities.added.push(line.as_bytes().to_vec());
            is_line.then_some(builder)
        },
    },
    Knob {
        name: "capa_after_tls",
        values: &["stls"],
        about: "CAPA still lists STLS when TLS is there: Courier.",
        deviations: &[20],
        set: |mut builder, value| {
            builder.options.quirks.capabilities.stls_within_tls = value.word() == "stls";
            (value.word() == "stls").then_some(builder)
        },
    },
    Knob {
        name: "alternate",
        values: &["2"],
        about: "Two hosts answer to the same name by turns, and the second announces USER only: servers behind a \
                round-robin name.",
        deviations: &[16],
        set: |mut builder, value| {
            builder.options.quirks.capabilities.alternates = value.number()? == 2;
            (value.number()? == 2).then_some(builder)
        },
    },
];

/// The lines of a text.
fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    text.split(|octet| *octet == b'\n').map(|line| line.trim_ascii().to_vec()).collect()
}
