//! The bare loops that everything is compared with: what the line and the file system allow, and no more than that.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use clap::{Parser, Subcommand, ValueEnum};
use memchr::memmem::Finder;
use popwire_bench::result::Watch;
use popwire_bench::{Result, socket};

/// Runs a bare loop, and prints a line of JSON.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    work: Work,
    #[arg(long, global = true, default_value_t = 110)]
    port: u16,
    #[arg(long, global = true)]
    tls: bool,
    /// The authority to trust, as PEM.
    #[arg(long, global = true)]
    ca: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Work {
    /// Asks for so many messages in one go, and scans what comes for terminators, once.
    Retr {
        #[arg(long)]
        count: u64,
    },
    /// LIST and UIDL in one go.
    List,
    /// Files into a Maildir, durable each, and durably in their folder.
    Maildir {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long, default_value_t = 2000)]
        count: usize,
        #[arg(long, default_value_t = 10_240)]
        octets: usize,
        #[arg(long, value_enum)]
        flush: Flush,
        /// How many are made durable together.
        #[arg(long, default_value_t = 100)]
        batch: usize,
        #[arg(long, default_value_t = 16)]
        threads: usize,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Flush {
    /// No flush at all.
    None,
    /// A flush for each file and each name.
    Each,
    /// The file system is flushed for a batch, then the folder.
    Syncfs,
    /// Threads flush the files of a batch, then the folder is flushed.
    Threads,
}

fn main() -> Result<()> {
    let watch = Watch::start();
    let args = Args::parse();
    let (messages, octets) = match args.work {
        Work::Retr { count } => {
            receive(&args, (1..=count).map(|number| format!("RETR {number}\r\n")).collect(), count)?
        }
        Work::List => receive(&args, "LIST\r\nUIDL\r\n".to_owned(), 2)?,
        Work::Maildir { ref dir, count, octets, flush, batch, threads } => {
            maildir(dir, count, &vec![b'x'; octets], flush, batch, threads)?;
            (count as u64, (count * octets) as u64)
        }
    };
    watch.report(messages, octets);
    Ok(())
}

/// As much as one read may bring.
const BUFFER: usize = 256 << 10;

fn receive(args: &Args, commands: String, answers: u64) -> Result<(u64, u64)> {
    let stream = socket::connect(args.port)?;
    let octets = match (args.tls, &args.ca) {
        (true, Some(ca)) => tls::receive(stream, ca, &commands, answers)?,
        (true, None) => return Err("--tls needs --ca".into()),
        (false, _) => plain(stream, commands, answers)?,
    };
    Ok((answers, octets))
}

fn plain(mut stream: TcpStream, commands: String, answers: u64) -> Result<u64> {
    let mut buffer = vec![0; BUFFER];
    for line in ["", "USER bob\r\n", "PASS secret\r\n"] {
        stream.write_all(line.as_bytes())?;
        stream.read(&mut buffer)?;
    }
    // Nobody waits for anybody: one thread writes while the other reads.
    let mut writer = stream.try_clone()?;
    let writing = thread::spawn(move || writer.write_all(commands.as_bytes()));
    let mut scan = Scan::new(answers);
    while !scan.is_done() {
        match stream.read(&mut buffer)? {
            0 => return Err("the server hung up".into()),
            octets => scan.take(&buffer[..octets]),
        }
    }
    writing.join().map_err(|_| "the writer died")??;
    stream.write_all(b"QUIT\r\n")?;
    stream.read(&mut buffer)?;
    Ok(scan.octets)
}

/// Looks for lines that begin with a dot, once over all there is, as every client has to.
struct Scan {
    finder: Finder<'static>,
    left: u64,
    octets: u64,
    /// The last octet, since a line may begin in the next read.
    after_line_end: bool,
}

impl Scan {
    fn new(answers: u64) -> Self {
        Self { finder: Finder::new(b"\n."), left: answers, octets: 0, after_line_end: false }
    }

    fn take(&mut self, octets: &[u8]) {
        self.octets += octets.len() as u64;
        let found =
            self.finder.find_iter(octets).count() + usize::from(self.after_line_end && octets[0] == b'.');
        self.left = self.left.saturating_sub(found as u64);
        self.after_line_end = octets.ends_with(b"\n");
    }

    fn is_done(&self) -> bool {
        self.left == 0
    }
}

/// TLS as lean as rustls allows: what comes is decrypted where it lies, and scanned there.
mod tls {
    use super::*;
    use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
    use rustls::unbuffered::{
        ConnectionState, EncodeError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
    };
    use rustls::{ClientConfig, RootCertStore};

