//! The machine for a way to log in, with what this session gives it.

use std::time::{SystemTime, UNIX_EPOCH};

use popwire_proto::Secret;
use popwire_proto::sasl::{self, Binding, ClientMechanism, Hash, Mechanism, Nonce, Scram};

use super::credentials::Credentials;
use super::{Login, Method};
use crate::core::Core;
use crate::error::Kind;
use crate::{Error, Result};

/// The machine for this way, new and unused.
pub(super) fn mechanism(
    login: &Login,
    core: &Core,
    method: Method,
    secret: Secret,
) -> Result<Box<dyn ClientMechanism>> {
    let (user, authzid) = (&login.user, &login.authzid);
    let Method::Sasl(mechanism) = method else {
        let Credentials::Custom(make) = &login.credentials else {
            return Err(Error::configuration("there is no mechanism of the caller's"));
        };
        let made = make();
        check_token_policy(made.name(), core)?;
        return Ok(made);
    };
    check_token_policy(mechanism.name(), core)?;
    let unfit = |error| Error::new(Kind::Sasl { method, error });
    let nonce = || Nonce::random().map_err(unfit);
    Ok(match mechanism {
        Mechanism::Plain => Box::new(sasl::Plain::new(user, secret).acting_as(authzid)),
        Mechanism::Login => Box::new(sasl::Login::new(user, secret)),
        Mechanism::CramMd5 => Box::new(sasl::CramMd5::new(user, secret)),
        Mechanism::DigestMd5 => {
            Box::new(sasl::DigestMd5::new(user, secret, &core.host, nonce()?).acting_as(authzid))
        }
        Mechanism::ScramSha1 => scram(login, core, method, Hash::Sha1, secret)?,
        Mechanism::ScramSha1Plus => scram(login, core, method, Hash::Sha1, secret)?,
        Mechanism::ScramSha256 => scram(login, core, method, Hash::Sha256, secret)?,
        Mechanism::ScramSha256Plus => scram(login, core, method, Hash::Sha256, secret)?,
        Mechanism::ScramSha512 => scram(login, core, method, Hash::Sha512, secret)?,
        Mechanism::ScramSha512Plus => scram(login, core, method, Hash::Sha512, secret)?,
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
            Box::new(sasl::Ntlm::new(user, secret, nonce()?, now))
        }
        #[cfg(feature = "gssapi")]
        Mechanism::Gssapi => {
            let authzid = String::from_utf8(authzid.clone()).map_err(|_| unfit(sasl::Error::Unpreparable))?;
            Box::new(popwire_gssapi::Gssapi::new(&core.host).map_err(unfit)?.acting_as(authzid))
        }
        other => {
            let text = format!("this build of popwire has no {other}");
            return Err(Error::configuration(text));
        }
    })
}

/// A token needs TLS, whoever brings the mechanism.
fn check_token_policy(name: &str, core: &Core) -> Result<()> {
    let shows_token =
        [Mechanism::OAuthBearer, Mechanism::XOAuth2].iter().any(|m| m.name().eq_ignore_ascii_case(name));
    if shows_token { core.check_may_send_token() } else { Ok(()) }
}

fn scram(
    login: &Login,
    core: &Core,
    method: Method,
    hash: Hash,
    secret: Secret,
) -> Result<Box<dyn ClientMechanism>> {
    let unfit = |error| Error::new(Kind::Sasl { method, error });
    let offers_binding = core
        .capabilities
        .sasl_mechanisms()
        .any(|mechanism| mechanism.as_bytes().to_ascii_uppercase().ends_with(b"-PLUS"));
    let binding = match &core.binding {
        Some(binding) if method.binds_channel() => Binding::Bound(binding.clone()),
        None if method.binds_channel() => return Err(unfit(sasl::Error::NoChannelBinding)),
        // A server that does offer it will see that its offer was taken away. Where its list was never seen, or has
        // the offer, that would be no true word.
        Some(_) if core.capabilities.has("SASL") && !offers_binding => Binding::NotOffered,
        _ => Binding::Unsupported,
    };
    let scram = Scram::new(hash, &login.user, secret, binding, Nonce::random().map_err(unfit)?);
    Ok(Box::new(scram.acting_as(&login.authzid).iterations(login.iterations)))
}
