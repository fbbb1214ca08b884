//! Listeners: the system's, or a test's.

use crate::sys::socket::{NewSocket, Socket};
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::OwnedFd;
#[cfg(unix)]
use ws_host::listen::SocketFile;
use ws_host::listen::transport;
use ws_proto::Transport;

/// A listener, as an endpoint uses it. Dropping it closes it.
pub trait Listener: Send {
    /// Registers it with the poller under this token.
    ///
    /// # Errors
    /// When it cannot be watched.
    fn register(&mut self, token: Token) -> io::Result<()>;

    /// Accepts a connection.
    ///
    /// # Errors
    /// As the system's.
    fn accept(&mut self) -> io::Result<Accepted>;
}

/// An accepted connection, and its peer's address if it has one.
pub type Accepted = (Box<dyn Socket>, Option<SocketAddr>);

/// Listeners that are not registered yet.
pub(crate) enum NewListeners {
    System(Vec<ws_host::listen::Listener>),
    Other(Vec<Box<dyn Listener>>),
}

impl NewListeners {
    /// The transport of the connections that they accept.
    pub(crate) fn transport(&self) -> Transport {
        match self {
            Self::System(listeners) => transport(listeners),
            Self::Other(_) => transport(&[]),
        }
    }

    /// Registers each of them under its token.
    pub(crate) fn register(
        self,
        registry: &Registry,
        token: impl Fn(usize) -> Token,
    ) -> io::Result<Vec<Acceptor>> {
        match self {
            Self::System(listeners) => {
                let all = listeners.into_iter().enumerate();
                all.map(|(place, listener)| Acceptor::register(listener, registry, token(place))).collect()
            }
            Self::Other(listeners) => {
                let all = listeners.into_iter().enumerate();
                all.map(|(place, mut listener)| {
                    listener.register(token(place))?;
                    Ok(Acceptor::Other(listener))
                })
                .collect()
            }
        }
    }
}

/// A registered listener.
pub(crate) enum Acceptor {
    Tcp(TcpListener),
    /// If the socket file is ours, it is removed with the listener, and before it: as long as we listen, no other
    /// program can have a file with the same inode number at the path.
    #[cfg(unix)]
    Unix(#[expect(dead_code, reason = "dropped")] Option<SocketFile>, mio::net::UnixListener),
    Other(Box<dyn Listener>),
}

impl Acceptor {
    fn register(listener: ws_host::listen::Listener, registry: &Registry, token: Token) -> io::Result<Self> {
        use ws_host::listen::Listener;
        listener.set_nonblocking()?;
        match listener {
            Listener::Tcp(listener) => {
                let mut listener = TcpListener::from_std(listener);
                registry.register(&mut listener, token, Interest::READABLE)?;
                Ok(Self::Tcp(listener))
            }
            #[cfg(unix)]
            Listener::Unix { file, listener } => {
                let mut listener = mio::net::UnixListener::from_std(listener);
                registry.register(&mut listener, token, Interest::READABLE)?;
                Ok(Self::Unix(file, listener))
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// `None` for a Unix socket.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(..) => None,
            Self::Other(_) => None,
        }
    }

    /// A new socket, and its address if it has one.
    ///
    /// Reading, writing and shutting down need only a descriptor, whatever its family. So both kinds are stored as the
    /// same type, which makes a connection no larger and no slower. The system rejects operations of TCP (addresses,
    /// `TCP_NODELAY`) on a Unix socket.
    pub(crate) fn accept(&mut self) -> io::Result<(NewSocket, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                Ok((NewSocket::Tcp(stream), Some(peer)))
            }
            #[cfg(unix)]
            Self::Unix(_, listener) => {
                let (stream, _) = listener.accept()?;
                Ok((NewSocket::Tcp(mio::net::TcpStream::from(OwnedFd::from(stream))), None))
            }
            Self::Other(listener) => {
                let (socket, peer) = listener.accept()?;
                Ok((NewSocket::Other(socket), peer))
            }
        }
    }
}
