// Every wait has a deadline: P-151 and Q-019 (hang), Q-047, Q-116, Q-134, and rule 10 of the quirks.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use popwire::{Connector, Farewell, Security, Timeouts};
use popwire_server::{Content, Maildrop, Server};

use crate::actor::{Act, Actor, answer, pause, say};
use crate::setting::{MAIL, PASSWORD, alice, login, ms, plain, tls, took};

/// The deadline under test.
const SHORT: Duration = Duration::from_millis(150);

/// All deadlines a minute, but for those that `set` changes.
fn deadlines(set: impl FnOnce(&mut Timeouts)) -> Timeouts {
    let mut timeouts = Timeouts::default();
    for deadline in [
        &mut timeouts.connect,
        &mut timeouts.tls,
        &mut timeouts.greeting,
        &mut timeouts.capa,
        &mut timeouts.login,
        &mut timeouts.command,
        &mut timeouts.first_octet,
        &mut timeouts.idle,
        &mut timeouts.answer,
        &mut timeouts.quit,
    ] {
        *deadline = Duration::from_secs(60);
    }
    set(&mut timeouts);
    timeouts
}

#[track_caller]
fn is_late(error: &popwire::Error, start: Instant, about: &str) {
    assert!(error.is_timeout() && error.is_retryable() && !error.is_io(), "{error:?}");
    assert!(error.to_string().contains(about), "{error}");
    took(start, 140..1200);
}

/// A piece every 20 milliseconds for some seconds.
fn drip(piece: &str) -> impl Iterator<Item = Act> {
    (0..150).flat_map(move |_| [say(piece), pause(20)])
}

