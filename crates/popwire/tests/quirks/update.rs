// Timers, command lines, DELE, RSET, QUIT and pipelining.

use std::time::{Duration, Instant};

use popwire::{Farewell, Limits, Login, Mechanism, Security, Timeouts};
use popwire_server::{Answer, Content, Maildrop, Server};

use crate::setting::{PASSWORD, alice, ended, login, ms, on_plain_port, plain, said, tls, took};
use crate::stage::{MESSAGES, start, with};

/// The maildrop of alice.
fn left(server: &Server) -> usize {
    server.maildrop("alice").unwrap().len().unwrap()
}

helper! {
    /// Alice, signed in.
    fn enter(server: &Server) -> Client {
        let mut client = go!(Client::connect(&tls(server))).unwrap();
        go!(client.login(&login())).unwrap();
        client
    }

    /// The unique-ids that a new session finds.
    fn listed(server: &Server) -> Vec<Vec<u8>> {
        let mut client = go!(enter(server));
        let found = go!(client.uidl()).unwrap();
        let ids = found.iter().map(|(_, uid)| uid.as_bytes().to_vec()).collect();
        assert!(go!(client.quit()).is_committed());
        ended(server);
        ids
    }

    /// What a session does whose commands are those of any other, by both connectors.
    fn all_is_well(server: &Server) {
        for connector in [tls(server), plain(server)] {
            let mut client = go!(Client::connect(&connector)).unwrap();
            go!(client.login(&login())).unwrap();
            assert_eq!(go!(client.stat()).unwrap().messages, 3);
            assert_eq!((go!(client.list()).unwrap().len(), go!(client.uidl()).unwrap().len()), (3, 3));
            for (number, message) in (1..).zip(MESSAGES) {
                assert_eq!(go!(go!(client.retr(number)).unwrap().read_to_vec()).unwrap(), message.as_bytes());
                go!(client.dele(number)).unwrap();
            }
            assert!(go!(client.dele(9)).unwrap_err().is_refused());
            go!(client.rset()).unwrap();
            assert!(go!(client.quit()).is_committed());
            ended(server);
        }
    }
}

