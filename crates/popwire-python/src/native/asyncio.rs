//! The session for asyncio: each method gives an awaitable. Cancelling it is what dropping a future is in Rust: nothing
//! is lost, and the session is in step again at the next command.

use std::sync::Arc;
use std::time::Duration;

use popwire::tokio::{Client, Message};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3_async_runtimes::tokio::future_into_py;
use tokio::sync::Mutex;

use super::commands::commands;
use super::errors::{ended, exception};
use super::login::Login;
use super::runtime;
use super::settings::Settings;
use super::sinks::{Collector, File, opened};
use super::values::{self, Bytes, Outcome};

#[pyclass(module = "popwire._native", frozen)]
pub(super) struct AsyncSession {
    client: Arc<Mutex<Option<Client>>>,
    /// Octets of a message that is kept in memory.
    most: usize,
}

/// An awaitable of what is done with the client, once it is free.
macro_rules! with {
    ($py:expr, $session:expr, |$client:ident| $work:expr) => {{
        let shared = Arc::clone(&$session.client);
        future_into_py($py, async move {
            let mut guard = shared.lock().await;
            let Some($client) = guard.as_mut() else { return Err(Python::attach(ended)) };
            let done: popwire::Result<_> = $work.await;
            done.map_err(|error| Python::attach(|py| exception(py, &error)))
        })
    }};
}

/// The methods of the list.
macro_rules! methods {
    ($($name:ident($($argument:ident: $type:ty),*) => $method:ident($($passed:ident),*) => $value:path;)*) => {
        #[pymethods]
        impl AsyncSession {
            $(
                fn $name<'py>(&self, py: Python<'py>, $($argument: $type),*) -> PyResult<Bound<'py, PyAny>> {
                    with!(py, self, |client| async { client.$method($($passed),*).await.map($value) })
                }
            )*
        }
    };
}

commands!(methods);

#[pymethods]
impl AsyncSession {
    /// An awaitable of a session.
    #[staticmethod]
    fn connect<'py>(py: Python<'py>, settings: &Settings) -> PyResult<Bound<'py, PyAny>> {
        runtime::prepare(py)?;
        let (connector, most) = (settings.connector.clone(), settings.most);
        future_into_py(py, async move {
            match Client::connect(&connector).await {
                Ok(client) => Ok(Self { client: Arc::new(Mutex::new(Some(client))), most }),
                Err(error) => Err(Python::attach(|py| exception(py, &error))),
            }
        })
    }

    fn login<'py>(&self, py: Python<'py>, login: &Login) -> PyResult<Bound<'py, PyAny>> {
        let login = login.0.clone();
        with!(py, self, |client| async { client.login(&login).await.map(values::line) })
    }

    fn login_with_inventory<'py>(&self, py: Python<'py>, login: &Login) -> PyResult<Bound<'py, PyAny>> {
        let login = login.0.clone();
        with!(py, self, |client| async { client.login_with_inventory(&login).await.map(values::inventory) })
    }

    /// A message; its header and so many lines of its body, if `lines` is a number.
    fn retrieve<'py>(&self, py: Python<'py>, number: u32, lines: Option<u32>) -> PyResult<Bound<'py, PyAny>> {
        let most = self.most;
        with!(py, self, |client| async { collected(&mut message(client, number, lines).await?, most).await })
    }

    /// Writes a message to a Python file, and says how many octets it has.
    fn retrieve_into<'py>(
        &self,
        py: Python<'py>,
        number: u32,
        lines: Option<u32>,
        file: Py<PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut file = File(file.getattr(py, "write")?);
        with!(py, self, |client| async { message(client, number, lines).await?.copy_to(&mut file).await })
    }

    /// Messages that are asked for together, all of them to the end. The session's own trouble ends the list.
    fn retrieve_batch<'py>(
        &self,
        py: Python<'py>,
        numbers: Vec<u32>,
        lines: Option<u32>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let most = self.most;
        with!(py, self, |client| async {
            let mut messages = match lines {
                None => client.retrieve_many(numbers),
                Some(lines) => client.top_many(numbers, lines),
            };
            let mut batch: Vec<(u32, Outcome<Py<PyBytes>>)> = Vec::new();
            while let Some((number, message)) = messages.next().await {
                let message = match message {
                    Ok(mut message) => collected(&mut message, most).await,
                    Err(error) => Err(error),
                };
                batch.push((number, message.into()));
            }
            Ok(batch)
        })
    }

    /// The same into files: `open` gives the one for a number. For each number its octets, or what went wrong.
    fn retrieve_batch_into<'py>(
        &self,
        py: Python<'py>,
        numbers: Vec<u32>,
        open: Py<PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        with!(py, self, |client| async {
            let mut messages = client.retrieve_many(numbers);
            let mut batch: Vec<(u32, Outcome<u64>)> = Vec::new();
            while let Some((number, message)) = messages.next().await {
                let outcome = match message.map(|message| (message, opened(&open, number))) {
                    Ok((mut message, Ok(write))) => message.copy_to(&mut File(write)).await.into(),
                    Ok((_, Err(raised))) => Outcome::Raised(raised),
                    Err(error) => Outcome::Error(error),
                };
                batch.push((number, outcome));
            }
            Ok(batch)
        })
    }

    /// For each number the server's line, or why it is not marked.
    fn delete_batch<'py>(&self, py: Python<'py>, numbers: Vec<u32>) -> PyResult<Bound<'py, PyAny>> {
        with!(py, self, |client| async {
            let mut marked = client.delete_many(numbers);
            let mut batch: Vec<(u32, Outcome<Bytes>)> = Vec::new();
            while let Some((number, reply)) = marked.next().await {
                batch.push((number, reply.map(values::line).into()));
            }
            Ok(batch)
        })
    }

    fn quit<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let shared = Arc::clone(&self.client);
        future_into_py(py, async move {
            let Some(client) = shared.lock().await.take() else { return Err(Python::attach(ended)) };
            Ok(values::farewell(client.quit().await))
        })
    }

    /// Hangs up.
    fn close<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let shared = Arc::clone(&self.client);
        future_into_py(py, async move {
            drop(shared.lock().await.take());
            Ok(())
        })
    }

    /// `(is it closed, is it broken, greeting, capabilities, TLS, the way of the login, marked)`.
    fn facts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        with!(py, self, |client| async move {
            Ok((
                client.is_broken(),
                values::line(client.greeting().clone()),
                values::capabilities(client.capabilities()),
                client.tls().map(values::tls),
                client.logged_in_by().map(|method| method.name().to_owned()),
                client.marked(),
            ))
        })
    }
}

async fn message(client: &mut Client, number: u32, lines: Option<u32>) -> popwire::Result<Message<'_>> {
    match lines {
        None => client.retr(number).await,
        Some(lines) => client.top(number, lines).await,
    }
}

/// A message, copied once.
async fn collected(message: &mut Message<'_>, most: usize) -> popwire::Result<Py<PyBytes>> {
    let mut collector = Collector::new(message.reply().text(), most);
    message.copy_to(&mut collector).await?;
    Ok(collector.finish())
}
