//! One constructor for the halves of all mechanisms.

use std::sync::OnceLock;
use std::time::Duration;

use super::fault::Faulty;
use super::{
    Anonymous, CramMd5, DigestMd5, External, Fault, Login, Ntlm, OAuthBearer, Plain, Scram, ServerMechanism,
    XOAuth2, scram,
};
use crate::sasl::{ChannelBinding, Error, Hash, Mechanism, Nonce};

/// What the server's halves have to know of the server and of the session.
///
/// ```
/// use std::time::{SystemTime, UNIX_EPOCH};
///
/// use popwire_proto::sasl::Mechanism;
/// use popwire_proto::sasl::server::{self, Setting};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let setting = Setting::new("pop.example.com", SystemTime::now().duration_since(UNIX_EPOCH)?);
/// assert!(server::mechanism(Mechanism::ScramSha256, &setting)?.is_some());
/// assert!(server::mechanism(Mechanism::Gssapi, &setting)?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Setting {
    host: Vec<u8>,
    any_host: bool,
    now: Duration,
    bindings: Vec<ChannelBinding>,
    plus_offered: bool,
    iterations: u32,
    fault: Option<Fault>,
}

impl Setting {
    /// `host` is the name by which clients know the server, `now` the time since 1970 (UTC).
    #[must_use]
    pub fn new(host: impl AsRef<[u8]>, now: Duration) -> Self {
        Self {
            host: host.as_ref().to_vec(),
            any_host: false,
            now,
            bindings: Vec::new(),
            plus_offered: false,
            iterations: scram::ITERATIONS,
            fault: None,
        }
    }

    /// Whether clients may know the server by other names too ([`DigestMd5::any_host`]). Default no.
    #[must_use]
    pub fn any_host(mut self, any: bool) -> Self {
        self.any_host = any;
        self
    }

    /// The channel bindings of the session. Default none: then nobody can use a -PLUS mechanism.
    #[must_use]
    pub fn bindings(mut self, bindings: Vec<ChannelBinding>) -> Self {
        self.bindings = bindings;
        self
    }

    /// Whether a -PLUS mechanism is offered in this session ([`Scram::plus_offered`]). Default no.
    #[must_use]
    pub fn plus_offered(mut self, offered: bool) -> Self {
        self.plus_offered = offered;
        self
    }

    /// How many iterations SCRAM asks for. Default 4096.
    #[must_use]
    pub fn iterations(mut self, iterations: u32) -> Self {
        self.iterations = iterations;
        self
    }

    /// What is to go wrong. Default nothing.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }
}

/// The server's half of this mechanism for one exchange, or `None` if there is none here: that is GSSAPI.
///
/// # Errors
///
/// [`Error::Other`] if the system has no randomness to give.
pub fn mechanism(mechanism: Mechanism, setting: &Setting) -> Result<Option<Box<dyn ServerMechanism>>, Error> {
    let half: Box<dyn ServerMechanism> = match mechanism {
        Mechanism::Plain => Box::new(Plain),
        Mechanism::Login => Box::new(Login::default()),
        Mechanism::CramMd5 => Box::new(CramMd5::new(&setting.host, &Nonce::random()?, setting.now)),
        Mechanism::DigestMd5 => {
            let digest = DigestMd5::new(&setting.host, Nonce::random()?);
            Box::new(if setting.any_host { digest.any_host() } else { digest })
        }
        Mechanism::ScramSha1 | Mechanism::ScramSha1Plus => scram(Hash::Sha1, mechanism, setting)?,
        Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => scram(Hash::Sha256, mechanism, setting)?,
        Mechanism::ScramSha512 | Mechanism::ScramSha512Plus => scram(Hash::Sha512, mechanism, setting)?,
        Mechanism::OAuthBearer => Box::new(OAuthBearer::default()),
        Mechanism::XOAuth2 => Box::new(XOAuth2::default()),
        Mechanism::External => Box::new(External),
        Mechanism::Anonymous => Box::new(Anonymous),
        Mechanism::Ntlm => Box::new(Ntlm::new(&setting.host, Nonce::random()?, setting.now)),
        Mechanism::Gssapi => return Ok(None),
    };
    Ok(Some(match setting.fault.clone() {
        None => half,
        Some(fault) => Box::new(Faulty { inner: half, fault, told: false }),
    }))
}

fn scram(hash: Hash, mechanism: Mechanism, setting: &Setting) -> Result<Box<dyn ServerMechanism>, Error> {
    let scram = Scram::new(hash, Nonce::random()?, salt_key()?.as_bytes())
        .iterations(setting.iterations)
        .plus_offered(setting.plus_offered);
    let plus = mechanism.binds_channel();
    Ok(Box::new(if plus { scram.bound(setting.bindings.clone()) } else { scram }))
}

/// The key that salts are made of: one for as long as the process lives, so that a name keeps its salt.
fn salt_key() -> Result<&'static Nonce, Error> {
    static KEY: OnceLock<Nonce> = OnceLock::new();
    if let Some(key) = KEY.get() {
        return Ok(key);
    }
    let fresh = Nonce::random()?;
    Ok(KEY.get_or_init(|| fresh))
}
