//! Pausing reads at the application's request.

use super::backpressure::Held;
use super::{Connection, Stage};
use crate::moment::Moment;

impl Connection {
    /// Stops reading: [`handle_input`](Self::handle_input) leaves its input with the caller until
    /// [`resume`](Self::resume) or [`close`](Self::close). Sending continues. Has no effect in the closing phase, which
    /// only reading can end.
    ///
    /// While reading is paused no heartbeat times out, since its answer may be unread; a due heartbeat is still sent,
    /// and a peer that takes no output is still detected. The peer's Pings wait unread, too: unless heartbeats are off, a
    /// Pong every 10 s shows that this end is alive, which satisfies a peer that takes any input as an answer, but not
    /// one that insists on its payload. A connection that ends meanwhile [reports the
    /// pause](crate::Closed::reading_paused).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use ws_proto::{Config, Connection, Moment, Role};
    ///
    /// let now = Moment::default();
    /// let mut server = Connection::upgraded(now, Arc::new(Config::server()), Role::Server);
    /// server.pause();
    /// let mut bytes = *b"\x81\x80\0\0\0\0";
    /// let mut input = &mut bytes[..];
    /// assert!(server.handle_input(now, &mut input).is_none() && input.len() == 6);
    /// server.resume(now);
    /// assert!(server.handle_input(now, &mut input).is_some());
    /// ```
    pub fn pause(&mut self) {
        if matches!(self.stage, Stage::Http(_) | Stage::Handshake(_) | Stage::Opened(_) | Stage::Open(_)) {
            self.input.held.set(Held::PAUSED, true);
            if let Stage::Http(http) = &mut self.stage {
                http.hold();
            }
            // Read deadlines stop, and the heartbeat has other rules.
            self.arm();
        }
    }

    /// Resumes reading. Harmless where nothing is paused.
    pub fn resume(&mut self, now: Moment) {
        if self.input.held.has(Held::PAUSED) {
            self.input.held.set(Held::PAUSED, false);
            self.resume_reading(now);
            self.update_http_held(now);
        }
    }
}