case! {
    fn a_server_that_does_not_take_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        // Connections that nobody accepts, until the system takes no more.
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&addr, ms(100)) {
            waiting.push(stream);
            assert!(waiting.len() < 10_000, "the queue has no end");
        }
        let connector =
            Connector::new("127.0.0.1").port(addr.port()).timeouts(deadlines(|t| t.connect = SHORT));
        let start = Instant::now();
        is_late(&go!(Client::connect(&connector)).unwrap_err(), start, "could not be reached in time");
    }

    fn a_server_that_is_not_there() {
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = go!(Client::connect(&Connector::new("127.0.0.1").port(addr.port()))).unwrap_err();
        assert!(error.is_io() && error.is_retryable() && !error.is_timeout(), "{error:?}");
        let error = go!(Client::connect(&Connector::new("no-such-host.invalid"))).unwrap_err();
        assert!(error.is_io(), "{error:?}");
    }

    fn q_019_a_silent_handshake() {
        let timeouts = deadlines(|t| t.tls = SHORT);
        let actor = Actor::play([]);
        let start = Instant::now();
        let connector = Connector::new("localhost").port(actor.addr().port()).timeouts(timeouts.clone());
        is_late(&go!(Client::connect(&connector)).unwrap_err(), start, "TLS handshake");

        let actor = Actor::play([say("+OK\r\n"), Act::Hear, say("+OK\r\n")]);
        let start = Instant::now();
        let connector = actor.connector().security(Security::Stls).timeouts(timeouts);
        is_late(&go!(Client::connect(&connector)).unwrap_err(), start, "TLS handshake");
    }

    fn q_019_a_handshake_that_drips() {
        // A record of 16 kilobytes, octet by octet.
        let actor =
            Actor::play([Act::Say(vec![0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc])].into_iter().chain(drip("x")));
        let start = Instant::now();
        let connector =
            Connector::new("localhost").port(actor.addr().port()).timeouts(deadlines(|t| t.tls = SHORT));
        is_late(&go!(Client::connect(&connector)).unwrap_err(), start, "TLS handshake");
    }

    fn no_greeting() {
        for script in [vec![], drip("+").collect::<Vec<_>>()] {
            let actor = Actor::play(script);
            let start = Instant::now();
            let connector = actor.connector().timeouts(deadlines(|t| t.greeting = SHORT));
            is_late(&go!(Client::connect(&connector)).unwrap_err(), start, "greeting");
        }
    }

    fn q_001_no_answer_to_capa() {
        for script in [vec![], vec![say("+OK\r\nTOP\r\n")], drip("+OK\r\nX\r\n").collect()] {
            let actor = Actor::play([say("+OK\r\n"), Act::Hear].into_iter().chain(script));
            let start = Instant::now();
            let connector = actor.connector().timeouts(deadlines(|t| t.capa = SHORT));
            is_late(&go!(Client::connect(&connector)).unwrap_err(), start, "CAPA");
        }
    }

    fn no_answer_to_a_command() {
        for (command, about) in [
            ("USER", "USER"),
            ("STAT", "STAT"),
            ("LIST", "LIST"),
            ("UIDL", "UIDL"),
            ("DELE", "DELE"),
            ("STLS", "STLS"),
            ("raw", "the command"),
        ] {
            let actor = Actor::greet_and([Act::Hear]);
            let connector = actor.connector().timeouts(deadlines(|t| t.command = SHORT));
            let mut client = go!(Client::connect(&connector)).unwrap();
            let start = Instant::now();
            let error = match command {
                "USER" => go!(client.login(&login())).unwrap_err(),
                "STAT" => go!(client.stat()).unwrap_err(),
                "LIST" => go!(client.list()).unwrap_err(),
                "UIDL" => go!(client.uidl()).unwrap_err(),
                "DELE" => go!(client.dele(1)).unwrap_err(),
                "STLS" => go!(client.stls()).unwrap_err(),
                _ => go!(client.raw_multi("XLST")).unwrap_err(),
            };
            is_late(&error, start, about);
            // The next command waits for the answer that is owed, and as long.
            let start = Instant::now();
            let error = go!(client.noop()).unwrap_err();
            assert!(error.is_timeout(), "{error:?}");
            took(start, 140..1200);
        }
    }

    fn q_047_no_answer_to_a_login() {
        for command in ["PASS", "APOP", "AUTH"] {
            let greeting = say("+OK <1@x>\r\n");
            let opening = [greeting, Act::Hear, say("-ERR\r\n")].into_iter();
            let script = if command == "PASS" { answer("+OK\r\n").into() } else { vec![] };
            let actor = Actor::play(opening.chain(script));
            let connector = actor.connector().timeouts(deadlines(|t| t.login = SHORT));
            let mut client = go!(Client::connect(&connector)).unwrap();
            let start = Instant::now();
            let error = match command {
                "PASS" => go!(client.login(&login())).unwrap_err(),
                "APOP" => go!(client.apop("alice", PASSWORD)).unwrap_err(),
                _ => go!(client.auth("PLAIN", None)).unwrap_err(),
            };
            is_late(&error, start, command);
            assert!(!error.is_authentication());
        }
    }

    fn q_116_no_first_octet_of_a_message() {
        for top in [false, true] {
            let actor = Actor::greet_and([Act::Hear]);
            let connector = actor.connector().timeouts(deadlines(|t| t.first_octet = SHORT));
            let mut client = go!(Client::connect(&connector)).unwrap();
            let start = Instant::now();
            let error =
                if top { go!(client.top(1, 0)).unwrap_err() } else { go!(client.retr(1)).unwrap_err() };
            is_late(&error, start, if top { "TOP" } else { "RETR" });
        }
    }

    fn silence_in_the_middle_of_an_answer() {
        for command in ["RETR", "LIST", "UIDL"] {
            let actor = Actor::greet_and(answer("+OK\r\n1 1\r\n2"));
            let connector = actor.connector().timeouts(deadlines(|t| t.idle = SHORT));
            let mut client = go!(Client::connect(&connector)).unwrap();
            let start = Instant::now();
            let error = match command {
                "RETR" => go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap_err(),
                "LIST" => go!(client.list()).unwrap_err(),
                _ => go!(client.uidl()).unwrap_err(),
            };
            is_late(&error, start, "fell silent in the middle");
        }
    }

    fn a_server_that_drips_is_bounded_by_the_answer() {
        for command in ["RETR", "LIST", "skip"] {
            let actor = Actor::greet_and([Act::Hear, say("+OK\r\n")].into_iter().chain(drip("1 1\r\n")));
            let connector = actor.connector().timeouts(deadlines(|t| t.answer = SHORT));
            let mut client = go!(Client::connect(&connector)).unwrap();
            let start = Instant::now();
            let error = match command {
                "RETR" => go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap_err(),
                "LIST" => go!(client.list()).unwrap_err(),
                // Whoever gives the message up waits no longer for the rest of it.
                _ => {
                    drop(go!(client.retr(1)).unwrap());
                    go!(client.noop()).unwrap_err()
                }
            };
            assert!(error.is_timeout(), "{error:?}");
            took(start, 140..1200);
        }
    }

    fn a_server_that_drips_a_status_line_is_bounded_too() {
        let actor = Actor::greet_and([Act::Hear, say("+OK ")].into_iter().chain(drip("x")));
        let mut client =
            go!(Client::connect(&actor.connector().timeouts(deadlines(|t| t.command = SHORT)))).unwrap();
        let start = Instant::now();
        is_late(&go!(client.noop()).unwrap_err(), start, "NOOP");
    }

    fn a_session_is_bounded_as_a_whole() {
        let actor = Actor::greet_and((0..1000).flat_map(|_| [Act::Hear, pause(20), say("+OK\r\n")]));
        let connector = actor.connector().timeouts(deadlines(|t| t.whole = Some(ms(300))));
        let start = Instant::now();
        let mut client = go!(Client::connect(&connector)).unwrap();
        let error = loop {
            match go!(client.noop()) {
                Ok(_) => assert!(start.elapsed() < ms(2000)),
                Err(error) => break error,
            }
        };
        assert!(error.is_timeout() && error.to_string().contains("session"), "{error:?}");
        took(start, 290..1200);
        // And it stays over.
        let again = Instant::now();
        assert!(go!(client.noop()).unwrap_err().is_timeout());
        assert!(again.elapsed() < ms(500));
    }

    fn a_message_that_drips_is_bounded_by_the_session() {
        let actor = Actor::greet_and([Act::Hear, say("+OK\r\n")].into_iter().chain(drip("text\r\n")));
        let start = Instant::now();
        let mut client =
            go!(Client::connect(&actor.connector().timeouts(deadlines(|t| t.whole = Some(ms(300))))))
                .unwrap();
        let error = go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        took(start, 290..1200);
    }

    fn q_134_no_answer_to_quit() {
        let actor = Actor::greet_and([Act::Hear]);
        let client =
            go!(Client::connect(&actor.connector().timeouts(deadlines(|t| t.quit = SHORT)))).unwrap();
        let start = Instant::now();
        let Farewell::Unknown { marked: 0, error } = go!(client.quit()) else { panic!("not unknown") };
        is_late(&error, start, "QUIT");

        // With deletions it is worth a longer wait.
        let actor =
            Actor::greet_and(answer("+OK\r\n").into_iter().chain([Act::Hear, pause(400), say("+OK\r\n")]));
        let mut client =
            go!(Client::connect(&actor.connector().timeouts(deadlines(|t| t.quit = SHORT)))).unwrap();
        go!(client.dele(1)).unwrap();
        assert!(go!(client.quit()).is_committed());
    }

    fn a_late_answer_is_not_the_answer_to_the_next_command() {
        let script =
            [Act::Hear, pause(300), say("+OK 9 99\r\n")].into_iter().chain(answer("+OK 1 the-id\r\n"));
        let actor = Actor::greet_and(script.chain(answer("+OK 2 22\r\n")));
        let mut client =
            go!(Client::connect(&actor.connector().timeouts(deadlines(|t| t.command = ms(200))))).unwrap();
        assert!(go!(client.stat()).unwrap_err().is_timeout());
        assert!(!client.is_broken());
        assert_eq!(go!(client.uidl_one(1)).unwrap().uid().as_bytes(), b"the-id");
        assert_eq!(go!(client.stat()).unwrap().messages, 2);
    }

    fn a_late_rest_of_a_message_is_not_the_answer_to_the_next_command() {
        let late = [Act::Hear, say("+OK\r\nSubject: x\r\n"), pause(300), say("\r\n+OK 1 forged\r\n.\r\n")];
        let actor = Actor::greet_and(late.into_iter().chain(answer("+OK 1 the-id\r\n")));
        let mut client =
            go!(Client::connect(&actor.connector().timeouts(deadlines(|t| t.idle = SHORT)))).unwrap();
        let mut message = go!(client.retr(1)).unwrap();
        assert!(go!(message.read_to_vec()).unwrap_err().is_timeout());
        drop(message);
        // One more silence is allowed to it; the rest comes within.
        assert_eq!(go!(client.uidl_one(1)).unwrap().uid().as_bytes(), b"the-id");
    }
}

