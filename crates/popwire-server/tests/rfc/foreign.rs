//! Clients of other people sign in by the mechanisms that they have: curl, and mpop with GNU SASL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use popwire_server::{Maildrop, Mechanism, Server};

const MAIL: &str = "Subject: hello\r\n\r\nHow are you?\r\n";

struct World {
    server: Server,
    folder: tempfile::TempDir,
}

fn world() -> World {
    world_of(&Mechanism::ALL)
}

fn world_of(mechanisms: &[Mechanism]) -> World {
    let offered = mechanisms.iter().copied().filter(|mechanism| *mechanism != Mechanism::Gssapi);
    let server = Server::builder()
        .user("alice", "s3cret pass", Maildrop::memory([MAIL]))
        .token("alice", "t0ken")
        .sasl(offered)
        .start()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ca.pem"), server.ca_pem()).unwrap();
    World { server, folder }
}

impl World {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// curl fetches the message.
    fn curl(&self, mechanism: Mechanism, credentials: &[&str]) -> Output {
        let url = format!("pop3s://localhost:{}/1", self.server.tls_addr().port());
        let option = format!("AUTH={mechanism}");
        Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20", "--cacert"])
            .arg(self.path("ca.pem"))
            .args(["--login-options", &option, &url])
            .args(credentials)
            .output()
            .unwrap()
    }

    /// mpop fetches it into an mbox file.
    fn mpop(&self, mechanism: Mechanism, password: &str, mbox: &Path) -> Output {
        let of = |option: &str, value: &dyn std::fmt::Display| format!("--{option}={value}");
        Command::new("mpop")
            .args([
                "--host=localhost",
                "--tls=on",
                "--tls-starttls=off",
                "--keep=on",
                "--quiet",
                "--user=alice",
            ])
            .arg(of("port", &self.server.tls_addr().port()))
            .arg(of("tls-trust-file", &self.path("ca.pem").display()))
            .arg(of("auth", &mechanism.name().to_lowercase()))
            .arg(of("passwordeval", &format_args!("echo '{password}'")))
            .arg(of("delivery", &format_args!("mbox,{}", mbox.display())))
            .arg(of("uidls-file", &format_args!("{}.ids", mbox.display())))
            .env("HOME", self.folder.path())
            .output()
            .unwrap()
    }

    /// The mechanism of the last session.
    fn used(&self) -> String {
        let lines = self.server.last_session().unwrap().client_lines();
        let auth = lines.iter().find_map(|line| line.strip_prefix("AUTH ")).unwrap_or_default();
        auth.split(' ').next().unwrap_or_default().to_owned()
    }
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], b"\n", &output.stderr].concat()).into_owned()
}

#[test]
fn curl_signs_in_by_each_mechanism_that_it_has() {
    let world = world();
    for mechanism in
        [Mechanism::Plain, Mechanism::Login, Mechanism::CramMd5, Mechanism::DigestMd5, Mechanism::Ntlm]
    {
        let output = world.curl(mechanism, &["--user", "alice:s3cret pass"]);
        assert_eq!(output.stdout, MAIL.as_bytes(), "{mechanism}: {}", shown(&output));
        assert_eq!(world.used(), mechanism.name());
        let output = world.curl(mechanism, &["--user", "alice:wrong"]);
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(67), 0),
            "{mechanism}: {}",
            shown(&output)
        );
    }
    for mechanism in [Mechanism::OAuthBearer, Mechanism::XOAuth2] {
        // curl takes whichever of the two it likes.
        let world = world_of(&[mechanism]);
        let output = world.curl(mechanism, &["--user", "alice:", "--oauth2-bearer", "t0ken"]);
        assert_eq!(output.stdout, MAIL.as_bytes(), "{mechanism}: {}", shown(&output));
        assert_eq!(world.used(), mechanism.name());
        let output = world.curl(mechanism, &["--user", "alice:", "--oauth2-bearer", "another"]);
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(67), 0),
            "{mechanism}: {}",
            shown(&output)
        );
    }
}

#[test]
fn mpop_and_gnu_sasl_sign_in_by_scram() {
    let world = world();
    for mechanism in [Mechanism::ScramSha1, Mechanism::ScramSha256] {
        let mbox = world.path(mechanism.name());
        let output = world.mpop(mechanism, "s3cret pass", &mbox);
        assert!(output.status.success(), "{mechanism}: {}", shown(&output));
        assert!(fs::read_to_string(&mbox).unwrap().contains("How are you?"), "{mechanism}");
        assert_eq!(world.used(), mechanism.name());
        let output = world.mpop(mechanism, "wrong", &world.path("none"));
        assert!(!output.status.success() && !world.path("none").exists(), "{mechanism}: {}", shown(&output));
    }
}
