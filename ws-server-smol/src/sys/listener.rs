//! Listeners, polled through `async-io`.

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

/// A source of connections, in place of a listening socket.
pub trait Accept: Send {
    /// Returns the next connection. Nothing wakes the caller after [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    /// Any error of the kernel's `accept`.
    fn accept(&self) -> io::Result<Socket>;
}

/// An asynchronous listener.
pub(crate) enum AsyncListener {
    Tcp(Async<TcpListener>),
    /// If the socket file is ours, it is removed with the listener, and before it: as long as we listen, no other
    /// program can have a file with the same inode number at the path.
    #[cfg(unix)]
    Unix(#[expect(dead_code, reason = "dropped")] Option<SocketFile>, Async<UnixListener>),
    /// A fake, for tests.
    Other(Box<dyn Accept>),
}

impl AsyncListener {
    pub(crate) fn new(listener: Listener) -> io::Result<Self> {
        match listener {
            Listener::Tcp(listener) => Ok(Self::Tcp(Async::new(listener)?)),
            #[cfg(unix)]
            Listener::Unix { file, listener } => Ok(Self::Unix(file, Async::new(listener)?)),
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

    /// Returns the next connection, or wakes the task once there is one.
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
