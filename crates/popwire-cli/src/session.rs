//! From an account to a session that is signed in.

use popwire::Secret;
use popwire::blocking::Client;

use crate::explain::{self, Problem, Stage};
use crate::output::{Output, Verbosity};
use crate::settings::Account;

/// Connects and signs in.
pub(crate) fn open(account: &Account, password: Secret, output: &mut Output) -> Result<Client, Problem> {
    let host = account.host();
    let mut client = Client::connect(&account.connector)
        .map_err(|error| explain::session(&error, host, Stage::Connecting))?;
    let protection = match client.tls() {
        Some(tls) if tls.verified => format!("{}, {}", tls.version, tls.cipher_suite),
        Some(tls) => format!("{}, {}, its identity not verified", tls.version, tls.cipher_suite),
        None => "no TLS".to_owned(),
    };
    let port = account.connector.effective_port();
    output.note(Verbosity::Messages, &format!("connected to {host}, port {port} ({protection})"));
    client
        .login(&account.login(password))
        .map_err(|error| explain::session(&error, host, Stage::SigningIn))?;
    Ok(client)
}
