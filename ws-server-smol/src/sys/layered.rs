//! What is between a socket and its connection: TLS, a tunnel through a proxy, or both.
//!
//! The reader and the senders of a connection share it. They use it while the connection is locked, so its own
//! lock is never waited for.

use crate::sys::stream::Stream;
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use ws_host::layer::{ConnectStep, Layer};
use ws_host::server::Admission;
use ws_proto::{Config, TlsInfo};

/// The layers of one connection.
#[derive(Debug)]
pub(crate) struct Layers {
    layer: Mutex<Layer>,
    /// Where the client of a trusted proxy is counted.
    admission: Option<Arc<Mutex<Admission>>>,
}

impl Layers {
    pub(crate) fn new(layer: impl Into<Layer>) -> Self {
        Self { layer: Mutex::new(layer.into()), admission: None }
    }

    /// Counts the client of a trusted proxy here, once it is known.
    pub(crate) fn counted_by(mut self, admission: Arc<Mutex<Admission>>) -> Self {
        self.admission = Some(admission);
        self
    }

    pub(crate) fn admission(&self) -> Option<&Mutex<Admission>> {
        self.admission.as_deref()
    }

    /// The client that a PROXY header names, once.
    pub(crate) fn take_client(&self) -> Option<SocketAddr> {
        self.layer().take_client()
    }

    fn layer(&self) -> MutexGuard<'_, Layer> {
        self.layer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether they may hold a copy of what they did not take.
    pub(crate) fn holds_output(&self) -> bool {
        self.layer().holds_output()
    }

    /// What a connection attempt waits for.
    pub(crate) fn step(&self) -> ConnectStep {
        self.layer().step()
    }

    /// The result of the TLS handshake, once it is done.
    pub(crate) fn info(&self) -> Option<Arc<TlsInfo>> {
        self.layer().info().cloned()
    }

    /// The configuration that redirects the peer, which speaks without TLS.
    pub(crate) fn redirect(&self) -> Option<Arc<Config>> {
        self.layer().redirect().cloned()
    }

    /// Whether a read has left output to be flushed.
    pub(crate) fn needs_flush(&self) -> bool {
        self.layer().needs_flush()
    }

    /// Reads what is within, and returns whether another read would wait for the stream.
    pub(crate) fn poll_read(
        &self,
        stream: &Stream,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<(io::Result<usize>, bool)> {
        let mut layer = self.layer();
        let read = ready!(poll(layer.read(&mut Polled { stream, cx }, buffer)));
        Poll::Ready((read, layer.is_drained()))
    }

    /// Writes what is within.
    pub(crate) fn poll_write(
        &self,
        stream: &Stream,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll(self.layer().write(&mut Polled { stream, cx }, slices))
    }

    /// Writes what they hold.
    pub(crate) fn poll_flush(&self, stream: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll(self.layer().flush(&mut Polled { stream, cx }))
    }

    /// Sends close_notify if they speak TLS.
    pub(crate) fn poll_close(&self, stream: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.layer().close();
        self.poll_flush(stream, cx)
    }
}

/// A stream within a poll: where it would wait, it has registered the task.
struct Polled<'s, 'c, 'w> {
    stream: &'s Stream,
    cx: &'c mut Context<'w>,
}

impl Read for Polled<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        unpoll(self.stream.poll_read(self.cx, buffer))
    }
}

impl Write for Polled<'_, '_, '_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(data)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        unpoll(self.stream.poll_write_vectored(self.cx, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unpoll<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

fn poll<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}
