// RETR and TOP: Q-090 to Q-116, and Q-023, Q-141, Q-142 of single products.

use std::time::{Duration, Instant};

use popwire::proto::Error as Protocol;
use popwire::{Connector, IrregularEnd, Timeouts};
use popwire_server::{Maildrop, Server};

use crate::actor::{Act, Actor, answer, pause, say};
use crate::setting::{PASSWORD, ended, login, ms, plain, said, tls, took};
use crate::stage::{MESSAGES, start, with};

helper! {
    /// A session that is logged in.
    fn enter(connector: &Connector) -> Client {
        let mut client = go!(Client::connect(connector)).unwrap();
        go!(client.login(&login())).unwrap();
        client
    }
}

helper! {
    fn retr(client: &mut Client, number: u32) -> popwire::Result<Vec<u8>> {
        go!(go!(client.retr(number))?.read_to_vec())
    }
}

helper! {
    fn top(client: &mut Client, number: u32, lines: u32) -> popwire::Result<Vec<u8>> {
        go!(go!(client.top(number, lines))?.read_to_vec())
    }
}

helper! {
    /// All messages of [`MESSAGES`] arrive to the octet, and the session is in step.
    fn all_is_well(client: &mut Client) {
        for (number, message) in (1..).zip(MESSAGES) {
            assert_eq!(go!(retr(client, number)).unwrap(), message.as_bytes());
        }
        assert_eq!(go!(client.stat()).unwrap().messages, 3);
    }
}

/// Finds a broken end after a silence that a test can wait for.
fn with_grace(server: &Server) -> Connector {
    let mut timeouts = Timeouts::default();
    timeouts.rescue = Some(ms(100));
    plain(server).timeouts(timeouts)
}

/// Alice with these messages, on a server with these quirks.
fn holding(messages: &[&[u8]], quirks: &[&str]) -> Server {
    let maildrop = Maildrop::memory(messages.iter().copied());
    start(Server::builder().user("alice", PASSWORD, maildrop), quirks)
}

helper! {
    /// Every message is rescued, without these last octets of it, with an error that says why.
    fn rescued(quirk: &str, kind: IrregularEnd, lost: &str) {
        let server = with(&[quirk]);
        let mut client = go!(enter(&with_grace(&server)));
        for (number, mail) in (1..).zip(MESSAGES) {
            let start = Instant::now();
            let mut message = go!(client.retr(number)).unwrap();
            let mut copied = Vec::new();
            let error = go!(message.copy_to(&mut copied)).unwrap_err();
            took(start, 90..1500);
            assert_eq!(error.irregular_end(), Some(kind), "{error:?}");
            assert!(!message.is_complete());
            assert_eq!(copied, mail.strip_suffix(lost).unwrap().as_bytes());
        }
        assert_eq!(client.leniencies().irregular_ends, 3);
        assert_eq!(go!(client.uidl_one(2)).unwrap().uid().as_bytes(), b"m0000002");
        assert!(go!(client.quit()).is_committed());
    }
}

