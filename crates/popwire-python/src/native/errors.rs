//! The errors of the Rust library as those of the package: `popwire/_errors.py` has the classes, and this finds the right
//! one.

use std::error::Error as _;
use std::io;

use popwire::{Error, ResponseCode};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The exception for this error: the first class of which it is one.
pub(super) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    if let Some(interrupted) = interruption(py, error) {
        return interrupted;
    }
    let class = match error {
        e if e.is_in_use() => "InUse",
        e if e.is_authentication() => "AuthenticationFailed",
        e if e.is_server_untrusted() => "ServerUntrusted",
        e if e.is_tls() => "TlsError",
        e if e.is_unsupported() => "Unsupported",
        e if e.is_refused() || e.is_method_refused() => "Refused",
        e if e.is_timeout() => "Timeout",
        e if e.is_closed() => "Closed",
        e if e.is_io() => "NetworkError",
        e if e.is_policy() => "Forbidden",
        e if e.is_misuse() => "Misuse",
        e if e.is_protocol() => "ProtocolError",
        _ => "Error",
    };
    made(py, class, error).unwrap_or_else(|failed| failed)
}

/// The same of an error as it comes out of a reader of the library, or out of a Python file.
pub(super) fn io_exception(py: Python<'_>, error: io::Error) -> PyErr {
    match error.downcast::<Error>() {
        Ok(error) => exception(py, &error),
        Err(other) => match other.downcast::<PyErr>() {
            Ok(raised) => raised,
            Err(other) => other.into(),
        },
    }
}

fn made(py: Python<'_>, class: &str, error: &Error) -> PyResult<PyErr> {
    let exception = py.import(intern!(py, "popwire._errors"))?.getattr(class)?.call1((error.to_string(),))?;
    let reply = error.reply();
    exception.setattr("reply", reply.map(|reply| PyBytes::new(py, reply.line().as_bytes())))?;
    exception.setattr("code", reply.and_then(|reply| reply.code()).map(code))?;
    exception.setattr("is_temporary", error.is_temporary())?;
    exception.setattr("is_retryable", error.is_retryable())?;
    exception.setattr("retry_after", error.retry_after().map(|after| after.as_secs_f64()))?;
    Ok(PyErr::from_value(exception))
}

/// A response code without its brackets (RFC 2449 section 8).
fn code(code: &ResponseCode) -> String {
    match code {
        ResponseCode::InUse => "IN-USE".into(),
        ResponseCode::LoginDelay => "LOGIN-DELAY".into(),
        ResponseCode::SysTemp => "SYS/TEMP".into(),
        ResponseCode::SysPerm => "SYS/PERM".into(),
        ResponseCode::Auth => "AUTH".into(),
        ResponseCode::Utf8 => "UTF8".into(),
        ResponseCode::Other(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        _ => String::new(),
    }
}

/// What Python itself raised while the library waited: Ctrl-C, or the file that a message was written to.
fn interruption(py: Python<'_>, error: &Error) -> Option<PyErr> {
    let mut source = error.source();
    while let Some(error) = source {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(raised) = inner.and_then(|inner| inner.downcast_ref::<PyErr>()) {
            return Some(raised.clone_ref(py));
        }
        source = error.source();
    }
    None
}

/// Somebody else has the session at this moment.
pub(super) fn busy() -> PyErr {
    PyRuntimeError::new_err(
        "the session is in use: by another thread, or by a file that a message is written to",
    )
}

/// There is no session any more.
pub(super) fn ended(py: Python<'_>) -> PyErr {
    let made = || {
        let class = py.import(intern!(py, "popwire._errors"))?.getattr("Closed")?;
        class.call1(("the session has ended: quit() or close() was called",))
    };
    made().map_or_else(|failed| failed, PyErr::from_value)
}
