//! What the kernel is asked to do with a TCP socket. Where it cannot, the connection works all the same.

use crate::sys::socket::{Stream, options_of};
use socket2::TcpKeepalive;
use std::time::Duration;

/// How many bytes the kernel holds that it has not sent yet, at most: what waits beyond is ours, where a heartbeat can
/// overtake it and where it is seen whether the peer makes progress.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 64 << 10;

/// When a peer is asked whether it is still there that has said nothing, how often after that, and how many times it
/// may be silent. It is found within 45 s.
const PROBE_AFTER: Duration = Duration::from_secs(25);
const PROBE_AGAIN: Duration = Duration::from_secs(5);
const PROBES: u32 = 4;

/// For every connected TCP socket.
pub(crate) fn prepare(stream: &Stream) {
    // Small messages go out at once.
    let Some(socket) = options_of(stream) else { return };
    let _ = socket.set_tcp_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_notsent_lowat(UNSENT);
}

/// Has the kernel find a peer that vanished, where nothing of ours would: an answer goes on for as long as it likes and
/// may be silent meanwhile. It stays so until the connection ends.
pub(crate) fn probe(stream: &Stream) {
    let Some(socket) = options_of(stream) else { return };
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER);
    // Elsewhere these are the system's.
    #[cfg(any(
        target_vendor = "apple",
        target_os = "android",
        target_os = "freebsd",
        target_os = "linux",
        target_os = "netbsd",
        target_os = "windows",
    ))]
    let probes = probes.with_interval(PROBE_AGAIN).with_retries(PROBES);
    let _ = socket.set_tcp_keepalive(&probes);
}

/// Has the socket end with a reset when it is dropped: the peer is to see that it did not get everything.
pub(crate) fn reset_when_dropped(stream: &Stream) {
    let Some(socket) = options_of(stream) else { return };
    let _ = socket.set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic is how a test fails

    use super::*;
    use mio::net::TcpStream;
    use std::io::{ErrorKind, Read};
    use std::net::TcpListener;

    /// Two ends of a connection.
    fn ends() -> (Stream, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Stream::from(TcpStream::from_std(ours)), listener.accept().unwrap().0)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_socket_has_what_it_was_asked_to_have() {
        let (ours, _theirs) = ends();
        prepare(&ours);
        let socket = options_of(&ours).unwrap();
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT);
        assert!(!socket.keepalive().unwrap());
        probe(&ours);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), PROBE_AFTER);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), PROBE_AGAIN);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), PROBES);
    }

    #[test]
    fn what_is_to_be_reset_is_reset() {
        let (ours, mut theirs) = ends();
        reset_when_dropped(&ours);
        drop(ours);
        assert_eq!(theirs.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}
