//! The personalities, by name. Versions are those that were looked at.

use super::Personality;

/// A server of RFC 1939 without any text of its own.
const PLAIN: Personality = Personality {
    name: "",
    about: "",
    deviations: &[],
    greeting: "",
    capabilities: None,
    answers: &[],
    refusals: &[],
    quirks: &[],
};

const NO_SUCH: &str = "no such message";
const DELETED: &str = "message is deleted";
const WRONG: &str = "wrong name or password";
const NEEDS_TLS: &str = "TLS is required before login";
const IN_USE: &str = "another session has this maildrop open";
const UNKNOWN: &str = "unknown command";

pub(super) const ALL: &[Personality] = &[
    Personality {
        name: "comcast",
        about: "Maillennium V05.00c++ at Comcast: several blanks before a unique-id, TOP cut off after 64 kilobytes, no \
                size in STAT.",
        greeting: "+OK Maillennium POP3/PROXY server #93",
        quirks: &["uidl_sep=\"  \"", "top_max=65536", "stat=garbage1"],
        ..PLAIN
    },
    Personality {
        name: "courier",
        about: "Courier 1.0: STLS, USER and SASL are announced after login and within TLS too, there are no response \
                codes, and a wrong password takes its time.",
        greeting: "+OK Hello there.",
        capabilities: Some([
            &[
                "SASL PLAIN LOGIN",
                "STLS",
                "TOP",
                "USER",
                "LOGIN-DELAY 10",
                "PIPELINING",
                "UIDL",
                "IMPLEMENTATION Courier Mail Server",
            ],
            &[
                "SASL PLAIN LOGIN",
                "STLS",
                "TOP",
                "USER",
                "LOGIN-DELAY 10",
                "PIPELINING",
                "UIDL",
                "IMPLEMENTATION Courier Mail Server",
            ],
        ]),
        answers: &[("USER", "Password required."), ("PASS", "logged in."), ("QUIT", "Bye-bye.")],
        refusals: &[
            (WRONG, "Login failed."),
            (NO_SUCH, "Invalid message number."),
            (UNKNOWN, "Invalid command."),
        ],
        quirks: &["capa_after_tls=stls", "uidl_format=courier"],
        ..PLAIN
    },
    Personality {
        name: "cyrus",
        about: "Cyrus 3.6: codes for everything, SASL before login only, two numbers in a unique-id, no blank at the end \
                of a command.",
        greeting: "+OK mail.example.org Cyrus POP3 3.6.1 server ready <12345.1700000000@mail.example.org>",
        capabilities: Some([
            &[
                "SASL PLAIN LOGIN",
                "STLS",
                "EXPIRE NEVER",
                "LOGIN-DELAY 0",
                "TOP",
                "UIDL",
                "PIPELINING",
                "RESP-CODES",
                "AUTH-RESP-CODE",
                "USER",
                "IMPLEMENTATION Cyrus POP3 server 3.6.1",
            ],
            &[
                "EXPIRE NEVER",
                "LOGIN-DELAY 0",
                "TOP",
                "UIDL",
                "PIPELINING",
                "RESP-CODES",
                "AUTH-RESP-CODE",
                "IMPLEMENTATION Cyrus POP3 server 3.6.1",
            ],
        ]),
        answers: &[
            ("USER", "Name is a valid mailbox"),
            ("PASS", "Mailbox locked and ready"),
            ("LIST", "scan listing follows"),
            ("UIDL", "unique-id listing follows"),
            ("RETR", "Message follows"),
            ("DELE", "message deleted"),
        ],
        refusals: &[
            (WRONG, "Invalid login"),
            (NO_SUCH, "No such message"),
            (UNKNOWN, "Unrecognized command"),
        ],
        quirks: &["uidl_format=cyrus", "trailing_space=err", "nul=cut"],
        ..PLAIN
    },
    Personality {
        name: "cyrus_notls",
        about: "Cyrus where logins want TLS: [AUTH] stands there for a rule, not for a wrong password.",
        deviations: &[26],
        greeting: "+OK mail.example.org Cyrus POP3 3.6.1 server ready",
        capabilities: Some([
            &[
                "STLS",
                "EXPIRE NEVER",
                "LOGIN-DELAY 0",
                "TOP",
                "UIDL",
                "PIPELINING",
                "RESP-CODES",
                "AUTH-RESP-CODE",
            ],
            &["EXPIRE NEVER", "LOGIN-DELAY 0", "TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE"],
        ]),
        refusals: &[
            (NEEDS_TLS, "[AUTH] USER command only available under a layer"),
            (WRONG, "Invalid login"),
        ],
        quirks: &["login_needs_tls=1", "uidl_format=cyrus"],
        ..PLAIN
    },
    Personality {
        name: "dovecot",
        about: "Dovecot 2.3: CAPA lists itself, and other things before login than after; texts of its own.",
        deviations: &[9, 80],
        greeting: "+OK Dovecot ready.",
        capabilities: Some([
            &[
                "CAPA",
                "TOP",
                "UIDL",
                "RESP-CODES",
                "PIPELINING",
                "AUTH-RESP-CODE",
                "STLS",
                "USER",
                "SASL PLAIN LOGIN",
            ],
            &["CAPA", "TOP", "UIDL", "RESP-CODES", "PIPELINING", "AUTH-RESP-CODE"],
        ]),
        answers: &[
            ("USER", ""),
            ("PASS", "Logged in."),
            ("LIST", "{count} messages:"),
            ("UIDL", ""),
            ("TOP", ""),
            ("DELE", "Marked to be deleted."),
            ("RSET", ""),
            ("NOOP", ""),
            ("QUIT", "Logging out."),
        ],
        refusals: &[
            (NO_SUCH, "There's no message {argument}."),
            (DELETED, "Message is deleted."),
            (WRONG, "Authentication failed."),
            (IN_USE, "Mailbox is locked by another POP3 session."),
            (UNKNOWN, "Unknown command."),
            ("not a message number", "Noise after message number: {argument}"),
        ],
        quirks: &["uidl_format=dovecot", "bad_cmd_max=20", "bare_auth=1"],
    },
    Personality {
        name: "exchange",
        about: "Exchange Online: a token in the greeting that is no response code, XOAUTH2 in two lines, no token line \
                beyond 4096 octets, and refusals that say little.",
        deviations: &[12],
        capabilities: Some([
            &["TOP", "UIDL", "SASL PLAIN XOAUTH2", "USER"],
            &["TOP", "UIDL", "SASL PLAIN XOAUTH2", "USER"],
        ]),
        answers: &[
            ("PASS", "User successfully logged on."),
            ("QUIT", "Microsoft Exchange Server POP3 server signing off."),
        ],
        refusals: &[
            (NO_SUCH, "The specified message is out of range."),
            (WRONG, "Logon failure: unknown user name or bad password."),
            (UNKNOWN, "Command is not valid."),
        ],
        quirks: &["greeting=exchange", "xoauth2=two_line_only", "auth_line_max=4096"],
        ..PLAIN
    },
    Personality {
        name: "exchange2003",
        about: "Exchange 2000 and 2003: bare +OK, sizes of a compressed copy, messages that end without a line end \
                before the dot.",
        greeting: "+OK Microsoft Exchange Server 2003 POP3 server version 6.5.7638.1 (mail.example.org) ready.",
        capabilities: Some([
            &["TOP", "UIDL", "SASL NTLM", "EXPIRE NEVER", "USER"],
            &["TOP", "UIDL", "SASL NTLM", "EXPIRE NEVER"],
        ]),
        quirks: &["ok_text=empty", "list_size=x0.6", "end=nocrlf_dot"],
        ..PLAIN
    },
    Personality {
        name: "gmail",
        about: "Gmail: what was retrieved is shown no more after QUIT, some 250 messages at a time; PIPELINING is \
                announced after login, and EXPIRE 0, which is not true.",
        deviations: &[6],
        greeting: "+OK Gpop ready for requests from 127.0.0.1",
        capabilities: Some([
            &[
                "USER",
                "RESP-CODES",
                "EXPIRE 0",
                "LOGIN-DELAY 300",
                "TOP",
                "UIDL",
                "X-GOOGLE-RICO",
                "SASL PLAIN XOAUTH2 OAUTHBEARER",
            ],
            &[
                "USER",
                "RESP-CODES",
                "EXPIRE 0",
                "LOGIN-DELAY 300",
                "X-GOOGLE-VERHOEVEN",
                "UIDL",
                "PIPELINING",
            ],
        ]),
        answers: &[
            ("USER", "send PASS"),
            ("PASS", "Welcome."),
            ("RETR", "message follows"),
            ("DELE", "marked for deletion"),
            ("QUIT", "Farewell."),
        ],
        refusals: &[
            (WRONG, "Username and password not accepted."),
            (NO_SUCH, "Message number out of range."),
        ],
        quirks: &["popped=on_quit", "window=250"],
    },
    Personality {
        name: "gmail_auth",
        about: "Gmail for an account that wants an application-specific password.",
        deviations: &[52],
        greeting: "+OK Gpop ready for requests from 127.0.0.1",
        refusals: &[(
            WRONG,
            "Application-specific password required: http://support.google.com/accounts/answer/185833",
        )],
        quirks: &["popped=on_quit", "window=250"],
        ..PLAIN
    },
    Personality {
        name: "hmail",
        about: "hMailServer 5: UIDL and TOP are all it announces, unique-ids are numbers, RSET has a number in its text, and \
                logins may want TLS.",
        deviations: &[25, 41, 82],
        greeting: "+OK POP3",
        capabilities: Some([&["UIDL", "TOP", "STLS"], &["UIDL", "TOP"]]),
        answers: &[
            ("USER", "Send your password"),
            ("PASS", "Mailbox locked and ready"),
            ("RSET", "0"),
            ("LIST", "{count} messages ({octets} octets)"),
            ("QUIT", "POP3 server saying goodbye..."),
        ],
        refusals: &[
            (NEEDS_TLS, "STLS is required."),
            (NO_SUCH, "No such message"),
            (UNKNOWN, "Invalid command in current state."),
            (WRONG, "Invalid user name or password. Please use full email address as user name."),
            ("wrong name or password; goodbye", "Too many invalid logon attempts."),
        ],
        quirks: &["login_needs_tls=1", "uidl_reuse=1", "line_max=500", "idle_timeout=600", "say=hmailserver"],
    },
    Personality {
        name: "james",
        about: "Apache James 3: the greeting begins with a timestamp, the heading of LIST has numbers, and logins want TLS.",
        deviations: &[14, 56, 81],
        greeting: "+OK <1700000000.1@james.example.org> POP3 server (JAMES POP3 Server ) ready",
        capabilities: Some([
            &["UIDL", "TOP", "USER", "PIPELINING", "STLS", "SASL PLAIN"],
            &["UIDL", "TOP", "PIPELINING"],
        ]),
        answers: &[
            ("PASS", "Welcome"),
            ("LIST", "{count} {octets}"),
            ("UIDL", "unique-id listing follows"),
            ("RETR", "Message follows"),
            ("DELE", "Message deleted"),
            ("QUIT", "Apache James POP3 Server signing off."),
        ],
        refusals: &[
            (NEEDS_TLS, "Authentication requires TLS."),
            (WRONG, "Authentication failed."),
            (NO_SUCH, "Message ({argument}) does not exist."),
            ("no such mechanism", "Unsupported authentication mechanism."),
        ],
        quirks: &["login_needs_tls=1"],
    },
    Personality {
        name: "mailutils",
        about: "GNU Mailutils 3.15: a timestamp in the greeting though APOP does not work, no blank at the end of a command.",
        greeting: "+OK POP3 Ready <1234.1700000000@localhost>",
        quirks: &["uidl_format=mailutils", "trailing_space=err"],
        ..PLAIN
    },
    Personality {
        name: "minimal",
        about: "RFC 1939 without anything that it calls optional: no CAPA, no TLS, no TOP, no UIDL.",
        deviations: &[1, 76, 111, 148],
        greeting: "+OK",
        refusals: &[(WRONG, "bad login")],
        quirks: &["capa=err", "strip_stls=1", "top=none", "uidl=none"],
        ..PLAIN
    },
    Personality {
        name: "no_capa",
        about: "All of RFC 1939, and CAPA is unknown: servers from before RFC 2449.",
        deviations: &[1],
        quirks: &["capa=err"],
        ..PLAIN
    },
    Personality {
        name: "notes",
        about: "Lotus Domino: TOP has other headers than RETR, and sizes are wrong.",
        deviations: &[149],
        greeting: "+OK Lotus Notes POP3 server version 8.5 ready on Domino/example.",
        quirks: &["top_headers=differ", "list_size=x0.6"],
        ..PLAIN
    },
    Personality {
        name: "popa3d",
        about: "popa3d 1.0: no CAPA, no TLS; messages with equal headers have one unique-id.",
        deviations: &[148],
        greeting: "+OK",
        quirks: &["capa=err", "strip_stls=1", "uidl_format=popa3d", "trailing_space=err", "last=1"],
        ..PLAIN
    },
    Personality {
        name: "qmail",
        about: "qmail-pop3d 1.03: no CAPA, no TLS, sizes that count LF for CRLF, a blank line too many, LAST.",
        deviations: &[86],
        greeting: "+OK <1234.1700000000@localhost>",
        refusals: &[
            (WRONG, "authorization failed"),
            (NO_SUCH, "not that many messages"),
            (DELETED, "already deleted"),
            (UNKNOWN, "unimplemented"),
        ],
        quirks: &["capa=err", "strip_stls=1", "list_size=lf", "end=extra_blank", "last=1"],
        ..PLAIN
    },
    Personality {
        name: "qpop",
        about: "Qpopper as Eudora ran it: what is marked is removed however the session ends, and a field is added to \
                messages.",
        greeting: "+OK QPOP (version 2.53) at localhost starting.",
        quirks: &["capa=err", "delete_at_disconnect=1", "hdr_add=X-UIDL", "lock_text=qpop"],
        ..PLAIN
    },
    Personality {
        name: "twisted",
        about: "Twisted 22.4: UIDL with a number answers without it, DELE removes at once, and the greeting has a \
                timestamp though APOP does not work.",
        greeting: "+OK <20260101000000.1234.5.localhost@twisted>",
        quirks: &[
            "uidl1=nonum",
            "dele=immediate",
            "uidl_format=twisted",
            "list_size=lf",
            "trailing_space=err",
        ],
        ..PLAIN
    },
    Personality {
        name: "wildduck",
        about: "WildDuck 1.46: LIST and UIDL number the messages anew after DELE, and unique-ids have 24 digits.",
        greeting: "+OK WDPop ready for requests from 127.0.0.1",
        quirks: &["dele=renumber", "uidl_format=wildduck"],
        ..PLAIN
    },
    Personality {
        name: "yahoo",
        about: "Yahoo and AOL: refusals with a code and a number, and a slow beginning of large messages.",
        greeting: "+OK Hello from jpop-0.1",
        capabilities: Some([
            &["CAPA", "TOP", "USER", "EXPIRE NEVER", "UIDL", "SASL PLAIN XOAUTH2 OAUTHBEARER"],
            &["CAPA", "TOP", "EXPIRE NEVER", "UIDL"],
        ]),
        refusals: &[(WRONG, "[AUTH] (#MBR1212) Incorrect username or password.")],
        ..PLAIN
    },
];
