//! The addresses of the proxies that a server trusts.

use super::{InvalidTrust, Via};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::borrow::ToOwned;
use std::vec::Vec;
use ws_proto::Transport;

/// The word for all peers of a Unix socket, which have no address.
const UNIX: &str = "unix";

/// The addresses of the proxies that a server trusts, and how these say who the client is.
///
/// ```
/// use ws_host::trusted_proxy::{TrustedProxies, Via};
///
/// let trusted = TrustedProxies::new(["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"], Via::XForwarded);
/// assert!(trusted.check().is_ok());
/// assert!(trusted.contains("10.1.2.3".parse()?));
/// assert!(!trusted.contains("127.0.0.2".parse()?));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TrustedProxies {
    via: Via,
    ranges: Vec<Range>,
    is_unix: bool,
    /// The first invalid part.
    invalid: Option<InvalidTrust>,
}

/// The addresses that share their first bits with this one. IPv4 has its own 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: IpAddr,
    bits: u8,
}

impl TrustedProxies {
    /// These addresses (`10.0.0.7`, `2001:db8::7`), ranges (`10.0.0.0/8`), or `unix`, the peers of a Unix socket. An
    /// invalid one matches nothing: [`check`](Self::check).
    pub fn new(addresses: impl IntoIterator<Item = impl AsRef<str>>, via: Via) -> Self {
        let mut trusted = Self { via, ranges: Vec::new(), is_unix: false, invalid: None };
        for address in addresses {
            match address.as_ref() {
                UNIX => trusted.is_unix = true,
                text => match Range::parse(text) {
                    Ok(range) => trusted.ranges.push(range),
                    Err(why) => trusted.remember(InvalidTrust::Address(text.to_owned(), why)),
                },
            }
        }
        if trusted.ranges.is_empty() && !trusted.is_unix {
            trusted.remember(InvalidTrust::Empty);
        }
        trusted
    }

    /// These and those. Both must be of one kind.
    #[must_use]
    pub(crate) fn and(mut self, other: Self) -> Self {
        if self.via != other.via {
            self.remember(InvalidTrust::Kinds(self.via, other.via));
        }
        if let Some(invalid) = other.invalid {
            self.remember(invalid);
        }
        self.ranges.extend(other.ranges);
        self.is_unix |= other.is_unix;
        self
    }

    fn remember(&mut self, invalid: InvalidTrust) {
        self.invalid.get_or_insert(invalid);
    }

    /// Checks that all parts are valid.
    ///
    /// # Errors
    /// [`InvalidTrust`]: the first invalid part.
    pub fn check(&self) -> Result<(), InvalidTrust> {
        self.invalid.clone().map_or(Ok(()), Err)
    }

    /// How the proxies say who the client is.
    pub fn via(&self) -> Via {
        self.via
    }

    /// Whether this is the address of a trusted proxy.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.ranges.iter().any(|range| range.contains(ip))
    }

    /// Whether a connection with this peer comes from a trusted proxy; `None` is a Unix socket.
    pub fn trusts(&self, peer: Option<SocketAddr>) -> bool {
        peer.map_or(self.is_unix, |peer| self.contains(peer.ip()))
    }

    /// Whether a connection over this transport comes from a trusted proxy.
    pub(crate) fn trusts_over(&self, transport: Transport) -> bool {
        match transport.peer {
            Some(peer) => self.contains(peer.ip()),
            // Without an address, a TCP peer may be anyone.
            None => transport.unix && self.is_unix,
        }
    }
}

impl Range {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let Ok(first) = address.parse::<IpAddr>() else { return Err(about(text)) };
        let Some(bits) = bits else {
            let first = first.to_canonical();
            return Ok(Self { first, bits: if first.is_ipv4() { 32 } else { 128 } });
        };
        if first.to_canonical() != first {
            return Err("write a range of IPv4 addresses as IPv4, such as 10.0.0.0/8");
        }
        let is_number = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.parse().ok().filter(|bits| is_number && *bits <= most);
        let bits =
            bits.ok_or("after the slash stands how many bits all addresses share, at most 32 or 128")?;
        let range = Self { first, bits };
        match range.masked(first) == first {
            true => Ok(range),
            false => {
                Err("it has bits beyond its prefix; write the first address of the range, as in 10.0.0.0/8")
            }
        }
    }

    fn contains(self, ip: IpAddr) -> bool {
        self.first.is_ipv4() == ip.is_ipv4() && self.masked(ip) == self.first
    }

    fn masked(self, ip: IpAddr) -> IpAddr {
        let bits = u32::from(self.bits);
        match ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits)).unwrap_or(0);
                Ipv4Addr::from_bits(ip.to_bits() & mask).into()
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0);
                Ipv6Addr::from_bits(ip.to_bits() & mask).into()
            }
        }
    }
}

