//! Signing in.

use std::time::Duration;

use popwire_proto::sasl::Mechanism;
use popwire_proto::sasl::server::Fault;

use super::{Knob, Value};
use crate::{Answer, Builder};

/// See the knobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoginQuirks {
    /// What every refused login is told, whatever the reason: a code, if there is one, and words.
    pub(crate) words: Option<&'static [u8]>,
    /// What a login is told whose maildrop is locked.
    pub(crate) lock_words: Option<&'static [u8]>,
    /// What a login is told whose credentials are right.
    pub(crate) indisposed: Option<(Often, &'static [u8])>,
    /// CAPA has no response codes, so there are none.
    pub(crate) no_codes: bool,
    /// A login that comes too soon closes the connection without a word.
    pub(crate) close_if_too_soon: bool,
    /// Who comes is let in, though the maildrop is locked.
    pub(crate) no_lock: bool,
    /// How long the lock outlives a session that ended without QUIT.
    pub(crate) lock_after_drop: Duration,
    /// How long the answer to a login takes.
    pub(crate) answer_delay: Duration,
    /// By when a client must have logged in, counted from its connection.
    pub(crate) login_within: Option<Duration>,
    /// AUTH without an argument lists nothing.
    pub(crate) no_bare_auth: bool,
    /// AUTH PLAIN without an initial response is refused.
    pub(crate) no_plain_alone: bool,
    /// A command with a blank at its end is refused.
    pub(crate) no_trailing_space: bool,
    /// USER and PASS take 1 to 40 octets, USER no blank among them.
    pub(crate) strict_arguments: bool,
}

