//! Which addresses a client tries, and in which order.

use crate::authority::Zone;
use crate::handshake::ClientRequest;
use alloc::collections::VecDeque;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use core::time::Duration;

/// When an address has not answered for so long, the next one is tried beside it (RFC 8305 §5).
pub const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

impl ClientRequest {
    /// The addresses to connect to where nothing need be looked up: for an address literal, and for `localhost`
    /// (RFC 6761 §6.3), which is this machine in both families. `None` for any other name, and for a link-local address
    /// whose zone is the name of a network interface; see [`addresses_with`](Self::addresses_with).
    pub fn addresses(&self) -> Option<VecDeque<SocketAddr>> {
        self.addresses_with(|_| Err(())).ok().flatten()
    }

    /// As [`addresses`](Self::addresses), with a function that tells the number of a network interface by its name, where
    /// a link-local address has such a zone. It is asked for each attempt anew: an interface that comes back has another
    /// number.
    ///
    /// # Errors
    /// That of the function.
    ///
    /// ```
    /// use ws_proto::ClientRequest;
    ///
    /// let request = ClientRequest::new("ws://[fe80::1%25eth0]:9000/")?;
    /// let addresses = request.addresses_with(|name| if name == "eth0" { Ok(2) } else { Err(()) });
    /// assert_eq!(addresses, Ok(Some(["[fe80::1%2]:9000".parse().unwrap()].into())));
    /// # Ok::<(), ws_proto::InvalidRequest>(())
    /// ```
    pub fn addresses_with<E>(
        &self,
        index: impl FnOnce(&str) -> Result<u32, E>,
    ) -> Result<Option<VecDeque<SocketAddr>>, E> {
        let at = |ip| SocketAddr::new(ip, self.port());
        if let Ok(ip) = self.host().parse() {
            let address = match (ip, self.zone()) {
                (IpAddr::V6(ip), Some(zone)) => {
                    let scope = match zone {
                        Zone::Index(index) => *index,
                        Zone::Name(name) => index(name)?,
                    };
                    SocketAddrV6::new(ip, self.port(), 0, scope).into()
                }
                _ => at(ip),
            };
            return Ok(Some([address].into()));
        }
        let both = [at(IpAddr::V4(Ipv4Addr::LOCALHOST)), at(IpAddr::V6(Ipv6Addr::LOCALHOST))];
        Ok(self.is_localhost().then(|| both.into()))
    }

    /// Whether the host is a name that only a resolver knows.
    pub fn needs_resolver(&self) -> bool {
        self.host().parse::<IpAddr>().is_err() && !self.is_localhost()
    }

    fn is_localhost(&self) -> bool {
        let name = self.host().trim_end_matches('.');
        let (_, last) = name.rsplit_once('.').unwrap_or(("", name));
        last.eq_ignore_ascii_case("localhost")
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
            ("ws://[fe80::1]:9/", "[fe80::1]:9"),
            ("ws://[fe80::1%253]:9/", "[fe80::1%3]:9"),
            ("ws://[fe80::1%3]:9/", "[fe80::1%3]:9"),
            ("wss://[febf::1%254294967295]/", "[febf::1%4294967295]:443"),
        ] {
            assert_eq!(addresses(url).as_deref(), Some(expected), "{url}");
            assert!(!ClientRequest::new(url).unwrap().needs_resolver(), "{url}");
        }
        for url in ["ws://example.test", "ws://localhost.example.test", "ws://notlocalhost"] {
            assert_eq!(addresses(url), None, "{url}");
            assert!(ClientRequest::new(url).unwrap().needs_resolver(), "{url}");
        }
    }

    #[test]
    fn a_zone_that_is_a_name_is_asked_for_each_time() {
        let request = ClientRequest::new("ws://[fe80::1%25eth0]:9").unwrap();
        assert!(request.addresses().is_none() && !request.needs_resolver());
        for index in [2, 3] {
            let addresses = request.addresses_with(|name| if name == "eth0" { Ok(index) } else { Err(()) });
            let expected: SocketAddr = format!("[fe80::1%{index}]:9").parse().unwrap();
            assert_eq!(addresses, Ok(Some([expected].into())));
        }
        assert_eq!(request.addresses_with(|_| Err("gone")), Err("gone"));
        let local = ClientRequest::new("ws://localhost:9").unwrap();
        assert!(local.addresses_with(|_| Err(())).is_ok_and(|addresses| addresses.is_some()));
    }

    #[test]
    fn families_take_turns() {
        let parse = |list: &str| list.split(' ').map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let given = parse("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1 2.2.2.2:1");
        assert_eq!(in_turn(given), parse("[::1]:1 1.1.1.1:1 [::2]:1 2.2.2.2:1 [::3]:1"));
        assert!(in_turn([]).is_empty());
    }
}
