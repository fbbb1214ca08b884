//! The streams of the system, TCP and Unix sockets, or a test's replacement.

use async_io::Async;
use futures_io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::io::{self, IoSlice};
use std::net::{Shutdown, TcpStream, UdpSocket};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A connected socket, in place of the system's.
pub trait FakeSocket: fmt::Debug + Send + Sync {
    /// As [`AsyncRead::poll_read`].
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// As [`AsyncWrite::poll_write_vectored`].
    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// As [`TcpStream::shutdown`].
    ///
    /// # Errors
    /// As the system's.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// Makes closing it send a reset.
    fn reset_on_close(&self);

    /// A socket that has its options.
    fn options(&self) -> &UdpSocket;
}

/// A socket of the system.
#[derive(Clone, Debug)]
pub(crate) enum Stream {
    Tcp(Arc<Async<TcpStream>>),
    #[cfg(unix)]
    Unix(Arc<Async<UnixStream>>),
    /// A fake, for tests. The box is for a small pointer.
    Other(Arc<Box<dyn FakeSocket>>),
}

/// The kinds of the system differ only in their types.
macro_rules! with {
    ($kind:expr, $stream:ident => $do:expr, $fake:ident => $other:expr) => {
        match &$kind {
            Stream::Tcp($stream) => $do,
            #[cfg(unix)]
            Stream::Unix($stream) => $do,
            Stream::Other($fake) => $other,
        }
    };
}

impl Stream {
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        with!(*self,
            stream => Pin::new(&mut &**stream).poll_read(cx, buffer),
            fake => fake.poll_read(cx, buffer))
    }

    /// Waits until the kernel reports more to read. A fake says so when it is read.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(*self, stream => stream.poll_readable(cx), _fake => Poll::Ready(Ok(())))
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        with!(*self,
            stream => Pin::new(&mut &**stream).poll_write(cx, data),
            fake => fake.poll_write(cx, &[IoSlice::new(data)]))
    }

    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with!(*self,
            stream => Pin::new(&mut &**stream).poll_write_vectored(cx, slices),
            fake => fake.poll_write(cx, slices))
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        with!(*self, stream => stream.get_ref().shutdown(how), fake => fake.shutdown(how))
    }
}

pub(crate) use with;