/// How many logins meet with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Often {
    /// The first in the server's life.
    Once,
    /// All.
    Always,
}

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "login_needs_tls",
        values: &["1"],
        about: "Credentials are refused before TLS, and USER is not announced then: hMailServer, James and Cyrus can be set \
                so, and say it in words of their own.",
        deviations: &[25, 26],
        set: |builder, value| Some(builder.require_tls(value.flag()?)),
    },
    Knob {
        name: "preauth_timeout",
        values: &["60", "150ms"],
        about: "Who has not logged in so long after connecting is cut off: Exchange.",
        deviations: &[31],
        set: |builder, value| {
            let time = value.time()?;
            with(builder, |quirks| quirks.login_within = Some(time))
        },
    },
    Knob {
        name: "empty_cmd",
        values: &["close"],
        about: "An empty line in place of a command ends the connection: Dovecot 2.3 crashed on it.",
        deviations: &[59],
        // The empty script begins no line but the empty one.
        set: |builder, value| only(value, "close", || Some(builder.script("", Answer::raw("").then_close()))),
    },
    Knob {
        name: "trailing_space",
        values: &["err"],
        about: "A command with a blank at its end is unknown; PASS is free to have one.",
        deviations: &[60],
        set: |builder, value| only(value, "err", || with(builder, |quirks| quirks.no_trailing_space = true)),
    },
    Knob {
        name: "args",
        values: &["strict40"],
        about: "Names and passwords of more than 40 octets, names with blanks and empty passwords are refused: Exchange, \
                as it was delivered.",
        deviations: &[54],
        set: |builder, value| {
            only(value, "strict40", || with(builder, |quirks| quirks.strict_arguments = true))
        },
    },
    Knob {
        name: "user",
        values: &["err"],
        about: "USER is refused already: servers that check names, or that take logins by AUTH only.",
        deviations: &[53],
        set: |builder, value| {
            only(value, "err", || Some(builder.script("USER", "-ERR no login by this name here\r\n")))
        },
    },
    Knob {
        name: "pass_reply",
        values: &["+ERR"],
        about: "PASS is carried out and answered by what is neither `+OK` nor `-ERR`: hMailServer.",
        deviations: &[40],
        set: |builder, value| {
            only(value, "+ERR", || {
                Some(builder.heading("PASS", "+ERR Server error: Failed to fetch messages in Inbox."))
            })
        },
    },
    Knob {
        name: "pass_delay",
        values: &["120s", "150ms"],
        about: "The answer to a login, whichever, takes so long: Dovecot on slow storage.",
        deviations: &[47],
        set: |builder, value| {
            let time = value.time()?;
            with(builder, |quirks| quirks.answer_delay = time)
        },
    },
    Knob {
        name: "apop",
        values: &["fail_close", "fail_unsolicited_ok", "required"],
        about: "The greeting has a timestamp. APOP never works, and closes the connection (several servers), or is \
                followed by a second answer and closes it (Qpopper 4.0.5); or nothing but APOP works (MailEnable).",
        deviations: &[36, 37, 154],
        set: |builder, value| {
            let (command, answer) = match value.word() {
                "fail_close" => ("APOP", Answer::raw("-ERR authentication failed\r\n").then_close()),
                "fail_unsolicited_ok" => {
                    let answers = "-ERR Password supplied for this user is incorrect.\r\n\
                                   +OK Pop server at localhost signing off.\r\n";
                    ("APOP", Answer::raw(answers).then_close())
                }
                "required" => ("PASS", Answer::raw("-ERR Unable to log on\r\n")),
                _ => return None,
            };
            Some(builder.apop(true).script(command, answer))
        },
    },
    Knob {
        name: "bare_auth",
        values: &["1", "0"],
        about: "Whether AUTH without an argument lists the mechanisms, as Dovecot and Cyrus have it for Outlook. This \
                server does unless told otherwise.",
        deviations: &[39],
        set: |builder, value| {
            let lists = value.flag()?;
            with(builder, |quirks| quirks.no_bare_auth = !lists)
        },
    },
    Knob {
        name: "auth_line_max",
        values: &["4096"],
        about: "A longer response within AUTH is answered `-ERR Protocol error. 18` and the connection closed: Exchange \
                Online.",
        deviations: &[28],
        set: |builder, value| Some(builder.auth_line_max(usize::try_from(value.number()?).ok()?)),
    },
    Knob {
        name: "xoauth2",
        values: &["two_line_only"],
        about: "An AUTH line with an initial response is a protocol error and closes the connection: Exchange Online.",
        deviations: &[27],
        set: |builder, value| only(value, "two_line_only", || Some(builder.one_line_auth(false))),
    },
    Knob {
        name: "oauth_fail",
        values: &["json"],
        about: "A refused token is explained in a challenge that the client has to answer: Gmail, and all that follow \
                RFC 7628. This server does so anyway.",
        deviations: &[32],
        set: |builder, value| only(value, "json", || Some(builder)),
    },
    Knob {
        name: "plain_no_ir",
        values: &["err", "close"],
        about: "AUTH PLAIN without an initial response is refused, or ends the connection: old Dovecot.",
        deviations: &[58],
        set: |builder, value| match value.word() {
            "err" => with(builder, |quirks| quirks.no_plain_alone = true),
            "close" => Some(builder.plain_only_in_one_line(true)),
            _ => None,
        },
    },
    Knob {
        name: "sasl_continue",
        values: &["+OK", "\"+ go ahead\"", "\"+\""],
        about: "The first challenge of NTLM is `+OK` (Exchange 2003); or challenges are words, or a plus without a blank \
                where they are empty (several servers).",
        deviations: &[33, 34],
        set: |builder, value| {
            Some(match value.word() {
                "+OK" => builder.ntlm_says_ok(true),
                "\"+ go ahead\"" => builder.sasl_fault(Fault::NotBase64),
                "\"+\"" => builder.sasl_fault(Fault::BareContinue),
                _ => return None,
            })
        },
    },
    Knob {
        name: "auth_fail",
        values: &["close", "midway"],
        about: "A refused login closes the connection (several servers); or NTLM is announced and fails midway (Exchange \
                where it is not set up).",
        deviations: &[35, 38],
        set: |builder, value| {
            Some(match value.word() {
                "close" => builder.close_after_refused_auth(true).max_failed_logins(1),
                "midway" => builder.refuse_auth_midway(Mechanism::Ntlm),
                _ => return None,
            })
        },
    },
    Knob {
        name: "auth_fail_text",
        values: &["exo", "generic", "unavailable21", "yahoo"],
        about: "What refused logins are told, whatever the reason: of name and password, though it may be the mailbox \
                (Exchange Online); of nothing (GMX, WEB.DE); of a number (Yahoo). Exchange Online (unavailable21) and \
                Yahoo also turn away the first login in the server's life that is right.",
        deviations: &[29, 30, 48, 146],
        set: |builder, value| {
            let (words, once): (Option<&'static [u8]>, Option<&'static [u8]>) = match value.word() {
                "exo" => (Some(b"Logon failure: unknown user name or bad password."), None),
                "generic" => (Some(b"authentication failed"), None),
                "unavailable21" => (None, Some(b"Server Unavailable. 21")),
                "yahoo" => (
                    Some(b"[AUTH] (#MBR1212) Incorrect username or password."),
                    Some(b"[SYS/TEMP] Server error - Please try again later."),
                ),
                _ => return None,
            };
            with(builder, |quirks| {
                quirks.words = words;
                quirks.indisposed = once.map(|words| (Often::Once, words));
            })
        },
    },
    Knob {
        name: "err_text",
        values: &["gbk"],
        about: "Refused logins are told so in GBK, \"login too frequent\": a provider in China.",
        deviations: &[143],
        set: |builder, value| {
            only(value, "gbk", || {
                let words = b"\xb5\xc7\xc2\xbc\xcc\xab\xc6\xb5\xb7\xb1";
                with(builder, |quirks| quirks.words = Some(words))
            })
        },
    },
    Knob {
        name: "resp_code",
        values: &["REFERRAL", "AUTH", "SYS/TEMP", "SYS/PERM", "IN-USE"],
        about: "Logins with the right credentials are refused with this response code: Dovecot.",
        deviations: &[46],
        set: |builder, value| {
            let words: &'static [u8] = match value.word() {
                "REFERRAL" => b"[REFERRAL/pop://alice@other.example] Try this server instead.",
                "AUTH" => b"[AUTH] Authentication failed.",
                "SYS/TEMP" => b"[SYS/TEMP] Temporary authentication failure.",
                "SYS/PERM" => b"[SYS/PERM] Permission denied.",
                "IN-USE" => b"[IN-USE] Mailbox is locked by another POP3 session.",
                _ => return None,
            };
            with(builder, |quirks| quirks.indisposed = Some((Often::Always, words)))
        },
    },
    Knob {
        name: "in_use",
        values: &["1", "0"],
        about: "The maildrop is always in use, with `[IN-USE]`: Cyrus.",
        deviations: &[45],
        set: |builder, value| {
            let words: &'static [u8] = b"[IN-USE] Unable to lock maildrop: Mailbox is locked by POP server";
            let indisposed = value.flag()?.then_some((Often::Always, words));
            with(builder, |quirks| quirks.indisposed = indisposed)
        },
    },
    Knob {
        name: "lock",
        values: &["1", "0"],
        about: "Whether a maildrop that a session has open is closed to others (RFC 1939). This server has it so unless \
                told otherwise; hMailServer did not.",
        deviations: &[130],
        set: |builder, value| {
            let locks = value.flag()?;
            with(builder, |quirks| quirks.no_lock = !locks)
        },
    },
    Knob {
        name: "lock_text",
        values: &["qpop", "intermail"],
        about: "That the maildrop is locked is told in words, without a code: QPOP 2 and its like, InterMail.",
        deviations: &[42],
        set: |builder, value| {
            let words: &'static [u8] = match value.word() {
                "qpop" => b"maildrop lock busy!  Is another session active? (11)",
                "intermail" => b"mail storage services unavailable, wait a few minutes and try again",
                _ => return None,
            };
            with(builder, |quirks| quirks.lock_words = Some(words))
        },
    },
    Knob {
        name: "lock_after_drop",
        values: &["30", "600", "150ms"],
        about: "A maildrop stays locked so long after a connection that ended without QUIT: several servers.",
        deviations: &[129],
        set: |builder, value| {
            let time = value.time()?;
            with(builder, |quirks| quirks.lock_after_drop = time)
        },
    },
    Knob {
        name: "login_delay",
        values: &["60", "900", "150ms"],
        about: "The least time between two logins: Cyrus, WEB.DE, OVH. It is announced, and refused with `[LOGIN-DELAY]`.",
        deviations: &[44, 49, 50],
        set: |builder, value| Some(builder.login_delay(value.time()?)),
    },
    Knob {
        name: "action",
        values: &["close"],
        about: "With login_delay: who comes too soon is cut off without a word, as OVH does.",
        deviations: &[50],
        set: |builder, value| {
            only(value, "close", || with(builder, |quirks| quirks.close_if_too_soon = true))
        },
    },
    Knob {
        name: "code",
        values: &["none"],
        about: "There are no response codes, and CAPA announces none: servers from before RFC 2449.",
        deviations: &[49],
        set: |builder, value| only(value, "none", || with(builder, |quirks| quirks.no_codes = true)),
    },
];

/// Changes the settings of this section.
fn with(mut builder: Builder, change: impl FnOnce(&mut LoginQuirks)) -> Option<Builder> {
    change(&mut builder.options.quirks.login);
    Some(builder)
}

/// For knobs with one word.
fn only(value: &Value<'_>, word: &str, set: impl FnOnce() -> Option<Builder>) -> Option<Builder> {
    if value.word() == word { set() } else { None }
}
