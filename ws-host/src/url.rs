//! The URLs of a server, for this machine and for the local network.

use crate::lan::lan_address;
use core::fmt::Write;
use core::net::SocketAddr;

/// The scheme of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// `ws`: a WebSocket. Its URL has no fragment (RFC 6455 §3), so a `#` is encoded.
    Ws,
    /// `http`: a page.
    Http,
    /// `wss`: a WebSocket over TLS.
    Wss,
    /// `https`: a page over TLS.
    Https,
}

impl Scheme {
    /// `wss` for `ws` and `https` for `http`, if the server speaks TLS.
    #[must_use]
    pub fn secure(self, is_secure: bool) -> Self {
        match self {
            Self::Ws | Self::Wss if is_secure => Self::Wss,
            Self::Http | Self::Https if is_secure => Self::Https,
            scheme => scheme,
        }
    }

    /// The scheme as it appears in a URL, without the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Http => "http",
            Self::Wss => "wss",
            Self::Https => "https",
        }
    }
}

/// The URL of a path on a server at this address.
///
/// The path's leading slash may be omitted, and a backslash before the query counts as a slash. Characters that a URL
/// cannot contain are percent-encoded (RFC 3986 §2.1); existing escapes are kept. For the address of every interface the
/// host is `localhost`.
///
/// ```
/// use ws_host::listen::{Scheme, url};
///
/// let address = ([127, 0, 0, 1], 8700).into();
/// assert_eq!(url(Scheme::Ws, address, "chat room?to=Zoë"), "ws://127.0.0.1:8700/chat%20room?to=Zo%C3%AB");
/// ```
pub fn url(scheme: Scheme, address: SocketAddr, path: &str) -> String {
    let mut url = String::with_capacity(32 + path.len());
    url.push_str(scheme.as_str());
    url.push_str("://");
    // Writing to a string does not fail. The scope of an IPv6 address has no place in a URL (RFC 3986 §3.2.2).
    let _ = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => write!(url, "localhost:{}", v4.port()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => write!(url, "localhost:{}", v6.port()),
        SocketAddr::V4(v4) => write!(url, "{v4}"),
        SocketAddr::V6(v6) => write!(url, "[{}]:{}", v6.ip(), v6.port()),
    };
    if !path.starts_with(['/', '\\']) {
        url.push('/');
    }
    push_path(&mut url, scheme, path);
    url
}

/// The URL of a path on a server at this address, for the local network. For a server on every interface, the host is
/// the address on this machine's default route, or without one a private address of its interfaces; otherwise the bound
/// address. `None` if the network cannot reach it, or there is none. The path is treated as in [`url`].
pub fn lan_url(scheme: Scheme, address: SocketAddr, path: &str) -> Option<String> {
    Some(url(scheme, lan_address(address)?, path))
}

/// The URLs of a server with listeners at these addresses: each of them, and last the one for the local
/// network, if there is one and it differs.
pub fn urls(scheme: Scheme, addresses: impl IntoIterator<Item = SocketAddr>, path: &str) -> Vec<String> {
    urls_with(scheme, addresses, path, lan_address)
}

fn urls_with(
    scheme: Scheme,
    addresses: impl IntoIterator<Item = SocketAddr>,
    path: &str,
    lan: impl FnOnce(SocketAddr) -> Option<SocketAddr>,
) -> Vec<String> {
    let mut addresses: Vec<_> = addresses.into_iter().collect();
    let lan = addresses.first().and_then(|first| lan(*first));
    addresses.extend(lan.filter(|lan| !addresses.contains(lan)));
    addresses.into_iter().map(|address| url(scheme, address, path)).collect()
}

