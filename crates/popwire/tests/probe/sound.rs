// Servers that are in order.

use popwire::probe::{Outcome, Subject};
use popwire::{Login, Security};
use popwire_interop::dovecot::{Dovecot, Mail, Options};
use popwire_server::{Maildrop, Server};

use crate::setting::{PASSWORD, login, on_plain_port, plain, said, tls};
use crate::stage::{alice, ids, options};

case! {
    fn nothing_is_found_where_nothing_is_odd() {
        let server = alice().start().unwrap();
        let connectors =
            [tls(&server), on_plain_port(&server, Security::Stls), on_plain_port(&server, Security::OpportunisticStls), plain(&server)];
        for connector in connectors {
            for retr in [false, true] {
                let report = go!(probe(&connector, &login(), options().retr(retr))).unwrap();
                assert_eq!(ids(&report), [""; 0], "{:#?}", report.findings);
                assert!(report.error.is_none(), "{:?}", report.error);
                assert!(report.checks.iter().all(|check| check.outcome != Outcome::Odd), "{:#?}", report.checks);
                assert!(report.checks.iter().all(|check| check.outcome != Outcome::Untried), "{:#?}", report.checks);
                // One aside looks at STLS, and RETR has a session of its own.
                let aside = u32::from(report.capabilities.before_tls.is_some());
                assert_eq!((report.messages, report.connections), (Some(8), 1 + aside + u32::from(retr)));
                assert!(report.round_trip.is_some() && report.login_time.is_some());
                assert_eq!(report.certificate.is_some(), report.tls.is_some());
            }
        }
    }

    fn nothing_is_changed_on_the_server() {
        let server = alice().start().unwrap();
        go!(probe(&tls(&server), &login(), options())).unwrap();
        let lines = said(&server);
        for word in ["RETR", "DELE"] {
            assert!(!lines.iter().any(|line| line.starts_with(word)), "{lines:?}");
        }
        assert_eq!(lines.last().unwrap(), "QUIT");
        assert_eq!(server.maildrop("alice").unwrap().len().unwrap(), 8);

        // Some servers take QUIT after RETR for leave to delete.
        go!(probe(&tls(&server), &login(), options().retr(true))).unwrap();
        assert!(server.wait_closed(3, std::time::Duration::from_secs(5)));
        let lines = said(&server);
        assert_eq!(lines.last().unwrap(), "RETR 3", "{lines:?}");
    }

    fn an_empty_mailbox_has_nothing_to_find_either() {
        let server = Server::builder().user("alice", PASSWORD, Maildrop::memory([""; 0])).start().unwrap();
        let report = go!(probe(&tls(&server), &login(), options().retr(true))).unwrap();
        assert_eq!(ids(&report), [""; 0], "{:#?}", report.findings);
        assert_eq!((report.messages, report.octets), (Some(0), Some(0)));
        let sizes = report.checks.iter().find(|check| check.subject == Subject::Sizes).unwrap();
        assert_eq!(sizes.outcome, Outcome::Untried);
    }

    fn stages_of_capa_are_kept_apart() {
        let server = alice().require_tls(true).start().unwrap();
        let report = go!(probe(&on_plain_port(&server, Security::Stls), &login(), options())).unwrap();
        let stages = report.capabilities;
        let (clear, before, after) =
            (stages.before_tls.unwrap(), stages.before_login.unwrap(), stages.after_login.unwrap());
        assert!(clear.has("STLS") && !clear.has("USER"));
        assert!(before.has("USER") && !before.has("STLS"));
        assert!(!after.has("STLS"));
        let certificate = report.certificate.unwrap();
        assert!(certificate.names.contains(&"localhost".to_owned()) && certificate.names.contains(&"127.0.0.1".to_owned()), "{certificate:?}");
        assert!(certificate.issuer.contains("CA"), "{certificate:?}");
        assert!(certificate.days_left(std::time::SystemTime::now()) > 0, "{certificate:?}");
    }

    fn dovecot_has_nothing_to_find() {
        let without_last = "pop3_enable_last = no\n".to_owned();
        let options_of = |alice| Options { alice, extra_conf: without_last.clone(), ..Options::default() };
        let dovecot = Dovecot::start(&options_of(Mail::awkward())).unwrap();
        let (user, password) = Dovecot::ALICE;
        let tls = popwire::Tls::new().with_root_certificates(&std::fs::read(dovecot.ca()).unwrap()).unwrap();
        let connector = popwire::Connector::new("localhost").tls(tls);
        for connector in [
            connector.clone().port(dovecot.tls_port),
            connector.port(dovecot.port).security(Security::Stls),
        ] {
            let report = go!(probe(&connector, &Login::password(user, password), options().retr(true))).unwrap();
            assert_eq!(ids(&report), [""; 0], "{:#?}", report.findings);
            assert!(report.error.is_none(), "{:?}", report.error);
            assert!(report.messages.unwrap() > 10);
        }
    }
}
