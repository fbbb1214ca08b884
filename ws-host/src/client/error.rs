//! Why an attempt to connect fails: shared by all adapters.

use crate::layer::ConnectStep;
use crate::proxy::ProxyServer;
use core::convert::Infallible;
use core::fmt;
use core::net::SocketAddr;
use std::boxed::Box;
use std::io;
#[cfg(unix)]
use std::path::PathBuf;
use std::string::{String, ToString};
use std::vec::Vec;
use ws_proto::{ClientRequest, Closed, Error, InvalidRequest, ProxyError};
use ws_proto::{Redirect, RedirectError, ResponseError, TlsError};

/// A target that cannot be tried. Nothing was started.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidTarget {
    /// The request is malformed.
    Request(InvalidRequest),
    /// The address is `wss://`, and TLS is not built in: the feature `tls` is off. Nothing is sent in the clear instead.
    TlsUnsupported,
    /// The host is a name, and lookups are disabled: with `ws-server-mio`, they are opt-in.
    NoResolver {
        /// The name.
        host: String,
    },
    /// There is no such client: it was removed.
    NoClient,
}

ws_proto::debug_is_display!(InvalidTarget);

impl fmt::Display for InvalidTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::TlsUnsupported => {
                f.write_str("cannot connect to a wss:// address without TLS: enable the feature tls")
            }
            Self::NoResolver { host } => write!(
                f,
                "cannot look up the name {host:?}: allow threads for that with Options::resolve_names, \
                 or connect to an address"
            ),
            Self::NoClient => f.write_str("the client was removed"),
        }
    }
}

impl std::error::Error for InvalidTarget {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Request(error) => Some(error),
            _ => None,
        }
    }
}

impl From<InvalidRequest> for InvalidTarget {
    fn from(error: InvalidRequest) -> Self {
        Self::Request(error)
    }
}

impl From<Infallible> for InvalidTarget {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Why an attempt to connect failed.
#[non_exhaustive]
pub enum ConnectError {
    /// It cannot be tried. Only from functions that connect in one call.
    Invalid(InvalidTarget),
    /// The name could not be looked up: the system returned an error, or did not answer within
    /// [`ClientConfig::handshake_timeout`](super::ClientConfig::handshake_timeout) ([`io::ErrorKind::TimedOut`]).
    Name {
        /// The name.
        host: String,
        /// The system's error.
        error: io::Error,
    },
    /// The zone of a link-local address names no network interface of this machine, or the system has no names for
    /// them that can be looked up; a number always works.
    Zone {
        /// The zone.
        zone: String,
        /// The system's error.
        error: io::Error,
    },
    /// Connecting to the Unix socket failed: because it has no listener, for example.
    #[cfg(unix)]
    Unix {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// No address accepted the connection.
    Unreachable {
        /// The addresses tried, in this order.
        tried: Vec<SocketAddr>,
        /// The system's error for the last one.
        error: io::Error,
    },
    /// The connection and the handshake, including the name lookup before them, exceeded
    /// [`ClientConfig::handshake_timeout`](super::ClientConfig::handshake_timeout). If the name alone took that long, this is [`Name`](Self::Name).
    TimedOut {
        /// The addresses tried.
        tried: Vec<SocketAddr>,
        /// What it waited for at the end.
        step: ConnectStep,
    },
    /// The proxy could not be connected to.
    ProxyUnreachable {
        /// Its URL, without the credentials.
        proxy: String,
        /// The failure: [`Name`](Self::Name), [`Zone`](Self::Zone), [`Unreachable`](Self::Unreachable) or
        /// [`TimedOut`](Self::TimedOut).
        error: Box<ConnectError>,
    },
    /// The proxy was connected to, but opened no tunnel, or TLS with it failed.
    Proxy {
        /// Its URL, without the credentials; empty if the stream is the application's own.
        proxy: String,
        /// The failure.
        error: Box<ProxyError>,
    },
    /// A redirect is not followed.
    Redirect(RedirectError),
    /// What failed, except by [`Cancelled`](Self::Cancelled), after redirects that were followed.
    Redirected {
        /// The redirects, the first one first: the last one leads to the URL that failed.
        redirects: Vec<Redirect>,
        /// The failure.
        error: Box<ConnectError>,
    },
    /// TLS failed.
    Tls(TlsError),
    /// The server's answer does not open a WebSocket. [`ResponseError::Rejected`] holds the whole answer.
    Handshake(ResponseError),
    /// The connection was lost during the handshake.
    Lost(Error),
    /// The application cancelled the attempt.
    Cancelled,
}

impl ConnectError {
    /// The name could not be looked up. The error is copied: several clients may have waited for the answer.
    pub fn name(host: impl Into<String>, error: &io::Error) -> Self {
        let error = match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(error.kind(), error.to_string()),
        };
        Self::Name { host: host.into(), error }
    }

    /// The name was not looked up within [`ClientConfig::handshake_timeout`](super::ClientConfig::handshake_timeout).
    pub fn name_timed_out(host: impl Into<String>) -> Self {
        let error = io::Error::new(io::ErrorKind::TimedOut, "no answer within the handshake timeout");
        Self::Name { host: host.into(), error }
    }

