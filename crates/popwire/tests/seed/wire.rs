// The rows that need the embedded server: the exact octets on the wire, and what a real server will not do on request.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use popwire::{Login, TraceEvent, TraceLevel};
use popwire_server::QuitReply;

use crate::world::embedded;

/// Line ends as the embedded server serves them: CR, LF and CRLF all become CRLF, and one is added at the end.
fn embedded_wire(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len());
    let mut octets = message.iter().copied().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b'\r' | b'\n' => {
                if octet == b'\r' {
                    octets.next_if_eq(&b'\n');
                }
                wire.extend_from_slice(b"\r\n");
            }
            other => wire.push(other),
        }
    }
    if !wire.ends_with(b"\r\n") {
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

row!(s00_every_command_is_a_method_and_its_line_is_exact, {
    let knobs = |server: popwire_server::Builder| {
        server.last(true).utf8(true).lang([("en", "English"), ("de", "Deutsch")]).rpop(["alice"])
    };
    for world in embedded(some_mail(), knobs) {
        let connector = world.connector.clone().without_capa();
        let mut client = go!(Client::connect(&connector)).unwrap();
        assert!(go!(client.capa()).unwrap().has("TOP"));
        assert_eq!(go!(client.lang()).unwrap().list.len(), 2);
        assert!(go!(client.lang_set("de")).unwrap().is_ok());
        assert!(go!(client.utf8()).unwrap().is_ok());
        assert!(go!(client.auth_list()).is_err());
        assert!(go!(client.auth("X-NONE", None)).unwrap_err().is_refused());
        assert!(!go!(client.user("alice")).unwrap().text().is_empty());
        assert!(!go!(client.pass(PASSWORD)).unwrap().text().is_empty());
        assert_eq!(go!(client.stat()).unwrap().messages, 3);
        assert_eq!(go!(client.list()).unwrap().len(), 3);
        assert_eq!(go!(client.list_one(1)).unwrap().scan.number, 1);
        assert_eq!(go!(client.uidl()).unwrap().len(), 3);
        assert_eq!(go!(client.uidl_one(1)).unwrap().number, 1);
        let _ = go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
        let _ = go!(go!(client.top(1, 2)).unwrap().read_to_vec()).unwrap();
        assert_eq!(go!(client.last()).unwrap().number, 1);
        assert!(go!(client.dele(1)).unwrap().is_ok());
        assert!(go!(client.rset()).unwrap().is_ok());
        assert!(go!(client.noop()).unwrap().is_ok());
        assert!(go!(client.raw("noop")).unwrap().is_ok());
        assert_eq!(go!(client.raw_multi("list")).unwrap().lines().count(), 3);
        assert!(go!(client.quit()).is_committed());

        let session = world.server().unwrap().last_session().unwrap();
        let mut expected = "CAPA LANG LANG_de UTF8 AUTH AUTH_X-NONE USER_alice PASS_s3cret_pass STAT LIST LIST_1 UIDL UIDL_1 \
                            RETR_1 TOP_1_2 LAST DELE_1 RSET NOOP noop list QUIT"
            .split_whitespace()
            .map(|line| line.replace('_', " "))
            .collect::<Vec<_>>();
        if world.channel == crate::world::Channel::Stls {
            expected.insert(0, "STLS".to_owned());
        }
        assert_eq!(session.client_lines(), expected, "{world}");
        let octets: Vec<u8> = expected.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
        assert_eq!(session.client_octets(), octets, "{world}: upper case, one blank, CRLF");
    }
});

row!(s01_debug_levels_show_a_line_per_command_or_every_line_and_no_secret, {
    for world in embedded(some_mail(), |server| server.greeting(&b"+OK hello\r\n"[..])) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let hook = move |event: TraceEvent<'_>| kept.lock().unwrap().push(event.to_string());
        let taken = || std::mem::take(&mut *lines.lock().unwrap());
        let connector = world.connector.clone().without_capa().trace(TraceLevel::Off, hook);
        let mut client = go!(Client::connect(&connector)).unwrap();
        go!(client.user(USER)).unwrap();
        assert!(taken().is_empty(), "{world}: level 0");

        client.set_trace_level(TraceLevel::Commands);
        go!(client.pass(PASSWORD)).unwrap();
        go!(client.stat()).unwrap();
        assert_eq!(taken(), ["C: PASS ********", "C: STAT"], "{world}: level 1");

        client.set_trace_level(TraceLevel::Lines);
        let listing = go!(client.list()).unwrap();
        let first = listing.get(1).unwrap().octets.unwrap();
        let seen = taken();
        assert_eq!(seen[0], "C: LIST", "{world}");
        assert_eq!(seen[1], format!("S: {}", listing.reply()), "{world}");
        assert_eq!(seen[2], format!("S: 1 {first}"), "{world}");
        assert_eq!(seen.len(), 5, "{world}");
        go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
        assert_eq!(taken().len(), 2, "{world}: the message itself is left out");

        client.set_trace_level(TraceLevel::Off);
        go!(client.noop()).unwrap();
        assert!(taken().is_empty(), "{world}: off again");
    }
});

