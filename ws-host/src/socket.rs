//! Options of a connected socket. A failed option is ignored: the connection works all the same.
//!
//! Each function takes anything that [`SockRef`] can borrow: a stream of the standard library, of mio or of async-io. A
//! Unix socket rejects the options of TCP, which is ignored.

use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// The most unsent bytes that the kernel holds of one connection. The rest waits in the outbox, where a heartbeat can
/// overtake it, and a stalled peer is detected.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 64 << 10;

/// A silent peer is probed first after this time, then at this interval, this many times: one that vanished is
/// detected within 45 s.
const PROBE_AFTER: Duration = Duration::from_secs(25);
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
const PROBES: u32 = 4;

/// Whether a read or a write of fewer bytes than requested shows that the kernel has no more, so that no further call
/// is needed to see `WouldBlock`.
///
/// True for edge-triggered readiness, from epoll or kqueue. Elsewhere only `WouldBlock` rearms readiness.
pub const SHORT_TRANSFER_IS_LAST: bool = cfg!(any(
    target_vendor = "apple",
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "illumos",
    target_os = "linux",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "redox",
));

/// Prepares a connected TCP socket, accepted or dialled: small messages are sent at once (`TCP_NODELAY`), and on Linux
/// and Android the kernel holds at most 64 KiB of unsent output (`TCP_NOTSENT_LOWAT`).
pub fn prepare<'s>(socket: impl Into<SockRef<'s>>) {
    let socket = socket.into();
    let _ = socket.set_tcp_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_notsent_lowat(UNSENT);
}

/// Lets the kernel detect a peer that vanished, within 45 s, without a heartbeat: an HTTP response may be long and
/// silent. It lasts until the connection ends.
pub fn probe<'s>(socket: impl Into<SockRef<'s>>) {
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER);
    // Elsewhere the system decides.
    #[cfg(any(
        target_vendor = "apple",
        target_os = "android",
        target_os = "freebsd",
        target_os = "linux",
        target_os = "netbsd",
        target_os = "windows",
    ))]
    let probes = probes.with_interval(PROBE_INTERVAL).with_retries(PROBES);
    let _ = socket.into().set_tcp_keepalive(&probes);
}

/// Makes dropping the last handle send a reset: the peer must not mistake truncated output for
/// the whole (RFC 9112 §8).
pub fn reset_on_close<'s>(socket: impl Into<SockRef<'s>>) {
    let _ = socket.into().set_linger(Some(Duration::ZERO));
}

/// The address in its usual form: a dual-stack socket reports an IPv4 peer as `::ffff:a.b.c.d`.
pub fn canonical(mut address: SocketAddr) -> SocketAddr {
    address.set_ip(address.ip().to_canonical());
    address
}

/// Checks that a TCP socket which its poller reports as connected really is, and not to itself, given its
/// `local_addr()` and `peer_addr()`.
///
/// # Errors
/// The peer's error, such as [`NotConnected`](io::ErrorKind::NotConnected);
/// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) for a socket connected to itself, which happens without a
/// listener on a port that the system also assigns to outgoing connections.
pub fn check_connected(local: io::Result<SocketAddr>, peer: io::Result<SocketAddr>) -> io::Result<()> {
    let peer = peer?;
    match local {
        Ok(local) if local == peer => Err(io::ErrorKind::ConnectionRefused.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read};
    use std::net::{TcpListener, TcpStream};

    /// Two ends of a connection.
    fn ends() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn prepare_and_probe_set_their_options() {
        let (ours, _theirs) = ends();
        prepare(&ours);
        let socket = SockRef::from(&ours);
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT);
        assert!(!socket.keepalive().unwrap());
        probe(&ours);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), PROBE_AFTER);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), PROBE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), PROBES);
    }

    #[test]
    fn reset_on_close_sends_a_reset() {
        let (ours, mut theirs) = ends();
        reset_on_close(&ours);
        drop(ours);
        assert_eq!(theirs.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }

    #[cfg(unix)]
    #[test]
    fn a_unix_socket_ignores_the_options_of_tcp() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        prepare(&ours);
        probe(&ours);
        reset_on_close(&ours);
        drop(ours);
        assert_eq!((&theirs).read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn an_ipv4_peer_of_a_dual_stack_socket_has_an_ipv4_address() {
        for (address, expected) in [
            ("[::ffff:192.0.2.1]:9", "192.0.2.1:9"),
            ("192.0.2.1:9", "192.0.2.1:9"),
            ("[2001:db8::1]:9", "[2001:db8::1]:9"),
        ] {
            assert_eq!(canonical(address.parse().unwrap()).to_string(), expected);
        }
    }

    #[test]
    fn a_self_connection_is_rejected() {
        let at = |port| Ok(SocketAddr::from(([127, 0, 0, 1], port)));
        assert!(check_connected(at(1), at(2)).is_ok());
        assert_eq!(check_connected(at(1), at(1)).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let not_yet = || Err(ErrorKind::NotConnected.into());
        assert_eq!(check_connected(at(1), not_yet()).unwrap_err().kind(), ErrorKind::NotConnected);
        assert!(check_connected(not_yet(), at(1)).is_ok());
    }
}
