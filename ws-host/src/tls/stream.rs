//! A session with its buffers on both sides: the owner of a socket reads into it, writes from it, and waits.

use super::buffer::Buffer;
use super::client::TlsClient;
use super::memory;
use super::mode::ServerTls;
use super::session::{RECORD, Session};
use core::fmt;
use std::sync::Arc;
use std::vec::Vec;
use ws_proto::{TlsError, TlsInfo};

/// The longest record on the wire (RFC 5246 §6.2.3, with its header).
const LONGEST: usize = RECORD + 2048 + 5;
/// No more is sealed while this much encrypted output is not yet written.
const OUTPUT: usize = 64 << 10;

/// TLS between a socket and an engine. It does no I/O:
///
/// ```text
///   socket ──▶ room, filled ──▶ open ──▶ plaintext, consume ──▶ engine
///   socket ◀── output, written ◀── seal ◀────────────────────── engine
/// ```
///
/// After each [`open`](Self::open), write the [`output`](Self::output): the handshake sends its flights from within
/// `open`. The buffers come from a pool of the thread and return to it once they are empty: an idle connection holds
/// only the session.
pub struct TlsStream {
    session: Session,
    cipher: Buffer,
    plain: Buffer,
    output: Buffer,
    /// How much of the ciphertext is the beginning of a record or of a message, and waits for the rest.
    pending: usize,
}

/// The outcome of [`TlsStream::open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// There is [`plaintext`](TlsStream::plaintext).
    Plaintext,
    /// The socket must be read first.
    Starved,
    /// The peer has sent close_notify: no plaintext follows.
    Closed,
}

impl TlsStream {
    /// Begins the server's side of a handshake.
    ///
    /// # Errors
    /// [`TlsError::Protocol`] for a configuration of rustls that it rejects.
    pub fn server(config: &ServerTls) -> Result<Self, TlsError> {
        Session::server(&config.server).map(Self::of)
    }

    /// Begins the client's side of a handshake with the server at this host: a name, or an address with or without
    /// brackets. The first flight is in the [`output`](Self::output) at once. Unless the client has been
    /// [prepared](TlsClient::prepare), this may read files.
    ///
    /// # Errors
    /// [`TlsError::Invalid`] if the host is neither a name nor an address, or there are no roots or no crypto
    /// provider.
    pub fn client(config: &TlsClient, host: &str) -> Result<Self, TlsError> {
        let mut stream = Session::client(config, host).map(Self::of)?;
        stream.open()?;
        Ok(stream)
    }

    fn of(session: Session) -> Self {
        Self {
            session,
            cipher: Buffer::default(),
            plain: Buffer::default(),
            output: Buffer::default(),
            pending: 0,
        }
    }

    /// The buffer for the next bytes of the socket, with room for a whole record.
    pub fn room(&mut self) -> &mut [u8] {
        memory::attach(&mut self.cipher);
        &mut self.cipher.room(LONGEST)[..LONGEST]
    }

    /// The socket has put this many bytes into the [`room`](Self::room). After a failed read, pass 0: that returns the
    /// memory to the pool.
    pub fn filled(&mut self, n: usize) {
        self.cipher.fill(n);
        if n == 0 {
            memory::detach_waiting(&mut self.cipher);
        }
    }

    /// Appends a copy of bytes that were read elsewhere.
    pub fn push(&mut self, bytes: &[u8]) {
        memory::attach(&mut self.cipher);
        self.cipher.append(bytes);
    }

    /// Decrypts the next record, unless there is plaintext. Call it until it is [`Starved`](Opened::Starved), now or
    /// later: remaining records need no further readiness of the socket.
    ///
    /// # Errors
    /// [`TlsError`]: the session has failed, and each further call returns the same error. The output then has the
    /// alert for the peer, if there is one.
    pub fn open(&mut self) -> Result<Opened, TlsError> {
        memory::attach(&mut self.plain);
        let opened = self.open_next();
        if opened != Ok(Opened::Plaintext) {
            self.detach();
        }
        opened
    }

    /// Returns the memory of what is empty.
    fn detach(&mut self) {
        memory::detach(&mut self.cipher);
        memory::detach(&mut self.plain);
        memory::detach(&mut self.output);
    }

    fn open_next(&mut self) -> Result<Opened, TlsError> {
        loop {
            if !self.plain.is_empty() {
                return Ok(Opened::Plaintext);
            }
            if self.session.has_peer_closed() {
                self.cipher.consume(self.cipher.len());
                self.pending = 0;
                return Ok(Opened::Closed);
            }
            let cipher = self.cipher.content_mut();
            let (used, again) = match self.session.receive(cipher, &mut self.plain, &mut self.output) {
                Ok(progress) => progress,
                Err(error) => {
                    self.cipher.consume(self.cipher.len());
                    self.pending = 0;
                    return Err(error);
                }
            };
            self.cipher.consume(used);
            self.pending = if again { 0 } else { self.cipher.len() };
            if !again && self.plain.is_empty() && !self.session.has_peer_closed() {
                return Ok(Opened::Starved);
            }
        }
    }