row!(s02_a_greeting_is_kept_octet_for_octet, {
    for (greeting, line) in [
        (&b"+OK caf\xe9 \xff ready\r\n"[..], &b"+OK caf\xe9 \xff ready"[..]),
        (b"+OK bare LF\n", b"+OK bare LF"),
        (b"+OK\r\n", b"+OK"),
    ] {
        for world in embedded(some_mail(), |server| server.greeting(greeting)) {
            let client = go!(Client::connect(&world.connector.clone().without_capa())).unwrap();
            assert_eq!(client.greeting().line().as_bytes(), line, "{world}");
            drop(client);
            world.wait_closed(1);
            let said = world.server().unwrap().last_session().unwrap().client_lines();
            let only_stls = said.iter().all(|line| line == "STLS");
            assert!(only_stls, "{world}: asking for the greeting sends nothing: {said:?}");
        }
    }
});

row!(s03_names_go_out_as_they_are, {
    for world in embedded(some_mail(), |server| server.script("USER nobody", &b"-ERR who is that\r\n"[..])) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        let error = go!(client.user("nobody")).unwrap_err();
        assert!(error.to_string().contains("who is that"), "{world}: {error}");
        for name in ["jörg", "a b  c", "alice"] {
            assert!(go!(client.user(name)).is_ok(), "{world}: {name}");
        }
        go!(client.pass(PASSWORD)).unwrap();
        let said = world.server().unwrap().last_session().unwrap().client_lines();
        for line in ["USER jörg", "USER a b  c", "USER alice"] {
            assert!(said.iter().any(|said| said == line), "{world}: {line}");
        }
    }
});

row!(s05_apop_shows_a_digest_and_never_the_secret, {
    let timestamp = "+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n";
    for world in embedded(some_mail(), |server| server.apop(true).greeting(timestamp.as_bytes())) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        assert!(go!(client.apop("mrose", "tanstaaf")).unwrap_err().is_authentication(), "{world}: no such user");
        let said = world.server().unwrap().last_session().unwrap().client_lines();
        assert!(said.contains(&"APOP mrose c4c9334bac560ecc979e58001b3e22fb".to_owned()), "{world}: {said:?}");
        assert!(go!(client.apop(USER, PASSWORD)).unwrap().is_ok(), "{world}");
        assert_eq!(go!(client.stat()).unwrap().messages, 3, "{world}");
    }
    // Dovecot's own timestamp, by `login` too.
    for world in worlds(some_mail()).filter(|world| world.server().is_none()) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&Login::apop(USER, PASSWORD))).unwrap();
        assert_eq!(go!(client.stat()).unwrap().messages, 3, "{world}");
    }
    // No timestamp, or one that is no message-id: nothing is sent, whatever its length.
    let flood = [b"+OK ".to_vec(), vec![b'<'; 1500], b"\r\n".to_vec()].concat();
    for greeting in [&b"+OK no timestamp\r\n"[..], b"+OK <no-at-sign>\r\n", b"+OK <a b@c>\r\n", &flood] {
        for world in embedded(some_mail(), |server| server.greeting(greeting)) {
            let mut client = go!(Client::connect(&world.connector)).unwrap();
            assert!(go!(client.apop(USER, PASSWORD)).unwrap_err().is_misuse(), "{world}");
            let said = world.server().unwrap().last_session().unwrap().client_lines();
            assert!(said.iter().all(|line| !line.starts_with("APOP")), "{world}: {said:?}");
        }
    }
    let megabyte = [b"+OK ".to_vec(), vec![b'<'; 1 << 20]].concat();
    let started = Instant::now();
    assert_eq!(popwire::proto::apop::timestamp(&megabyte), None);
    assert!(started.elapsed() < Duration::from_secs(1), "a megabyte of brackets is no trouble");
});

