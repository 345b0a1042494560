//! Saves every message of a mailbox to a folder, without blocking a thread and without deleting anything.
//!
//! ```sh
//! POPWIRE_PASSWORD=... cargo run -p popwire --example save_all pops://alice@pop.example.org FOLDER [ca.pem]
//! ```

use popwire::tokio::Client;
use popwire::{Login, PopUrl, Tls};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url: PopUrl = arguments.next().ok_or("usage: save_all URL FOLDER [CA]")?.parse()?;
    let folder = arguments.next().ok_or("usage: save_all URL FOLDER [CA]")?;
    let mut connector = url.connector();
    if let Some(ca) = arguments.next() {
        connector = connector.tls(Tls::new().with_root_certificates(&std::fs::read(ca)?)?);
    }
    let user = url.user().ok_or("the URL has no user")?;
    let login = Login::password(user, std::env::var("POPWIRE_PASSWORD")?);

    let mut client = Client::connect(&connector).await?;
    client.login(&login).await?;
    for scan in client.list().await?.iter() {
        let mut file = File::create(format!("{folder}/{}.eml", scan.number)).await?;
        client.retr(scan.number).await?.copy_to(&mut file).await?;
        file.flush().await?;
    }
    let _ = client.quit().await;
    Ok(())
}