case! {
    fn a_slow_caller_is_no_silent_server() {
        let content = Content::Generated { size: 3 << 20, line_len: 70 };
        let server = Server::builder().user("alice", PASSWORD, Maildrop::memory([content])).start().unwrap();
        let mut client =
            go!(Client::connect(&plain(&server).timeouts(deadlines(|t| t.idle = SHORT)))).unwrap();
        go!(client.login(&login())).unwrap();
        let mut message = go!(client.retr(1)).unwrap();
        let mut some = vec![0; 1000];
        go!(message.read_exact(&mut some)).unwrap();
        // The rest waits in the socket; it is the caller who takes his time.
        pause!(ms(400));
        assert_eq!(go!(message.read_to_vec()).unwrap().len(), (3 << 20) - 1000);
    }
}

case! {
    fn a_timeout_in_a_message_may_be_waited_out() {
        let late = [Act::Hear, say("+OK\r\nSubject: x\r\n"), pause(300), say("\r\ntext\r\n.\r\n")];
        let actor = Actor::greet_and(late);
        let mut client =
            go!(Client::connect(&actor.connector().timeouts(deadlines(|t| t.idle = SHORT)))).unwrap();
        let mut message = go!(client.retr(1)).unwrap();
        let mut copied = Vec::new();
        assert!(go!(message.copy_to(&mut copied)).unwrap_err().is_timeout());
        assert!(!message.is_complete());
        pause!(ms(300));
        let mut tries = 0;
        while let Err(error) = go!(message.copy_to(&mut copied)) {
            assert!(error.is_timeout() && tries < 5, "{error:?}");
            tries += 1;
            pause!(ms(20));
        }
        assert_eq!(copied, b"Subject: x\r\n\r\ntext\r\n");
    }
}