case! {
    /// told: `keep_alive` sends NOOP when the server has been silent for so long.
    fn q_117_a_short_idle_limit_is_outlived_by_noop() {
        let server = with(&["idle_timeout=400ms"]);
        let mut client = go!(enter(&server));
        let start = Instant::now();
        assert!(!go!(client.keep_alive(Duration::from_secs(10))).unwrap(), "there was no silence");
        let mut noops = 0;
        while start.elapsed() < ms(800) {
            pause!(ms(40));
            noops += usize::from(go!(client.keep_alive(ms(100))).unwrap());
        }
        assert_eq!(go!(client.stat()).unwrap().messages, 3);
        let sent = said(&server).iter().filter(|line| *line == "NOOP").count();
        assert_eq!(sent, noops);
        assert!((2..=8).contains(&noops), "{noops}");
        // And it is that limit that was outlived.
        ended(&server);
        assert!(go!(client.keep_alive(ms(100))).unwrap_err().is_closed());
    }

    /// told: the server's last words are the error, not the answer to the next command.
    fn q_118_an_announced_autologout() {
        for (say, words) in
            [("say=1", "Disconnected for inactivity."), ("say=hmailserver", "Autologout; idle too long")]
        {
            const COMMANDS: [&str; 6] = ["STAT", "LIST", "RETR", "NOOP", "keep_alive", "DELE"];
            let users = COMMANDS.iter().fold(Server::builder(), |server, command| {
                server.user(command, PASSWORD, Maildrop::memory(MESSAGES))
            });
            let server = start(users, &["idle_timeout=150ms", say]);
            let mut clients = Vec::new();
            for (command, connector) in COMMANDS.iter().zip([tls(&server), plain(&server)].iter().cycle()) {
                let mut client = go!(Client::connect(connector)).unwrap();
                go!(client.login(&Login::password(command, PASSWORD))).unwrap();
                clients.push((*command, client));
            }
            // This keeps the thread: an async runtime has had no occasion to look at its sockets.
            ended(&server);
            for (command, mut client) in clients {
                let error = match command {
                    "STAT" => go!(client.stat()).unwrap_err(),
                    "LIST" => go!(client.list()).unwrap_err(),
                    "RETR" => go!(client.retr(1)).map(|_| ()).unwrap_err(),
                    "NOOP" => go!(client.noop()).unwrap_err(),
                    "keep_alive" => go!(client.keep_alive(ms(1))).unwrap_err(),
                    _ => go!(client.dele(1)).unwrap_err(),
                };
                assert!(error.is_closed() && error.is_retryable() && !error.is_refused(), "{error:?}");
                assert!(error.to_string().contains(words), "{error}");
                assert!(client.is_broken());
            }
        }
    }

    /// told: deletions that an autologout forgot are unknown, with the server's words.
    fn q_118_an_announced_autologout_before_quit() {
        let server = with(&["idle_timeout=150ms", "say=1"]);
        let mut client = go!(enter(&server));
        go!(client.dele(1)).unwrap();
        ended(&server);
        let Farewell::Unknown { marked: 1, error } = go!(client.quit()) else { panic!("not unknown") };
        assert!(error.is_closed() && error.to_string().contains("Disconnected for inactivity."), "{error:?}");
        assert_eq!(left(&server), 3);

        let client = go!(enter(&server));
        ended(&server);
        assert!(go!(client.quit()).is_committed(), "nothing was to be done");
    }

    /// unharmed: a session has no unknown command in it, unless the caller wants one.
    fn q_119_optional_commands_are_not_many() {
        // No line may make no sense.
        let server = start(alice().capa(false), &["bad_cmd_max=0"]);
        let mut client = go!(enter(&server));
        assert_eq!(go!(client.stat()).unwrap().messages, 2);
        assert!(go!(client.quit()).is_committed());
        let password = format!("PASS {PASSWORD}");
        assert_eq!(said(&server), ["CAPA", "USER alice", &password, "CAPA", "STAT", "QUIT"]);
    }

    /// told: the answer is the answer, and what comes behind it is why the session ended.
    fn q_119_too_many_bad_commands() {
        let server = with(&["bad_cmd_max=2"]);
        let mut client = go!(enter(&server));
        for _ in 0..2 {
            assert!(go!(client.raw("XYZZY")).unwrap_err().is_refused());
            assert!(go!(client.raw("XYZZY")).unwrap_err().is_refused());
            go!(client.noop()).unwrap();
        }
        for _ in 0..3 {
            let error = go!(client.raw("XYZZY")).unwrap_err();
            assert!(error.is_refused() && error.to_string().contains("unknown command"), "{error}");
        }
        ended(&server);
        let error = go!(client.stat()).unwrap_err();
        assert!(error.is_closed() && !error.is_refused(), "{error:?}");
        assert!(error.to_string().contains("Too many bad commands."), "{error}");
    }

    /// unharmed: no line has more than 255 octets; a longer one is not sent.
    fn q_120_no_line_is_too_long() {
        let server = with(&["line_max=500"]);
        let mut client = go!(enter(&server));
        assert!(go!(client.raw("x".repeat(253))).unwrap_err().to_string().contains("unknown command"));
        let error = go!(client.raw("x".repeat(254))).unwrap_err();
        assert!(error.is_misuse() && !error.is_refused(), "{error:?}");
        assert_eq!(go!(client.stat()).unwrap().messages, 3);
        assert_eq!(said(&server).iter().map(String::len).max(), Some(253));
    }

    /// refused: a caller who raises the limit has the server's words, and the session goes on.
    fn q_120_a_line_that_the_server_finds_too_long() {
        let server = with(&["line_max=500"]);
        let mut limits = Limits::default();
        limits.command_line = 100_000;
        let mut client = go!(Client::connect(&tls(&server).limits(limits))).unwrap();
        go!(client.login(&login())).unwrap();
        assert!(go!(client.raw("x".repeat(498))).unwrap_err().to_string().contains("unknown command"));
        let error = go!(client.raw("x".repeat(499))).unwrap_err();
        assert!(error.is_refused() && error.to_string().contains("Line too long."), "{error:?}");
        assert_eq!(go!(client.stat()).unwrap().messages, 3);
        let error = go!(client.raw("x".repeat(90_000))).unwrap_err();
        assert!(error.to_string().contains("Excessive amount of data sent to server."), "{error:?}");
        let error = go!(client.stat()).unwrap_err();
        assert!(error.is_io(), "{error:?}");
    }
}

