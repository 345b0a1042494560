//! TLS that could not be set up: whose certificate it was, and what to do.

use std::time::SystemTime;

use popwire::{Certificate, Error, TlsProblem};

use crate::text;

/// So many names of a certificate say whose it is.
const NAMES: usize = 3;

/// What happened, and what to do next.
pub(super) fn told(error: &Error, problem: TlsProblem, host: &str) -> (String, String) {
    let problem = match error.certificate() {
        // Of those that people make for themselves, many are those of an authority, which TLS does not take for a server's.
        // That is not what is wrong with them.
        Some(Certificate { subject, issuer, .. })
            if problem == TlsProblem::BadCertificate && subject == issuer =>
        {
            TlsProblem::UnknownIssuer
        }
        _ => problem,
    };
    let what = match (problem, error.certificate()) {
        (TlsProblem::WrongName, Some(certificate)) => format!(
            "the server's certificate is for {}, issued by {}, valid until {}",
            names(certificate),
            text::person(&certificate.issuer),
            text::day(certificate.not_after)
        ),
        (TlsProblem::UnknownIssuer, Some(certificate)) => {
            let issuer = match certificate {
                Certificate { subject, issuer, .. } if subject == issuer => "by itself".to_owned(),
                Certificate { issuer, .. } => text::person(issuer),
            };
            format!("{problem}: {issuer}; it is for {}", names(certificate))
        }
        (TlsProblem::Expired, Some(certificate)) => {
            format!("the server's certificate has expired on {}", text::day(certificate.not_after))
        }
        (TlsProblem::NotYetValid, Some(certificate)) => format!(
            "the server's certificate is not valid before {}, and this machine's clock says {}",
            text::day(certificate.not_before),
            text::day(SystemTime::now())
        ),
        (TlsProblem::WrongKey, Some(certificate)) => {
            format!("the server's key is not the pinned one, but {}", certificate.key)
        }
        // Where the words of the TLS library add nothing but their names for it, they are left out.
        (TlsProblem::UnknownIssuer | TlsProblem::WrongKey | TlsProblem::NotTls, _) => problem.to_string(),
        _ => error.to_string(),
    };
    (format!("{host}: {what}"), advice(error, problem, host))
}

fn names(certificate: &Certificate) -> String {
    let more = certificate.names.len().saturating_sub(NAMES);
    let mut names: Vec<String> = certificate.names.iter().take(NAMES).cloned().collect();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    match (names.pop(), names.is_empty()) {
        (Some(last), true) => last,
        (Some(last), false) => format!("{} and {last}", names.join(", ")),
        (None, _) => "no host".to_owned(),
    }
}

/// How to trust the key of this server, which it has shown.
fn pin(error: &Error) -> String {
    error.certificate().map_or_else(|| "sha256//...".to_owned(), |certificate| certificate.key.clone())
}

fn advice(error: &Error, problem: TlsProblem, host: &str) -> String {
    let next = match problem {
        TlsProblem::WrongName => {
            let taken = error.certificate().and_then(|certificate| certificate.names.first());
            let taken = match taken {
                Some(name) if name.starts_with("*.") => {
                    format!(" A name that ends in {} would be taken.", name.trim_start_matches('*'))
                }
                Some(name) => format!(" {name} would be taken."),
                None => String::new(),
            };
            return format!(
                "Is {host} the host that your provider names?{taken} To trust the key of this server alone, if its operator \
                 says that it is this one: --pin {}",
                pin(error)
            );
        }
        TlsProblem::UnknownIssuer => {
            return format!(
                "If the server has a certificate authority of its own, name it: --ca FILE. To trust the key of this server \
                 alone, if its operator says that it is this one: --pin {}",
                pin(error)
            );
        }
        TlsProblem::Expired => {
            return format!(
                "The server's operator has to renew it; but check the clock of this machine first. To trust the server's key \
                 whatever the date: --pin {}",
                pin(error)
            );
        }
        TlsProblem::NotYetValid => "Set the clock right, then try again.",
        TlsProblem::Revoked => "Do not go on; ask the server's operator.",
        TlsProblem::WrongKey => {
            "Either the server has a new key, or somebody stands in between. Ask its operator before you change the pin."
        }
        TlsProblem::NotTls => "The usual port for pops:// is 995, for pop:// it is 110.",
        TlsProblem::StlsRefused => {
            "Try pops://, which is TLS from the start. Only where nobody can listen: --insecure-plaintext."
        }
        TlsProblem::HandshakeRefused => {
            "The server may know no TLS as new as 1.2, or want a client certificate: --client-cert FILE --client-key FILE."
        }
        _ => "Check the host and the port; if they are right, ask the server's operator.",
    };
    next.to_owned()
}
