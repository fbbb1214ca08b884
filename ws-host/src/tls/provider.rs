//! The crypto provider: passed by value, never the default of the process.

use super::error::InvalidTls;
use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;
use std::sync::Arc;

/// The provider of ring where it is built in, otherwise that of AWS-LC.
pub(super) fn default() -> Result<Arc<CryptoProvider>, InvalidTls> {
    #[cfg(feature = "tls")]
    return Ok(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(all(feature = "tls-aws-lc-rs", not(feature = "tls")))]
    return Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(not(any(feature = "tls", feature = "tls-aws-lc-rs")))]
    Err(InvalidTls::NoProvider)
}

/// Keys for tickets, new ones for each configuration: a ticket of one must not be accepted under another. `None`
/// without a built-in provider: sessions are then kept in memory.
pub(super) fn ticketer() -> Option<Arc<dyn ProducesTickets>> {
    #[cfg(feature = "tls")]
    return rustls::crypto::ring::Ticketer::new().ok();
    #[cfg(all(feature = "tls-aws-lc-rs", not(feature = "tls")))]
    return rustls::crypto::aws_lc_rs::Ticketer::new().ok();
    #[cfg(not(any(feature = "tls", feature = "tls-aws-lc-rs")))]
    None
}
