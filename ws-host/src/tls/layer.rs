//! TLS over a socket that does not block.

use super::client::TlsClient;
use super::mode::{Route, ServerTls};
use super::stream::{Opened, TlsStream};
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use ws_proto::{Config, TlsError, TlsInfo};

/// The TLS of one connection: reads and writes plaintext over a socket, which the caller passes to each call. The socket
/// must not block; where it returns [`WouldBlock`](io::ErrorKind::WouldBlock), so do these methods, and the caller waits
/// for the socket as if it had called it itself.
///
/// A failure of TLS is [`InvalidData`](io::ErrorKind::InvalidData) with the [`TlsError`] inside, where
/// [`Error::from`](ws_proto::Error) finds it.
#[derive(Debug)]
pub struct TlsLayer(State);

#[derive(Debug)]
enum State {
    /// A server's: the first byte decides.
    Awaiting(ServerTls),
    Tls(Tls),
    /// The peer does not speak TLS, which the mode allows, or redirects by this configuration.
    Plain(Option<Arc<Config>>),
    /// The peer does not speak TLS, which the mode does not allow.
    Refused,
}

#[derive(Debug)]
struct Tls {
    stream: TlsStream,
    /// How much of the plaintext that the caller still holds is encrypted already, in records not yet wholly written.
    sealed: usize,
    /// How writing has failed. What the peer sent before that may still be read.
    write_failure: Option<io::ErrorKind>,
    /// The caller knows of that failure.
    is_reported: bool,
}

impl TlsLayer {
    /// The server's side of a connection from which nothing has been read yet.
    pub fn server(tls: ServerTls) -> Self {
        Self(State::Awaiting(tls))
    }

    /// The client's side of a connection with the server at this host: see [`TlsStream::client`].
    ///
    /// # Errors
    /// As [`TlsStream::client`].
    pub fn client(tls: &TlsClient, host: &str) -> Result<Self, TlsError> {
        TlsStream::client(tls, host).map(|stream| Self(State::tls(stream)))
    }

    /// Reads plaintext, and writes the next flight of the handshake. Only `WouldBlock` means that neither the socket
    /// nor the session has more; 0 is the end.
    ///
    /// It reads the socket at most once: for records without plaintext, such as those of a handshake, it returns
    /// [`Interrupted`](io::ErrorKind::Interrupted), so that a peer that sends nothing else does not occupy the thread.
    ///
    /// # Errors
    /// The socket's, or a failure of TLS.
    pub fn read(&mut self, socket: &mut (impl Read + Write), buffer: &mut [u8]) -> io::Result<usize> {
        if let State::Awaiting(tls) = &self.0 {
            let n = socket.read(buffer)?;
            let plain = match buffer[..n].first().map(|first| tls.route(*first)) {
                None => return Ok(0),
                Some(Route::Close) => {
                    self.0 = State::Refused;
                    return Err(failed(TlsError::PlainHttp));
                }
                Some(Route::Plain) => Some(None),
                Some(Route::Redirect(config)) => Some(Some(config)),
                Some(Route::Tls) => None,
            };
            if let Some(redirect) = plain {
                self.0 = State::Plain(redirect);
                return Ok(n);
            }
            let mut stream = TlsStream::server(tls).map_err(failed)?;
            stream.push(&buffer[..n]);
            self.0 = State::tls(stream);
        }
        match &mut self.0 {
            State::Tls(tls) => tls.read(socket, buffer),
            State::Awaiting(_) | State::Plain(_) => socket.read(buffer),
            State::Refused => Err(failed(TlsError::PlainHttp)),
        }
    }

    /// How many bytes it holds besides the session.
    pub fn held(&self) -> usize {
        self.tls().map_or(0, |tls| tls.stream.held())
    }

    /// Writes plaintext, and returns how much of it the socket has taken. More may be encrypted and not yet written:
    /// pass it again, first and unchanged, with a further call, or [`flush`](Self::flush). So the caller still counts
    /// it as pending, for all its limits and deadlines.
    ///
    /// # Errors
    /// The socket's, or a failure of TLS. During the handshake it returns `WouldBlock` too, until reading has completed
    /// the handshake.
    pub fn write(&mut self, socket: &mut impl Write, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.0 {
            State::Tls(tls) => tls.write(socket, slices),
            State::Plain(_) => socket.write_vectored(slices),
            // Nothing was received, so there is nothing to answer.
            State::Awaiting(_) => Err(io::ErrorKind::WouldBlock.into()),
            State::Refused => Err(failed(TlsError::PlainHttp)),
        }
    }