case! {
    /// told: QUIT is confirmed, and the next listing has the messages again, by the same unique-ids.
    fn q_124_dele_that_does_nothing() {
        let server = with(&["dele=ignored"]);
        let before = go!(listed(&server));
        let mut client = go!(enter(&server));
        go!(client.dele(1)).unwrap();
        go!(client.dele(2)).unwrap();
        assert!(matches!(go!(client.quit()), Farewell::Committed { marked: 2, .. }));
        ended(&server);
        assert_eq!(go!(listed(&server)), before);
    }

    /// told: listings after DELE say what the server says; the marks are counted on this side.
    fn q_124_dele_that_does_not_show() {
        let server = with(&["dele=listed"]);
        let mut client = go!(enter(&server));
        go!(client.dele(2)).unwrap();
        assert_eq!((go!(client.stat()).unwrap().messages, go!(client.list()).unwrap().len()), (3, 3));
        assert_eq!(client.marked(), 1);
        assert!(go!(client.retr(2)).map(|_| ()).unwrap_err().is_refused());
        assert!(matches!(go!(client.quit()), Farewell::Committed { marked: 1, .. }));
        ended(&server);
        assert_eq!(left(&server), 2);
    }

    /// told: a listing after DELE has other numbers than the commands; unique-ids of the first one tell it.
    fn q_064_listings_that_are_renumbered_after_dele() {
        let server = with(&["dele=renumber"]);
        let mut client = go!(enter(&server));
        let first = go!(client.uidl()).unwrap();
        go!(client.dele(1)).unwrap();
        let second = go!(client.uidl()).unwrap();
        assert_eq!(second.get(1).unwrap().as_bytes(), first.get(2).unwrap().as_bytes());
        assert!(second.get(3).is_none());
        // The numbers of the first listing hold.
        assert_eq!(go!(client.uidl_one(2)).unwrap().uid().as_bytes(), first.get(2).unwrap().as_bytes());
        assert_eq!(go!(go!(client.retr(2)).unwrap().read_to_vec()).unwrap(), MESSAGES[1].as_bytes());
        go!(client.dele(3)).unwrap();
        assert!(go!(client.quit()).is_committed());
        ended(&server);
        assert_eq!(server.maildrop("alice").unwrap().messages().unwrap(), [MESSAGES[1].as_bytes()]);
    }

    /// unharmed: DELE is sent when the caller says so, never by itself.
    fn q_126_dele_that_removes_at_once() {
        let server = with(&["dele=immediate"]);
        let mut client = go!(enter(&server));
        // Neither reading a message nor giving it up marks it.
        assert_eq!(go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap(), MESSAGES[0].as_bytes());
        drop(go!(client.retr(2)).unwrap());
        go!(client.noop()).unwrap();
        assert_eq!(left(&server), 3);
        go!(client.dele(1)).unwrap();
        assert_eq!(left(&server), 2);
        // What RSET says is not so here, and a connection that breaks takes nothing back.
        go!(client.rset()).unwrap();
        assert!(go!(client.retr(1)).map(|_| ()).unwrap_err().is_refused());
        drop(client);
        ended(&server);
        assert_eq!(left(&server), 2);
        assert_eq!(said(&server).iter().filter(|line| line.starts_with("DELE")).count(), 1);
    }

    /// told: after RSET the listing has marked messages no more.
    fn q_126_rset_that_takes_nothing_back() {
        let server = with(&["rset=ignored"]);
        let mut client = go!(enter(&server));
        go!(client.dele(1)).unwrap();
        go!(client.rset()).unwrap();
        assert_eq!(go!(client.stat()).unwrap().messages, 2);
        assert!(go!(client.quit()).is_committed());
        ended(&server);
        assert_eq!(left(&server), 2);
    }

    /// told: the documentation of `dele` says that few servers delete at any disconnect.
    fn q_126_marked_messages_go_with_the_connection() {
        let server = with(&["delete_at_disconnect=1"]);
        let mut client = go!(enter(&server));
        go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
        go!(client.dele(2)).unwrap();
        drop(client);
        ended(&server);
        // What was not marked stays.
        let stay = [MESSAGES[0], MESSAGES[2]].map(str::as_bytes);
        assert_eq!(server.maildrop("alice").unwrap().messages().unwrap(), stay);
    }

    /// told: `rset` before `quit` keeps what was only retrieved; without it the next listing tells.
    fn q_127_q_152_what_was_retrieved_is_deleted() {
        for rset in [false, true] {
            let server = with(&["auto_delete=on_quit"]);
            let mut client = go!(enter(&server));
            go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
            // TOP does not count.
            go!(go!(client.top(2, 0)).unwrap().read_to_vec()).unwrap();
            if rset {
                go!(client.rset()).unwrap();
            }
            assert!(matches!(go!(client.quit()), Farewell::Committed { marked: 0, .. }));
            ended(&server);
            assert_eq!(go!(listed(&server)).len(), if rset { 3 } else { 2 });
        }
        // With marks there is no way to keep it: RSET would take them back.
        let server = with(&["auto_delete=on_quit"]);
        let mut client = go!(enter(&server));
        go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
        go!(client.dele(3)).unwrap();
        go!(client.rset()).unwrap();
        assert_eq!(client.marked(), 0);
        assert!(go!(client.quit()).is_committed());
        ended(&server);
        assert_eq!(left(&server), 3);
    }

    /// unharmed: names go out as they are.
    fn q_128_names_with_suffixes() {
        for name in ["alice-no-mime", "alice-no-mime,vx", "alice+tag", "recent:alice@x.org", "alice#$%x"] {
            let server = Server::builder().user(name, PASSWORD, Maildrop::memory(MESSAGES)).start().unwrap();
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            go!(client.login(&Login::password(name, PASSWORD))).unwrap();
            assert_eq!(go!(client.stat()).unwrap().messages, 3);
            assert!(said(&server).contains(&format!("USER {name}")));
        }
    }

    /// told: QUIT is confirmed, and a session at once after it finds the messages by their unique-ids.
    fn q_131_deletion_some_time_after_quit() {
        let server = with(&["quit=async_delete:400ms"]);
        let before = go!(listed(&server));
        let mut client = go!(enter(&server));
        go!(client.dele(1)).unwrap();
        go!(client.dele(3)).unwrap();
        assert!(matches!(go!(client.quit()), Farewell::Committed { marked: 2, .. }));
        ended(&server);
        assert_eq!(go!(listed(&server)), before);
        let maildrop = server.maildrop("alice").unwrap();
        let start = Instant::now();
        while maildrop.len().unwrap() == 3 {
            assert!(start.elapsed() < ms(5000), "never deleted");
            pause!(ms(20));
        }
        pause!(ms(20));
        assert_eq!(go!(listed(&server)), before[1..2]);
    }

    /// told: with deletions the outcome is unknown, without any it is a success.
    fn q_132_no_answer_to_quit() {
        for (quirk, stay) in [("quit=close", 2), ("quit=close_before", 3), ("quit=rst", 2)] {
            for encrypted in [true, false] {
                let server = with(&[quirk]);
                let connector = if encrypted { tls(&server) } else { plain(&server) };
                let mut client = go!(Client::connect(&connector)).unwrap();
                go!(client.login(&login())).unwrap();
                let farewell = go!(client.quit());
                assert!(matches!(farewell, Farewell::Committed { marked: 0, reply: None }), "{farewell:?}");
                ended(&server);

                let mut client = go!(Client::connect(&connector)).unwrap();
                go!(client.login(&login())).unwrap();
                go!(client.dele(1)).unwrap();
                let farewell = go!(client.quit());
                assert!(!farewell.is_committed());
                let Farewell::Unknown { marked: 1, error } = farewell else { panic!("{farewell:?}") };
                assert!(error.is_io() && error.is_retryable() && !error.is_refused(), "{quirk}: {error:?}");
                ended(&server);
                assert_eq!(left(&server), stay, "{quirk}");
            }
        }
    }

    /// told: the server's refusal is the outcome; what is left shows in the next listing.
    fn q_133_quit_is_refused() {
        for (quirk, stay) in [("quit=err", 3), ("quit=err:1", 2)] {
            let server = with(&[quirk]);
            let mut client = go!(enter(&server));
            go!(client.dele(1)).unwrap();
            go!(client.dele(2)).unwrap();
            let farewell = go!(client.quit());
            assert!(!farewell.is_committed());
            let Farewell::Refused { marked: 2, reply } = farewell else { panic!("{farewell:?}") };
            assert_eq!(reply.text(), b"some deleted messages not removed");
            ended(&server);
            let mut client = go!(enter(&server));
            assert_eq!(go!(client.uidl()).unwrap().len(), stay);
            // Nothing was marked: there is nothing to refuse.
            assert!(go!(client.quit()).is_committed());
        }
    }

    /// told: after a deadline the connection is closed; with deletions the outcome is unknown.
    fn q_134_quit_that_wants_another_line() {
        let server = with(&["quit=need_newline"]);
        let mut timeouts = Timeouts::default();
        assert_eq!(timeouts.quit, Duration::from_secs(10));
        (timeouts.quit, timeouts.command) = (ms(100), ms(250));
        for (marks, time) in [(0u32, 90..1000), (1, 240..1200)] {
            let mut client = go!(Client::connect(&tls(&server).timeouts(timeouts.clone()))).unwrap();
            go!(client.login(&login())).unwrap();
            for number in 1..=marks {
                go!(client.dele(number)).unwrap();
            }
            let start = Instant::now();
            let Farewell::Unknown { marked, error } = go!(client.quit()) else { panic!("not unknown") };
            assert!(marked == u64::from(marks) && error.is_timeout() && error.is_retryable(), "{error:?}");
            took(start, time);
            let lines = ended(&server).client_lines();
            assert_eq!(lines.last().map(String::as_str), Some("QUIT"), "no empty line is sent");
        }
        assert_eq!(left(&server), 3);
    }
}

