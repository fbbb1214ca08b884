//! The origin of a page: scheme, host and port (RFC 6454).

use crate::access::authority::{Authority, parse_port};
use crate::access::transport::Transport;

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
        let scheme = parse_scheme(scheme)?;
        if !is_special(&scheme) && !authority.starts_with('[') {
            let (host, port) = parse_opaque_host(authority)?;
            return Some(Self { scheme, host, port });
        }
        let Authority { host, port, .. } = Authority::parse(authority)?;
        let port = port.or_else(|| default_port(&scheme));
        Some(Self { scheme, host, port })
    }

    /// An origin from a list, perhaps with the trailing slash of a copied address.
    pub(crate) fn listed(text: &str) -> Option<Self> {
        // The last slash of `qrc:///` is a path.
        let text = text.strip_suffix('/').filter(|text| !text.ends_with('/')).unwrap_or(text);
        let is_of_pages = |origin: &Self| match &*origin.scheme {
            "ws" | "wss" | "ftp" => false,
            scheme => !origin.host.is_empty() || !is_of_extensions(scheme),
        };
        Self::parse(text).filter(is_of_pages)
    }

    pub(crate) fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Whether a page of this origin uses the server that served it.
    pub(crate) fn is_same(&self, host: &Authority, transport: Transport) -> bool {
        // A server that speaks TLS itself serves no page without it. Behind a proxy that terminates TLS the schemes
        // differ, so host and port decide.
        if transport.secure && self.scheme != "https" {
            return false;
        }
        let Some(default) = default_port(&self.scheme) else { return false };
        let port = Some(host.port.unwrap_or(default));
        self.port == port && (self.host == host.host || self.is_this_machine(host, port, transport))
    }

    /// Whether both names mean this machine, and this server listens on both.
    fn is_this_machine(&self, host: &Authority, port: Option<u16>, transport: Transport) -> bool {
        let is_loopback = |name: &str| ["localhost", "127.0.0.1", "[::1]"].contains(&name);
        transport.loopback_port == port
            && matches!(&*self.scheme, "http" | "https")
            && is_loopback(&self.host)
            && is_loopback(&host.host)
    }
}

/// A scheme in lower case (RFC 3986 §3.1).
pub(crate) fn parse_scheme(text: &str) -> Option<String> {
    let is_scheme = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    let is_valid = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(is_scheme);
    is_valid.then(|| text.to_ascii_lowercase())
}

/// Schemes whose origins have a DNS host or, for files, no distinguishing host: the special schemes of the URL
/// standard, which are those of the web.
pub(crate) fn is_special(scheme: &str) -> bool {
    matches!(scheme, "http" | "https" | "ws" | "wss" | "ftp" | "file")
}

/// Schemes whose pages have the origin `null`, or that of the page that created them.
pub(crate) fn is_opaque(scheme: &str) -> bool {
    matches!(scheme, "null" | "about" | "blob" | "data" | "javascript")
}

/// `chrome-extension`, `moz-extension`, `safari-web-extension`: the host identifies the extension, and is never empty.
pub(crate) fn is_of_extensions(scheme: &str) -> bool {
    scheme.to_ascii_lowercase().ends_with("-extension")
}

/// The host of an application's own scheme is arbitrary, and may be empty: `qrc://`, `app://.`.
fn parse_opaque_host(authority: &str) -> Option<(String, Option<u16>)> {
    let end = authority.find(':').unwrap_or(authority.len());
    let (host, port) = authority.split_at(end);
    let is_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    let is_valid = host.len() <= 253 && host.bytes().all(is_host) && (!host.is_empty() || port.is_empty());
    if is_valid { Some((host.to_ascii_lowercase(), parse_port(port)?)) } else { None }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}
