//! Channel binding (RFC 5056): octets that only the two ends of one TLS session know, or that name the server's end.

use crate::Secret;

/// What a -PLUS mechanism is bound to.
///
/// ```
/// use popwire_proto::sasl::{BindingType, ChannelBinding};
///
/// let binding = ChannelBinding::new(BindingType::TlsExporter, vec![7; 32]);
/// assert_eq!(binding.kind().name(), "tls-exporter");
/// assert!(!format!("{binding:?}").contains('7'));
/// ```
#[derive(Clone, Debug)]
pub struct ChannelBinding {
    kind: BindingType,
    data: Secret,
}

/// Where the octets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindingType {
    /// `tls-exporter`: 32 octets of the TLS exporter (RFC 9266).
    TlsExporter,
    /// `tls-server-end-point`: a hash of the server's certificate (RFC 5929 section 4).
    TlsServerEndPoint,
}

impl ChannelBinding {
    /// A binding of this type, with the data that TLS gave.
    #[must_use]
    pub fn new(kind: BindingType, data: impl Into<Secret>) -> Self {
        Self { kind, data: data.into() }
    }

    /// The type.
    #[must_use]
    pub fn kind(&self) -> BindingType {
        self.kind
    }

    /// The octets.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.data.expose()
    }
}

impl BindingType {
    /// The name that is registered for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TlsExporter => "tls-exporter",
            Self::TlsServerEndPoint => "tls-server-end-point",
        }
    }
}
