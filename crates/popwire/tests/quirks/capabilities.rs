// Greeting and capabilities.

use popwire::proto::{Error as Protocol, Foreign};

use crate::setting::{PASSWORD, login, ms, plain, said, tls, took};
use crate::stage::{start, with};

helper! {
    /// Signs in to a server with these quirks.
    fn enter(quirks: &[&str]) -> (popwire_server::Server, Client) {
        let server = with(quirks);
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&login())).unwrap();
        (server, client)
    }
}

case! {
    /// refused: a CAPA without an answer ends the connection in `Timeouts::capa`; `without_capa` gets in.
    fn q_001_capa_is_never_answered() {
        for quirk in ["capa=close", "capa=hang", "capa=garbage"] {
            let server = with(&[quirk]);
            let mut timeouts = popwire::Timeouts::default();
            timeouts.capa = ms(100);
            let start = std::time::Instant::now();
            let error = go!(Client::connect(&tls(&server).timeouts(timeouts))).err().unwrap();
            took(start, 0..5000);
            assert_eq!(error.is_timeout(), quirk == "capa=hang", "{quirk}: {error}");
            let mut client = go!(Client::connect(&tls(&server).without_capa())).unwrap();
            go!(client.login(&login())).unwrap();
            assert_eq!(go!(client.stat()).unwrap().messages, 3);
        }
    }

    /// unharmed: what CAPA said before login is kept when it fails after it, but SASL.
    fn q_002_capa_fails_after_login() {
        let (_server, client) = go!(enter(&["capa_after_login=err", "ok_text=empty"]));
        let capabilities = client.capabilities();
        assert!(capabilities.has("TOP") && capabilities.has("UIDL") && capabilities.has("PIPELINING"));
        assert!(!capabilities.has("SASL") && !capabilities.has("STLS"));
    }

    /// unharmed: a command that CAPA leaves out is tried when it is asked for.
    fn q_003_capa_leaves_out_what_works() {
        let (_server, mut client) = go!(enter(&["capa_omit=UIDL,TOP"]));
        assert!(!client.capabilities().has("UIDL") && !client.capabilities().has("TOP"));
        assert!(go!(client.uidl_one(1)).is_ok());
        assert!(go!(go!(client.top(1, 0)).unwrap().read_to_vec()).unwrap().starts_with(b"Subject: 1\r\n"));
    }

    /// unharmed: no text is looked for behind +OK.
    fn q_004_ok_stands_alone() {
        let (_server, mut client) = go!(enter(&["ok_text=empty"]));
        assert_eq!(go!(client.list()).unwrap().len(), 3);
        assert_eq!(go!(client.uidl()).unwrap().len(), 3);
    }

    /// unharmed: what is announced counts from the login on; vendors' tags are kept.
    fn q_005_capabilities_change_with_the_login() {
        let quirks = [
            "capa_pre=\"EXPIRE 31 USER\\nUSER\\nTOP\\nX-ZIMBRA\"",
            "capa_post=\"EXPIRE NEVER\\nUIDL\\nXOIP\"",
        ];
        let server = with(&quirks);
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        assert!(client.capabilities().has("X-ZIMBRA") && !client.capabilities().has("UIDL"));
        assert_ne!(client.capabilities().expire(), Some(popwire::Expire::Never));
        go!(client.login(&login())).unwrap();
        assert!(client.capabilities().has("XOIP") && client.capabilities().has("UIDL"));
        assert!(!client.capabilities().has("TOP"));
        assert_eq!(client.capabilities().expire(), Some(popwire::Expire::Never));
    }

    /// unharmed: a mechanism that the caller names is tried, announced or not.
    fn q_007_a_mechanism_is_not_announced() {
        let offered = [popwire_server::Mechanism::Plain, popwire_server::Mechanism::XOAuth2];
        let builder = crate::setting::alice().token("alice", "t0ken").sasl(offered);
        let server = start(builder, &["capa_hide_mech=XOAUTH2"]);
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        let announced: Vec<_> = client.capabilities().sasl_mechanisms().map(ToString::to_string).collect();
        assert_eq!(announced, ["PLAIN"]);
        let login = popwire::Login::token("alice", "t0ken").methods([popwire::Mechanism::XOAuth2]);
        go!(client.login(&login)).unwrap();
        // Not announced, so in two lines.
        assert!(said(&server).contains(&"AUTH XOAUTH2".to_owned()));
    }

    /// unharmed: white space at the end of a line is no part of it.
    fn q_008_blanks_end_the_lines() {
        let (_server, client) = go!(enter(&["capa_trailing_ws=1"]));
        assert!(client.capabilities().has("UIDL") && client.capabilities().has("PIPELINING"));
    }

    /// refused: a list of capabilities that is too long is an error.
    fn q_010_capabilities_without_end() {
        let server = with(&["capa_flood=100000"]);
        let error = go!(Client::connect(&tls(&server))).err().unwrap();
        assert!(error.is_protocol(), "{error}");
    }

    /// unharmed: only a dot alone ends a list.
    fn q_011_a_capability_begins_with_a_dot() {
        let (_server, client) = go!(enter(&["capa_line=..X"]));
        assert!(client.capabilities().has(".X") && client.capabilities().has("UIDL"));
    }

    /// unharmed: what is in brackets behind the text is no response code.
    fn q_012_base64_in_the_greeting() {
        let (_server, mut client) = go!(enter(&["greeting=exchange"]));
        assert_eq!(go!(client.stat()).unwrap().messages, 3);
    }

    /// unharmed: APOP finds no timestamp there, and says so before anything is sent; passwords get in.
    fn q_013_brackets_around_no_msg_id() {
        for quirk in ["greeting=apop_bad1", "greeting=apop_bad2", "greeting=apop_bad3", "greeting=apop_bad4"] {
            let (server, mut client) = go!(enter(&[quirk]));
            assert_eq!(go!(client.stat()).unwrap().messages, 3);
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            assert!(go!(client.login(&popwire::Login::apop("alice", PASSWORD))).is_err(), "{quirk}");
            assert!(!said(&server).iter().any(|line| line.starts_with("APOP")), "{quirk}");
        }
    }

    /// refused: the server's words are shown, or the protocol is named that the port speaks.
    fn q_015_q_147_the_greeting_is_a_refusal_or_of_another_protocol() {
        for quirk in ["greeting=err", "greeting=busy"] {
            let error = go!(Client::connect(&tls(&with(&[quirk])))).err().unwrap();
            assert!(error.is_refused() && !error.is_authentication(), "{quirk}: {error}");
            assert_eq!(error.to_string().contains("Maximum connection limit"), quirk == "greeting=busy", "{error}");
        }
        for (quirk, foreign) in [
            ("greeting=imap", Foreign::Imap),
            ("greeting=smtp", Foreign::Smtp),
            ("greeting=http", Foreign::Http),
            ("greeting=tls", Foreign::Tls),
        ] {
            let server = with(&[quirk]);
            let error = go!(Client::connect(&plain(&server))).err().unwrap();
            assert_eq!(error.protocol(), Some(&Protocol::NotPop3(foreign)), "{quirk}");
            assert!(said(&server).is_empty(), "{quirk}");
        }
    }

    /// unharmed: what one connection announced is not believed of the next.
    fn q_016_two_hosts_behind_one_name() {
        let server = with(&["alternate=2"]);
        for has_uidl in [true, false, true] {
            let mut client = go!(Client::connect(&tls(&server))).unwrap();
            go!(client.login(&login())).unwrap();
            assert_eq!(client.capabilities().has("UIDL"), has_uidl);
            assert_eq!(go!(client.uidl()).unwrap().len(), 3);
            assert!(go!(client.quit()).is_committed());
        }
    }
}
