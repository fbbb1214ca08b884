//! The tokens by which WebSockets came.

use crate::connection::Connections;
use crate::ids::ConnectionId;
use ws_host::token::TokenId;
use ws_proto::{CloseCode, State, Upgrade};

impl Connections {
    /// The token by which a WebSocket came to a server that [requires](crate::ServerConfig::require_tokens) one.
    pub fn token(&self, id: ConnectionId) -> Option<TokenId> {
        self.bearers.token(id)
    }

    /// Closes each open WebSocket whose token was [revoked](crate::Tokens::revoke), or has expired, with 1008 (policy
    /// violation), and terminates each whose upgrade is undecided; returns how many. Revoking a token alone closes nothing:
    /// call this afterwards, or now and then in a [timer](Self::after).
    ///
    /// ```
    /// # use ws_server_mio::{Endpoint, Token, Tokens};
    /// # let mut endpoint = Endpoint::new()?;
    /// # let connections = endpoint.connections();
    /// # let tokens = Tokens::new();
    /// # let lost = tokens.add(Token::from_random([7; 16]));
    /// tokens.revoke(lost);
    /// println!("{} closed", connections.close_revoked());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn close_revoked(&mut self) -> usize {
        let revoked = self.bearers.revoked();
        revoked.into_iter().filter(|id| self.end_revoked(*id)).count()
    }

    /// Returns whether there was something to end.
    fn end_revoked(&mut self, id: ConnectionId) -> bool {
        if self.state(id) == State::Connecting {
            // Otherwise the application could still accept it.
            self.terminate(id);
            return true;
        }
        self.close(id, CloseCode::POLICY, "token revoked").is_ok()
    }

    /// A client requests an upgrade, and has passed the rule of its server.
    pub(crate) fn note_token(&mut self, id: ConnectionId, upgrade: &Upgrade) {
        let server = self.slots.get(id).and_then(|live| self.servers.at(live.server));
        if let Some(rule) = server.and_then(|server| server.token.as_ref()) {
            self.bearers.note(id, rule, upgrade);
        }
    }
}
