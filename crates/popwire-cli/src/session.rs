//! From an account to a session that is signed in.

use popwire::Login;
use popwire::blocking::Client;

use crate::explain::{self, Problem, Stage};
use crate::output::{Output, Verbosity};
use crate::settings::Account;

/// Connects and signs in. A server that hangs up over a way to sign in is tried again by the next one.
pub(crate) fn open(account: &Account, mut login: Login, output: &mut Output) -> Result<Client, Problem> {
    let host = account.host();
    let failed = |error, stage| explain::session(&error, host, stage).of(account.configured.as_ref());
    // A token command may ask a person, and servers do not wait for people.
    login = login.ask(host).map_err(|error| failed(error, Stage::Connecting))?;
    loop {
        let mut client =
            Client::connect(&account.connector).map_err(|error| failed(error, Stage::Connecting))?;
        let protection = match client.tls() {
            Some(tls) if tls.verified => format!("{}, {}", tls.version, tls.cipher_suite),
            Some(tls) => format!("{}, {}, its identity not verified", tls.version, tls.cipher_suite),
            None => "no TLS".to_owned(),
        };
        let port = account.connector.effective_port();
        output.note(Verbosity::Messages, &format!("connected to {host}, port {port} ({protection})"));
        match client.login(&login) {
            Ok(_) => {
                if let Some(method) = client.logged_in_by() {
                    output.note(Verbosity::Messages, &format!("signed in by {method}"));
                }
                return Ok(client);
            }
            Err(error) => match login.after(&error) {
                Some(next) => login = next,
                None => return Err(failed(error, Stage::SigningIn)),
            },
        }
    }
}
