//! The connection: TLS, segments.

use super::Knob;
use crate::Answer;
use crate::wire::Segment;

/// See the knobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct TransportQuirks {
    /// What came behind STLS is carried out as if it had come within TLS.
    pub(crate) carries_on_after_stls: bool,
    /// Clients that do not say which host they want are left.
    pub(crate) wants_sni: bool,
}

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "tls_require_sni",
        values: &["1"],
        about: "A client that does not name the host in its TLS handshake is left: Gmail shows it another certificate.",
        deviations: &[18],
        set: |mut builder, value| {
            builder.options.quirks.transport.wants_sni = value.flag()?;
            Some(builder)
        },
    },
    Knob {
        name: "stls",
        values: &["err", "handshake_fail", "hang"],
        about: "STLS is announced, and then refused, or no handshake follows, or nothing does.",
        deviations: &[19],
        set: |builder, value| {
            Some(match value.word() {
                "err" => builder.script("STLS", Answer::raw("-ERR TLS is not available\r\n")),
                "handshake_fail" => builder.script("STLS", Answer::raw("+OK begin TLS\r\n").then_close()),
                "hang" => builder.script("STLS", Answer::raw("+OK begin TLS\r\n").then_hang()),
                _ => return None,
            })
        },
    },
    Knob {
        name: "stls_inject",
        values: &["\"+OK fake\\r\\n\""],
        about: "Plaintext comes in one packet with the answer to STLS: somebody in the middle (CVE-2021-22947).",
        deviations: &[21],
        set: |builder, value| Some(builder.inject_after_stls(value.octets()?)),
    },
    Knob {
        name: "stls_cmd_inject",
        values: &["vulnerable"],
        about: "Commands that came behind STLS without TLS are carried out within it: two of a hundred servers in a scan \
                of 2021.",
        deviations: &[22],
        set: |mut builder, value| {
            builder.options.quirks.transport.carries_on_after_stls = value.word() == "vulnerable";
            (value.word() == "vulnerable").then_some(builder)
        },
    },
    Knob {
        name: "strip_stls",
        values: &["1"],
        about: "STLS is neither announced nor accepted: a mail scanner, or an attacker, has taken it away.",
        deviations: &[23],
        set: |builder, value| Some(builder.stls(!value.flag()?)),
    },
    Knob {
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
    },
];
