//! One end of a session: our layer on a socket that never blocks, with what every owner of a layer is promised.

use super::provider::{Side, Terms, as_side, provider};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use ws_host::tls::rustls::RootCertStore;
use ws_host::tls::rustls::pki_types::CertificateDer;
use ws_host::tls::rustls::pki_types::pem::PemObject;
use ws_host::tls::{
    ClientCertificates, Identity, ServerTls, TlsClient, TlsError, TlsLayer, TlsMode, TlsServer,
};
use ws_proto::{Config, Error};

const ROOT: &str = include_str!("root.pem");
const CHAIN: &str = include_str!("chain.pem");
const KEY: &str = include_str!("key.pem");

/// The most that the buffers of a layer hold: a message of the handshake, a record of plaintext, and output of 64 KiB and
/// a record. A buffer that grows at most doubles.
const MOST_HELD: usize = (2 * (64 + 24 + 16 + 64 + 24)) << 10;

/// What a session is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) terms: Terms,
    /// The server requires a certificate of the client, which has one.
    pub(crate) with_client_certificate: bool,
    pub(crate) mode: TlsMode,
}

impl Setup {
    pub(crate) fn of(byte: u8) -> Self {
        Self {
            terms: [Terms::Tls13, Terms::Tls12, Terms::Retry, Terms::Tls13][usize::from(byte & 3)],
            with_client_certificate: byte & 4 != 0,
            mode: [TlsMode::Only, TlsMode::OrRedirect, TlsMode::OrPlain, TlsMode::Only]
                [usize::from(byte >> 3 & 3)],
        }
    }

    pub(crate) fn layer(self, side: Side) -> TlsLayer {
        let provider = provider(side, self.terms);
        let identity = || Identity::with_provider(&provider, CHAIN, KEY).unwrap();
        match side {
            Side::Client => {
                let mut client = TlsClient::roots_only(ROOT).unwrap().provider(provider.clone());
                if self.with_client_certificate {
                    client = client.identity(identity());
                }
                TlsLayer::client(&client, "localhost").unwrap()
            }
            Side::Server => {
                let mut server = TlsServer::with_provider(provider.clone(), identity()).unwrap();
                if self.with_client_certificate {
                    server = server.client_certificates(ROOT, ClientCertificates::Required).unwrap();
                }
                TlsLayer::server(ServerTls::new(server, self.mode, &Config::server()))
            }
        }
    }
}

