//! Names that clients wait for.
//!
//! ```text
//!  a client asks ─▶ Lookups ──at most 8──▶ thread "ws-names" ──Remote::run──▶ Connections::resolved
//!                     ▲                                                               │ all its clients go on
//!                     └───────────────────────── the next name ◀──────────────────────┘
//! ```

use crate::ids::ClientId;
use crate::sys::Answer;
use ws_host::client::{Lookups, MAX_LOOKUPS};

/// A client, and which of its attempts waits.
pub(crate) type Waiter = (ClientId, u32);

/// Which names are being looked up, and for whom.
pub(crate) struct Resolver {
    pub(crate) names: Lookups<Waiter>,
    /// Makes what takes the answer for a name.
    pub(crate) answer: Box<dyn Fn(String) -> Answer + Send>,
}

impl Resolver {
    pub(crate) fn new(answer: Box<dyn Fn(String) -> Answer + Send>) -> Self {
        Self { names: Lookups::new(MAX_LOOKUPS), answer }
    }
}
