//! Opening listeners, or adopting open ones.

use super::bind::BACKLOG;
use super::{Bind, ListenError};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use ws_proto::{ListenAddress, Transport};

#[cfg(unix)]
use super::{SocketFile, socket_file};
#[cfg(unix)]
use std::os::unix::net::UnixListener;

/// A listening socket: [opened](open) here, or passed in by the system, by a parent process, or by an owner that set
/// its own options.
///
/// An adapter destructures it to register the socket with its poller.
#[derive(Debug)]
#[non_exhaustive]
pub enum Listener {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A Unix socket.
    #[cfg(unix)]
    Unix {
        /// The socket's file, if we created it. It is declared, and so dropped, before the socket: it removes the file
        /// while no other program can have created one with the same inode number at the path.
        file: Option<SocketFile>,
        /// The socket.
        listener: UnixListener,
    },
}

impl Listener {
    /// The address that it is bound to; `None` for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix { .. } => None,
        }
    }

    /// Makes accepting return `WouldBlock` rather than wait. Listeners from [`open`] already do.
    ///
    /// # Errors
    /// The system's error.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => listener.set_nonblocking(true),
            #[cfg(unix)]
            Self::Unix { listener, .. } => listener.set_nonblocking(true),
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

/// The socket's file remains its owner's.
#[cfg(unix)]
impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix { file: None, listener }
    }
}

/// Opens the listeners of a server: one socket, or two on the same port if `localhost` has two families. They do not
/// block.
///
/// # Errors
/// [`ListenError`] names what was tried. Nothing is left open.
pub fn open(bind: &Bind) -> Result<Vec<Listener>, ListenError> {
    #[cfg(unix)]
    if let Some(path) = bind.unix_path() {
        let (listener, file) =
            socket_file::open(path).map_err(|error| ListenError::Unix { path: path.into(), error })?;
        return Ok(vec![Listener::Unix { file: Some(file), listener }]);
    }
    let listeners = bind.open_with(|address, only_v6| {
        let listener = open_tcp(address, only_v6)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    })?;
    Ok(listeners.into_iter().map(Listener::from).collect())
}

fn open_tcp(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // On Unix this lets a restarted program listen while old connections linger in TIME_WAIT. On Windows it would let
    // another program take over the port, and a restart works without it.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The transport of the connections that these listeners accept, which decides what counts as this machine's `Host` and
/// `Origin`.
pub fn transport(listeners: &[Listener]) -> Transport {
    #[cfg(unix)]
    if let [Listener::Unix { .. }] = listeners {
        return Transport::unix();
    }
    Transport::tcp(listeners.iter().filter_map(|listener| match listener {
        Listener::Tcp(listener) => {
            // If the query fails, one family is the safer answer.
            let only_v6 = SockRef::from(listener).only_v6().unwrap_or(true);
            let address = listener.local_addr().ok()?;
            Some(if only_v6 { ListenAddress::new(address) } else { ListenAddress::dual_stack(address) })
        }
        #[cfg(unix)]
        Listener::Unix { .. } => None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    /// Whether accepting blocks without a peer.
    fn blocks(listener: &Listener) -> bool {
        let accepted = match listener {
            Listener::Tcp(listener) => listener.accept().map(drop),
            #[cfg(unix)]
            Listener::Unix { listener, .. } => listener.accept().map(drop),
        };
        accepted.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
    }

    #[test]
    fn localhost_listens_on_one_port_in_both_families() {
        let listeners = open(&Bind::localhost()).unwrap();
        let addresses: Vec<_> = listeners.iter().filter_map(Listener::local_addr).collect();
        assert_eq!(addresses.len(), listeners.len());
        assert!(addresses[0].is_ipv4() && addresses[0].port() != 0);
        for address in &addresses {
            assert_eq!(address.port(), addresses[0].port());
            assert!(address.ip().is_loopback());
            TcpStream::connect(address).unwrap();
        }
        assert_eq!(transport(&listeners), Transport::tcp(addresses.into_iter().map(ListenAddress::new)));
    }

    #[test]
    fn opened_listeners_do_not_block_and_no_port_is_opened_twice() {
        let listeners = open(&Bind::from(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        assert!(!listeners.iter().any(blocks));
        let taken = listeners[0].local_addr().unwrap();
        match open(&Bind::from(taken)) {
            Err(ListenError::InUse { tried }) => assert_eq!(tried, [taken]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_adopted_listener_can_be_made_nonblocking() {
        let listener = Listener::from(TcpListener::bind("127.0.0.1:0").unwrap());
        listener.set_nonblocking().unwrap();
        assert!(!blocks(&listener));
    }

    /// While the socket is open, no other program has its inode number.
    #[cfg(unix)]
    #[test]
    fn the_file_of_a_unix_socket_is_dropped_before_the_socket() {
        let path = std::env::temp_dir().join(format!("ws-host-dropped-{}.sock", std::process::id()));
        let listeners = open(&Bind::unix(&path)).unwrap();
        // Fields are dropped in the order of their declaration, in which they are shown.
        let shown = format!("{listeners:?}");
        assert!(shown.find("file: ").unwrap() < shown.find("listener: ").unwrap(), "{shown}");
    }

    #[cfg(unix)]
    #[test]
    fn a_unix_socket_removes_its_file() {
        let path = std::env::temp_dir().join(format!("ws-host-listener-{}.sock", std::process::id()));
        let listeners = open(&Bind::unix(&path)).unwrap();
        assert_eq!(transport(&listeners), Transport::unix());
        assert!(path.exists() && listeners[0].local_addr().is_none() && !blocks(&listeners[0]));
        assert!(matches!(open(&Bind::unix(&path)), Err(ListenError::Unix { .. })), "it has a listener");
        drop(listeners);
        assert!(!path.exists());
    }
}