    /// Writes encrypted output that is not yet written.
    ///
    /// # Errors
    /// The socket's.
    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        match &mut self.0 {
            State::Tls(tls) => tls.flush(socket),
            State::Awaiting(_) | State::Plain(_) | State::Refused => Ok(()),
        }
    }

    /// Whether to call [`flush`](Self::flush): encrypted output is not yet written, or a read failed to write it, which
    /// flushing reports.
    pub fn needs_flush(&self) -> bool {
        self.tls().is_some_and(|tls| match tls.write_failure {
            None => !tls.stream.output().is_empty(),
            Some(_) => !tls.is_reported,
        })
    }

    /// Whether it has received what a [`read`](Self::read) returns without reading the socket.
    pub fn has_input(&self) -> bool {
        self.tls().is_some_and(|tls| tls.stream.has_record())
    }

    /// Queues our close_notify: [flush](Self::flush) it before you shut the socket down. Reading goes on (RFC 8446 §6.1).
    /// During the handshake it does nothing.
    pub fn close(&mut self) {
        if let State::Tls(tls) = &mut self.0 {
            tls.stream.close();
        }
    }

    /// Whether the handshake has not begun or is not finished.
    pub fn is_handshaking(&self) -> bool {
        match &self.0 {
            State::Awaiting(_) | State::Refused => true,
            State::Tls(tls) => tls.stream.is_handshaking(),
            State::Plain(_) => false,
        }
    }

    /// How many flights of the handshake it has sent in answer to the peer. Each costs a signature or a key exchange;
    /// everything else is cheap.
    pub fn flights(&self) -> u32 {
        self.tls().map_or(0, |tls| tls.stream.flights())
    }

    /// The result of the TLS handshake, once it is done.
    pub fn info(&self) -> Option<&Arc<TlsInfo>> {
        self.tls()?.stream.info()
    }

    /// The configuration that redirects the peer, which does not speak TLS.
    pub fn redirect(&self) -> Option<&Arc<Config>> {
        match &self.0 {
            State::Plain(redirect) => redirect.as_ref(),
            State::Awaiting(_) | State::Tls(_) | State::Refused => None,
        }
    }

    fn tls(&self) -> Option<&Tls> {
        match &self.0 {
            State::Tls(tls) => Some(tls),
            State::Awaiting(_) | State::Plain(_) | State::Refused => None,
        }
    }
}

impl State {
    fn tls(stream: TlsStream) -> Self {
        Self::Tls(Tls { stream, sealed: 0, write_failure: None, is_reported: false })
    }
}

impl Tls {
    fn read(&mut self, socket: &mut (impl Read + Write), buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(n) = self.open(socket, buffer)? {
            return Ok(n);
        }
        let read = socket.read(self.stream.room());
        self.stream.filled(*read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => {
                // The failed write has consumed the socket's error, so the read found only the end of the stream.
                self.report_failure()?;
                return self.stream.end().map(|_| 0).map_err(failed);
            }
            Ok(_) => {}
            Err(error) => {
                if ![io::ErrorKind::Interrupted, io::ErrorKind::WouldBlock].contains(&error.kind()) {
                    // Nothing can be written either, not even a close_notify.
                    (self.write_failure, self.is_reported) = (Some(error.kind()), true);
                }
                return Err(error);
            }
        }
        self.open(socket, buffer)?.ok_or_else(|| io::ErrorKind::Interrupted.into())
    }

    /// Decrypts records until there is plaintext, or the end. `None` if the socket must be read first.
    fn open(&mut self, socket: &mut impl Write, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let opened = self.stream.open();
        // A flight of the handshake, or the alert before an error. A failure is reported once everything is read.
        let _ = self.write_output(socket);
        match opened.map_err(failed)? {
            Opened::Plaintext => {
                let plain = self.stream.plaintext();
                let n = plain.len().min(buffer.len());
                buffer[..n].copy_from_slice(&plain[..n]);
                self.stream.consume(n);
                Ok(Some(n))
            }
            Opened::Closed => Ok(Some(0)),
            Opened::Starved => Ok(None),
        }
    }

    fn write(&mut self, socket: &mut impl Write, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // Sealed records are written first, so that encrypted bytes do not pile up.
        let mut written = self.write_output(socket);
        if written.is_ok() {
            let sealed = self.stream.seal(after(self.sealed, slices));
            written = self.write_output(socket);
            self.sealed += sealed.map_err(failed)?;
        }
        // A record is longer than its plaintext.
        let taken = self.sealed.saturating_sub(self.stream.output().len());
        self.sealed -= taken;
        match written {
            _ if taken > 0 => Ok(taken),
            Ok(()) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => {
                self.is_reported = self.write_failure.is_some();
                Err(error)
            }
        }
    }

    fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        let flushed = self.write_output(socket);
        self.is_reported = self.write_failure.is_some();
        flushed
    }

    fn write_output(&mut self, socket: &mut impl Write) -> io::Result<()> {
        if let Some(kind) = self.write_failure {
            return Err(kind.into());
        }
        while !self.stream.output().is_empty() {
            let error = match socket.write(self.stream.output()) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(n) => {
                    self.stream.written(n);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            if error.kind() != io::ErrorKind::WouldBlock {
                self.write_failure = Some(error.kind());
            }
            return Err(error);
        }
        Ok(())
    }

    /// Reports, once, that a read could not write what it had to.
    fn report_failure(&mut self) -> io::Result<()> {
        match self.write_failure {
            Some(kind) if !core::mem::replace(&mut self.is_reported, true) => Err(kind.into()),
            _ => Ok(()),
        }
    }
}

/// The slices without their first `skipped` bytes.
fn after<'s>(mut skipped: usize, slices: &'s [IoSlice<'_>]) -> impl Iterator<Item = &'s [u8]> {
    slices.iter().map(move |slice| {
        let (before, rest) = slice.split_at(skipped.min(slice.len()));
        skipped -= before.len();
        rest
    })
}

fn failed(error: TlsError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
