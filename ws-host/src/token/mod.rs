//! Access tokens: a secret in the URL, and in a cookie after the first request.
//!
//! Only holders of the full URL may use the server: `http://192.168.1.7:8700/?token=…`. A browser gets the token as a
//! cookie with the first answer, so that the page's own requests and sockets need none in their URLs.
//!
//! Where [`Cors`](ws_proto::Cors) is set, preflights are answered without a token, and pages of allowed origins can read
//! the 401.
//!
//! A server may accept several tokens, each until a time of day if so wanted, and they may come and go while it runs:
//! [`Tokens`].
//!
//! # Guesses
//!
//! A token has at least 128 random bits, so guessing one is hopeless. An address that has sent ten wrong ones within a
//! minute nevertheless gets 429 in place of 401 for further wrong ones, until that minute is over:
//! [`ServerConfig::token_guesses`](crate::server::ServerConfig::token_guesses). A request with a right token always
//! passes, whatever others of the same address send: many users may share one. A request without any token is no guess.
//! Handshakes that [`answer`](ws_proto::handshake::answer) checks for another HTTP server come without a clock, and are
//! not limited.

mod bearers;
mod guesses;
mod rule;
#[cfg(test)]
mod tests_rule;
mod tokens;

pub use bearers::Bearers;
pub use rule::TokenRule;
pub use tokens::{TokenId, Tokens};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core::fmt;
use core::hint::black_box;
use std::boxed::Box;

/// A secret that authenticates its bearer.
///
/// It is compared in constant time, and `Debug` does not show it.
#[derive(Clone)]
pub struct Token(Box<str>);

impl Token {
    /// A token of unpredictable bytes from the system: at least 16, which the compiler checks. Its text is the Base64 of
    /// these bytes in the alphabet for URLs.
    ///
    /// ```
    /// use ws_host::token::Token;
    /// let token = Token::from_random([7; 16]); // use the system's source of randomness instead
    /// assert_eq!(token.as_str(), "BwcHBwcHBwcHBwcHBwcHBw");
    /// ```
    pub fn from_random<const N: usize>(random: [u8; N]) -> Self {
        const { assert!(N >= 16, "a token needs at least 16 random bytes") };
        Self(URL_SAFE_NO_PAD.encode(random).into())
    }

    /// The token as text; it needs no encoding in a URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the candidate is this token. The time it takes reveals at most whether the length is right.
    pub fn matches(&self, candidate: impl AsRef<[u8]>) -> bool {
        let (own, other) = (self.0.as_bytes(), candidate.as_ref());
        let differs = own.iter().zip(other).fold(0, |differs, (a, b)| black_box(differs | (a ^ b)));
        own.len() == other.len() && differs == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    const TOKEN: &str = "BwcHBwcHBwcHBwcHBwcHBw";

    #[test]
    fn only_the_token_itself_matches() {
        let token = Token::from_random([7; 16]);
        assert!(token.matches(TOKEN));
        for bad in
            ["", "B", &TOKEN[1..], "BwcHBwcHBwcHBwcHBwcHBx", &format!("{TOKEN}x"), &TOKEN.to_lowercase()]
        {
            assert!(!token.matches(bad), "{bad}");
        }
    }
}
