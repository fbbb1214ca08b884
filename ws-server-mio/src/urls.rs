//! What servers are called: URLs for this machine and for the network around it.

use crate::connections::Connections;
use crate::servers::{Server, ServerId};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use ws_proto::url::{Scheme, url};

/// What servers are called. There is nothing to call once a server was told to stop.
impl Connections {
    /// The address to connect to from this machine: `ws://127.0.0.1:8700/path`, and `localhost` for a server
    /// on every interface. A slash in front of the path may be left out; what no URL contains is encoded.
    pub fn url(&self, server: ServerId, path: &str) -> Option<String> {
        Some(url(Scheme::Ws, self.running(server)?.address()?, path))
    }

    /// As [`Connections::url`], with `http` in front: what to give to a browser.
    pub fn http_url(&self, server: ServerId, path: &str) -> Option<String> {
        Some(url(Scheme::Http, self.running(server)?.address()?, path))
    }

    /// The address to connect to from the local network, `ws://192.168.1.7:8700/path`: of a server on every
    /// interface this machine's address on its default route, otherwise the one that the server is bound to.
    /// `None` where the network cannot reach it, or there is none.
    ///
    /// The system is asked for the way to an address that nobody has: no packet is sent, no name is looked up,
    /// and nothing is waited for.
    pub fn lan_url(&self, server: ServerId, path: &str) -> Option<String> {
        Some(url(Scheme::Ws, self.lan_addr(server)?, path))
    }

    /// As [`Connections::lan_url`], with `http` in front: what to show as a QR code, say.
    pub fn lan_http_url(&self, server: ServerId, path: &str) -> Option<String> {
        Some(url(Scheme::Http, self.lan_addr(server)?, path))
    }

    /// All of them: for each listener its address, and at last the one for the local network, where there is
    /// one.
    pub fn urls(&self, server: ServerId, path: &str) -> Vec<String> {
        let Some(running) = self.running(server) else { return Vec::new() };
        let listeners = running.listeners.iter().filter_map(|listener| listener.socket.local_addr());
        let mut urls: Vec<_> = listeners.map(|address| url(Scheme::Ws, address, path)).collect();
        if let Some(lan) = self.lan_url(server, path)
            && !urls.contains(&lan)
        {
            urls.push(lan);
        }
        urls
    }

    fn lan_addr(&self, server: ServerId) -> Option<SocketAddr> {
        let mut address = self.running(server)?.address()?;
        if address.ip().is_unspecified() {
            address.set_ip(own_ip(address.is_ipv6())?);
        }
        (!address.ip().to_canonical().is_loopback()).then_some(address)
    }

    fn running(&self, server: ServerId) -> Option<&Server> {
        self.servers.get(server).filter(|server| !server.listeners.is_empty())
    }
}

/// The address from which this machine reaches others. A "connected" UDP socket has asked the routing table and
/// sent nothing.
fn own_ip(v6_too: bool) -> Option<IpAddr> {
    // Addresses for documentation (RFC 5737, RFC 3849), which are nobody's.
    let v4 = (IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from([192, 0, 2, 1]));
    let v6 = (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
    [Some(v4), v6_too.then_some(v6)].into_iter().flatten().find_map(|(from, to)| {
        let socket = UdpSocket::bind((from, 0)).ok()?;
        socket.connect((to, 9)).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
    })
}
