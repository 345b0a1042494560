//! Which ways to try, in which order.

use popwire_proto::apop;
use popwire_proto::sasl::Mechanism::{
    self, Login as LoginMechanism, OAuthBearer, Plain, ScramSha1, ScramSha1Plus, ScramSha256,
    ScramSha256Plus, ScramSha512, ScramSha512Plus, XOAuth2,
};

use super::credentials::Credentials;
use super::{Login, Method};
use crate::core::Core;

/// For passwords, the strongest first. CRAM-MD5, DIGEST-MD5, NTLM and APOP are not among them: they are weak, add nothing
/// under TLS, and make the server keep the password as it is.
const BY_PASSWORD: [Method; 9] = [
    Method::Sasl(ScramSha512Plus),
    Method::Sasl(ScramSha512),
    Method::Sasl(ScramSha256Plus),
    Method::Sasl(ScramSha256),
    Method::Sasl(ScramSha1Plus),
    Method::Sasl(ScramSha1),
    Method::Sasl(Plain),
    Method::UserPass,
    Method::Sasl(LoginMechanism),
];

const BY_TOKEN: [Method; 2] = [Method::Sasl(OAuthBearer), Method::Sasl(XOAuth2)];

/// The ways to try, in order.
pub(super) fn candidates(login: &Login, core: &Core) -> Vec<Method> {
    let known = |method: &Method| !login.avoided.contains(method);
    if !login.methods.is_empty() {
        let named: Vec<Method> = login.methods.iter().copied().filter(known).collect();
        let announced: Vec<Method> =
            named.iter().copied().filter(|method| is_offered(*method, core)).collect();
        return if named.len() == 1 || announced.is_empty() { named } else { announced };
    }
    let possible: &[Method] = match login.credentials {
        Credentials::Password(_) => &BY_PASSWORD,
        Credentials::Token(_) => &BY_TOKEN,
        Credentials::Nothing | Credentials::Custom(_) => &[],
    };
    let fits = |method: &Method| login.authzid.is_empty() || acts_as_others(*method);
    let mut found: Vec<Method> = possible
        .iter()
        .copied()
        .filter(|method| is_offered(*method, core) && known(method) && fits(method))
        .collect();
    // Servers without CAPA offer it without a word; where CAPA leaves it out, it is the last resort (RFC 2449 section 6.3).
    let last_resort = matches!(login.credentials, Credentials::Password(_)) && fits(&Method::UserPass);
    if found.is_empty() && last_resort && login.avoided.is_empty() {
        found.push(Method::UserPass);
    }
    found
}

/// Whether the server announces this mechanism.
pub(super) fn is_announced(name: &str, core: &Core) -> bool {
    core.capabilities
        .sasl_mechanisms()
        .any(|announced| announced.as_bytes().eq_ignore_ascii_case(name.as_bytes()))
}

fn is_offered(method: Method, core: &Core) -> bool {
    match method {
        Method::UserPass => core.capabilities.has("USER"),
        Method::Apop => apop::timestamp(core.greeting().line().as_bytes()).is_some(),
        Method::Sasl(mechanism) => {
            is_announced(mechanism.name(), core) && (!mechanism.binds_channel() || core.binding.is_some())
        }
        Method::Rpop | Method::Custom => true,
    }
}

fn acts_as_others(method: Method) -> bool {
    let Method::Sasl(mechanism) = method else { return false };
    !matches!(mechanism, Mechanism::Login | Mechanism::CramMd5 | Mechanism::Ntlm | Mechanism::XOAuth2)
        && !matches!(mechanism, Mechanism::OAuthBearer | Mechanism::Anonymous)
}
