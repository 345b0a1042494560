//! The machine for a way to log in, with what this session gives it.

use std::time::{SystemTime, UNIX_EPOCH};

use popwire_proto::sasl::{self, Binding, ClientMechanism, Hash, Mechanism, Nonce, Scram};
use popwire_proto::{Error as Proto, Secret};

use super::credentials::Credentials;
use super::{Login, Method};
use crate::core::Core;
use crate::{Error, Result};

/// Why a way cannot be gone.
pub(super) enum Unfit {
    /// This mechanism cannot; another may.
    Mechanism(sasl::Error),
    /// It holds for all.
    All(Error),
}

impl From<Error> for Unfit {
    fn from(error: Error) -> Self {
        Self::All(error)
    }
}

impl From<Proto> for Unfit {
    fn from(error: Proto) -> Self {
        Self::All(error.into())
    }
}

impl From<sasl::Error> for Unfit {
    fn from(error: sasl::Error) -> Self {
        Self::Mechanism(error)
    }
}

/// The machine for this way, new and unused.
pub(super) fn mechanism(
    login: &Login,
    core: &Core,
    method: Method,
    secret: Secret,
) -> Result<Box<dyn ClientMechanism>, Unfit> {
    let (user, authzid) = (&login.user, &login.authzid);
    let Method::Sasl(mechanism) = method else {
        let Credentials::Custom(make) = &login.credentials else {
            return Err(Error::configuration("there is no mechanism of the caller's").into());
        };
        return Ok(make());
    };
    if matches!(mechanism, Mechanism::OAuthBearer | Mechanism::XOAuth2) {
        core.check_may_send_token()?;
    }
    Ok(match mechanism {
        Mechanism::Plain => Box::new(sasl::Plain::new(user, secret).acting_as(authzid)),
        Mechanism::Login => Box::new(sasl::Login::new(user, secret)),
        Mechanism::CramMd5 => Box::new(sasl::CramMd5::new(user, secret)),
        Mechanism::DigestMd5 => {
            Box::new(sasl::DigestMd5::new(user, secret, &core.host, Nonce::random()?).acting_as(authzid))
        }
        Mechanism::ScramSha1 => scram(login, core, Hash::Sha1, false, secret)?,
        Mechanism::ScramSha1Plus => scram(login, core, Hash::Sha1, true, secret)?,
        Mechanism::ScramSha256 => scram(login, core, Hash::Sha256, false, secret)?,
        Mechanism::ScramSha256Plus => scram(login, core, Hash::Sha256, true, secret)?,
        Mechanism::ScramSha512 => scram(login, core, Hash::Sha512, false, secret)?,
        Mechanism::ScramSha512Plus => scram(login, core, Hash::Sha512, true, secret)?,
        Mechanism::OAuthBearer => {
            Box::new(sasl::OAuthBearer::new(user, secret).at(core.host.clone(), core.port))
        }
        Mechanism::XOAuth2 => Box::new(sasl::XOAuth2::new(user, secret)),
        Mechanism::External => {
            core.check_shows_certificate()?;
            Box::new(sasl::External::new().acting_as(authzid))
        }
        Mechanism::Anonymous => Box::new(sasl::Anonymous::new(String::from_utf8_lossy(user).into_owned())),
        Mechanism::Ntlm => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Box::new(sasl::Ntlm::new(user, secret, Nonce::random()?, now))
        }
        #[cfg(feature = "gssapi")]
        Mechanism::Gssapi => {
            let authzid = String::from_utf8(authzid.clone()).map_err(|_| sasl::Error::Unpreparable)?;
            Box::new(popwire_gssapi::Gssapi::new(&core.host)?.acting_as(authzid))
        }
        other => {
            let text = format!("this build of popwire has no {other}");
            return Err(Error::configuration(text).into());
        }
    })
}

fn scram(
    login: &Login,
    core: &Core,
    hash: Hash,
    plus: bool,
    secret: Secret,
) -> Result<Box<dyn ClientMechanism>, Unfit> {
    let offers_binding = core
        .capabilities
        .sasl_mechanisms()
        .any(|mechanism| mechanism.as_bytes().to_ascii_uppercase().ends_with(b"-PLUS"));
    let binding = match &core.binding {
        Some(binding) if plus => Binding::Bound(binding.clone()),
        None if plus => return Err(Unfit::Mechanism(sasl::Error::NoChannelBinding)),
        // A server that does offer it will see that its offer was taken away. Where its list was never seen, or has
        // the offer, that would be no true word.
        Some(_) if core.capabilities.has("SASL") && !offers_binding => Binding::NotOffered,
        _ => Binding::Unsupported,
    };
    let scram = Scram::new(hash, &login.user, secret, binding, Nonce::random()?);
    Ok(Box::new(scram.acting_as(&login.authzid).iterations(login.iterations)))
}
