//! The addresses that a client tries, in order.

use super::ConnectError;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::collections::VecDeque;
use ws_proto::ClientRequest;
use ws_proto::handshake::Zone;

/// The addresses to connect to where no lookup is needed: for an address literal, and for `localhost` (RFC 6761 §6.3),
/// which is this machine in both families. `None` for any other name.
///
/// The zone of a link-local address may be the name of a network interface, whose number the kernel knows without
/// waiting. Call this again for each attempt: an interface that reappears has another number.
///
/// # Errors
/// [`ConnectError::Zone`].
pub fn addresses(request: &ClientRequest) -> Result<Option<VecDeque<SocketAddr>>, ConnectError> {
    addresses_with(request, super::zones::index)
}

/// As [`addresses`], with a function that maps the name of a network interface to its number.
///
/// # Errors
/// The error of the function.
///
/// ```
/// use ws_host::client::addresses_with;
/// use ws_proto::ClientRequest;
///
/// let request = ClientRequest::new("ws://[fe80::1%25eth0]:9000/")?;
/// let addresses = addresses_with(&request, |name| if name == "eth0" { Ok(2) } else { Err(()) });
/// assert_eq!(addresses, Ok(Some(["[fe80::1%2]:9000".parse().unwrap()].into())));
/// # Ok::<(), ws_proto::InvalidRequest>(())
/// ```
pub fn addresses_with<E>(
    request: &ClientRequest,
    index: impl FnOnce(&str) -> Result<u32, E>,
) -> Result<Option<VecDeque<SocketAddr>>, E> {
    let at = |ip| SocketAddr::new(ip, request.port());
    if let Ok(ip) = request.host().parse() {
        let address = match (ip, request.zone()) {
            (IpAddr::V6(ip), Some(zone)) => {
                let scope = match zone {
                    Zone::Index(index) => *index,
                    Zone::Name(name) => index(name)?,
                };
                SocketAddrV6::new(ip, request.port(), 0, scope).into()
            }
            _ => at(ip),
        };
        return Ok(Some([address].into()));
    }
    let both = [at(IpAddr::V4(Ipv4Addr::LOCALHOST)), at(IpAddr::V6(Ipv6Addr::LOCALHOST))];
    Ok(is_localhost(request).then(|| both.into()))
}

/// Whether the host is a name that needs a lookup.
pub fn needs_resolver(request: &ClientRequest) -> bool {
    request.host().parse::<IpAddr>().is_err() && !is_localhost(request)
}

fn is_localhost(request: &ClientRequest) -> bool {
    let name = request.host().trim_end_matches('.');
    let (_, last) = name.rsplit_once('.').unwrap_or(("", name));
    last.eq_ignore_ascii_case("localhost")
}

/// The addresses of a name, each with this port in place of its own, in the order in which to try them: as the resolver
/// returned them, but alternating between the two families, so that a broken one costs little (RFC 8305 §4).
pub fn interleaved(addresses: impl IntoIterator<Item = SocketAddr>, port: u16) -> VecDeque<SocketAddr> {
    let at_port = |mut address: SocketAddr| {
        address.set_port(port);
        address
    };
    let mut addresses = addresses.into_iter().map(at_port).peekable();
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
            let addresses = addresses_with(&ClientRequest::new(url).unwrap(), |_| Err(())).ok()??;
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
            assert!(!needs_resolver(&ClientRequest::new(url).unwrap()), "{url}");
        }
        for url in ["ws://example.test", "ws://localhost.example.test", "ws://notlocalhost"] {
            assert_eq!(addresses(url), None, "{url}");
            assert!(needs_resolver(&ClientRequest::new(url).unwrap()), "{url}");
        }
    }

    #[test]
    fn a_zone_name_is_looked_up_each_time() {
        let request = ClientRequest::new("ws://[fe80::1%25eth0]:9").unwrap();
        assert!(addresses_with(&request, |_| Err(())).is_err() && !needs_resolver(&request));
        for index in [2, 3] {
            let addresses = addresses_with(&request, |name| if name == "eth0" { Ok(index) } else { Err(()) });
            let expected: SocketAddr = format!("[fe80::1%{index}]:9").parse().unwrap();
            assert_eq!(addresses, Ok(Some([expected].into())));
        }
        assert_eq!(addresses_with(&request, |_| Err("gone")), Err("gone"));
        let local = ClientRequest::new("ws://localhost:9").unwrap();
        assert!(addresses_with(&local, |_| Err(())).is_ok_and(|addresses| addresses.is_some()));
    }

    #[test]
    fn families_alternate() {
        let parse = |list: &str| list.split(' ').map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let given = parse("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1 2.2.2.2:1");
        assert_eq!(interleaved(given, 9), parse("[::1]:9 1.1.1.1:9 [::2]:9 2.2.2.2:9 [::3]:9"));
        assert!(interleaved([], 9).is_empty());
    }
}
