//! Listening: to come. What a server knows of each connection.

use crate::shared::Shared;
use std::sync::Arc;

/// That a connection belongs to a server, which counts it, and can reach it.
pub(crate) struct Membership;

impl Membership {
    /// The connection is an open WebSocket from now on.
    pub(crate) fn opened(&mut self, _shared: &Arc<Shared>) {}
}
