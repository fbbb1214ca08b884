//! What a server listens on: a TCP or a Unix socket, opened here or handed in.

use crate::sys::socket::Socket;
use async_io::Async;
use socket2::{Domain, Protocol, SockRef, Type};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::task::{Context, Poll};
use ws_host::listen::{BACKLOG, Bind, ListenError};
use ws_proto::Transport;

#[cfg(unix)]
use ws_host::listen::SocketFile;

/// A listener that was opened elsewhere: by the system, by a parent process, or with options of one's own. See
/// [`Server::listen_on`](crate::Server::listen_on).
pub struct Listening(Std);

enum Std {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, Option<SocketFile>),
    #[cfg(test)]
    Fake(Accept),
}

/// What a fake listener answers.
#[cfg(test)]
pub(crate) type Accept = Box<dyn Fn() -> io::Result<Socket> + Send>;

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

impl From<TcpListener> for Listening {
    fn from(listener: TcpListener) -> Self {
        Self(Std::Tcp(listener))
    }
}

#[cfg(unix)]
impl From<UnixListener> for Listening {
    fn from(listener: UnixListener) -> Self {
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

fn open_one(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
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

/// A listener on which connections are awaited.
pub(crate) enum Listener {
    Tcp(Async<TcpListener>),
    /// The file goes with the listener, where it is ours. It goes first: as long as we listen, nobody else can have a
    /// file of the same number at the path.
    #[cfg(unix)]
    Unix(#[expect(dead_code, reason = "dropped")] Option<SocketFile>, Async<UnixListener>),
    #[cfg(test)]
    Fake(Accept),
}

impl Listener {
    pub(crate) fn new(listening: Listening) -> io::Result<Self> {
        Ok(match listening.0 {
            Std::Tcp(listener) => Self::Tcp(Async::new(listener)?),
            #[cfg(unix)]
            Std::Unix(listener, file) => Self::Unix(file, Async::new(listener)?),
            #[cfg(test)]
            Std::Fake(accept) => Self::Fake(accept),
        })
    }

    /// `None` for a Unix socket.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.get_ref().local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(..) => None,
            #[cfg(test)]
            Self::Fake(_) => None,
        }
    }

    /// The next connection, if it is there; otherwise whoever waits is woken once it is.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Socket>> {
        loop {
            match self.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
            let readable = match self {
                Self::Tcp(listener) => listener.poll_readable(cx),
                #[cfg(unix)]
                Self::Unix(_, listener) => listener.poll_readable(cx),
                #[cfg(test)]
                Self::Fake(_) => Poll::Pending,
            };
            match readable {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
        }
    }

    fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.get_ref().accept()?;
                Async::new(stream).map(Socket::from)
            }
            #[cfg(unix)]
            Self::Unix(_, listener) => {
                let (stream, _) = listener.get_ref().accept()?;
                Async::new(stream).map(Socket::from)
            }
            #[cfg(test)]
            Self::Fake(accept) => accept(),
        }
    }
}
