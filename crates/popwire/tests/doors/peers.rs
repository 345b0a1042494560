// What other clients fail at, one test for each failure: the tables of peers, and Q-065, Q-081 on the way.

use std::time::Instant;

use popwire::Farewell;
use popwire_server::{Answer, Content, Maildrop, QuitReply, Server};

use crate::actor::{Act, Actor, answer, pause, say};
use crate::setting::{PASSWORD, alice, login, ms, on_plain_port, plain, said};

helper! {
    /// A session with a server of this maildrop.
    fn enter(server: &Server) -> Client {
        let mut client = go!(Client::connect(&plain(server))).unwrap();
        go!(client.login(&login())).unwrap();
        client
    }

    /// Reads the only message of this server.
    fn first(server: &Server) -> Vec<u8> {
        let mut client = go!(enter(server));
        let message = go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
        go!(client.noop()).unwrap();
        message
    }

    /// How long it takes to read a message of this size; the best of three.
    fn time_of(size: u64) -> std::time::Duration {
        let content = Content::Generated { size, line_len: 76 };
        let server = Server::builder().user("alice", PASSWORD, Maildrop::memory([content])).start().unwrap();
        let mut best = std::time::Duration::MAX;
        let mut client = go!(enter(&server));
        for _ in 0..3 {
            let start = Instant::now();
            let message = go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
            best = best.min(start.elapsed());
            assert_eq!(message.len() as u64, size);
        }
        best
    }
}

fn of(mail: impl Into<Vec<u8>>) -> Server {
    Server::builder().user("alice", PASSWORD, Maildrop::memory([mail.into()])).start().unwrap()
}

