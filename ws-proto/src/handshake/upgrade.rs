//! An opening handshake as a server receives it.

use super::accept_key;
use super::request::{Request, Token, path_and_query, url};
use crate::access::head_rule::RequestHead;
use crate::access::tls::TlsInfo;
use crate::access::transport::Transport;
use crate::config::Config;
use crate::deflate::{self, Deflate, Terms};
use crate::error::RespondError;
use crate::fields::{self, list};
use ::http::header::{self, HeaderName, HeaderValue};
use ::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
use core::net::SocketAddr;
use core::ops::Deref;
use std::sync::Arc;

/// A client's opening handshake, valid and of an allowed host and origin. Derefs to [`Request`](::http::Request) of the
/// `http` crate; its method is GET (§4.1).
///
/// Answer it with [`Connection::accept`](crate::Connection::accept), or reject it with
/// [`Connection::respond`](crate::Connection::respond), which ends the connection: what the client sent after it may be
/// frames, and is never parsed as requests. Its `Debug` is fit for logs, as that of a [`Request`].
#[must_use = "a dropped upgrade gets 503"]
pub struct Upgrade {
    pub(super) offer: Box<Offer>,
    token: Token,
}

/// The client's request, and the further fields of its 101.
pub(super) struct Offer {
    request: ::http::Request<()>,
    transport: Transport,
    pub(super) subprotocol: Option<HeaderValue>,
    declines_compression: bool,
    pub(super) response: HeaderMap,
}

/// An upgrade without a connection, for testing code that decides on upgrades. No connection accepts it.
impl From<::http::Request<()>> for Upgrade {
    fn from(request: ::http::Request<()>) -> Self {
        Self::new(request, Transport::default(), Token::default())
    }
}

impl Deref for Upgrade {
    type Target = ::http::Request<()>;

    fn deref(&self) -> &Self::Target {
        &self.offer.request
    }
}

impl Upgrade {
    pub(crate) fn new(request: ::http::Request<()>, transport: Transport, token: Token) -> Self {
        let response = HeaderMap::new();
        let offer = Offer { request, transport, subprotocol: None, declines_compression: false, response };
        Self { offer: Box::new(offer), token }
    }

    /// Adds the fields of a rule for heads to the 101.
    pub(crate) fn complete(mut self, config: &Config) -> Self {
        if let Some(rule) = &config.head_rule {
            let Offer { request, transport, response, .. } = &mut *self.offer;
            rule.complete(&RequestHead::new(request, true).over(*transport), response);
        }
        self
    }

    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    /// The fields of the 101 beyond the required ones.
    pub fn response_headers(&self) -> &HeaderMap {
        &self.offer.response
    }

    /// The request as a type of the `http` crate.
    pub fn http(&self) -> &::http::Request<()> {
        &self.offer.request
    }

    /// The path of the target, as sent: not decoded, and without the [query](Self::query).
    pub fn path(&self) -> &str {
        self.http().uri().path()
    }

    /// The path and the query of the target, as sent: `/chat?room=7`.
    pub fn path_and_query(&self) -> &str {
        path_and_query(self.uri())
    }

