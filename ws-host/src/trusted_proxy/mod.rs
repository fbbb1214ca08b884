//! Proxies in front of a server that it believes: who the client is, whether it speaks TLS, and which `Host` it asked for.
//!
//! ```text
//!  client ──▶ proxy ──▶ proxy ──PROXY header, Forwarded or X-Forwarded-…──▶ server
//!               └───── trusted ───┘
//! ```
//!
//! [`ServerConfig::trust_proxy`](crate::server::ServerConfig::trust_proxy) names the addresses of the proxies and one
//! kind of header, [`Via`]. The other kinds are ignored even from them, and from all other peers every kind is.
//!
//! A list is read from the right, where the nearest proxy has written: as long as an address is trusted, so is what that
//! proxy has written to the left of it. The first address that is not trusted is the client's; what stands to the left of
//! it is the client's own word, and not read. If the list ends within the trusted proxies, its leftmost address is the
//! client's. Where an element is malformed, hides its client (`unknown`, `_secret`), or is the thirty-third, the last
//! address before it counts: that of the proxy that has sent it.

mod addresses;
mod forwarded;
mod invalid;
mod layer;
mod list;
mod protocol;
#[cfg(test)]
mod tests_lists;
#[cfg(test)]
mod tests_protocol;

pub use addresses::TrustedProxies;
pub use invalid::InvalidTrust;
pub use layer::ProxyHeaderLayer;
pub use protocol::{HEADER_LIMIT, ProxyHeader, Source};
pub use ws_proto::ProxyHeaderError;

/// How the proxies in front of a server say who the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Via {
    /// The header field `Forwarded` (RFC 7239): the client in `for`, its scheme in `proto`, its `Host` in `host`.
    Forwarded,
    /// The header fields `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`. Of the latter two the last value
    /// counts, that of the nearest proxy. The proxy must set all three, or remove those that it does not set: what a
    /// client sends would otherwise pass for its word.
    XForwarded,
    /// The PROXY protocol, version 1 or 2: a header before the first byte of each connection, and before TLS. It names the
    /// address alone. A connection of a trusted peer without it is closed.
    ProxyProtocol,
}
