use popwire::{Connector, Login, Mechanism, Method, Security};
use popwire_server::{Answer, Builder, Maildrop, Server};

use crate::setting::{PASSWORD, login, on_plain_port, plain, tls};
use crate::stage::{alice, messages};

/// A server, who comes to it and how, and the deviations that the probe is to name.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) server: Builder,
    pub(crate) connect: fn(&Server) -> Connector,
    pub(crate) login: Login,
    pub(crate) retr: bool,
    pub(crate) expected: &'static [&'static str],
}

/// Over TLS, as alice.
fn row(what: &'static str, server: Builder, expected: &'static [&'static str]) -> Row {
    Row { what, server, connect: tls, login: login(), retr: false, expected }
}

fn by_stls(server: &Server) -> Connector {
    on_plain_port(server, Security::Stls)
}

fn by_user() -> Login {
    login().methods([Method::UserPass])
}

/// A multi-line answer to a command; UIDL 1 is answered as ever.
fn listing(command: &str, lines: impl IntoIterator<Item = String>) -> Builder {
    let lines: String = lines.into_iter().map(|line| format!("{line}\r\n")).collect();
    alice()
        .script("UIDL 1", "+OK 1 m0000001\r\n")
        .script(command, format!("+OK here they are\r\n{lines}.\r\n"))
}

/// The answer to UIDL alone.
fn uidl(lines: impl Fn(usize) -> String) -> Builder {
    listing("UIDL", (1..=8).map(lines))
}

/// LIST with each size changed.
fn sizes(change: impl Fn(u64) -> String) -> Builder {
    let size = |message: &String| change(u64::try_from(message.len()).unwrap());
    let lines = (1..)
        .zip(&messages())
        .map(|(number, message)| format!("{number} {}", size(message)))
        .collect::<Vec<_>>();
    listing("LIST", lines)
}

/// TOP with each message changed, with a line end after it.
fn tops(change: impl Fn(&str, &str) -> String) -> Builder {
    (1..=8).zip(messages()).fold(alice(), |server, (number, message)| {
        let stuffed = message.replace("\r\n.\r\n", "\r\n..\r\n");
        let (header, body) = stuffed.split_once("\r\n\r\n").unwrap();
        let header = format!("{header}\r\n\r\n");
        server
            .script(&format!("TOP {number} 0"), change(&header, ""))
            .script(&format!("TOP {number}"), change(&header, body))
    })
}

fn whole(header: &str, body: &str) -> String {
    format!("+OK\r\n{header}{body}.\r\n")
}

fn refusing(text: &'static [u8]) -> Builder {
    alice()
        .capability_lines(["USER", "TOP", "UIDL"], ["USER", "TOP", "UIDL"])
        .script("PASS", [text, b"\r\n"].concat())
}

const CAPABILITIES: [&str; 5] = ["TOP", "UIDL", "USER", "RESP-CODES", "PIPELINING"];

fn announcing(
    before: impl IntoIterator<Item = &'static str>,
    after: impl IntoIterator<Item = &'static str>,
) -> Builder {
    alice().capability_lines(before, after)
}

fn greeting(text: &str) -> Builder {
    alice().greeting(format!("{text}\r\n"))
}

pub(crate) fn opening() -> Vec<Row> {
    vec![
        row(
            "greets with an exchange token",
            greeting("+OK The Microsoft Exchange POP3 service is ready. [UwBDADEAUAAxADAA]"),
            &["Q-012"],
        ),
        row("greets with brackets around nothing", greeting("+OK <> ready"), &["Q-013"]),
        row("greets with brackets around words", greeting("+OK welcome to <the best> mail"), &["Q-013"]),
        row(
            "greets with the timestamp first",
            greeting("+OK <1.2@example.org> POP3 server ready"),
            &["Q-014"],
        ),
        row("greets with a refusal", greeting("-ERR Too many open connections (3)"), &["Q-015"]),
        row("greets in IMAP", greeting("* OK IMAP4rev1 ready"), &["Q-015"]),
        row("greets in SMTP", greeting("220 mx.example.org ESMTP"), &["Q-015"]),
        row("closes at CAPA", alice().quirk("capa=close").unwrap(), &["Q-001"]),
        row("hangs at CAPA", alice().quirk("capa=hang").unwrap(), &["Q-001"]),
        row("answers garbage to CAPA", alice().quirk("capa=garbage").unwrap(), &["Q-001"]),
        row("does not know CAPA", alice().quirk("capa=err").unwrap(), &["Q-001"]),
        Row {
            connect: by_stls,
            ..row(
                "closes at CAPA, before STLS",
                alice().script("CAPA", Answer::raw("").then_close()),
                &["Q-001"],
            )
        },
        row(
            "refuses CAPA after the login",
            alice().script("CAPA", Answer::raw("-ERR what?\r\n").nth(2)),
            &["Q-002"],
        ),
        row(
            "closes at CAPA after the login",
            alice().script("CAPA", Answer::raw("").then_close().nth_overall(2)),
            &["Q-002"],
        ),
        row("does not tell of UIDL and TOP", announcing(["USER"], ["USER"]), &["Q-003"]),
        row(
            "says nothing behind +OK",
            alice().heading("LIST", "+OK").heading("UIDL", "+OK ").heading("CAPA", "+OK"),
            &["Q-004"],
        ),
        row(
            "keeps mail for another time after the login",
            announcing(
                CAPABILITIES.into_iter().chain(["EXPIRE 31 USER"]),
                CAPABILITIES.into_iter().chain(["EXPIRE NEVER"]),
            ),
            &["Q-005"],
        ),
        row(
            "writes blanks behind a capability",
            announcing(CAPABILITIES.into_iter().chain(["SASL PLAIN "]), CAPABILITIES),
            &["Q-008"],
        ),
        row(
            "writes a CR behind a capability",
            alice().script("CAPA", "+OK\r\nTOP\r\nUIDL\r\nSASL PLAIN\r\r\n.\r\n"),
            &["Q-008"],
        ),
        row(
            "has capabilities without end",
            alice().script(
                "CAPA",
                format!(
                    "+OK\r\nTOP\r\nUIDL\r\nUSER\r\n{}.\r\n",
                    (0..300).map(|n| format!("X-{n}\r\n")).collect::<String>()
                ),
            ),
            &["Q-010"],
        ),
        row(
            "has a capability with a dot",
            alice().script("CAPA", "+OK\r\nTOP\r\nUIDL\r\nUSER\r\n..X\r\n.\r\n"),
            &["Q-011"],
        ),
        row(
            "is Gmail",
            announcing(CAPABILITIES, CAPABILITIES.into_iter().chain(["X-GOOGLE-RICO"])),
            &["Q-121"],
        ),
        Row {
            connect: by_stls,
            ..row("refuses STLS", alice().script("STLS", "-ERR not now\r\n"), &["Q-019"])
        },
        Row {
            connect: by_stls,
            ..row(
                "hangs in the handshake",
                alice().script("STLS", Answer::raw("+OK begin\r\n").then_hang()),
                &["Q-019"],
            )
        },
        Row {
            connect: by_stls,
            ..row(
                "closes at the handshake",
                alice().script("STLS", Answer::raw("+OK begin\r\n").then_close()),
                &["Q-019"],
            )
        },
        Row {
            connect: by_stls,
            ..row("injects words behind STLS", alice().inject_after_stls("+OK fake\r\n"), &["Q-021"])
        },
        Row { connect: by_stls, ..row("has no STLS", alice().stls(false), &["Q-023"]) },
        row(
            "announces STLS within TLS",
            announcing(CAPABILITIES.into_iter().chain(["STLS"]), CAPABILITIES),
            &["Q-020"],
        ),
    ]
}

pub(crate) fn logins() -> Vec<Row> {
    let plain_by_user = |row| Row { connect: plain, login: by_user(), ..row };
    let refused = |what, text, expected| Row { login: by_user(), ..row(what, refusing(text), expected) };
    vec![
        plain_by_user(row("wants TLS", alice().script("USER", "-ERR STLS is required.\r\n"), &["Q-025"])),
        plain_by_user(row(
            "wants TLS by code",
            alice().script("USER", "-ERR [AUTH] USER command only available under a layer\r\n"),
            &["Q-026"],
        )),
        refused("is Exchange Online, unavailable", b"-ERR Server Unavailable. 21", &["Q-029"]),
        refused(
            "is Exchange Online, blaming",
            b"-ERR Authentication failure: unknown user name or bad password.",
            &["Q-030"],
        ),
        Row {
            login: Login::password("alice", "wrong").methods([Mechanism::Plain]),
            ..row(
                "closes over a wrong password",
                alice().script("AUTH", Answer::raw("-ERR [AUTH] no\r\n").then_close()),
                &["Q-035"],
            )
        },
        Row {
            login: by_user(),
            ..row(
                "lists mechanisms",
                alice().capa(false).script("AUTH", "+OK\r\nPLAIN\r\nLOGIN\r\n.\r\n"),
                &["Q-001", "Q-039"],
            )
        },
        refused("says +ERR", b"+ERR Server error: Failed to fetch messages in Inbox.", &["Q-040"]),
        refused(
            "is hMailServer",
            b"-ERR Invalid user name or password. Please use full email address as user name.",
            &["Q-041"],
        ),
        Row {
            login: login().methods([Mechanism::CramMd5]),
            ..row(
                "greets CRAM-MD5 with words",
                alice().script("AUTH", "+ go ahead\r\n").script("*", "-ERR\r\n"),
                &["Q-034"],
            )
        },
        refused("is locked, in words", b"-ERR Unable to get lock on mailbox", &["Q-042"]),
        refused(
            "says login delay",
            b"-ERR [LOGIN-DELAY] Logins must be at least 15 minutes apart",
            &["Q-044"],
        ),
        refused("is locked, by code", b"-ERR [IN-USE] Unable to lock maildrop: busy", &["Q-045"]),
        refused("has a broken maildrop", b"-ERR [SYS/TEMP] Unable to open maildrop", &["Q-045"]),
        refused("refers", b"-ERR [REFERRAL/pop://other.example] Referral", &["Q-046"]),
        refused("gives no reason", b"-ERR authentication failed", &["Q-048"]),
        refused("says login delay, in words", b"-ERR login allowed only every 15 minutes", &["Q-049"]),
        refused(
            "is Gmail",
            b"-ERR [AUTH] Application-specific password required: http://support.google.com/x",
            &["Q-052"],
        ),
        refused(
            "is Gmail, POP off",
            b"-ERR [SYS/PERM] Your account is not enabled for POP access.",
            &["Q-052"],
        ),
        refused("is Chinese", b"-ERR \xb5\xc7\xc2\xbc\xcc\xab", &["Q-143"]),
        refused("is Yahoo", b"-ERR [AUTH] (#MBR1212) Incorrect username or password.", &["Q-146"]),
        Row {
            login: by_user(),
            ..row(
                "wants APOP",
                alice()
                    .greeting("+OK hello <1.2@example.org>\r\n")
                    .script("PASS", "-ERR Unable to log on\r\n"),
                &["Q-154"],
            )
        },
        Row {
            login: by_user(),
            ..row("refuses the name", alice().script("USER", "-ERR no such user here\r\n"), &["Q-053"])
        },
        Row { login: Login::password("alice", "wrong"), ..row("is refused, and rightly so", alice(), &[]) },
    ]
}

pub(crate) fn listings() -> Vec<Row> {
    let list = |lines: &[&str]| listing("LIST", lines.iter().map(|line| (*line).to_owned()));
    let empty = || Server::builder().user("alice", PASSWORD, Maildrop::memory([""; 0]));
    let many = |count: usize| {
        Server::builder().user("alice", PASSWORD, Maildrop::memory(vec!["Subject: x\r\n\r\nx\r\n"; count]))
    };
    vec![
        row(
            "lets in and refuses STAT",
            alice().script("STAT", "-ERR login allowed only every 15 minutes\r\n"),
            &["Q-043"],
        ),
        row("has a negative size", alice().heading("STAT", "+OK 8 -1024"), &["Q-061"]),
        row("has no size", alice().heading("STAT", "+OK 8"), &["Q-062"]),
        row("has words for a size", alice().heading("STAT", "+OK 8 messages"), &["Q-062"]),
        row("counts nothing", alice().heading("STAT", "+OK hello"), &["Q-062"]),
        row("counts far too many", alice().heading("STAT", "+OK 2147483647 100"), &["Q-010"]),
        row("refuses to list nothing", empty().script("LIST", "-ERR no messages\r\n"), &["Q-063"]),
        row("has lines that are none", list(&["1", "2 x", "three 3"]), &["Q-064"]),
        row(
            "leaves out a size",
            list(&["1 218", "2", "3 42", "4 1", "5 1", "6 1", "7 1", "8 1"]),
            &["Q-064", "Q-083"],
        ),
        row("leaves out a message", uidl(|n| format!("{} u{n}x", if n == 8 { 9 } else { n })), &["Q-064"]),
        row("writes blanks", uidl(|n| format!("{n}   u{n}x")), &["Q-065"]),
        row("writes +OK before the lines", uidl(|n| format!("+OK {n} u{n}x")), &["Q-066"]),
        row("answers UIDL 1 without the number", alice().script("UIDL 1", "+OK m0000001\r\n"), &["Q-067"]),
        row("answers UIDL 1 with a dot", alice().script("UIDL 1", "+OK 1 m0000001\r\n.\r\n"), &["Q-067"]),
        row(
            "leaves an id blank",
            uidl(|n| if n == 3 { "3 ".to_owned() } else { format!("{n} u{n}x") }),
            &["Q-068"],
        ),
        row("gives an id twice", uidl(|n| format!("{n} u{}x", if n == 5 { 2 } else { n })), &["Q-069"]),
        row("has long ids", uidl(|n| format!("{n} {n}{}", "x".repeat(80))), &["Q-070"]),
        row("has ids with blanks", uidl(|n| format!("{n} u {n}")), &["Q-070"]),
        row("has small numbers for ids", uidl(|n| format!("{n} {n}7")), &["Q-072"]),
        row("has digests for ids", uidl(|n| format!("{n} {:032x}", if n == 5 { 2 } else { n })), &["Q-074"]),
        row("refuses UIDL once", alice().script("UIDL", Answer::raw("-ERR what?\r\n").nth(1)), &["Q-075"]),
        row(
            "refuses UIDL for now",
            alice().script("UIDL", "-ERR [SYS/TEMP] try again later\r\n"),
            &["Q-075"],
        ),
        row(
            "has no UIDL",
            announcing(["TOP", "USER"], ["TOP", "USER"]).script("UIDL", "-ERR unknown command\r\n"),
            &["Q-076"],
        ),
        row("gets mail meanwhile", listing("UIDL", (1..=9).map(|n| format!("{n} u{n}x"))), &["Q-077"]),
        row("floods", listing("UIDL", (1..=5000).map(|n| format!("{n} u{n}x"))), &["Q-010"]),
        row(
            "hangs up in the list",
            alice().script("UIDL", Answer::raw("+OK\r\n1 a\r\n2 b\r\n").then_close()),
            &["Q-079"],
        ),
        row("shows 250", many(250), &["Q-122"]),
        row("shows 500", many(500), &["Q-145"]),
        row("states sizes of compressed mail", sizes(|size| (size * 6 / 10).to_string()), &["Q-083"]),
        row("states other sizes together", alice().heading("STAT", "+OK 8 77"), &["Q-083"]),
        row("rounds sizes", sizes(|size| (size.div_ceil(1024) * 1024).to_string()), &["Q-084"]),
        row(
            "counts LF as one",
            {
                let lines: Vec<_> = (1..)
                    .zip(messages())
                    .map(|(n, m)| format!("{n} {}", m.len() - m.matches("\r\n").count()))
                    .collect();
                listing("LIST", lines)
            },
            &["Q-085"],
        ),
        row("states sizes that never come", sizes(|size| (size * 3).to_string()), &["Q-087"]),
        row("states 4 GiB", sizes(|_| "4294967295".to_owned()), &["Q-088"]),
        row("states the same for all", sizes(|_| "1024".to_owned()), &["Q-150"]),
    ]
}

pub(crate) fn mail() -> Vec<Row> {
    let with_retr = |row| Row { retr: true, ..row };
    let first = |message: &str| {
        let mail: Vec<_> = [message.to_owned()].into_iter().chain(messages()).collect();
        Server::builder().user("alice", PASSWORD, Maildrop::memory(mail))
    };
    vec![
        row(
            "has no TOP",
            announcing(["UIDL", "USER"], ["UIDL", "USER"]).script("TOP", "-ERR what?\r\n"),
            &["Q-111"],
        ),
        row(
            "has TOP of some",
            alice().script("TOP 1", "-ERR Can't get the letter, try again later\r\n"),
            &["Q-142"],
        ),
        row(
            "sends one line by TOP",
            tops(|header, body| whole(header, body.split_inclusive('\n').next().unwrap_or_default())),
            &["Q-107"],
        ),
        row(
            "says +OK twice",
            tops(|header, body| format!("+OK\r\n+OK again\r\n{header}{body}.\r\n")),
            &["Q-108"],
        ),
        with_retr(row(
            "has another header by TOP",
            tops(|header, body| whole(&header.replace("Subject", "subject"), body)),
            &["Q-105"],
        )),
        row(
            "ends behind text",
            tops(|header, body| {
                whole(header, body).replacen("\r\n.\r\n", ".\r\n", usize::from(!body.contains(".."))).clone()
            })
            .script("TOP 3 500", "+OK\r\nSubject: 3\r\n\r\n..\r\nthe dot was mail.\r\n"),
            &["Q-090"],
        ),
        row("ends without LF", tops(|header, body| format!("+OK\r\n{header}{body}.\r")), &["Q-091"]),
        row("ends lines in LF", tops(|header, body| whole(header, body).replace("\r\n", "\n")), &["Q-092"]),
        row("has LF within", tops(|header, body| whole(header, &body.replacen("\r\n", "\n", 1))), &["Q-093"]),
        row(
            "stuffs no dots",
            tops(|header, body| whole(header, &body.replace("..\r\n", ".\r\n"))),
            &["Q-094"],
        ),
        row("adds a blank line", tops(|header, body| whole(header, &format!("{body}\r\n"))), &["Q-097"]),
        row(
            "strips blank lines",
            tops(|header, body| {
                if body.is_empty() {
                    whole(header.trim_end_matches("\r\n"), "\r\n")
                } else {
                    whole(header, body)
                }
            }),
            &["Q-098"],
        ),
        with_retr(row(
            "does not have what it lists",
            alice().script("RETR", "-ERR Message 3 expunged.\r\n"),
            &["Q-112"],
        )),
        with_retr(row("has a quota", alice().script("RETR", "-ERR Download exceed. msg=10\r\n"), &["Q-141"])),
        with_retr(row("states another size", alice().heading("RETR", "+OK 832 octets"), &["Q-115"])),
        row(
            "has mail of its own",
            first(
                "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\r\n\r\nThis text is part of the internal format of your mail folder.\r\n",
            ),
            &["Q-113"],
        ),
        row("adds a header", first("X-UIDL: 17\r\nSubject: 0\r\n\r\nx\r\n"), &["Q-114"]),
        row("refuses RSET", alice().script("RSET", "-ERR what?\r\n"), &["P-058"]),
        row("has LAST", alice().last(true), &["Q-139"]),
        row("closes at QUIT", alice().quirk("quit=close").unwrap(), &["Q-132"]),
        row("resets at QUIT", alice().script("QUIT", Answer::raw("").then_reset()), &["Q-132"]),
        row(
            "refuses QUIT",
            alice().script("QUIT", Answer::raw("-ERR some deleted messages not removed\r\n").then_close()),
            &["Q-133"],
        ),
        row("is silent at QUIT", alice().script("QUIT", Answer::raw("").then_hang()), &["Q-134"]),
        row("answers in pieces", alice().quirk("segment=7").unwrap(), &[]),
    ]
}