fn push_path(url: &mut String, scheme: Scheme, path: &str) {
    #[derive(PartialEq)]
    enum Part {
        Path,
        Query,
        Fragment,
    }
    let mut part = Part::Path;
    let bytes = path.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        let plain = match byte {
            b'\\' if part == Part::Path => {
                url.push('/');
                continue;
            }
            b'?' => {
                if part == Part::Path {
                    part = Part::Query;
                }
                true
            }
            b'#' if matches!(scheme, Scheme::Http | Scheme::Https) && part != Part::Fragment => {
                part = Part::Fragment;
                true
            }
            b'%' => matches!(bytes.get(at + 1..at + 3), Some(hex) if hex.iter().all(u8::is_ascii_hexdigit)),
            // pchar and the slash (§3.3).
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' => true,
            b';' | b'=' | b':' | b'@' | b'/' => true,
            byte => byte.is_ascii_alphanumeric(),
        };
        if plain {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ws(path: &str) -> String {
        url(Scheme::Ws, ([127, 0, 0, 1], 80).into(), path)
    }

    #[test]
    fn a_leading_slash_is_optional() {
        for path in ["a/b", "/a/b", r"\a\b", r"a\b"] {
            assert_eq!(ws(path), "ws://127.0.0.1:80/a/b");
        }
        assert_eq!(ws(""), "ws://127.0.0.1:80/");
        assert_eq!(ws("?a=1"), "ws://127.0.0.1:80/?a=1");
        assert_eq!(ws("//a"), "ws://127.0.0.1:80//a");
    }

    #[test]
    fn invalid_characters_are_encoded_once() {
        for (path, expected) in [
            ("a b", "a%20b"),
            ("a%20b", "a%20b"),
            ("100%", "100%25"),
            ("%2", "%252"),
            ("%zz", "%25zz"),
            ("扫", "%E6%89%AB"),
            ("a\r\nb\0\u{7f}", "a%0D%0Ab%00%7F"),
            ("\"<>^`{|}[]", "%22%3C%3E%5E%60%7B%7C%7D%5B%5D"),
            ("a-._~!$&'()*+,;=:@/b", "a-._~!$&'()*+,;=:@/b"),
            (r"a?b\c?d", "a?b%5Cc?d"),
            ("a#b", "a%23b"),
        ] {
            assert_eq!(ws(path), format!("ws://127.0.0.1:80/{expected}"));
            let url: ::http::Uri = ws(path).parse().unwrap();
            assert_eq!(url.path_and_query().unwrap(), &*format!("/{expected}"));
        }
    }

    #[test]
    fn a_page_url_may_have_one_fragment() {
        let page = |path| url(Scheme::Http, ([127, 0, 0, 1], 80).into(), path);
        assert_eq!(page("a?b#c"), "http://127.0.0.1:80/a?b#c");
        assert_eq!(page("#a#b?c"), "http://127.0.0.1:80/#a%23b?c");
    }

    #[test]
    fn every_interface_is_localhost_and_ipv6_is_in_brackets() {
        for (address, expected) in [
            ("0.0.0.0:1", "ws://localhost:1/"),
            ("[::]:1", "ws://localhost:1/"),
            ("[::1]:1", "ws://[::1]:1/"),
            ("[fe80::1%3]:1", "ws://[fe80::1]:1/"),
        ] {
            assert_eq!(url(Scheme::Ws, address.parse().unwrap(), "/"), expected);
        }
    }

    #[test]
    fn each_listener_has_a_url_and_the_network_one_more() {
        let parse = |list: &str| list.split(' ').map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let urls = |list: &str, lan: Option<&str>| {
            urls_with(Scheme::Ws, parse(list), "a", |_| lan.map(|address| address.parse().unwrap())).join(" ")
        };
        assert_eq!(urls("127.0.0.1:1 [::1]:1", None), "ws://127.0.0.1:1/a ws://[::1]:1/a");
        assert_eq!(urls("[::]:1", Some("192.168.1.7:1")), "ws://localhost:1/a ws://192.168.1.7:1/a");
        assert_eq!(urls("192.168.1.7:1", Some("192.168.1.7:1")), "ws://192.168.1.7:1/a");
        assert!(urls_with(Scheme::Ws, [], "a", |_| panic!("there is no address")).is_empty());
    }
}
