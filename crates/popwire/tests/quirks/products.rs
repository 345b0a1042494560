// Whole products, as the embedded server plays them.

use popwire::{Login, Mechanism, Security};
use popwire_server::{Builder, Server};

use crate::setting::{login, ms, on_plain_port, plain, said, tls};
use crate::stage::MESSAGES;

/// Alice with three messages.
fn mailbox() -> Builder {
    Server::builder().user("alice", crate::setting::PASSWORD, popwire_server::Maildrop::memory(MESSAGES))
}

helper! {
    /// A session from end to end: everything is listed, fetched and deleted.
    fn whole_session(server: &Server) {
        let mut client = go!(Client::connect(&tls(server))).unwrap();
        go!(client.login(&login())).unwrap();
        let mut numbers: Vec<_> = go!(client.list()).unwrap().iter().map(|scan| scan.number).collect();
        assert_eq!(numbers, [1, 2, 3]);
        for (number, message) in (1..).zip(MESSAGES) {
            let fetched = go!(go!(client.retr(number)).unwrap().read_to_vec()).unwrap();
            assert!(fetched.starts_with(message.as_bytes()), "{}", String::from_utf8_lossy(&fetched));
        }
        numbers.reverse();
        for number in numbers {
            go!(client.dele(number)).unwrap();
        }
        assert!(go!(client.quit()).is_committed());
        assert!(server.wait_closed(server.sessions().len(), ms(5000)));
        assert!(server.maildrop("alice").unwrap().is_empty().unwrap());
    }
}

