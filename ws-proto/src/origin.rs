//! The origin of a page: scheme, host and port (RFC 6454).

use crate::access::Authority;

/// An origin other than `null` (RFC 6454 §6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        if scheme.is_empty() || !scheme.bytes().all(is_scheme) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let Authority { host, port } = Authority::parse(authority)?;
        let port = port.or_else(|| default_port(&scheme));
        Some(Self { scheme, host, port })
    }

    /// Whether a page of this origin speaks to the server that it came from. Behind a proxy that ends TLS the
    /// schemes differ, so host and port decide.
    pub(crate) fn is_same(&self, host: &Authority) -> bool {
        let Some(default) = default_port(&self.scheme) else { return false };
        self.host == host.host && self.port == Some(host.port.unwrap_or(default))
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}