case! {
    /// unharmed: a command and its line end go out in one write.
    fn q_135_a_command_comes_in_one_piece() {
        let server = with(&["cmd_split=err"]);
        go!(all_is_well(&server));
        assert!(said(&server).contains(&"QUIT".to_owned()));
    }

    /// unharmed: a long token goes out in one write, on a line of its own.
    fn q_057_a_token_comes_in_one_piece() {
        let token = "t".repeat(8000);
        let builder = alice().token("alice", &token).sasl([Mechanism::OAuthBearer]);
        let server = start(builder, &["cmd_split=err"]);
        for connector in [tls(&server), on_plain_port(&server, Security::ProtectedByCaller)] {
            let mut client = go!(Client::connect(&connector)).unwrap();
            go!(client.login(&Login::token("alice", token.as_str()))).unwrap();
            assert_eq!(go!(client.stat()).unwrap().messages, 2);
            let lines = said(&server);
            assert!(lines.contains(&"AUTH OAUTHBEARER".to_owned()), "{lines:?}");
            assert!(go!(client.quit()).is_committed());
            ended(&server);
        }
    }

    /// unharmed: the first commands that go out together show it, and the rest goes one by one.
    fn q_136_commands_that_come_together_are_lost() {
        for quirk in ["pipeline=drop", "pipeline=reorder", "pipeline=flush_on_error"] {
            let server = with(&[quirk]);
            go!(all_is_well(&server));
            let mut timeouts = popwire::Timeouts::default();
            timeouts.rescue = Some(ms(50));
            let insisting = plain(&server).timeouts(timeouts.clone()).pipelining(popwire::Pipelining::Always);
            for connector in [plain(&server).timeouts(timeouts), insisting] {
                let mut client = go!(Client::connect(&connector)).unwrap();
                go!(client.login(&login())).unwrap();
                let mut messages = client.retrieve_many(1..=MESSAGES.len() as u32);
                for expected in MESSAGES {
                    let (_, message) = go!(messages.next()).unwrap();
                    assert_eq!(go!(message.unwrap().read_to_vec()).unwrap(), expected.as_bytes(), "{quirk}");
                }
                assert!(go!(messages.next()).is_none());
                assert!(go!(client.quit()).is_committed());
            }
        }
    }

    /// unharmed: no more commands are on their way than such a server takes in without reading.
    fn q_137_a_server_that_stalls_until_it_is_read() {
        const SIZE: usize = 256 << 10;
        let content = || Content::Generated { size: SIZE as u64, line_len: 70 };
        let builder = Server::builder().user("alice", PASSWORD, Maildrop::memory([content(), content()]));
        let server = start(builder, &["small_sndbuf=1"]);
        for connector in [tls(&server), plain(&server)] {
            let mut client = go!(Client::connect(&connector)).unwrap();
            go!(client.login(&login())).unwrap();
            let mut message = go!(client.retr(1)).unwrap();
            let mut piece = vec![0; 8 << 10];
            let mut octets = 0;
            loop {
                let read = go!(message.read(&mut piece)).unwrap();
                if read == 0 {
                    break;
                }
                octets += read;
                if octets < SIZE / 2 {
                    pause!(ms(1));
                }
            }
            assert_eq!(octets, SIZE);
            drop(message);
            assert_eq!(go!(client.stat()).unwrap().messages, 2);
            // Given up with most of it on its way: the next command is not written against a wall.
            let mut message = go!(client.retr(2)).unwrap();
            go!(message.read_exact(&mut piece[..100])).unwrap();
            pause!(ms(20));
            drop(message);
            for _ in 0..3 {
                assert_eq!(go!(client.list()).unwrap().len(), 2);
            }
            assert!(go!(client.quit()).is_committed());
        }
    }

    /// refused: USER is answered before PASS goes out, under TLS and with PIPELINING too.
    fn q_138_no_password_before_user_is_answered() {
        let all = ["USER", "PIPELINING"];
        let builder = alice()
            .capability_lines(all, all)
            .script("USER", Answer::raw("-ERR no such user\r\n").after(ms(100)));
        let server = start(builder, &[]);
        for connector in [tls(&server), plain(&server)] {
            let mut client = go!(Client::connect(&connector)).unwrap();
            assert!(client.capabilities().has("PIPELINING"));
            let error = go!(client.login(&login())).unwrap_err();
            assert!(error.is_refused(), "{error:?}");
            assert!(!client.is_broken());
            assert!(go!(client.quit()).is_committed());
            let lines = ended(&server).client_lines();
            assert!(lines.contains(&"USER alice".to_owned()));
            assert!(!lines.iter().any(|line| line.starts_with("PASS")), "{lines:?}");
        }
    }

    /// unharmed: LAST is the caller's to send; nothing depends on it.
    fn q_139_last_and_rset() {
        let server = with(&["last=1"]);
        go!(all_is_well(&server));
        assert!(!server.sessions().iter().any(|session| session.client_lines().contains(&"LAST".to_owned())));
        let mut client = go!(enter(&server));
        let at_login = go!(client.last()).unwrap();
        go!(go!(client.retr(3)).unwrap().read_to_vec()).unwrap();
        assert_eq!(go!(client.last()).unwrap().number, 3);
        go!(client.rset()).unwrap();
        assert_eq!(go!(client.last()).unwrap().number, at_login.number);
    }
}
