//! popwire itself, by either door: the library does the work, and what arrives goes nowhere.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use popwire::{
    Connector, Inventory, Login, Mechanism, Method, Security, Tls, blocking, tokio as popwire_tokio,
};
use popwire_bench::Result;
use popwire_bench::result::Watch;

/// Runs popwire against a server on loopback, and prints a line of JSON.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    work: Work,
    #[arg(long, global = true, value_enum, default_value_t)]
    door: Door,
    #[arg(long, global = true, default_value_t = 110)]
    port: u16,
    /// TLS from the first octet, trusting this authority.
    #[arg(long, global = true)]
    tls: bool,
    #[arg(long, global = true)]
    ca: Option<PathBuf>,
    #[arg(long, global = true, value_enum, default_value_t)]
    mechanism: How,
}

#[derive(Subcommand)]
enum Work {
    /// Every message of so many.
    Retr {
        #[arg(long)]
        count: u32,
    },
    /// LIST and UIDL, parsed.
    List,
    /// A look for new mail that finds none: from connecting to QUIT.
    Poll,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Door {
    #[default]
    Blocking,
    Tokio,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum How {
    /// USER and PASS.
    #[default]
    User,
    /// AUTH PLAIN, in one step.
    Plain,
}

fn main() -> Result<()> {
    let watch = Watch::start();
    let args = Args::parse();
    let mut connector = Connector::new("127.0.0.1").port(args.port);
    connector = match (args.tls, &args.ca) {
        (true, Some(ca)) => connector.tls(Tls::new().with_root_certificates(&std::fs::read(ca)?)?),
        (true, None) => connector,
        // Mail is canned, and so is the password.
        (false, _) => connector.security(Security::Plain).dangerous_login_without_verified_tls(),
    };
    let login = Login::password("bob", "secret").methods([match args.mechanism {
        How::User => Method::UserPass,
        How::Plain => Method::Sasl(Mechanism::Plain),
    }]);
    let (messages, octets) = match args.door {
        Door::Blocking => by_blocking(&args.work, &connector, &login)?,
        Door::Tokio => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(by_tokio(&args.work, &connector, &login))?,
    };
    watch.report(messages, octets);
    Ok(())
}

fn by_blocking(work: &Work, connector: &Connector, login: &Login) -> Result<(u64, u64)> {
    let mut client = blocking::Client::connect(connector)?;
    match *work {
        Work::Retr { count } => {
            client.login(login)?;
            let (mut messages, mut octets) = (0, 0);
            let mut all = client.retrieve_many(1..=count);
            while let Some((_, message)) = all.next() {
                octets += message?.copy_to(&mut std::io::sink())?;
                messages += 1;
            }
            committed(client.quit())?;
            Ok((messages, octets))
        }
        Work::List => {
            let sums = sum(client.login_with_inventory(login)?)?;
            committed(client.quit())?;
            Ok(sums)
        }
        Work::Poll => {
            let sums = sum(client.login_with_inventory(login)?)?;
            committed(client.leave())?;
            Ok(sums)
        }
    }
}

async fn by_tokio(work: &Work, connector: &Connector, login: &Login) -> Result<(u64, u64)> {
    let mut client = popwire_tokio::Client::connect(connector).await?;
    match *work {
        Work::Retr { count } => {
            client.login(login).await?;
            let (mut messages, mut octets) = (0, 0);
            let mut all = client.retrieve_many(1..=count);
            while let Some((_, message)) = all.next().await {
                octets += message?.copy_to(&mut tokio::io::sink()).await?;
                messages += 1;
            }
            committed(client.quit().await)?;
            Ok((messages, octets))
        }
        Work::List => {
            let sums = sum(client.login_with_inventory(login).await?)?;
            committed(client.quit().await)?;
            Ok(sums)
        }
        Work::Poll => {
            let sums = sum(client.login_with_inventory(login).await?)?;
            committed(client.leave().await)?;
            Ok(sums)
        }
    }
}

/// What only who has parsed the listings can know: how many messages have a unique-id, and how many octets they have
/// together.
fn sum(inventory: Inventory) -> Result<(u64, u64)> {
    let (scans, unique_ids) = (inventory.scans?, inventory.unique_ids?);
    let octets = scans.iter().filter_map(|scan| scan.octets).sum();
    let messages = unique_ids.iter().filter(|(_, unique_id)| !unique_id.is_blank()).count();
    Ok((messages as u64, octets))
}

fn committed(farewell: popwire::Farewell) -> Result<()> {
    if farewell.is_committed() { Ok(()) } else { Err(format!("{farewell:?}").into()) }
}
