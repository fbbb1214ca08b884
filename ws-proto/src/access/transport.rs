//! The transport of a server's connection, which only the owner of its socket knows.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The transport of a connection to a server: the owner of the socket passes it to
/// [`Connection::server`](crate::Connection::server).
///
/// ```
/// use ws_proto::Transport;
///
/// let tcp = Transport::default();
/// let unix = Transport::unix();
/// assert!(unix.unix && !tcp.unix);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transport {
    /// This server itself speaks TLS on the connection; where the transport is [forwarded](Self::forwarded), the client
    /// speaks TLS with the proxy. `false`.
    pub secure: bool,
    /// The connection uses a Unix socket, which no browser can open. `false`.
    pub unix: bool,
    /// The port on which this server listens at both `127.0.0.1` and `::1`, if any: there `localhost`, `127.0.0.1` and
    /// `[::1]` are one host for the rule of origins. `None`.
    pub loopback_port: Option<u16>,
    /// The address of the peer, if it has one and the owner of the socket knows it: requests [have](crate::Request::peer_addr)
    /// it, and rules for heads. `None`.
    pub peer: Option<SocketAddr>,
    /// A trusted proxy has described the client of this request: [`HeadRule::forwarded`](crate::HeadRule::forwarded).
    /// `false`.
    pub forwarded: bool,
}

impl Transport {
    /// A Unix socket.
    pub fn unix() -> Self {
        Self { unix: true, ..Self::default() }
    }

    /// TCP, for a server that listens at these addresses.
    ///
    /// ```
    /// use ws_proto::{ListenAddress, Transport};
    ///
    /// let both = Transport::tcp([ListenAddress::new(([127, 0, 0, 1], 8700)), ListenAddress::new("[::1]:8700".parse::<std::net::SocketAddr>()?)]);
    /// assert_eq!(both.loopback_port, Some(8700));
    /// let dual = Transport::tcp([ListenAddress::dual_stack("[::]:8700".parse::<std::net::SocketAddr>()?)]);
    /// assert_eq!(dual.loopback_port, Some(8700));
    /// let one = Transport::tcp([ListenAddress::new(([0, 0, 0, 0], 8700))]);
    /// assert_eq!(one.loopback_port, None);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn tcp(listeners: impl IntoIterator<Item = ListenAddress>) -> Self {
        Self::default().loopback_port(shared_port(listeners))
    }

    /// Sets whether this server itself speaks TLS on the connection.
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Sets the address of the peer.
    #[must_use]
    pub fn peer(mut self, peer: Option<SocketAddr>) -> Self {
        self.peer = peer;
        self
    }

    /// Sets the port on which this server listens at both `127.0.0.1` and `::1`.
    #[must_use]
    pub fn loopback_port(mut self, port: Option<u16>) -> Self {
        self.loopback_port = port;
        self
    }
}

/// Where a server listens, for [`Transport::tcp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    address: SocketAddr,
    is_dual_stack: bool,
}

impl ListenAddress {
    /// An IPv4 address, or an IPv6 one whose socket accepts only IPv6 (`IPV6_V6ONLY`).
    pub fn new(address: impl Into<SocketAddr>) -> Self {
        Self { address: address.into(), is_dual_stack: false }
    }

    /// An IPv6 address whose socket also accepts IPv4, if it is `[::]`. Has no effect on an IPv4 address.
    pub fn dual_stack(address: impl Into<SocketAddr>) -> Self {
        Self { address: address.into(), is_dual_stack: true }
    }
}

/// The port that `0.0.0.0` or `127.0.0.1` shares with `[::]` or `[::1]`.
fn shared_port(listeners: impl IntoIterator<Item = ListenAddress>) -> Option<u16> {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for ListenAddress { address, is_dual_stack } in listeners {
        match address.ip() {
            IpAddr::V4(ip) if ip == Ipv4Addr::LOCALHOST || ip.is_unspecified() => v4.push(address.port()),
            IpAddr::V6(Ipv6Addr::LOCALHOST) => v6.push(address.port()),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
                v6.push(address.port());
                v4.extend(is_dual_stack.then_some(address.port()));
            }
            _ => {}
        }
    }
    v4.into_iter().find(|port| v6.contains(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_port_needs_both_families_on_one_port() {
        let port = |listeners: &[(&str, bool)]| {
            let listeners = listeners.iter().map(|(address, only_v6)| {
                let address: SocketAddr = address.parse().unwrap();
                if *only_v6 { ListenAddress::new(address) } else { ListenAddress::dual_stack(address) }
            });
            Transport::tcp(listeners).loopback_port
        };
        for listeners in [
            &[("127.0.0.1:9", true), ("[::1]:9", true)][..],
            &[("[::1]:9", false), ("127.0.0.1:9", true)],
            &[("0.0.0.0:9", true), ("[::]:9", true)],
            &[("127.0.0.1:9", true), ("[::]:9", true)],
            &[("[::]:9", false)],
        ] {
            assert_eq!(port(listeners), Some(9), "{listeners:?}");
        }
        for listeners in [
            &[][..],
            &[("127.0.0.1:9", true)],
            &[("0.0.0.0:9", true)],
            &[("[::1]:9", false)],
            &[("[::]:9", true)],
            &[("127.0.0.1:9", true), ("[::1]:8", true)],
            &[("127.0.0.2:9", true), ("[::1]:9", true)],
            &[("192.0.2.1:9", true), ("[::1]:9", true)],
            &[("127.0.0.1:9", true), ("[fe80::1]:9", true)],
            &[("[::ffff:127.0.0.1]:9", false), ("127.0.0.1:9", true)],
        ] {
            assert_eq!(port(listeners), None, "{listeners:?}");
        }
    }
}
