//! The opening handshake (RFC 6455 §4): what a server is asked, what a client asks, and the keys that pair
//! question and answer.
//!
//! [`Request`] and [`Upgrade`] cannot be cloned and are used up by the answer, so nothing is answered twice.
//! Keep one to answer later. One that is dropped is answered 503 by the connection.

pub(crate) mod access;
mod client;
mod debug;
pub(crate) mod extensions;
#[cfg(test)]
mod tests_debug;

pub use crate::handshake::access::authority::Zone;
pub use crate::http1::{Answer, Opening, Refusal, answer, answer_over};
pub use client::{ClientRequest, InvalidRequest};

use crate::deflate::{self, Deflate, Terms};
use crate::error::RespondError;
use crate::http1::fields::{self, list};
use ::http::header::{self, HeaderName, HeaderValue};
use ::http::{HeaderMap, Method, Response, StatusCode, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use core::ops::Deref;
use sha1::{Digest, Sha1};
use std::sync::Arc;

/// Makes the `Sec-WebSocket-Key` of a client from 16 random bytes (§4.1).
///
/// ```
/// assert_eq!(ws_proto::handshake::key(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
/// ```
pub fn key(seed: [u8; 16]) -> String {
    STANDARD.encode(seed)
}

/// The `Sec-WebSocket-Accept` that answers a key (§4.2.2).
///
/// ```
/// // The example of §1.3.
/// let accept = ws_proto::handshake::accept_key("dGhlIHNhbXBsZSBub25jZQ==");
/// assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &str) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(key.as_bytes());
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(sha1.finalize())
}

/// Whether `accept` answers `key`.
///
/// ```
/// use ws_proto::handshake::verify;
/// assert!(verify("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
/// assert!(!verify("dGhlIHNhbXBsZSBub25jZQ==", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
/// ```
pub fn verify(key: &str, accept: &str) -> bool {
    accept_key(key) == accept
}

/// Whether this is the Base64 of 16 bytes, as a key must be (§4.1).
///
/// The four bits that the last character has beyond the 16 bytes may be anything: they are set in the RFC's own example.
/// The [answer](accept_key) to a key is made of its characters, and not of the bytes.
///
/// ```
/// use ws_proto::handshake::is_valid_key;
/// assert!(is_valid_key("dGhlIHNhbXBsZSBub25jZQ=="));
/// assert!(is_valid_key("AQIDBAUGBwgJCgsMDQ4PEC==")); // of §4.1
/// assert!(!is_valid_key("dGhlIHNhbXBsZQ=="));
/// ```
pub fn is_valid_key(key: &str) -> bool {
    let is_base64 = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'));
    key.len() == 24 && key.strip_suffix("==").is_some_and(is_base64)
}

/// An answer for a plain request where only a WebSocket is served: 426, saying how to ask (RFC 9110
/// §15.5.22).
pub fn upgrade_required() -> Response<Bytes> {
    let mut response =
        Response::new(Bytes::from_static(b"this is a WebSocket; connect with ws:// or wss://\n"));
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The subprotocol that was agreed on (§1.9), if one was: of the 101 that [`Event::Open`](crate::Event::Open) has.
///
/// ```
/// use ws_proto::handshake::subprotocol;
///
/// let response = http::Response::builder().header("Sec-WebSocket-Protocol", "chat.v2").body(())?;
/// assert_eq!(subprotocol(&response), Some("chat.v2"));
/// assert_eq!(subprotocol(&http::Response::new(())), None);
/// # Ok::<(), http::Error>(())
/// ```
pub fn subprotocol<B>(response: &Response<B>) -> Option<&str> {
    response.headers().get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()
}

fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or_else(|| uri.path(), |target| target.as_str())
}

/// Ties a request to its place in its connection. The connection holds a second one, and so sees whether the
/// application still has this one.
pub(crate) type Token = Arc<()>;

/// An HTTP request with its whole body. Derefs to [`Request`](::http::Request) of the `http` crate.
///
/// Answer it with [`Connection::respond`](crate::Connection::respond), now or later.
///
/// Its `Debug`, and that of its header fields, is fit for logs: it leaves out the query, credentials and cookies. That of
/// [`uri`](::http::Request::uri) and of [`http`](Self::http) is the `http` crate's, which shows the query.
#[must_use = "a request that is dropped is answered 503"]
pub struct Request {
    request: Box<::http::Request<Bytes>>,
    token: Token,
}

