//! Errors by blame: the peer's ([`ProtocolError`], [`RequestError`], [`ResponseError`]), the network's and the clock's
//! ([`Error`]), and the application's own misuse ([`SendError`], [`RespondError`]).
//!
//! Their `Debug` is their `Display`: a `main` that returns one prints a sentence.

mod certificate;
mod http;
mod protocol;
mod proxy;
mod proxy_header;
mod respond;
mod send;
mod tls;

pub use self::http::{RequestError, ResponseError};
pub use certificate::{CertificateFault, NameMismatch};
use core::fmt;
pub use protocol::ProtocolError;
pub use proxy::{ProxyError, SocksReply};
pub use proxy_header::ProxyHeaderError;
pub use respond::RespondError;
pub use send::SendError;
pub use tls::{TlsAlert, TlsError};

/// Implements `Debug` of errors as their `Display`. For the crates around this one, exempt from semver.
#[doc(hidden)]
#[macro_export]
macro_rules! debug_is_display {
    ($($error:ty),+ $(,)?) => {
        $(
            impl ::core::fmt::Debug for $error {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    ::core::fmt::Display::fmt(self, f)
                }
            }
        )+
    };
}

/// Why a connection ended without a completed closing handshake.
#[derive(Clone)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke the WebSocket protocol or one of our limits.
    Protocol(ProtocolError),
    /// Server: the client's HTTP or its opening handshake was rejected.
    Request(RequestError),
    /// Client: the server's response does not open a WebSocket.
    Response(ResponseError),
    /// A deadline passed.
    Timeout(Timeout),
    /// The peer closed TCP without a Close frame.
    Eof,
    /// Server: the peer ended the connection within its request: in the head, or in the body.
    RequestCutOff,
    /// Server: the peer ended the connection while a response was in progress.
    Abandoned,
    /// Server: the application did not answer an upgrade in time, or dropped it; the peer got 503.
    Unanswered,
    /// Server: the application dropped a streaming response, or sent less than it declared.
    Unfinished,
    /// Reading or writing failed.
    Io(std::io::ErrorKind),
    /// TLS beneath the connection failed.
    Tls(TlsError),
    /// Client: the proxy beneath the connection opened no tunnel, or TLS with it failed.
    Proxy(ProxyError),
    /// Server: the PROXY header is missing or invalid that a trusted proxy must send before the connection.
    ProxyHeader(ProxyHeaderError),
    /// The application ended the connection at once, without a closing handshake.
    Aborted,
    /// The server stopped, and its deadline passed before the connection was done.
    Stopped,
    /// All connections together held more than the limit, and this one transferred least for what it held.
    Memory {
        /// How many bytes all of them held.
        held: usize,
        /// The [limit](crate::Memory::limit).
        limit: usize,
    },
}

crate::debug_is_display!(Error, Timeout);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(e) => e.fmt(f),
            Self::Request(e) => e.fmt(f),
            Self::Response(e) => e.fmt(f),
            Self::Timeout(e) => e.fmt(f),
            Self::Eof => f.write_str("the peer ended the connection without a close frame"),
            Self::RequestCutOff => f.write_str("the peer ended the connection in the middle of its request"),
            Self::Abandoned => f.write_str("the peer ended the connection before its response was complete"),
            Self::Unanswered => f.write_str("the application did not answer the request"),
            Self::Unfinished => f.write_str("the application did not finish its response"),
            Self::Io(kind) => write!(f, "the transport failed: {kind}"),
            Self::Tls(e) => e.fmt(f),
            Self::Proxy(e) => e.fmt(f),
            Self::ProxyHeader(e) => e.fmt(f),
            Self::Aborted => f.write_str("the application aborted the connection"),
            Self::Stopped => f.write_str("the server stopped before the connection was done"),
            Self::Memory { held, limit } => write!(
                f,
                "all connections together held {held} bytes, over the limit of {limit}, and this one transferred least \
                 for what it held; raise memory_limit"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Protocol(e) => Some(e),
            Self::Request(e) => Some(e),
            Self::Response(e) => Some(e),
            Self::Tls(e) => Some(e),
            Self::Proxy(e) => Some(e),
            Self::ProxyHeader(e) => Some(e),
            _ => None,
        }
    }
}

impl From<ProtocolError> for Error {
    fn from(e: ProtocolError) -> Self {
        Self::Protocol(e)
    }
}

impl From<RequestError> for Error {
    fn from(e: RequestError) -> Self {
        Self::Request(e)
    }
}

impl From<ResponseError> for Error {
    fn from(e: ResponseError) -> Self {
        Self::Response(e)
    }
}

impl From<TlsError> for Error {
    fn from(e: TlsError) -> Self {
        Self::Tls(e)
    }
}

impl From<ProxyError> for Error {
    fn from(e: ProxyError) -> Self {
        Self::Proxy(e)
    }
}

/// An error of a TLS stream keeps its [`TlsError`], that of a tunnel its [`ProxyError`], and that of a PROXY header its
/// [`ProxyHeaderError`].
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        let inner = error.get_ref();
        if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<TlsError>()) {
            return Self::Tls(tls.clone());
        }
        if let Some(header) = inner.and_then(|inner| inner.downcast_ref::<ProxyHeaderError>()) {
            return Self::ProxyHeader(header.clone());
        }
        let proxy = inner.and_then(|inner| inner.downcast_ref::<ProxyError>());
        proxy.map_or(Self::Io(error.kind()), |error| Self::Proxy(error.clone()))
    }
}

/// Which deadline passed.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timeout {
    /// The opening handshake, or the head of an HTTP request, took too long.
    Handshake,
    /// The body of a request arrived too slowly.
    Body,
    /// The heartbeat was not answered.
    Heartbeat,
    /// The closing handshake took too long.
    Close,
    /// The peer took no output for too long, or less than [`min_output_rate`](crate::Config::min_output_rate) requires.
    Output,
    /// No further request arrived on a kept-alive connection.
    KeepAlive,
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "the handshake took too long",
            Self::Body => "the request body arrived too slowly",
            Self::Heartbeat => "the peer did not answer the heartbeat",
            Self::Close => "the closing handshake took too long",
            Self::Output => {
                "the peer stopped reading what was sent to it, or took less than min_output_rate requires"
            }
            Self::KeepAlive => "no further request arrived on a kept-alive connection",
        })
    }
}
