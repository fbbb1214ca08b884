//! Configuration of clients, and their errors: shared by all adapters.

use super::Reconnect;
use crate::layer::{ConnectStep, Layer};
use crate::proxy::{Proxy, ProxyLayer, ProxyServer};
use crate::settings::connection_settings;
#[cfg(feature = "tls-no-provider")]
use crate::tls::{TlsClient, TlsLayer};
use core::convert::Infallible;
use core::fmt;
use core::net::SocketAddr;
use std::boxed::Box;
use std::io;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;
use ws_proto::{
    ClientRequest, Closed, Config, Error, Heartbeat, InvalidRequest, ProxyError, ResponseError, TlsError,
};

/// A client's configuration: the rules of its connection, and when it reconnects. By default it connects once.
///
/// ```
/// use ws_host::client::ClientConfig;
/// use ws_proto::Heartbeat;
/// use ws_host::client::Reconnect;
///
/// let config = ClientConfig::new().heartbeat(Heartbeat::frequent()).reconnect(Reconnect::default());
/// ```
///
/// [`handshake_timeout`](Self::handshake_timeout) covers the name lookup, connecting and the handshake together.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    connection: Config,
    reconnect: Option<Reconnect>,
    #[cfg(unix)]
    unix: Option<PathBuf>,
    forgets: bool,
    proxy: Option<Proxy>,
    #[cfg(feature = "tls-no-provider")]
    tls: TlsClient,
}

connection_settings!(ClientConfig);