/// A request of no connection, to try out what handles requests. No connection takes an answer to it.
///
/// ```
/// let request = ws_proto::Request::from(http::Request::get("/page?a=1").body(bytes::Bytes::new())?);
/// assert_eq!((request.path(), request.query()), ("/page", Some("a=1")));
/// # Ok::<(), http::Error>(())
/// ```
impl From<::http::Request<Bytes>> for Request {
    fn from(request: ::http::Request<Bytes>) -> Self {
        Self::new(request, Token::default())
    }
}

impl Request {
    pub(crate) fn new(request: ::http::Request<Bytes>, token: Token) -> Self {
        Self { request: Box::new(request), token }
    }

    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    /// The request in the types of the `http` crate.
    pub fn http(&self) -> &::http::Request<Bytes> {
        &self.request
    }

    /// The path of the target, as it was sent: not decoded, and without the [query](Self::query).
    pub fn path(&self) -> &str {
        self.request.uri().path()
    }

    /// The path and the query of the target, as they were sent: `/chat?room=7`.
    pub fn path_and_query(&self) -> &str {
        path_and_query(self.request.uri())
    }

    /// What stands behind the question mark of the target, as it was sent.
    pub fn query(&self) -> Option<&str> {
        self.request.uri().query()
    }
}

impl Deref for Request {
    type Target = ::http::Request<Bytes>;

    fn deref(&self) -> &Self::Target {
        &self.request
    }
}

/// To refuse an upgrade is to respond to it.
impl From<Upgrade> for Request {
    fn from(upgrade: Upgrade) -> Self {
        let Upgrade { offer, token } = upgrade;
        Self::new(offer.request.map(|()| Bytes::new()), token)
    }
}

/// A client's opening handshake, valid and of an allowed host and origin.
///
/// Answer it with [`Connection::accept`](crate::Connection::accept), or refuse it with
/// [`Connection::respond`](crate::Connection::respond), which ends the connection: what the client sent behind may be
/// frames, and is read by nobody as requests. Its `Debug` is fit for logs, as that of a [`Request`].
#[must_use = "an upgrade that is dropped is answered 503"]
pub struct Upgrade {
    offer: Box<Offer>,
    token: Token,
}

/// What the client asks, and what its 101 will say beside the required.
struct Offer {
    request: ::http::Request<()>,
    subprotocol: Option<HeaderValue>,
    declines_compression: bool,
    response: HeaderMap,
}

/// An upgrade of no connection, to try out what decides upgrades. No connection accepts it.
impl From<::http::Request<()>> for Upgrade {
    fn from(request: ::http::Request<()>) -> Self {
        Self::new(request, Token::default())
    }
}

impl Upgrade {
    pub(crate) fn new(request: ::http::Request<()>, token: Token) -> Self {
        let response = HeaderMap::new();
        let offer = Offer { request, subprotocol: None, declines_compression: false, response };
        Self { offer: Box::new(offer), token }
    }

    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    /// The fields that the 101 has beside the required ones.
    pub fn response_headers(&self) -> &HeaderMap {
        &self.offer.response
    }

    /// The request in the types of the `http` crate.
    pub fn http(&self) -> &::http::Request<()> {
        &self.offer.request
    }

    /// Always GET (§4.1).
    pub fn method(&self) -> &Method {
        self.http().method()
    }

    /// The target.
    pub fn uri(&self) -> &Uri {
        self.http().uri()
    }

    /// The path of the target, as it was sent: not decoded, and without the [query](Self::query).
    pub fn path(&self) -> &str {
        self.http().uri().path()
    }

    /// The path and the query of the target, as they were sent: `/chat?room=7`.
    pub fn path_and_query(&self) -> &str {
        path_and_query(self.uri())
    }

    /// What stands behind the question mark of the target, as it was sent.
    pub fn query(&self) -> Option<&str> {
        self.http().uri().query()
    }

    /// The header fields.
    pub fn headers(&self) -> &HeaderMap {
        self.http().headers()
    }

    /// The page that asks; `None` for a program that is no browser.
    pub fn origin(&self) -> Option<&str> {
        self.headers().get(header::ORIGIN)?.to_str().ok()
    }

