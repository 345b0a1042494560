//! Signs in with an OAuth 2 access token that a command prints, and renews it once if the server refuses it:
//!
//! ```text
//! cargo run -p popwire --example token -- outlook.office365.com alice@example.org 'oama access alice@example.org'
//! ```

use std::io::Write as _;
use std::process::Command;

use popwire::{Ask, Connector, Login, blocking::Client};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: token HOST USER COMMAND");
    let (host, user, command) = (next()?, next()?, next()?);
    let login = Login::token_from(user, move |ask: &Ask| {
        // The command may look at it to know that its last token was not taken.
        let refused = ask.refused.as_ref().and_then(|failure| failure.status.clone()).unwrap_or_default();
        let mut output = Command::new("sh").args(["-c", &command]).env("REFUSED", refused).output()?;
        output.stdout.truncate(output.stdout.trim_ascii_end().len());
        Ok::<_, std::io::Error>(output.stdout)
    });
    let mut client = Client::connect_and_login(&Connector::new(host), &login)?;
    let stat = client.stat()?;
    writeln!(std::io::stdout(), "{} messages", stat.messages)?;
    let _ = client.quit();
    Ok(())
}
