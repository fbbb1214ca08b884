//! TLS between a socket and its connection.
//!
//! ```text
//!   socket ──▶ ciphertext ──▶ TlsStream ──▶ the driver's buffer
//!   socket ◀── ciphertext ◀── TlsStream ◀── the outbox
//! ```
//!
//! The reader and the senders of a connection share the session. They use it while the connection is locked, so its own
//! lock is never waited for.

use crate::sys::stream::Stream;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use ws_host::tls::{Opened, Route, ServerTls, TlsError, TlsInfo, TlsStream};
use ws_proto::Config;

/// The TLS of one connection.
#[derive(Debug)]
pub(crate) struct Tls {
    state: Mutex<State>,
    info: OnceLock<Arc<TlsInfo>>,
}

#[derive(Debug)]
enum State {
    /// A server's: the first byte decides.
    Awaiting(ServerTls),
    Tls(Box<TlsStream>),
    /// The peer speaks without TLS, which the mode allows, or redirects by this configuration.
    Plain(Option<Arc<Config>>),
}

impl Tls {
    pub(crate) fn server(tls: ServerTls) -> Self {
        Self::of(State::Awaiting(tls))
    }

    pub(crate) fn client(stream: TlsStream) -> Self {
        Self::of(State::Tls(Box::new(stream)))
    }

    fn of(state: State) -> Self {
        Self { state: Mutex::new(state), info: OnceLock::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the handshake agreed on, once it is done.
    pub(crate) fn info(&self) -> Option<&Arc<TlsInfo>> {
        self.info.get()
    }

    /// The configuration that redirects the peer, which speaks without TLS.
    pub(crate) fn redirect(&self) -> Option<Arc<Config>> {
        match &*self.state() {
            State::Plain(redirect) => redirect.clone(),
            State::Awaiting(_) | State::Tls(_) => None,
        }
    }

    /// Reads plaintext.
    pub(crate) fn poll_read(
        &self,
        socket: &Stream,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        if let State::Awaiting(tls) = &*state {
            let n = ready!(socket.poll_read(cx, buffer))?;
            match buffer[..n].first().map(|first| tls.route(*first)) {
                None => return Poll::Ready(Ok(0)),
                Some(Route::Close) => return Poll::Ready(Err(failed(TlsError::PlainHttp))),
                Some(Route::Plain) => {
                    *state = State::Plain(None);
                    return Poll::Ready(Ok(n));
                }
                Some(Route::Redirect(config)) => {
                    *state = State::Plain(Some(config));
                    return Poll::Ready(Ok(n));
                }
                Some(Route::Tls) => {
                    let mut stream = TlsStream::server(tls).map_err(failed)?;
                    stream.push(&buffer[..n]);
                    *state = State::Tls(Box::new(stream));
                }
            }
        }
        let State::Tls(tls) = &mut *state else { return socket.poll_read(cx, buffer) };
        self.poll_open(tls, socket, cx, buffer)
    }

    fn poll_open(
        &self,
        tls: &mut TlsStream,
        socket: &Stream,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let opened = tls.open();
            // A flight of the handshake, or the alert before an error.
            let written = poll_output(tls, socket, cx);
            if !tls.is_handshaking() {
                self.info.get_or_init(|| Arc::new(tls.info()));
            }
            match opened.map_err(failed)? {
                Opened::Plaintext => {
                    let plain = tls.plaintext();
                    let n = plain.len().min(buffer.len());
                    buffer[..n].copy_from_slice(&plain[..n]);
                    tls.consume(n);
                    return Poll::Ready(Ok(n));
                }
                Opened::Closed => return Poll::Ready(Ok(0)),
                Opened::Starved => {}
            }
            if let Poll::Ready(Err(error)) = written {
                return Poll::Ready(Err(error));
            }
            match ready!(socket.poll_read(cx, tls.room()))? {
                0 => return Poll::Ready(tls.end().map(|_| 0).map_err(failed)),
                n => tls.filled(n),
            }
        }
    }

    /// Writes plaintext.
    pub(crate) fn poll_write(
        &self,
        socket: &Stream,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        let tls = match &mut *state {
            State::Tls(tls) => tls,
            State::Plain(_) => return socket.poll_write_vectored(cx, slices),
            // Nothing was received, so there is nothing to answer.
            State::Awaiting(_) => return Poll::Pending,
        };
        // What is sealed is written first: encrypted bytes do not pile up.
        ready!(poll_output(tls, socket, cx))?;
        let sealed = tls.seal(slices.iter().map(|slice| &**slice));
        let written = poll_output(tls, socket, cx);
        match (sealed.map_err(failed)?, written) {
            (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            // The handshake goes on; its reader wakes the task.
            (0, _) => Poll::Pending,
            (n, _) => Poll::Ready(Ok(n)),
        }
    }

    /// Writes what is sealed.
    pub(crate) fn poll_flush(&self, socket: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.state() {
            State::Tls(tls) => poll_output(tls, socket, cx),
            State::Awaiting(_) | State::Plain(_) => Poll::Ready(Ok(())),
        }
    }

    /// Announces the end within TLS.
    pub(crate) fn poll_close(&self, socket: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let State::Tls(tls) = &mut *self.state() {
            tls.close();
        }
        self.poll_flush(socket, cx)
    }
}

fn poll_output(tls: &mut TlsStream, socket: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    while !tls.output().is_empty() {
        match ready!(socket.poll_write_vectored(cx, &[IoSlice::new(tls.output())])) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => tls.written(n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    Poll::Ready(Ok(()))
}

/// The engine finds the error of TLS in it.
fn failed(error: TlsError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
