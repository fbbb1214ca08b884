//! This machine's address on the local network.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::net::UdpSocket;

/// The address at which the local network reaches a server bound to this one: for a server on every interface, the
/// address on this machine's default route. `None` if the network cannot reach it, or there is none.
///
/// It queries the system's route to an unassigned address (RFC 5737, RFC 3849): it sends no packet, looks up no
/// name, and does not wait.
pub(crate) fn lan_address(address: SocketAddr) -> Option<SocketAddr> {
    lan_address_with(address, own_ip)
}

/// This machine's address on its default route, for a server on every interface.
#[cfg(feature = "tls-self-signed")]
pub(crate) fn lan_ip() -> Option<IpAddr> {
    lan_address((Ipv6Addr::UNSPECIFIED, 0).into()).map(|address| address.ip())
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
            let address = lan_address_with(bound.parse().unwrap(), |_, to| {
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
