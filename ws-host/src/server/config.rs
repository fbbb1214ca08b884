//! What a server allows: how many may come, and how many came.

use crate::token::{Token, TokenRule};
use core::net::SocketAddr;
use ws_proto::Config;
use ws_proto::Cors;
use ws_proto::{InvalidAccess, Memory};

/// What a server allows: the rules of each connection, and how many there may be.
///
/// A [`Config`] alone is a server with the other defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The rules of each connection.
    pub connection: Config,
    /// The most connections at a time, plain HTTP included; further ones are closed as they come; zero
    /// closes all of them. 10,000.
    pub max_connections: usize,
    /// The most connections of one address at a time, an IPv6 network (/64) being one; further ones are closed
    /// as they come; zero closes all of them. This machine has no such limit. 1,000; for a server behind a proxy, `None`.
    pub max_per_address: Option<usize>,
    /// The most connections at a time that have asked nothing yet; further ones wait in the kernel until one of
    /// those has, or its [time](Config::handshake_timeout) is over. Zero is one; `None` is a quarter of
    /// `max_connections`, and 16 at least.
    pub max_handshakes: Option<usize>,
    /// The most bytes that the server holds for all its connections together: in outboxes, in unfinished messages, and
    /// read ahead; what is shared counts once, and what is below the low mark not at all. See
    /// [`Memory`]. 1 GiB.
    pub memory_limit: Option<usize>,
    /// What a client must show. Nothing.
    pub token: Option<Token>,
}

impl ServerConfig {
    /// The defaults, with these rules for each connection.
    pub fn new(connection: Config) -> Self {
        Self {
            connection,
            max_connections: 10_000,
            max_per_address: Some(1_000),
            max_handshakes: None,
            memory_limit: Some(1 << 30),
            token: None,
        }
    }

    /// Sets the most connections at a time.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Sets the most connections of one address at a time.
    #[must_use]
    pub fn max_per_address(mut self, connections: Option<usize>) -> Self {
        self.max_per_address = connections;
        self
    }

    /// Sets the most connections at a time that have asked nothing yet.
    #[must_use]
    pub fn max_handshakes(mut self, connections: usize) -> Self {
        self.max_handshakes = Some(connections);
        self
    }

    /// Sets the most bytes that the server holds for all its connections together; `None` is no limit.
    #[must_use]
    pub fn memory_limit(mut self, bytes: Option<usize>) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// Sets whose pages may read what the server answers across origins: [`Config::cors`] of each connection. Where a
    /// token is required, preflights need none, and the 401 is readable too.
    #[must_use]
    pub fn cors(mut self, cors: Cors) -> Self {
        self.connection.cors = cors;
        self
    }

    /// The rules of each connection of a server that starts now, with the memory that they share.
    pub fn shared_config(&self) -> Config {
        let mut config = self.connection.clone();
        if config.memory.is_none() {
            config.memory = self.memory_limit.map(Memory::new);
        }
        config
    }

    /// Answers 401 to every request, and to every WebSocket, that does not show this token. Hand it out in the
    /// URL, as `?token=…`; a browser has it as a cookie from then on. See [`token`](crate::token).
    ///
    /// ```
    /// use ws_host::server::ServerConfig;
    /// use ws_host::token::Token;
    ///
    /// let mut random = [0; 16];
    /// getrandom::fill(&mut random)?;
    /// let token = Token::from_random(random);
    /// let link = format!("?token={}", token.as_str()); // after the server's URL
    /// let config = ServerConfig::default().require_token(token);
    /// # Ok::<(), getrandom::Error>(())
    /// ```
    #[must_use]
    pub fn require_token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Whether all can be allowed that its rules for `Host`, `Origin` and CORS say: what each start of a server asks
    /// first.
    ///
    /// # Errors
    /// [`InvalidAccess`]: the first that cannot be allowed.
    pub fn check_access(&self) -> Result<(), InvalidAccess> {
        self.connection.check_access()
    }

    /// What lets clients of a server at this address in.
    pub fn token_rule(&self, address: Option<SocketAddr>) -> Option<TokenRule> {
        let rule = TokenRule::new(self.token.clone()?);
        Some(match address {
            Some(address) => rule.port(address.port()),
            None => rule,
        })
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self::new(Config::server())
    }
}

impl From<Config> for ServerConfig {
    fn from(connection: Config) -> Self {
        Self::new(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_of_a_host_has_a_cookie_of_its_own() {
        let config = ServerConfig::default().require_token(Token::from_random([1; 16]));
        let cookie = |address| config.token_rule(address).map(|rule| rule.set_cookie());
        let (one, two) = (cookie(Some(([127, 0, 0, 1], 1).into())), cookie(Some(([127, 0, 0, 1], 2).into())));
        assert!(one.is_some() && one != two && one != cookie(None));
        assert!(ServerConfig::default().token_rule(None).is_none(), "nothing is required");
    }
}