    /// The result of the TLS handshake, if the server itself speaks TLS.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.http().extensions().get::<Arc<TlsInfo>>().map(|tls| &**tls)
    }

    /// Whether the server itself speaks TLS on this connection. `false` behind a proxy that does so for it:
    /// [`is_secure`](Self::is_secure).
    pub fn is_tls(&self) -> bool {
        self.tls().is_some()
    }

    /// Whether the client speaks TLS: [`Request::is_secure`].
    pub fn is_secure(&self) -> bool {
        self.offer.transport.secure
    }

    /// The address of the client: [`Request::peer_addr`].
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.offer.transport.peer
    }

    /// The URL of the WebSocket as its client sees it, behind a trusted proxy too: `wss://app.example/chat?room=7`.
    /// `None` without a `Host`, as over a Unix socket.
    pub fn url(&self) -> Option<String> {
        url(self, if self.is_secure() { "wss" } else { "ws" })
    }

    /// The part of the target after the question mark, as sent.
    pub fn query(&self) -> Option<&str> {
        self.http().uri().query()
    }

    /// The origin of the page; `None` for a program that is not a browser.
    pub fn origin(&self) -> Option<&str> {
        self.headers().get(header::ORIGIN)?.to_str().ok()
    }

    /// The subprotocols that the client offers, the most preferred one first (§1.9).
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        list(self.headers(), &header::SEC_WEBSOCKET_PROTOCOL)
    }

    /// Chooses the subprotocol, one that the client offered. Without a choice there is none.
    pub fn select_subprotocol(&mut self, name: &str) -> Result<(), RespondError> {
        let not_offered = || RespondError::SubprotocolNotOffered(name.to_owned());
        if !self.subprotocols().any(|offered| offered == name) {
            return Err(not_offered());
        }
        self.offer.subprotocol = Some(HeaderValue::from_str(name).map_err(|_| not_offered())?);
        Ok(())
    }

    /// Chooses the first of these, the server's in order of preference, that the client offers, and returns it; if the
    /// client offers none of them, an earlier choice stays.
    ///
    /// ```
    /// let request = http::Request::get("/").header("Sec-WebSocket-Protocol", "chat.v1, chat.v2").body(())?;
    /// let mut upgrade = ws_proto::Upgrade::from(request);
    /// assert_eq!(upgrade.choose_subprotocol(&["chat.v3", "chat.v2", "chat.v1"]), Some("chat.v2"));
    /// assert_eq!(upgrade.subprotocol(), Some("chat.v2"));
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn choose_subprotocol<'n>(&mut self, ours: &'n [impl AsRef<str>]) -> Option<&'n str> {
        ours.iter().map(AsRef::as_ref).find(|name| self.select_subprotocol(name).is_ok())
    }

    /// The subprotocol chosen so far.
    pub fn subprotocol(&self) -> Option<&str> {
        self.offer.subprotocol.as_ref()?.to_str().ok()
    }

    /// Whether the client offers permessage-deflate (RFC 7692). It is negotiated if `Config::deflate` is set and the
    /// offer is acceptable.
    pub fn offers_compression(&self) -> bool {
        deflate::is_offered(self.headers())
    }

    /// Disables compression on this connection, whatever the configuration: where untrusted text is sent
    /// with a secret, as it may be for a user known by a cookie, the lengths could reveal it.
    pub fn decline_compression(&mut self) {
        self.offer.declines_compression = true;
    }

    /// Sets a header field of the 101, such as `Set-Cookie` (which may be set several times). Fields of the handshake
    /// itself are rejected.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), RespondError> {
        let rejected = || RespondError::Header(name.to_owned());
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| rejected())?;
        if fields::is_connection_header(&header) || header == header::CONTENT_LENGTH {
            return Err(rejected());
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| rejected())?;
        fields::hide_secret(&header, &mut value);
        if header == header::SET_COOKIE {
            self.offer.response.append(header, value);
        } else {
            self.offer.response.insert(header, value);
        }
        Ok(())
    }

    /// The 101 that accepts (§4.2.2), and the agreed terms.
    pub(crate) fn into_response(self, deflate: Option<&Deflate>) -> (Response<()>, Option<Terms>) {
        let settings = deflate.filter(|_| !self.offer.declines_compression);
        let agreed = settings.and_then(|settings| settings.accept(self.headers()));
        let key = self.http().headers().get(header::SEC_WEBSOCKET_KEY);
        let accept = accept_key(key.and_then(|key| key.to_str().ok()).unwrap_or_default());
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        // In the order of the example in §1.3, followed by the application's fields.
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        if let Ok(accept) = HeaderValue::from_str(&accept) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(subprotocol) = self.offer.subprotocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
        }
        let terms = agreed.map(|(terms, answer)| {
            headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, answer);
            terms
        });
        headers.extend(self.offer.response);
        (response, terms)
    }
}

/// Rejecting an upgrade means responding to it.
impl From<Upgrade> for Request {
    fn from(upgrade: Upgrade) -> Self {
        let Upgrade { offer, token } = upgrade;
        Self::new(offer.request.map(|()| Bytes::new()), offer.transport, token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upgrade() -> Upgrade {
        let request = ::http::Request::get("/chat?room=1")
            .header("Origin", "http://localhost")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Sec-WebSocket-Protocol", "chat.v2, chat")
            .header("Sec-WebSocket-Protocol", "mqtt")
            .body(())
            .unwrap();
        Upgrade::from(request)
    }

    #[test]
    fn upgrade_exposes_the_request() {
        let upgrade = upgrade();
        assert_eq!(
            (upgrade.method(), upgrade.uri().to_string().as_str()),
            (&::http::Method::GET, "/chat?room=1")
        );
        assert_eq!(upgrade.path(), "/chat");
        assert_eq!(upgrade.query(), Some("room=1"));
        assert_eq!(upgrade.path_and_query(), "/chat?room=1");
        assert_eq!(upgrade.origin(), Some("http://localhost"));
        assert_eq!(upgrade.subprotocols().collect::<Vec<_>>(), ["chat.v2", "chat", "mqtt"]);
    }

    #[test]
    fn only_an_offered_subprotocol_is_selected() {
        let mut upgrade = upgrade();
        for bad in ["soap", "", "CHAT", "chat.v2, chat"] {
            assert_eq!(
                upgrade.select_subprotocol(bad),
                Err(RespondError::SubprotocolNotOffered(bad.to_owned())),
                "{bad}"
            );
        }
        upgrade.select_subprotocol("chat").unwrap();
        upgrade.select_subprotocol("mqtt").unwrap();
        let (response, _) = upgrade.into_response(None);
        assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt");
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn handshake_headers_cannot_be_set_or_split() {
        let mut upgrade = upgrade();
        for (name, value) in [
            ("Connection", "close"),
            ("Upgrade", "x"),
            ("Sec-WebSocket-Accept", "x"),
            ("Sec-WebSocket-Extensions", "permessage-deflate"),
            ("Sec-WebSocket-Protocol", "chat"),
            ("Content-Length", "0"),
            ("Transfer-Encoding", "chunked"),
            ("X", "a\r\nSet-Cookie: b"),
            ("X", "a\0"),
            ("X Y", "a"),
            ("", "a"),
        ] {
            assert_eq!(upgrade.set_header(name, value), Err(RespondError::Header(name.to_owned())));
        }
        upgrade.set_header("Set-Cookie", "a=1").unwrap();
        upgrade.set_header("Set-Cookie", "b=2").unwrap();
        upgrade.set_header("Server", "x").unwrap();
        upgrade.set_header("Server", "y").unwrap();
        let (response, _) = upgrade.into_response(None);
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
        assert_eq!(response.headers()["server"], "y");
    }
}
