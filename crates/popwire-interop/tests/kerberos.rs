//! The KDC comes up, gives tickets, and leaves nothing.

// Clippy knows helpers of integration tests for no tests.
#![allow(clippy::unwrap_used)]

use std::{path::Path, process::Command};

use popwire_interop::{kerberos::Kerberos, process::runs};

#[test]
fn it_gives_tickets_and_leaves_nothing() {
    let kerberos = Kerberos::start().unwrap();
    let ticket = |ccache: &str, service: &str| {
        Command::new("kvno")
            .envs(kerberos.environment(ccache))
            .arg(service)
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(ticket(kerberos.ccache(), "pop/localhost"));
    assert!(ticket(kerberos.ccache(), "pop/other.test"));
    assert!(!ticket(kerberos.ccache(), "pop/nowhere.test"));
    assert!(!ticket("FILE:/nonexistent", "pop/localhost"));
    assert!(kerberos.keytab().is_file() && kerberos.client_keytab().is_file());

    let (pid, conf) = (kerberos.pid, kerberos.fact("KRB5_CONFIG").to_owned());
    assert!(kerberos.runs());
    kerberos.stop().unwrap();
    assert!(!runs(pid), "the KDC still runs");
    assert!(!Path::new(&conf).exists(), "files are left");
}