    /// The subprotocols that the client offers, the one that it likes best first (§1.9).
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        list(self.headers(), &header::SEC_WEBSOCKET_PROTOCOL)
    }

    /// Chooses the subprotocol, one that the client offered. Without a choice none is spoken.
    pub fn select_subprotocol(&mut self, name: &str) -> Result<(), RespondError> {
        let not_offered = || RespondError::SubprotocolNotOffered(name.to_owned());
        if !self.subprotocols().any(|offered| offered == name) {
            return Err(not_offered());
        }
        self.offer.subprotocol = Some(HeaderValue::from_str(name).map_err(|_| not_offered())?);
        Ok(())
    }

    /// Chooses the first of these, the server's own in the order of its liking, that the client offers, and says which; an
    /// earlier choice stays where it offers none of them.
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

    /// The subprotocol that is chosen so far.
    pub fn subprotocol(&self) -> Option<&str> {
        self.offer.subprotocol.as_ref()?.to_str().ok()
    }

    /// Whether the client offers permessage-deflate (RFC 7692). It is agreed on where `Config::deflate` asks for it and
    /// the offer will do.
    pub fn offers_compression(&self) -> bool {
        deflate::is_offered(self.headers())
    }

    /// Has nothing compressed on this connection, whatever the configuration asks for: where what strangers write
    /// goes out beside a secret, as it may to someone who is known by a cookie, the lengths would tell of it.
    pub fn decline_compression(&mut self) {
        self.offer.declines_compression = true;
    }

    /// Sets a header field of the 101, such as `Set-Cookie` (which may be set several times). The fields of
    /// the handshake itself are refused.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), RespondError> {
        let refused = || RespondError::Header(name.to_owned());
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
        if fields::is_connection_header(&header) || header == header::CONTENT_LENGTH {
            return Err(refused());
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| refused())?;
        fields::hide_secret(&header, &mut value);
        if header == header::SET_COOKIE {
            self.offer.response.append(header, value);
        } else {
            self.offer.response.insert(header, value);
        }
        Ok(())
    }

    /// The 101 that accepts (§4.2.2), and what it agrees on.
    pub(crate) fn into_response(self, deflate: Option<&Deflate>) -> (Response<()>, Option<Terms>) {
        let settings = deflate.filter(|_| !self.offer.declines_compression);
        let agreed = settings.and_then(|settings| settings.accept(self.headers()));
        let key = self.http().headers().get(header::SEC_WEBSOCKET_KEY);
        let accept = accept_key(key.and_then(|key| key.to_str().ok()).unwrap_or_default());
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        // In the order of the example in §1.3, what the application set behind.
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
        Upgrade::new(request, Arc::new(()))
    }

    #[test]
    fn only_a_key_of_16_bytes_is_valid() {
        for bad in [
            "",
            "==",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXBsZSBub25jZQ==dGhl",
            "dGhlIHNhbXBsZSBub25jZ!==",
            "dGhlIHNhbXBsZSBub25jZXgg",
            "dGhlIHNhbXBsZSBub25jZXg=",
            "dGhlIHNhbXBsZSBub25jZ===",
            "dGhlIHNhbXBsZ=Bub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZQ= =",
            "dGhlIHNhbXBs SBub25jZQ==",
            " dGhlIHNhbXBsZSBub25jZ==",
            "-_hlIHNhbXBsZSBub25jZQ==",
            "\u{e9}hlIHNhbXBsZSBub25jZ==",
        ] {
            assert!(!is_valid_key(bad), "{bad}");
        }
        assert!(is_valid_key(&key([0xff; 16])) && is_valid_key("+/hlIHNhbXBsZSBub25jZQ=="));
    }

    #[test]
    fn pad_bits_of_a_key_are_free_and_count_in_its_answer() {
        for last in 'A'..='Z' {
            assert!(is_valid_key(&format!("AQIDBAUGBwgJCgsMDQ4PE{last}==")), "{last}");
        }
        assert_eq!(accept_key("AQIDBAUGBwgJCgsMDQ4PEC=="), "OfS0wDaT5NoxF2gqm7Zj2YtetzM=");
        assert!(!verify("AQIDBAUGBwgJCgsMDQ4PEC==", &accept_key("AQIDBAUGBwgJCgsMDQ4PEA==")));
    }

    #[test]
    fn only_the_answer_to_a_key_verifies() {
        let key = key([7; 16]);
        assert!(verify(&key, &accept_key(&key)));
        for bad in [String::new(), key.clone(), accept_key(""), accept_key(&key).to_lowercase()] {
            assert!(!verify(&key, &bad), "{bad}");
        }
    }

    #[test]
    fn an_upgrade_shows_what_was_asked() {
        let upgrade = upgrade();
        assert_eq!((upgrade.method(), upgrade.uri().to_string().as_str()), (&Method::GET, "/chat?room=1"));
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
    fn the_handshakes_own_headers_cannot_be_set_nor_split() {
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