case! {
    fn a_server_that_never_stops_is_bounded_by_the_answer() {
        let flood = Act::Flood(b"some text of a message without an end\r\n".repeat(4000));
        let actor = Actor::greet_and([Act::Hear, say("+OK\r\n"), flood]);
        let connector = actor.connector().timeouts(deadlines(|t| t.answer = ms(400)));
        let mut client = go!(Client::connect(&connector)).unwrap();
        let start = Instant::now();
        let mut message = go!(client.retr(1)).unwrap();
        let mut piece = vec![0; 1 << 16];
        let error = loop {
            match go!(message.read(&mut piece)) {
                Ok(octets) => {
                    assert!(octets > 0 && start.elapsed() < ms(4000), "{:?}", start.elapsed());
                    // Slower than the server, so that there is always something to be had.
                    std::thread::sleep(ms(1));
                }
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        took(start, 390..3000);
    }

    fn a_deadline_may_be_as_far_away_as_one_likes() {
        let server = alice().start().unwrap();
        let forever = std::time::Duration::MAX;
        let connector = tls(&server).timeouts(deadlines(|t| {
            (t.connect, t.tls, t.greeting, t.capa, t.login) = (forever, forever, forever, forever, forever);
            (t.command, t.first_octet, t.idle, t.answer, t.quit) = (forever, forever, forever, forever, forever);
            (t.whole, t.rescue) = (Some(forever), Some(forever));
        }));
        let mut client = go!(Client::connect(&connector)).unwrap();
        go!(client.login(&login())).unwrap();
        assert_eq!(go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap(), MAIL[0].as_bytes());
        assert!(go!(client.quit()).is_committed());
    }
}
