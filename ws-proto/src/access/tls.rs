//! The result of the TLS handshake beneath a connection, as its owner reports it.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// The result of the TLS handshake beneath a connection. The engine has no TLS: the owner of the socket passes this to
/// [`PlainHttp::set_tls`](crate::PlainHttp::set_tls), and each request of the connection has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The name that the client asked for (SNI, RFC 6066 §3); none if it connected to an address.
    pub server_name: Option<Box<str>>,
    /// The peer's certificates in DER, its own first. Empty for a client without one.
    pub peer_certificates: Vec<Vec<u8>>,
    /// The version.
    pub version: TlsVersion,
    /// Whether the session of an earlier connection was resumed.
    pub is_resumed: bool,
}

impl TlsInfo {
    /// A new session of this version, with neither a name nor certificates.
    pub fn new(version: TlsVersion) -> Self {
        Self { server_name: None, peer_certificates: Vec::new(), version, is_resumed: false }
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}
