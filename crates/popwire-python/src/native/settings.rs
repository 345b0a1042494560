//! How a session is made: the arguments of `popwire.Client`, as a connector of the Rust library.

use std::collections::BTreeMap;
use std::time::Duration;

use popwire::{Connector, Limits, Pipelining, Security, Timeouts, Tls, Window};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use super::errors;

#[pyclass(module = "popwire._native", frozen)]
pub(super) struct Settings {
    pub(super) connector: Connector,
    /// Octets of a message that is kept in memory.
    pub(super) most: usize,
}

#[pymethods]
impl Settings {
    #[new]
    #[pyo3(signature = (host, *, port, security, ca, pins, client, server_name, verify, login_in_the_clear, timeouts, limits,
        pipelining, window, capa, without))]
    #[allow(
        clippy::too_many_arguments,
        clippy::fn_params_excessive_bools,
        reason = "it is Python's argument list"
    )]
    fn new(
        py: Python<'_>,
        host: String,
        port: Option<u16>,
        security: &str,
        ca: Option<&[u8]>,
        pins: Vec<String>,
        client: Option<(Vec<u8>, Vec<u8>)>,
        server_name: Option<String>,
        verify: bool,
        login_in_the_clear: bool,
        timeouts: BTreeMap<String, Option<f64>>,
        limits: BTreeMap<String, u64>,
        pipelining: &str,
        window: (usize, u64),
        capa: bool,
        without: Vec<String>,
    ) -> PyResult<Self> {
        let security = match security {
            "tls" => Security::Tls,
            "stls" => Security::Stls,
            "opportunistic" => Security::OpportunisticStls,
            "plain" => Security::Plain,
            _ => return Err(PyValueError::new_err("security is tls, stls, opportunistic or plain")),
        };
        let pipelining = match pipelining {
            "announced" => Pipelining::WhereAnnounced,
            "always" => Pipelining::Always,
            "never" => Pipelining::Never,
            _ => return Err(PyValueError::new_err("pipelining is announced, always or never")),
        };
        let raised = |error: popwire::Error| errors::exception(py, &error);
        let mut tls = Tls::new();
        if let Some(pem) = ca {
            tls = tls.with_root_certificates(pem).map_err(raised)?;
        }
        for pin in &pins {
            tls = tls.with_pinned_key(pin).map_err(raised)?;
        }
        if let Some((chain, key)) = client {
            tls = tls.with_client_certificate(&chain, key).map_err(raised)?;
        }
        if let Some(name) = server_name {
            tls = tls.with_server_name(name);
        }
        if !verify {
            tls = tls.dangerous_accept_any_certificate();
        }
        let limits = limits_of(limits)?;
        let most = limits.message_in_memory;
        let mut connector = Connector::new(host)
            .security(security)
            .tls(tls)
            .timeouts(timeouts_of(timeouts)?)
            .limits(limits)
            .pipelining(pipelining);
        let mut bounds = Window::default();
        (bounds.commands, bounds.octets) = window;
        connector = connector.window(bounds);
        if let Some(port) = port {
            connector = connector.port(port);
        }
        if login_in_the_clear {
            connector = connector.dangerous_login_without_verified_tls();
        }
        if !capa {
            connector = connector.without_capa();
        }
        let connector = without.into_iter().fold(connector, Connector::without_capability);
        Ok(Self { connector, most })
    }

    #[getter]
    fn host(&self) -> &str {
        self.connector.host()
    }

    #[getter]
    fn port(&self) -> u16 {
        self.connector.effective_port()
    }
}

/// Seconds by name; None where there is to be no deadline.
fn timeouts_of(given: BTreeMap<String, Option<f64>>) -> PyResult<Timeouts> {
    let mut timeouts = Timeouts::default();
    for (name, seconds) in given {
        let wait = seconds.map(Duration::try_from_secs_f64).transpose();
        let wait = wait.map_err(|e| PyValueError::new_err(format!("timeout {name}: {e}")))?;
        let place = match (name.as_str(), wait) {
            ("whole", wait) => {
                timeouts.whole = wait;
                continue;
            }
            ("rescue", wait) => {
                timeouts.rescue = wait;
                continue;
            }
            ("connect", Some(_)) => &mut timeouts.connect,
            ("tls", Some(_)) => &mut timeouts.tls,
            ("greeting", Some(_)) => &mut timeouts.greeting,
            ("capa", Some(_)) => &mut timeouts.capa,
            ("login", Some(_)) => &mut timeouts.login,
            ("command", Some(_)) => &mut timeouts.command,
            ("first_octet", Some(_)) => &mut timeouts.first_octet,
            ("idle", Some(_)) => &mut timeouts.idle,
            ("answer", Some(_)) => &mut timeouts.answer,
            ("quit", Some(_)) => &mut timeouts.quit,
            (_, None) => return Err(PyValueError::new_err(format!("timeout {name} may not be None"))),
            _ => return Err(PyTypeError::new_err(format!("there is no timeout {name}"))),
        };
        if let Some(wait) = wait {
            *place = wait;
        }
    }
    Ok(timeouts)
}

/// Bounds by name.
fn limits_of(given: BTreeMap<String, u64>) -> PyResult<Limits> {
    let mut limits = Limits::default();
    for (name, bound) in given {
        let size = usize::try_from(bound).unwrap_or(usize::MAX);
        match name.as_str() {
            "message_octets" => limits.message_octets = bound,
            "discard" => limits.discard = bound,
            "command_line" => limits.command_line = size,
            "response_line" => limits.response_line = size,
            "listing_octets" => limits.listing_octets = size,
            "listing_entries" => limits.listing_entries = size,
            "message_in_memory" => limits.message_in_memory = size,
            "receive_buffer" => limits.receive_buffer = size,
            _ => return Err(PyTypeError::new_err(format!("there is no limit {name}"))),
        }
    }
    Ok(limits)
}
