//! A server that plays a script, octet by octet, for what no server of ours would do.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use popwire::{Connector, Security};

/// A step of the script.
pub(crate) enum Act {
    /// Sends these octets in one write.
    Say(Vec<u8>),
    /// Waits until the client has sent a line.
    Hear,
    /// Does nothing for so long.
    Pause(Duration),
    /// Sends these octets again and again until the client is gone.
    Flood(Vec<u8>),
    /// Closes the connection; without it, the script ends with waiting for the client to close.
    Close,
}

pub(crate) fn say(octets: impl AsRef<[u8]>) -> Act {
    Act::Say(octets.as_ref().to_vec())
}

pub(crate) fn pause(milliseconds: u64) -> Act {
    Act::Pause(Duration::from_millis(milliseconds))
}

/// `Hear` and `Say` as one.
pub(crate) fn answer(octets: impl AsRef<[u8]>) -> [Act; 2] {
    [Act::Hear, say(octets)]
}

/// The script's server. It takes one connection.
pub(crate) struct Actor {
    addr: SocketAddr,
    reads: Arc<Mutex<Vec<Vec<u8>>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Actor {
    pub(crate) fn play(script: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let reads = Arc::new(Mutex::new(Vec::new()));
        let (script, heard): (Vec<_>, _) = (script.into_iter().collect(), Arc::clone(&reads));
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            drop(listener);
            // That the client hangs up in the middle of the script is its right.
            let _ = perform(stream, script, &heard);
        });
        Self { addr, reads, thread: Some(thread) }
    }

    /// A greeting, and CAPA refused; then the rest.
    pub(crate) fn greet_and<I>(rest: I) -> Self
    where
        I: IntoIterator<Item = Act>,
    {
        let opening = [say("+OK ready\r\n"), Act::Hear, say("-ERR no CAPA\r\n")];
        Self::play(opening.into_iter().chain(rest))
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A connector without TLS that may log in all the same.
    pub(crate) fn connector(&self) -> Connector {
        Connector::new("127.0.0.1")
            .port(self.addr.port())
            .security(Security::Plain)
            .dangerous_login_without_verified_tls()
    }

    /// What each read so far brought.
    pub(crate) fn reads(&self) -> Vec<Vec<u8>> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As [`Actor::heard`], but the octets.
    pub(crate) fn octets(mut self) -> Vec<u8> {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.reads().concat()
    }

    /// All that the client sent until it closed the connection, or until the script did.
    pub(crate) fn heard(self) -> String {
        String::from_utf8_lossy(&self.octets()).into_owned()
    }
}

pub(crate) fn perform(
    mut stream: TcpStream,
    script: Vec<Act>,
    reads: &Mutex<Vec<Vec<u8>>>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    // A test that hangs is to fail, not to hang.
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut buffer = vec![0; 1 << 16];
    let mut lines = 0;
    let mut read = |stream: &mut TcpStream| -> std::io::Result<usize> {
        let octets = stream.read(&mut buffer)?;
        let part = &buffer[..octets];
        reads.lock().unwrap_or_else(PoisonError::into_inner).push(part.to_vec());
        Ok(if octets == 0 { usize::MAX } else { part.iter().filter(|octet| **octet == b'\n').count() })
    };
    for act in script {
        match act {
            Act::Say(octets) => stream.write_all(&octets)?,
            Act::Hear => {
                while lines == 0 {
                    match read(&mut stream)? {
                        usize::MAX => return Ok(()),
                        some => lines += some,
                    }
                }
                lines -= 1;
            }
            Act::Pause(time) => thread::sleep(time),
            Act::Flood(octets) => loop {
                stream.write_all(&octets)?;
            },
            Act::Close => return Ok(()),
        }
    }
    while read(&mut stream)? != usize::MAX {}
    Ok(())
}
