//! Faults of the peer in HTTP, and in its half of the opening handshake: a client's request, a server's response.

use crate::fields::location::location;
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use http::StatusCode;

/// What was wrong with a client's request, or with its half of the opening handshake (RFC 6455 §4.2.1, RFC 9112).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// The request breaks the grammar of HTTP/1.1, in the named part.
    Malformed(&'static str),
    /// The request target is over the limit.
    TargetTooLong,
    /// The head of the request is over the limit, in bytes or in header fields.
    HeadTooLarge,
    /// The body is over the limit.
    BodyTooLarge,
    /// Not HTTP/1.0 or HTTP/1.1.
    VersionNotSupported,
    /// A transfer coding other than `chunked` alone.
    TransferCoding,
    /// A method that this server never serves: CONNECT, TRACE.
    MethodNotImplemented,
    /// An `Expect` other than `100-continue`.
    Expectation,
    /// The `Host` is not one of this server's: a rebound name, or one that must be allowed first.
    HostNotAllowed(String),
    /// The `Origin` may not use this server.
    OriginNotAllowed(String),
    /// The request lacks the credentials that a [`HeadRule`](crate::HeadRule) requires, such as the token of a server.
    Unauthorized,
    /// The client's address has as many connections through trusted proxies as a server admits.
    TooManyConnections,
    /// The request has a wrong token, and so had too many from the same address before it. Requests with a right one pass.
    TooManyTokens {
        /// After this time, a wrong one is [`Unauthorized`](Self::Unauthorized) again.
        retry_after: Duration,
    },
    /// An `Origin` with an empty `Host`. A Unix socket accepts an empty `Host` from programs; no page sends one.
    OriginWithoutHost,
    /// A WebSocket handshake with a method other than GET (§4.1).
    UpgradeNotGet,
    /// A WebSocket handshake for a path that has no WebSocket.
    UpgradePath(String),
    /// A WebSocket version other than 13 (§4.4).
    WebSocketVersion,
    /// A handshake header is missing, repeated or malformed: which one.
    UpgradeMalformed(&'static str),
    /// The request did not arrive in time.
    TooSlow,
    /// The client speaks TLS, but the server does not. It gets no response.
    Tls,
    /// The client does not speak TLS, but the server requires it.
    TlsRequired {
        /// The URL to use instead, to which a 308 redirects. Without it, the response is 403.
        location: Option<String>,
    },
}

impl RequestError {
    /// The status that answers the request. One of the two tables from error to wire; the other is
    /// [`ProtocolError::close_code`](super::ProtocolError::close_code).
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::UpgradeMalformed(_) | Self::Tls => StatusCode::BAD_REQUEST,
            Self::TlsRequired { location: Some(_) } => StatusCode::PERMANENT_REDIRECT,
            Self::TlsRequired { location: None } => StatusCode::FORBIDDEN,
            Self::OriginNotAllowed(_) | Self::OriginWithoutHost => StatusCode::FORBIDDEN,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TooManyConnections | Self::TooManyTokens { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::UpgradePath(_) => StatusCode::NOT_FOUND,
            Self::UpgradeNotGet => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::HostNotAllowed(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TransferCoding | Self::MethodNotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::VersionNotSupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "malformed request: {what}"),
            Self::TargetTooLong => f.write_str("the request target is too long"),
            Self::HeadTooLarge => f.write_str("the request head is too large"),
            Self::BodyTooLarge => f.write_str(
                "the request body is too large; the server limits it with body_limit or stream_bodies",
            ),
            Self::VersionNotSupported => {
                f.write_str("only HTTP/1.1 is supported, and HTTP/1.0 for requests without an upgrade")
            }
            Self::TransferCoding => f.write_str("the only supported transfer coding is chunked"),
            Self::MethodNotImplemented => f.write_str("this method is not implemented"),
            Self::Expectation => f.write_str("the only supported expectation is 100-continue"),
            Self::HostNotAllowed(host) => {
                write!(f, "the host {host:?} is not one of this server's; to accept it, use allow_host")
            }
            Self::OriginNotAllowed(origin) => write!(
                f,
                "the origin {origin:?} may not use this server; to admit it, use {}",
                rule_for(origin)
            ),
            Self::Unauthorized => f.write_str("the request lacks the credentials that the server requires"),
            Self::TooManyTokens { .. } => f.write_str(
                "the address of the client has sent too many wrong tokens; use the link with the right one, or raise \
                 token_guesses",
            ),
            Self::TooManyConnections => f.write_str(
                "the address of the client has as many connections as the server admits; raise max_per_address",
            ),
            Self::OriginWithoutHost => f.write_str("a request with an Origin must name its host"),
            Self::UpgradeNotGet => f.write_str("a WebSocket handshake must be a GET"),
            Self::UpgradePath(path) => {
                write!(
                    f,
                    "there is no WebSocket at {path:?}; to accept upgrades there, add it to upgrade_paths"
                )
            }
            Self::WebSocketVersion => f.write_str("only WebSocket version 13 is supported"),
            Self::UpgradeMalformed(what) => write!(f, "malformed WebSocket handshake: {what}"),
            Self::TooSlow => f.write_str("the request did not arrive in time"),
            Self::TlsRequired { .. } => f.write_str("this server speaks TLS only; use https:// or wss://"),
            Self::Tls => {
                f.write_str("the client speaks TLS, but this server does not; connect with ws:// or http://")
            }
        }
    }
}

