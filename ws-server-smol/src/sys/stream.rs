//! The streams of the system: TCP and Unix sockets.

use async_io::Async;
use futures_io::{AsyncRead, AsyncWrite};
use std::io::{self, IoSlice};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A socket of the system.
#[derive(Clone, Debug)]
pub(crate) enum Stream {
    Tcp(Arc<Async<TcpStream>>),
    #[cfg(unix)]
    Unix(Arc<Async<UnixStream>>),
}

/// The two kinds differ only in their types.
macro_rules! with {
    ($kind:expr, $stream:ident => $do:expr) => {
        match &$kind {
            Stream::Tcp($stream) => $do,
            #[cfg(unix)]
            Stream::Unix($stream) => $do,
        }
    };
}

impl Stream {
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        with!(*self, stream => Pin::new(&mut &**stream).poll_read(cx, buffer))
    }

    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with!(*self, stream => Pin::new(&mut &**stream).poll_write_vectored(cx, slices))
    }
}

pub(crate) use with;
