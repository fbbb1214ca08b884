//! One TLS session. The only file that names the connection types of rustls.
//!
//! ```text
//!            receive(ciphertext)                       seal(plaintext)
//!                   │                                         │
//!   Handshake ──────┴── flights and tickets, in and out ──────┘
//!       │ both Finished
//!       ▼
//!     Open ── the peer's close_notify ──▶ nothing more to receive; sealing goes on
//!       │  └─ ours ──▶ nothing more to seal; receiving goes on
//!       ▼
//!    Failed: the alert for the peer is in the output, unless our close_notify was; each further call returns the same error
//! ```

use super::buffer::Buffer;
use super::client::TlsClient;
use super::error::{End, session_error};
use super::memory;
use super::server::TlsServer;
use rustls::client::UnbufferedClientConnection;
use rustls::server::{ClientHello, ResolvesServerCert, UnbufferedServerConnection};
use rustls::sign::CertifiedKey;
use rustls::unbuffered::{
    AppDataRecord, ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus,
};
use rustls::{HandshakeKind, ProtocolVersion};
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use ws_proto::{TlsError, TlsInfo, TlsVersion};

/// The most plaintext in a record (RFC 8446 §5.1).
pub(super) const RECORD: usize = 16 << 10;
/// What encryption adds to a record at most: its header, the type, the tag, and TLS 1.2's nonce.
const OVERHEAD: usize = 64;

pub(super) struct Session {
    side: Side,
    has_identity: bool,
    /// Server: the name that the client asks for, during the handshake.
    requested: Option<Arc<OnceLock<Box<str>>>>,
    /// The result of the TLS handshake, once it is done.
    info: Option<Arc<TlsInfo>>,
    /// How many flights of the handshake it has sent in answer to the peer.
    flights: u32,
    has_received: bool,
    peer_closed: bool,
    is_closed: bool,
    failed: Option<Box<TlsError>>,
}

enum Side {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// Both sides have the same methods, of different types.
macro_rules! on {
    ($side:expr, $conn:ident => $do:expr) => {
        match $side {
            Side::Client($conn) => $do,
            Side::Server($conn) => $do,
        }
    };
}

/// The outcome of one step of rustls.
enum Step {
    /// Another step follows.
    Again,
    /// A record of plaintext was appended.
    Plaintext,
    /// More ciphertext is needed.
    Starved,
}

impl Session {
    pub(super) fn server(config: &TlsServer) -> Result<Self, TlsError> {
        // rustls shows the name only to the resolver.
        let requested = Arc::<OnceLock<_>>::default();
        let mut config = (*config.config()).clone();
        config.cert_resolver = Arc::new(NameRecorder { of: config.cert_resolver, name: requested.clone() });
        let conn = UnbufferedServerConnection::new(Arc::new(config))
            .map_err(|error| session_error(&error, End::new(false)))?;
        Ok(Self { requested: Some(requested), ..Self::of(Side::Server(Box::new(conn)), false) })
    }

    pub(super) fn client(config: &TlsClient, host: &str) -> Result<Self, TlsError> {
        let name = config.name_for(host)?;
        let config = config.config()?;
        let has_identity = config.client_auth_cert_resolver.has_certs();
        let conn = UnbufferedClientConnection::new(config, name)
            .map_err(|error| session_error(&error, End::new(true)))?;
        Ok(Self::of(Side::Client(Box::new(conn)), has_identity))
    }

    fn of(side: Side, has_identity: bool) -> Self {
        Self {
            side,
            has_identity,
            requested: None,
            info: None,
            flights: 0,
            has_received: false,
            peer_closed: false,
            is_closed: false,
            failed: None,
        }
    }

    /// Takes records from the front of `cipher`, up to the first with plaintext, which is appended to `plain`; output
    /// is appended to `out`. Returns how many bytes to discard, and whether a further call could do more without
    /// further ciphertext.
    pub(super) fn receive(
        &mut self,
        cipher: &mut [u8],
        plain: &mut Buffer,
        out: &mut Buffer,
    ) -> Result<(usize, bool), TlsError> {
        if self.info.is_some() {
            return self.receive_records(cipher, plain, out);
        }
        let (is_answer, waiting) = (!cipher.is_empty(), out.len());
        let received = self.receive_records(cipher, plain, out);
        self.flights += u32::from(is_answer && out.len() > waiting);
        if !self.is_handshaking() {
            self.info = Some(memory::share(self.result()));
            self.requested = None;
        }
        received
    }

    /// Whether the first bytes are a method or a status line, and so no TLS record. `None` if there are too few to tell: the
    /// error must not depend on how they are cut.
    fn is_http(&self, bytes: &[u8]) -> Option<bool> {
        const STATUS: &[u8] = b"HTTP/";
        match &self.side {
            Side::Server(_) => Some(bytes[0].is_ascii_uppercase()),
            Side::Client(_) if bytes.len() >= STATUS.len() => Some(bytes.starts_with(STATUS)),
            Side::Client(_) => (!STATUS.starts_with(bytes)).then_some(false),
        }
    }