impl ClientConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            connection: Config::client(),
            reconnect: None,
            #[cfg(unix)]
            unix: None,
            forgets: false,
            proxy: None,
            #[cfg(feature = "tls-no-provider")]
            tls: TlsClient::system(),
        }
    }

    /// The rules of its next connection. A client that reconnects without a configured heartbeat pings
    /// ([`Heartbeat::frequent`](ws_proto::Heartbeat::frequent)): to reconnect, it must detect that its peer is gone.
    pub fn connection_config(&self) -> Config {
        let rules = self.connection.clone();
        if self.reconnect.is_some() && rules.get_heartbeat().is_default() {
            return rules.heartbeat(Heartbeat::frequent());
        }
        rules
    }

    /// Sets the policy for automatic reconnects; `None` disables them. None.
    #[must_use]
    pub fn reconnect(mut self, policy: impl Into<Option<Reconnect>>) -> Self {
        self.reconnect = policy.into();
        self
    }

    /// The policy for automatic reconnects.
    pub fn get_reconnect(&self) -> Option<&Reconnect> {
        self.reconnect.as_ref()
    }

    /// Sets whether the client is removed automatically once it is idle and the application has seen why: after the
    /// `Closed` of its connection, or after the last failed attempt, if no retry follows. For programs that create a
    /// client for each request, and keep none of them. `false`.
    #[must_use]
    pub fn forget_when_closed(mut self, forgets: bool) -> Self {
        self.forgets = forgets;
        self
    }

    /// Whether the client is removed automatically.
    pub fn get_forget_when_closed(&self) -> bool {
        self.forgets
    }

    /// Sets the roots or keys that it trusts, and the certificate that it presents, for `wss://` addresses.
    /// [`TlsClient::system`].
    #[cfg(feature = "tls-no-provider")]
    #[must_use]
    pub fn tls(mut self, tls: TlsClient) -> Self {
        self.tls = tls;
        self
    }

    /// The roots or keys that it trusts, and the certificate that it presents.
    #[cfg(feature = "tls-no-provider")]
    pub fn get_tls(&self) -> &TlsClient {
        &self.tls
    }

    /// Connects through a proxy, or through one of several; `None` connects directly. None; the environment is not read
    /// unless you pass [`Proxy::from_env`]. The proxy looks up the server's name. It is ignored for a
    /// [Unix socket](Self::unix), and for a stream that the application has opened itself.
    #[must_use]
    pub fn proxy(mut self, proxy: impl Into<Option<Proxy>>) -> Self {
        self.proxy = proxy.into();
        self
    }

    /// The proxies that it connects through.
    pub fn get_proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// The proxy that it connects to for this request, or `None` if it connects directly.
    pub fn proxy_for(&self, request: &ClientRequest) -> Option<&ProxyServer> {
        #[cfg(unix)]
        if self.unix.is_some() {
            return None;
        }
        self.proxy.as_ref()?.server(request)
    }

    /// What is between the socket of this request and its connection: a tunnel, TLS, both, or nothing.
    ///
    /// # Errors
    /// [`Error::Proxy`] and [`Error::Tls`]: nothing was sent.
    pub fn layer(&self, request: &ClientRequest, rules: &Config) -> Result<Option<Layer>, Error> {
        let proxy = self.proxy_for(request);
        let proxy = proxy.map(|proxy| ProxyLayer::new(proxy, request, rules)).transpose()?;
        let layer = None;
        #[cfg(feature = "tls-no-provider")]
        let layer = if request.is_tls() {
            Some(Layer::from(TlsLayer::client(&self.tls, request.host())?))
        } else {
            layer
        };
        Ok(match proxy {
            Some(proxy) => Some(layer.unwrap_or_else(Layer::default).through(proxy)),
            None => layer,
        })
    }

    /// The TLS configurations that this request needs and that have not read the roots of the system yet: call
    /// [`TlsClient::prepare`] on a thread that may wait.
    #[cfg(feature = "tls-no-provider")]
    pub fn unprepared(&self, request: &ClientRequest) -> Vec<TlsClient> {
        let proxy = self.proxy_for(request).filter(|proxy| proxy.is_tls()).map(ProxyServer::tls);
        let server = request.is_tls().then_some(&self.tls);
        proxy.into_iter().chain(server).filter(|tls| !tls.is_prepared()).cloned().collect()
    }

    /// Connects to the Unix socket at this path. The URL still determines the request: `ws://localhost/chat`.
    #[cfg(unix)]
    #[must_use]
    pub fn unix(mut self, path: impl Into<PathBuf>) -> Self {
        self.unix = Some(path.into());
        self
    }

    /// The Unix socket that it connects to.
    #[cfg(unix)]
    pub fn get_unix(&self) -> Option<&Path> {
        self.unix.as_deref()
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// A client's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientState {
    /// It has no connection, and attempts none. Also the state of a removed client.
    Idle,
    /// It looks up a name, connects, or waits for the server's answer.
    Connecting,
    /// Its connection is open.
    Open,
    /// Its connection is closing.
    Closing,
    /// It waits for its next attempt.
    Waiting,
}

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
    /// [`ClientConfig::handshake_timeout`] ([`io::ErrorKind::TimedOut`]).
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
    /// [`ClientConfig::handshake_timeout`]. If the name alone took that long, this is [`Name`](Self::Name).
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
    /// The proxy was connected to, but opened no tunnel.
    Proxy(ProxyError),
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

    /// The name was not looked up within [`ClientConfig::handshake_timeout`].
    pub fn name_timed_out(host: impl Into<String>) -> Self {
        let error = io::Error::new(io::ErrorKind::TimedOut, "no answer within the handshake timeout");
        Self::Name { host: host.into(), error }
    }

    /// As it is, or within [`ProxyUnreachable`](Self::ProxyUnreachable) if it is about the connection to this proxy.
    #[must_use]
    pub fn at(self, proxy: Option<&ProxyServer>) -> Self {
        let is_of_connecting = matches!(
            self,
            Self::Name { .. }
                | Self::Zone { .. }
                | Self::Unreachable { .. }
                | Self::TimedOut { step: ConnectStep::Connect, .. }
        );
        match proxy.filter(|_| is_of_connecting) {
            Some(proxy) => Self::ProxyUnreachable { proxy: proxy.to_string(), error: Box::new(self) },
            None => self,
        }
    }

    /// Converts the end of a connection that was never open, in this step.
    pub fn of(closed: &Closed, tried: Vec<SocketAddr>, step: ConnectStep) -> Self {
        match &closed.error {
            Some(Error::Response(error)) => Self::Handshake(error.clone()),
            Some(Error::Tls(error)) => Self::Tls(error.clone()),
            Some(Error::Proxy(error)) => Self::Proxy(error.clone()),
            // The kernel reports some resets without a read.
            Some(Error::Io(kind)) if step == ConnectStep::Proxy => Self::Proxy(ProxyError::Io(*kind)),
            Some(Error::Timeout(_)) => Self::TimedOut { tried, step },
            Some(error @ (Error::Io(_) | Error::Stopped)) => Self::Lost(error.clone()),
            _ => Self::Lost(Error::Aborted),
        }
    }

    /// The server's answer, if it rejected the handshake.
    pub fn response(&self) -> Option<&::http::Response<bytes::Bytes>> {
        match self {
            Self::Handshake(ResponseError::Rejected(response)) => Some(response),
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
            Self::Proxy(error) => error.fmt(f),
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
            Self::Proxy(error) => Some(error),
            Self::ProxyUnreachable { error, .. } => Some(&**error),
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
