//! Delivery to Dovecot's LMTP server.

// Clippy knows helpers of integration tests for no tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use popwire_retriever::{
    AccountKey, DeliveryError, Destination, LmtpDestination, Mailbox, MessageKey, Parcel, Received, Spool,
};

/// A Dovecot that takes mail for alice, in a folder of its own.
struct Dovecot {
    home: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl Dovecot {
    /// `None` if we may not start one: it wants to change users.
    fn start() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("only root may start a Dovecot: not tried");
            return None;
        }
        assert!(
            Path::new("/usr/lib/dovecot/lmtp").exists(),
            "Dovecot is needed (apt-get install dovecot-lmtpd)"
        );
        let home = tempfile::tempdir().unwrap();
        let at = home.path().display();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "protocols = lmtp
             base_dir = {at}/run
             state_dir = {at}/state
             log_path = {at}/log
             ssl = no
             mail_location = maildir:{at}/mail/%u
             mail_save_crlf = yes
             first_valid_uid = 1
             passdb {{
               driver = passwd-file
               args = {at}/users
             }}
             userdb {{
               driver = static
               args = uid=65534 gid=65534 home={at}/mail/%u
             }}
             service lmtp {{
               inet_listener lmtp {{
                 address = 127.0.0.1
                 port = {port}
               }}
             }}\n"
        );
        fs::write(home.path().join("config"), config).unwrap();
        fs::write(home.path().join("users"), "alice:{PLAIN}pass::::::\n").unwrap();
        fs::create_dir(home.path().join("mail")).unwrap();
        let open_to_all = Command::new("chmod").arg("-R").arg("a+rwX").arg(home.path()).status().unwrap();
        assert!(open_to_all.success());
        let mut command = Command::new("dovecot");
        command.arg("-F").arg("-c").arg(home.path().join("config")).stdin(Stdio::null());
        let dovecot = Self { process: command.spawn().unwrap(), home, port };
        let begun = Instant::now();
        while UnixStream::connect(dovecot.socket()).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "Dovecot does not come up");
            thread::sleep(Duration::from_millis(50));
        }
        Some(dovecot)
    }

    fn socket(&self) -> PathBuf {
        self.home.path().join("run/lmtp")
    }

    /// What alice has, in no order.
    fn stored(&self) -> Vec<Vec<u8>> {
        let Ok(folder) = fs::read_dir(self.home.path().join("mail/alice/new")) else { return Vec::new() };
        folder.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        if self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.stop();
        }
    }
}

fn parcel(number: usize, message: &[u8]) -> Parcel {
    let mut spool = Spool::new();
    spool.write_all(message).unwrap();
    spool.finish().unwrap();
    let received =
        Received { listed: None, octets: spool.octets(), content: [7; 32], header: [0; 32], whole: true };
    let key = MessageKey::unique_id(number.to_string());
    Parcel::new(AccountKey::new("alice", "h", 110), key, received, spool)
}

fn deliver(destination: &mut LmtpDestination, parcels: &[&Parcel]) -> Vec<Result<String, DeliveryError>> {
    assert!(destination.prepare(parcels).iter().all(Result::is_ok));
    destination.commit(parcels)
}

/// What the documentation says of line ends.
fn with_crlf(message: &[u8]) -> Vec<u8> {
    let mut result = Vec::new();
    let mut octets = message.iter().peekable();
    while let Some(&octet) = octets.next() {
        match octet {
            b'\r' | b'\n' => {
                octets.next_if(|&&next| octet == b'\r' && next == b'\n');
                result.extend(b"\r\n");
            }
            _ => result.push(octet),
        }
    }
    if !result.ends_with(b"\n") && !result.is_empty() {
        result.extend(b"\r\n");
    }
    result
}

#[test]
fn dovecot_stores_what_it_is_handed() {
    let Some(mut dovecot) = Dovecot::start() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/messages");
    let mut messages: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "eml"))
        .map(|path| fs::read(path).unwrap())
        .collect();
    messages.push(
        b"Subject: large\r\n\r\n"
            .iter()
            .chain(b"..\r\n.\r\n".iter().cycle().take(7 << 20))
            .copied()
            .collect(),
    );
    let parcels: Vec<_> =
        messages.iter().enumerate().map(|(number, message)| parcel(number, message)).collect();
    let parcels: Vec<_> = parcels.iter().collect();
    let alice = || Mailbox::new("alice").unwrap();
    let socket = dovecot.socket().display().to_string();
    let mut by_socket = LmtpDestination::new(&socket, alice());
    let mut by_port = LmtpDestination::new(&format!("127.0.0.1:{}", dovecot.port), alice());
    for destination in [&mut by_socket, &mut by_port] {
        for batch in parcels.chunks(10) {
            for result in deliver(destination, batch) {
                assert!(result.unwrap().contains("250 2.0.0"));
            }
        }
    }
    // It puts lines of its own in front.
    let without_its_own = |stored: Vec<u8>| {
        let last = memchr::memmem::find(&stored, b"\tfor <alice>; ").unwrap();
        stored[last + memchr::memmem::find(&stored[last..], b"\r\n").unwrap() + 2..].to_vec()
    };
    let mut stored: Vec<_> = dovecot.stored().into_iter().map(without_its_own).collect();
    let mut expected: Vec<_> = messages.iter().chain(&messages).map(|message| with_crlf(message)).collect();
    stored.sort();
    expected.sort();
    assert_eq!(stored.len(), expected.len());
    for (stored, expected) in stored.iter().zip(&expected) {
        let start = String::from_utf8_lossy(&expected[..expected.len().min(500)]);
        assert!(stored == expected, "not what it was: {start}");
    }

    // Somebody whom it does not know, with the connection kept for others.
    let mut nobody = LmtpDestination::new(&socket, Mailbox::new("bob").unwrap());
    for _ in 0..2 {
        let refused = deliver(&mut nobody, &[parcels[0]]).remove(0);
        assert!(
            matches!(&refused, Err(DeliveryError::Refused { permanent: true, said, .. }) if said.starts_with("550 5.1.1")),
            "{refused:?}"
        );
    }

    // Nobody is there any more; and then somebody is again.
    dovecot.stop();
    let failed = deliver(&mut by_socket, &[parcels[0]]).remove(0);
    assert!(matches!(failed, Err(DeliveryError::Unavailable { .. })), "{failed:?}");
    let mut command = Command::new("dovecot");
    command.arg("-F").arg("-c").arg(dovecot.home.path().join("config"));
    dovecot.process = command.spawn().unwrap();
    let begun = Instant::now();
    while let Err(error) = deliver(&mut by_socket, &[parcels[0]]).remove(0) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{error:?}");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(dovecot.stored().len(), 2 * messages.len() + 1);
}

#[test]
fn a_mailbox_that_cannot_be_written_is_a_refusal_for_now() {
    let Some(dovecot) = Dovecot::start() else { return };
    File::create(dovecot.home.path().join("mail/alice")).unwrap();
    let mut destination =
        LmtpDestination::new(&dovecot.socket().display().to_string(), Mailbox::new("alice").unwrap());
    let refused = deliver(&mut destination, &[&parcel(1, b"Subject: a\r\n\r\n")]).remove(0);
    assert!(matches!(refused, Err(DeliveryError::Refused { permanent: false, .. })), "{refused:?}");
}