case! {
    fn the_server_closes_in_the_middle_of_retr() {
        for answer in [
            Answer::raw("+OK 100 octets\r\nSubject: x\r\n\r\nhalf a line").then_close(),
            Answer::raw("+OK 100 octets\r\nSubject: x\r\n\r\na line\r\n").then_close(),
            Answer::raw("+OK 100 octets\r\nSubject: x\r\n\r\na line\r\n.").then_close(),
            Answer::raw("+OK 100 octets\r\nSubject: x\r\n\r\na line\r\n.\r").then_close(),
            Answer::raw("+OK 100 octets\r\nSubject: x\r\n\r\na line.\r\n").then_close(),
            Answer::raw("+OK 100 octets\r\nSubject: x\r\n\r\na line\n.\r\n").then_close(),
            Answer::raw("+OK 100 octets\r\n").then_close(),
            Answer::raw("+OK 100 octets\r\nSubject: x\r\n\r\na line\r\n").then_cut(),
        ] {
            let server = alice().script("RETR", answer.clone()).start().unwrap();
            let secure = crate::setting::tls(&server);
            for connector in [plain(&server), secure] {
                let mut client = go!(Client::connect(&connector)).unwrap();
                go!(client.login(&login())).unwrap();
                let start = Instant::now();
                let mut message = go!(client.retr(1)).unwrap();
                let error = go!(message.read_to_vec()).unwrap_err();
                assert!(
                    error.is_closed() && error.is_retryable() && !error.is_irregular_end(),
                    "{error:?} {answer:?}"
                );
                assert!(!message.is_complete());
                // It stays an error: no second read makes a message of it.
                assert!(go!(message.read_to_vec()).is_err());
                let mut line = Vec::new();
                assert!(go!(message.read_line(&mut line)).is_err());
                let mut rest = [0; 10];
                assert!(go!(message.read(&mut rest)).is_err());
                drop(message);
                assert!(client.is_broken());
                assert!(go!(client.dele(1)).is_err());
                assert!(start.elapsed() < ms(2000));
                drop(client);
                assert!(server.wait_closed(server.sessions().len(), ms(5000)));
            }
        }
    }

    fn the_server_resets_in_the_middle_of_retr() {
        let server = alice()
            .script("RETR", Answer::raw("+OK\r\nSubject: x\r\n\r\na line\r\n").then_reset())
            .start()
            .unwrap();
        let mut client = go!(enter(&server));
        let error = match go!(client.retr(1)) {
            Ok(mut message) => go!(message.read_to_vec()).unwrap_err(),
            Err(error) => error,
        };
        assert!(error.is_io() && error.is_retryable(), "{error:?}");
        assert!(client.is_broken());
    }

    fn the_terminator_comes_alone_in_a_packet() {
        for pieces in [
            &["+OK\r\nSubject: x\r\n\r\ntext\r\n", ".\r\n"][..],
            &["+OK\r\nSubject: x\r\n\r\ntext", "\r\n", ".", "\r", "\n"],
            &["+OK", "\r", "\n", "Subject: x\r\n\r\ntext\r", "\n.", "\r\n"],
        ] {
            let mut script = vec![Act::Hear];
            pieces.iter().for_each(|piece| script.extend([say(piece), pause(10)]));
            script.extend(answer("+OK\r\n"));
            let actor = Actor::greet_and(script);
            let mut client = go!(Client::connect(&actor.connector())).unwrap();
            assert_eq!(
                go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap(),
                b"Subject: x\r\n\r\ntext\r\n"
            );
            go!(client.noop()).unwrap();
        }
    }

    fn an_empty_message() {
        let server = alice().script("RETR 1", "+OK\r\n.\r\n").start().unwrap();
        let mut client = go!(enter(&server));
        let mut message = go!(client.retr(1)).unwrap();
        assert_eq!(go!(message.read_to_vec()).unwrap(), b"");
        assert!(message.is_complete() && message.octets() == 0);
        let mut line = Vec::new();
        assert!(!go!(message.read_line(&mut line)).unwrap());
        drop(message);
        assert_eq!(
            go!(go!(client.retr(2)).unwrap().read_to_vec()).unwrap(),
            crate::setting::MAIL[1].as_bytes()
        );
    }

    fn an_empty_maildrop() {
        let server = Server::builder().user("alice", PASSWORD, Maildrop::empty()).start().unwrap();
        let mut client = go!(enter(&server));
        assert!(go!(client.list()).unwrap().is_empty() && go!(client.uidl()).unwrap().is_empty());
        assert_eq!(go!(client.stat()).unwrap().messages, 0);
        assert!(go!(client.retr(1)).unwrap_err().is_refused());
    }

    fn a_bare_ok_and_the_end() {
        for command in ["LIST", "UIDL", "RETR", "TOP", "STAT", "NOOP"] {
            let server = alice().script(command, Answer::raw("+OK\r\n").then_close()).start().unwrap();
            let mut client = go!(enter(&server));
            let start = Instant::now();
            let error = match command {
                "LIST" => go!(client.list()).unwrap_err(),
                "UIDL" => go!(client.uidl()).unwrap_err(),
                "RETR" => go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap_err(),
                "TOP" => go!(go!(client.top(1, 0)).unwrap().read_to_vec()).unwrap_err(),
                // A bare +OK is no STAT; the end of the connection shows at the next command.
                "STAT" => {
                    assert!(go!(client.stat()).unwrap_err().is_protocol());
                    go!(client.noop()).unwrap_err()
                }
                _ => {
                    go!(client.noop()).unwrap();
                    go!(client.noop()).unwrap_err()
                }
            };
            assert!(error.is_io() && error.is_retryable(), "{command}: {error:?}");
            assert!(start.elapsed() < ms(2000));
        }
    }

    fn the_greeting_is_the_end() {
        for (script, closed) in [
            (vec![Act::Close], true),
            (vec![say("+OK"), Act::Close], true),
            (vec![say("+OK\r\n"), Act::Close], true),
        ] {
            let actor = Actor::play(script);
            let error = go!(Client::connect(&actor.connector())).unwrap_err();
            assert_eq!(error.is_io(), closed, "{error:?}");
        }
    }

    fn a_list_heading_with_two_numbers() {
        let server = alice().heading("LIST", "+OK 2 320").start().unwrap();
        let mut client = go!(enter(&server));
        let list = go!(client.list()).unwrap();
        assert_eq!(
            list.iter().map(|scan| (scan.number, scan.octets.unwrap())).collect::<Vec<_>>(),
            [(1, 23), (2, 26)]
        );
        assert_eq!(list.skipped(), 0);
        go!(client.noop()).unwrap();
    }

    fn a_uidl_heading_with_two_words() {
        let server = alice().heading("UIDL", "+OK 2 messages").start().unwrap();
        let mut client = go!(enter(&server));
        let ids = go!(client.uidl()).unwrap();
        assert_eq!(ids.len(), 2);
        assert!(ids.iter().all(|(_, id)| id.as_bytes() != b"messages"));
        go!(client.noop()).unwrap();
    }

    fn q_065_list_lines_with_more_than_two_fields_and_blanks() {
        let server = alice()
            .script(
                "LIST",
                Answer::raw("+OK\r\n1 120 extra\r\n2  240\t \r\n 3 360\r\nx\r\n5\r\n7 4294967296\r\n.\r\n")
                    .nth(1),
            )
            .script("UIDL", Answer::raw("+OK\r\n1   abc\r\n2 \r\n+OK 3 def\r\n.\r\n").nth(1))
            .script("LIST", Answer::raw("+OK 2 320 extra\r\n").nth(2))
            .script("STAT", "+ok  2   320  extra\r\n")
            .start()
            .unwrap();
        let mut client = go!(enter(&server));
        let list = go!(client.list()).unwrap();
        let sizes: Vec<_> = list.iter().map(|scan| (scan.number, scan.octets)).collect();
        assert_eq!(
            sizes,
            [(1, Some(120)), (2, Some(240)), (3, Some(360)), (5, None), (7, Some(4_294_967_296))]
        );
        assert_eq!(list.skipped(), 1);
        let ids = go!(client.uidl()).unwrap();
        assert_eq!(ids.get(1).unwrap().as_bytes(), b"abc");
        assert!(ids.get(2).unwrap().is_blank());
        assert_eq!(ids.get(3).unwrap().as_bytes(), b"def");
        assert_eq!(go!(client.list_one(2)).unwrap().scan.octets, Some(320));
        let stat = go!(client.stat()).unwrap();
        assert_eq!((stat.messages, stat.octets), (2, Some(320)));
        go!(client.noop()).unwrap();
    }

    fn a_stat_of_five_thousand_million_octets() {
        let server = alice().heading("STAT", "+OK 3000000000 5000000000").start().unwrap();
        let stat = {
            let mut client = go!(enter(&server));
            go!(client.stat()).unwrap()
        };
        assert_eq!((stat.messages, stat.octets), (3_000_000_000, Some(5_000_000_000)));
    }

    fn a_user_name_with_a_command_in_it() {
        let server = alice().start().unwrap();
        let mut client = go!(Client::connect(&plain(&server))).unwrap();
        assert!(go!(client.user("alice\r\nDELE 1")).unwrap_err().is_misuse());
        assert_eq!(said(&server), ["CAPA"]);
        go!(client.login(&login())).unwrap();
    }

    fn a_message_of_8_mb_is_quick_and_16_take_twice_as_long() {
        let eight = go!(time_of(8 << 20));
        assert!(eight < ms(2000), "8 MB took {eight:?}");
        let sixteen = go!(time_of(16 << 20));
        assert!(sixteen < eight * 3 + ms(100), "8 MB took {eight:?}, 16 MB {sixteen:?}");
    }

    fn dots_are_unstuffed() {
        let mail = "Subject: x\r\n\r\n.\r\n..\r\n.x\r\n...\r\nx.\r\n. \r\n";
        assert_eq!(go!(first(&of(mail))), mail.as_bytes());
    }

    fn mail_that_is_not_utf_8() {
        let every: Vec<u8> = (0..=255).filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
        let mail = [b"Subject: Gr\xfc\xdfe \xb5\xc7\r\n\r\n", &every[..], b"\r\n"].concat();
        assert_eq!(go!(first(&of(mail.clone()))), mail);
    }

    fn a_line_of_5000_characters_and_one_of_a_million() {
        for length in [5_000, 1_000_000] {
            let mail = format!("Subject: x\r\n\r\n{}\r\nend\r\n", "x".repeat(length));
            assert_eq!(go!(first(&of(mail.clone()))), mail.as_bytes());
        }
    }

    fn p_063_a_refused_quit_reaches_the_caller() {
        let server = alice().quit_reply(QuitReply::SomeNotRemoved { removed: 1 }).start().unwrap();
        let mut client = go!(enter(&server));
        go!(client.dele(1)).unwrap();
        go!(client.dele(2)).unwrap();
        let farewell = go!(client.quit());
        assert!(!farewell.is_committed());
        let Farewell::Refused { marked: 2, reply } = farewell else { panic!("{farewell:?}") };
        assert_eq!(reply.text(), b"some deleted messages not removed");
    }

    fn p_062_a_quit_without_an_answer_is_unknown_if_it_mattered() {
        for reply in [QuitReply::CloseAfterCommit, QuitReply::CloseBeforeCommit] {
            let server = alice().quit_reply(reply).start().unwrap();
            let mut client = go!(enter(&server));
            go!(client.dele(1)).unwrap();
            let farewell = go!(client.quit());
            let Farewell::Unknown { marked: 1, error } = farewell else { panic!("{farewell:?}") };
            assert!(error.is_closed(), "{error:?}");
            // Q-132: with nothing marked, there is nothing that could be unknown.
            assert!(server.wait_closed(1, ms(5000)));
            let mut client = go!(enter(&server));
            go!(client.dele(1)).unwrap();
            go!(client.rset()).unwrap();
            assert!(go!(client.quit()).is_committed());
        }
    }

    fn a_bad_payload_leaves_the_session_usable() {
        let server = alice()
            .script("STAT", Answer::raw("+OK many\r\n").nth(1))
            .script("LIST 1", Answer::raw("+OK 9 9\r\n").nth(1))
            .script("UIDL 1", Answer::raw("+OK 2 abc\r\n").nth(1))
            .script("LIST", Answer::raw(format!("+OK\r\n1 120{}\r\n2 240\r\n.\r\n", "x".repeat(3000))).nth(1))
            .start()
            .unwrap();
        let mut client = go!(enter(&server));
        assert!(go!(client.list()).unwrap_err().is_protocol());
        assert!(go!(client.stat()).unwrap_err().is_protocol());
        assert!(go!(client.list_one(1)).unwrap_err().is_protocol());
        assert!(go!(client.uidl_one(1)).unwrap_err().is_protocol());
        assert!(!client.is_broken());
        assert_eq!(go!(client.stat()).unwrap().messages, 2);
        assert_eq!(go!(client.list()).unwrap().len(), 2);
    }

    fn one_refused_message_does_not_stop_the_others() {
        let server = alice().script("RETR 1", "-ERR [SYS/TEMP] message cannot be read\r\n").start().unwrap();
        let mut client = go!(enter(&server));
        let error = go!(client.retr(1)).unwrap_err();
        assert!(error.is_refused() && error.is_temporary());
        assert_eq!(
            go!(go!(client.retr(2)).unwrap().read_to_vec()).unwrap(),
            crate::setting::MAIL[1].as_bytes()
        );
        go!(client.dele(1)).unwrap();
        assert_eq!(go!(client.list()).unwrap().iter().map(|scan| scan.number).collect::<Vec<_>>(), [2]);
    }

    fn p_011_status_lines_of_any_case_and_line_end() {
        let actor = Actor::play(
            [
                [say("+ok ready\n"), pause(0)],
                answer("+Ok\nTOP\n.\n"),
                answer("+oK\t text\r\n"),
                answer("-err  no\n"),
                answer("+OK\r\n"),
                answer("+OK \r\n"),
                answer("+OKAY\r\n"),
            ]
            .into_iter()
            .flatten(),
        );
        let mut client = go!(Client::connect(&actor.connector())).unwrap();
        assert!(client.capabilities().has("TOP"));
        go!(client.noop()).unwrap();
        assert!(go!(client.noop()).unwrap_err().is_refused());
        assert_eq!(go!(client.noop()).unwrap().text(), b"");
        go!(client.noop()).unwrap();
        assert!(go!(client.noop()).unwrap_err().is_protocol());
        assert!(client.is_broken());
    }

    fn q_135_a_command_and_its_end_come_in_one_piece_and_at_once() {
        let script = (0..60).flat_map(|_| answer("+OK\r\n"));
        let actor = Actor::greet_and(script);
        let mut client = go!(Client::connect(&actor.connector())).unwrap();
        let start = Instant::now();
        for number in 1..=60 {
            go!(client.dele(number)).unwrap();
        }
        // Nagle's algorithm and delayed acknowledgement together would cost 40 ms each.
        assert!(start.elapsed() < ms(1000), "{:?}", start.elapsed());
        let reads = actor.reads();
        assert_eq!(reads[0], b"CAPA\r\n");
        assert_eq!(reads.len(), 61);
        for (number, read) in (1..).zip(&reads[1..]) {
            assert_eq!(*read, format!("DELE {number}\r\n").into_bytes());
        }
    }

    fn q_096_every_answer_in_pieces_of_one_octet() {
        let server = alice().segment(1).start().unwrap();
        for connector in
            [plain(&server), on_plain_port(&server, popwire::Security::Stls), crate::setting::tls(&server)]
        {
            let mut client = go!(Client::connect(&connector)).unwrap();
            go!(client.login(&login())).unwrap();
            assert!(client.capabilities().has("UIDL"));
            assert_eq!(go!(client.stat()).unwrap().octets, Some(49));
            assert_eq!(go!(client.list()).unwrap().len(), 2);
            assert_eq!(go!(client.uidl()).unwrap().len(), 2);
            for (number, mail) in (1..).zip(crate::setting::MAIL) {
                assert_eq!(go!(go!(client.retr(number)).unwrap().read_to_vec()).unwrap(), mail.as_bytes());
            }
            assert!(go!(client.quit()).is_committed());
            assert!(server.wait_closed(server.sessions().len(), ms(5000)));
        }
    }

    fn q_010_endless_answers_end() {
        for (command, line) in [("CAPA", "X-MORE of the same\r\n"), ("LIST", "1 1\r\n"), ("UIDL", "1 a\r\n")]
        {
            let mut limits = popwire::Limits::default();
            limits.listing_octets = 1 << 20;
            let flood = [say("+OK\r\n"), Act::Flood(line.repeat(1000).into())];
            let actor = if command == "CAPA" {
                Actor::play([say("+OK\r\n"), Act::Hear].into_iter().chain(flood))
            } else {
                Actor::greet_and([Act::Hear].into_iter().chain(flood))
            };
            let start = Instant::now();
            let connector = actor.connector().limits(limits);
            let error = match command {
                "CAPA" => go!(Client::connect(&connector)).unwrap_err(),
                "LIST" => go!(go!(Client::connect(&connector)).unwrap().list()).unwrap_err(),
                _ => go!(go!(Client::connect(&connector)).unwrap().uidl()).unwrap_err(),
            };
            assert!(matches!(error.protocol(), Some(popwire::proto::Error::TooLarge { .. })), "{error:?}");
            assert!(start.elapsed() < ms(3000));
        }
    }

    fn q_101_endless_lines_end() {
        for script in [
            vec![Act::Flood(vec![b'x'; 1000])],
            vec![say("+OK\r\n"), Act::Hear, Act::Flood(vec![b'+'; 1000])],
        ] {
            let actor = Actor::play(script);
            let error = go!(Client::connect(&actor.connector())).unwrap_err();
            assert!(error.is_protocol(), "{error:?}");
        }
    }
}
