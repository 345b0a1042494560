//! The server that every client is run against: canned answers, as fast as the line takes them.
//!
//! It answers all commands that one read brought with as few writes as the system allows, and copies no message. Any name
//! and password will do, and DELE changes nothing: each run finds the same maildrop.

use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use clap::Parser;
use memchr::memchr;
use popwire_bench::mail::{Mail, Text};
use popwire_bench::{Result, socket};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Serves canned mail on loopback; prints `ready PORT [TLS_PORT]`, and a line of JSON for each session.
#[derive(Parser)]
struct Args {
    /// How many messages there are.
    #[arg(long, default_value_t = 100)]
    messages: usize,
    /// The octets of each.
    #[arg(long, default_value_t = 4096)]
    octets: usize,
    #[arg(long, value_enum, default_value_t)]
    text: Text,
    /// Serves over TLS too, on a port of its own.
    #[arg(long, requires = "ca")]
    tls: bool,
    /// Where the certificate of the authority goes, as PEM.
    #[arg(long)]
    ca: Option<PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mail = Arc::new(Mail::new(args.messages, args.octets, args.text)?);
    let plain = socket::listen()?;
    let mut ready = format!("ready {}", plain.local_addr()?.port());
    if let Some(ca) = args.ca.filter(|_| args.tls) {
        let (config, listener) = (tls(&ca)?, socket::listen()?);
        ready.push_str(&format!(" {}", listener.local_addr()?.port()));
        let mail = Arc::clone(&mail);
        thread::spawn(move || serve(&listener, &mail, Some(&config)));
    }
    println!("{ready}");
    io::stdout().flush()?;
    serve(&plain, &mail, None);
    Ok(())
}

/// A certificate for this machine, and the configuration with it.
fn tls(ca: &std::path::Path) -> Result<Arc<ServerConfig>> {
    let authority_key = rcgen::KeyPair::generate()?;
    let mut authority = rcgen::CertificateParams::new(Vec::new())?;
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "popwire benchmark");
    std::fs::write(ca, authority.self_signed(&authority_key)?.pem())?;
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate()?;
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = rcgen::CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())?;
    Ok(Arc::new(config))
}

fn serve(listener: &TcpListener, mail: &Arc<Mail>, tls: Option<&Arc<ServerConfig>>) {
    static SESSIONS: AtomicU64 = AtomicU64::new(0);
    for stream in listener.incoming() {
        let (mail, tls) = (Arc::clone(mail), tls.cloned());
        let number = SESSIONS.fetch_add(1, Ordering::Relaxed) + 1;
        thread::spawn(move || {
            let mut count = Count::default();
            // A client that goes away ends its session, and what it did counts all the same.
            let ended = stream
                .map_err(Into::into)
                .and_then(|stream| session(stream, &mail, tls.as_ref(), &mut count));
            if let Err(e) = ended {
                eprintln!("session {number}: {e}");
            }
            let Count { retr, dele, octets, quit } = count;
            let tls = tls.is_some();
            println!(
                r#"{{"session":{number},"retr":{retr},"dele":{dele},"octets":{octets},"quit":{quit},"tls":{tls}}}"#
            );
            let _ = io::stdout().flush();
        });
    }
}

/// What a session asked for.
#[derive(Default)]
struct Count {
    retr: u64,
    dele: u64,
    octets: u64,
    quit: bool,
}

fn session(stream: TcpStream, mail: &Mail, tls: Option<&Arc<ServerConfig>>, count: &mut Count) -> Result<()> {
    socket::accepted(&stream)?;
    match tls {
        None => converse(stream, mail, count),
        Some(config) => {
            let mut connection = ServerConnection::new(Arc::clone(config))?;
            connection.set_buffer_limit(Some(1 << 20));
            converse(StreamOwned::new(connection, stream), mail, count)
        }
    }
}

/// The longest line, and the longest run of lines, that one read takes in.
const INPUT: usize = 64 << 10;

