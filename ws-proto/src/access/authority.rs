//! The authority of a URL, a `Host` or an `Origin`: a host and an optional port (RFC 3986 §3.2).

use crate::access::transport::Transport;
use core::net::{Ipv4Addr, Ipv6Addr};
use percent_encoding::percent_decode_str;

/// Interface names have at most 15 bytes on Linux, macOS and the BSDs, and numbers of ten digits on Windows.
const ZONE_LIMIT: usize = 32;

/// `host [":" port]`, the host in lower case and without the trailing dot of the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    /// A name, an IPv4 address, or an IPv6 address in its brackets. Empty only over a Unix socket.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    /// The link of a link-local address. It has meaning only on the machine that wrote it, so it is not part of the
    /// host.
    pub(crate) zone: Option<Zone>,
}

/// The zone of a link-local address (RFC 4007 §11): the network interface that leads to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Its number.
    Index(u32),
    /// Its name, which only this machine knows.
    Name(String),
}

impl Authority {
    /// Rejects user information, lists, and characters that no DNS host name contains.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, zone, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let (address, zone) = match address.split_once('%') {
                Some((address, zone)) => (address, Some(Zone::parse(zone)?)),
                None => (address, None),
            };
            let address: Ipv6Addr = address.parse().ok()?;
            // Any other address is the same on every link (RFC 4007 §4).
            if zone.is_some() && !address.is_unicast_link_local() {
                return None;
            }
            (format!("[{address}]"), zone, port)
        } else {
            let end = text.find(':').unwrap_or(text.len());
            let (name, port) = text.split_at(end);
            let name = name.strip_suffix('.').unwrap_or(name);
            let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            let are_labels = name.split('.').all(|label| !label.is_empty());
            if name.len() > 253 || !name.bytes().all(is_name) || !are_labels {
                return None;
            }
            (name.to_ascii_lowercase(), None, port)
        };
        Some(Self { host, port: parse_port(port)?, zone })
    }

    /// The authority of a `Host` field. A Unix socket has no name, so there it may be empty.
    pub(crate) fn of_host(value: &[u8], transport: Transport) -> Option<Self> {
        match value {
            b"" if transport.unix => Some(Self::empty()),
            value => Self::parse(str::from_utf8(value).ok()?),
        }
    }

    /// The authority of an empty `Host` field.
    pub(crate) fn empty() -> Self {
        Self { host: String::new(), port: None, zone: None }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.host.is_empty()
    }

    pub(crate) fn is_literal(&self) -> bool {
        self.host.starts_with('[') || self.host.parse::<Ipv4Addr>().is_ok()
    }
}

/// What follows a host: nothing, or a colon and a port.
pub(crate) fn parse_port(text: &str) -> Option<Option<u16>> {
    match text.strip_prefix(':') {
        None if text.is_empty() => Some(None),
        None => None,
        // An empty port is the default one (RFC 3986 §3.2.3).
        Some("") => Some(None),
        Some(digits) if digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(Some(digits.parse().ok()?))
        }
        Some(_) => None,
    }
}

impl Zone {
    /// Parses what follows the percent sign. In a URL that sign is itself encoded, as `%25` (RFC 6874 §2); text copied
    /// from a terminal has it bare (§3). Where both are possible, as in `%2512`, it is the former.
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("25").unwrap_or(text);
        let zone = percent_decode_str(text).decode_utf8().ok()?;
        let is_unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        if zone.is_empty() || zone.len() > ZONE_LIMIT || !zone.bytes().all(is_unreserved) {
            return None;
        }
        if zone.bytes().all(|b| b.is_ascii_digit()) {
            return zone.parse().ok().map(Self::Index);
        }
        Some(Self::Name(zone.into_owned()))
    }
}

/// The text of an origin without the zone of its host, which must not leave this machine.
pub(crate) fn without_zone(origin: &str) -> Option<String> {
    let (start, rest) = origin.split_once("://[")?;
    let (address, end) = rest.split_once(']')?;
    let (address, _) = address.split_once('%')?;
    Some(format!("{start}://[{address}]{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authority_is_a_host_and_an_optional_port() {
        for bad in [
            "",
            ".",
            "..",
            ".localhost",
            ".example:80",
            "a..localhost",
            "localhost..",
            ":80",
            "user@localhost",
            "localhost/",
            "a,b",
            "a b",
            "localhost:x",
            "localhost:65536",
            "localhost:+80",
            "localhost:80:80",
            "[::1",
            "::1",
            "[::1]x",
            "[localhost]",
            "[::1%eth0]",
            "[::1%251]",
            "[2001:db8::1%eth0]",
            "[fe7f::1%eth0]",
            "[fec0::1%eth0]",
            "[fe80::1%]",
            "[fe80::1%25]",
            "[fe80::1%25%]",
            "[fe80::1%25%ff]",
            "[fe80::1%eth 0]",
            "[fe80::1%eth0%eth1]",
            "[fe80::1%4294967296]",
            "fe80::1%eth0",
            "169.254.1.1%eth0",
            "[169.254.1.1%eth0]",
            "a%2eb",
            "b\u{fc}cher.example",
            "localhost:000080",
        ] {
            assert_eq!(Authority::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn link_local_address_may_have_a_zone() {
        let zone = |text: &str| Authority::parse(text).map(|authority| (authority.host, authority.zone));
        let name = |name: &str| Some(Zone::Name(name.to_owned()));
        for (text, host, expected) in [
            ("[fe80::1]", "[fe80::1]", None),
            ("[fe80::1%25eth0]", "[fe80::1]", name("eth0")),
            ("[fe80::1%eth0]:9000", "[fe80::1]", name("eth0")),
            ("[FE80:0::1%25ETH0]:9000", "[fe80::1]", name("ETH0")),
            ("[febf:ffff::1%25en%2D1]", "[febf:ffff::1]", name("en-1")),
            ("[fe80::1%259]", "[fe80::1]", Some(Zone::Index(9))),
            ("[fe80::1%9]", "[fe80::1]", Some(Zone::Index(9))),
            ("[fe80::1%2512]", "[fe80::1]", Some(Zone::Index(12))),
            ("[fe80::1%254294967295]", "[fe80::1]", Some(Zone::Index(u32::MAX))),
        ] {
            assert_eq!(zone(text), Some((host.to_owned(), expected)), "{text}");
        }
        let long = |length| zone(&format!("[fe80::1%{}]", "x".repeat(length))).is_some();
        assert!(long(ZONE_LIMIT) && !long(ZONE_LIMIT + 1));
    }

    #[test]
    fn only_the_zone_is_removed_from_an_origin() {
        for (origin, expected) in [
            ("http://[fe80::1%25eth0]:9000", Some("http://[fe80::1]:9000")),
            ("http://[fe80::1%eth0]", Some("http://[fe80::1]")),
            ("http://[fe80::1]:9000", None),
            ("http://a.example/%25", None),
            ("null", None),
        ] {
            assert_eq!(without_zone(origin).as_deref(), expected);
        }
    }
}
