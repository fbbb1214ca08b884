//! How many connections a server admits.

use super::ServerConfig;
use core::net::{IpAddr, SocketAddr};
use std::collections::HashMap;

/// Counts the connections of a server and decides whether to admit the next one.
///
/// ```
/// use ws_host::server::{Admission, ServerConfig};
///
/// let mut admission = Admission::new(&ServerConfig::default().max_connections(1));
/// let peer = Some(([192, 0, 2, 1], 40_000).into());
/// assert!(admission.try_admit(peer));
/// assert!(!admission.try_admit(peer), "the server is full");
/// admission.handshake_done();
/// admission.release(peer); // the first one has ended
/// assert!(admission.try_admit(peer));
/// assert_eq!(admission.rejected(), 1);
/// ```
#[derive(Debug)]
pub struct Admission {
    max_connections: usize,
    max_handshakes: usize,
    max_per_address: Option<usize>,
    addresses: Addresses,
    connections: usize,
    handshakes: usize,
    rejected: u64,
}

impl Admission {
    /// No connections yet, and the limits of this configuration.
    pub fn new(config: &ServerConfig) -> Self {
        // Browsers open connections speculatively: a few of those must not block all other peers.
        let handshakes = config.max_handshakes.unwrap_or((config.max_connections / 4).max(16));
        Self {
            max_connections: config.max_connections,
            max_handshakes: handshakes.max(1),
            max_per_address: config.max_per_address,
            addresses: Addresses::default(),
            connections: 0,
            handshakes: 0,
            rejected: 0,
        }
    }

    /// Whether to admit a connection from this address; `None` over a Unix socket. An admitted one counts as a pending
    /// handshake until [`handshake_done`](Self::handshake_done), any other as [rejected](Self::rejected).
    pub fn try_admit(&mut self, peer: Option<SocketAddr>) -> bool {
        let admitted = self.connections < self.max_connections
            && match (self.max_per_address, peer) {
                (Some(limit), Some(peer)) => self.addresses.add(peer, limit),
                _ => true,
            };
        if admitted {
            self.connections += 1;
            self.handshakes += 1;
        } else {
            self.rejected += 1;
        }
        admitted
    }

    /// A connection has sent its first request, or is about to be [released](Self::release) without one.
    pub fn handshake_done(&mut self) {
        self.handshakes = self.handshakes.saturating_sub(1);
    }

    /// A connection that was admitted from this address, and has [finished its handshake](Self::handshake_done), has
    /// ended.
    pub fn release(&mut self, peer: Option<SocketAddr>) {
        self.connections = self.connections.saturating_sub(1);
        if let (Some(_), Some(peer)) = (self.max_per_address, peer) {
            self.addresses.remove(peer);
        }
    }

    /// Whether so many handshakes are pending that the next connection waits in the kernel.
    pub fn at_handshake_limit(&self) -> bool {
        self.handshakes >= self.max_handshakes
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// How many of them have sent no request yet.
    pub fn handshakes(&self) -> usize {
        self.handshakes
    }

    /// How many addresses they have, without those of this machine.
    pub fn addresses(&self) -> usize {
        self.addresses.0.len()
    }

    /// How many connections were rejected.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }
}

/// How many connections each address has, without those of this machine.
#[derive(Debug, Default)]
struct Addresses(HashMap<u64, u32>);

impl Addresses {
    /// Counts one more, unless the address is at its limit.
    fn add(&mut self, peer: SocketAddr, limit: usize) -> bool {
        let Some(key) = key(peer) else { return true };
        let count = self.0.entry(key).or_default();
        if *count as usize >= limit {
            // A limit of zero must not leave an entry.
            if *count == 0 {
                self.0.remove(&key);
            }
            return false;
        }
        *count += 1;
        true
    }

    fn remove(&mut self, peer: SocketAddr) {
        if let Some(key) = key(peer)
            && let Some(count) = self.0.get_mut(&key)
        {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&key);
            }
        }
    }
}

/// One IPv6 host has a whole /64 (RFC 4291 §2.5.4); no such network is all zeros, as the upper half of an IPv4 key is.
fn key(peer: SocketAddr) -> Option<u64> {
    match peer.ip().to_canonical() {
        ip if ip.is_loopback() => None,
        IpAddr::V4(v4) => Some(u64::from(v4.to_bits())),
        IpAddr::V6(v6) => Some((v6.to_bits() >> 64) as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 1)
    }

    #[test]
    fn an_address_is_limited_until_one_is_released() {
        let mut addresses = Addresses::default();
        let (a, b) = (at("192.0.2.1"), at("192.0.2.2"));
        assert!(addresses.add(a, 2) && addresses.add(a, 2) && !addresses.add(a, 2));
        assert!(addresses.add(b, 2));
        addresses.remove(a);
        assert!(addresses.add(a, 2) && !addresses.add(a, 2));
        for _ in 0..2 {
            addresses.remove(a);
        }
        addresses.remove(b);
        assert!(!addresses.add(a, 0));
        assert!(addresses.0.is_empty());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address_and_mapped_ipv4_as_ipv4() {
        let mut addresses = Addresses::default();
        assert!(addresses.add(at("2001:db8::1"), 1));
        assert!(!addresses.add(at("2001:db8::ffff:1"), 1));
        assert!(addresses.add(at("2001:db8:0:1::1"), 1));
        assert!(addresses.add(at("::ffff:192.0.2.1"), 1));
        assert!(!addresses.add(at("192.0.2.1"), 1));
    }

    #[test]
    fn pending_handshakes_are_limited_until_done_or_released() {
        let mut admission = Admission::new(&ServerConfig::default().max_handshakes(2));
        assert!(admission.try_admit(None) && !admission.at_handshake_limit());
        assert!(admission.try_admit(None) && admission.at_handshake_limit());
        admission.handshake_done();
        assert!(!admission.at_handshake_limit());
        admission.handshake_done();
        admission.release(None);
        assert_eq!(admission.connections(), 1);
    }

    #[test]
    fn a_full_server_rejects_and_counts() {
        let config = ServerConfig::new().max_connections(3).max_per_address(Some(2));
        let mut admission = Admission::new(&config);
        let (a, b) = (Some(at("192.0.2.1")), Some(at("192.0.2.2")));
        assert!(admission.try_admit(a) && admission.try_admit(a));
        assert!(!admission.try_admit(a), "the address is at its limit");
        assert!(admission.try_admit(b) && !admission.try_admit(b), "the server is at its limit");
        assert_eq!((admission.connections(), admission.handshakes(), admission.addresses()), (3, 3, 2));
        assert_eq!(admission.rejected(), 2);
        admission.handshake_done();
        admission.release(a);
        assert_eq!((admission.connections(), admission.rejected()), (2, 2));
        assert!(admission.try_admit(a));
    }

    #[test]
    fn behind_a_proxy_one_address_may_have_all_connections() {
        let mut admission = Admission::new(&ServerConfig::default().max_per_address(None).max_connections(9));
        assert_eq!((0..10).filter(|_| admission.try_admit(Some(at("192.0.2.1")))).count(), 9);
        assert_eq!(admission.addresses(), 0);
    }

    #[test]
    fn this_machine_has_no_limit() {
        let mut addresses = Addresses::default();
        for address in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            assert!(addresses.add(at(address), 0) && addresses.add(at(address), 0));
            addresses.remove(at(address));
        }
        assert!(addresses.0.is_empty());
    }
}
