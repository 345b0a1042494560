//! How a server that runs for more than a test is described: its certificate, its limits, what it tells.

use super::Builder;
use crate::Event;
use crate::certificate::GivenCertificate;
use crate::event::Observer;

/// A server that is to run for long. It wants [`Builder::record`] off, too.
impl Builder {
    /// The certificate to show, with those that lead to its root behind it, and its private key, all in PEM: in place
    /// of one that is made on the spot. [`Server::ca_pem`](crate::Server::ca_pem) then says nothing about it; that CA
    /// still signs the certificates of clients.
    pub fn certificate_pem(mut self, chain: impl Into<Vec<u8>>, key: impl AsRef<[u8]>) -> Self {
        self.options.tls.given = Some(GivenCertificate::new(chain.into(), key.as_ref()));
        self
    }

    /// Most connections at a time from one address, at least 1; one more is refused in its greeting. Default: no such
    /// limit.
    pub fn max_connections_per_address(mut self, connections: usize) -> Self {
        self.options.max_connections_per_address = Some(connections.max(1));
        self
    }

    /// Whether nothing is ever removed or marked as seen: DELE is answered `-ERR`. Default no.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.options.read_only = read_only;
        self
    }

    /// Hears what happens. It is called on the threads that serve clients: it has to be quick, and must not wait. Default
    /// nothing; a second one takes the place of the first.
    pub fn on_event(mut self, hear: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.options.observer = Observer::new(hear);
        self
    }
}
