//! A TCP connection whose waits Ctrl-C can end: Python runs its signal handlers only when it is asked to.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use popwire::blocking::Transport;
use pyo3::prelude::*;

use super::errors::ended;

/// How long a signal, or who hangs up, may have to wait.
const SLICE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Interruptible {
    stream: TcpStream,
    timeout: Duration,
    hung_up: Arc<AtomicBool>,
}

impl Interruptible {
    /// Once `hung_up` is set, nothing is read or written any more.
    pub(super) fn new(stream: TcpStream, hung_up: Arc<AtomicBool>) -> io::Result<Self> {
        stream.set_read_timeout(Some(SLICE))?;
        stream.set_write_timeout(Some(SLICE))?;
        Ok(Self { stream, timeout: SLICE, hung_up })
    }

    /// Tries until the timeout, and looks for signals between.
    fn wait<T>(&mut self, mut attempt: impl FnMut(&mut TcpStream) -> io::Result<T>) -> io::Result<T> {
        let begin = Instant::now();
        loop {
            if self.hung_up.load(Ordering::SeqCst) {
                return Err(io::Error::other(Python::attach(ended)));
            }
            match attempt(&mut self.stream) {
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    Python::attach(|py| py.check_signals()).map_err(io::Error::other)?;
                    if begin.elapsed() >= self.timeout {
                        return Err(e);
                    }
                }
                // A signal: its handler may want to raise something.
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                    Python::attach(|py| py.check_signals()).map_err(io::Error::other)?;
                }
                done => return done,
            }
        }
    }
}

impl Read for Interruptible {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait(|stream| stream.read(buffer))
    }
}

impl Write for Interruptible {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.wait(|stream| stream.write(octets))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Transport for Interruptible {
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        if timeout < SLICE {
            self.stream.set_read_timeout(Some(timeout))?;
            self.stream.set_write_timeout(Some(timeout))?;
        } else if self.timeout < SLICE {
            self.stream.set_read_timeout(Some(SLICE))?;
            self.stream.set_write_timeout(Some(SLICE))?;
        }
        self.timeout = timeout;
        Ok(())
    }

    fn has_input(&mut self) -> io::Result<bool> {
        Transport::has_input(&mut self.stream)
    }
}
