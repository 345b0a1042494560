//! Where a message goes: into the memory of a Python `bytes`, or into a Python file. Both doors write to them.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use pyo3::exceptions::PyOverflowError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::io::AsyncWrite;

use crate::octets::{Octets, announced};

/// A message in memory.
pub(super) struct Collector {
    /// None before the first octet: to make it takes the interpreter, and may fail.
    octets: Option<Octets>,
    announced: usize,
    most: usize,
}

impl Collector {
    /// For the message behind this status line, up to so many octets.
    pub(super) fn new(status: &[u8], most: usize) -> Self {
        Self { octets: None, announced: announced(status), most }
    }

    pub(super) fn finish(self) -> Py<PyBytes> {
        Python::attach(|py| match self.octets {
            Some(octets) => octets.finish(py).unbind(),
            None => PyBytes::new(py, b"").unbind(),
        })
    }
}

impl Write for Collector {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let all = match &mut self.octets {
            Some(all) => all,
            none => {
                none.insert(Python::attach(|py| Octets::new(py, self.announced)).map_err(io::Error::other)?)
            }
        };
        if all.len() + octets.len() > self.most {
            let text = "the message is larger than limits allow in memory: message_in_memory; retrieve_into() streams it";
            return Err(io::Error::other(PyOverflowError::new_err(text)));
        }
        all.append(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A Python file, by its `write`.
pub(super) struct File(pub(super) Py<PyAny>);

impl Write for File {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        Python::attach(|py| {
            let written = self.0.call1(py, (PyBytes::new(py, octets),))?;
            // Raw files say how many octets they took; others may say what they like.
            Ok(written.extract::<usize>(py).map_or(octets.len(), |written| written.min(octets.len())))
        })
        .map_err(|error: PyErr| io::Error::other(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `write` of the file that `open` gives for a message.
pub(super) fn opened(open: &Py<PyAny>, number: u32) -> PyResult<Py<PyAny>> {
    Python::attach(|py| open.call1(py, (number,))?.getattr(py, intern!(py, "write")))
}

/// Neither waits for anything but the interpreter.
macro_rules! write_at_once {
    ($($sink:ty),*) => {
        $(
            impl AsyncWrite for $sink {
                fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
                    Poll::Ready(self.get_mut().write(octets))
                }

                fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                    Poll::Ready(Ok(()))
                }

                fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                    Poll::Ready(Ok(()))
                }
            }
        )*
    };
}

write_at_once!(Collector, File);
