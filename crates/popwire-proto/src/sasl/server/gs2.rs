//! The GS2 header with which SCRAM and OAUTHBEARER begin (RFC 5801 section 4, RFC 5802 section 7), read strictly.

use crate::sasl::prep;

/// What the client says of channel bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag<'a> {
    /// `n`: it cannot bind.
    Unsupported,
    /// `y`: it could, and thinks that the server cannot.
    NotOffered,
    /// `p`: it binds, to a channel of this type.
    Bound(&'a [u8]),
}

/// A message, divided.
#[derive(Debug)]
pub(super) struct Gs2<'a> {
    pub(super) flag: Flag<'a>,
    /// As whom the client wants to act, prepared; empty if it does not say.
    pub(super) authzid: Vec<u8>,
    /// The header itself, with the comma that ends it.
    pub(super) header: &'a [u8],
    /// What follows it.
    pub(super) rest: &'a [u8],
}

impl<'a> Gs2<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Option<Self> {
        let mut parts = message.splitn(3, |octet| *octet == b',');
        let (flag, authzid, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let flag = match flag {
            b"n" => Flag::Unsupported,
            b"y" => Flag::NotOffered,
            [b'p', b'=', kind @ ..]
                if !kind.is_empty()
                    && kind.iter().all(|octet| octet.is_ascii_alphanumeric() || b".-".contains(octet)) =>
            {
                Flag::Bound(kind)
            }
            _ => return None,
        };
        let authzid = match authzid {
            b"" => Vec::new(),
            [b'a', b'=', name @ ..] => prep::name(&unescape(name)?).ok()?,
            _ => return None,
        };
        let header = message.get(..message.len().checked_sub(rest.len())?)?;
        Some(Self { flag, authzid, header, rest })
    }
}

/// A name as it was before `,` and `=` were escaped (RFC 5802 section 5.1); `None` if anything else is.
pub(super) fn unescape(saslname: &[u8]) -> Option<Vec<u8>> {
    let mut parts = saslname.split(|octet| *octet == b'=');
    let mut name = parts.next()?.to_vec();
    for part in parts {
        let (octet, rest) = match part {
            [b'2', b'C', rest @ ..] => (b',', rest),
            [b'3', b'D', rest @ ..] => (b'=', rest),
            _ => return None,
        };
        name.push(octet);
        name.extend_from_slice(rest);
    }
    if name.contains(&0) { None } else { Some(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_strictly() {
        let gs2 = Gs2::parse(b"p=tls-exporter,a=a=2Cb=3D,n=x,r=y").expect("a header");
        assert_eq!(gs2.flag, Flag::Bound(b"tls-exporter"));
        assert_eq!((gs2.authzid.as_slice(), gs2.rest), (&b"a,b="[..], &b"n=x,r=y"[..]));
        assert_eq!(gs2.header, b"p=tls-exporter,a=a=2Cb=3D,");
        for wrong in
            ["", "n", "n,", "N,,", "p,,", "p=,,", "p=a b,,", "F,n,,", "n,b,", "n,a=,", "n,a==2c,", "y ,,"]
        {
            assert!(Gs2::parse(wrong.as_bytes()).is_none(), "{wrong:?}");
        }
    }
}
