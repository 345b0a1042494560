// TLS and middle boxes, timers, lines of commands: Q-018 to Q-024, Q-117 to Q-120.

use popwire::Security;

use crate::setting::{PASSWORD, ca, login, ms, on_plain_port, said, tls};
use crate::stage::{start, with};

case! {
    /// refused: the password stays here, and the connection is not taken up without TLS.
    fn q_019_stls_is_announced_and_fails() {
        for quirk in ["stls=err", "stls=handshake_fail", "stls=hang"] {
            let server = with(&[quirk]);
            let mut timeouts = popwire::Timeouts::default();
            timeouts.tls = ms(100);
            let connector = on_plain_port(&server, Security::Stls).timeouts(timeouts);
            let error = go!(Client::connect(&connector)).err().unwrap();
            assert_eq!(error.is_timeout(), quirk == "stls=hang", "{quirk}: {error}");
            assert_eq!(said(&server), ["STLS"], "{quirk}");
            // Nor is a password sent where TLS was wanted if it could be had.
            let connector = on_plain_port(&server, Security::OpportunisticStls);
            let mut timeouts = popwire::Timeouts::default();
            timeouts.tls = ms(100);
            if let Ok(mut client) = go!(Client::connect(&connector.timeouts(timeouts))) {
                assert!(go!(client.login(&login())).unwrap_err().is_policy(), "{quirk}");
            }
            assert!(!said(&server).iter().any(|line| line.contains(PASSWORD)), "{quirk}");
        }
    }

    /// unharmed: STLS is no capability once TLS is there.
    fn q_020_stls_is_announced_within_tls() {
        let server = with(&["capa_after_tls=stls"]);
        for connector in [tls(&server), on_plain_port(&server, Security::Stls)] {
            let mut client = go!(Client::connect(&connector)).unwrap();
            go!(client.login(&login())).unwrap();
            assert!(!client.capabilities().has("STLS"));
            assert!(go!(client.quit()).is_committed());
            assert!(server.wait_closed(server.sessions().len(), ms(5000)));
        }
    }

    /// unharmed: nothing is sent behind STLS before the handshake, so there is nothing to carry out.
    fn q_022_commands_behind_stls_are_carried_out() {
        let server = with(&["stls_cmd_inject=vulnerable"]);
        let mut client = go!(Client::connect(&on_plain_port(&server, Security::Stls))).unwrap();
        go!(client.login(&login())).unwrap();
        let session = server.last_session().unwrap();
        let before_tls: Vec<_> = session.lines.iter().filter(|line| !line.tls).map(ToString::to_string).collect();
        assert_eq!(before_tls.last().unwrap(), "S: +OK begin TLS");
        assert_eq!(before_tls.iter().filter(|line| line.starts_with("C: ")).count(), 1, "{before_tls:?}");
    }

    /// unharmed: the name is always sent.
    fn q_018_the_certificate_depends_on_the_name() {
        let server = with(&["tls_require_sni=1"]);
        let mut client = go!(Client::connect(&tls(&server))).unwrap();
        go!(client.login(&login())).unwrap();
        // An address is no name: a client that has none is left.
        let connector = tls(&server);
        let nameless = popwire::Connector::new("127.0.0.1").port(connector.effective_port()).tls(ca(&server));
        assert!(go!(Client::connect(&nameless)).is_err());
    }

    /// refused: what comes between +OK and the handshake ends the connection.
    fn q_021_plaintext_behind_the_ok_of_stls() {
        let server = with(&["stls_inject=\"+OK fake\\r\\n\""]);
        assert!(go!(Client::connect(&on_plain_port(&server, Security::Stls))).is_err());
        assert!(!said(&server).iter().any(|line| line.contains(PASSWORD)));
    }

    /// refused: no session without the TLS that was asked for; where TLS was only wished for, no password.
    fn q_023_stls_is_taken_away() {
        let server = with(&["strip_stls=1"]);
        assert!(go!(Client::connect(&on_plain_port(&server, Security::Stls))).is_err());
        assert_eq!(said(&server), ["STLS"]);
        let mut client = go!(Client::connect(&on_plain_port(&server, Security::OpportunisticStls))).unwrap();
        assert!(go!(client.login(&login())).unwrap_err().is_policy());
        assert!(!said(&server).iter().any(|line| line.contains(PASSWORD)));
    }

    /// unharmed: names go out as they are, and a scanner has its time for the first octet.
    fn q_023_a_scanner_in_between_wants_names_of_its_own_and_time() {
        let name = r"alice@example.org/pop.example.org#1\x";
        let mail = popwire_server::Maildrop::memory(["Subject: 1\r\n\r\none\r\n"]);
        let builder = popwire_server::Server::builder().user(name, PASSWORD, mail);
        let server = start(builder, &["first_byte_delay=300ms"]);
        let mut timeouts = popwire::Timeouts::default();
        timeouts.idle = ms(100);
        let mut client = go!(Client::connect(&tls(&server).timeouts(timeouts))).unwrap();
        go!(client.login(&popwire::Login::password(name, PASSWORD))).unwrap();
        assert!(go!(go!(client.retr(1)).unwrap().read_to_vec()).unwrap().ends_with(b"one\r\n"));
    }
}
