//! Configuration of clients: shared by all adapters.

use super::{ConnectError, InvalidTarget, Reconnect};
use crate::layer::{ConnectStep, Layer};
use crate::proxy::{Proxy, ProxyLayer, ProxyServer};
use crate::settings::connection_settings;
#[cfg(feature = "tls-no-provider")]
use crate::tls::{TlsClient, TlsLayer};
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::vec::Vec;
use ws_proto::{ClientRequest, Closed, Config, Error, Heartbeat, RedirectError, ResponseError};

/// The most redirects in a row that are followed, whatever was set.
const MOST_REDIRECTS: u8 = 5;

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
    redirects: u8,
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
            redirects: 0,
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

    /// Sets the policy for automatic reconnects. `None`, the default, disables them.
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

    /// Connects through a proxy, or through one of several. `None`, the default, connects directly; the environment is
    /// not read unless you pass [`Proxy::from_env`]. The proxy looks up the server's name. It is ignored for a
    /// [Unix socket](Self::unix), and for a stream that the application has opened itself. The peer address of a
    /// connection is then the proxy's.
    #[must_use]
    pub fn proxy(mut self, proxy: impl Into<Option<Proxy>>) -> Self {
        self.proxy = proxy.into();
        self
    }

    /// The proxies that it connects through.
    pub fn get_proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Sets how many redirects in a row it follows (301, 302, 303, 307, 308), clamped to 5; all of an attempt share one
    /// deadline. None is followed from `wss://` to `ws://`, and credentials stay with their origin:
    /// [`ClientRequest::redirect`]. The answer lists those that were followed:
    /// [`Redirects`](ws_proto::Redirects). The next attempt begins at the original address. It is ignored for a stream
    /// that the application has opened itself. 0.
    #[must_use]
    pub fn follow_redirects(mut self, limit: u8) -> Self {
        self.redirects = limit.min(MOST_REDIRECTS);
        self
    }

    /// How many redirects in a row it follows.
    pub fn get_follow_redirects(&self) -> u8 {
        self.redirects
    }

    /// The request that follows the redirect with which this request ended, if it passes this check. `None` if it did not,
    /// or if none is followed: the rejection stands as it is.
    ///
    /// # Errors
    /// The attempt has failed, with its [redirects and proxy](ConnectError::in_attempt). If it has
    /// [timed out](ConnectError::is_timed_out), the policy judges that, and not the redirect.
    pub fn redirected(
        &self,
        request: &ClientRequest,
        closed: &Closed,
        check: impl FnOnce(ClientRequest) -> Result<ClientRequest, InvalidTarget>,
    ) -> Option<Result<ClientRequest, ConnectError>> {
        let Some(Error::Response(ResponseError::Rejected(response))) = &closed.error else { return None };
        let (status, limit) = (response.status(), self.redirects);
        let location = response.headers().get(::http::header::LOCATION)?;
        if limit == 0 || !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        // The engine keeps the answer whose rest did not arrive in time.
        if closed.age >= self.connection.get_handshake_timeout() {
            let late = ConnectError::TimedOut { tried: Vec::new(), step: ConnectStep::Redirect };
            return Some(Err(late.in_attempt(request, None)));
        }
        let next = match location.to_str() {
            _ if request.redirects().len() >= usize::from(limit) => Err(RedirectError::TooMany { limit }),
            Ok(location) => request.redirect(status, location),
            Err(_) => Err(RedirectError::Location("it is not ASCII")),
        };
        Some(match next {
            Ok(next) => {
                check(next.clone()).map_err(|error| ConnectError::from(error).in_attempt(&next, None))
            }
            Err(error) => Err(ConnectError::Redirect(error).in_attempt(request, None)),
        })
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
        let layer = self.tls_layer(request)?;
        Ok(match proxy {
            Some(proxy) => Some(layer.unwrap_or_else(Layer::default).through(proxy)),
            None => layer,
        })
    }

    #[cfg(feature = "tls-no-provider")]
    fn tls_layer(&self, request: &ClientRequest) -> Result<Option<Layer>, Error> {
        let layer = request.is_tls().then(|| TlsLayer::client(&self.tls, request.host())).transpose()?;
        Ok(layer.map(Layer::from))
    }

    #[cfg(not(feature = "tls-no-provider"))]
    fn tls_layer(&self, _: &ClientRequest) -> Result<Option<Layer>, Error> {
        Ok(None)
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
