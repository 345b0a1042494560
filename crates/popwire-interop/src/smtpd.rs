//! A mail server: the one of Python's library, which takes SMTP on loopback and writes each message into a file.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::process::Process;
use crate::{Error, Result};

/// Python 3.11; a later one has no smtpd. It has LF for line ends, and none for the last. It says whom a message is from and
/// for in a line of its own in front.
const PROGRAM: &str = "\
import asyncore, smtpd, sys
class Server(smtpd.SMTPServer):
    stored = 0
    def process_message(self, peer, mailfrom, rcpttos, data, **options):
        if mailfrom == 'eve@x':
            return '550 not from her'
        with open(f'{sys.argv[1]}/{self.stored}', 'wb') as file:
            file.write(f'{mailfrom} {rcpttos}\\n'.encode() + data)
        self.stored += 1
server = Server(('127.0.0.1', 0), None, data_size_limit=10000000)
print(server.socket.getsockname()[1], flush=True)
asyncore.loop()";

/// A server that takes all mail but that from `eve@x`; gone when it is dropped.
#[derive(Debug)]
pub struct Smtpd {
    /// Its port.
    pub port: u16,
    folder: TempDir,
    _process: Process,
}

impl Smtpd {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// When there is no Python, or one without the module.
    pub fn start() -> Result<Self> {
        let folder = TempDir::new().map_err(|reason| Error::new(reason.to_string()))?;
        let mut python = Command::new("python3");
        python.args(["-W", "ignore", "-c", PROGRAM]).arg(folder.path()).stdout(Stdio::piped());
        let mut process = Process::spawn(&mut python)?;
        let mut port = String::new();
        if let Some(stdout) = process.child().stdout.take() {
            BufReader::new(stdout).read_line(&mut port).map_err(|reason| Error::new(reason.to_string()))?;
        }
        let port = port.trim().parse();
        let port = port.map_err(|_| Error::new("Python 3.11 is needed: a later one has no smtpd"))?;
        Ok(Self { port, folder, _process: process })
    }

    /// What it has stored, in order: a line such as `carol@x ['bob@x']`, then the message.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn stored(&self) -> Result<Vec<Vec<u8>>> {
        let count =
            fs::read_dir(self.folder.path()).map_err(|reason| Error::new(reason.to_string()))?.count();
        (0..count)
            .map(|at| {
                fs::read(self.folder.path().join(at.to_string()))
                    .map_err(|reason| Error::new(reason.to_string()))
            })
            .collect()
    }
}
