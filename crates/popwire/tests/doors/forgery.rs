// The contents of a message are never read as protocol: Q-094, Q-095, Q-104, Q-037, Q-118, P-018, P-020.

use popwire::proto::Error as Protocol;
use popwire_interop::{awkward, corpus};
use popwire_server::{Maildrop, Message as Mail, Server};

use crate::actor::{Act, Actor, answer, pause, say};
use crate::setting::{PASSWORD, login, ms, plain};

helper! {
    /// A session that is logged in.
    fn enter(server: &Server) -> Client {
        let mut client = go!(Client::connect(&plain(server))).unwrap();
        go!(client.login(&login())).unwrap();
        client
    }
}

/// A message whose dots are not stuffed, and what its sender would have the client believe.
const UNSTUFFED: &str = "+OK\r\nSubject: x\r\n\r\ntext\r\n.\r\n";
const FORGED: &str = "+OK 1 forged\r\n";

case! {
    fn q_095_a_forged_answer_inside_a_message_is_mail() {
        let attack = awkward::message("forged-reply").unwrap();
        assert!(attack.windows(17).any(|part| part == b"\n.\r\n+OK 1 forged\r"));
        for segment in [1 << 16, 7, 1] {
            let maildrop = Maildrop::memory([Mail::new(attack.clone()).unique_id("true-id")]);
            let server = Server::builder()
                .user("alice", PASSWORD, maildrop)
                .verbatim(true)
                .segment(segment)
                .start()
                .unwrap();
            let mut client = go!(enter(&server));
            assert_eq!(go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap(), attack);
            assert_eq!(go!(client.uidl_one(1)).unwrap().uid().as_bytes(), b"true-id");
            assert_eq!(go!(client.uidl()).unwrap().get(1).unwrap().as_bytes(), b"true-id");
            assert_eq!(go!(client.list()).unwrap().len(), 1);
            assert_eq!(go!(client.stat()).unwrap().messages, 1);
            // Half read, the rest of it is skipped as mail too.
            let mut message = go!(client.retr(1)).unwrap();
            let mut line = Vec::new();
            assert!(go!(message.read_line(&mut line)).unwrap());
            drop(message);
            assert_eq!(go!(client.uidl_one(1)).unwrap().uid().as_bytes(), b"true-id");
            assert!(go!(client.quit()).is_committed());
        }
    }

    fn p_017_awkward_mail_arrives_to_the_octet() {
        let messages = awkward::messages().unwrap();
        for segment in [1 << 16, 3] {
            let maildrop = Maildrop::memory(messages.iter().map(|(_, octets)| octets.clone()));
            let server =
                Server::builder().user("alice", PASSWORD, maildrop).segment(segment).start().unwrap();
            let mut client = go!(enter(&server));
            for (number, (name, octets)) in (1..).zip(&messages) {
                // The largest ones would take long in pieces of three octets.
                if segment == 3 && octets.len() > 20_000 {
                    continue;
                }
                // An empty message stays one; the wire form of everything else ends in CRLF.
                let expected = if octets.is_empty() { Vec::new() } else { corpus::wire_form(octets) };
                let received = go!(go!(client.retr(number)).unwrap().read_to_vec()).unwrap();
                // Lone CR is not for POP3 to define; the server makes CRLF of it.
                if !octets.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n') {
                    assert!(received == expected, "{name}, in pieces of {segment}");
                }
                go!(client.noop()).unwrap();
            }
        }
    }

    fn q_104_lines_that_look_like_answers_are_mail() {
        let mail = "+OK\r\n-ERR [AUTH] x\r\n\r\n+OK 1 forged\r\n-ERR\r\n+ \r\n";
        let server = Server::builder().user("alice", PASSWORD, Maildrop::memory([mail])).start().unwrap();
        let mut client = go!(enter(&server));
        assert_eq!(go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap(), mail.as_bytes());
        assert_eq!(
            go!(go!(client.top(1, 1)).unwrap().read_to_vec()).unwrap(),
            b"+OK\r\n-ERR [AUTH] x\r\n\r\n+OK 1 forged\r\n"
        );
        go!(client.noop()).unwrap();
    }

    fn q_094_what_follows_a_message_is_not_believed() {
        let script =
            answer(format!("{UNSTUFFED}{FORGED}more\r\n.\r\n")).into_iter().chain(answer("+OK 1 true\r\n"));
        let actor = Actor::greet_and(script);
        let mut client = go!(Client::connect(&actor.connector())).unwrap();
        assert_eq!(go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap(), b"Subject: x\r\n\r\ntext\r\n");
        let error = go!(client.uidl_one(1)).unwrap_err();
        assert!(matches!(error.protocol(), Some(Protocol::Unsolicited(_))), "{error:?}");
        assert!(error.is_protocol() && client.is_broken());
        assert!(go!(client.dele(1)).is_err());
        assert!(matches!(go!(client.quit()), popwire::Farewell::Unknown { .. }));
        // After the forgery nothing was said to this server.
        assert_eq!(actor.heard(), "CAPA\r\nRETR 1\r\n");
    }

    fn q_094_what_comes_after_a_message_a_little_later_is_not_believed() {
        let script =
            [Act::Hear, say(UNSTUFFED), pause(50), say(FORGED)].into_iter().chain(answer("+OK 1 true\r\n"));
        let actor = Actor::greet_and(script);
        let mut client = go!(Client::connect(&actor.connector())).unwrap();
        go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
        pause!(ms(200));
        let error = go!(client.uidl_one(1)).unwrap_err();
        assert!(matches!(error.protocol(), Some(Protocol::Unsolicited(_))), "{error:?}");
        assert!(client.is_broken());
    }

    fn q_037_a_late_ok_after_a_refused_login_is_no_answer() {
        let script = [answer("+OK\r\n"), answer("-ERR no\r\n+OK Pop server signing off.\r\n")];
        let actor = Actor::greet_and(script.into_iter().flatten().chain([pause(100), Act::Close]));
        let mut client = go!(Client::connect(&actor.connector())).unwrap();
        assert!(go!(client.login(&login())).unwrap_err().is_authentication());
        let error = go!(client.login(&login())).unwrap_err();
        assert!(matches!(error.protocol(), Some(Protocol::Unsolicited(_))), "{error:?}");
        assert_eq!(client.state(), popwire::State::Authorization);
    }

    fn q_037_a_still_later_ok_is_no_answer_either() {
        // The +OK that nobody asked for would be USER's answer, and USER's that of PASS: a login without one.
        let script = [
            answer("+OK\r\n").into(),
            answer("-ERR no\r\n").into(),
            vec![pause(50), say("+OK signing off.\r\n")],
            answer("+OK\r\n").into(),
            answer("-ERR no\r\n").into(),
        ];
        let actor = Actor::greet_and(script.into_iter().flatten());
        let mut client = go!(Client::connect(&actor.connector())).unwrap();
        assert!(go!(client.login(&login())).unwrap_err().is_authentication());
        pause!(ms(200));
        assert!(go!(client.login(&login())).is_err());
        assert_eq!(client.state(), popwire::State::Authorization);
    }

    fn q_118_a_farewell_that_was_read_already_is_one() {
        let actor = Actor::greet_and(
            answer("+OK\r\n-ERR Disconnected for inactivity.\r\n").into_iter().chain([Act::Close]),
        );
        let mut client = go!(Client::connect(&actor.connector())).unwrap();
        go!(client.noop()).unwrap();
        let error = go!(client.noop()).unwrap_err();
        assert!(error.is_closed() && error.is_retryable() && !error.is_refused(), "{error:?}");
        assert!(error.to_string().contains("Disconnected for inactivity"), "{error}");
    }

    fn q_118_a_farewell_in_the_socket_is_one() {
        for farewell in ["-ERR Disconnected for inactivity.\r\n", "-ERR [SYS/TEMP] Server shutting down.\r\n"]
        {
            let actor = Actor::greet_and([pause(50), say(farewell), Act::Close]);
            let mut client = go!(Client::connect(&actor.connector())).unwrap();
            pause!(ms(200));
            let error = go!(client.dele(1)).unwrap_err();
            assert!(error.is_closed() && error.is_retryable() && !error.is_refused(), "{error:?}");
            assert!(error.to_string().contains(farewell.trim_end()), "{error}");
            assert!(client.is_broken());
        }
    }

    fn q_118_a_farewell_is_never_an_ok() {
        // Whatever it is taken for: it is an error, its words are kept, and the session ends soon.
        let actor = Actor::greet_and([pause(50), say("-ERR Disconnected for inactivity.\r\n"), Act::Close]);
        let mut client = go!(Client::connect(&actor.connector())).unwrap();
        pause!(ms(200));
        let error = go!(client.noop()).unwrap_err();
        assert!(error.to_string().contains("Disconnected for inactivity"), "{error}");
        let error = go!(client.noop()).unwrap_err();
        assert!(error.is_io(), "{error:?}");
        assert!(client.is_broken());
    }

    fn q_118_a_server_that_hangs_up_without_a_word_is_seen() {
        let server = Server::builder()
            .user("alice", PASSWORD, Maildrop::empty())
            .idle_timeout(ms(80))
            .start()
            .unwrap();
        let mut client = go!(enter(&server));
        pause!(ms(400));
        let error = go!(client.noop()).unwrap_err();
        assert!(error.is_io() && error.is_retryable(), "{error:?}");
        assert!(client.is_broken());
        // And a session that is kept alive is kept.
        let mut client = go!(enter(&server));
        for _ in 0..8 {
            pause!(ms(30));
            go!(client.keep_alive(ms(20))).unwrap();
        }
        go!(client.noop()).unwrap();
    }

    fn p_018_dots_within_lines_are_data() {
        let wire = "a.\r\n..\r\n...\r\n.. \r\n .\r\n..x\r\nx.\r\n\r\n";
        let mail = "a.\r\n.\r\n..\r\n. \r\n .\r\n.x\r\nx.\r\n\r\n";
        let actor =
            Actor::greet_and(answer(format!("+OK\r\n{wire}.\r\n")).into_iter().chain(answer("+OK\r\n")));
        let mut client = go!(Client::connect(&actor.connector())).unwrap();
        assert_eq!(go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap(), mail.as_bytes());
        go!(client.noop()).unwrap();
    }

    fn p_020_a_server_that_writes_lf_is_understood() {
        let actor = Actor::greet_and(
            [answer("+OK\nSubject: x\n\n..dot\nx\n.\n"), answer("+OK\n1 10\n2 20\n.\n"), answer("+OK\r\n")]
                .into_iter()
                .flatten(),
        );
        let mut client = go!(Client::connect(&actor.connector())).unwrap();
        assert_eq!(go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap(), b"Subject: x\n\n.dot\nx\n");
        assert_eq!(go!(client.list()).unwrap().len(), 2);
        go!(client.noop()).unwrap();
        assert_eq!(client.leniencies().bare_lf_bodies, 2);
        assert_eq!(client.leniencies().bare_lf_lines, 2);
    }
}
