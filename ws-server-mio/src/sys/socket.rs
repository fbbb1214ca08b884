//! Sockets: the system's, or a test's.

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::sync::Arc;
use ws_host::layer::ConnectStep;
use ws_host::socket::{SHORT_TRANSFER_IS_LAST, prepare, probe, reset_on_close};
use ws_proto::{Config, TlsInfo};

/// A socket, as an endpoint uses it. Dropping it closes it.
pub trait Socket: Send {
    /// Registers it with the poller under this token.
    ///
    /// # Errors
    /// When it cannot be watched.
    fn register(&mut self, token: Token) -> io::Result<()>;

    /// As [`Read::read`].
    ///
    /// # Errors
    /// As the system's.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// As [`Write::write_vectored`].
    ///
    /// # Errors
    /// As the system's.
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Whether it may hold a copy of what it did not take: pass that to the next write again, first and unchanged.
    fn holds_output(&self) -> bool {
        false
    }

    /// Writes what it holds, if it has a buffer of its own.
    ///
    /// # Errors
    /// As the system's; [`WouldBlock`](io::ErrorKind::WouldBlock) while something is left.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    /// Shuts down the sending half.
    ///
    /// # Errors
    /// As the system's.
    fn shutdown(&self) -> io::Result<()>;

    /// Makes closing it send a reset.
    fn reset_on_close(&self) {}

    /// Whether a TLS handshake is not finished, or the tunnel through a proxy not open.
    fn is_handshaking(&self) -> bool {
        false
    }

    /// What a connection attempt over it waits for.
    fn step(&self) -> ConnectStep {
        ConnectStep::Handshake
    }

    /// How many times it has answered its peer within the TLS handshake.
    fn flights(&self) -> u32 {
        0
    }

    /// The configuration that redirects its peer, which speaks without TLS.
    fn redirect(&self) -> Option<Arc<Config>> {
        None
    }

    /// The result of the TLS handshake, once it is done.
    fn tls(&self) -> Option<Arc<TlsInfo>> {
        None
    }

    /// Takes the client's address that a trusted proxy has sent before the first byte.
    fn take_client(&self) -> Option<SocketAddr> {
        None
    }

    /// Takes the pending error of the socket.
    ///
    /// # Errors
    /// If the query fails.
    fn take_error(&self) -> io::Result<Option<io::Error>>;

    /// Whether a read or a write shorter than possible shows that there is no more.
    fn short_transfer_is_last(&self) -> bool {
        true
    }

    /// Whether the last read, of `n` bytes into `room`, shows that another one would return
    /// [`WouldBlock`](io::ErrorKind::WouldBlock).
    fn is_drained(&self, n: usize, room: usize) -> bool {
        n < room && self.short_transfer_is_last()
    }

    /// Its own address.
    ///
    /// # Errors
    /// If it has none.
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The peer's address.
    ///
    /// # Errors
    /// If it has none, or is not connected.
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The target of a connection.
#[derive(Clone)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

impl Target {
    /// Begins to connect. A Unix socket is stored as a TCP stream, as an accepted one is.
    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        match self {
            Self::Tcp(address) => TcpStream::connect(*address),
            #[cfg(unix)]
            Self::Unix(path) => Ok(TcpStream::from(OwnedFd::from(mio::net::UnixStream::connect(path)?))),
        }
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }
}

/// A socket without a slot.
pub(crate) enum NewSocket {
    Tcp(TcpStream),
    Other(Box<dyn Socket>),
}

impl NewSocket {
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => registry.register(stream, token, Interest::READABLE | Interest::WRITABLE),
            Self::Other(socket) => socket.register(token),
        }
    }

    pub(crate) fn as_ref(&self) -> SocketRef<'_> {
        match self {
            Self::Tcp(stream) => SocketRef::Tcp(stream),
            Self::Other(socket) => SocketRef::Other(&**socket),
        }
    }
}

/// The socket of a slot, wherever it is stored.
#[derive(Clone, Copy)]
pub(crate) enum SocketRef<'s> {
    Tcp(&'s TcpStream),
    Other(&'s dyn Socket),
    Gone,
}

pub(super) fn not_connected<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotConnected.into())
}

impl SocketRef<'_> {
    #[inline]
    pub(crate) fn read(self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(mut stream) => stream.read(buffer),
            Self::Other(socket) => socket.read(buffer),
            Self::Gone => not_connected(),
        }
    }

    #[inline]
    pub(crate) fn write(self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(mut stream) => stream.write(buffer),
            Self::Other(socket) => socket.write(&[IoSlice::new(buffer)]),
            Self::Gone => not_connected(),
        }
    }

    #[inline]
    pub(crate) fn write_vectored(self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(mut stream) => stream.write_vectored(slices),
            Self::Other(socket) => socket.write(slices),
            Self::Gone => not_connected(),
        }
    }

    /// Whether it may hold a copy of what it did not take.
    #[inline]
    pub(crate) fn holds_output(self) -> bool {
        match self {
            Self::Tcp(_) | Self::Gone => false,
            Self::Other(socket) => socket.holds_output(),
        }
    }

    /// Shuts down the sending half.
    pub(crate) fn shutdown(self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Other(socket) => socket.shutdown(),
            Self::Gone => not_connected(),
        }
    }

    pub(crate) fn take_error(self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Tcp(stream) => stream.take_error(),
            Self::Other(socket) => socket.take_error(),
            Self::Gone => not_connected(),
        }
    }

    /// The error of a connection that the peer has reset; also takes the pending error.
    pub(crate) fn reset(self) -> Option<io::Error> {
        let pending = self.take_error().ok().flatten();
        match self {
            // Windows need not keep the error of a reset: it fails each read, and drops unread input.
            Self::Tcp(stream) if cfg!(windows) => pending.or_else(|| {
                let error = stream.peek(&mut [0]).err()?;
                let passes = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
                (!passes).then_some(error)
            }),
            _ => pending,
        }
    }

    pub(crate) fn local_addr(self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr(),
            Self::Other(socket) => socket.local_addr(),
            Self::Gone => not_connected(),
        }
    }

    pub(crate) fn peer_addr(self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr(),
            Self::Other(socket) => socket.peer_addr(),
            Self::Gone => not_connected(),
        }
    }

    /// Whether a read or a write shorter than possible shows that the kernel has no more: no further
    /// call is needed to see `WouldBlock`.
    #[inline]
    pub(crate) fn short_transfer_is_last(self) -> bool {
        match self {
            Self::Tcp(_) => SHORT_TRANSFER_IS_LAST,
            Self::Other(socket) => socket.short_transfer_is_last(),
            Self::Gone => true,
        }
    }

    /// Whether the last read, of `n` bytes into `room`, shows that no further one is needed to see `WouldBlock`.
    #[inline]
    pub(crate) fn is_drained(self, n: usize, room: usize) -> bool {
        match self {
            Self::Tcp(_) => SHORT_TRANSFER_IS_LAST && n < room,
            Self::Other(socket) => socket.is_drained(n, room),
            Self::Gone => true,
        }
    }

    /// Configures a connected socket.
    pub(crate) fn prepare(self) {
        if let Self::Tcp(stream) = self {
            prepare(stream);
        }
    }

    /// Lets the kernel detect a vanished peer.
    pub(crate) fn probe(self) {
        if let Self::Tcp(stream) = self {
            probe(stream);
        }
    }

    /// Makes closing the socket send a reset.
    pub(crate) fn reset_on_close(self) {
        match self {
            Self::Tcp(stream) => reset_on_close(stream),
            Self::Other(socket) => socket.reset_on_close(),
            Self::Gone => {}
        }
    }
}
