//! What a proxy in front of a server says of the client.

use super::authority::Authority;
use super::transport::Transport;
use ::http::HeaderMap;
use ::http::header::{self, HeaderValue};
use core::net::SocketAddr;

/// What a trusted proxy says of the client of a request: the result of [`HeadRule::forwarded`](crate::HeadRule::forwarded).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forwarded {
    /// The address of the client; port 0 if the proxy names none. `None` leaves that of the connection.
    pub peer: Option<SocketAddr>,
    /// Whether the client speaks TLS with the proxy. `None` leaves that of the connection.
    pub is_secure: Option<bool>,
    /// The `Host` that the client sent to the proxy. It replaces the field of the request, unless it is invalid.
    pub host: Option<Box<str>>,
}

impl Forwarded {
    /// The client at this address.
    #[must_use]
    pub fn peer(mut self, peer: Option<SocketAddr>) -> Self {
        self.peer = peer;
        self
    }

    /// Whether the client speaks TLS with the proxy.
    #[must_use]
    pub fn is_secure(mut self, is_secure: Option<bool>) -> Self {
        self.is_secure = is_secure;
        self
    }

    /// The `Host` that the client sent to the proxy.
    #[must_use]
    pub fn host(mut self, host: Option<Box<str>>) -> Self {
        self.host = host;
        self
    }

    /// The transport of the client, which reached the server through this one.
    pub(crate) fn over(&self, transport: Transport) -> Transport {
        Transport {
            peer: self.peer.or(transport.peer),
            secure: self.is_secure.unwrap_or(transport.secure),
            forwarded: true,
            // Browsers reach the proxy, and not at this server's own port.
            unix: false,
            loopback_port: None,
        }
    }

    /// Replaces the `Host` field of a request, for every later reader, as an absolute target does (RFC 9112 §3.2.2).
    pub(crate) fn replace_host(&self, host: &mut Option<Authority>, headers: &mut HeaderMap) {
        if let Some(text) = &self.host
            && let Some(authority) = Authority::parse(text)
            && let Ok(value) = HeaderValue::from_str(text)
        {
            headers.insert(header::HOST, value);
            *host = Some(authority);
        }
    }
}
