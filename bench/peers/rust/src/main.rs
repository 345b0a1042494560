//! The Rust crates that popwire is measured beside, as one program:
//! `popwire-bench-peers CRATE retr|list|show PORT COUNT [CA]`
//!
//! `retr` receives the messages 1 to COUNT and drops each; `list` asks for LIST and UIDL, and COUNT is what both have to
//! hold; `show` writes message 1 to standard output as the crate hands it over. With CA, a file in PEM, the session is
//! TLS from the first octet, to `localhost`. Whatever goes wrong ends the program with an error: a run counts only when
//! all of it went well.

mod async_pop;
mod pop3_client;
mod rs_pop3;
mod rust_pop3_client;

use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::path::PathBuf;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const HOST: &str = "localhost";
const USER: &str = "alice";
const PASSWORD: &str = "secret";

/// What to do with the mailbox.
#[derive(Clone, Copy, PartialEq)]
enum Job {
    Retr,
    List,
    Show,
}

struct Task {
    job: Job,
    port: u16,
    count: u32,
    ca: Option<PathBuf>,
}

impl Task {
    /// A message has arrived.
    fn take(&self, message: &[u8]) -> Result<()> {
        if self.job == Job::Show {
            std::io::stdout().write_all(message)?;
        }
        black_box(message);
        Ok(())
    }

    /// So many entries were in an answer to LIST or UIDL.
    fn listed(&self, entries: usize) -> Result<()> {
        if entries == self.count as usize { Ok(()) } else { Err(format!("{entries} entries").into()) }
    }

    fn no_tls(&self) -> Result<()> {
        if self.ca.is_none() {
            Ok(())
        } else {
            Err("this crate has no TLS that trusts a CA of our own".into())
        }
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next =
        || arguments.next().ok_or("usage: popwire-bench-peers CRATE retr|list|show PORT COUNT [CA]");
    let name = next()?;
    let job = match next()?.as_str() {
        "retr" => Job::Retr,
        "list" => Job::List,
        "show" => Job::Show,
        other => return Err(format!("no such job: {other}").into()),
    };
    let (port, count) = (next()?.parse()?, next()?.parse()?);
    let task = Task { job, port, count, ca: next().ok().map(PathBuf::from) };
    match name.as_str() {
        "async-pop" => async_pop::run(&task),
        "pop3-client" => pop3_client::run(&task),
        "rs-pop3" => rs_pop3::run(&task),
        "rust-pop3-client" => rust_pop3_client::run(&task),
        other => Err(format!("no such crate: {other}").into()),
    }
}
