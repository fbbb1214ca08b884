//! A socket that speaks TLS: to the loop, it reads and writes plaintext.
//!
//! It is no longer drained when a read is short: only `WouldBlock` says that neither the kernel nor the session has
//! more, so kept ciphertext neither stalls an edge-triggered loop nor spins it.

use crate::sys::socket::{NewSocket, Socket};
use mio::Token;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use ws_host::tls::{Opened, Route, ServerTls, TlsError, TlsInfo, TlsStream};
use ws_proto::Config;

pub(crate) struct TlsSocket {
    inner: NewSocket,
    state: RefCell<State>,
    info: OnceLock<Arc<TlsInfo>>,
}

enum State {
    /// A server's: the first byte decides.
    Awaiting(ServerTls),
    Tls {
        stream: Box<TlsStream>,
        /// The sending half is to be shut down once the output is written.
        is_closing: bool,
    },
    /// The peer speaks without TLS, which the mode allows, or redirects by this configuration.
    Plain(Option<Arc<Config>>),
}

impl TlsSocket {
    pub(crate) fn server(inner: NewSocket, tls: ServerTls) -> Self {
        Self::of(inner, State::Awaiting(tls))
    }

    pub(crate) fn client(inner: NewSocket, stream: TlsStream) -> Self {
        Self::of(inner, State::Tls { stream: Box::new(stream), is_closing: false })
    }

    fn of(inner: NewSocket, state: State) -> Self {
        Self { inner, state: RefCell::new(state), info: OnceLock::new() }
    }

    /// Opens records until there is plaintext, reading more as needed.
    fn open(&self, stream: &mut TlsStream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let opened = stream.open();
            // A flight of the handshake, or the alert before an error.
            let written = self.write_output(stream);
            if !stream.is_handshaking() {
                self.info.get_or_init(|| Arc::new(stream.info()));
            }
            match opened.map_err(failed)? {
                Opened::Plaintext => {
                    let plain = stream.plaintext();
                    let n = plain.len().min(buffer.len());
                    buffer[..n].copy_from_slice(&plain[..n]);
                    stream.consume(n);
                    return Ok(n);
                }
                Opened::Closed => return Ok(0),
                Opened::Starved => {}
            }
            match written {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
            match self.inner.as_ref().read(stream.room()) {
                Ok(0) => return stream.end().map(|_| 0).map_err(failed),
                Ok(n) => stream.filled(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes what is sealed.
    fn write_output(&self, stream: &mut TlsStream) -> io::Result<()> {
        while !stream.output().is_empty() {
            match self.inner.as_ref().write(stream.output()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => stream.written(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Socket for TlsSocket {
    fn register(&mut self, _: Token) -> io::Result<()> {
        // The socket beneath is registered before TLS begins.
        Ok(())
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        if let State::Awaiting(tls) = &*state {
            let n = self.inner.as_ref().read(buffer)?;
            match buffer[..n].first().map(|first| tls.route(*first)) {
                None => return Ok(0),
                Some(Route::Close) => return Err(failed(TlsError::PlainHttp)),
                Some(Route::Plain) => {
                    *state = State::Plain(None);
                    return Ok(n);
                }
                Some(Route::Redirect(config)) => {
                    *state = State::Plain(Some(config));
                    return Ok(n);
                }
                Some(Route::Tls) => {
                    let mut stream = TlsStream::server(tls).map_err(failed)?;
                    stream.push(&buffer[..n]);
                    *state = State::Tls { stream: Box::new(stream), is_closing: false };
                }
            }
        }
        let State::Tls { stream, .. } = &mut *state else { return self.inner.as_ref().read(buffer) };
        self.open(stream, buffer)
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut *self.state.borrow_mut() {
            State::Tls { stream, .. } => {
                // What is sealed is written first: encrypted bytes do not pile up.
                self.write_output(stream)?;
                let sealed = stream.seal(slices.iter().map(|slice| &**slice));
                let written = self.write_output(stream);
                match (sealed.map_err(failed)?, written) {
                    (_, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                    // The handshake goes on: the next edge is one for reading.
                    (0, _) => Err(io::ErrorKind::WouldBlock.into()),
                    (n, _) => Ok(n),
                }
            }
            State::Plain(_) => self.inner.as_ref().write_vectored(slices),
            // Nothing was received, so there is nothing to answer.
            State::Awaiting(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&self) -> io::Result<()> {
        let State::Tls { stream, is_closing } = &mut *self.state.borrow_mut() else { return Ok(()) };
        self.write_output(stream)?;
        if std::mem::take(is_closing) {
            self.inner.as_ref().shutdown()?;
        }
        Ok(())
    }

    /// Announces the end within TLS, then shuts down the sending half, now or once the kernel has taken the rest.
    fn shutdown(&self) -> io::Result<()> {
        match &mut *self.state.borrow_mut() {
            State::Tls { stream, is_closing } => {
                stream.close();
                *is_closing = true;
            }
            State::Awaiting(_) | State::Plain(_) => return self.inner.as_ref().shutdown(),
        }
        match self.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }

    fn reset_on_close(&self) {
        self.inner.as_ref().reset_on_close();
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.as_ref().take_error()
    }

    fn short_transfer_is_last(&self) -> bool {
        false
    }

    fn is_handshaking(&self) -> bool {
        match &*self.state.borrow() {
            State::Awaiting(_) => true,
            State::Tls { stream, .. } => stream.is_handshaking(),
            State::Plain(_) => false,
        }
    }

    fn redirect(&self) -> Option<Arc<Config>> {
        match &*self.state.borrow() {
            State::Plain(redirect) => redirect.clone(),
            State::Awaiting(_) | State::Tls { .. } => None,
        }
    }

    fn tls(&self) -> Option<Arc<TlsInfo>> {
        self.info.get().cloned()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.as_ref().local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.as_ref().peer_addr()
    }
}

/// The engine finds the error of TLS in it.
fn failed(error: TlsError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
