// Every mechanism logs in: against the real Dovecot, over each kind of connection.

use popwire::{Connector, Login, Mechanism, Method, Security, State, Tls};
use popwire_interop::dovecot::{Dovecot, Mail, Options};
#[cfg(feature = "gssapi")]
use popwire_interop::kerberos::Kerberos;

const DOVECOTS: &str = "s3cret pass";

/// Plain, TLS, STLS.
const CHANNELS: [Security; 3] = [Security::Plain, Security::Tls, Security::Stls];

fn dovecot() -> Dovecot {
    Dovecot::start(&Options { alice: Mail::Messages(vec![b"Subject: 1\n\nhello\n".to_vec()]), ..Options::default() })
        .unwrap()
}

fn read(path: std::path::PathBuf) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// A connector to Dovecot; without TLS it may log in all the same.
fn to(dovecot: &Dovecot, security: Security) -> Connector {
    let tls = Tls::new().with_root_certificates(&read(dovecot.ca())).unwrap();
    let port = if security == Security::Tls { dovecot.tls_port } else { dovecot.port };
    let connector = Connector::new(dovecot.host.clone()).port(port).security(security).tls(tls);
    if security == Security::Plain { connector.dangerous_login_without_verified_tls() } else { connector }
}

helper! {
    /// Logs in, reads the mail, and leaves.
    fn gets_in(connector: &Connector, login: &Login, by: impl Into<Method>, messages: u64) {
        let what = format!("{login:?}");
        let mut client = go!(Client::connect(connector)).unwrap();
        let reply = go!(client.login(login)).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(reply.is_ok() && client.state() == State::Transaction, "{what}");
        assert_eq!(client.logged_in_by(), Some(by.into()), "{what}");
        assert_eq!(go!(client.stat()).unwrap().messages, messages, "{what}");
        assert!(go!(client.quit()).is_committed(), "{what}");
    }
}

case! {
    fn dovecot_takes_every_password_mechanism() {
        let dovecot = dovecot();
        for security in CHANNELS {
            let connector = to(&dovecot, security);
            for mechanism in [
                Mechanism::Plain,
                Mechanism::Login,
                Mechanism::CramMd5,
                Mechanism::DigestMd5,
                Mechanism::ScramSha1,
                Mechanism::ScramSha256,
            ] {
                go!(gets_in(&connector, &Login::password("alice", DOVECOTS).methods([mechanism]), mechanism, 1));
            }
            for method in [Method::UserPass, Method::Apop] {
                go!(gets_in(&connector, &Login::password("alice", DOVECOTS).methods([method]), method, 1));
            }
        }
    }

    fn dovecot_takes_tokens_and_we_give_them_over_tls_only() {
        let dovecot = dovecot();
        for token in [dovecot.token(), dovecot.token_rsa()] {
            for mechanism in [Mechanism::OAuthBearer, Mechanism::XOAuth2] {
                let login = Login::token("alice", token).methods([mechanism]);
                for security in [Security::Tls, Security::Stls] {
                    go!(gets_in(&to(&dovecot, security), &login, mechanism, 1));
                }
                let mut client = go!(Client::connect(&to(&dovecot, Security::Plain))).unwrap();
                assert!(go!(client.login(&login)).unwrap_err().is_policy());
            }
        }
    }

    fn dovecot_takes_a_certificate_and_nobody_in_particular() {
        let dovecot = dovecot();
        let certificate = (read(dovecot.client_cert()), read(dovecot.client_key()));
        for security in [Security::Tls, Security::Stls] {
            let tls = Tls::new().with_root_certificates(&read(dovecot.ca())).unwrap();
            let tls = tls.with_client_certificate(&certificate.0, certificate.1.clone()).unwrap();
            let connector = to(&dovecot, security).tls(tls);
            go!(gets_in(&connector, &Login::external().acting_as("alice"), Mechanism::External, 1));
            go!(gets_in(&connector, &Login::external(), Mechanism::External, 1));
        }
        for security in CHANNELS {
            go!(gets_in(&to(&dovecot, security), &Login::anonymous("somebody"), Mechanism::Anonymous, 0));
        }
    }

    /// The Kerberos library looks into the environment of the process, so the test runs itself again in a child that has
    /// the environment of its realm.
    #[cfg(feature = "gssapi")]
    fn dovecot_and_the_embedded_server_take_a_ticket() {
        const HOME: &str = "POPWIRE_TEST_DOVECOT";
        if let Some(place) = std::env::var_os(HOME) {
            let place = place.into_string().unwrap();
            let (ports, ca) = place.split_once(' ').unwrap();
            let (port, tls_port) = ports.split_once(',').unwrap();
            for (security, port) in CHANNELS.into_iter().zip([port, tls_port, port]) {
                let tls = Tls::new().with_root_certificates(&read(ca.into())).unwrap();
                let connector =
                    Connector::new("localhost").port(port.parse().unwrap()).security(security).tls(tls);
                let connector = connector.dangerous_login_without_verified_tls();
                go!(gets_in(&connector, &Login::gssapi(), Mechanism::Gssapi, 1));
                go!(gets_in(&connector, &Login::gssapi().acting_as("alice"), Mechanism::Gssapi, 1));
                let mut client = go!(Client::connect(&connector)).unwrap();
                let error = go!(client.login(&Login::gssapi().acting_as("bob"))).unwrap_err();
                assert!(error.is_authentication(), "{error}");
            }
            let server = crate::setting::alice().sasl([Mechanism::Gssapi, Mechanism::Plain]).start().unwrap();
            for connector in [
                crate::setting::plain(&server),
                crate::setting::tls(&server),
                crate::setting::on_plain_port(&server, Security::Stls),
            ] {
                go!(gets_in(&connector, &Login::gssapi(), Mechanism::Gssapi, 2));
                go!(gets_in(&connector, &Login::gssapi().acting_as("alice"), Mechanism::Gssapi, 2));
                let mut client = go!(Client::connect(&connector)).unwrap();
                let error = go!(client.login(&Login::gssapi().acting_as("bob"))).unwrap_err();
                assert!(error.is_authentication(), "{error}");
                // Nothing is left of it.
                let password = crate::setting::login().methods([Mechanism::Plain]);
                go!(client.login(&password)).unwrap();
                assert!(go!(client.quit()).is_committed());
            }
            return;
        }
        let kerberos = Kerberos::start().unwrap();
        let mail = Mail::Messages(vec![b"Subject: 1\n\nhello\n".to_vec()]);
        let options =
            Options { alice: mail, extra_conf: kerberos.dovecot_conf(), ..Options::default() };
        let dovecot = Dovecot::start(&options).unwrap();
        let name = format!("{}::dovecot_and_the_embedded_server_take_a_ticket", module_path!().split_once("::").unwrap().1);
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &name, "--nocapture"])
            .envs(kerberos.environment(kerberos.ccache()))
            .env("KRB5_KTNAME", kerberos.keytab())
            .env("KRB5RCACHENAME", "none:")
            .env(HOME, format!("{},{} {}", dovecot.port, dovecot.tls_port, dovecot.ca().display()))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let all = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.contains("1 passed"), "{all}");
    }
}
