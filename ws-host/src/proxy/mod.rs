//! Proxies between a client and its server: HTTP CONNECT and SOCKS5.
//!
//! [`Proxy`] says which proxy a client uses for which server. [`Tunnel`] is what both sides say until the tunnel is open:
//! bytes in, bytes out, without I/O. [`ProxyLayer`] drives it over a socket that does not block, with TLS to the proxy
//! itself where its URL is `https://`.
//!
//! ```text
//!  HTTP    CONNECT host:port ──▶ 2xx                                        ──▶ open
//!  SOCKS5  methods ──▶ method ──▶ (user, password ──▶ status) ──▶ CONNECT ──▶ reply 0 ──▶ open
//! ```
//!
//! No byte of the connection is sent before the tunnel is open, and the proxy looks the server's name up: this machine
//! sends no DNS query for it.

mod env;
mod invalid;
mod layer;
mod no_proxy;
mod rules;
mod server;
mod socks;
mod tunnel;

#[cfg(test)]
mod tests_layer;
#[cfg(test)]
mod tests_tunnel;

pub use invalid::InvalidProxy;
pub use layer::ProxyLayer;
pub use rules::Proxy;
pub use server::ProxyServer;
pub use tunnel::Tunnel;
pub use ws_proto::{ProxyError, SocksReply};
