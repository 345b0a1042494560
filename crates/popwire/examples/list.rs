//! Lists a mailbox: number, size and unique-id of each message.
//!
//! ```sh
//! POPWIRE_PASSWORD=... cargo run -p popwire --example list pops://alice@pop.example.org [ca.pem]
//! ```

use std::io::Write as _;

use popwire::blocking::Client;
use popwire::{Login, PopUrl, Tls};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url: PopUrl = arguments.next().ok_or("usage: list URL [CA]")?.parse()?;
    let mut connector = url.connector();
    if let Some(ca) = arguments.next() {
        connector = connector.tls(Tls::new().with_root_certificates(&std::fs::read(ca)?)?);
    }
    let user = url.user().ok_or("the URL has no user")?;
    let login = Login::password(user, std::env::var("POPWIRE_PASSWORD")?);

    let mut client = Client::connect(&connector)?;
    client.login(&login)?;
    let sizes = client.list()?;
    let ids = client.uidl()?;
    let mut out = std::io::stdout().lock();
    for scan in sizes.iter() {
        let size = scan.octets.map_or_else(|| "?".to_owned(), |octets| octets.to_string());
        let id = ids.get(scan.number).map(|id| id.to_string()).unwrap_or_default();
        writeln!(out, "{}\t{size}\t{id}", scan.number)?;
    }
    let _ = client.quit();
    Ok(())
}
