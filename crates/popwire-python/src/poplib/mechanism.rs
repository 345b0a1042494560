//! The mechanisms of SASL, for `auth()` of the drop-in: challenges in, responses out. The lines around them, and their
//! base64, are Python's part.

use std::time::{SystemTime, UNIX_EPOCH};

use popwire_proto::Secret;
use popwire_proto::sasl::{self, Binding, ClientMechanism, Hash, Nonce, Scram, Start};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// One exchange by one mechanism.
#[pyclass(module = "popwire._native", unsendable)]
pub(crate) struct Mechanism {
    machine: Box<dyn ClientMechanism>,
}

#[pymethods]
impl Mechanism {
    /// `secret` is the password, or the token for the two mechanisms that take one.
    #[new]
    fn new(name: &str, user: &[u8], secret: &[u8], host: &str, port: u16) -> PyResult<Self> {
        let secret = Secret::from(secret.to_vec());
        let nonce = || Nonce::random().map_err(|e| problem(&e));
        let scram = |hash, secret| {
            Ok::<_, PyErr>(Box::new(Scram::new(hash, user, secret, Binding::Unsupported, nonce()?)))
        };
        let machine: Box<dyn ClientMechanism> = match name.parse() {
            Ok(sasl::Mechanism::Plain) => Box::new(sasl::Plain::new(user, secret)),
            Ok(sasl::Mechanism::Login) => Box::new(sasl::Login::new(user, secret)),
            Ok(sasl::Mechanism::CramMd5) => Box::new(sasl::CramMd5::new(user, secret)),
            Ok(sasl::Mechanism::DigestMd5) => Box::new(sasl::DigestMd5::new(user, secret, host, nonce()?)),
            Ok(sasl::Mechanism::ScramSha1) => scram(Hash::Sha1, secret)?,
            Ok(sasl::Mechanism::ScramSha256) => scram(Hash::Sha256, secret)?,
            Ok(sasl::Mechanism::ScramSha512) => scram(Hash::Sha512, secret)?,
            Ok(sasl::Mechanism::OAuthBearer) => Box::new(sasl::OAuthBearer::new(user, secret).at(host, port)),
            Ok(sasl::Mechanism::XOAuth2) => Box::new(sasl::XOAuth2::new(user, secret)),
            Ok(sasl::Mechanism::External) => Box::new(sasl::External::new().acting_as(user)),
            Ok(sasl::Mechanism::Anonymous) => {
                Box::new(sasl::Anonymous::new(String::from_utf8_lossy(user).into_owned()))
            }
            Ok(sasl::Mechanism::Ntlm) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Box::new(sasl::Ntlm::new(user, secret, nonce()?, now))
            }
            _ => return Err(PyValueError::new_err(format!("no mechanism {name:?} is known here"))),
        };
        Ok(Self { machine })
    }

    /// The initial response; None if the server speaks first.
    fn start<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        match self.machine.start().map_err(|e| problem(&e))? {
            Start::ServerFirst => Ok(None),
            Start::ClientFirst(response) => Ok(Some(PyBytes::new(py, response.expose()))),
        }
    }

    /// The response to a challenge.
    fn respond<'py>(&mut self, py: Python<'py>, challenge: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let response = self.machine.respond(challenge).map_err(|e| problem(&e))?;
        Ok(PyBytes::new(py, response.expose()))
    }

    /// Whether the server may say +OK now: all that it has to prove, it has proved.
    fn is_done(&self) -> bool {
        self.machine.is_done()
    }

    /// Whether the initial response may stand in the AUTH line.
    fn allows_initial_response(&self) -> bool {
        self.machine.allows_initial_response()
    }
}

fn problem(error: &sasl::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}
