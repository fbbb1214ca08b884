//! TLS for the tests of those who speak it.

mod bad;
mod certificates;
pub mod ends;
mod peer;

pub use bad::{Bad, Outcome, bad_certificates};
pub use certificates::{Authority, expired, for_clients, not_yet_valid, numbered, self_signed};
pub use peer::{Peer, VERSIONS, client_config, server_config};
pub use rustls;