fn converse<S: Read + Write>(mut stream: S, mail: &Mail, count: &mut Count) -> Result<()> {
    stream.write_all(b"+OK ready\r\n")?;
    stream.flush()?;
    let (mut input, mut filled) = (vec![0; INPUT], 0);
    while !count.quit {
        let octets = match stream.read(&mut input[filled..]) {
            Ok(0) => return Ok(()),
            Ok(octets) => octets,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        filled += octets;
        let mut answers = Answers::default();
        let mut begin = 0;
        while let Some(end) = memchr(b'\n', &input[begin..filled]) {
            let line = std::str::from_utf8(&input[begin..begin + end])?.trim_end();
            begin += end + 1;
            answers.give(line, mail, count);
            if count.quit {
                break;
            }
        }
        input.copy_within(begin..filled, 0);
        filled -= begin;
        if filled == INPUT {
            return Err("a line without an end".into());
        }
        answers.write_to(&mut stream)?;
        stream.flush()?;
    }
    Ok(())
}

/// What goes out next: texts of its own, and bodies that are not copied.
#[derive(Default)]
struct Answers<'m> {
    /// The texts, one behind the other.
    texts: Vec<u8>,
    /// Where a body follows the texts so far.
    bodies: Vec<(usize, &'m [u8])>,
}

impl<'m> Answers<'m> {
    fn give(&mut self, line: &str, mail: &'m Mail, count: &mut Count) {
        let mut words = line.split_ascii_whitespace();
        let verb = words.next().unwrap_or_default().to_ascii_uppercase();
        let argument = words.next();
        let number = argument.and_then(|word| word.parse::<usize>().ok());
        let known = number.filter(|number| (1..=mail.len()).contains(number));
        match (verb.as_str(), known) {
            ("CAPA", _) => self.say(
                "+OK\r\nUSER\r\nSASL PLAIN\r\nUIDL\r\nTOP\r\nPIPELINING\r\nRESP-CODES\r\nEXPIRE NEVER\r\n.\r\n",
            ),
            ("AUTH", _) if argument.is_some_and(|name| name.eq_ignore_ascii_case("PLAIN")) => {
                // Without an initial response the next line has it; it is taken for a NOOP then.
                self.say(if words.next().is_some() { "+OK\r\n" } else { "+ \r\n" });
            }
            ("RETR", Some(number)) => {
                count.retr += 1;
                count.octets += mail.octets() as u64;
                self.say(&format!("+OK {} octets\r\n", mail.octets()));
                let (head, body) = mail.wire(number);
                self.say(&head);
                self.bodies.push((self.texts.len(), body));
            }
            ("TOP", Some(number)) => {
                self.say("+OK\r\n");
                self.say(&mail.wire(number).0);
                self.say(".\r\n");
            }
            ("DELE", Some(_)) => {
                count.dele += 1;
                self.say("+OK\r\n");
            }
            ("LIST", Some(number)) => self.say(&format!("+OK {number} {}\r\n", mail.octets())),
            ("UIDL", Some(number)) => self.say(&format!("+OK {number} {}\r\n", Mail::unique_id(number))),
            ("LIST", None) if argument.is_none() => {
                self.list(mail, |number| format!("{number} {}\r\n", mail.octets()));
            }
            ("UIDL", None) if argument.is_none() => {
                self.list(mail, |number| format!("{number} {}\r\n", Mail::unique_id(number)));
            }
            ("STAT", _) => self.say(&format!("+OK {} {}\r\n", mail.len(), mail.len() * mail.octets())),
            ("RETR" | "TOP" | "DELE" | "LIST" | "UIDL", _) => self.say("-ERR no such message\r\n"),
            ("LAST" | "APOP" | "STLS" | "AUTH", _) => self.say("-ERR not here\r\n"),
            ("QUIT", _) => {
                count.quit = true;
                self.say("+OK\r\n");
            }
            // USER, PASS, NOOP, RSET, and whatever answers a challenge
            _ => self.say("+OK\r\n"),
        }
    }

    fn list(&mut self, mail: &Mail, line: impl Fn(usize) -> String) {
        self.say("+OK\r\n");
        (1..=mail.len()).for_each(|number| self.say(&line(number)));
        self.say(".\r\n");
    }

    fn say(&mut self, text: &str) {
        self.texts.extend_from_slice(text.as_bytes());
    }

    fn write_to(&self, stream: &mut impl Write) -> io::Result<()> {
        let mut slices = Vec::with_capacity(2 * self.bodies.len() + 1);
        let mut begin = 0;
        for (end, body) in &self.bodies {
            slices.extend([IoSlice::new(&self.texts[begin..*end]), IoSlice::new(body)]);
            begin = *end;
        }
        slices.push(IoSlice::new(&self.texts[begin..]));
        let mut rest = &mut slices[..];
        // Nothing is left of no answer at all: some clients send a command in two parts.
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            // More than this the system does not take in one call.
            let written = match stream.write_vectored(&rest[..rest.len().min(1024)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }
}
