//! What `popwire.testing` has beneath it: the embedded server.

use std::sync::Mutex;
use std::time::Duration;

use popwire_server::{Maildrop, Mechanism, Scenario, Server as Embedded};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Server>()
}

/// A server that runs until it is stopped.
#[pyclass(module = "popwire._native", frozen)]
struct Server {
    running: Mutex<Option<Embedded>>,
}

impl Server {
    fn with<T>(&self, ask: impl FnOnce(&Embedded) -> T) -> PyResult<T> {
        let guard = self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        guard.as_ref().map(ask).ok_or_else(|| PyRuntimeError::new_err("the server is stopped"))
    }

    fn maildrop(&self, user: &str) -> PyResult<Maildrop> {
        self.with(|server| server.maildrop(user))?
            .ok_or_else(|| PyValueError::new_err(format!("there is no user {user:?}")))
    }
}

#[pymethods]
impl Server {
    /// `mailboxes` are name, password and messages; `scenario` is TOML, and what it says comes before all else.
    #[new]
    #[pyo3(signature = (mailboxes, tokens, mechanisms, scenario, personality, quirks, faults, scripts, idle_timeout))]
    #[allow(clippy::too_many_arguments, reason = "it is Python's argument list")]
    fn new(
        py: Python<'_>,
        mailboxes: Vec<(String, String, Vec<Vec<u8>>)>,
        tokens: Vec<(String, String)>,
        mechanisms: Vec<String>,
        scenario: Option<&str>,
        personality: Option<&str>,
        quirks: Vec<String>,
        faults: Vec<String>,
        scripts: Vec<(String, Vec<u8>)>,
        idle_timeout: Option<f64>,
    ) -> PyResult<Self> {
        let wrong = |error: &dyn std::fmt::Display| PyValueError::new_err(error.to_string());
        let mut builder = match scenario {
            Some(toml) => Scenario::from_toml(toml).map_err(|e| wrong(&e))?.builder(),
            None => Embedded::builder(),
        };
        for (name, password, messages) in mailboxes {
            builder = builder.user(name, password, Maildrop::memory(messages));
        }
        for (name, token) in tokens {
            builder = builder.token(name, token);
        }
        if !mechanisms.is_empty() {
            let parse = |name: &String| name.parse::<Mechanism>().map_err(|e| wrong(&format!("{name}: {e}")));
            builder = builder.sasl(mechanisms.iter().map(parse).collect::<PyResult<Vec<_>>>()?);
        }
        if let Some(name) = personality {
            builder = builder.personality(name).map_err(|e| wrong(&e))?;
        }
        for quirk in quirks {
            builder = builder.quirk(&quirk).map_err(|e| wrong(&e))?;
        }
        for fault in faults {
            builder = builder.fault(fault.parse().map_err(|e| wrong(&e))?);
        }
        for (command, answer) in scripts {
            builder = builder.script(&command, answer);
        }
        if let Some(seconds) = idle_timeout {
            builder = builder.idle_timeout(Duration::try_from_secs_f64(seconds).map_err(|e| wrong(&e))?);
        }
        let started = py.detach(|| builder.start()).map_err(|e| PyOSError::new_err(e.to_string()))?;
        Ok(Self { running: Mutex::new(Some(started)) })
    }

    /// Ends it, and says how many connections were cut off.
    fn stop(&self, py: Python<'_>) -> usize {
        let running = self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        py.detach(|| running.map_or(0, |server| server.stop(Duration::ZERO)))
    }

    #[getter]
    fn host(&self) -> PyResult<String> {
        self.with(|server| server.addr().ip().to_string())
    }

    #[getter]
    fn port(&self) -> PyResult<u16> {
        self.with(|server| server.addr().port())
    }

    #[getter]
    fn tls_port(&self) -> PyResult<u16> {
        self.with(|server| server.tls_addr().port())
    }

    #[getter]
    fn ca_pem(&self) -> PyResult<String> {
        self.with(|server| server.ca_pem().to_owned())
    }

    /// The lines that clients sent, a list for each connection.
    fn commands(&self) -> PyResult<Vec<Vec<String>>> {
        self.with(|server| server.sessions().iter().map(popwire_server::Session::client_lines).collect())
    }

    /// What was said in each connection, as `C:` and `S:` lines.
    fn transcripts(&self) -> PyResult<Vec<String>> {
        self.with(|server| server.sessions().iter().map(ToString::to_string).collect())
    }

    /// Waits until so many connections have come and gone; false if the time is over.
    fn wait_closed(&self, py: Python<'_>, connections: usize, timeout: f64) -> PyResult<bool> {
        let timeout =
            Duration::try_from_secs_f64(timeout).map_err(|e| PyValueError::new_err(e.to_string()))?;
        py.detach(|| self.with(|server| server.wait_closed(connections, timeout)))
    }

    /// The messages that a user has.
    fn messages<'py>(&self, py: Python<'py>, user: &str) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let messages = self.maildrop(user)?.messages()?;
        Ok(messages.iter().map(|message| PyBytes::new(py, message)).collect())
    }

    fn deliver(&self, user: &str, message: Vec<u8>) -> PyResult<()> {
        Ok(self.maildrop(user)?.deliver(message)?)
    }
}
