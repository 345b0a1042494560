// The rows that hold at any server. Included once for each door: `go!` waits, `row!` makes a test.

use std::time::Duration;

use popwire::{Farewell, State};

use crate::world::{PASSWORD, USER, World, some_mail, worlds};

row!(s02_getwelcome_is_kept_and_causes_no_traffic, {
    for world in worlds(some_mail()) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        let greeting = client.greeting().clone();
        assert!(greeting.line().as_bytes().starts_with(b"+OK"), "{world}");
        go!(client.login(&World::login())).unwrap();
        assert_eq!(client.greeting(), &greeting, "{world}: kept");
        assert!(go!(client.quit()).is_committed(), "{world}");
        assert!(!greeting.text().is_empty(), "{world}: and to be had after QUIT");
    }
});

row!(s03_user_is_answered_and_a_refusal_leaves_the_session_usable, {
    for world in worlds(some_mail()) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        for bad in ["a\r\nDELE 1", "a\n", "a\0", ""] {
            assert!(go!(client.user(bad)).unwrap_err().is_misuse(), "{world}: {bad:?}");
        }
        assert!(go!(client.user(USER)).unwrap().is_ok(), "{world}");
        assert!(go!(client.pass("wrong")).unwrap_err().is_authentication(), "{world}");
        assert_eq!(client.state(), State::Authorization, "{world}");
        assert!(go!(client.user(USER)).unwrap().is_ok(), "{world}: again");
        assert!(go!(client.pass(PASSWORD)).unwrap().is_ok(), "{world}");
        assert_eq!(client.state(), State::Transaction, "{world}");
        assert!(go!(client.quit()).is_committed(), "{world}");
    }
});

row!(s04_pass_locks_the_maildrop_until_quit_or_the_end_of_the_connection, {
    for world in worlds(some_mail()) {
        let mut first = go!(Client::connect(&world.connector)).unwrap();
        go!(first.user(USER)).unwrap();
        go!(first.pass(PASSWORD)).unwrap();

        let mut second = go!(Client::connect(&world.connector)).unwrap();
        let error = go!(second.login(&World::login())).unwrap_err();
        assert!(error.is_in_use() && error.is_retryable() && !error.is_authentication(), "{world}: {error}");
        drop(second);

        go!(first.dele(1)).unwrap();
        drop(first);
        world.wait_closed(2);
        let mut third = go!(Client::connect(&world.connector)).unwrap();
        go!(third.login(&World::login())).unwrap();
        assert_eq!(go!(third.stat()).unwrap().messages, 3, "{world}: nothing is deleted without QUIT");
        assert!(go!(third.quit()).is_committed(), "{world}");

        world.wait_closed(3);
        let mut fourth = go!(Client::connect(&world.connector)).unwrap();
        assert!(go!(fourth.login(&World::login())).is_ok(), "{world}: free after QUIT");
    }
});

row!(s07_stat_is_a_pair_of_integers, {
    for (mail, count) in [(some_mail(), 3), (Vec::new(), 0)] {
        for world in worlds(mail.clone()) {
            let mut client = go!(Client::connect(&world.connector)).unwrap();
            go!(client.login(&World::login())).unwrap();
            let stat = go!(client.stat()).unwrap();
            let octets = world.mail.iter().map(|message| message.len() as u64).sum::<u64>();
            assert_eq!((stat.messages, stat.octets), (count, Some(octets)), "{world}");
            assert!(stat.reply.text().starts_with(count.to_string().as_bytes()), "{world}");
            let _ = go!(client.quit());
        }
    }
});

row!(s08_list_has_number_and_octets_of_each_and_of_one, {
    for world in worlds(some_mail()) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        go!(client.dele(2)).unwrap();
        let listing = go!(client.list()).unwrap();
        let found: Vec<_> = listing.iter().map(|scan| (scan.number, scan.octets.unwrap())).collect();
        let sizes: Vec<_> = world.mail.iter().map(|message| message.len() as u64).collect();
        assert_eq!(found, [(1, sizes[0]), (3, sizes[2])], "{world}: known by number, with a gap");
        assert!(listing.reply().is_ok() && listing.get(2).is_none() && listing.skipped() == 0, "{world}");

        let one = go!(client.list_one(3)).unwrap();
        assert_eq!((one.scan.number, one.scan.octets), (3, Some(sizes[2])), "{world}");
        for missing in [2, 4] {
            assert!(go!(client.list_one(missing)).unwrap_err().is_refused(), "{world}: {missing}");
        }
        assert!(go!(client.list_one(0)).unwrap_err().is_misuse(), "{world}");
        go!(client.noop()).unwrap();
    }
    for world in worlds(Vec::new()) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        assert!(go!(client.list()).unwrap().is_empty(), "{world}");
        go!(client.noop()).unwrap();
    }
});

