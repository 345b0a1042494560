//! The blocking session.
//!
//! The interpreter is let go for the whole of each call, and taken again only to put a message into a Python file. Who
//! calls while another call is under way is told so: to wait could be for ever, if it is that file which calls. Only to hang
//! up is always possible: then the other call ends.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use popwire::blocking::{Client, Message, connect_tcp};
use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::commands::commands;
use super::errors::{busy, ended, exception, io_exception};
use super::login::Login;
use super::settings::Settings;
use super::sinks::{Collector, opened};
use super::transport::Interruptible;
use super::values::{self, Bytes, Outcome, Parting};
use crate::room::Room;

/// Messages by number.
type Batch = Vec<(u32, Outcome<Py<PyBytes>>)>;

#[pyclass(module = "popwire._native", frozen)]
pub(super) struct Session {
    client: Mutex<Option<Client>>,
    /// That `close` was called while another call was under way.
    hung_up: Arc<AtomicBool>,
    /// Octets of a message that is kept in memory.
    most: usize,
}

impl Session {
    fn lock(&self) -> PyResult<MutexGuard<'_, Option<Client>>> {
        match self.client.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(busy()),
        }
    }

    /// Drops the client, if somebody has hung up and could not do so himself. Whoever comes last finds it free: the one who
    /// hung up says so before he looks, and the other looks after he has let go.
    fn sweep(&self) {
        if self.hung_up.load(Ordering::SeqCst)
            && let Ok(mut client) = self.lock()
        {
            drop(client.take());
        }
    }

    /// Works with the client while other threads may run.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Client) -> popwire::Result<T> + Send,
    ) -> PyResult<T> {
        let done = py.detach(|| {
            let done = self.lock()?.as_mut().map(work);
            self.sweep();
            Ok::<_, PyErr>(done)
        })?;
        done.ok_or_else(|| ended(py))?.map_err(|error| exception(py, &error))
    }
}

/// The methods of the list.
macro_rules! methods {
    ($($name:ident($($argument:ident: $type:ty),*) => $method:ident($($passed:ident),*) => $value:path;)*) => {
        #[pymethods]
        impl Session {
            $(
                fn $name<'py>(&self, py: Python<'py>, $($argument: $type),*) -> PyResult<Bound<'py, PyAny>> {
                    self.with(py, move |client| client.$method($($passed),*).map($value))?.into_bound_py_any(py)
                }
            )*
        }
    };
}

commands!(methods);

#[pymethods]
impl Session {
    #[new]
    fn new(py: Python<'_>, settings: &Settings) -> PyResult<Self> {
        let connector = &settings.connector;
        let raised = |error: popwire::Error| exception(py, &error);
        let stream = py.detach(|| connect_tcp(connector)).map_err(raised)?;
        let hung_up = Arc::new(AtomicBool::new(false));
        let stream = Interruptible::new(stream, Arc::clone(&hung_up))?;
        let client = py.detach(|| Client::over(stream, connector)).map_err(raised)?;
        Ok(Self { client: Mutex::new(Some(client)), hung_up, most: settings.most })
    }

    fn login(&self, py: Python<'_>, login: &Login) -> PyResult<Bytes> {
        self.with(py, |client| client.login(&login.0).map(values::line))
    }

