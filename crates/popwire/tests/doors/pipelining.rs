// Commands ahead of their answers: P-020, P-021, P-030, P-088 to P-090, Q-136, Q-137.

use std::time::Instant;

use popwire::proto::command::{NoopCommand, RawCommand};
use popwire::proto::{Command as _, Error as Protocol, Verb};
use popwire::{Connector, Login, Pipelining, Timeouts, Window};
use popwire_server::{Answer, Builder, Content, Maildrop, Message as Mail, Server};

use crate::actor::{Act, Actor, answer, say};
use crate::setting::{PASSWORD, ended, login, ms, plain, said, tls};

helper! {
    fn enter(connector: &Connector) -> Client {
        let mut client = go!(Client::connect(connector)).unwrap();
        go!(client.login(&login())).unwrap();
        client
    }

    /// Every message, and what each was refused with.
    fn all(client: &mut Client, numbers: std::ops::RangeInclusive<u32>) -> Vec<(u32, Result<Vec<u8>, String>)> {
        let mut messages = client.retrieve_many(numbers);
        let mut all = Vec::new();
        while let Some((number, message)) = go!(messages.next()) {
            all.push((number, match message {
                Ok(mut message) => Ok(go!(message.read_to_vec()).unwrap()),
                Err(error) => Err(error.to_string()),
            }));
        }
        all
    }
}

/// A maildrop of so many messages, and the server with it.
fn server(messages: u32) -> Builder {
    Server::builder().user("alice", PASSWORD, Maildrop::memory((1..=messages).map(mail)))
}

fn mail(number: u32) -> Mail {
    Mail::new(octets(number)).unique_id(format!("id-{number}"))
}

/// With dots at line starts, and of different sizes.
fn octets(number: u32) -> Vec<u8> {
    let line = format!(".line of {number}\r\n");
    format!("Subject: {number}\r\n\r\n.\r\n{}", line.repeat(number as usize % 50)).into_bytes()
}

fn expected(numbers: std::ops::RangeInclusive<u32>) -> Vec<(u32, Result<Vec<u8>, String>)> {
    numbers.map(|number| (number, Ok(octets(number)))).collect()
}

/// Silences are noticed quickly.
fn impatient(connector: Connector) -> Connector {
    let mut timeouts = Timeouts::default();
    timeouts.rescue = Some(ms(100));
    connector.timeouts(timeouts)
}

/// The greeting, CAPA with or without PIPELINING, USER and PASS, CAPA again; then the rest.
fn logged_in(pipelining: bool, rest: Vec<Act>) -> Actor {
    let capabilities = if pipelining { "+OK\r\nPIPELINING\r\n.\r\n" } else { "+OK\r\nUIDL\r\n.\r\n" };
    let mut script = vec![say("+OK ready\r\n")];
    for reply in [capabilities, "+OK\r\n", "+OK\r\n", capabilities] {
        script.extend(answer(reply));
    }
    script.extend(rest);
    Actor::play(script)
}

fn hears(lines: usize) -> Vec<Act> {
    std::iter::repeat_with(|| Act::Hear).take(lines).collect()
}

/// What the client wrote in one go, after the five lines of [`logged_in`].
fn flights(actor: Actor) -> Vec<String> {
    let reads = actor.reads();
    drop(actor.heard());
    reads.iter().skip(4).map(|read| String::from_utf8_lossy(read).into_owned()).collect()
}