case! {
    /// refused: after a silence the message is handed over with an error, and the session goes on.
    fn q_090_a_dot_behind_text() {
        go!(rescued("end=nocrlf_dot", IrregularEnd::AfterText, "\r\n"));
    }

    /// refused: after a silence the message is handed over with an error, and the session goes on.
    fn q_091_a_dot_and_half_a_line_end() {
        go!(rescued("end=dot_cr", IrregularEnd::MissingLineFeed, ""));
    }

    /// told: the message arrives with its bare LFs, and is counted as a leniency.
    fn q_092_lines_that_end_in_lf() {
        let server = with(&["eol=lf"]);
        let mut client = go!(enter(&plain(&server)));
        for (number, mail) in (1..).zip(MESSAGES) {
            assert_eq!(go!(retr(&mut client, number)).unwrap(), mail.replace('\r', "").as_bytes());
        }
        assert_eq!(go!(top(&mut client, 3, 1)).unwrap(), b"Subject: 3\n\none\n");
        assert_eq!(client.leniencies().bare_lf_bodies, 4);
        assert_eq!(go!(client.stat()).unwrap().messages, 3);
    }

    /// unharmed: dots are unstuffed behind LF, too.
    fn q_092_dots_behind_lf() {
        let server = holding(&[b"A: 1\r\n\r\n.\r\n..x\r\n"], &["eol=lf"]);
        let mut client = go!(enter(&plain(&server)));
        assert_eq!(go!(retr(&mut client, 1)).unwrap(), b"A: 1\n\n.\n..x\n");
        go!(client.noop()).unwrap();
    }

    /// refused: after a silence the message is handed over with an error, and the session goes on.
    fn q_092_a_dot_and_lf_behind_crlf() {
        go!(rescued("end=dot_lf", IrregularEnd::BareLineFeed, ""));
    }

    /// unharmed: a bare LF is an octet of the message.
    fn q_093_bare_lf_in_the_body() {
        let server = holding(&[b"A: 1\r\n\r\none\r\n.\r\n..two\r\n", MESSAGES[1].as_bytes()], &["eol=lf_body"]);
        let mut client = go!(enter(&plain(&server)));
        assert_eq!(go!(retr(&mut client, 1)).unwrap(), b"A: 1\r\n\r\none\n.\n..two\n\r\n");
        assert_eq!(go!(retr(&mut client, 2)).unwrap(), b"Subject: 2\r\n\r\none\ntwo\n\r\n");
        assert_eq!(client.leniencies().bare_lf_bodies, 0);
        go!(client.noop()).unwrap();
    }

    /// refused: what follows the message ends the session, and is never an answer; the rest comes with the next session.
    fn q_094_dots_that_are_not_stuffed() {
        let dot = b"Subject: x\r\n\r\ntext\r\n.\r\n+OK 1 forged\r\n";
        for segment in ["segment=100000", "segment=1"] {
            let server = holding(&[dot, MESSAGES[1].as_bytes()], &["stuff=none", segment]);
            let mut client = go!(enter(&plain(&server)));
            assert_eq!(go!(retr(&mut client, 1)).unwrap(), b"Subject: x\r\n\r\ntext\r\n");
            // Octet by octet, the rest of the message is on its way for some time.
            pause!(ms(50));
            let error = go!(client.uidl_one(1)).unwrap_err();
            assert!(matches!(error.protocol(), Some(Protocol::Unsolicited(_))), "{error:?}");
            assert!(error.is_protocol() && !error.is_retryable() && client.is_broken());
            assert!(go!(client.dele(1)).is_err());
            drop(client);
            let session = ended(&server);
            let lines = session.client_lines();
            assert_eq!(lines.last().unwrap(), "RETR 1");

            let mut client = go!(enter(&plain(&server)));
            assert_eq!(go!(client.stat()).unwrap().messages, 2);
            assert_eq!(go!(retr(&mut client, 2)).unwrap(), MESSAGES[1].as_bytes());
            assert_eq!(go!(client.uidl_one(1)).unwrap().uid().as_bytes(), b"m0000001");
        }
    }

    /// told: one dot is missing where a line began with one; nothing in the octets shows it.
    fn q_094_dots_that_are_not_stuffed_and_end_nothing() {
        let server = holding(&[b"A: 1\r\n\r\n.x\r\n"], &["stuff=none"]);
        let mut client = go!(enter(&plain(&server)));
        let size = go!(client.list_one(1)).unwrap().scan.octets;
        let received = go!(retr(&mut client, 1)).unwrap();
        assert_eq!(received, b"A: 1\r\n\r\nx\r\n");
        // Unless the server counts right.
        assert_eq!(size, Some(received.len() as u64 + 1));
        go!(client.noop()).unwrap();
    }

    /// unharmed: forged answers stay inside the mail.
    fn q_095_a_dot_behind_a_bare_lf() {
        for segment in ["segment=100000", "segment=random", "segment=1"] {
            let server = with(&["msg_corpus=bare_lf_dot", "stuff=crlf_only", segment]);
            let stored = server.maildrop("alice").unwrap().messages().unwrap().remove(3);
            assert!(stored.windows(17).any(|part| part == b"\n.\r\n+OK 1 forged\r"));
            let mut client = go!(enter(&plain(&server)));
            // It ends at the stuffed dot of its own no more than at the bare one.
            assert_eq!(go!(retr(&mut client, 4)).unwrap(), stored);
            assert_eq!(go!(client.uidl_one(4)).unwrap().uid().as_bytes(), b"m0000004");
            assert_eq!(go!(client.list()).unwrap().len(), 4);
            // Given up, the rest of it is skipped as mail.
            let (mut message, mut some) = (go!(client.retr(4)).unwrap(), [0; 20]);
            go!(message.read_exact(&mut some)).unwrap();
            drop(message);
            assert_eq!(go!(client.uidl_one(1)).unwrap().uid().as_bytes(), b"m0000001");
            assert!(go!(client.quit()).is_committed());
        }
    }

    /// unharmed: the pieces are put together.
    fn q_096_ends_in_pieces() {
        for quirk in ["segment=1", "segment=7", "segment=random"] {
            let server = with(&[quirk]);
            go!(all_is_well(&mut go!(enter(&tls(&server)))));
            go!(all_is_well(&mut go!(enter(&plain(&server)))));
        }
    }

    /// told: the blank line is kept, since it may be the message's; the size in the listing is two octets less.
    fn q_097_a_blank_line_more() {
        let server = with(&["end=extra_blank"]);
        let mut client = go!(enter(&plain(&server)));
        for (number, mail) in (1..).zip(MESSAGES) {
            let size = go!(client.list_one(number)).unwrap().scan.octets;
            assert_eq!(go!(retr(&mut client, number)).unwrap(), format!("{mail}\r\n").as_bytes());
            assert_eq!(size, Some(mail.len() as u64));
        }
        go!(client.noop()).unwrap();
    }

    /// told: what came is kept; the size in the listing is larger.
    fn q_098_blank_lines_that_are_stripped() {
        let server = holding(&[b"A: 1\r\n\r\none\r\n\r\ntwo\r\n\r\n\r\n"], &["end=strip_blank"]);
        let mut client = go!(enter(&plain(&server)));
        let size = go!(client.list_one(1)).unwrap().scan.octets;
        assert_eq!(go!(retr(&mut client, 1)).unwrap(), b"A: 1\r\n\r\none\r\n\r\ntwo\r\n");
        assert_eq!(size, Some(24));
        go!(client.noop()).unwrap();
    }

    /// unharmed: lines of a message have no limit.
    fn q_101_a_line_of_a_megabyte() {
        let server = with(&["long_line=1000000"]);
        let stored = server.maildrop("alice").unwrap().messages().unwrap().remove(3);
        let mut client = go!(enter(&plain(&server)));
        assert!(go!(retr(&mut client, 4)).unwrap() == stored);
        let (mut message, mut line) = (go!(client.retr(4)).unwrap(), Vec::new());
        for octets in [18, 0, 1_000_000] {
            assert!(go!(message.read_line(&mut line)).unwrap());
            assert_eq!(line.len(), octets);
        }
        assert!(!go!(message.read_line(&mut line)).unwrap());
        drop(message);
        assert!(go!(top(&mut client, 4, 1)).unwrap() == stored);
    }

    /// unharmed: every octet passes, whatever it is.
    fn q_103_octets_that_no_mail_should_have() {
        let server = with(&["msg_corpus=weird", "stuff=crlf_only"]);
        let stored = server.maildrop("alice").unwrap().messages().unwrap();
        assert_eq!(stored.len(), 12);
        let mut client = go!(enter(&plain(&server)));
        for (number, mut mail) in (1..).zip(stored) {
            if !mail.is_empty() && !mail.ends_with(b"\r\n") {
                // POP3 has no other way to end a message.
                mail.extend_from_slice(b"\r\n");
            }
            let size = go!(client.list_one(number)).unwrap().scan.octets;
            assert_eq!(size, Some(mail.len() as u64));
            assert_eq!(go!(retr(&mut client, number)).unwrap().escape_ascii().to_string(), mail.escape_ascii().to_string());
        }
        assert!(go!(client.quit()).is_committed());
    }

    /// told: what the server makes of a message is what is kept; TOP, RETR and the size need not agree.
    fn q_103_messages_that_servers_mend() {
        let mail = b"Subject: nul\r\n\r\na\0b\r\nlast\r\n";
        for (quirk, received) in [
            ("nul=80", &b"Subject: nul\r\n\r\na\x80b\r\nlast\r\n"[..]),
            ("nul=cut", b"Subject: nul\r\n\r\nalast\r\n"),
            ("crlf=cr_cr_lf", b"Subject: nul\r\r\n\r\r\na\0b\r\r\nlast\r\r\n"),
        ] {
            let server = holding(&[mail], &[quirk]);
            let mut client = go!(enter(&plain(&server)));
            assert_eq!(go!(retr(&mut client, 1)).unwrap(), received, "{quirk}");
            go!(client.noop()).unwrap();
        }
        let server = holding(&[b"Subject: header only\r\n"], &["eoh=1"]);
        let mut client = go!(enter(&plain(&server)));
        assert_eq!(go!(retr(&mut client, 1)).unwrap(), b"Subject: header only\r\n\r\n");
        assert_eq!(go!(top(&mut client, 1, 0)).unwrap(), b"Subject: header only\r\n\r\n");
    }

    /// unharmed: a status stands in the first line of an answer only.
    fn q_104_lines_that_look_like_statuses() {
        let server = with(&["msg_corpus=status_lines"]);
        let stored = server.maildrop("alice").unwrap().messages().unwrap();
        let mut client = go!(enter(&plain(&server)));
        for (number, mail) in (1..).zip(&stored) {
            assert_eq!(go!(retr(&mut client, number)).unwrap(), *mail);
        }
        assert_eq!(go!(top(&mut client, 4, 1)).unwrap(), b"Subject: status\r\n\r\n+OK\r\n");
        // What begins with a status in place of a header is a message, too.
        assert_eq!(go!(top(&mut client, 5, 0)).unwrap(), stored[4]);
        assert_eq!(go!(client.stat()).unwrap().messages, 5);
    }

    /// unharmed: RETR is the message; nothing of TOP is ever joined to it.
    fn q_105_other_headers_with_top() {
        let server = with(&["top_headers=differ"]);
        let mut client = go!(enter(&plain(&server)));
        let header = go!(top(&mut client, 1, 0)).unwrap();
        assert_eq!(header, b"X-Retrieved-With: TOP\r\nSubject: 1\r\n\r\n");
        go!(all_is_well(&mut client));
    }

    /// told: TOP is documented as no way to a whole message; RETR is one.
    fn q_106_top_that_is_cut() {
        let body = "a line of the body\r\n".repeat(5000);
        let mail = format!("Subject: x\r\n\r\n{body}");
        let server = holding(&[mail.as_bytes()], &["top_max=65536"]);
        let mut client = go!(enter(&plain(&server)));
        let cut = go!(top(&mut client, 1, u32::MAX)).unwrap();
        assert_eq!(cut.strip_suffix(b"\r\n").unwrap(), &mail.as_bytes()[..65536]);
        assert!(go!(retr(&mut client, 1)).unwrap() == mail.as_bytes());
    }

    /// told: the caller counts the lines that came; RETR is the message.
    fn q_107_top_with_lines_of_its_own_number() {
        let server = with(&["top_lines=1"]);
        let mut client = go!(enter(&plain(&server)));
        assert_eq!(go!(top(&mut client, 3, 3)).unwrap(), b"Subject: 3\r\n\r\none\r\n");
        assert_eq!(go!(top(&mut client, 3, 0)).unwrap(), b"Subject: 3\r\n\r\n");
        go!(all_is_well(&mut client));

        let server = with(&["top=whole"]);
        let mut client = go!(enter(&plain(&server)));
        assert_eq!(go!(top(&mut client, 3, 0)).unwrap(), MESSAGES[2].as_bytes());
        assert_eq!(go!(top(&mut client, 3, 1)).unwrap(), b"Subject: 3\r\n\r\none\r\n");
        go!(all_is_well(&mut client));
    }

    /// told: the second status is the first line of what TOP gives, for a mail may begin like that; RETR is the message.
    fn q_108_two_statuses_for_top() {
        let server = with(&["top=double_ok"]);
        let mut client = go!(enter(&plain(&server)));
        assert_eq!(go!(top(&mut client, 1, 0)).unwrap(), b"+OK\r\nSubject: 1\r\n\r\n");
        go!(all_is_well(&mut client));
    }

    /// told: TOP is documented to mark messages at some servers.
    fn q_109_top_that_marks_as_seen() {
        let server = with(&["top_marks_seen=1"]);
        let mut client = go!(enter(&plain(&server)));
        assert_eq!(go!(top(&mut client, 2, 0)).unwrap(), b"Subject: 2\r\n\r\n");
        assert_eq!(server.maildrop("alice").unwrap().seen().unwrap(), [false, true, false]);
        go!(all_is_well(&mut client));
    }

    /// unharmed: no larger number is sent than any server takes; a mail of so many lines there is not.
    fn q_110_a_large_number_of_lines() {
        let server = with(&["top_arg_max=99999999"]);
        let mut client = go!(enter(&plain(&server)));
        for lines in [99_999_999, 100_000_000, u32::MAX] {
            assert_eq!(go!(top(&mut client, 3, lines)).unwrap(), MESSAGES[2].as_bytes());
            assert_eq!(said(&server).last().unwrap(), "TOP 3 99999999");
        }
    }

    /// refused: TOP is; RETR, read as far as the header and given up, takes its place.
    fn q_111_no_top() {
        let server = with(&["top=none"]);
        let mut client = go!(enter(&plain(&server)));
        let error = go!(client.top(1, 0)).map(drop).unwrap_err();
        assert!(error.is_refused() && error.is_unsupported(), "{error:?}");
        assert!(!error.is_retryable() && !client.is_broken());
        let (mut message, mut header) = (go!(client.retr(1)).unwrap(), Vec::new());
        while !header.ends_with(b"\r\n\r\n") {
            assert!(go!(message.read_until(b'\n', &mut header)).unwrap() > 0);
        }
        assert_eq!(header, b"Subject: 1\r\n\r\n");
        drop(message);
        go!(all_is_well(&mut client));
    }

    /// told: a command that the server lacks is told from a message that it lacks, by its words.
    fn q_111_words_for_a_command_that_is_missing() {
        let missing = ["Unknown command.", "unimplemented", "Unrecognized command", "bad command", "TOP not supported"];
        for text in missing {
            let actor = Actor::greet_and(answer(format!("-ERR {text}\r\n")));
            let mut client = go!(Client::connect(&actor.connector())).unwrap();
            assert!(go!(client.top(1, 0)).map(drop).unwrap_err().is_unsupported(), "{text}");
        }
        for text in ["", "no such message", "Unknown message number", "[SYS/TEMP] TOP not supported now"] {
            let actor = Actor::greet_and(answer(format!("-ERR {text}\r\n")));
            let mut client = go!(Client::connect(&actor.connector())).unwrap();
            let error = go!(client.top(1, 0)).map(drop).unwrap_err();
            assert!(error.is_refused() && !error.is_unsupported(), "{text}");
        }
    }

    /// refused: that message is, for once; the rest goes on.
    fn q_112_a_listed_message_that_is_refused() {
        let server = with(&["retr_err=2"]);
        let mut client = go!(enter(&plain(&server)));
        assert_eq!(go!(client.list()).unwrap().len(), 3);
        for number in [1, 3] {
            let error = go!(retr(&mut client, 2)).unwrap_err();
            assert!(error.is_refused() && !error.is_io() && !error.is_retryable(), "{error:?}");
            assert!(error.to_string().contains("Message 2 expunged."), "{error}");
            assert!(!client.is_broken());
            assert_eq!(go!(retr(&mut client, number)).unwrap(), MESSAGES[number as usize - 1].as_bytes());
        }
        go!(client.dele(1)).unwrap();
        go!(client.dele(3)).unwrap();
        assert!(go!(client.quit()).is_committed());
        assert_eq!(ended(&server).client_lines().last().unwrap(), "QUIT");
        assert_eq!(server.maildrop("alice").unwrap().removed().len(), 2);
    }

    /// refused: the end of the connection is told apart from the refusal, and the rest comes with the next session.
    fn q_112_a_refused_message_asked_for_twice() {
        for quirks in [["retr_err=2", "retr_err_twice=close"], ["retr_err_twice=close", "retr_err=2"]] {
            let server = with(&quirks);
            let mut client = go!(enter(&plain(&server)));
            assert!(go!(retr(&mut client, 2)).unwrap_err().is_refused());
            let error = go!(retr(&mut client, 2)).unwrap_err();
            assert!(error.is_closed() && error.is_retryable() && !error.is_refused(), "{error:?}");
            assert!(client.is_broken());
            drop(client);
            let _ = ended(&server);
            let mut client = go!(enter(&plain(&server)));
            assert_eq!(go!(retr(&mut client, 3)).unwrap(), MESSAGES[2].as_bytes());
        }
    }

    /// unharmed: a field more is part of the message.
    fn q_114_headers_that_the_server_adds() {
        let server = with(&["hdr_add=X-UIDL", "hdr_add=Status"]);
        let mut client = go!(enter(&plain(&server)));
        for (number, mail) in (1..).zip(MESSAGES) {
            let expected = format!("Status: U\r\nX-UIDL: m000000{number}\r\n{mail}");
            assert_eq!(go!(retr(&mut client, number)).unwrap(), expected.as_bytes());
        }
        assert_eq!(
            go!(top(&mut client, 2, 0)).unwrap(),
            b"Status: U\r\nX-UIDL: m0000002\r\nSubject: 2\r\n\r\n"
        );
    }

    /// told: the text of the answer is there to be read, and nothing depends on it.
    fn q_115_a_size_in_the_text_that_is_wrong() {
        let server = with(&["retr_text_size=wrong"]);
        let mut client = go!(enter(&plain(&server)));
        let mut message = go!(client.retr(1)).unwrap();
        assert_eq!(message.reply().text(), b"832 octets");
        assert_eq!(go!(message.read_to_vec()).unwrap(), MESSAGES[0].as_bytes());
        assert!(message.is_complete());
        assert_eq!(message.octets(), MESSAGES[0].len() as u64);
        drop(message);
        go!(all_is_well(&mut client));
    }

    /// unharmed: the first octet of a message has a time of its own, five minutes.
    fn q_116_a_slow_start() {
        assert!(Timeouts::default().first_octet >= Duration::from_secs(300));
        let server = with(&["first_byte_delay=300ms"]);
        let mut timeouts = Timeouts::default();
        (timeouts.command, timeouts.idle, timeouts.rescue) = (ms(200), ms(200), Some(ms(100)));
        let mut client = go!(enter(&plain(&server).timeouts(timeouts)));
        let start = Instant::now();
        assert_eq!(go!(retr(&mut client, 1)).unwrap(), MESSAGES[0].as_bytes());
        took(start, 290..3000);
    }

    /// unharmed: the first octet of a message has its five minutes also where `+OK` comes at once.
    fn q_116_a_slow_start_behind_the_status() {
        let mut timeouts = Timeouts::default();
        (timeouts.idle, timeouts.rescue) = (ms(100), Some(ms(20)));
        let message = format!("{}.\r\n", MESSAGES[0]);
        let actor = Actor::greet_and([Act::Hear, say("+OK 832 octets\r\n"), pause(250), say(message)]);
        let mut client = go!(Client::connect(&actor.connector().timeouts(timeouts.clone()))).unwrap();
        assert_eq!(go!(retr(&mut client, 1)).unwrap(), MESSAGES[0].as_bytes());

        timeouts.first_octet = ms(100);
        let actor = Actor::greet_and(answer("+OK 832 octets\r\n"));
        let mut client = go!(Client::connect(&actor.connector().timeouts(timeouts))).unwrap();
        let start = Instant::now();
        assert!(go!(retr(&mut client, 1)).unwrap_err().is_timeout());
        took(start, 90..1500);
    }

    /// refused: a scanner that takes too long is a deadline, and what it sends later is never another answer.
    fn q_023_a_scanner_that_is_too_slow() {
        let server = with(&["first_byte_delay=300ms"]);
        let mut timeouts = Timeouts::default();
        timeouts.first_octet = ms(50);
        let mut client = go!(enter(&plain(&server).timeouts(timeouts)));
        let error = go!(retr(&mut client, 1)).unwrap_err();
        assert!(error.is_timeout() && error.is_retryable() && !client.is_broken(), "{error:?}");
        pause!(ms(400));
        // The late message is skipped.
        assert_eq!(go!(client.uidl_one(2)).unwrap().uid().as_bytes(), b"m0000002");
        assert_eq!(go!(client.stat()).unwrap().messages, 3);
    }

    /// refused: the rest of the session's RETRs are, each with the server's words; what came is kept, and may be deleted.
    fn q_141_a_quota_on_downloads() {
        let server = with(&["retr_quota=2"]);
        let mut client = go!(enter(&plain(&server)));
        for (number, mail) in (1..).zip(&MESSAGES[..2]) {
            assert_eq!(go!(retr(&mut client, number)).unwrap(), mail.as_bytes());
            go!(client.dele(number)).unwrap();
        }
        for _ in 0..2 {
            let error = go!(retr(&mut client, 3)).unwrap_err();
            assert!(error.is_refused() && !client.is_broken(), "{error:?}");
            assert_eq!(error.reply().unwrap().text(), b"Download exceed. msg=2");
        }
        assert!(go!(client.quit()).is_committed());
        let _ = ended(&server);
        let mut client = go!(enter(&plain(&server)));
        assert_eq!(go!(retr(&mut client, 1)).unwrap(), MESSAGES[2].as_bytes());
    }

    /// refused: TOP of that message is; RETR of it is not, nor is TOP of another.
    fn q_142_top_of_one_message_fails() {
        let server = with(&["top_err=3"]);
        let mut client = go!(enter(&plain(&server)));
        let texts = [&b"Can't get the letter xtb[301], try again later"[..], b"Message can not load"];
        for (text, temporary) in texts.into_iter().zip([true, false]) {
            let error = go!(client.top(3, 0)).map(drop).unwrap_err();
            assert!(error.is_refused() && !error.is_unsupported() && !client.is_broken(), "{error:?}");
            assert_eq!((error.reply().unwrap().text(), error.is_temporary()), (text, temporary));
        }
        assert_eq!(go!(top(&mut client, 2, 0)).unwrap(), b"Subject: 2\r\n\r\n");
        go!(all_is_well(&mut client));
    }
}
