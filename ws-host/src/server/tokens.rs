//! A server's configuration: the tokens that it requires.

use super::ServerConfig;
use crate::token::{Token, TokenRule, Tokens};
use core::net::SocketAddr;
use ws_proto::WallClock;

impl ServerConfig {
    /// Requires this token: a request or an upgrade without it gets 401 before any of its body is read, and the
    /// connection ends. A request that the engine rejects by itself, for a malformed head or a foreign `Host` for
    /// example, gets the status of that instead. Hand the token out in the URL, as `?token=…`; a browser keeps
    /// it as a cookie from then on. See [`token`](crate::token); the adapters have `Token` at their root.
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
    pub fn require_token(self, token: Token) -> Self {
        let tokens = Tokens::new();
        tokens.add(token);
        self.require_tokens(tokens)
    }

    /// Requires one of these tokens, of which there may be more or fewer as time passes; otherwise as
    /// [`require_token`](Self::require_token), which this replaces. With none, every request is rejected.
    #[must_use]
    pub fn require_tokens(mut self, tokens: Tokens) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Limits the wrong tokens that an address may send in a minute, an IPv6 network (/64) counting as one; further ones
    /// are answered 429 with `Retry-After`, in place of 401. Requests with a right token, and those without any, are not
    /// limited. The 4,096 addresses that began last are remembered. 10; `None` is no limit.
    #[must_use]
    pub fn token_guesses(mut self, per_minute: Option<u32>) -> Self {
        self.token_guesses = per_minute;
        self
    }

    /// The most wrong tokens of an address in a minute.
    pub fn get_token_guesses(&self) -> Option<u32> {
        self.token_guesses
    }

    /// The rule that requires a token, for a server at this address, whose port is in the name of the cookie; `None` if
    /// none is required.
    pub fn token_rule(&self, address: Option<SocketAddr>, clock: Option<&WallClock>) -> Option<TokenRule> {
        let rule = TokenRule::of(self.tokens.clone()?).secure(!self.is_plain_served());
        let rule = rule.clock(clock).guesses(self.token_guesses);
        Some(match address {
            Some(address) => rule.port(address.port()),
            None => rule,
        })
    }
}
