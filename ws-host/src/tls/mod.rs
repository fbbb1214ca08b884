//! TLS beneath a connection: `wss://` and `https://`, in both roles.
//!
//! [`TlsServer`] and [`TlsClient`] are the configurations: the certificate that a side presents, and the certificates
//! that it accepts. [`TlsStream`] is one session: bytes in, bytes out, without I/O. [`TlsLayer`] drives it over a
//! socket that does not block, for both adapters.
//!
//! [rustls](https://docs.rs/rustls) implements the protocol, TLS 1.3 and 1.2, with the crypto provider of ring or
//! AWS-LC, by feature, or with any [`CryptoProvider`](rustls::crypto::CryptoProvider) that the application passes. The
//! default provider of the process is never used, so that no other crate of a program can choose it.
//!
//! With the feature `tls-self-signed`, `SelfSigned` makes certificates for this machine and its network, and `TrustPage`
//! tells users how to import the CA that issues them.

mod buffer;
mod client;
mod error;
mod identity;
mod judge;
mod layer;
mod memory;
mod mode;
mod pem;
mod pin;
mod provider;
#[cfg(feature = "tls-self-signed")]
mod self_signed;
mod server;
mod session;
mod stream;
mod x509;

pub use client::TlsClient;
pub use error::InvalidTls;
pub use identity::Identity;
pub use layer::TlsLayer;
pub use mode::{ServerTls, TlsMode};
/// For configurations of its own types, and for providers.
pub use rustls;
#[cfg(feature = "tls-self-signed")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls-self-signed")))]
pub use self_signed::{LocalCa, SelfSigned, TrustPage, trust_page};
pub use server::{ClientCertificates, TlsServer};
pub use stream::{Opened, TlsStream};
pub use ws_proto::{CertificateFault, NameMismatch, TlsAlert, TlsError, TlsInfo, TlsVersion};

/// The protocol within TLS (RFC 7301 §6).
const HTTP_1_1: &str = "http/1.1";
/// The protocol of clients without HTTP/1.1, such as `curl --http1.0`.
const HTTP_1_0: &str = "http/1.0";