/// What the peer has sent, and what is sent to it.
#[derive(Debug, Default)]
pub(crate) struct Socket {
    pub(crate) input: VecDeque<u8>,
    pub(crate) is_over: bool,
    pub(crate) output: Vec<u8>,
    /// How much of the output fits.
    pub(crate) room: usize,
    /// The most that is read or written at once.
    pub(crate) sip: usize,
    was_read: usize,
    has_read_nothing: bool,
    has_written_nothing: bool,
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!buffer.is_empty(), "no room to read");
        let n = self.input.len().min(buffer.len()).min(self.sip);
        for (to, byte) in buffer.iter_mut().zip(self.input.drain(..n)) {
            *to = byte;
        }
        self.was_read += n;
        if n == 0 && !self.is_over {
            self.has_read_nothing = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(n)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!bytes.is_empty(), "nothing to write");
        let n = bytes.len().min(self.room).min(self.sip);
        self.output.extend_from_slice(&bytes[..n]);
        self.room -= n;
        if n == 0 {
            self.has_written_nothing = true;
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One end, and what it has sent and received.
#[derive(Debug)]
pub(crate) struct End {
    side: Side,
    layer: TlsLayer,
    pub(crate) socket: Socket,
    /// How much its application has for the peer, and how much of it was taken.
    pub(crate) offered: usize,
    taken: usize,
    pub(crate) received: Vec<u8>,
    pub(crate) error: Option<TlsError>,
    /// It has read the end.
    pub(crate) has_ended: bool,
    pub(crate) has_closed: bool,
}

impl End {
    pub(crate) fn new(side: Side, setup: Setup) -> Self {
        let socket = Socket { room: usize::MAX, sip: usize::MAX, ..Socket::default() };
        Self {
            side,
            layer: as_side(side, || setup.layer(side)),
            socket,
            offered: 0,
            taken: 0,
            received: Vec::new(),
            error: None,
            has_ended: false,
            has_closed: false,
        }
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.layer.is_handshaking()
    }

    pub(crate) fn is_plain(&self) -> bool {
        !self.is_handshaking() && self.layer.info().is_none()
    }

    /// Runs a method of the layer, and checks what holds after each.
    fn call<T>(
        &mut self,
        run: impl FnOnce(&mut TlsLayer, &mut Socket) -> io::Result<T>,
    ) -> Result<T, ErrorKind> {
        (self.socket.has_read_nothing, self.socket.has_written_nothing) = (false, false);
        self.socket.was_read = 0;
        let (layer, socket) = (&mut self.layer, &mut self.socket);
        let result = as_side(self.side, || run(layer, socket));
        assert!(self.layer.held() <= MOST_HELD, "it holds {} bytes", self.layer.held());
        result.map_err(|error| {
            let kind = error.kind();
            match Error::from(error) {
                Error::Tls(error) => {
                    let first = self.error.get_or_insert_with(|| error.clone());
                    assert_eq!(*first, error, "another error follows the first");
                }
                other => assert_ne!(kind, ErrorKind::InvalidData, "{other}"),
            }
            kind
        })
    }

    /// Reads until the socket has nothing, or the end.
    pub(crate) fn read(&mut self) {
        let mut buffer = [0; 1500];
        loop {
            let has_failed = self.error.is_some();
            match self.call(|layer, socket| layer.read(socket, &mut buffer)) {
                Ok(0) => {
                    self.has_ended = true;
                    return;
                }
                Ok(n) => {
                    assert!(!has_failed && !self.has_ended, "plaintext after the end");
                    self.received.extend_from_slice(&buffer[..n]);
                }
                Err(ErrorKind::Interrupted) => {
                    assert!(!has_failed && self.socket.was_read > 0, "no progress");
                }
                Err(ErrorKind::WouldBlock) => {
                    assert!(self.socket.has_read_nothing, "it waits, but not for the socket");
                    assert!(!has_failed, "it waits after an error");
                    return;
                }
                Err(kind) => {
                    assert_eq!(kind, ErrorKind::InvalidData);
                    return;
                }
            }
        }
    }

    /// Writes what the application has, and what the layer has.
    pub(crate) fn write(&mut self) {
        while self.taken < self.offered && !self.has_closed {
            let has_failed = self.error.is_some();
            let content: Vec<u8> = (self.taken..self.offered).map(|at| pattern(self.side, at)).collect();
            let (first, second) = content.split_at(content.len() / 3);
            let slices = [IoSlice::new(first), IoSlice::new(second)];
            match self.call(|layer, socket| layer.write(socket, &slices)) {
                Ok(n) => {
                    assert!(n > 0 && n <= content.len());
                    self.taken += n;
                }
                Err(ErrorKind::WouldBlock) => {
                    assert!(!has_failed || self.socket.has_written_nothing, "it waits after an error");
                    let waits = self.is_handshaking() || self.socket.has_written_nothing;
                    assert!(waits, "it takes nothing, and waits for nothing");
                    break;
                }
                Err(kind) => {
                    assert_eq!(kind, ErrorKind::InvalidData);
                    break;
                }
            }
        }
        match self.call(|layer, socket| layer.flush(socket)) {
            Ok(()) => assert!(!self.layer.needs_flush()),
            Err(kind) => {
                assert_eq!(kind, ErrorKind::WouldBlock);
                assert!(self.socket.has_written_nothing && self.layer.needs_flush());
            }
        }
    }

    /// Sends close_notify.
    pub(crate) fn close(&mut self) {
        self.has_closed |= !self.is_handshaking();
        as_side(self.side, || self.layer.close());
        self.write();
    }

    /// How much its buffers hold.
    pub(crate) fn held(&self) -> usize {
        self.layer.held()
    }
}

/// The roots of a client of rustls.
pub(crate) fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ROOT.as_bytes()).unwrap()).unwrap();
    roots
}

/// A byte of what an end sends.
pub(crate) fn pattern(side: Side, at: usize) -> u8 {
    (at.wrapping_mul(31) + (at >> 8)) as u8 ^ side as u8
}