    fn receive_records(
        &mut self,
        cipher: &mut [u8],
        plain: &mut Buffer,
        out: &mut Buffer,
    ) -> Result<(usize, bool), TlsError> {
        if let Some(error) = &self.failed {
            return Err((**error).clone());
        }
        if !self.has_received && !cipher.is_empty() {
            match self.is_http(cipher) {
                Some(true) => return Err(self.fail(out, TlsError::PlainHttp)),
                Some(false) => self.has_received = true,
                None => return Ok((0, false)),
            }
        }
        // What follows a close_notify is ignored (RFC 8446 §6.1).
        if self.peer_closed {
            return Ok((cipher.len(), false));
        }
        let mut used = 0;
        loop {
            let rest = &mut cipher[used..];
            let (discard, step) = match self.is_closed {
                false => self.step(rest, plain, out),
                true => self.step_after_close(rest, plain, out),
            };
            used += discard;
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Plaintext) => return Ok((used, true)),
                Ok(Step::Starved) => {
                    return Ok(if self.peer_closed { (cipher.len(), false) } else { (used, false) });
                }
                Err(error) => {
                    let error = session_error(&error, self.as_end());
                    return Err(self.fail(out, error));
                }
            }
        }
    }

    /// Handles one state of the connection.
    fn step(
        &mut self,
        cipher: &mut [u8],
        plain: &mut Buffer,
        out: &mut Buffer,
    ) -> (usize, Result<Step, rustls::Error>) {
        let peer_closed = &mut self.peer_closed;
        on!(&mut self.side, conn => {
            let UnbufferedStatus { mut discard, state } = conn.process_tls_records(cipher);
            let step = match state.map(|state| settle(state, peer_closed, out)) {
                Err(error) => Err(error),
                Ok(None) => Ok(Step::Again),
                Ok(Some(ConnectionState::ReadTraffic(mut traffic))) => {
                    let mut result = Ok(Step::Plaintext);
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(AppDataRecord { discard: more, payload, .. }) => {
                                discard += more;
                                plain.append(payload);
                            }
                            Err(error) => result = Err(error),
                        }
                    }
                    result
                }
                Ok(Some(_)) => Ok(Step::Starved),
            };
            (discard, step)
        })
    }

    /// For a record that it cannot decrypt, rustls sends an alert, but where it has debug assertions, it panics if our
    /// close_notify came before (<https://github.com/rustls/rustls/issues/959>). No peer may cause a panic.
    fn step_after_close(
        &mut self,
        cipher: &mut [u8],
        plain: &mut Buffer,
        out: &mut Buffer,
    ) -> (usize, Result<Step, rustls::Error>) {
        catch_unwind(AssertUnwindSafe(|| self.step(cipher, plain, out)))
            .unwrap_or((0, Err(rustls::Error::DecryptError)))
    }

    /// Encrypts at most one record of `plain`, and returns how many bytes it took: 0 during the handshake and after our
    /// close_notify. A failed session returns its error.
    ///
    /// `pending` is the incomplete input that [`receive`](Self::receive) has left: rustls may have recorded the
    /// position of a part of a handshake message in it, and reads it there.
    pub(super) fn seal(
        &mut self,
        plain: &[u8],
        pending: &mut [u8],
        out: &mut Buffer,
    ) -> Result<usize, TlsError> {
        if let Some(error) = &self.failed {
            return Err((**error).clone());
        }
        let plain = &plain[..plain.len().min(RECORD)];
        if plain.is_empty() || self.is_closed {
            return Ok(0);
        }
        let sealed = self.when_writable(pending, out, |out, encrypt| {
            append_sized(out, plain.len() + OVERHEAD, |room| encrypt(Some(plain), room))
        })?;
        Ok(if sealed == Some(true) { plain.len() } else { 0 })
    }

    /// Appends our close_notify, once. Nothing is sealed after it. `pending` is as in [`seal`](Self::seal).
    pub(super) fn close(&mut self, pending: &mut [u8], out: &mut Buffer) {
        if self.is_closed || self.failed.is_some() || self.is_handshaking() {
            return;
        }
        let _ = self.when_writable(pending, out, |out, encrypt| {
            append_sized(out, OVERHEAD, |room| encrypt(None, room))
        });
        self.is_closed = true;
    }

    /// Runs `write` with a function that encrypts plaintext, or a close_notify. `None` before the handshake is done.
    fn when_writable<T>(
        &mut self,
        pending: &mut [u8],
        out: &mut Buffer,
        write: impl FnOnce(&mut Buffer, &mut Encrypt<'_>) -> T,
    ) -> Result<Option<T>, TlsError> {
        loop {
            let peer_closed = &mut self.peer_closed;
            let result = on!(&mut self.side, conn => {
                // None of `pending` is discarded: it is part of a record or of a message.
                match conn.process_tls_records(pending).state.map(|state| settle(state, peer_closed, out)) {
                    Ok(Some(ConnectionState::WriteTraffic(mut traffic))) => {
                        let result = write(out, &mut |plain, room| {
                            let result = match plain {
                                Some(plain) => traffic.encrypt(plain, room),
                                None => traffic.queue_close_notify(room),
                            };
                            result.map_err(|error| match error {
                                EncryptError::InsufficientSize(size) => Some(size),
                                EncryptError::EncryptExhausted => None,
                            })
                        });
                        return Ok(Some(result));
                    }
                    Ok(settled) => Ok(settled.is_none()),
                    Err(error) => Err(error),
                }
            });
            match result {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => {
                    let error = session_error(&error, self.as_end());
                    return Err(self.fail(out, error));
                }
            }
        }
    }

    /// Fetches the alert for the peer. rustls gets no input here: the ciphertext that failed would cause another alert.
    /// It does not read any as long as it has something to encode. Nothing follows a close_notify (RFC 8446 §6.1).
    fn fail(&mut self, out: &mut Buffer, error: TlsError) -> TlsError {
        on!(&mut self.side, conn => {
            while !self.is_closed && conn.wants_write() {
                match conn.process_tls_records(&mut []).state {
                    Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out),
                    _ => break,
                }
            }
        });
        (**self.failed.get_or_insert_with(|| Box::new(error))).clone()
    }

    /// Handles the end of the stream: an error during the handshake; otherwise returns whether the peer has sent
    /// close_notify.
    pub(super) fn end(&mut self) -> Result<bool, TlsError> {
        if let Some(error) = &self.failed {
            return Err((**error).clone());
        }
        if self.is_handshaking() {
            return Err((**self.failed.insert(Box::new(TlsError::Truncated))).clone());
        }
        Ok(self.peer_closed)
    }

    pub(super) fn is_handshaking(&self) -> bool {
        on!(&self.side, conn => conn.is_handshaking())
    }

    pub(super) fn has_peer_closed(&self) -> bool {
        self.peer_closed
    }

    fn as_end(&self) -> End {
        End {
            is_client: matches!(self.side, Side::Client(_)),
            has_identity: self.has_identity,
            is_handshaking: self.is_handshaking(),
            has_answered: self.flights > 0,
        }
    }

    /// How many flights of the handshake it has sent in answer to the peer.
    pub(super) fn flights(&self) -> u32 {
        self.flights
    }

    /// The result of the TLS handshake, once it is done.
    pub(super) fn info(&self) -> Option<&Arc<TlsInfo>> {
        self.info.as_ref()
    }

    fn result(&self) -> TlsInfo {
        on!(&self.side, conn => {
            let mut info = TlsInfo::new(match conn.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
                _ => TlsVersion::Tls13,
            });
            info.server_name = self.requested.as_ref().and_then(|name| name.get().cloned());
            info.peer_certificates =
                conn.peer_certificates().unwrap_or_default().iter().map(|c| c.to_vec()).collect();
            info.is_resumed = conn.handshake_kind() == Some(HandshakeKind::Resumed);
            info
        })
    }
}

