//! What a server's certificate says of itself.

use std::time::{Duration, SystemTime};

/// The parts of a certificate that people ask for. Names are fit to be shown; nothing of it is verified here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// Whom it is for, in the form of RFC 4514. Often empty: the names count.
    pub subject: String,
    /// Who issued it, in the same form.
    pub issuer: String,
    /// The hosts that it is for: names and addresses (RFC 5280 section 4.2.1.6).
    pub names: Vec<String>,
    /// From when on it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
    /// Its key, as [`Tls::with_pinned_key`](crate::Tls::with_pinned_key) takes it: `sha256//` and base64.
    pub key: String,
}

impl Certificate {
    /// Whole days from `now` until it expires; negative if it has expired.
    #[must_use]
    pub fn days_left(&self, now: SystemTime) -> i64 {
        let days = |time: Duration| i64::try_from(time.as_secs() / 86_400).unwrap_or(i64::MAX);
        match self.not_after.duration_since(now) {
            Ok(left) => days(left),
            Err(over) => -1 - days(over.duration()),
        }
    }

    #[cfg(not(feature = "_tls"))]
    pub(crate) fn read(_: &[u8]) -> Option<Self> {
        None
    }

    /// `None` if it is no certificate.
    #[cfg(feature = "_tls")]
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        use popwire_proto::Text;
        use sha2::{Digest as _, Sha256};
        use x509_cert::der::{Decode as _, Encode as _};
        use x509_cert::ext::pkix::SubjectAltName;

        let certificate = x509_cert::Certificate::from_der(der).ok()?;
        let certificate = certificate.tbs_certificate();
        let fit = |text: String| Text::from(text.as_str()).to_string();
        let names = match certificate.get_extension::<SubjectAltName>() {
            Ok(Some((_, names))) => names.0.iter().filter_map(host).map(fit).collect(),
            _ => Vec::new(),
        };
        let validity = certificate.validity();
        let key = certificate.subject_public_key_info().to_der().ok()?;
        Some(Self {
            subject: fit(certificate.subject().to_string()),
            issuer: fit(certificate.issuer().to_string()),
            names,
            not_before: validity.not_before.to_system_time(),
            not_after: validity.not_after.to_system_time(),
            key: format!("sha256//{}", STANDARD.encode(Sha256::digest(key))),
        })
    }
}

#[cfg(feature = "_tls")]
fn host(name: &x509_cert::ext::pkix::name::GeneralName) -> Option<String> {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use x509_cert::ext::pkix::name::GeneralName;

    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(address) => {
            let octets = address.as_bytes();
            let four = <[u8; 4]>::try_from(octets).map(|octets| Ipv4Addr::from(octets).to_string());
            let six = || <[u8; 16]>::try_from(octets).map(|octets| Ipv6Addr::from(octets).to_string());
            four.or_else(|_| six()).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_has_begun_is_not_counted() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let certificate = Certificate {
            subject: String::new(),
            issuer: String::new(),
            names: Vec::new(),
            not_before: at(0),
            not_after: at(10 * 86_400),
            key: String::new(),
        };
        for (now, days) in [(0, 10), (1, 9), (10 * 86_400, 0), (10 * 86_400 + 1, -1), (12 * 86_400, -3)] {
            assert_eq!(certificate.days_left(at(now)), days, "{now}");
        }
    }

    #[test]
    fn garbage_is_no_certificate() {
        assert_eq!(Certificate::read(b"\x30\x82garbage"), None);
    }
}
