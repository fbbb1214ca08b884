//! The requests of a server, except opening handshakes.

use crate::access::tls::TlsInfo;
use crate::fields::parse_length;
use ::http::Uri;
use ::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use bytes::Bytes;
use core::ops::Deref;
use std::sync::Arc;

/// Identifies a request within its connection. The connection holds a second reference, and so sees whether the
/// application still has this one.
pub(crate) type Token = Arc<()>;

/// An HTTP request, with its whole body unless that is [streaming](Self::is_streaming). Derefs to
/// [`Request`](::http::Request) of the `http` crate.
///
/// Answer it with [`Connection::respond`](crate::Connection::respond), now or later.
///
/// Its `Debug`, and that of its header fields, is fit for logs: it omits the query, credentials and cookies. That of
/// [`uri`](::http::Request::uri) and of [`http`](Self::http) is the `http` crate's, which shows the query.
#[must_use = "a dropped request gets 503"]
pub struct Request {
    request: Box<::http::Request<Bytes>>,
    token: Token,
    is_streaming: bool,
}

/// A request without a connection, for testing code that handles requests. No connection accepts an answer to it.
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
        Self { request: Box::new(request), token, is_streaming: false }
    }

    /// Without its body, which follows.
    pub(crate) fn streaming(request: ::http::Request<()>, token: Token) -> Self {
        Self { request: Box::new(request.map(|()| Bytes::new())), token, is_streaming: true }
    }

    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    /// Distinguishes the requests of a connection that are not answered. For adapters, exempt from semver.
    #[doc(hidden)]
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.token).addr()
    }

    /// The request as a type of the `http` crate.
    pub fn http(&self) -> &::http::Request<Bytes> {
        &self.request
    }

    /// The path of the target, as sent: not decoded, and without the [query](Self::query).
    pub fn path(&self) -> &str {
        self.request.uri().path()
    }

    /// The path and the query of the target, as sent: `/chat?room=7`.
    pub fn path_and_query(&self) -> &str {
        path_and_query(self.request.uri())
    }

    /// The part of the target after the question mark, as sent.
    pub fn query(&self) -> Option<&str> {
        self.request.uri().query()
    }

    /// Whether the body follows as [`Event::Body`](crate::Event::Body), up to its end, which is reported also for an empty
    /// one; then [`body`](::http::Request::body) is empty. The server's [rule for
    /// heads](crate::HeadRule::stream_body) decides which requests stream.
    pub fn is_streaming(&self) -> bool {
        self.is_streaming
    }

    /// The length of the body in bytes: declared by the client if it is [streaming](Self::is_streaming), and `None` if it
    /// declares none, as in the chunked transfer coding.
    pub fn body_len(&self) -> Option<u64> {
        if !self.is_streaming {
            return Some(self.request.body().len() as u64);
        }
        let headers = self.request.headers();
        match headers.get(CONTENT_LENGTH) {
            Some(length) => parse_length(length.as_bytes()),
            None => (!headers.contains_key(TRANSFER_ENCODING)).then_some(0),
        }
    }

    /// The result of the TLS handshake, if the server itself speaks TLS.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.request.extensions().get::<Arc<TlsInfo>>().map(|tls| &**tls)
    }

    /// Whether the server itself speaks TLS on this connection. `false` behind a proxy that does so for it.
    pub fn is_tls(&self) -> bool {
        self.tls().is_some()
    }
}

impl Deref for Request {
    type Target = ::http::Request<Bytes>;

    fn deref(&self) -> &Self::Target {
        &self.request
    }
}

pub(super) fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or_else(|| uri.path(), |target| target.as_str())
}