case! {
    fn p_089_many_messages_arrive_in_order_and_to_the_octet() {
        let server = server(700).start().unwrap();
        for connector in [plain(&server), tls(&server)] {
            let mut client = go!(enter(&connector));
            assert!(go!(all(&mut client, 1..=700)) == expected(1..=700));
            // The session is in step, and needs no second trial.
            assert_eq!(go!(client.uidl_one(7)).unwrap().uid().as_bytes(), b"id-7");
            assert!(go!(all(&mut client, 3..=5)) == expected(3..=5));
            assert!(go!(client.quit()).is_committed());
            let lines = ended(&server).client_lines();
            assert_eq!(lines.iter().filter(|line| *line == "LIST 2147483647").count(), 1);
            assert_eq!(lines.iter().filter(|line| line.starts_with("RETR ")).count(), 703);
        }
    }

    fn p_089_commands_go_out_together_within_the_window() {
        let mut script: Vec<Act> = answer("-ERR no such message\r\n").into();
        script.extend(answer("+OK\r\n"));
        // Nothing is answered before all that may come has come.
        script.extend([Act::Hear, crate::actor::pause(300)]);
        script.push(say("+OK\r\n1\r\n.\r\n+OK\r\n2\r\n.\r\n+OK\r\n3\r\n.\r\n+OK\r\n4\r\n.\r\n"));
        script.extend(hears(4));
        script.push(say("+OK\r\n5\r\n.\r\n"));
        let actor = logged_in(true, script);
        let mut window = Window::default();
        window.commands = 4;
        let mut client = go!(enter(&actor.connector().window(window)));
        let mut messages = client.retrieve_many(1..=5);
        for number in 1..=5 {
            let (asked, message) = go!(messages.next()).unwrap();
            assert_eq!(asked, number);
            assert_eq!(go!(message.unwrap().read_to_vec()).unwrap(), format!("{number}\r\n").into_bytes());
        }
        assert!(go!(messages.next()).is_none());
        drop(client);
        assert_eq!(
            flights(actor)[..3],
            ["LIST 2147483647\r\nNOOP\r\n", "RETR 1\r\nRETR 2\r\nRETR 3\r\nRETR 4\r\n", "RETR 5\r\n"]
        );
    }

    fn p_089_the_window_is_bounded_in_octets() {
        let octets = 300 << 10;
        let content = || Content::Generated { size: octets, line_len: 70 };
        let maildrop = Maildrop::memory((0..40).map(|_| Mail::from(content())));
        let server = Server::builder().user("alice", PASSWORD, maildrop).start().unwrap();
        let mut window = Window::default();
        window.octets = 1 << 20;
        let mut client = go!(enter(&plain(&server).window(window)));
        let mut messages = client.retrieve_many(1..=40);
        let mut most = 0;
        while let Some((number, message)) = go!(messages.next()) {
            assert_eq!(go!(message.unwrap().read_to_vec()).unwrap().len() as u64, octets);
            // Once the size is known, no more than four such messages are under way.
            let asked = said(&server).iter().filter(|line| line.starts_with("RETR ")).count();
            if number > 25 {
                most = most.max(asked.saturating_sub(number as usize));
            }
        }
        assert!((1..=5).contains(&most), "{most} messages ahead");
    }

    fn p_030_a_refusal_costs_its_own_item_only() {
        let server = server(30).start().unwrap();
        let mut client = go!(enter(&plain(&server)));
        go!(client.dele(2)).unwrap();
        go!(client.dele(3)).unwrap();
        let all = go!(all(&mut client, 1..=32));
        assert_eq!(all.len(), 32);
        for (number, message) in all {
            match number {
                2 | 3 | 31 | 32 => assert!(message.unwrap_err().contains("-ERR"), "{number}"),
                _ => assert!(message.unwrap() == octets(number), "{number}"),
            }
        }
        assert!(go!(client.noop()).is_ok());
    }

    fn p_030_a_number_that_cannot_be_sent_costs_its_own_item_only() {
        let server = server(3).start().unwrap();
        let mut client = go!(enter(&plain(&server)));
        let mut messages = client.retrieve_many([1, 0, 3, 0]);
        let mut found = Vec::new();
        while let Some((number, message)) = go!(messages.next()) {
            match message {
                Ok(mut message) => assert_eq!(go!(message.read_to_vec()).unwrap(), octets(number)),
                Err(error) => assert!(error.is_misuse(), "{error}"),
            }
            found.push(number);
        }
        assert_eq!(found, [1, 0, 3, 0]);
        assert!(said(&server).iter().all(|line| line != "RETR 0"));
    }

    fn p_030_without_the_announcement_commands_go_one_by_one() {
        let mut script = Vec::new();
        for _ in 1..=3 {
            script.extend(answer("+OK\r\nx\r\n.\r\n"));
        }
        let actor = logged_in(false, script);
        let mut client = go!(enter(&actor.connector()));
        assert!(go!(all(&mut client, 1..=3)).iter().all(|(_, message)| message.as_deref() == Ok(b"x\r\n")));
        drop(client);
        assert_eq!(flights(actor)[..3], ["RETR 1\r\n", "RETR 2\r\n", "RETR 3\r\n"]);
    }

    fn p_089_the_caller_may_insist_or_forbid() {
        let names = ["USER", "UIDL"];
        let silent = server(5).capability_lines(names, names).start().unwrap();
        let mut client = go!(enter(&plain(&silent).pipelining(Pipelining::Always)));
        assert!(go!(all(&mut client, 1..=5)) == expected(1..=5));
        assert!(said(&silent).contains(&"LIST 2147483647".to_owned()));

        let open = server(5).start().unwrap();
        let mut client = go!(enter(&plain(&open).pipelining(Pipelining::Never)));
        assert!(go!(all(&mut client, 1..=5)) == expected(1..=5));
        assert!(!said(&open).contains(&"LIST 2147483647".to_owned()));
    }

    fn p_089_one_message_needs_no_trial() {
        let server = server(5).start().unwrap();
        let mut client = go!(enter(&plain(&server)));
        assert!(go!(all(&mut client, 4..=4)) == expected(4..=4));
        assert!(go!(client.retrieve_many([]).next()).is_none());
        assert!(!said(&server).contains(&"LIST 2147483647".to_owned()));
    }

    fn q_136_a_server_that_loses_commands_is_found_out_and_the_rest_goes_one_by_one() {
        for quirk in ["pipeline=drop", "pipeline=reorder", "pipeline=flush_on_error"] {
            let server = server(40).quirk(quirk).unwrap().start().unwrap();
            let mut client = go!(enter(&impatient(plain(&server))));
            let began = Instant::now();
            assert!(go!(all(&mut client, 1..=40)) == expected(1..=40), "{quirk}");
            let answers: Vec<_> = {
                let mut deletions = client.delete_many([1, 99, 2]);
                let mut answers = Vec::new();
                while let Some((number, answer)) = go!(deletions.next()) {
                    answers.push((number, answer.is_ok()));
                }
                answers
            };
            assert_eq!(answers, [(1, true), (99, false), (2, true)], "{quirk}");
            assert!(go!(client.quit()).is_committed());
            assert!(began.elapsed() < ms(5000), "{quirk}: {:?}", began.elapsed());
        }
    }

    fn q_136_a_server_that_is_only_slow_is_not_taken_for_one_that_loses() {
        let mut script: Vec<Act> = answer("-ERR no such message\r\n").into();
        script.extend([Act::Hear, crate::actor::pause(300), say("+OK\r\n")]);
        // The question whether anything was lost
        script.extend(answer("-ERR no such message\r\n"));
        script.push(Act::Hear);
        script.push(say("+OK\r\n1\r\n.\r\n+OK\r\n2\r\n.\r\n"));
        let actor = logged_in(true, script);
        let mut client = go!(enter(&impatient(actor.connector())));
        let all = go!(all(&mut client, 1..=2));
        assert_eq!(all, [(1, Ok(b"1\r\n".to_vec())), (2, Ok(b"2\r\n".to_vec()))]);
        drop(client);
        assert_eq!(
            flights(actor)[..3],
            ["LIST 2147483647\r\nNOOP\r\n", "LIST 2147483647\r\n", "RETR 1\r\nRETR 2\r\n"]
        );
    }

    fn q_136_a_late_refusal_is_not_taken_for_another() {
        // NOOP is refused, late: it looks like the refusal of what was asked to find out.
        let mut script: Vec<Act> = answer("-ERR no such message\r\n").into();
        script.extend([Act::Hear, Act::Hear, say("-ERR what?\r\n"), Act::Hear]);
        script.extend([say("-ERR no such message\r\n"), say("-ERR what?\r\n")]);
        let actor = logged_in(true, script);
        let mut client = go!(enter(&impatient(actor.connector())));
        let mut messages = client.retrieve_many(1..=2);
        let (number, message) = go!(messages.next()).unwrap();
        assert_eq!(number, 1);
        assert!(matches!(message.unwrap_err().protocol(), Some(Protocol::Malformed { verb: Verb::Noop, .. })));
        assert!(go!(messages.next()).is_none());
        assert_eq!(messages.into_rest().collect::<Vec<_>>(), [2]);
        assert!(client.is_broken());
    }

    fn q_137_neither_side_waits_for_the_other_for_ever() {
        let content = || Content::Generated { size: 20 << 10, line_len: 70 };
        let maildrop = Maildrop::memory((0..600).map(|_| Mail::from(content())));
        let server = Server::builder().user("alice", PASSWORD, maildrop);
        let server = server.quirk("small_sndbuf=1").unwrap().start().unwrap();
        let mut window = Window::default();
        window.commands = usize::MAX;
        window.octets = u64::MAX;
        for connector in [plain(&server), tls(&server)] {
            let mut client = go!(enter(&connector.window(window)));
            let all = go!(all(&mut client, 1..=600));
            assert_eq!(all.len(), 600);
            assert!(all.iter().all(|(_, message)| message.as_ref().is_ok_and(|octets| octets.len() == 20 << 10)));
        }
    }

    fn p_020_what_a_sender_wrote_is_no_answer_in_a_pipeline_either() {
        let attack = popwire_interop::awkward::message("forged-reply").unwrap();
        let maildrop = Maildrop::memory((0..20).map(|_| Mail::new(attack.clone())));
        let server = Server::builder().user("alice", PASSWORD, maildrop).verbatim(true).segment(5);
        let server = server.start().unwrap();
        let mut client = go!(enter(&plain(&server)));
        let all = go!(all(&mut client, 1..=20));
        assert_eq!(all.len(), 20);
        assert!(all.iter().all(|(_, message)| message.as_ref() == Ok(&attack)));
    }

    fn p_021_a_broken_end_is_no_end_while_other_commands_are_under_way() {
        let mut script: Vec<Act> = answer("-ERR no such message\r\n").into();
        script.extend(answer("+OK\r\n"));
        script.extend(answer("+OK\r\none\r\ntwo\n.\n"));
        let actor = logged_in(true, script);
        let mut timeouts = Timeouts::default();
        (timeouts.rescue, timeouts.idle) = (Some(ms(50)), ms(400));
        let mut client = go!(enter(&actor.connector().timeouts(timeouts)));
        let mut messages = client.retrieve_many(1..=2);
        let (_, message) = go!(messages.next()).unwrap();
        let mut message = message.unwrap();
        let error = go!(message.read_to_vec()).unwrap_err();
        assert!(error.is_timeout() && !error.is_irregular_end(), "{error}");
        assert!(!message.is_complete());
    }

    fn p_029_a_message_that_is_not_read_to_its_end_is_skipped() {
        let server = server(60).start().unwrap();
        let mut client = go!(enter(&plain(&server)));
        let mut messages = client.retrieve_many(1..=60);
        let mut line = Vec::new();
        while let Some((number, message)) = go!(messages.next()) {
            let mut message = message.unwrap();
            assert!(go!(message.read_line(&mut line)).unwrap());
            assert_eq!(line, format!("Subject: {number}").into_bytes());
        }
        assert_eq!(go!(client.uidl_one(9)).unwrap().uid().as_bytes(), b"id-9");
    }

    fn p_030_a_pipeline_that_is_given_up_leaves_the_session_in_step_or_over() {
        let small = server(60).start().unwrap();
        let mut client = go!(enter(&plain(&small)));
        let mut messages = client.retrieve_many(1..=60);
        for _ in 0..3 {
            assert!(go!(messages.next()).is_some());
        }
        assert_eq!(messages.into_rest().next(), Some(4));
        assert_eq!(go!(client.uidl_one(9)).unwrap().uid().as_bytes(), b"id-9");

        let content = || Content::Generated { size: 300 << 10, line_len: 70 };
        let maildrop = Maildrop::memory((0..60).map(|_| Mail::from(content())));
        let large = Server::builder().user("alice", PASSWORD, maildrop).start().unwrap();
        let mut client = go!(enter(&plain(&large)));
        assert!(go!(client.retrieve_many(1..=60).next()).is_some());
        assert!(matches!(go!(client.noop()).unwrap_err().protocol(), Some(Protocol::Abandoned)));
    }

    fn p_032_a_connection_that_breaks_ends_the_pipeline() {
        let server = server(20).fault("RETR#5@40:cut".parse().unwrap()).start().unwrap();
        let mut client = go!(enter(&plain(&server)));
        let mut messages = client.retrieve_many(1..=20);
        for number in 1..=4 {
            let (_, message) = go!(messages.next()).unwrap();
            assert_eq!(go!(message.unwrap().read_to_vec()).unwrap(), octets(number));
        }
        let (number, message) = go!(messages.next()).unwrap();
        assert_eq!(number, 5);
        let error = go!(message.unwrap().read_to_vec()).unwrap_err();
        assert!(error.is_io() || error.is_protocol(), "{error:?}");
        // The next learns that the session is over, and then there is no next.
        let (number, message) = go!(messages.next()).unwrap();
        assert!(number == 6 && message.is_err());
        assert!(go!(messages.next()).is_none());
        assert_eq!(messages.into_rest().collect::<Vec<_>>(), (7..=20).collect::<Vec<_>>());
        assert!(client.is_broken());
    }

    fn p_063_deletions_have_an_answer_each() {
        let server = server(30).start().unwrap();
        let mut client = go!(enter(&plain(&server)));
        let mut deletions = client.delete_many((1..=30).chain([30, 31]));
        let mut refused = Vec::new();
        while let Some((number, answer)) = go!(deletions.next()) {
            if let Err(error) = answer {
                assert!(error.is_refused(), "{error}");
                refused.push(number);
            }
        }
        assert_eq!(refused, [30, 31]);
        assert_eq!(client.marked(), 30);
        assert!(go!(client.quit()).is_committed());
        let mut client = go!(enter(&plain(&server)));
        assert_eq!(go!(client.stat()).unwrap().messages, 0);
    }

    fn p_064_headers_come_in_a_pipeline_too() {
        let server = server(80).start().unwrap();
        let mut client = go!(enter(&plain(&server)));
        let mut headers = client.top_many(1..=80, 0);
        let mut count = 0;
        while let Some((number, header)) = go!(headers.next()) {
            count += 1;
            let header = go!(header.unwrap().read_to_vec()).unwrap();
            assert_eq!(header, format!("Subject: {number}\r\n\r\n").into_bytes());
        }
        assert_eq!(count, 80);
        assert!(said(&server).contains(&"TOP 80 0".to_owned()));
    }

    fn p_090_a_login_goes_one_by_one() {
        let server = server(3).start().unwrap();
        let mut client = go!(Client::connect(&plain(&server))).unwrap();
        let commands = [
            RawCommand::single("USER alice"),
            RawCommand::single(format!("PASS {PASSWORD}")),
            RawCommand::multi("UIDL"),
            RawCommand::single("nonsense"),
            RawCommand::single("STAT\r\nDELE 1"),
            RawCommand::single("STAT"),
        ];
        let mut pipeline = client.pipeline(commands);
        let mut answers = Vec::new();
        while let Some((command, answer)) = go!(pipeline.next()) {
            assert_eq!(command.verb(), Verb::Raw);
            answers.push(answer);
        }
        let [user, pass, uidl, nonsense, smuggled, stat] = answers.try_into().unwrap();
        assert!(user.is_ok() && pass.is_ok());
        assert_eq!(uidl.unwrap().lines().count(), 3);
        assert!(nonsense.unwrap_err().is_refused());
        assert!(smuggled.unwrap_err().is_misuse());
        assert!(stat.unwrap().text().starts_with(b"3 "));
        let mut pipeline = client.pipeline([NoopCommand, NoopCommand, NoopCommand]);
        let mut count = 0;
        while let Some((_, answer)) = go!(pipeline.next()) {
            answer.unwrap();
            count += 1;
        }
        assert_eq!(count, 3);
    }

    fn p_090_what_carries_a_secret_goes_alone() {
        let mut script: Vec<Act> = answer("-ERR no such message\r\n").into();
        for reply in ["+OK\r\n", "+OK\r\n", "-ERR you are in\r\n", "+OK\r\n", "+OK\r\n"] {
            script.extend(answer(reply));
        }
        let actor = logged_in(true, script);
        let mut client = go!(enter(&actor.connector()));
        let lines = ["NOOP", "AUTH PLAIN AGEAYg==", "NOOP", "NOOP"];
        let mut pipeline = client.pipeline(lines.map(RawCommand::single));
        let mut answers = Vec::new();
        while let Some((_, answer)) = go!(pipeline.next()) {
            answers.push(answer.is_ok());
        }
        assert_eq!(answers, [true, false, true, true]);
        drop(client);
        assert_eq!(flights(actor)[1..4], ["NOOP\r\n", "AUTH PLAIN AGEAYg==\r\n", "NOOP\r\nNOOP\r\n"]);
    }
}

