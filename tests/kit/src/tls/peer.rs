//! A peer that speaks TLS: the buffered connection of rustls, which our own layer does not use.

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

/// Both versions, and each alone.
pub static VERSIONS: [&[&SupportedProtocolVersion]; 3] = [ALL_VERSIONS, &[&TLS13], &[&TLS12]];

/// A client that trusts this root, in PEM, and speaks these versions.
pub fn client_config(root: &str, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A server with this certificate and key, in PEM, in these versions.
pub fn server_config(
    [chain, key]: &[String; 2],
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

/// One end of a session, without I/O.
#[derive(Debug)]
pub struct Peer {
    pub connection: Connection,
    has_peer_closed: bool,
}

impl Peer {
    /// A client of `localhost`.
    pub fn client(config: impl Into<Arc<ClientConfig>>) -> Self {
        let name = "localhost".try_into().unwrap();
        Self::of(ClientConnection::new(config.into(), name).unwrap().into())
    }

    pub fn server(config: impl Into<Arc<ServerConfig>>) -> Self {
        Self::of(ServerConnection::new(config.into()).unwrap().into())
    }

    fn of(mut connection: Connection) -> Self {
        connection.set_buffer_limit(None);
        Self { connection, has_peer_closed: false }
    }

    /// Receives ciphertext; returns the plaintext.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let mut plain = Vec::new();
        while !bytes.is_empty() && !self.has_peer_closed {
            self.connection.read_tls(&mut bytes).unwrap();
            self.has_peer_closed |= self.connection.process_new_packets()?.peer_has_closed();
            match self.connection.reader().read_to_end(&mut plain) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        }
        Ok(plain)
    }

    /// Whether a close_notify was received. What follows it is ignored.
    pub fn has_peer_closed(&self) -> bool {
        self.has_peer_closed
    }

    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Encrypts this, now or once the handshake is done.
    pub fn send(&mut self, plain: &[u8]) {
        self.connection.writer().write_all(plain).unwrap();
    }

    /// Sends a close_notify.
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// What must be sent.
    pub fn take_output(&mut self) -> Vec<u8> {
        let mut output = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut output).unwrap();
        }
        output
    }
}
