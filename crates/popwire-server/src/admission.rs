//! Who is let in: how many connections there may be at a time, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Counts connections.
pub(crate) struct Admission {
    most: usize,
    places: Arc<Semaphore>,
    per_address: Option<usize>,
    /// How many connections an address has; only where that is limited.
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place, given back when dropped.
pub(crate) struct Place {
    _place: OwnedSemaphorePermit,
    of_address: Option<(Arc<Admission>, IpAddr)>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Server,
    Address,
}

impl Admission {
    pub(crate) fn new(most: usize, per_address: Option<usize>) -> Self {
        Self { most, places: Arc::new(Semaphore::new(most)), per_address, addresses: Mutex::default() }
    }

    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Place, Full> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Full::Server)?;
        let of_address = match self.per_address {
            None => None,
            Some(most) => {
                let address = counted_as(peer);
                let mut addresses = self.addresses();
                let count = addresses.entry(address).or_insert(0);
                if *count >= most {
                    return Err(Full::Address);
                }
                *count += 1;
                Some((Arc::clone(self), address))
            }
        };
        Ok(Place { _place: place, of_address })
    }

    /// Waits until everybody has gone.
    pub(crate) async fn empty(&self) {
        // The builder lets no more in than this number holds. The semaphore is never closed.
        let _ = self.places.acquire_many(u32::try_from(self.most).unwrap_or(u32::MAX)).await;
    }

    /// How many connections there are.
    pub(crate) fn count(&self) -> usize {
        self.most - self.places.available_permits()
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // No step leaves the table half changed.
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((admission, address)) = self.of_address.take() else { return };
        let mut addresses = admission.addresses();
        if let Some(count) = addresses.get_mut(&address) {
            *count -= 1;
            // The table is as long as there are addresses connected now.
            if *count == 0 {
                addresses.remove(&address);
            }
        }
    }
}

/// A host with IPv6 has a network of 2^64 addresses to come from: the network is counted.
fn counted_as(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let admission = Arc::new(Admission::new(3, Some(2)));
        let [here, there] =
            ["192.0.2.1", "192.0.2.2"].map(|address| address.parse::<IpAddr>().expect("it is one"));
        let first = admission.admit(here).expect("a place");
        let second = admission.admit(here).expect("a place");
        assert_eq!(admission.admit(here).err(), Some(Full::Address));
        let third = admission.admit(there).expect("a place");
        assert_eq!(admission.admit(there).err(), Some(Full::Server));
        assert_eq!(admission.count(), 3);
        drop((first, second, third));
        assert_eq!(admission.count(), 0);
        assert!(admission.addresses().is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let counted = |address: &str| counted_as(address.parse().expect("an address")).to_string();
        assert_eq!(counted("2001:db8:1:2:3::4"), "2001:db8:1:2::");
        assert_eq!(counted("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