row!(s06_rpop_is_accepted_or_refused, {
    for world in embedded(some_mail(), |server| server.rpop([USER])) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        assert!(go!(client.rpop(USER)).unwrap().is_ok(), "{world}");
        assert_eq!(go!(client.stat()).unwrap().messages, 3, "{world}");
        let said = world.server().unwrap().last_session().unwrap().client_lines();
        assert!(said.contains(&format!("RPOP {USER}")), "{world}: {said:?}");
    }
    for world in worlds(some_mail()) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        assert!(go!(client.rpop(USER)).unwrap_err().is_refused(), "{world}");
        assert!(go!(client.login(&Login::rpop(USER))).is_err(), "{world}");
        go!(client.login(&World::login())).unwrap();
    }
});

row!(s07_stat_survives_what_servers_say, {
    for (said, messages, octets) in [
        ("+OK 0 0", 0, Some(0)),
        ("+OK 2 320 and more", 2, Some(320)),
        ("+OK 1 5000000000", 1, Some(5_000_000_000)),
        ("+OK 1 9223372036854775809", 1, Some(9_223_372_036_854_775_809)),
        ("+OK 1 99999999999999999999999", 1, None),
        ("+OK 3 -1024", 3, None),
    ] {
        for world in embedded(some_mail(), |server| server.heading("STAT", said)) {
            let mut client = go!(Client::connect(&world.connector)).unwrap();
            go!(client.login(&World::login())).unwrap();
            let stat = go!(client.stat()).unwrap();
            assert_eq!((stat.messages, stat.octets), (messages, octets), "{world}: {said}");
            assert_eq!(stat.reply.line().to_string(), said, "{world}");
        }
    }
    for said in ["+OK", "+OK garbage", "+OK -1 5", "+OK 1_0 5", "+OK 99999999999999999999999 1"] {
        for world in embedded(some_mail(), |server| server.heading("STAT", said)) {
            let mut client = go!(Client::connect(&world.connector)).unwrap();
            go!(client.login(&World::login())).unwrap();
            assert!(go!(client.stat()).unwrap_err().is_protocol(), "{world}: {said}");
            go!(client.noop()).unwrap();
        }
    }
});

row!(s08_a_hundred_thousand_messages_are_listed, {
    let mail = vec![b"x".to_vec(); 100_000];
    for world in embedded(mail, |server| server) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        let (sizes, ids) = (go!(client.list()).unwrap(), go!(client.uidl()).unwrap());
        assert_eq!((sizes.len(), ids.len()), (100_000, 100_000), "{world}");
        assert_eq!(sizes.get(100_000).unwrap().octets, Some(3), "{world}");
        assert!(ids.get(77_777).unwrap().is_regular(), "{world}");
    }
});

row!(s10_a_server_may_delete_at_any_disconnect, {
    for world in embedded(some_mail(), |server| server.delete_at_disconnect(true)) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        go!(client.dele(1)).unwrap();
        drop(client);
        world.wait_closed(1);
        assert_eq!(world.stored().len(), 2, "{world}: as Eudora's server did");
    }
});

row!(s12_keep_alive_keeps_a_session_that_would_time_out, {
    for world in embedded(some_mail(), |server| server.idle_timeout(Duration::from_millis(1500))) {
        let mut kept = go!(Client::connect(&world.connector)).unwrap();
        go!(kept.login(&World::login())).unwrap();
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(600));
            assert!(go!(kept.keep_alive(Duration::from_millis(500))).unwrap(), "{world}");
        }
        assert_eq!(go!(kept.stat()).unwrap().messages, 3, "{world}: after 2.4 s");
        std::thread::sleep(Duration::from_millis(2200));
        let error = go!(kept.noop()).unwrap_err();
        assert!(error.is_closed() && error.is_retryable(), "{world}: {error}");
    }
});