case! {
    /// unharmed: PIPELINING is found after login, and EXPIRE 0 deletes nothing by itself.
    fn q_006_gmail_announces_other_things_after_login() {
        let server = mailbox().personality("gmail").unwrap().start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        assert!(client.capabilities().has("SASL") && !client.capabilities().has("PIPELINING"));
        go!(client.login(&login())).unwrap();
        assert!(client.capabilities().has("PIPELINING") && !client.capabilities().has("SASL"));
        assert_eq!(client.capabilities().expire(), Some(popwire::Expire::Days(0)));
        assert!(go!(client.quit()).is_committed());
        assert_eq!(server.maildrop("alice").unwrap().len().unwrap(), 3);
    }

    /// unharmed: CAPA is a tag like others, and STLS is asked for only where TLS is not there yet.
    fn q_009_dovecot_lists_capa_itself() {
        let server = mailbox().personality("dovecot").unwrap().start().unwrap();
        let mut client = go!(Client::connect(&on_plain_port(&server, Security::Stls))).unwrap();
        assert!(client.capabilities().has("CAPA") && !client.capabilities().has("STLS"));
        go!(client.login(&login())).unwrap();
        assert!(!client.capabilities().has("USER") && !client.capabilities().has("SASL"));
        assert!(go!(client.quit()).is_committed());
        go!(whole_session(&server));
    }

    /// unharmed: the timestamp is found where it stands, and APOP is not tried unasked.
    fn q_014_james_begins_with_the_timestamp() {
        let server = mailbox().personality("james").unwrap().start().unwrap();
        let client = go!(Client::connect(&tls(&server))).unwrap();
        assert!(client.greeting().text().starts_with(b"<1700000000.1@james.example.org> POP3"));
        drop(client);
        go!(whole_session(&server));
        assert!(!said(&server).iter().any(|line| line.starts_with("APOP")));
    }

    /// refused: it is TLS that is missing, not the password that is wrong.
    fn q_025_q_026_q_056_logins_want_tls() {
        for name in ["hmail", "cyrus_notls", "james"] {
            let server = mailbox().personality(name).unwrap().start().unwrap();
            let mut client = go!(Client::connect(&plain(&server))).unwrap();
            let error = go!(client.login(&login())).unwrap_err();
            assert!(!error.is_authentication() && error.to_string().contains("TLS"), "{name}: {error:?}");
            drop(client);
            go!(whole_session(&server));
        }
    }

    /// refused: the server's words are shown, and nothing is tried again by itself.
    fn q_041_hmail_explains_itself() {
        let server = mailbox().personality("hmail").unwrap().max_failed_logins(2).start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        for words in ["Please use full email address as user name.", "Too many invalid logon attempts."] {
            let error = go!(client.login(&Login::password("alice", "wrong"))).unwrap_err();
            assert!(error.is_refused() && error.to_string().contains(words), "{error:?}");
        }
        assert_eq!(said(&server).iter().filter(|line| line.starts_with("PASS")).count(), 2);
    }

    /// refused: the words are shown, and it is not tried again.
    fn q_052_gmail_wants_an_application_password() {
        let server = mailbox().personality("gmail_auth").unwrap().start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let error = go!(client.login(&Login::password("alice", "wrong"))).unwrap_err();
        assert!(error.is_authentication() && !error.is_retryable(), "{error:?}");
        assert!(error.to_string().contains("Application-specific password required"), "{error}");
    }

    /// unharmed: a line that is too long for the server is not sent; a long token goes in a line of its own.
    fn q_056_james_takes_255_octets() {
        let server = mailbox().personality("james").unwrap().sasl([Mechanism::Plain]).start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let long = Login::password("alice", "x".repeat(300)).methods([Mechanism::Plain]);
        assert!(go!(client.login(&long)).unwrap_err().is_authentication());
        assert!(said(&server).contains(&"AUTH PLAIN".to_owned()));
    }

    /// unharmed: texts are for people.
    fn q_080_q_081_q_082_texts_of_all_kinds() {
        for (name, command, text) in [
            ("dovecot", "LIST", "+OK 3 messages:"),
            ("james", "LIST", "+OK 3 "),
            ("hmail", "LIST", "+OK 3 messages ("),
            ("hmail", "RSET", "+OK 0"),
        ] {
            let server = mailbox().personality(name).unwrap().start().unwrap();
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            go!(client.login(&login())).unwrap();
            let reply = match command {
                "LIST" => go!(client.list()).unwrap().reply().clone(),
                _ => go!(client.rset()).unwrap(),
            };
            assert!(reply.line().as_bytes().starts_with(text.as_bytes()), "{name}: {reply:?}");
            drop(client);
            assert!(server.wait_closed(1, ms(5000)));
            go!(whole_session(&server));
        }
        // And so are those of refusals.
        let server = mailbox().personality("dovecot").unwrap().start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&login())).unwrap();
        let error = go!(client.dele(9)).unwrap_err();
        assert!(error.is_refused() && error.to_string().contains("There's no message 9."), "{error}");
    }

    /// unharmed: RFC 1939 is enough, sizes are hints, and a blank line more is kept.
    fn q_086_qmail() {
        let server = mailbox().personality("qmail").unwrap().start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&login())).unwrap();
        let said = go!(client.list()).unwrap().get(1).unwrap().octets;
        let fetched = go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
        assert_eq!(fetched, [MESSAGES[0].as_bytes(), b"\r\n"].concat());
        assert!(said < Some(fetched.len() as u64));
        assert!(go!(client.quit()).is_committed());
        assert!(server.wait_closed(1, ms(5000)));
        go!(whole_session(&server));
    }

    /// unharmed: everything that RFC 1939 has works; what is not there is said not to be.
    fn q_148_the_least_that_a_server_can_be() {
        let server = mailbox().personality("minimal").unwrap().start().unwrap();
        go!(whole_session(&server));
        for command in ["STLS", "UIDL", "TOP"] {
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            go!(client.login(&login())).unwrap();
            let refused = match command {
                "UIDL" => go!(client.uidl()).err(),
                "TOP" => go!(client.top(1, 0)).err(),
                _ => continue,
            };
            assert!(refused.unwrap().is_refused(), "{command}");
            drop(client);
            assert!(server.wait_closed(server.sessions().len(), ms(5000)));
        }
    }

    /// unharmed: the message is what RETR says.
    fn q_149_domino_has_two_headers() {
        let server = mailbox().personality("notes").unwrap().start().unwrap();
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&login())).unwrap();
        let header = go!(go!(client.top(1, 0)).unwrap().read_to_vec()).unwrap();
        let whole = go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap();
        assert!(!whole.starts_with(&header) && whole == MESSAGES[0].as_bytes());
    }

    /// unharmed: each is listed, fetched and emptied like any other.
    fn q_080_every_personality_is_served() {
        for personality in popwire_server::Personality::all() {
            // What these do to messages, to deletion and to logins by password is tested by itself.
            if ["exchange2003", "qpop", "exchange"].contains(&personality.name()) {
                continue;
            }
            let server = mailbox().personality(personality.name()).unwrap().start().unwrap();
            go!(whole_session(&server));
        }
    }
}