    /// Names what led to the failure of an attempt: this proxy, as [`at`](Self::at) does, and the redirects of this
    /// request, within [`Redirected`](Self::Redirected).
    #[must_use]
    pub fn in_attempt(self, request: &ClientRequest, proxy: Option<&ProxyServer>) -> Self {
        match self.at(proxy) {
            failure if request.redirects().is_empty() => failure,
            Self::Cancelled => Self::Cancelled,
            failure => Self::Redirected { redirects: request.redirects().to_vec(), error: Box::new(failure) },
        }
    }

    /// Names this proxy, if the failure is its own: within [`ProxyUnreachable`](Self::ProxyUnreachable) if it was not
    /// connected to.
    #[must_use]
    pub fn at(self, proxy: Option<&ProxyServer>) -> Self {
        let is_of_connecting = matches!(
            self,
            Self::Name { .. }
                | Self::Zone { .. }
                | Self::Unreachable { .. }
                | Self::TimedOut { step: ConnectStep::Connect, .. }
        );
        match (self, proxy) {
            (Self::Proxy { error, .. }, Some(proxy)) => Self::Proxy { proxy: proxy.to_string(), error },
            (failure, Some(proxy)) if is_of_connecting => {
                Self::ProxyUnreachable { proxy: proxy.to_string(), error: Box::new(failure) }
            }
            (failure, _) => failure,
        }
    }

    /// Converts the end of a connection that was never open, in this step.
    pub fn of(closed: &Closed, tried: Vec<SocketAddr>, step: ConnectStep) -> Self {
        match &closed.error {
            Some(Error::Response(error)) => Self::Handshake(error.clone()),
            Some(Error::Tls(error)) => Self::Tls(error.clone()),
            Some(Error::Proxy(error)) => Self::proxy(error.clone()),
            // The kernel reports some resets without a read.
            Some(Error::Io(kind)) if step == ConnectStep::Proxy => Self::proxy(ProxyError::Io(*kind)),
            Some(Error::Timeout(_)) => Self::TimedOut { tried, step },
            Some(error @ (Error::Io(_) | Error::Stopped)) => Self::Lost(error.clone()),
            _ => Self::Lost(Error::Aborted),
        }
    }

    fn proxy(error: ProxyError) -> Self {
        Self::Proxy { proxy: String::new(), error: error.into() }
    }

    /// Whether the deadline passed: [`TimedOut`](Self::TimedOut), also at the proxy or after a redirect.
    pub fn is_timed_out(&self) -> bool {
        match self {
            Self::TimedOut { .. } => true,
            Self::ProxyUnreachable { error, .. } | Self::Redirected { error, .. } => error.is_timed_out(),
            _ => false,
        }
    }

    /// The server's answer, if it rejected the handshake, after redirects too.
    pub fn response(&self) -> Option<&::http::Response<bytes::Bytes>> {
        match self {
            Self::Handshake(ResponseError::Rejected(response)) => Some(response),
            Self::Redirected { error, .. } => error.response(),
            _ => None,
        }
    }
}

/// A list of addresses.
struct Tried<'a>(&'a [SocketAddr]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, address) in self.0.iter().enumerate() {
            write!(f, "{}{address}", if k == 0 { " to " } else { ", " })?;
        }
        Ok(())
    }
}

ws_proto::debug_is_display!(ConnectError);

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::Name { host, error } => write!(f, "cannot look up {host:?}: {error}"),
            Self::Zone { zone, error } => {
                write!(f, "cannot find the network interface {zone:?}: {error}; its number works too")
            }
            #[cfg(unix)]
            Self::Unix { path, error } => write!(f, "cannot connect to {}: {error}", path.display()),
            Self::Unreachable { tried, error } => write!(f, "cannot connect{}: {error}", Tried(tried)),
            Self::TimedOut { tried, step } => write!(f, "connecting{} took too long: {step}", Tried(tried)),
            Self::ProxyUnreachable { proxy, error } => write!(f, "the proxy {proxy} is unreachable: {error}"),
            Self::Proxy { proxy, error } if proxy.is_empty() => error.fmt(f),
            Self::Proxy { proxy, error } => write!(f, "{proxy}: {error}"),
            Self::Redirect(error) => error.fmt(f),
            Self::Redirected { redirects, error } => match redirects.as_slice() {
                [] => error.fmt(f),
                [redirect] => write!(f, "after the redirect to {redirect}: {error}"),
                [.., last] => {
                    write!(f, "after {} redirects, the last to {last}: {error}", redirects.len())
                }
            },
            Self::Tls(error) => error.fmt(f),
            Self::Handshake(error) => error.fmt(f),
            Self::Lost(cause) => write!(f, "the connection was lost during the handshake: {cause}"),
            Self::Cancelled => f.write_str("the application cancelled the attempt"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name { error, .. } | Self::Zone { error, .. } | Self::Unreachable { error, .. } => {
                Some(error)
            }
            #[cfg(unix)]
            Self::Unix { error, .. } => Some(error),
            Self::Invalid(error) => Some(error),
            Self::Tls(error) => Some(error),
            Self::Proxy { error, .. } => Some(&**error),
            Self::Redirect(error) => Some(error),
            Self::ProxyUnreachable { error, .. } | Self::Redirected { error, .. } => Some(&**error),
            Self::Handshake(error) => Some(error),
            _ => None,
        }
    }
}

impl From<InvalidTarget> for ConnectError {
    fn from(error: InvalidTarget) -> Self {
        Self::Invalid(error)
    }
}
