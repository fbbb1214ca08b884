//! TLS beneath a connection: `wss://` and `https://`, in both roles.
//!
//! [`TlsServer`] and [`TlsClient`] say who a side is and whom it trusts. [`TlsStream`] is one session: bytes in, bytes
//! out, without I/O. [`TlsLayer`] drives it over a socket that does not block, for both adapters.
//!
//! The protocol is that of [rustls](https://docs.rs/rustls), in versions 1.3 and 1.2, with the cryptography of ring or
//! AWS-LC, by feature, or of any [`CryptoProvider`](rustls::crypto::CryptoProvider) that the application passes. None is
//! ever taken from the process's default, so that no other crate of a program decides about it.

mod buffer;
mod client;
mod error;
mod identity;
mod layer;
mod memory;
mod mode;
mod pem;
mod pin;
mod provider;
mod server;
mod session;
mod stream;

pub use client::TlsClient;
pub use error::InvalidTls;
pub use identity::Identity;
pub use layer::TlsLayer;
pub use mode::{ServerTls, TlsMode};
/// For configurations of its own types, and for providers.
pub use rustls;
pub use server::{ClientCertificates, TlsServer};
pub use stream::{Opened, TlsStream};
pub use ws_proto::{TlsAlert, TlsError, TlsInfo, TlsVersion};

/// The protocol within TLS (RFC 7301 §6).
const HTTP_1_1: &str = "http/1.1";
/// What a client without HTTP/1.1 speaks, such as `curl --http1.0`.
const HTTP_1_0: &str = "http/1.0";
