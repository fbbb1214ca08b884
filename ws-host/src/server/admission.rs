//! How many connections a server admits.

use super::ServerConfig;
use crate::address_key::address_key;
use crate::trusted_proxy::{TrustedProxies, Via};
use bytes::Bytes;
use core::net::SocketAddr;
use http::{HeaderValue, Response, header};
use std::collections::HashMap;
use std::sync::Arc;
use ws_proto::{RequestError, Transport};

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
    trusted: Option<Arc<TrustedProxies>>,
    proxy_header_limit: usize,
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
            trusted: config.trusted.clone(),
            proxy_header_limit: config.proxy_header_limit,
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
            && match (self.max_per_address, self.counted(peer)) {
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
        if let Some(peer) = self.counted(peer) {
            self.addresses.remove(peer);
        }
    }

    /// The client of an admitted connection has become known, from a trusted proxy, or has changed with a further request:
    /// counts it for this address instead. Returns whether that address has room; otherwise the rejection is counted and
    /// nothing else changes, and the connection must be closed, or the request answered with [`too_many_connections`].
    ///
    /// ```
    /// use ws_host::server::{Admission, ServerConfig};
    /// use ws_host::trusted_proxy::Via;
    ///
    /// let config = ServerConfig::new().trust_proxy(["10.0.0.1"], Via::XForwarded).max_per_address(Some(1));
    /// let mut admission = Admission::new(&config);
    /// let proxy = Some(([10, 0, 0, 1], 9).into());
    /// let client = Some(([192, 0, 2, 1], 9).into());
    /// assert!(admission.try_admit(proxy) && admission.try_admit(proxy), "a proxy has no limit");
    /// assert!(admission.readmit(proxy, client));
    /// assert!(!admission.readmit(proxy, client));
    /// ```
    pub fn readmit(&mut self, from: Option<SocketAddr>, to: Option<SocketAddr>) -> bool {
        let (from, to) = (self.counted(from), self.counted(to));
        if from.and_then(key) == to.and_then(key) {
            return true;
        }
        if let (Some(to), Some(limit)) = (to, self.max_per_address)
            && !self.addresses.add(to, limit)
        {
            self.rejected += 1;
            return false;
        }
        if let Some(from) = from {
            self.addresses.remove(from);
        }
        true
    }

    /// The peer, if it counts for its address.
    fn counted(&self, peer: Option<SocketAddr>) -> Option<SocketAddr> {
        let trusted = self.trusted.as_ref();
        let peer = peer.filter(|peer| trusted.is_none_or(|trusted| !trusted.contains(peer.ip())))?;
        self.max_per_address.map(|_| peer)
    }

    /// The limit of the PROXY header that must precede a connection over this transport; `None` if none does.
    pub fn proxy_header_limit(&self, transport: Transport) -> Option<usize> {
        let trusted = self.trusted.as_ref().filter(|trusted| trusted.via() == Via::ProxyProtocol)?;
        trusted.trusts_over(transport).then_some(self.proxy_header_limit)
    }

    /// The proxies that the server believes.
    pub fn trusted_proxies(&self) -> Option<&Arc<TrustedProxies>> {
        self.trusted.as_ref()
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

/// The answer to a request through a trusted proxy whose client has as many connections as its address may: 429.
pub fn too_many_connections() -> Response<Bytes> {
    let mut response =
        Response::new(Bytes::from_static(b"there are too many connections from your address\n"));
    *response.status_mut() = RequestError::TooManyConnections.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
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

/// `None` for this machine.
fn key(peer: SocketAddr) -> Option<u64> {
    (!peer.ip().to_canonical().is_loopback()).then(|| address_key(peer.ip()))
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

    #[test]
    fn through_a_trusted_proxy_the_address_of_the_client_counts() {
        let config = ServerConfig::new().trust_proxy(["10.0.0.0/8"], Via::Forwarded).max_per_address(Some(2));
        let mut admission = Admission::new(&config);
        let (proxy, a, b) = (Some(at("10.0.0.1")), Some(at("192.0.2.1")), Some(at("192.0.2.2")));
        assert!((0..5).all(|_| admission.try_admit(proxy)), "a proxy has no limit");
        assert_eq!(admission.addresses(), 0);
        assert!(admission.readmit(proxy, a) && admission.readmit(proxy, a));
        assert!(
            !admission.readmit(proxy, a) && !admission.try_admit(a),
            "its limit is that of direct connections too"
        );
        assert_eq!(admission.rejected(), 2);
        // The next request of the same connection is of another client.
        assert!(admission.readmit(a, b) && admission.readmit(proxy, a));
        assert!(admission.readmit(b, b) && admission.readmit(b, proxy));
        assert_eq!(admission.addresses(), 1);
        for peer in [a, a, proxy, proxy, proxy] {
            admission.release(peer);
        }
        assert_eq!((admission.addresses(), admission.connections()), (0, 0));
    }

    #[test]
    fn a_proxy_header_is_due_only_from_trusted_peers() {
        let due = |via, transport| {
            let config = ServerConfig::new().trust_proxy(["10.0.0.1", "unix"], via).proxy_header_limit(99);
            Admission::new(&config).proxy_header_limit(transport)
        };
        let proxy = Transport::default().peer(Some(at("10.0.0.1")));
        assert_eq!(due(Via::ProxyProtocol, proxy), Some(99));
        assert_eq!(due(Via::ProxyProtocol, Transport::unix()), Some(99));
        assert_eq!(due(Via::ProxyProtocol, Transport::default().peer(Some(at("10.0.0.2")))), None);
        assert_eq!(due(Via::ProxyProtocol, Transport::default()), None);
        assert_eq!(due(Via::Forwarded, proxy), None);
    }
}
