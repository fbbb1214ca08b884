//! Connections whose opening handshake another HTTP server has read.

use super::{Connection, Moment, Role, Stage};
use crate::config::Config;
use crate::deflate::PerMessage;
use crate::http::Opening;
use alloc::sync::Arc;

impl Opening {
    /// The server's end, open at once; no [`Event::Open`](crate::Event::Open) comes. The configuration is the one by which
    /// the handshake was answered.
    pub fn into_connection(self, now: Moment, config: Arc<Config>) -> Connection {
        let mut connection = Connection::upgraded(now, config, Role::Server);
        let compression =
            self.terms.and_then(|terms| PerMessage::new(connection.config.deflate.as_ref(), terms));
        if compression.is_some() {
            connection.stage = Stage::Open(compression);
            connection.begin_shares();
        }
        connection
    }
}
