// Rules of conduct that the rows leave open. Included once for each door, as `rows.rs` is.

row!(p_005_arguments_are_as_long_as_the_line_allows, {
    // RFC 1939 says 40 octets, RFC 2449 raises it to what fits a line of 255; real names and passwords need it.
    let long = "n".repeat(255 - "USER \r\n".len());
    for world in embedded(some_mail(), |server| server) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        assert!(go!(client.user(&long)).is_ok(), "{world}");
        assert!(go!(client.user(format!("{long}n"))).unwrap_err().is_misuse(), "{world}");
        let said = world.server().unwrap().last_session().unwrap().client_lines();
        assert!(said.contains(&format!("USER {long}")), "{world}: {said:?}");
    }
});

row!(p_014_an_optional_command_is_tried_and_err_means_no, {
    for world in worlds(some_mail()) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        // Not implemented, at either server: nothing tells this from a failure, and the session goes on.
        for error in [
            go!(client.lang()).map(drop).unwrap_err(),
            go!(client.raw("XTND XMIT")).map(drop).unwrap_err(),
            go!(client.raw_multi("XLST")).map(drop).unwrap_err(),
        ] {
            assert!(error.is_refused() && !error.is_retryable(), "{world}: {error}");
        }
        assert_eq!(go!(client.stat()).unwrap().messages, 3, "{world}");
    }
});

row!(p_028_long_work_between_commands_does_not_outlast_the_servers_timer, {
    for world in embedded(some_mail(), |server| server.idle_timeout(Duration::from_millis(900))) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(2000) {
            std::thread::sleep(Duration::from_millis(50));
            go!(client.keep_alive(Duration::from_millis(300))).unwrap();
        }
        assert_eq!(go!(client.stat()).unwrap().messages, 3, "{world}");
        let said = world.server().unwrap().last_session().unwrap().client_lines();
        let noops = said.iter().filter(|line| *line == "NOOP").count();
        assert!((3..=8).contains(&noops), "{world}: {noops} NOOPs: now and then, not each time it is asked");
    }
});

row!(p_071_nothing_is_assumed_about_what_a_site_keeps, {
    // A site that took a message away after RETR, without a DELE: the next session's listing counts, no memory of ours.
    for world in embedded(some_mail(), |server| server) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        go!(client.login(&World::login())).unwrap();
        go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
        assert!(matches!(go!(client.quit()), Farewell::Committed { marked: 0, .. }), "{world}: none marked by us");
        world.wait_closed(1);
        let said = world.server().unwrap().last_session().unwrap().client_lines();
        assert!(said.iter().all(|line| !line.starts_with("DELE")), "{world}: nor by any line of ours");
        assert_eq!(world.stored().len(), 3, "{world}");
    }
});

row!(p_091_the_implementation_changes_nothing, {
    let mut heard: Vec<Vec<String>> = Vec::new();
    for implementation in ["IMPLEMENTATION Cyrus-POP3-3.6", "IMPLEMENTATION qpopper-2.53", "X-NOTHING"] {
        let lines = ["TOP", "UIDL", "USER", "STLS", implementation];
        for world in embedded(some_mail(), |server| server.capability_lines(lines, lines)) {
            let mut client = go!(Client::connect(&world.connector)).unwrap();
            go!(client.login(&World::login())).unwrap();
            go!(client.uidl()).unwrap();
            go!(go!(client.top(1, 0)).unwrap().read_to_vec()).unwrap();
            let _ = go!(client.quit());
            let mut said = world.server().unwrap().last_session().unwrap().client_lines();
            said.insert(0, format!("{:?}", world.channel));
            heard.push(said);
        }
    }
    assert_eq!(heard.len(), 9);
    for (at, said) in heard.iter().enumerate() {
        assert_eq!(said, &heard[at % 3], "the same lines whatever the server calls itself");
    }
});

row!(p_094_apop_needs_no_capability_only_the_timestamp, {
    for world in embedded(some_mail(), |server| server.apop(true)) {
        let mut client = go!(Client::connect(&world.connector)).unwrap();
        assert!(!client.capabilities().has("APOP"), "{world}");
        go!(client.login(&Login::apop(USER, PASSWORD))).unwrap();
        assert_eq!(client.state(), State::Transaction, "{world}");
    }
});

row!(p_148_no_login_is_tried_on_an_unencrypted_connection_to_see_whether_it_works, {
    for world in embedded(some_mail(), |server| server) {
        // The address, and nothing that says how to protect the connection: TLS, or nothing at all.
        let port = world.server().unwrap().addr().port();
        let connector = popwire::Connector::new("localhost").port(port);
        let error = go!(Client::connect(&connector)).unwrap_err();
        assert!(error.is_tls(), "{world}: {error}");
        assert!(world.server().unwrap().wait_closed(1, Duration::from_secs(5)), "{world}");
        for session in world.server().unwrap().sessions() {
            let said = session.client_lines();
            assert!(said.iter().all(|line| !line.contains("USER") && !line.contains("PASS")), "{world}: {said:?}");
        }
    }
});
