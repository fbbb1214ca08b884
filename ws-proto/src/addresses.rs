//! Which addresses a client tries, and in which order.

use crate::handshake::ClientRequest;
use alloc::collections::VecDeque;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

/// When an address has not answered for so long, the next one is tried beside it (RFC 8305 §5).
pub const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

impl ClientRequest {
    /// The addresses to connect to where no name need be looked up: for an address literal, and for `localhost`
    /// (RFC 6761 §6.3), which is this machine in both families. `None` for any other name.
    pub fn addresses(&self) -> Option<VecDeque<SocketAddr>> {
        let at = |ip| SocketAddr::new(ip, self.port());
        if let Ok(ip) = self.host().parse() {
            return Some([at(ip)].into());
        }
        let name = self.host().trim_end_matches('.');
        let (_, last) = name.rsplit_once('.').unwrap_or(("", name));
        last.eq_ignore_ascii_case("localhost")
            .then(|| [at(IpAddr::V4(Ipv4Addr::LOCALHOST)), at(IpAddr::V6(Ipv6Addr::LOCALHOST))].into())
    }
}

/// Puts the addresses of a name in the order in which to try them: as the resolver gave them, but with the two
/// families in turn, so that one which is broken costs little (RFC 8305 §4).
pub fn in_turn(addresses: impl IntoIterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let mut addresses = addresses.into_iter().peekable();
    let first_is_v6 = addresses.peek().is_some_and(SocketAddr::is_ipv6);
    let (first, other): (Vec<_>, Vec<_>) = addresses.partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut other) = (first.into_iter(), other.into_iter());
    let mut order = VecDeque::with_capacity(first.len() + other.len());
    while first.len() + other.len() > 0 {
        order.extend(first.next().into_iter().chain(other.next()));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_localhost_need_no_resolver() {
        let addresses = |url| {
            let addresses = ClientRequest::new(url).unwrap().addresses()?;
            Some(addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" "))
        };
        for (url, expected) in [
            ("ws://192.0.2.1:9", "192.0.2.1:9"),
            ("ws://[2001:db8::1]/", "[2001:db8::1]:80"),
            ("wss://127.0.0.1", "127.0.0.1:443"),
            ("ws://localhost:9", "127.0.0.1:9 [::1]:9"),
            ("ws://LOCALHOST.:9", "127.0.0.1:9 [::1]:9"),
            ("ws://app.localhost:9", "127.0.0.1:9 [::1]:9"),
        ] {
            assert_eq!(addresses(url).as_deref(), Some(expected), "{url}");
        }
        for url in ["ws://example.test", "ws://localhost.example.test", "ws://notlocalhost"] {
            assert_eq!(addresses(url), None, "{url}");
        }
    }

    #[test]
    fn families_take_turns() {
        let parse = |list: &str| list.split(' ').map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let given = parse("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1 2.2.2.2:1");
        assert_eq!(in_turn(given), parse("[::1]:1 1.1.1.1:1 [::2]:1 2.2.2.2:1 [::3]:1"));
        assert!(in_turn([]).is_empty());
    }
}
