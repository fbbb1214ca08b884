//! How many may come, and how many came.

use crate::connections::Connections;
use crate::servers::Server;
use crate::slots::flag;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How many connections each address has; this machine's own are not counted.
#[derive(Default)]
pub(crate) struct Addresses(HashMap<u64, u32>);

impl Addresses {
    /// Counts one more, unless there are as many as there may be.
    pub(crate) fn add(&mut self, peer: SocketAddr, limit: usize) -> bool {
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

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn remove(&mut self, peer: SocketAddr) {
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

/// Whoever has an IPv6 address has its whole /64 (RFC 4291 §2.5.4); no such network is all zeros above.
fn key(peer: SocketAddr) -> Option<u64> {
    match peer.ip().to_canonical() {
        ip if ip.is_loopback() => None,
        IpAddr::V4(v4) => Some(u64::from(v4.to_bits())),
        IpAddr::V6(v6) => Some((v6.to_bits() >> 64) as u64),
    }
}

/// What an endpoint has done since it began, all servers together.
///
/// ```
/// # use ws_server_mio::{Endpoint, Options};
/// # let mut endpoint = Endpoint::new(Options::default())?;
/// let stats = endpoint.connections().stats();
/// println!("{} open, {} turned away", stats.open, stats.turned_away);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that were accepted, plain HTTP included.
    pub accepted: u64,
    /// Connections that were closed as they came, being over a limit.
    pub turned_away: u64,
    /// Sockets that are open now, plain HTTP and those that are about to end included.
    pub open: usize,
    /// Messages that were received, each of several pieces once.
    pub messages_in: u64,
    /// Messages that were sent; one to each of a hundred connections counts a hundred times.
    pub messages_out: u64,
    /// Bytes from peers, HTTP included.
    pub bytes_in: u64,
    /// Bytes that sockets took, HTTP included.
    pub bytes_out: u64,
    /// The longest turn since [`Connections::take_worst_turn`]. Zero without [`Budget::time`](crate::Budget::time): no clock is read then.
    pub worst_turn: Duration,
}

/// What is counted as it happens; the rest is known to the connections.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) accepted: u64,
    pub(crate) turned_away: u64,
    pub(crate) messages_in: u64,
    pub(crate) messages_out: u64,
    /// Of connections that are gone.
    bytes_in: u64,
    bytes_out: u64,
    pub(crate) worst_turn: Duration,
}

impl Connections {
    /// What the endpoint has done. It looks at every connection: ask once a second rather than once a message.
    pub fn stats(&self) -> Stats {
        let tally = &self.tally;
        let (mut bytes_in, mut bytes_out) = (tally.bytes_in, tally.bytes_out);
        for (_, live) in self.slots.iter() {
            bytes_in += live.connection.bytes_received();
            bytes_out += live.connection.bytes_sent();
        }
        Stats {
            accepted: tally.accepted,
            turned_away: tally.turned_away,
            open: self.slots.len(),
            messages_in: tally.messages_in,
            messages_out: tally.messages_out,
            bytes_in,
            bytes_out,
            worst_turn: tally.worst_turn,
        }
    }

    /// Begins to look for the [longest turn](Stats::worst_turn) anew, and answers what it was.
    pub fn take_worst_turn(&mut self) -> Duration {
        std::mem::take(&mut self.tally.worst_turn)
    }

    /// A connection has asked something: it is no handshake in progress any more.
    pub(crate) fn settle_handshake(&mut self, slot: u32) {
        let Some(live) = self.slots.at_mut(slot).filter(|live| live.has(flag::NEW)) else { return };
        live.clear(flag::NEW);
        if let Some(server) = self.servers.at_mut(live.server) {
            server.handshakes -= 1;
        }
    }

    /// A connection is about to go: what was counted for it.
    pub(crate) fn settle(&mut self, slot: u32) {
        self.settle_handshake(slot);
        let Some(live) = self.slots.at(slot) else { return };
        self.tally.bytes_in += live.connection.bytes_received();
        self.tally.bytes_out += live.connection.bytes_sent();
        if let Some(server) = self.servers.at_mut(live.server) {
            server.dismiss(self.slots.peer(live.id(slot)));
        }
    }
}

impl Server {
    /// Whether one more may come from there; if so, it is counted.
    pub(crate) fn admit(&mut self, peer: Option<SocketAddr>) -> bool {
        self.sockets < self.max_connections
            && match (self.max_per_address, peer) {
                (Some(limit), Some(peer)) => self.addresses.add(peer, limit),
                _ => true,
            }
    }

    /// It did not come after all, or is gone.
    pub(crate) fn dismiss(&mut self, peer: Option<SocketAddr>) {
        if let (Some(_), Some(peer)) = (self.max_per_address, peer) {
            self.addresses.remove(peer);
        }
    }

    /// Whether so many handshakes are in progress that the next must wait in the kernel.
    pub(crate) fn is_crowded(&self) -> bool {
        self.handshakes >= self.max_handshakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 1)
    }

    #[test]
    fn an_address_has_so_many_and_no_more_until_one_goes() {
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
    fn a_network_of_ipv6_is_one_address_and_so_is_an_ipv4_one_on_dual_stack() {
        let mut addresses = Addresses::default();
        assert!(addresses.add(at("2001:db8::1"), 1));
        assert!(!addresses.add(at("2001:db8::ffff:1"), 1));
        assert!(addresses.add(at("2001:db8:0:1::1"), 1));
        assert!(addresses.add(at("::ffff:192.0.2.1"), 1));
        assert!(!addresses.add(at("192.0.2.1"), 1));
    }

    #[test]
    fn this_machine_is_not_counted() {
        let mut addresses = Addresses::default();
        for address in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            assert!(addresses.add(at(address), 0) && addresses.add(at(address), 0));
            addresses.remove(at(address));
        }
        assert!(addresses.0.is_empty());
    }
}