    fn login_with_inventory<'py>(&self, py: Python<'py>, login: &Login) -> PyResult<Bound<'py, PyAny>> {
        let stock = self.with(py, |client| client.login_with_inventory(&login.0).map(values::inventory))?;
        stock.into_bound_py_any(py)
    }

    /// A message; its header and so many lines of its body, if `lines` is a number.
    fn retrieve(&self, py: Python<'_>, number: u32, lines: Option<u32>) -> PyResult<Py<PyBytes>> {
        self.with(py, |client| collected(&mut message(client, number, lines)?, self.most))
    }

    /// Writes a message to a Python file, and says how many octets it has.
    fn retrieve_into(
        &self,
        py: Python<'_>,
        number: u32,
        lines: Option<u32>,
        file: Py<PyAny>,
    ) -> PyResult<u64> {
        let (mut room, write) = (Room::new(py)?, file.getattr(py, "write")?);
        let passed_on = self.with(py, |client| {
            let mut message = message(client, number, lines)?;
            Ok(room.pass_on(|room| message.read(room), &write))
        })?;
        passed_on.map_err(|error| io_exception(py, error))
    }

    /// Messages that are asked for together, all of them to the end. The session's own trouble ends the list.
    fn retrieve_batch(&self, py: Python<'_>, numbers: Vec<u32>, lines: Option<u32>) -> PyResult<Batch> {
        self.with(py, |client| {
            let mut messages = match lines {
                None => client.retrieve_many(numbers),
                Some(lines) => client.top_many(numbers, lines),
            };
            let mut batch = Vec::new();
            while let Some((number, message)) = messages.next() {
                batch.push((
                    number,
                    message.and_then(|mut message| collected(&mut message, self.most)).into(),
                ));
            }
            Ok(batch)
        })
    }

    /// The same into files: `open` gives the one for a number. For each number its octets, or what went wrong.
    fn retrieve_batch_into(
        &self,
        py: Python<'_>,
        numbers: Vec<u32>,
        open: Py<PyAny>,
    ) -> PyResult<Vec<(u32, Outcome<u64>)>> {
        let mut room = Room::new(py)?;
        self.with(py, |client| {
            let mut messages = client.retrieve_many(numbers);
            let mut batch = Vec::new();
            while let Some((number, message)) = messages.next() {
                let outcome = match message.map(|message| (message, opened(&open, number))) {
                    Ok((mut message, Ok(write))) => room.pass_on(|room| message.read(room), &write).into(),
                    Ok((_, Err(raised))) => Outcome::Raised(raised),
                    Err(error) => Outcome::Error(error),
                };
                batch.push((number, outcome));
            }
            Ok(batch)
        })
    }

    /// For each number the server's line, or why it is not marked.
    fn delete_batch(&self, py: Python<'_>, numbers: Vec<u32>) -> PyResult<Vec<(u32, Outcome<Bytes>)>> {
        self.with(py, |client| {
            let marked = client.delete_many(numbers);
            Ok(marked.map(|(number, reply)| (number, reply.map(values::line).into())).collect())
        })
    }

    fn quit(&self, py: Python<'_>) -> PyResult<Parting> {
        let client = self.lock()?.take().ok_or_else(|| ended(py))?;
        Ok(values::farewell(py.detach(|| client.quit())))
    }

    /// Hangs up. A call that is under way ends, at its next look at the connection.
    fn close(&self, py: Python<'_>) {
        py.detach(|| {
            if let Ok(mut client) = self.lock() {
                drop(client.take());
            } else {
                self.hung_up.store(true, Ordering::SeqCst);
                self.sweep();
            }
        });
    }

    #[getter]
    fn is_closed(&self) -> PyResult<bool> {
        Ok(self.hung_up.load(Ordering::SeqCst) || self.lock()?.is_none())
    }

    #[getter]
    fn is_broken(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |client| Ok(client.is_broken()))
    }

    #[getter]
    fn greeting(&self, py: Python<'_>) -> PyResult<Bytes> {
        self.with(py, |client| Ok(values::line(client.greeting().clone())))
    }

    #[getter]
    fn capabilities(&self, py: Python<'_>) -> PyResult<Vec<(String, Vec<String>)>> {
        self.with(py, |client| Ok(values::capabilities(client.capabilities())))
    }

    #[getter]
    fn tls(&self, py: Python<'_>) -> PyResult<Option<(String, String, Bytes, bool)>> {
        self.with(py, |client| Ok(client.tls().map(values::tls)))
    }

    #[getter]
    fn logged_in_by(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.with(py, |client| Ok(client.logged_in_by().map(|method| method.name().to_owned())))
    }

    #[getter]
    fn marked(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |client| Ok(client.marked()))
    }
}

fn message(client: &mut Client, number: u32, lines: Option<u32>) -> popwire::Result<Message<'_>> {
    match lines {
        None => client.retr(number),
        Some(lines) => client.top(number, lines),
    }
}

/// A message, copied once.
fn collected(message: &mut Message<'_>, most: usize) -> popwire::Result<Py<PyBytes>> {
    let mut collector = Collector::new(message.reply().text(), most);
    message.copy_to(&mut collector)?;
    Ok(collector.finish())
}
