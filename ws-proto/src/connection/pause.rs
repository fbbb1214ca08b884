//! Reading that the application holds back.

use super::Connection;
use std::time::Instant;

impl Connection {
    /// Stops reading: [`receive`](Self::receive) leaves its input with the caller until [`resume`](Self::resume) or
    /// [`close`](Self::close). Sending goes on.
    ///
    /// While reading is paused no heartbeat is judged, since its answer may stand unread; a heartbeat that is due is
    /// still sent, and a peer that takes no output is still found.
    pub fn pause(&mut self) {}

    /// Reads on. Harmless where nothing is paused.
    pub fn resume(&mut self, _now: Instant) {}
}
