//! The requests of a server, except opening handshakes.

use crate::access::tls::TlsInfo;
use crate::access::transport::Transport;
use crate::fields::parse_length;
use ::http::Uri;
use ::http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use bytes::Bytes;
use core::net::SocketAddr;
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
    inner: Box<Inner>,
    token: Token,
    is_streaming: bool,
}

struct Inner {
    request: ::http::Request<Bytes>,
    transport: Transport,
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
        Self::new(request, Transport::default(), Token::default())
    }
}

impl Request {
    pub(crate) fn new(request: ::http::Request<Bytes>, transport: Transport, token: Token) -> Self {
        Self { inner: Box::new(Inner { request, transport }), token, is_streaming: false }
    }

    /// Without its body, which follows.
    pub(crate) fn streaming(request: ::http::Request<()>, transport: Transport, token: Token) -> Self {
        Self { is_streaming: true, ..Self::new(request.map(|()| Bytes::new()), transport, token) }
    }

    /// The transport of its client.
    pub(crate) fn transport(&self) -> Transport {
        self.inner.transport
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
        &self.inner.request
    }

    /// The path of the target, as sent: not decoded, and without the [query](Self::query).
    pub fn path(&self) -> &str {
        self.uri().path()
    }

    /// The path and the query of the target, as sent: `/chat?room=7`.
    pub fn path_and_query(&self) -> &str {
        path_and_query(self.uri())
    }

    /// The part of the target after the question mark, as sent.
    pub fn query(&self) -> Option<&str> {
        self.uri().query()
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
            return Some(self.body().len() as u64);
        }
        let headers = self.headers();
        match headers.get(CONTENT_LENGTH) {
            Some(length) => parse_length(length.as_bytes()),
            None => (!headers.contains_key(TRANSFER_ENCODING)).then_some(0),
        }
    }

    /// The result of the TLS handshake, if the server itself speaks TLS.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.extensions().get::<Arc<TlsInfo>>().map(|tls| &**tls)
    }

    /// Whether the server itself speaks TLS on this connection. `false` behind a proxy that does so for it:
    /// [`is_secure`](Self::is_secure).
    pub fn is_tls(&self) -> bool {
        self.tls().is_some()
    }

    /// Whether the client speaks TLS: with the server itself, or with a trusted proxy that says so.
    pub fn is_secure(&self) -> bool {
        self.transport().secure
    }

    /// The address of the client; behind a trusted proxy the one that the proxy names, with port 0 if it names none.
    /// `None` over a Unix socket, and if the owner of the socket has not [said](crate::Transport::peer) it.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.transport().peer
    }

    /// The URL of the request as its client sees it, behind a trusted proxy too: `https://app.example/page?a=1`. `None`
    /// without a `Host`, as over a Unix socket.
    pub fn url(&self) -> Option<String> {
        url(self, if self.is_secure() { "https" } else { "http" })
    }
}

impl Deref for Request {
    type Target = ::http::Request<Bytes>;

    fn deref(&self) -> &Self::Target {
        &self.inner.request
    }
}

pub(super) fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or_else(|| uri.path(), |target| target.as_str())
}

/// The absolute URL of a request, with this scheme.
pub(super) fn url<B>(request: &::http::Request<B>, scheme: &str) -> Option<String> {
    let host = request.headers().get(HOST)?.to_str().ok().filter(|host| !host.is_empty())?;
    let target = if request.uri().path() == "*" { "" } else { path_and_query(request.uri()) };
    Some([scheme, "://", host, target].concat())
}
