//! What people write for the server: scenarios, transcripts, faults, quirks; and the mbox files that it serves.

use std::collections::BTreeSet;
use std::path::PathBuf;

use popwire_server::{FaultPlan, Maildrop, Scenario, Server, Transcript};

/// A scenario is read, or refused with a place that is within its text.
pub fn scenario(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Scenario::from_toml(text) {
        Ok(scenario) => drop(scenario.builder()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A transcript is read, or refused with the number of a line that it has.
pub fn transcript(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(error) = Transcript::parse(text) {
        assert!(error.line() <= text.lines().count().max(1), "{error}");
    }
}

/// A plan of faults that can be read is printed so that it reads the same; quirks and names are taken or refused.
pub fn fault_plan(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(plan) = text.parse::<FaultPlan>() {
        let printed = plan.to_string();
        assert_eq!(printed.parse::<FaultPlan>().expect("what is printed").to_string(), printed);
    }
    let _ = Server::builder().quirk(text).map_err(|error| error.to_string());
    let _ = Server::builder().personality(text).map_err(|error| error.to_string());
}

/// Whatever an mbox file has: its messages can be listed and read, and no two have one unique-id.
pub fn mbox(data: &[u8]) {
    let path = file();
    std::fs::write(&path, data).expect("a file");
    let maildrop = Maildrop::mbox(&path);
    if let Ok(messages) = maildrop.messages() {
        let ids = maildrop.unique_ids().expect("they could be read a moment ago");
        assert_eq!(ids.len(), messages.len());
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        assert!(ids.iter().all(|id| (1..=70).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)));
        assert!(messages.iter().map(Vec::len).sum::<usize>() <= data.len());
    }
    assert_eq!(std::fs::read(&path).expect("it is still there"), data, "reading changes nothing");
    std::fs::remove_file(&path).expect("it was still there");
}

/// One for each process and thread, in memory where there is a place for that.
fn file() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("popwire-fuzz-{}-{:?}", std::process::id(), std::thread::current().id()))
}
