//! What a server listens on: a TCP or a Unix socket, opened here or handed in.

use crate::sys::socket::Stream;
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::fmt;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::OwnedFd;
#[cfg(unix)]
use ws_host::listen::SocketFile;
use ws_host::listen::{BACKLOG, Bind, ListenError};
use ws_proto::Transport;

/// A listener that was opened elsewhere: by the system, by a parent process, or with options of one's own. See
/// [`Connections::listen_on`](crate::Connections::listen_on).
pub struct Listening(Std);

enum Std {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener, Option<SocketFile>),
    #[cfg(test)]
    Fake(Accept),
}

/// What a fake listener answers.
#[cfg(test)]
pub(crate) type Accept = Box<dyn Fn() -> io::Result<(Stream, Option<SocketAddr>)> + Send>;

#[cfg(test)]
impl From<Accept> for Listening {
    fn from(accept: Accept) -> Self {
        Self(Std::Fake(accept))
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").finish_non_exhaustive()
    }
}

impl From<std::net::TcpListener> for Listening {
    fn from(listener: std::net::TcpListener) -> Self {
        Self(Std::Tcp(listener))
    }
}

#[cfg(unix)]
impl From<std::os::unix::net::UnixListener> for Listening {
    fn from(listener: std::os::unix::net::UnixListener) -> Self {
        Self(Std::Unix(listener, None))
    }
}

/// Opens the listeners: one or two.
pub(crate) fn open(bind: &Bind) -> Result<Vec<Listening>, ListenError> {
    #[cfg(unix)]
    if let Some(path) = bind.unix_path() {
        let (listener, file) = ws_host::listen::open_unix(path)
            .map_err(|error| ListenError::Unix { path: path.into(), error })?;
        return Ok(vec![Listening(Std::Unix(listener, Some(file)))]);
    }
    let listeners = bind.open_with(|address, only_v6| {
        let listener = open_one(address, only_v6)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    })?;
    Ok(listeners.into_iter().map(Listening::from).collect())
}

/// What the connections of a server with these listeners stand on.
pub(crate) fn transport(listeners: &[Listening]) -> Transport {
    #[cfg(unix)]
    if let [Listening(Std::Unix(..))] = listeners {
        return Transport::unix();
    }
    Transport::tcp(listeners.iter().filter_map(|listener| match &listener.0 {
        Std::Tcp(listener) => {
            // Where the system does not say, one family is the safer answer.
            let only_v6 = SockRef::from(listener).only_v6().unwrap_or(true);
            Some((listener.local_addr().ok()?, only_v6))
        }
        #[cfg(unix)]
        Std::Unix(..) => None,
        #[cfg(test)]
        Std::Fake(_) => None,
    }))
}

fn open_one(address: SocketAddr, only_v6: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // On unix this lets a restarted program listen while old connections linger in TIME_WAIT. On Windows it
    // would let another program take the port over, and a restart needs no permission.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A registered listener.
pub(crate) enum Acceptor {
    Tcp(TcpListener),
    /// The file goes with the listener, where it is ours. It goes first: as long as we listen, nobody else can have a
    /// file of the same number at the path.
    #[cfg(unix)]
    Unix(#[expect(dead_code, reason = "dropped")] Option<SocketFile>, mio::net::UnixListener),
    #[cfg(test)]
    Fake(Accept),
}

impl Acceptor {
    pub(crate) fn register(listening: Listening, registry: &Registry, token: Token) -> io::Result<Self> {
        match listening.0 {
            Std::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                let mut listener = TcpListener::from_std(listener);
                registry.register(&mut listener, token, Interest::READABLE)?;
                Ok(Self::Tcp(listener))
            }
            #[cfg(unix)]
            Std::Unix(listener, file) => {
                listener.set_nonblocking(true)?;
                let mut listener = mio::net::UnixListener::from_std(listener);
                registry.register(&mut listener, token, Interest::READABLE)?;
                Ok(Self::Unix(file, listener))
            }
            #[cfg(test)]
            Std::Fake(accept) => Ok(Self::Fake(accept)),
        }
    }

    /// `None` for a Unix socket.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(..) => None,
            #[cfg(test)]
            Self::Fake(_) => None,
        }
    }

    /// A new socket, and its address where it has one.
    ///
    /// To read, write and shut down, a stream is a descriptor, whatever its family: both kinds are kept as the
    /// same type, so that a connection is no larger and no slower for it. What only TCP has (addresses,
    /// `TCP_NODELAY`) the system refuses for the other kind.
    pub(crate) fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        let (stream, peer) = match self {
            Self::Tcp(listener) => listener.accept().map(|(stream, peer)| (stream, Some(peer)))?,
            #[cfg(unix)]
            Self::Unix(_, listener) => {
                let (stream, _) = listener.accept()?;
                (mio::net::TcpStream::from(OwnedFd::from(stream)), None)
            }
            #[cfg(test)]
            Self::Fake(accept) => return accept(),
        };
        Ok((Stream::from(stream), peer))
    }
}
