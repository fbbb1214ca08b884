//! Which proxy a client uses for which server.

use super::no_proxy::NoProxy;
use super::{InvalidProxy, ProxyServer};
#[cfg(feature = "tls-no-provider")]
use crate::tls::TlsClient;
use core::fmt;
use core::str::FromStr;
use std::sync::Arc;
use ws_proto::ClientRequest;

/// The proxy of a client, or several: for `ws://` and `wss://` addresses, with exceptions. None is used unless it is
/// set, and the environment is read only by [`from_env`](Proxy::from_env).
///
/// ```
/// use ws_host::client::ClientConfig;
/// use ws_host::proxy::Proxy;
///
/// let proxy = Proxy::new("http://proxy.example:3128")?.credentials("ann", "secret")?.no_proxy("localhost, .internal");
/// let config = ClientConfig::new().proxy(proxy);
/// # Ok::<(), ws_host::proxy::InvalidProxy>(())
/// ```
///
/// Its `Debug` omits the credentials.
#[derive(Clone)]
pub struct Proxy(Arc<Rules>);

#[derive(Clone)]
struct Rules {
    ws: Option<ProxyServer>,
    wss: Option<ProxyServer>,
    no_proxy: NoProxy,
}

impl Proxy {
    /// The proxy at this URL: `[scheme://][user[:password]@]host[:port]`.
    ///
    /// | scheme | protocol | default port |
    /// |---|---|---|
    /// | `http`, or none | HTTP CONNECT; credentials are sent in the clear | 1080, as in curl |
    /// | `https` | the same, within TLS to the proxy (feature `tls`) | 443 |
    /// | `socks5h`, `socks5` | SOCKS5 (RFC 1928); credentials are sent in the clear | 1080 |
    ///
    /// The proxy always looks up the server's name, also with `socks5`. User name and password are percent-decoded.
    ///
    /// # Errors
    /// [`InvalidProxy`].
    pub fn new(url: &str) -> Result<Self, InvalidProxy> {
        let server = ProxyServer::new(url)?;
        Ok(Self::of(Some(server.clone()), Some(server), NoProxy::default()))
    }

    pub(super) fn of(ws: Option<ProxyServer>, wss: Option<ProxyServer>, no_proxy: NoProxy) -> Self {
        Self(Arc::new(Rules { ws, wss, no_proxy }))
    }

    /// Sets the user name and the password, in place of those in the URL: Basic (RFC 7617) for an HTTP proxy, RFC 1929
    /// for SOCKS5.
    ///
    /// # Errors
    /// [`InvalidProxy::Credentials`].
    pub fn credentials(self, user: &str, password: &str) -> Result<Self, InvalidProxy> {
        let with = |server: Option<ProxyServer>| {
            server.map(|server| server.with_credentials(user, password)).transpose()
        };
        let Rules { ws, wss, no_proxy } = self.into_rules();
        Ok(Self::of(with(ws)?, with(wss)?, no_proxy))
    }

    /// Sets the roots or keys that are trusted for an `https://` proxy itself. [`TlsClient::system`]. For the server
    /// behind it, [`ClientConfig::tls`](crate::client::ClientConfig::tls) applies.
    #[cfg(feature = "tls-no-provider")]
    #[must_use]
    pub fn tls(self, tls: TlsClient) -> Self {
        let with = |server: Option<ProxyServer>| server.map(|server| server.with_tls(tls.clone()));
        let Rules { ws, wss, no_proxy } = self.into_rules();
        Self::of(with(ws), with(wss), no_proxy)
    }

    /// Sets the servers that are connected to directly, in the grammar of curl's `no_proxy`: a list separated by commas
    /// or spaces, of
    ///
    /// - names, which also match every name below them: `example.org` and `.example.org` are the same;
    /// - addresses, with or without brackets, or blocks of them: `10.0.0.0/8`, `2001:db8::/32`, `[::1]`;
    /// - `*`, for all servers.
    ///
    /// A port cannot be given: as in curl, such an element matches nothing. By default, the list is empty.
    #[must_use]
    pub fn no_proxy(self, list: &str) -> Self {
        let Rules { ws, wss, .. } = self.into_rules();
        Self::of(ws, wss, NoProxy::new(list))
    }

    /// The proxy for this server, or `None` to connect directly.
    pub fn server(&self, request: &ClientRequest) -> Option<&ProxyServer> {
        let server = if request.is_tls() { &self.0.wss } else { &self.0.ws };
        server.as_ref().filter(|_| !self.0.no_proxy.matches(request.host()))
    }

    fn into_rules(self) -> Rules {
        Arc::unwrap_or_clone(self.0)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules { ws, wss, no_proxy } = &*self.0;
        let mut shown = f.debug_struct("Proxy");
        shown.field("ws", ws).field("wss", wss).field("no_proxy", no_proxy).finish()
    }
}

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(url: &str) -> Result<Self, InvalidProxy> {
        Self::new(url)
    }
}
