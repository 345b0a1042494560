//! OpenSSL's own TLS server, made to speak as much POP3 as a SCRAM exchange takes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How the certificate is signed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signature {
    EcdsaSha256,
    RsaSha256,
    RsaSha384,
    PssSha384,
}

pub(crate) struct OpenSsl {
    pub(crate) port: u16,
    pub(crate) certificate_pem: Vec<u8>,
    pub(crate) certificate_der: Vec<u8>,
    child: Child,
    heard: Receiver<(String, Vec<u8>)>,
}

impl OpenSsl {
    pub(crate) fn start(version: &str, signature: Signature) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let key: &[&str] = match signature {
            Signature::EcdsaSha256 => &["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-sha256"],
            Signature::RsaSha256 => &["rsa:2048", "-sha256"],
            Signature::RsaSha384 => &["rsa:2048", "-sha384"],
            Signature::PssSha384 => &[
                "rsa:2048",
                "-sha384",
                "-sigopt",
                "rsa_padding_mode:pss",
                "-sigopt",
                "rsa_pss_saltlen:digest",
            ],
        };
        openssl(&[
            &["req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-newkey"],
            key,
            &["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"],
            &["-keyout", &path("key.pem"), "-out", &path("cert.pem")],
        ]);
        openssl(&[&["x509", "-in", &path("cert.pem"), "-outform", "der", "-out", &path("cert.der")]]);
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        let (certificate_pem, certificate_der) = (read("cert.pem"), read("cert.der"));

        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let flag = format!("-tls{version}");
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", &format!("127.0.0.1:{port}"), &flag, "-naccept", "1"])
            .args(["-key", &path("key.pem"), "-cert", &path("cert.pem")])
            .args(["-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        while !line.starts_with("ACCEPT") {
            line.clear();
            assert!(stdout.read_line(&mut line).unwrap() > 0, "openssl s_server ended");
        }
        let (told, heard) = channel();
        thread::spawn(move || told.send(converse(stdin, stdout)));
        Self { port, certificate_pem, certificate_der, child, heard }
    }

    /// The `c=` of the client's last message in base64, and what OpenSSL exported.
    pub(crate) fn heard(mut self) -> (String, Vec<u8>) {
        let heard =
            self.heard.recv_timeout(std::time::Duration::from_secs(20)).expect("the conversation ends");
        let _ = self.child.kill();
        let _ = self.child.wait();
        heard
    }
}

fn openssl(arguments: &[&[&str]]) {
    let output = Command::new("openssl").args(arguments.concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn converse(mut stdin: ChildStdin, mut stdout: impl std::io::BufRead) -> (String, Vec<u8>) {
    let mut exported = Vec::new();
    let mut bound = String::new();
    let mut say = |text: &str| {
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    };
    loop {
        let mut line = Vec::new();
        // Latin-1 is as good as any: only ASCII lines matter.
        if stdout.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
            return (bound, exported);
        }
        let line: String = line.iter().map(|octet| char::from(*octet)).collect();
        let line = line.trim();
        if let Some(hex) = line.strip_prefix("Keying material: ") {
            exported =
                (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect();
            say("+OK ready\r\n");
        } else if line == "CAPA" {
            say("+OK\r\nSASL SCRAM-SHA-256-PLUS\r\n.\r\n");
        } else if let Some(initial) = line.strip_prefix("AUTH SCRAM-SHA-256-PLUS ") {
            let first = String::from_utf8(STANDARD.decode(initial).unwrap()).unwrap();
            let nonce = first.split(",r=").nth(1).unwrap();
            let challenge = format!("r={nonce}openssl,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
            say(&format!("+ {}\r\n", STANDARD.encode(challenge)));
        } else if let Some(message) =
            STANDARD.decode(line).ok().and_then(|octets| String::from_utf8(octets).ok())
            && let Some(rest) = message.strip_prefix("c=")
        {
            bound = rest.split(',').next().unwrap().to_owned();
            say("-ERR [AUTH] that was all\r\n");
            return (bound, exported);
        }
    }
}
