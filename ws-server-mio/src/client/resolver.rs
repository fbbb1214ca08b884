//! Name lookups of clients.
//!
//! ```text
//!  a client asks ─▶ Lookups ──at most 8──▶ thread "ws-names" ──Remote::run──▶ Connections::resolved
//!                     ▲                                                               │ all its clients resume
//!                     └───────────────────────── the next name ◀──────────────────────┘
//! ```

use crate::ids::ClientId;
use crate::sys::Answer;
use ws_host::client::{Lookups, MAX_LOOKUPS};
#[cfg(feature = "tls-no-provider")]
use ws_host::tls::TlsClient;

/// A client, and its waiting attempt.
pub(crate) type Waiter = (ClientId, u32);

/// The lookups under way, and their clients.
pub(crate) struct Resolver {
    pub(crate) names: Lookups<Waiter>,
    /// Creates the callback for a name's answer.
    pub(crate) answer: Box<dyn Fn(String) -> Answer + Send>,
    /// The TLS of a client that waits for the roots of the system: the next lookup reads them on its thread.
    #[cfg(feature = "tls-no-provider")]
    pub(crate) unprepared: Vec<TlsClient>,
}

impl Resolver {
    pub(crate) fn new(answer: Box<dyn Fn(String) -> Answer + Send>) -> Self {
        Self {
            names: Lookups::new(MAX_LOOKUPS),
            answer,
            #[cfg(feature = "tls-no-provider")]
            unprepared: Vec::new(),
        }
    }
}