    pub(super) fn receive(mut stream: TcpStream, ca: &Path, commands: &str, answers: u64) -> Result<u64> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca)?)?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let mut session =
            UnbufferedClientConnection::new(Arc::new(config), ServerName::try_from("localhost")?)?;
        let mut incoming = Incoming { buffer: vec![0; BUFFER], head: 0, tail: 0 };
        let mut outgoing = vec![0; 32 << 10];
        let mut ready = 0;
        let mut scan = Scan::new(answers);
        let mut logins = ["USER bob\r\n", "PASS secret\r\n"].iter();
        let mut logged_in = false;
        let mut rest = commands.as_bytes();
        let mut quit = false;
        loop {
            let UnbufferedStatus { mut discard, state, .. } = session.process_tls_records(incoming.unread());
            let mut read = false;
            match state? {
                ConnectionState::EncodeTlsData(mut data) => match data.encode(&mut outgoing[ready..]) {
                    Ok(octets) => ready += octets,
                    Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                        outgoing.resize(ready + required_size, 0);
                    }
                    Err(e) => return Err(e.into()),
                },
                ConnectionState::TransmitTlsData(data) => {
                    stream.write_all(&outgoing[..ready])?;
                    ready = 0;
                    data.done();
                }
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        if logged_in {
                            scan.take(record.payload);
                        } else {
                            read = true;
                        }
                    }
                }
                ConnectionState::WriteTraffic(mut traffic) => {
                    if scan.is_done() {
                        if !quit {
                            say(&mut traffic, &mut stream, &mut outgoing, b"QUIT\r\n")?;
                            quit = true;
                        }
                    } else if logged_in && !rest.is_empty() {
                        // As much as the server's socket takes without being read: it reads on while it answers.
                        let (now, later) = rest.split_at(rest.len().min(16 << 10));
                        say(&mut traffic, &mut stream, &mut outgoing, now)?;
                        rest = later;
                    }
                    if incoming.read(&mut stream)? == 0 {
                        return Ok(scan.octets);
                    }
                }
                ConnectionState::BlockedHandshake => {
                    if incoming.read(&mut stream)? == 0 {
                        return Err("the server hung up".into());
                    }
                }
                ConnectionState::PeerClosed | ConnectionState::Closed => return Ok(scan.octets),
                _ => {}
            }
            incoming.head += discard;
            if read
                && let UnbufferedStatus {
                    discard: 0,
                    state: Ok(ConnectionState::WriteTraffic(mut traffic)),
                    ..
                } = session.process_tls_records(incoming.unread())
            {
                match logins.next() {
                    Some(line) => say(&mut traffic, &mut stream, &mut outgoing, line.as_bytes())?,
                    None => logged_in = true,
                }
            }
        }
    }

    /// What has come and is not decrypted.
    struct Incoming {
        buffer: Vec<u8>,
        head: usize,
        tail: usize,
    }

    impl Incoming {
        fn unread(&mut self) -> &mut [u8] {
            &mut self.buffer[self.head..self.tail]
        }

        /// Reads behind what there is, which goes to the front: it is less than a record.
        fn read(&mut self, stream: &mut TcpStream) -> io::Result<usize> {
            self.buffer.copy_within(self.head..self.tail, 0);
            (self.head, self.tail) = (0, self.tail - self.head);
            let octets = stream.read(&mut self.buffer[self.tail..])?;
            self.tail += octets;
            Ok(octets)
        }
    }

    fn say(
        traffic: &mut WriteTraffic<'_, ClientConnectionData>,
        stream: &mut TcpStream,
        outgoing: &mut [u8],
        octets: &[u8],
    ) -> Result<()> {
        let octets = traffic.encrypt(octets, outgoing).map_err(|e| format!("{e:?}"))?;
        stream.write_all(&outgoing[..octets])?;
        Ok(())
    }
}

fn maildir(dir: &Path, count: usize, mail: &[u8], flush: Flush, batch: usize, threads: usize) -> Result<()> {
    for folder in ["tmp", "new", "cur"] {
        fs::create_dir_all(dir.join(folder))?;
    }
    let (tmp, new) = (File::open(dir.join("tmp"))?, File::open(dir.join("new"))?);
    let mut number = 0;
    while number < count {
        let names: Vec<String> =
            (number..count.min(number + batch)).map(|number| format!("{number}.bench")).collect();
        number += names.len();
        let mut files = Vec::with_capacity(names.len());
        for name in &names {
            let mut file = create(&tmp, name)?;
            file.write_all(mail)?;
            match flush {
                Flush::Each => {
                    file.sync_all()?;
                    rename(&tmp, &new, name)?;
                    new.sync_all()?;
                }
                Flush::None => rename(&tmp, &new, name)?,
                Flush::Threads => files.push(file),
                Flush::Syncfs => {}
            }
        }
        match flush {
            Flush::None | Flush::Each => continue,
            Flush::Syncfs => rustix::fs::syncfs(tmp.as_fd())?,
            Flush::Threads => thread::scope(|scope| {
                let share = files.len().div_ceil(threads);
                let flushing: Vec<_> = files
                    .chunks(share)
                    .map(|files| scope.spawn(|| files.iter().try_for_each(File::sync_all)))
                    .collect();
                flushing
                    .into_iter()
                    .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())))
            })?,
        }
        names.iter().try_for_each(|name| rename(&tmp, &new, name))?;
        new.sync_all()?;
    }
    Ok(())
}

fn create(folder: &File, name: &str) -> Result<File> {
    use rustix::fs::{Mode, OFlags, openat};
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?.into())
}

fn rename(from: &File, to: &File, name: &str) -> Result<()> {
    Ok(rustix::fs::renameat(from, name, to, name)?)
}
