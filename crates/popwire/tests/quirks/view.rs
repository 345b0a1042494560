// What a session shows of the maildrop, and what it shows otherwise the next time,
//

use popwire::Login;
use popwire_server::{Maildrop, Server};

use crate::setting::{PASSWORD, login, ms, tls};
use crate::stage::{MESSAGES, start, with};

helper! {
    /// A session of alice.
    fn session(server: &Server) -> Client {
        let mut client = go!(Client::connect(&tls(server))).unwrap();
        go!(client.login(&login())).unwrap();
        client
    }

    /// The unique-ids that a session shows.
    fn ids(server: &Server) -> Vec<String> {
        let mut client = go!(session(server));
        let ids = go!(client.uidl()).unwrap();
        end(server, go!(client.quit()).is_committed());
        ids.iter().map(|(_, id)| id.to_string()).collect()
    }
}

/// The session is over: the next one finds the maildrop free.
fn end(server: &Server, committed: bool) {
    assert!(committed && server.wait_closed(server.sessions().len(), ms(5000)));
}

case! {
    /// told: every unique-id differs from those of the last session; the caller compares, nothing is fetched by itself.
    fn q_071_all_unique_ids_change() {
        let server = with(&["uidl_epoch=next"]);
        let (first, second) = (go!(ids(&server)), go!(ids(&server)));
        assert_eq!((first.len(), second.len()), (3, 3));
        assert!(first.iter().all(|id| !second.contains(id)), "{first:?} {second:?}");
    }

    /// told: a unique-id may come back after it was away, with the same size and the same octets.
    fn q_073_unique_ids_change_with_the_clock() {
        let server = with(&["uidl_epoch=dst"]);
        let sessions = [go!(ids(&server)), go!(ids(&server)), go!(ids(&server))];
        assert_eq!(sessions[0], sessions[2]);
        assert!(sessions[0].iter().all(|id| !sessions[1].contains(id)), "{sessions:?}");
    }

    /// told: the same unique-id is another message; size and header tell.
    fn q_072_unique_ids_are_used_again() {
        let server = with(&["uidl_reuse=1"]);
        let mut client = go!(session(&server));
        let before = go!(client.list()).unwrap().get(1).unwrap();
        assert_eq!(go!(client.uidl_one(1)).unwrap().uid().as_bytes(), b"1");
        go!(client.dele(1)).unwrap();
        end(&server, go!(client.quit()).is_committed());
        server.maildrop("alice").unwrap().deliver("Subject: new\r\n\r\nnew\r\n").unwrap();

        let mut client = go!(session(&server));
        let ids = go!(client.uidl()).unwrap();
        // The others keep theirs.
        assert_eq!(ids.iter().map(|(_, id)| id.to_string()).collect::<Vec<_>>(), ["2", "3", "1"]);
        let after = go!(client.list()).unwrap().get(3).unwrap();
        assert_ne!(before.octets, after.octets);
        let header = go!(go!(client.top(3, 0)).unwrap().read_to_vec()).unwrap();
        assert!(header.starts_with(b"Subject: new\r\n"));
    }

    /// told: equal messages have one unique-id, and each is listed, fetched and deleted by its number.
    fn q_074_unique_ids_are_hashes_of_headers() {
        let twins = ["Subject: x\r\n\r\none\r\n", "Subject: x\r\n\r\ntwo\r\n", "Subject: y\r\n\r\none\r\n"];
        let builder = Server::builder().user("alice", PASSWORD, Maildrop::memory(twins));
        let server = start(builder, &["uidl_format=popa3d"]);
        let mut client = go!(session(&server));
        let listed = go!(client.uidl()).unwrap();
        let ids: Vec<_> = listed.iter().map(|(_, id)| id.to_string()).collect();
        assert!(ids[0] == ids[1] && ids[1] != ids[2], "{ids:?}");
        for (number, message) in (1..).zip(twins) {
            assert_eq!(go!(go!(client.retr(number)).unwrap().read_to_vec()).unwrap(), message.as_bytes());
        }
        go!(client.dele(2)).unwrap();
        end(&server, go!(client.quit()).is_committed());
        assert_eq!(server.maildrop("alice").unwrap().messages().unwrap(), [twins[0].as_bytes(), twins[2].as_bytes()]);
    }

    /// told: each listing says which numbers it has; what only one of them has is no error, and can be fetched.
    fn q_077_a_message_is_in_one_listing_only() {
        let server = with(&["race_new_mail=1"]);
        let mut client = go!(session(&server));
        let (scan, ids) = (go!(client.list()).unwrap(), go!(client.uidl()).unwrap());
        assert_eq!((scan.len(), ids.len()), (2, 3));
        assert!(scan.get(3).is_none() && ids.get(3).is_some());
        assert_eq!(go!(go!(client.retr(3)).unwrap().read_to_vec()).unwrap(), MESSAGES[2].as_bytes());
    }

    /// told: the listing is what the server says; whoever keeps state must not forget what is missing once.
    fn q_078_a_listing_shows_a_part_once() {
        let server = with(&["uidl_partial_once=1"]);
        let sessions = [go!(ids(&server)), go!(ids(&server)), go!(ids(&server))];
        assert_eq!(sessions[0], sessions[2]);
        assert!(sessions[1].len() < 3 && sessions[0].starts_with(&sessions[1]), "{sessions:?}");
    }

    /// unharmed: session after session fetches what there is, until there is nothing.
    fn q_089_q_122_q_145_a_session_shows_a_part_of_the_mailbox() {
        let server = with(&["window=2"]);
        let mut fetched = Vec::new();
        for expected in [2, 1, 0] {
            let mut client = go!(session(&server));
            let scan = go!(client.list()).unwrap();
            assert_eq!(scan.len(), expected);
            for message in scan.iter() {
                fetched.push(go!(go!(client.retr(message.number)).unwrap().read_to_vec()).unwrap());
                go!(client.dele(message.number)).unwrap();
            }
            end(&server, go!(client.quit()).is_committed());
        }
        assert_eq!(fetched, MESSAGES.map(|message| message.as_bytes().to_vec()));
    }

    /// unharmed: what is not shown is not touched.
    fn q_152_only_the_last_days_are_shown() {
        let server = with(&["window=days"]);
        let mut client = go!(session(&server));
        let shown = go!(client.list()).unwrap();
        assert_eq!(shown.len(), 2);
        assert_eq!(go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap(), MESSAGES[1].as_bytes());
        end(&server, go!(client.quit()).is_committed());
        assert_eq!(server.maildrop("alice").unwrap().len().unwrap(), 3);
    }

    /// told: the next session lists them no more; TOP alone, or a session without QUIT, leaves them.
    fn q_121_what_was_retrieved_is_gone_without_dele() {
        let server = with(&["popped=on_quit"]);
        let mut client = go!(session(&server));
        drop(go!(go!(client.top(1, 0)).unwrap().read_to_vec()).unwrap());
        end(&server, go!(client.quit()).is_committed());
        let mut client = go!(session(&server));
        drop(go!(go!(client.retr(2)).unwrap().read_to_vec()).unwrap());
        drop(client);
        assert!(server.wait_closed(2, ms(5000)));
        let mut client = go!(session(&server));
        assert_eq!(go!(client.list()).unwrap().len(), 3);
        drop(go!(go!(client.retr(2)).unwrap().read_to_vec()).unwrap());
        end(&server, go!(client.quit()).is_committed());
        assert_eq!(go!(ids(&server)).len(), 2);
    }

    /// unharmed: the name goes out as it is, and popped mail is listed.
    fn q_123_recent_mode_lists_what_was_popped() {
        let server = with(&["popped=on_quit"]);
        let mut client = go!(session(&server));
        let id = go!(client.uidl_one(1)).unwrap().uid().to_string();
        drop(go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap());
        end(&server, go!(client.quit()).is_committed());
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&Login::password("recent:alice", PASSWORD))).unwrap();
        // By the same unique-id, so that whoever keeps state does not fetch it twice.
        assert_eq!(go!(client.uidl_one(1)).unwrap().uid().to_string(), id);
        assert_eq!(go!(client.list()).unwrap().len(), 3);
    }

    /// unharmed: numbers are of the session only; the unique-ids stay.
    fn q_153_the_order_changes_between_sessions() {
        let server = with(&["order=shuffle_between_sessions"]);
        let (mut first, second) = (go!(ids(&server)), go!(ids(&server)));
        assert_ne!(first, second);
        first.reverse();
        assert_eq!(first, second);
    }

    /// told: it is a message like others; what it is, its subject says.
    fn q_113_the_first_message_is_the_servers_own() {
        let server = with(&["msg1=folder_internal"]);
        let mut client = go!(session(&server));
        assert_eq!(go!(client.list()).unwrap().len(), 4);
        let header = go!(go!(client.top(1, 0)).unwrap().read_to_vec()).unwrap();
        assert!(String::from_utf8(header).unwrap().contains("FOLDER INTERNAL DATA"));
        assert_eq!(go!(go!(client.retr(2)).unwrap().read_to_vec()).unwrap(), MESSAGES[0].as_bytes());
    }

    /// unharmed: a name with switches is sent as it is.
    fn q_151_names_carry_switches() {
        let name = "alice:v=1sdl=10";
        let builder = Server::builder().user(name, PASSWORD, Maildrop::memory(MESSAGES));
        let server = start(builder, &[]);
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&Login::password(name, PASSWORD))).unwrap();
        assert_eq!(crate::setting::said(&server)[1], format!("USER {name}"));
    }

    /// unharmed: unique-ids of any server's form are taken as they are, and stay the same.
    fn q_074_unique_ids_have_the_forms_of_many_servers() {
        for form in ["dovecot", "courier", "cyrus", "mailutils", "mailfront", "twisted", "wildduck"] {
            let server = with(&[format!("uidl_format={form}").as_str()]);
            let (first, second) = (go!(ids(&server)), go!(ids(&server)));
            assert_eq!(first, second, "{form}");
            assert_eq!(first.iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "{form}: {first:?}");
        }
    }
}
