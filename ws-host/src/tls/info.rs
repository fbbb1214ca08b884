//! What a handshake agreed on.

use std::boxed::Box;
use std::vec::Vec;

/// What the two sides of a connection agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The name that the client asked for (SNI, RFC 6066 §3); none if it connected to an address.
    pub server_name: Option<Box<str>>,
    /// The peer's certificates in DER, its own first. Empty for a client without one.
    pub certificates: Vec<Vec<u8>>,
    /// The version.
    pub version: TlsVersion,
    /// The session of an earlier connection was resumed.
    pub is_resumed: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}