row!(s09_retr_is_the_whole_message_byte_for_byte_and_marks_it_seen, {
    for world in worlds(some_mail()) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        for (number, expected) in (1..).zip(&world.mail) {
            let mut message = go!(client.retr(number)).unwrap();
            assert!(message.reply().is_ok(), "{world}");
            assert_eq!(&go!(message.read_to_vec()).unwrap(), expected, "{world}: {number}");
            assert!(message.is_complete() && message.octets() == expected.len() as u64, "{world}");
        }
        assert!(go!(client.retr(4)).unwrap_err().is_refused(), "{world}");
        assert!(go!(client.quit()).is_committed(), "{world}");
        world.wait_closed(1);
        assert_eq!(world.seen(), 3, "{world}");
    }
});

row!(s10_dele_is_undone_by_a_drop_and_done_by_quit, {
    for world in worlds(some_mail()) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        assert!(go!(client.dele(1)).unwrap().is_ok(), "{world}");
        assert!(go!(client.dele(1)).unwrap_err().is_refused(), "{world}: deleted already");
        assert!(go!(client.retr(1)).unwrap_err().is_refused(), "{world}: not to be had any more");
        drop(client);
        world.wait_closed(1);
        assert_eq!(world.stored().len(), 3, "{world}: a drop deletes nothing");

        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        go!(client.dele(1)).unwrap();
        go!(client.dele(3)).unwrap();
        assert_eq!(client.marked(), 2, "{world}");
        let farewell = go!(client.quit());
        assert!(matches!(farewell, Farewell::Committed { marked: 2, .. }), "{world}: {farewell:?}");
        world.wait_closed(2);
        assert_eq!(world.stored(), [world.mail[1].clone()], "{world}");
    }
});

row!(s11_rset_takes_the_marks_back, {
    for world in worlds(some_mail()) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        go!(client.dele(1)).unwrap();
        go!(client.dele(2)).unwrap();
        assert!(go!(client.rset()).unwrap().is_ok(), "{world}");
        assert_eq!((client.marked(), go!(client.stat()).unwrap().messages), (0, 3), "{world}");
        assert!(matches!(go!(client.quit()), Farewell::Committed { marked: 0, .. }), "{world}");
        world.wait_closed(1);
        assert_eq!(world.stored().len(), 3, "{world}");
    }
});

row!(s12_noop_does_nothing, {
    for world in worlds(some_mail()) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        assert!(go!(client.noop()).unwrap().is_ok(), "{world}");
        assert!(!go!(client.keep_alive(Duration::from_secs(60))).unwrap(), "{world}: not due");
        assert!(go!(client.keep_alive(Duration::ZERO)).unwrap(), "{world}: due");
        assert_eq!(go!(client.stat()).unwrap().messages, 3, "{world}");
    }
});

row!(s13_quit_commits_unlocks_and_closes, {
    for world in worlds(some_mail()) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        go!(client.dele(2)).unwrap();
        let Farewell::Committed { marked: 1, reply: Some(reply) } = go!(client.quit()) else { panic!("{world}") };
        assert!(reply.is_ok(), "{world}");
        world.wait_closed(1);
        assert_eq!(world.stored().len(), 2, "{world}");
        let mut next = go!(Client::connect(&world.connector)).unwrap();
        assert!(go!(next.login(&World::login())).is_ok(), "{world}: the lock is free");

        // In the AUTHORIZATION state QUIT only closes.
        let stranger = go!(Client::connect(&world.connector)).unwrap();
        assert!(go!(stranger.quit()).is_committed(), "{world}");
    }
});