impl std::error::Error for RequestError {}

/// What was wrong with a server's response, as its client sees it (RFC 6455 §4.1, RFC 9112).
///
/// `Display` is fit for logs: for a rejection it shows the status, and where a redirect leads, without the query; not
/// the body, which may repeat the query.
#[derive(Clone)]
#[non_exhaustive]
pub enum ResponseError {
    /// The response breaks the grammar of HTTP/1.1, in the named part.
    Malformed(&'static str),
    /// The server ended the connection before its response, or within its head.
    Eof,
    /// The server speaks TLS, but the URL begins with `ws://`.
    TlsRequired,
    /// The head of the response is over the limit.
    HeadTooLarge,
    /// The server responded with a status other than 101: the whole response, with as much of its body as the limit
    /// allows.
    Rejected(Box<http::Response<Bytes>>),
    /// A 101 with an invalid handshake header (§4.1): which one.
    AcceptInvalid(&'static str),
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "malformed response: {what}"),
            Self::Eof => f.write_str(
                "the server ended the connection before it answered the handshake; the scheme or the port of its URL \
                 may be wrong",
            ),
            Self::TlsRequired => f.write_str("the server speaks TLS; begin its URL with wss://"),
            Self::HeadTooLarge => f.write_str("the head of the response is too large"),
            Self::Rejected(response) => {
                write!(f, "the server answered {}", response.status())?;
                match location(response) {
                    Some(location) => write!(
                        f,
                        ", a redirect to {location}; connect to that address, or let follow_redirects allow it"
                    ),
                    None => Ok(()),
                }
            }
            Self::AcceptInvalid(what) => write!(f, "the server's handshake response is invalid: {what}"),
        }
    }
}

impl std::error::Error for ResponseError {}

/// The parser of heads and bodies reports request errors.
impl From<RequestError> for ResponseError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::HeadTooLarge | RequestError::TargetTooLong => Self::HeadTooLarge,
            RequestError::Malformed(what) => Self::Malformed(what),
            _ => Self::Malformed("the body"),
        }
    }
}

crate::debug_is_display!(RequestError, ResponseError);

/// The setting that admits pages of this origin.
fn rule_for(origin: &str) -> &'static str {
    let is_of =
        |scheme: &str| origin.split_once("://").is_some_and(|(its, _)| its.eq_ignore_ascii_case(scheme));
    match origin {
        "null" => "allow_null_origin, which admits every page that hides its origin",
        "file://" => "allow_file_origin",
        _ if ["http", "https", "file"].into_iter().any(is_of) || !origin.contains("://") => "allow_origin",
        _ => "allow_origin, or allow_scheme for all of its scheme",
    }
}
