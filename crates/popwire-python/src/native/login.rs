//! Who logs in, and with what.

use popwire::Method;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Credentials, and the ways to use them. Its repr has no secret: it has none at all.
#[pyclass(module = "popwire._native", frozen)]
pub(super) struct Login(pub(super) popwire::Login);

#[pymethods]
impl Login {
    /// `kind` is one of password, token, external, anonymous, apop and gssapi; `methods` are tried in this order, and are
    /// chosen among what the server offers if there are none.
    #[new]
    #[pyo3(signature = (kind, user, secret, methods, acting_as, attempts))]
    fn new(
        kind: &str,
        user: &[u8],
        secret: &[u8],
        methods: Vec<String>,
        acting_as: &[u8],
        attempts: Option<u32>,
    ) -> PyResult<Self> {
        let secret = secret.to_vec();
        let mut login = match kind {
            "password" => popwire::Login::password(user, secret),
            "token" => popwire::Login::token(user, secret),
            "external" => popwire::Login::external(),
            "anonymous" => popwire::Login::anonymous(String::from_utf8_lossy(user)),
            "apop" => popwire::Login::apop(user, secret),
            _ => return Err(PyValueError::new_err(format!("there is no login by {kind:?}"))),
        };
        if !methods.is_empty() {
            let parse = |name: &String| {
                name.parse::<Method>().map_err(|e| PyValueError::new_err(format!("{name:?}: {e}")))
            };
            login = login.methods(methods.iter().map(parse).collect::<PyResult<Vec<_>>>()?);
        }
        if !acting_as.is_empty() {
            login = login.acting_as(acting_as);
        }
        if let Some(attempts) = attempts {
            login = login.attempts(attempts);
        }
        Ok(Self(login))
    }
}
