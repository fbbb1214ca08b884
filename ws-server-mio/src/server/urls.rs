//! What servers are called: URLs for this machine and for the network around it.

use crate::connection::Connections;
use crate::ids::ServerId;
use crate::server::list::Server;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use ws_host::listen::{Scheme, lan_address, url};

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
        lan_address(self.running(server)?.address()?, own_ip)
    }

    fn running(&self, server: ServerId) -> Option<&Server> {
        self.servers.get(server).filter(|server| !server.listeners.is_empty())
    }
}

/// A "connected" UDP socket has asked the routing table and sent nothing.
fn own_ip(from: IpAddr, to: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((from, 0)).ok()?;
    socket.connect((to, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