fn about(text: &str) -> &'static str {
    match text {
        _ if text.eq_ignore_ascii_case(UNIX) => "the word for peers of a Unix socket is unix, in lower case",
        _ if text.contains(['[', ']']) => "write IPv6 addresses without brackets",
        _ if text.contains("://") => "give the address alone, without scheme and port",
        _ if text.parse::<SocketAddr>().is_ok() => "give the address without a port",
        _ if text.contains('*') => "it takes ranges such as 10.0.0.0/8, no patterns",
        _ if text.bytes().any(|b| b.is_ascii_alphabetic() && !b.is_ascii_hexdigit()) => {
            "names are not looked up; give the address, as in 10.0.0.7 or 10.0.0.0/8"
        }
        _ => "give it as in 10.0.0.7, 10.0.0.0/8 or 2001:db8::/32",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn of(address: &str) -> TrustedProxies {
        TrustedProxies::new([address], Via::Forwarded)
    }

    #[test]
    fn a_range_has_its_addresses_and_no_others() {
        for (range, within, without) in [
            ("10.0.0.7", "10.0.0.7 ::ffff:10.0.0.7", "10.0.0.6 10.0.0.8 ::a00:7"),
            ("10.0.0.0/8", "10.0.0.0 10.255.255.255", "9.255.255.255 11.0.0.0 ::1"),
            ("192.0.2.128/25", "192.0.2.128 192.0.2.255", "192.0.2.127 192.0.3.128"),
            ("192.0.2.1/32", "192.0.2.1", "192.0.2.0"),
            ("0.0.0.0/0", "0.0.0.0 255.255.255.255", "::1 2001:db8::1"),
            ("2001:db8::/32", "2001:db8:: 2001:db8:ffff::1", "2001:db9:: 10.0.0.1"),
            ("::1", "::1", "127.0.0.1 ::2"),
            ("::/0", "::1 2001:db8::1", "10.0.0.1"),
            ("::ffff:10.0.0.7", "10.0.0.7", "10.0.0.8"),
        ] {
            let trusted = of(range);
            assert_eq!(trusted.check(), Ok(()), "{range}");
            for (list, is_within) in [(within, true), (without, false)] {
                for ip in list.split(' ') {
                    assert_eq!(trusted.contains(ip.parse().unwrap()), is_within, "{ip} in {range}");
                }
            }
            assert!(!trusted.trusts(None), "a Unix socket");
        }
    }

    #[test]
    fn what_is_no_address_is_an_error_with_a_remedy_and_trusts_no_peer() {
        for (text, remedy) in [
            ("", "give it as in"),
            ("10.0.0.0/33", "after the slash"),
            ("::/129", "after the slash"),
            ("10.0.0.0/", "after the slash"),
            ("10.0.0.0/+8", "after the slash"),
            ("10.0.0.0/8/8", "after the slash"),
            ("10.0.0.1/8", "beyond its prefix"),
            ("2001:db8::1/32", "beyond its prefix"),
            ("::ffff:10.0.0.0/104", "as IPv4"),
            ("10.1", "give it as in"),
            ("10.0.0.*", "no patterns"),
            ("[::1]", "without brackets"),
            ("10.0.0.1:80", "without a port"),
            ("http://10.0.0.1", "without scheme"),
            ("proxy.internal", "names are not looked up"),
            ("Unix", "in lower case"),
            ("010.0.0.1", "give it as in"),
        ] {
            let trusted = of(text);
            let error = trusted.check().unwrap_err();
            assert!(matches!(&error, InvalidTrust::Address(invalid, _) if invalid == text), "{text}");
            assert!(error.to_string().contains(remedy), "{error}");
            assert!(!trusted.trusts(Some(([10, 0, 0, 1], 1).into())) && !trusted.trusts(None), "{text}");
        }
        let none = TrustedProxies::new([""; 0], Via::Forwarded);
        assert_eq!(none.check(), Err(InvalidTrust::Empty));
    }

    #[test]
    fn the_peers_of_a_unix_socket_are_trusted_by_their_word_alone() {
        let peer = Some(([10, 0, 0, 1], 1).into());
        let (unix, tcp) = (Transport::unix(), Transport::default());
        assert!(of("unix").trusts(None) && !of("unix").trusts(peer));
        assert!(of("unix").trusts_over(unix) && !of("unix").trusts_over(tcp));
        assert!(!of("0.0.0.0/0").trusts_over(unix) && !of("0.0.0.0/0").trusts_over(tcp));
        assert!(of("10.0.0.1").trusts_over(tcp.peer(peer)));
    }

    #[test]
    fn one_kind_of_header_is_believed() {
        let both = of("10.0.0.1").and(TrustedProxies::new(["unix"], Via::Forwarded));
        assert_eq!((both.check(), both.trusts(None)), (Ok(()), true));
        let mixed = of("10.0.0.1").and(TrustedProxies::new(["10.0.0.2"], Via::ProxyProtocol));
        assert_eq!(mixed.check(), Err(InvalidTrust::Kinds(Via::Forwarded, Via::ProxyProtocol)));
        assert!(mixed.check().unwrap_err().to_string().contains("choose"));
        assert!(of("10.0.0.1").and(of("x y")).check().is_err(), "the second has an error");
    }
}
