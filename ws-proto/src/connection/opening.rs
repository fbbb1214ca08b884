//! Connections whose opening handshake another HTTP server has read.

use super::{Connection, Moment, Role};
use crate::config::Config;
use crate::handshake::Opening;
use alloc::sync::Arc;

impl Opening {
    /// The server's end, open at once; it emits no [`Event::Open`](crate::Event::Open). Pass the configuration that
    /// answered the handshake.
    pub fn into_connection(self, now: Moment, config: Arc<Config>) -> Connection {
        let mut connection = Connection::upgraded(now, config, Role::Server);
        if let Some(terms) = self.terms {
            connection.agree_on(terms);
        }
        connection
    }
}