    /// The plaintext that is decrypted and not yet consumed, at most one record.
    pub fn plaintext(&mut self) -> &mut [u8] {
        self.plain.content_mut()
    }

    /// Removes this much from the front of the [`plaintext`](Self::plaintext).
    pub fn consume(&mut self, n: usize) {
        self.plain.consume(n);
        // Otherwise the next record needs the memory at once.
        if !self.has_input() {
            self.detach();
        }
    }

    /// Encrypts these slices as one stream, in records of up to 16 KiB that may span several slices. Returns how many
    /// bytes were taken: none during the handshake, and none while 64 KiB wait in the [`output`](Self::output).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn seal<'a>(&mut self, slices: impl IntoIterator<Item = &'a [u8]>) -> Result<usize, TlsError> {
        memory::attach(&mut self.output);
        let sealed = memory::with_scratch(|scratch| self.seal_gathered(slices.into_iter(), scratch));
        memory::detach(&mut self.output);
        sealed
    }

    fn seal_gathered<'a>(
        &mut self,
        mut slices: impl Iterator<Item = &'a [u8]>,
        scratch: &mut Vec<u8>,
    ) -> Result<usize, TlsError> {
        let mut rest: &[u8] = &[];
        let mut taken = 0;
        while self.output.len() < OUTPUT {
            let Some(first) = next_slice(&mut rest, &mut slices) else { break };
            // A record that is wholly in one slice needs no copy.
            let record = if first.len() >= RECORD {
                rest = &first[RECORD..];
                &first[..RECORD]
            } else {
                scratch.clear();
                let mut next = Some(first);
                while let Some(slice) = next {
                    let n = slice.len().min(RECORD - scratch.len());
                    scratch.extend_from_slice(&slice[..n]);
                    rest = &slice[n..];
                    next = if scratch.len() < RECORD { next_slice(&mut rest, &mut slices) } else { None };
                }
                scratch.as_slice()
            };
            let sealed = self.session.seal(
                record,
                &mut self.cipher.content_mut()[..self.pending],
                &mut self.output,
            )?;
            taken += sealed;
            if sealed < record.len() {
                break;
            }
        }
        Ok(taken)
    }

    /// The encrypted bytes for the socket.
    pub fn output(&self) -> &[u8] {
        self.output.content()
    }

    /// The socket has written this much of the [`output`](Self::output).
    pub fn written(&mut self, n: usize) {
        self.output.consume(n);
        memory::detach(&mut self.output);
    }

    /// Appends our close_notify to the output, as its last record. During the handshake it does nothing.
    pub fn close(&mut self) {
        memory::attach(&mut self.output);
        self.session.close(&mut self.cipher.content_mut()[..self.pending], &mut self.output);
        memory::detach(&mut self.output);
    }

    /// The socket has reported the end of the stream. Returns whether the peer had sent close_notify; an end without it
    /// may be a truncation (RFC 8446 §6.1).
    ///
    /// # Errors
    /// [`TlsError::Truncated`] during the handshake; otherwise as [`open`](Self::open).
    pub fn end(&mut self) -> Result<bool, TlsError> {
        self.session.end()
    }

    /// Whether the handshake is not finished.
    pub fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Whether received bytes wait here, so that [`open`](Self::open) may do more without reading the socket.
    pub fn has_input(&self) -> bool {
        !self.plain.is_empty() || !self.cipher.is_empty()
    }

    /// Whether [`open`](Self::open) may do more without reading the socket: there is plaintext, or a whole record.
    pub fn has_record(&self) -> bool {
        // The header of a record ends with its length (RFC 8446 §5.1).
        !self.plain.is_empty()
            || matches!(*self.cipher.content(), [_, _, _, high, low, ref rest @ ..]
                if rest.len() >= usize::from(u16::from_be_bytes([high, low])))
    }

    /// How many bytes of memory its buffers hold, without the session.
    pub fn held(&self) -> usize {
        self.cipher.capacity() + self.plain.capacity() + self.output.capacity()
    }

    /// How many flights of the handshake it has sent in answer to the peer.
    pub(super) fn flights(&self) -> u32 {
        self.session.flights()
    }

    /// The result of the TLS handshake, once it is done.
    pub fn info(&self) -> Option<&Arc<TlsInfo>> {
        self.session.info()
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("is_handshaking", &self.is_handshaking())
            .field("cipher", &self.cipher.len())
            .field("plain", &self.plain.len())
            .field("output", &self.output.len())
            .finish_non_exhaustive()
    }
}

/// The next slice with content.
fn next_slice<'a>(rest: &mut &'a [u8], slices: &mut impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    if !rest.is_empty() {
        return Some(core::mem::take(rest));
    }
    slices.find(|slice| !slice.is_empty())
}
