//! Exclusive ports for tests.

use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// A port of this machine in both families: the IPv4 socket, and the IPv6 one. A socket that does not listen refuses
/// connections.
pub fn reserved() -> (Socket, Socket, u16) {
    let bound = |domain, address: SocketAddr| {
        let socket = Socket::new(domain, Type::STREAM, None).unwrap();
        socket.bind(&address.into()).ok().map(|()| socket)
    };
    let both = |_| {
        let v6 = bound(Domain::IPV6, (Ipv6Addr::LOCALHOST, 0).into())?;
        let port = port_of(&v6);
        Some((bound(Domain::IPV4, (Ipv4Addr::LOCALHOST, port).into())?, v6, port))
    };
    (0..100).find_map(both).unwrap()
}

/// A port for a restarting server, and its reservation in the meantime: a socket that is bound but does not
/// listen.
pub fn kept() -> (Option<Socket>, u16) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let port = port_of(&socket);
    // Other platforms do not let a second socket bind it.
    (cfg!(unix).then_some(socket), port)
}

fn port_of(socket: &Socket) -> u16 {
    socket.local_addr().unwrap().as_socket().unwrap().port()
}
