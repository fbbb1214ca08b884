//! The header fields in which proxies say who their client is.

use super::list::{ELEMENTS, FromRight};
use super::{TrustedProxies, Via};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use http::header::FORWARDED;
use http::{HeaderMap, HeaderValue};
use std::boxed::Box;
use std::string::String;
use ws_proto::fields::is_token;
use ws_proto::{Forwarded, RequestHead};

const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const HOST: &str = "x-forwarded-host";

impl TrustedProxies {
    /// What the proxy says of the client of this request; `None` if the peer is not a trusted one, or says nothing. The
    /// PROXY protocol has no part in it.
    ///
    /// ```
    /// use ws_host::trusted_proxy::{TrustedProxies, Via};
    /// use ws_proto::{RequestHead, Transport};
    ///
    /// let trusted = TrustedProxies::new(["10.0.0.1"], Via::XForwarded);
    /// let request = http::Request::get("/").header("X-Forwarded-For", "203.0.113.9, 192.0.2.1").body(())?;
    /// let head = RequestHead::new(&request, false).over(Transport::default().peer(Some(([10, 0, 0, 1], 9).into())));
    /// assert_eq!(trusted.forwarded(&head).and_then(|said| said.peer), Some(([192, 0, 2, 1], 0).into()));
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn forwarded(&self, head: &RequestHead<'_>) -> Option<Forwarded> {
        if !self.trusts_over(head.transport()) {
            return None;
        }
        let headers = head.headers();
        match self.via() {
            Via::Forwarded => headers.contains_key(FORWARDED).then(|| self.forwarded_by_list(headers)),
            Via::XForwarded => {
                let says = [FOR, PROTO, HOST].into_iter().any(|name| headers.contains_key(name));
                says.then(|| self.forwarded_by_fields(headers))
            }
            Via::ProxyProtocol => None,
        }
    }

    /// RFC 7239.
    fn forwarded_by_list(&self, headers: &HeaderMap) -> Forwarded {
        let mut said = Forwarded::default();
        let fields = headers.get_all(FORWARDED).iter().rev();
        for element in fields.flat_map(|field| FromRight::new(field.as_bytes())).take(ELEMENTS) {
            let Some(element) = element.and_then(Element::parse) else { break };
            said = said.is_secure(element.is_secure).host(element.host);
            let Some(Node::At(address)) = element.node else { break };
            said = said.peer(Some(address));
            if !self.contains(address.ip()) {
                break;
            }
        }
        said
    }

    fn forwarded_by_fields(&self, headers: &HeaderMap) -> Forwarded {
        let mut client = None;
        let fields = headers.get_all(FOR).iter().rev();
        for element in fields.flat_map(|field| FromRight::new(field.as_bytes())).take(ELEMENTS) {
            let Some(Node::At(address)) = element.and_then(Node::parse_bare) else { break };
            client = Some(address);
            if !self.contains(address.ip()) {
                break;
            }
        }
        let host = last(headers, HOST).and_then(|host| str::from_utf8(host).ok());
        let is_secure = last(headers, PROTO).and_then(is_secure);
        Forwarded::default().peer(client).is_secure(is_secure).host(host.map(Into::into))
    }
}

/// The last value of a list.
fn last<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    FromRight::new(headers.get_all(name).iter().next_back().map(HeaderValue::as_bytes)?).next()?
}

/// Whether a client with this scheme speaks TLS.
fn is_secure(scheme: &[u8]) -> Option<bool> {
    let is = |names: [&str; 2]| names.iter().any(|name| scheme.eq_ignore_ascii_case(name.as_bytes()));
    match () {
        () if is(["https", "wss"]) => Some(true),
        () if is(["http", "ws"]) => Some(false),
        () => None,
    }
}

/// What one proxy says (RFC 7239 §4).
#[derive(Debug, Default, PartialEq, Eq)]
struct Element {
    node: Option<Node>,
    is_secure: Option<bool>,
    host: Option<Box<str>>,
}

impl Element {
    fn parse(element: &[u8]) -> Option<Self> {
        let mut parsed = Self::default();
        let mut seen = [false; 4];
        let mut rest = element;
        while !rest.is_empty() {
            let (pair, after) = split_pair(rest)?;
            rest = after;
            if pair.is_empty() {
                continue;
            }
            let at = pair.iter().position(|b| *b == b'=')?;
            let (name, value) = (&pair[..at], value(&pair[at + 1..])?);
            if !is_token(name) {
                return None;
            }
            let names = ["for", "proto", "host", "by"];
            let Some(which) = names.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes()))
            else {
                continue;
            };
            // Each parameter occurs once.
            if core::mem::replace(&mut seen[which], true) {
                return None;
            }
            match which {
                0 => parsed.node = Some(Node::parse(value.as_bytes())?),
                1 => parsed.is_secure = is_secure(value.as_bytes()),
                2 => parsed.host = Some(value.into()),
                _ => {}
            }
        }
        Some(parsed)
    }
}

/// Splits the first pair off, at a semicolon outside quotation marks.
fn split_pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, b) in text.iter().enumerate() {
        match b {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b';' if !is_quoted => return Some((text[..at].trim_ascii(), &text[at + 1..])),
            _ => {}
        }
    }
    (!is_quoted).then(|| (text.trim_ascii(), &text[text.len()..]))
}

/// A token, or a quoted string without its marks (RFC 9110 §5.6.4).
fn value(text: &[u8]) -> Option<String> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        return is_token(text).then(|| String::from_utf8_lossy(text).into_owned());
    };
    let mut value = String::new();
    let mut bytes = quoted.strip_suffix(b"\"")?.iter().copied();
    while let Some(b) = bytes.next() {
        let b = match b {
            b'\\' => bytes.next()?,
            b'"' => return None,
            b => b,
        };
        if !(b' '..=b'~').contains(&b) {
            return None;
        }
        value.push(char::from(b));
    }
    Some(value)
}

/// A node: an address, or one whose address its proxy does not tell (RFC 7239 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    At(SocketAddr),
    Hidden,
}

impl Node {
    /// IPv6 is in brackets. A port may follow.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        let (ip, port): (Option<IpAddr>, _) = match text.strip_prefix('[') {
            Some(rest) => {
                let (ip, port) = rest.split_once(']')?;
                (Some(ip.parse::<Ipv6Addr>().ok()?.into()), port)
            }
            None => {
                let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
                match name {
                    _ if name.eq_ignore_ascii_case("unknown") || is_obfuscated(name) => (None, port),
                    name => (Some(name.parse::<Ipv4Addr>().ok()?.into()), port),
                }
            }
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => 0,
            Some(port) if is_obfuscated(port) => 0,
            Some(port) if port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()) => port.parse().ok()?,
            _ => return None,
        };
        Some(ip.map_or(Self::Hidden, |ip| Self::At(SocketAddr::new(ip.to_canonical(), port))))
    }

    /// As in `X-Forwarded-For`: IPv6 without a port has no brackets there.
    fn parse_bare(text: &[u8]) -> Option<Self> {
        let bare = || str::from_utf8(text).ok()?.parse::<Ipv6Addr>().ok();
        let bare = bare().map(|ip| Self::At(SocketAddr::new(IpAddr::from(ip).to_canonical(), 0)));
        bare.or_else(|| Self::parse(text))
    }
}

/// `_`, and what the proxy made up (RFC 7239 §6.3).
fn is_obfuscated(text: &str) -> bool {
    let is_made_up = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    text.strip_prefix('_').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_made_up))
}