row!(s14_top_is_the_header_and_so_many_lines_and_does_not_mark_seen, {
    for world in worlds(some_mail()) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        let whole = &world.mail[0];
        let header = 4 + whole.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let one = header + "first line\r\n".len();
        for (lines, expected) in [(0, header), (1, one), (3, whole.len()), (1000, whole.len()), (u32::MAX, whole.len())] {
            let top = go!(go!(client.top(1, lines)).unwrap().read_to_vec()).unwrap();
            assert_eq!(top, whole[..expected], "{world}: TOP 1 {lines}");
        }
        assert!(go!(client.top(9, 0)).unwrap_err().is_refused(), "{world}");
        // The way out where there is no TOP: RETR, and stop reading.
        let mut line = Vec::new();
        assert!(go!(go!(client.retr(2)).unwrap().read_line(&mut line)).unwrap(), "{world}");
        assert_eq!(line, b"From: b@example.org", "{world}");
        go!(client.noop()).unwrap();
        let _ = go!(client.quit());
        world.wait_closed(1);
        assert_eq!(world.seen(), 1, "{world}: only the one that was retrieved");
    }
});

row!(s15_uidl_names_each_message_across_sessions, {
    for world in worlds(some_mail()) {
        let mut earlier: Option<Vec<Vec<u8>>> = None;
        for session in 1..=2 {
            let mut client = go!(Client::connect(&world.connector)).unwrap();
            go!(client.login(&World::login())).unwrap();
            let ids = go!(client.uidl()).unwrap();
            assert_eq!(ids.iter().map(|(number, _)| number).collect::<Vec<_>>(), [1, 2, 3], "{world}");
            let list: Vec<_> = ids.iter().map(|(_, uid)| uid.as_bytes().to_vec()).collect();
            assert!(ids.iter().all(|(_, uid)| uid.is_regular()), "{world}");
            assert!(list[0] != list[1] && list[1] != list[2], "{world}");
            let one = go!(client.uidl_one(2)).unwrap();
            assert_eq!((one.number, one.uid().as_bytes()), (2, &list[1][..]), "{world}");
            assert!(go!(client.uidl_one(4)).unwrap_err().is_refused(), "{world}");
            assert!(earlier.as_ref().is_none_or(|earlier| *earlier == list), "{world}: the same next time");
            earlier = Some(list);
            let _ = go!(client.quit());
            world.wait_closed(session);
        }
    }
});

row!(s16_the_interface_is_the_same_over_tls, {
    for world in worlds(some_mail()) {
        let client = go!(Client::connect(&world.connector)).unwrap();
        match world.channel {
            crate::world::Channel::Plain => assert!(client.tls().is_none(), "{world}"),
            _ => {
                let tls = client.tls().unwrap();
                assert!(tls.verified && tls.version.starts_with("TLSv1_"), "{world}: {tls:?}");
                assert!(!client.capabilities().has("STLS"), "{world}: capabilities are those under TLS");
            }
        }
        assert!(client.capabilities().has("UIDL"), "{world}");
    }
    // STLS by hand is STLS all the same.
    for world in worlds(some_mail()).filter(|world| world.channel == crate::world::Channel::Plain) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        assert!(client.capabilities().has("STLS"), "{world}");
        assert!(go!(client.stls()).unwrap().is_ok(), "{world}");
        assert!(client.tls().unwrap().verified && !client.capabilities().has("STLS"), "{world}");
        go!(client.login(&World::login())).unwrap();
        assert_eq!(go!(client.stat()).unwrap().messages, 3, "{world}");
    }
});

row!(every_message_of_the_corpus_arrives_as_the_server_has_it, {
    let corpus = popwire_interop::corpus::Corpus::make(1, 60, 25 << 20).unwrap();
    let mail: Vec<_> = corpus.messages().iter().map(|message| corpus.read(message).unwrap()).collect();
    for world in worlds(mail) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        for (number, message) in (1..).zip(corpus.messages()) {
            let received = go!(go!(client.retr(number)).unwrap().read_to_vec()).unwrap();
            let expected = match world.server() {
                // The embedded server turns bare CR into CRLF too, so that it is safe for every client.
                Some(_) => embedded_wire(&corpus.read(message).unwrap()),
                None => popwire_interop::corpus::wire_form(&corpus.read(message).unwrap()),
            };
            assert!(received == expected, "{world}: {} differs", message.label);
        }
        assert!(go!(client.quit()).is_committed(), "{world}");
    }
});