case! {
    fn p_089_an_inventory_goes_out_in_one_write() {
        let mut script = hears(4);
        script.push(say("-ERR no such message\r\n+OK 2 300\r\n+OK\r\n1 100\r\n2 200\r\n.\r\n+OK\r\n1 a\r\n2 b\r\n.\r\n"));
        let actor = logged_in(true, script);
        let mut client = go!(enter(&actor.connector()));
        let inventory = go!(client.inventory()).unwrap();
        assert_eq!(inventory.stat.unwrap().messages, 2);
        assert_eq!(inventory.scans.unwrap().get(2).unwrap().octets, Some(200));
        assert_eq!(inventory.unique_ids.unwrap().get(1).unwrap().as_bytes(), b"a");
        drop(client);
        assert_eq!(flights(actor)[0], "LIST 2147483647\r\nSTAT\r\nLIST\r\nUIDL\r\n");
    }

    fn p_089_a_login_with_its_inventory_saves_round_trips() {
        let capabilities = "+OK\r\nPIPELINING\r\nUIDL\r\n.\r\n";
        let mut script = vec![say("+OK ready\r\n")];
        for reply in [capabilities, "+OK\r\n", "+OK\r\n"] {
            script.extend(answer(reply));
        }
        script.extend(hears(5));
        script.push(say(format!("-ERR no such message\r\n{capabilities}+OK 0 0\r\n+OK\r\n.\r\n+OK\r\n.\r\n")));
        let actor = Actor::play(script);
        let mut client = go!(Client::connect(&actor.connector())).unwrap();
        let inventory = go!(client.login_with_inventory(&login())).unwrap();
        assert!(inventory.unique_ids.unwrap().is_empty());
        assert!(client.capabilities().has("UIDL"));
        let began = Instant::now();
        // Nobody answers QUIT, and nobody waits.
        assert!(go!(client.leave()).is_committed());
        assert!(began.elapsed() < ms(1500));
        let reads = actor.reads();
        assert_eq!(reads[3], b"LIST 2147483647\r\nCAPA\r\nSTAT\r\nLIST\r\nUIDL\r\n");
        assert!(actor.heard().ends_with("UIDL\r\nQUIT\r\n"));
    }

    fn q_136_an_inventory_survives_a_server_that_loses_commands() {
        for quirk in ["pipeline=drop", "pipeline=flush_on_error", "capa=err"] {
            let server = server(4).quirk(quirk).unwrap().start().unwrap();
            for together in [true, false] {
                let mut client = go!(Client::connect(&impatient(plain(&server)))).unwrap();
                let inventory = if together {
                    go!(client.login_with_inventory(&login())).unwrap()
                } else {
                    go!(client.login(&login())).unwrap();
                    go!(client.inventory()).unwrap()
                };
                assert_eq!(inventory.stat.unwrap().messages, 4, "{quirk}");
                assert_eq!(inventory.scans.unwrap().len(), 4, "{quirk}");
                assert_eq!(inventory.unique_ids.unwrap().get(4).unwrap().as_bytes(), b"id-4", "{quirk}");
                assert_eq!(client.capabilities().has("PIPELINING"), quirk != "capa=err");
                assert!(go!(all(&mut client, 1..=4)) == expected(1..=4), "{quirk}");
                drop(client);
                ended(&server);
            }
        }
    }

    fn q_136_listings_in_another_order_are_never_taken_for_each_other() {
        let server = server(4).quirk("pipeline=reorder").unwrap().start().unwrap();
        let mut client = go!(enter(&plain(&server)));
        let error = go!(client.inventory()).unwrap_err();
        assert!(matches!(error.protocol(), Some(Protocol::NotAStatusLine(_))), "{error:?}");
        drop(client);
        ended(&server);
        let mut client = go!(enter(&plain(&server).pipelining(Pipelining::Never)));
        assert_eq!(go!(client.inventory()).unwrap().unique_ids.unwrap().get(1).unwrap().as_bytes(), b"id-1");
    }

    fn q_003_an_inventory_without_uidl_has_the_rest() {
        let builder = server(2).script("UIDL", Answer::raw("-ERR not implemented\r\n"));
        let server = builder.start().unwrap();
        let mut client = go!(enter(&plain(&server)));
        let inventory = go!(client.inventory()).unwrap();
        assert!(inventory.unique_ids.unwrap_err().is_refused());
        assert_eq!(inventory.scans.unwrap().len(), 2);
    }

    fn p_109_leaving_with_deletions_waits_for_their_fate() {
        let server = server(2).start().unwrap();
        let mut client = go!(enter(&plain(&server)));
        go!(client.dele(1)).unwrap();
        assert!(matches!(
            go!(client.leave()),
            popwire::Farewell::Committed { marked: 1, reply: Some(_) }
        ));
        let mut client = go!(Client::connect(&plain(&server))).unwrap();
        let inventory = go!(client.login_with_inventory(&Login::password("alice", PASSWORD))).unwrap();
        assert_eq!(inventory.scans.unwrap().len(), 1);
        assert!(go!(client.leave()).is_committed());
        assert!(ended(&server).quit());
    }
}
