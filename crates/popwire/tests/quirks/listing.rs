// STAT, LIST and UIDL.

use crate::setting::{login, tls};
use crate::stage::{MESSAGES, start, with};
use popwire_server::{Maildrop, Server};

helper! {
    /// A session of alice.
    fn enter(server: &Server) -> Client {
        let mut client = go!(Client::connect(&tls(server))).unwrap();
        go!(client.login(&login())).unwrap();
        client
    }

    /// Every message can be fetched, whatever the listings said.
    fn fetches_all(client: &mut Client) {
        for (number, message) in (1..).zip(MESSAGES) {
            assert_eq!(go!(go!(client.retr(number)).unwrap().read_to_vec()).unwrap(), message.as_bytes());
        }
    }
}

case! {
    /// refused: a listing beyond the limit ends the session; a huge count is a number, and nothing is set aside for it.
    fn q_010_endless_listings_and_huge_counts() {
        let server = with(&["uidl_flood=5000000"]);
        let mut client = go!(enter(&server));
        let error = go!(client.uidl()).unwrap_err();
        assert!(matches!(error.protocol(), Some(popwire::proto::Error::TooLarge { .. })), "{error:?}");
        assert!(!error.is_retryable() && client.is_broken());

        let server = with(&["stat_count=2147483647"]);
        let mut client = go!(enter(&server));
        assert_eq!(go!(client.stat()).unwrap().messages, 2_147_483_647);
        assert_eq!(go!(client.list()).unwrap().len(), 3);
    }

    /// refused: STAT's words are shown; the session goes on.
    fn q_043_stat_says_that_the_login_came_too_soon() {
        let server = with(&["stat=login_delay"]);
        let mut client = go!(enter(&server));
        let error = go!(client.stat()).unwrap_err();
        assert!(error.is_refused() && error.to_string().contains("every 15 minutes"), "{error:?}");
        go!(fetches_all(&mut client));
    }

    /// unharmed: the count stands, and the size is unknown.
    fn q_061_a_negative_size() {
        let server = with(&["stat_size=-1024"]);
        let mut client = go!(enter(&server));
        let stat = go!(client.stat()).unwrap();
        assert_eq!((stat.messages, stat.octets), (3, None));

        let server = with(&["stat_size=-1024", "stat_count=7"]);
        let mut client = go!(enter(&server));
        let stat = go!(client.stat()).unwrap();
        assert_eq!((stat.messages, stat.octets), (7, None));
    }

    /// unharmed: the count stands, and the size is unknown.
    fn q_062_no_size_or_words_for_it() {
        for quirk in ["stat=garbage1", "stat=garbage2", "stat=garbage3"] {
            let server = with(&[quirk]);
            let mut client = go!(enter(&server));
            let stat = go!(client.stat()).unwrap();
            assert_eq!((stat.messages, stat.octets), (3, None), "{quirk}");
            assert_eq!(go!(client.list()).unwrap().len(), 3);
        }
    }

    /// refused: LIST of nothing is an error, and the session goes on; STAT tells that it is nothing.
    fn q_063_an_empty_mailbox_has_no_listing() {
        let builder = Server::builder().user("alice", crate::setting::PASSWORD, Maildrop::empty());
        let server = start(builder, &["empty_list=err"]);
        let mut client = go!(enter(&server));
        assert_eq!(go!(client.stat()).unwrap().messages, 0);
        assert!(go!(client.list()).unwrap_err().is_refused());
        assert!(go!(client.quit()).is_committed());
    }

    /// told: bad lines are skipped and counted, the others go by their numbers, and every message can be fetched.
    fn q_064_lines_that_are_none() {
        for (quirk, scans, ids) in [
            ("list_lines=comcast-error1", &[1, 2][..], &[1, 2][..]),
            ("list_lines=comcast-error2", &[1, 2, u32::MAX], &[1, 2, u32::MAX]),
            ("list_lines=comcast-error3", &[3], &[3]),
        ] {
            let server = with(&[quirk]);
            let mut client = go!(enter(&server));
            let listed = go!(client.list()).unwrap();
            assert_eq!(listed.iter().map(|scan| scan.number).collect::<Vec<_>>(), scans, "{quirk}");
            let uidl = go!(client.uidl()).unwrap();
            assert_eq!(uidl.iter().map(|(number, _)| number).collect::<Vec<_>>(), ids, "{quirk}");
            assert_eq!(listed.skipped() > 0, quirk != "list_lines=comcast-error2", "{quirk}");
            // A number without a size, or with one that is none, is a message of unknown size.
            assert!(listed.get(2).is_none_or(|scan| scan.octets.is_none()), "{quirk}");
            go!(fetches_all(&mut client));
        }
    }

    /// unharmed: any run of blanks is one.
    fn q_065_many_blanks() {
        let plain = go!(go!(enter(&with(&[]))).uidl()).unwrap();
        for quirk in ["uidl_sep=\"  \"", "uidl_sep=\" \\t \""] {
            let uidl = go!(go!(enter(&with(&[quirk]))).uidl()).unwrap();
            assert_eq!(uidl.iter().collect::<Vec<_>>(), plain.iter().collect::<Vec<_>>(), "{quirk}");
        }
    }

    /// unharmed: the status is dropped.
    fn q_066_a_status_before_each_line() {
        let plain = go!(go!(enter(&with(&[]))).uidl()).unwrap();
        let uidl = go!(go!(enter(&with(&["uidl_prefix=\"+OK \""]))).uidl()).unwrap();
        assert_eq!(uidl.iter().collect::<Vec<_>>(), plain.iter().collect::<Vec<_>>());
    }

    /// told: the lone field is the unique-id; a stray second line is never the next command's answer.
    fn q_067_uidl_of_one_message() {
        let plain = go!(go!(enter(&with(&[]))).uidl()).unwrap();
        let server = with(&["uidl1=nonum"]);
        let mut client = go!(enter(&server));
        assert_eq!(go!(client.uidl_one(2)).unwrap().uid(), plain.get(2).unwrap());
        go!(fetches_all(&mut client));

        let server = with(&["uidl1=multiline"]);
        let mut client = go!(enter(&server));
        assert_eq!(go!(client.uidl_one(2)).unwrap().uid(), plain.get(2).unwrap());
        // Either it is seen and the session is over, or the next answer is the right one.
        match go!(client.stat()) {
            Ok(stat) => assert_eq!(stat.messages, 3),
            Err(error) => assert!(error.is_protocol() && client.is_broken(), "{error:?}"),
        }
        // The full listing is the safe way.
        drop(client);
        let server = with(&["uidl1=multiline"]);
        let mut client = go!(enter(&server));
        assert_eq!(go!(client.uidl()).unwrap().len(), 3);
        go!(fetches_all(&mut client));
    }

    /// told: it is listed, and marked as blank, so that it is no key.
    fn q_068_a_blank_unique_id() {
        let server = with(&["uidl_blank=3"]);
        let mut client = go!(enter(&server));
        let uidl = go!(client.uidl()).unwrap();
        assert_eq!(uidl.iter().map(|(_, id)| id.is_blank()).collect::<Vec<_>>(), [false, false, true]);
        // Nor is the number taken for it where that is all the server says.
        assert!(go!(client.uidl_one(3)).unwrap().uid().is_blank());
        assert_eq!(go!(client.uidl_one(2)).unwrap().uid(), uidl.get(2).unwrap());
        go!(fetches_all(&mut client));
    }

    /// told: both are listed, each under its number, and one can be deleted without the other.
    fn q_069_one_unique_id_for_two_messages() {
        let server = with(&["uidl_dup=1,3"]);
        let mut client = go!(enter(&server));
        let uidl = go!(client.uidl()).unwrap();
        assert_eq!(uidl.len(), 3);
        assert_eq!(uidl.get(1), uidl.get(3));
        assert_ne!(uidl.get(1), uidl.get(2));
        go!(fetches_all(&mut client));
        go!(client.dele(3)).unwrap();
        assert!(go!(client.quit()).is_committed());
        assert_eq!(server.maildrop("alice").unwrap().messages().unwrap(), MESSAGES[..2].to_vec().iter().map(|message| message.as_bytes().to_vec()).collect::<Vec<_>>());
    }

    /// told: they are taken as they are, flagged as irregular, and never printed raw.
    fn q_070_unique_ids_that_are_against_the_rules() {
        for (quirk, end) in [
            ("uidl_weird=long", &b"xxx"[..]),
            ("uidl_weird=space", b" and more"),
            ("uidl_weird=8bit", b"\xfc\xff"),
            ("uidl_weird=control", b"\x01\x1b[31m"),
        ] {
            let server = with(&[quirk]);
            let mut client = go!(enter(&server));
            let uidl = go!(client.uidl()).unwrap();
            assert_eq!(uidl.len(), 3, "{quirk}");
            for (_, id) in uidl.iter() {
                assert!(id.as_bytes().ends_with(end) && !id.is_regular(), "{quirk}: {id}");
                assert!(!id.to_string().chars().any(char::is_control), "{quirk}");
            }
            go!(fetches_all(&mut client));
        }
    }

    /// refused: an error with the server's words, which ask for patience; the next time it works.
    fn q_075_uidl_fails_for_now() {
        let server = with(&["uidl=err_transient"]);
        let mut client = go!(enter(&server));
        assert!(client.capabilities().has("UIDL"));
        let error = go!(client.uidl()).unwrap_err();
        assert!(error.is_temporary() && error.to_string().contains("try again later"), "{error:?}");
        assert!(!client.is_broken());
        assert_eq!(go!(client.uidl()).unwrap().len(), 3);
    }

    /// refused: an error, which is never an empty listing; everything else works.
    fn q_076_there_is_no_uidl() {
        let server = with(&["uidl=none"]);
        let mut client = go!(enter(&server));
        assert!(!client.capabilities().has("UIDL"));
        for _ in 0..2 {
            assert!(go!(client.uidl()).unwrap_err().is_refused());
        }
        go!(fetches_all(&mut client));
    }

    /// refused: nothing of the listing is used.
    fn q_079_the_connection_ends_within_a_listing() {
        // After the third, nothing but the dot is missing.
        for quirk in ["uidl_cut_after=0", "uidl_cut_after=1", "uidl_cut_after=2", "uidl_cut_after=3"] {
            let server = with(&[quirk]);
            let mut client = go!(enter(&server));
            let error = go!(client.uidl()).unwrap_err();
            assert!(error.is_closed() && error.is_retryable(), "{quirk}: {error:?}");
            assert!(client.is_broken());
        }
    }

    /// unharmed: sizes are hints; the octets are those that came, whole.
    fn q_083_q_084_q_085_q_087_q_150_sizes_that_are_not_true() {
        let sizes = MESSAGES.map(|message| message.len() as u64);
        let lines = MESSAGES.map(|message| message.lines().count() as u64);
        for (quirk, expected) in [
            ("list_size=x0.6", sizes.map(|size| size * 60 / 100)),
            ("list_size=round1024", [1024; 3]),
            ("list_size=const1024", [1024; 3]),
            ("list_size=x3", sizes.map(|size| size * 3)),
            ("list_size=lf", std::array::from_fn(|at| sizes[at] - lines[at])),
        ] {
            let server = with(&[quirk]);
            let mut client = go!(enter(&server));
            let listed = go!(client.list()).unwrap();
            let said: Vec<_> = listed.iter().map(|scan| scan.octets.unwrap()).collect();
            assert_eq!(said, expected, "{quirk}");
            assert_eq!(go!(client.stat()).unwrap().octets, Some(expected.iter().sum()), "{quirk}");
            go!(fetches_all(&mut client));
        }
    }

    /// unharmed: an absurd size is a number; nothing is set aside for it.
    fn q_088_absurd_sizes() {
        for size in [4_294_967_295, u64::MAX / 4, u64::MAX] {
            let server = with(&[format!("list_size={size}").as_str()]);
            let mut client = go!(enter(&server));
            assert!(go!(client.stat()).unwrap().octets >= Some(size));
            assert_eq!(go!(client.list()).unwrap().get(1).unwrap().octets, Some(size));
            go!(fetches_all(&mut client));
        }
    }
}
