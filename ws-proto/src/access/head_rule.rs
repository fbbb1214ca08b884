//! Rules of a server for the heads of requests.

use super::forwarded::Forwarded;
use super::transport::Transport;
use crate::error::RequestError;
use crate::moment::Moment;
use ::http::{HeaderMap, Method, Request, Uri};
use core::fmt;

/// A rule of a server for the heads of requests: [`Config::head_rule`](crate::Config::head_rule).
///
/// The connection applies it to each request that passes its own checks, `Host` and `Origin` among them, before it reads
/// any of the body and before `100 Continue`. The application never sees a rejected request; its connection ends after
/// the answer. Preflights that [`Cors`](crate::Cors) answers need no permission, unless they have a body, which those of
/// browsers never have.
///
/// ```
/// use std::sync::Arc;
/// use ws_proto::{Config, HeadRule, RequestError, RequestHead};
///
/// /// Admits programs that know a key.
/// #[derive(Debug)]
/// struct KeyRule;
///
/// impl HeadRule for KeyRule {
///     fn check(&self, head: &RequestHead<'_>) -> Result<(), RequestError> {
///         let key = head.headers().get("x-key");
///         if key.is_some_and(|key| key == "7") { Ok(()) } else { Err(RequestError::Unauthorized) }
///     }
/// }
///
/// let config = Config::server().head_rule(Arc::new(KeyRule));
/// ```
pub trait HeadRule: fmt::Debug + Send + Sync {
    /// What a trusted proxy in front of the server says of the client of this request. Asked first, with the
    /// connection's own [transport](RequestHead::transport); what it returns replaces that for `Host` and `Origin`, for
    /// the other methods, and for the application. By default nothing.
    ///
    /// Whatever any client can send must not be believed here: check [the peer](Transport::peer) first.
    fn forwarded(&self, head: &RequestHead<'_>) -> Option<Forwarded> {
        let _ = head;
        None
    }

    /// Admits a request, or rejects it.
    ///
    /// # Errors
    /// Why it is rejected: its [`status`](RequestError::status) is that of the answer, and
    /// [`Closed`](crate::Event::Closed) has it as its error.
    fn check(&self, head: &RequestHead<'_>) -> Result<(), RequestError>;

    /// Has the body of an admitted request emitted [as it arrives](crate::RequestBody), and returns the most bytes that it
    /// may have; a longer one gets 413. `None` collects the body before the request is emitted, up to
    /// [`body_limit`](crate::Config::body_limit). It is called before [`check`](Self::check), for every request except
    /// upgrades and, with [`Cors`](crate::Cors), OPTIONS. By default, `None`.
    fn stream_body(&self, head: &RequestHead<'_>) -> Option<u64> {
        let _ = head;
        None
    }

    /// The fewest bytes a second that the client must send of a body that [streams](Self::stream_body), in each 30 s in
    /// which it is read, or the rest of it; a slower one gets 408. With 0 it may pause for as long as it likes. `None`
    /// means 1 KiB. It is called for the requests whose body streams. By default, `None`.
    fn min_body_rate(&self, head: &RequestHead<'_>) -> Option<u32> {
        let _ = head;
        None
    }

    /// Adds header fields to the application's answer to an admitted request, such as a cookie; also to the 101 of an
    /// upgrade. By default, none.
    fn complete(&self, head: &RequestHead<'_>, response: &mut HeaderMap) {
        let _ = (head, response);
    }
}

/// The head of a request, for a [`HeadRule`].
#[derive(Clone, Copy)]
pub struct RequestHead<'r> {
    method: &'r Method,
    target: &'r Uri,
    headers: &'r HeaderMap,
    is_upgrade: bool,
    transport: Transport,
    now: Option<Moment>,
}

impl<'r> RequestHead<'r> {
    /// The head of this request; `is_upgrade` says whether it is a valid opening handshake.
    pub fn new<B>(request: &'r Request<B>, is_upgrade: bool) -> Self {
        let (method, target, headers) = (request.method(), request.uri(), request.headers());
        Self { method, target, headers, is_upgrade, transport: Transport::default(), now: None }
    }

    /// The head of a plain request.
    pub(crate) fn of(method: &'r Method, target: &'r Uri, headers: &'r HeaderMap) -> Self {
        Self { method, target, headers, is_upgrade: false, transport: Transport::default(), now: None }
    }

    /// The same head over this transport.
    #[must_use]
    pub fn over(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// The same head, received now.
    #[must_use]
    pub fn at(mut self, now: Moment) -> Self {
        self.now = Some(now);
        self
    }

    /// When the head was received, where a rule [checks](HeadRule::check) it; `None` for a request that another HTTP
    /// server has read, and elsewhere.
    pub fn now(&self) -> Option<Moment> {
        self.now
    }

    /// The transport of the client, as a trusted proxy describes it, or of the connection.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The method.
    pub fn method(&self) -> &'r Method {
        self.method
    }

    /// The path of the target, as sent: not decoded, and without the [query](Self::query).
    pub fn path(&self) -> &'r str {
        self.target.path()
    }

    /// The part of the target after the question mark, as sent.
    pub fn query(&self) -> Option<&'r str> {
        self.target.query()
    }

    /// The header fields.
    pub fn headers(&self) -> &'r HeaderMap {
        self.headers
    }

    /// Whether it is a valid opening handshake.
    pub fn is_upgrade(&self) -> bool {
        self.is_upgrade
    }
}

/// Omits the query and the header fields, which may hold credentials.
impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", self.method)
            .field("path", &self.path())
            .field("is_upgrade", &self.is_upgrade)
            .finish_non_exhaustive()
    }
}
