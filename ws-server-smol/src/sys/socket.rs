//! TCP and Unix sockets that shut down their write half on close.

use crate::sys::layered::Layers;
use crate::sys::stream::{Stream, with};
use async_io::Async;
use atomic_waker::AtomicWaker;
use futures_io::{AsyncRead, AsyncWrite};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr, TcpStream};
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
#[cfg(windows)]
use std::os::windows::io::{AsSocket, BorrowedSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker, ready};
use ws_host::socket::{SHORT_TRANSFER_IS_LAST, canonical, prepare, probe, reset_on_close};

/// A TCP or a Unix socket of `async-io`.
///
/// Closing an `Async<TcpStream>` only flushes it: a peer that waits for the end of the stream would see it only when a
/// deadline aborts the connection. Closing this type shuts down the write half (RFC 6455 §7.1.1).
#[derive(Debug)]
pub struct Socket {
    handle: SocketHandle,
    /// The last read was short: do not read again until the kernel reports more.
    drained: bool,
    readable: Arc<Readable>,
}

/// Whether the kernel has reported more to read.
///
/// `Async::poll_readable` cannot be relied on: it treats an event of the reactor tick in which it was called as stale,
/// and waits for another. A task that is polled after the next tick begins, as on a busy thread, would never wake.
#[derive(Debug, Default)]
struct Readable {
    is_ready: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Readable {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_ready.store(true, SeqCst);
        self.task.wake();
    }
}

/// Writes to a [`Socket`] and ends it on behalf of other tasks; only its owner reads.
#[derive(Clone, Debug)]
pub(crate) struct SocketHandle {
    stream: Stream,
    layers: Option<Arc<Layers>>,
}

impl Socket {
    /// Returns the peer's address; `None` for a Unix socket. An IPv4 peer has an IPv4 address even on dual-stack
    /// servers.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.handle.peer_addr()
    }

    /// Returns the local address; `None` for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.handle.local_addr()
    }

    /// Starts layers: from now on, reads and writes are of what is within.
    pub(crate) fn with_layers(mut self, layers: Layers) -> Self {
        self.handle.layers = Some(Arc::new(layers));
        self
    }

    pub(crate) fn handle(&self) -> SocketHandle {
        self.handle.clone()
    }

    /// Waits until the kernel reports more to read.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.readable.task.register(cx.waker());
        if self.readable.is_ready.swap(false, SeqCst) {
            return Poll::Ready(Ok(()));
        }
        let waker = Waker::from(self.readable.clone());
        let mut kernel = Context::from_waker(&waker);
        match self.handle.stream.poll_readable(&mut kernel) {
            // An event that was followed by a read already: it would have woken `Readable`.
            Poll::Ready(Ok(())) => self.handle.stream.poll_readable(&mut kernel),
            polled => polled,
        }
    }
}

impl SocketHandle {
    /// The layers of the connection, if it has any.
    pub(crate) fn layers(&self) -> Option<&Layers> {
        self.layers.as_deref()
    }

    /// The same, to be asked after the connection is over.
    pub(crate) fn share_layers(&self) -> Option<Arc<Layers>> {
        self.layers.clone()
    }

    /// As [`Socket::peer_addr`].
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        match &self.stream {
            Stream::Tcp(stream) => stream.get_ref().peer_addr().ok().map(canonical),
            _ => None,
        }
    }

    /// As [`Socket::local_addr`].
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match &self.stream {
            Stream::Tcp(stream) => stream.get_ref().local_addr().ok().map(canonical),
            _ => None,
        }
    }

    /// Shuts down both halves: pending reads and writes fail, polled or not.
    pub(crate) fn shut_down(&self) {
        // It may already be closed.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Makes the last handle end the connection with a reset: the peer must not take a truncated response for a
    /// complete one (RFC 9112 §8).
    pub(crate) fn reset_on_close(&self) {
        with!(self.stream, stream => reset_on_close(stream.get_ref()), fake => fake.reset_on_close());
    }

    /// Lets the system detect a vanished peer if no traffic would reveal it.
    pub(crate) fn probe(&self) {
        if let Stream::Tcp(stream) = &self.stream {
            probe(stream.get_ref());
        }
    }
}

impl From<Stream> for Socket {
    fn from(stream: Stream) -> Self {
        let handle = SocketHandle { stream, layers: None };
        Self { handle, drained: false, readable: Arc::default() }
    }
}

impl From<Async<TcpStream>> for Socket {
    /// Sets `TCP_NODELAY` and, on Linux and Android, `TCP_NOTSENT_LOWAT`. If they cannot be set, the connection is
    /// slower but works.
    fn from(stream: Async<TcpStream>) -> Self {
        prepare(stream.get_ref());
        Stream::Tcp(Arc::new(stream)).into()
    }
}

#[cfg(unix)]
impl From<Async<UnixStream>> for Socket {
    fn from(stream: Async<UnixStream>) -> Self {
        Stream::Unix(Arc::new(stream)).into()
    }
}

/// For socket options, with `socket2::SockRef`, say.
#[cfg(unix)]
impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        with!(self.handle.stream, stream => stream.get_ref().as_fd(), fake => fake.options().as_fd())
    }
}

/// For socket options, with `socket2::SockRef`, say.
#[cfg(windows)]
impl AsSocket for Socket {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        with!(self.handle.stream, stream => stream.get_ref().as_socket(), fake => fake.options().as_socket())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.drained {
            ready!(self.poll_readable(cx))?;
            self.drained = false;
        }
        let SocketHandle { stream, layers } = &self.handle;
        let (read, is_drained) = match layers {
            Some(layers) => ready!(layers.poll_read(stream, cx, buffer)),
            None => {
                let read = ready!(stream.poll_read(cx, buffer));
                let is_short = matches!(read, Ok(n) if 0 < n && n < buffer.len());
                (read, is_short)
            }
        };
        self.drained = SHORT_TRANSFER_IS_LAST && is_drained;
        Poll::Ready(read)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        match buffers.iter_mut().find(|buffer| !buffer.is_empty()) {
            Some(first) => self.poll_read(cx, first),
            None => Poll::Ready(Ok(0)),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.handle).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.handle).poll_write_vectored(cx, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.handle).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.handle).poll_close(cx)
    }
}

impl AsyncWrite for SocketHandle {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &self.layers {
            Some(layers) => layers.poll_write(&self.stream, cx, &[IoSlice::new(data)]),
            None => self.stream.poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &self.layers {
            Some(layers) => layers.poll_write(&self.stream, cx, slices),
            None => self.stream.poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.layers {
            Some(layers) => layers.poll_flush(&self.stream, cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(layers) = &self.layers {
            ready!(layers.poll_close(&self.stream, cx))?;
        }
        Poll::Ready(self.stream.shutdown(Shutdown::Write))
    }
}
