//! What a server listens on, watched by `async-io`.

use crate::sys::socket::Socket;
use async_io::Async;
use std::io;
use std::net::{SocketAddr, TcpListener};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::task::{Context, Poll};
use ws_host::listen::Listener;
#[cfg(unix)]
use ws_host::listen::SocketFile;

/// What connections come from, in place of a socket that listens.
pub trait Accept: Send {
    /// The next connection. Nothing wakes the caller after [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    /// What the kernel would say.
    fn accept(&self) -> io::Result<Socket>;
}

/// A listener on which connections are awaited.
pub(crate) enum AsyncListener {
    Tcp(Async<TcpListener>),
    /// The file goes with the listener, where it is ours. It goes first: as long as we listen, no other program can have
    /// a file of the same number at the path.
    #[cfg(unix)]
    Unix(#[expect(dead_code, reason = "dropped")] Option<SocketFile>, Async<UnixListener>),
    /// In place of a socket, for tests.
    Other(Box<dyn Accept>),
}

impl AsyncListener {
    pub(crate) fn new(listener: Listener) -> io::Result<Self> {
        match listener {
            Listener::Tcp(listener) => Ok(Self::Tcp(Async::new(listener)?)),
            #[cfg(unix)]
            Listener::Unix { listener, file } => Ok(Self::Unix(file, Async::new(listener)?)),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// `None` for a Unix socket.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.get_ref().local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(..) => None,
            Self::Other(_) => None,
        }
    }

    /// The next connection, if it is there; otherwise the waker is called once it is.
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
                Self::Other(_) => Poll::Pending,
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
            Self::Other(accept) => accept.accept(),
        }
    }
}