row!(s13_quit_tells_refused_and_unknown_apart, {
    for world in embedded(some_mail(), |server| server.quit_reply(QuitReply::SomeNotRemoved { removed: 1 })) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        go!(client.dele(1)).unwrap();
        go!(client.dele(2)).unwrap();
        let Farewell::Refused { marked: 2, reply } = go!(client.quit()) else { panic!("{world}") };
        assert_eq!(reply.text(), b"some deleted messages not removed", "{world}");
        world.wait_closed(1);
        assert_eq!(world.stored().len(), 2, "{world}");
    }
    for (knob, left) in [(QuitReply::CloseAfterCommit, 2), (QuitReply::CloseBeforeCommit, 3)] {
        for world in embedded(some_mail(), |server| server.quit_reply(knob)) {
            let mut client = go!(Client::connect(&world.connector)).unwrap();
            go!(client.login(&World::login())).unwrap();
            go!(client.dele(1)).unwrap();
            let Farewell::Unknown { marked: 1, error } = go!(client.quit()) else { panic!("{world}") };
            assert!(error.is_closed(), "{world}: {error}");
            world.wait_closed(1);
            assert_eq!(world.stored().len(), left, "{world}: {knob:?}");

            // With nothing to delete, a server that just hangs up has done all that was asked.
            let mut client = go!(Client::connect(&world.connector)).unwrap();
            go!(client.login(&World::login())).unwrap();
            assert!(go!(client.quit()).is_committed(), "{world}: {knob:?}");
        }
    }
});

row!(s15_odd_unique_ids_survive, {
    let long = "i".repeat(70);
    let ids: [&[u8]; 5] = [long.as_bytes(), b"twin", b"twin", b"with two blanks", b"caf\xe9"];
    let mail: Vec<_> = ids.iter().map(|_| b"x".to_vec()).collect();
    let mut answer = b"+OK\r\n".to_vec();
    for (number, id) in (1..).zip(ids) {
        answer.extend_from_slice(format!("{number}  ").as_bytes());
        answer.extend_from_slice(id);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b".\r\n");
    for world in embedded(mail, |server| server.script("UIDL", &answer[..])) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        let listed = go!(client.uidl()).unwrap();
        let found: Vec<_> = listed.iter().map(|(_, uid)| uid.as_bytes()).collect();
        assert_eq!(found, ids, "{world}");
        let regular: Vec<_> = listed.iter().map(|(_, uid)| uid.is_regular()).collect();
        assert_eq!(regular, [true, true, true, false, false], "{world}");
    }
    for world in embedded(some_mail(), |server| server.script("UIDL", &b"-ERR not supported\r\n"[..])) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        assert!(go!(client.uidl()).unwrap_err().is_refused(), "{world}");
        assert_eq!(go!(client.list()).unwrap().len(), 3, "{world}");
    }
});

row!(every_answer_survives_being_sent_in_pieces, {
    for octets in [1, 2, 3, 7] {
        for world in embedded(some_mail(), |server| server.segment(octets)) {
            let mut client = go!(Client::connect(&world.connector)).unwrap();
            assert!(client.capabilities().has("TOP"), "{world}");
            go!(client.login(&World::login())).unwrap();
            assert_eq!(go!(client.stat()).unwrap().messages, 3, "{world}");
            assert_eq!((go!(client.list()).unwrap().len(), go!(client.uidl()).unwrap().len()), (3, 3), "{world}");
            for (number, expected) in (1..).zip(&world.mail) {
                let received = go!(go!(client.retr(number)).unwrap().read_to_vec()).unwrap();
                assert_eq!(&received, expected, "{world}: {octets} octets at a time");
            }
            go!(client.dele(3)).unwrap();
            assert!(matches!(go!(client.quit()), Farewell::Committed { marked: 1, .. }), "{world}");
        }
    }
});