/// Records the name that the client asks for.
#[derive(Debug)]
struct NameRecorder {
    of: Arc<dyn ResolvesServerCert>,
    name: Arc<OnceLock<Box<str>>>,
}

impl ResolvesServerCert for NameRecorder {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = hello.server_name() {
            self.name.get_or_init(|| name.into());
        }
        self.of.resolve(hello)
    }
}

/// Handles a state that only asks for output or reports the peer's end. Returns any other state.
fn settle<'c, 'i, D>(
    state: ConnectionState<'c, 'i, D>,
    peer_closed: &mut bool,
    out: &mut Buffer,
) -> Option<ConnectionState<'c, 'i, D>> {
    match state {
        ConnectionState::EncodeTlsData(data) => encode(data, out),
        ConnectionState::TransmitTlsData(data) => data.done(),
        ConnectionState::PeerClosed => *peer_closed = true,
        other => return Some(other),
    }
    None
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, out: &mut Buffer) {
    append_sized(out, OVERHEAD, |room| {
        data.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(size) => Some(size),
            EncodeError::AlreadyEncoded => None,
        })
    });
}

/// Encrypts plaintext or a close_notify into the room, or returns how much room it needs.
type Encrypt<'a> = dyn FnMut(Option<&[u8]>, &mut [u8]) -> Result<usize, Option<InsufficientSizeError>> + 'a;

/// Appends what `write` writes, growing the room as it requires. Returns whether that succeeded.
fn append_sized(
    out: &mut Buffer,
    guess: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<InsufficientSizeError>>,
) -> bool {
    memory::attach(out);
    let mut least = guess;
    loop {
        match write(out.room(least)) {
            Ok(n) => {
                out.fill(n);
                return true;
            }
            Err(Some(InsufficientSizeError { required_size })) if required_size > least => {
                least = required_size
            }
            Err(_) => return false,
        }
    }
}
