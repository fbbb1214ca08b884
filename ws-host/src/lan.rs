//! This machine's addresses on the local network.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::net::UdpSocket;

/// How many addresses one machine has at most: containers and virtual machines bring networks of their own.
#[cfg(feature = "tls-self-signed")]
const MOST: usize = 32;

/// The address at which the local network reaches a server bound to this one: for a server on every interface, the
/// address on this machine's default route, or without one, the first private address of its interfaces. `None` if the
/// network cannot reach it, or there is none.
///
/// It queries the system's route to an unassigned address (RFC 5737, RFC 3849): it sends no packet, looks up no
/// name, and does not wait.
pub(crate) fn lan_address(address: SocketAddr) -> Option<SocketAddr> {
    lan_address_with(address, own_ip, interfaces)
}

/// The private addresses of this machine, the one on its default route first.
#[cfg(feature = "tls-self-signed")]
pub(crate) fn private_ips() -> Vec<IpAddr> {
    let on_route = lan_address((Ipv6Addr::UNSPECIFIED, 0).into()).map(|address| address.ip().to_canonical());
    private_ips_of(on_route, interfaces())
}

#[cfg(feature = "tls-self-signed")]
fn private_ips_of(on_route: Option<IpAddr>, interfaces: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut ips = Vec::new();
    for ip in on_route.into_iter().chain(in_order(interfaces)).filter(|ip| rank(*ip).is_some()) {
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    ips.truncate(MOST);
    ips
}

/// Those addresses by which the networks of this machine reach it, the likeliest first.
fn in_order(mut ips: Vec<IpAddr>) -> impl Iterator<Item = IpAddr> {
    ips.sort_by_key(|ip| (rank(*ip), *ip));
    ips.into_iter().filter(|ip| rank(*ip).is_some())
}

/// The place of a private address among others: of RFC 1918, RFC 4193, RFC 6598 and RFC 3927. A link-local one of IPv6
/// has none, since a URL cannot say on which link.
fn rank(ip: IpAddr) -> Option<u8> {
    match ip {
        IpAddr::V4(v4) if v4.is_private() => Some(0),
        IpAddr::V6(v6) if v6.is_unique_local() => Some(1),
        IpAddr::V4(v4) if v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64 => Some(2),
        IpAddr::V4(v4) if v4.is_link_local() => Some(3),
        _ => None,
    }
}

/// The addresses of all interfaces.
fn interfaces() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().map(if_addrs::Interface::ip).collect()
}

/// This machine's address on the route to another, for a socket bound to `from`: where a server on every interface
/// can be reached.
///
/// A "connected" UDP socket only queries the routing table, and sends nothing.
fn own_ip(from: IpAddr, to: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((from, 0)).ok()?;
    socket.connect((to, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn lan_address_with(
    mut address: SocketAddr,
    route: impl Fn(IpAddr, IpAddr) -> Option<IpAddr>,
    interfaces: impl FnOnce() -> Vec<IpAddr>,
) -> Option<SocketAddr> {
    if address.ip().is_unspecified() {
        let v4 = (Ipv4Addr::UNSPECIFIED.into(), IpAddr::from([192, 0, 2, 1]));
        let v6 = (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
        let ways = [Some(v4), address.is_ipv6().then_some(v6)];
        let own = ways
            .into_iter()
            .flatten()
            .find_map(|(from, to)| route(from, to).filter(|ip| !ip.is_unspecified() && !ip.is_loopback()));
        let is_family = |ip: &IpAddr| ip.is_ipv4() || address.is_ipv6();
        address.set_ip(own.or_else(|| in_order(interfaces()).find(is_family))?);
    }
    (!address.ip().to_canonical().is_loopback()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_ip_is_an_address_of_this_machine() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(own_ip(Ipv4Addr::UNSPECIFIED.into(), loopback), Some(loopback));
        assert_eq!(own_ip(loopback, Ipv6Addr::LOCALHOST.into()), None, "the families differ");
    }

    #[test]
    fn a_server_on_every_interface_has_the_address_of_the_route() {
        let lan = |bound: &str, own: &str| {
            let route = |_, to: IpAddr| {
                let own: IpAddr = own.parse().unwrap();
                (own.is_ipv6() == to.is_ipv6()).then_some(own)
            };
            let address = lan_address_with(bound.parse().unwrap(), route, Vec::new);
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

    fn ips(list: &str) -> Vec<IpAddr> {
        list.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn without_a_default_route_a_private_address_of_an_interface_is_used() {
        let lan = |bound: &str, interfaces: &str| {
            let address = lan_address_with(bound.parse().unwrap(), |_, _| None, || ips(interfaces));
            address.map(|address| address.to_string())
        };
        let all = "127.0.0.1 ::1 fe80::1 8.8.8.8 169.254.3.4 100.64.3.4 fd00::7 192.168.7.2";
        for (bound, interfaces, expected) in [
            ("0.0.0.0:1", all, Some("192.168.7.2:1")),
            ("[::]:1", all, Some("192.168.7.2:1")),
            ("[::]:1", "fd00::7 100.64.3.4", Some("[fd00::7]:1")),
            ("0.0.0.0:1", "fd00::7 100.64.3.4", Some("100.64.3.4:1")),
            ("[::]:1", "169.254.3.4 fe80::1", Some("169.254.3.4:1")),
            ("[::]:1", "127.0.0.1 ::1 fe80::1 8.8.8.8 2001:db8::7", None),
        ] {
            assert_eq!(lan(bound, interfaces).as_deref(), expected, "{bound}, {interfaces}");
        }
    }

    #[test]
    fn this_machine_has_its_loopback_interface() {
        assert!(interfaces().contains(&IpAddr::from([127, 0, 0, 1])));
    }

    #[cfg(feature = "tls-self-signed")]
    #[test]
    fn all_private_addresses_are_named_once_and_that_of_the_route_first() {
        let interfaces =
            ips("192.168.7.2 10.8.0.3 127.0.0.1 fe80::1 fd00::7 8.8.8.8 100.127.255.255 169.254.1.1");
        let of = |on_route: Option<&str>| {
            private_ips_of(on_route.map(|ip| ip.parse().unwrap()), interfaces.clone())
        };
        let all = "10.8.0.3 192.168.7.2 fd00::7 100.127.255.255 169.254.1.1";
        assert_eq!(of(None), ips(all));
        assert_eq!(of(Some("192.0.2.2")), ips(all));
        assert_eq!(of(Some("192.168.7.2")), ips("192.168.7.2 10.8.0.3 fd00::7 100.127.255.255 169.254.1.1"));
        let many: Vec<_> = (0..100).map(|last| IpAddr::from([10, 0, 0, last])).collect();
        assert_eq!(private_ips_of(None, many).len(), MOST);
        assert_eq!((rank([100, 63, 255, 255].into()), rank([100, 128, 0, 0].into())), (None, None));
    }
}
