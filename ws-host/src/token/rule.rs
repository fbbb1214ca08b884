//! The rule for the heads of requests.

use super::guesses::Guesses;
use super::{Token, TokenId, Tokens};
use ::http::HeaderMap;
use ::http::header::{self, HeaderValue};
use std::sync::Arc;
use ws_proto::fields::{cookies, hide_secret};
use ws_proto::{HeadRule, RequestError, RequestHead, Transport, WallClock};

/// Authenticates requests by one of some tokens: in the query parameter `token`, in a cookie, or as `Authorization: Bearer`
/// (RFC 6750 §2.1) for programs. Servers get it from
/// [`ServerConfig::require_token`](crate::server::ServerConfig::require_token).
#[derive(Clone, Debug)]
pub struct TokenRule {
    tokens: Tokens,
    cookie: String,
    is_secure: bool,
    clock: Option<WallClock>,
    guesses: Option<Arc<Guesses>>,
}

/// A token in a request.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) source: TokenSource,
    id: TokenId,
    token: Token,
}

/// Where a request carries the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenSource {
    /// Only in its query: the answer carries [`TokenRule::set_cookie`].
    Query,
    /// In a cookie or in its `Authorization`, and perhaps in its query.
    Header,
}

impl TokenRule {
    /// Requires this token.
    pub fn new(token: Token) -> Self {
        let tokens = Tokens::new();
        tokens.add(token);
        Self::of(tokens)
    }

    /// Requires one of these tokens.
    pub fn of(tokens: Tokens) -> Self {
        Self { tokens, cookie: "ws_token".to_owned(), is_secure: false, clock: None, guesses: None }
    }

    /// The time of day, by which tokens expire. Without one, a token that has an end is not accepted.
    #[must_use]
    pub fn clock(mut self, clock: Option<&WallClock>) -> Self {
        self.clock = clock.cloned();
        self
    }

    /// Limits the wrong tokens a minute of one address: [`ServerConfig::token_guesses`](crate::server::ServerConfig::token_guesses).
    /// Clones share the count. No limit.
    #[must_use]
    pub fn guesses(mut self, per_minute: Option<u32>) -> Self {
        self.guesses = per_minute.map(|limit| Arc::new(Guesses::new(limit)));
        self
    }

    /// The token that a request carries; `None` if it has none that is valid now.
    pub fn token_of(&self, head: &RequestHead<'_>) -> Option<TokenId> {
        self.find(head.query(), head.headers()).map(|found| found.id)
    }

    /// Whether this token is still accepted: neither revoked nor expired.
    pub fn accepts(&self, id: TokenId) -> bool {
        self.tokens.accepts(id, self.clock.as_ref().and_then(WallClock::get))
    }

    /// Names the cookie after the server's port. All ports of a host share their cookies (RFC 6265 §8.5), so two servers
    /// would otherwise overwrite each other's.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.cookie = format!("ws_token_{port}");
        self
    }

    /// Marks the cookie `Secure`, for a server that speaks TLS: a browser then sends it only over TLS. Where a trusted
    /// proxy says whether the client speaks TLS, that decides.
    #[must_use]
    pub fn secure(mut self, is_secure: bool) -> Self {
        self.is_secure = is_secure;
        self
    }

    /// Looks for a token in a request; `None` when it is missing. One in the query precedes that of a cookie: a browser
    /// with an earlier token has opened the link of a later one. Cookies with other names or bytes do not hide it: a page
    /// on another port of this host can set them, and must not lock out the bearer.
    pub(super) fn find(&self, query: Option<&str>, headers: &HeaderMap) -> Option<Found> {
        let now = self.clock.as_ref().and_then(WallClock::get);
        let found = |source| move |(id, token)| Found { source, id, token };
        let mut in_header = self.cookies(headers).chain(bearers(headers));
        let mut in_query = in_query(query);
        match in_query.find_map(|value| self.tokens.find(value.as_bytes(), now)) {
            Some((id, token)) => {
                let is_known = in_header.any(|candidate| token.matches(candidate));
                Some((id, token)).map(found(if is_known { TokenSource::Header } else { TokenSource::Query }))
            }
            None => in_header
                .find_map(|candidate| self.tokens.find(candidate, now))
                .map(found(TokenSource::Header)),
        }
    }

    fn cookies<'h>(&'h self, headers: &'h HeaderMap) -> impl Iterator<Item = &'h [u8]> {
        let own = self.cookie.as_bytes();
        cookies(headers).filter(move |(name, _)| *name == own).map(|(_, value)| value)
    }

    /// Whether a request has anything in the place of a token.
    fn is_guess(&self, head: &RequestHead<'_>) -> bool {
        let mut candidates = self.cookies(head.headers()).chain(bearers(head.headers()));
        candidates.next().is_some() || in_query(head.query()).next().is_some()
    }

    /// Whether the query has a token that is valid now.
    fn is_in_query(&self, query: Option<&str>) -> bool {
        let now = self.clock.as_ref().and_then(WallClock::get);
        in_query(query).any(|value| self.tokens.find(value.as_bytes(), now).is_some())
    }

    /// The value of the `Set-Cookie` that makes a browser send the token from then on. Scripts cannot read the cookie,
    /// and cross-site requests do not carry it.
    pub(crate) fn set_cookie(&self, token: &Token, transport: Transport) -> String {
        let is_secure = if transport.forwarded { transport.secure } else { self.is_secure };
        let secure = if is_secure { "; Secure" } else { "" };
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict{secure}", self.cookie, token.as_str())
    }
}

/// A token in the query is kept out of the `Referer` of requests to other sites, and a browser that sends it there gets
/// the cookie.
impl HeadRule for TokenRule {
    fn check(&self, head: &RequestHead<'_>) -> Result<(), RequestError> {
        if self.find(head.query(), head.headers()).is_some() {
            return Ok(());
        }
        if let (Some(guesses), Some(now)) = (&self.guesses, head.now())
            && self.is_guess(head)
            && let Err(retry_after) = guesses.count(head.transport().peer, now)
        {
            return Err(RequestError::TooManyTokens { retry_after });
        }
        Err(RequestError::Unauthorized)
    }

    fn complete(&self, head: &RequestHead<'_>, response: &mut HeaderMap) {
        if !self.is_in_query(head.query()) {
            return;
        }
        if let Some(Found { source: TokenSource::Query, token, .. }) = self.find(head.query(), head.headers())
            && let Ok(mut cookie) = HeaderValue::try_from(self.set_cookie(&token, head.transport()))
        {
            hide_secret(&header::SET_COOKIE, &mut cookie);
            response.append(header::SET_COOKIE, cookie);
        }
        if !head.is_upgrade() {
            // A stricter policy would hide the origin of the page's own forms.
            response.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
        }
    }
}

/// The values of the query parameter `token`.
fn in_query(query: Option<&str>) -> impl Iterator<Item = &str> {
    let parameters = query.into_iter().flat_map(|query| query.split('&'));
    parameters.filter_map(|pair| pair.strip_prefix("token="))
}

/// The credentials of each `Authorization: Bearer`.
fn bearers(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| {
        // Scheme names are case-insensitive (RFC 9110 §11.1).
        let (scheme, credentials) = value.as_bytes().split_at_checked(b"bearer".len())?;
        let is_bearer = scheme.eq_ignore_ascii_case(b"bearer") && credentials.starts_with(b" ");
        is_bearer.then(|| credentials.trim_ascii())
    })
}
