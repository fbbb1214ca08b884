//! Making URLs that can be opened.

use core::fmt::Write;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a URL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `ws`: a WebSocket. It has no fragment (RFC 6455 §3), so that a `#` is encoded.
    Ws,
    /// `http`: a page.
    Http,
}

impl Scheme {
    /// As it stands in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Http => "http",
        }
    }
}

/// The URL of a path on a server of this address.
///
/// A slash in front of the path may be left out, and a backslash before the query is a slash. Whatever a URL
/// cannot contain is percent-encoded (RFC 3986 §2.1); what is encoded already stays so. For an address that
/// means every interface the host is `localhost`.
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
    // Writing to a string does not fail. The scope of an IPv6 address means nothing in a URL (RFC 3986 §3.2.2).
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

/// The address at which the local network reaches a server that is bound to this one: of one on every interface the
/// address from which this machine reaches others. `None` where the network cannot reach it, or there is none.
///
/// `route` asks the system's routing table from which address a socket that is bound to the first would speak to
/// the second; that one is for documentation (RFC 5737, RFC 3849), and nobody's.
pub fn lan_address(
    mut address: SocketAddr,
    route: impl Fn(IpAddr, IpAddr) -> Option<IpAddr>,
) -> Option<SocketAddr> {
    if address.ip().is_unspecified() {
        let v4 = (Ipv4Addr::UNSPECIFIED.into(), IpAddr::from([192, 0, 2, 1]));
        let v6 = (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
        let ways = [Some(v4), address.is_ipv6().then_some(v6)];
        let own = ways
            .into_iter()
            .flatten()
            .find_map(|(from, to)| route(from, to).filter(|ip| !ip.is_unspecified() && !ip.is_loopback()));
        address.set_ip(own?);
    }
    (!address.ip().to_canonical().is_loopback()).then_some(address)
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
            b'#' if scheme == Scheme::Http && part != Part::Fragment => {
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
    fn a_leading_slash_may_be_left_out() {
        for path in ["a/b", "/a/b", r"\a\b", r"a\b"] {
            assert_eq!(ws(path), "ws://127.0.0.1:80/a/b");
        }
        assert_eq!(ws(""), "ws://127.0.0.1:80/");
        assert_eq!(ws("?a=1"), "ws://127.0.0.1:80/?a=1");
        assert_eq!(ws("//a"), "ws://127.0.0.1:80//a");
    }

    #[test]
    fn what_no_url_contains_is_encoded_once() {
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
    fn a_page_may_have_one_fragment() {
        let page = |path| url(Scheme::Http, ([127, 0, 0, 1], 80).into(), path);
        assert_eq!(page("a?b#c"), "http://127.0.0.1:80/a?b#c");
        assert_eq!(page("#a#b?c"), "http://127.0.0.1:80/#a%23b?c");
    }

    #[test]
    fn every_interface_is_localhost_and_ipv6_stands_in_brackets() {
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
    fn the_network_reaches_a_server_on_every_interface_by_the_address_of_the_route() {
        let lan = |bound: &str, own: &str| {
            let address = lan_address(bound.parse().unwrap(), |_, to| {
                let own: IpAddr = own.parse().unwrap();
                (own.is_ipv6() == to.is_ipv6()).then_some(own)
            });
            address.map(|address| address.to_string())
        };
        assert_eq!(lan("0.0.0.0:1", "192.168.1.7").as_deref(), Some("192.168.1.7:1"));
        assert_eq!(lan("[::]:1", "192.168.1.7").as_deref(), Some("192.168.1.7:1"));
        assert_eq!(lan("[::]:1", "2001:db8::7").as_deref(), Some("[2001:db8::7]:1"));
        assert_eq!(lan("0.0.0.0:1", "2001:db8::7"), None);
        assert_eq!(lan("0.0.0.0:1", "127.0.0.1"), None);
        assert_eq!(lan("127.0.0.1:1", "192.168.1.7"), None);
        assert_eq!(lan("10.0.0.1:1", "192.168.1.7").as_deref(), Some("10.0.0.1:1"));
    }
}
