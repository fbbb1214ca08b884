//! Which addresses a client tries, in which order, its errors, and when it retries.
//!
//! ```text
//!  ClientRequest ──addresses──▶ literals and localhost ─────────────────────▶ Race ──▶ a connection
//!        │                      any other name ──▶ Lookups ──interleaved──▶     │            │
//!        │                                                                      ▼            ▼
//!        └◀───────────── the next attempt ◀── Backoff::schedule_next ◀── ConnectError,    Closed
//! ```

mod addresses;
mod config;
mod error;
mod lookups;
mod race;
mod reconnect;
mod retry;
mod tls_failure;
mod zones;

pub use crate::layer::ConnectStep;
pub use addresses::{addresses, addresses_with, interleaved, needs_resolver};
pub use config::{ClientConfig, ClientState};
pub use error::{ConnectError, InvalidTarget};
pub use lookups::{Lookups, MAX_LOOKUPS};
pub use race::{NEXT_ADDRESS_AFTER, Race, RaceStep};
pub use reconnect::{Backoff, Reconnect};
pub use retry::retry_after;
