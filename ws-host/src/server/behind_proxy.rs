//! A server's configuration behind proxies.

use super::ServerConfig;
use crate::trusted_proxy::{TrustedProxies, Via};
use std::sync::Arc;

impl ServerConfig {
    /// Believes the proxies at these addresses who the client is, and whether it speaks TLS: by one kind of header, which
    /// they must set. The addresses are single ones, ranges such as `10.0.0.0/8`, and `unix` for the peers of a Unix
    /// socket; this machine is not among them unless it is named. Off.
    ///
    /// The other kinds of header are ignored, even from these addresses, and every kind is from all others. Several calls
    /// add up; they must name one kind. Which values of a list count, and what malformed ones mean:
    /// [`trusted_proxy`](crate::trusted_proxy).
    ///
    /// For a connection from a trusted proxy
    ///
    /// - `peer_addr`, of the connection and of each request, is the address that the proxy names; its own is
    ///   `transport_addr`. With [`Via::Forwarded`] and [`Via::XForwarded`] it is known with the head of a request, and may
    ///   change with the next one of the same connection; with [`Via::ProxyProtocol`] before the first byte.
    /// - [`max_per_address`](Self::max_per_address) counts that address, from then on: a further connection is closed
    ///   (`ProxyProtocol`), a request answered 429. Until then the connection counts for no address, only for
    ///   [`max_connections`](Self::max_connections) and [`max_handshakes`](Self::max_handshakes).
    /// - the rules for `Host` and `Origin`, [`Request::url`](ws_proto::Request::url) and the cookie of a
    ///   [token](Self::require_token) go by the scheme and the `Host` that the proxy names. Where it says `https`, pages of
    ///   `http` are foreign, and the cookie is `Secure`.
    ///
    /// With [`Via::ProxyProtocol`] each connection from these addresses must begin with the header, within
    /// [`handshake_timeout`](Self::handshake_timeout) like all of the handshake, and is closed otherwise
    /// ([`Stats::proxy_header_failed`](super::Stats::proxy_header_failed)). It precedes TLS.
    ///
    /// ```
    /// use ws_host::server::ServerConfig;
    /// use ws_host::trusted_proxy::Via;
    ///
    /// // nginx on this machine, with X-Forwarded-For, -Proto and -Host
    /// let config = ServerConfig::new().trust_proxy(["127.0.0.1", "::1"], Via::XForwarded).allow_host("app.example");
    /// assert!(config.check().is_ok());
    /// ```
    #[must_use]
    pub fn trust_proxy(mut self, addresses: impl IntoIterator<Item = impl AsRef<str>>, via: Via) -> Self {
        let added = TrustedProxies::new(addresses, via);
        self.trusted = Some(Arc::new(match self.trusted.take() {
            Some(trusted) => Arc::unwrap_or_clone(trusted).and(added),
            None => added,
        }));
        self
    }

    /// Limits the header of the PROXY protocol, version 2, in bytes. One of version 1 has 107 at most. 536.
    #[must_use]
    pub fn proxy_header_limit(mut self, bytes: usize) -> Self {
        self.proxy_header_limit = bytes;
        self
    }

    /// The proxies that the server believes.
    pub fn get_trusted_proxies(&self) -> Option<&Arc<TrustedProxies>> {
        self.trusted.as_ref()
    }

    /// The same configuration with these proxies: a running server keeps its own.
    #[must_use]
    pub fn trusted_proxies(mut self, trusted: Option<Arc<TrustedProxies>>) -> Self {
        self.trusted = trusted;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::InvalidConfig;
    use super::*;
    use crate::trusted_proxy::InvalidTrust;

    #[test]
    fn a_server_refuses_addresses_that_are_none_and_two_kinds() {
        let config = ServerConfig::new().trust_proxy(["10.0.0.1", "unix"], Via::Forwarded);
        assert_eq!(config.check(), Ok(()));
        let config = config.trust_proxy(["10.0.0.0/8"], Via::Forwarded);
        assert_eq!(config.check(), Ok(()));
        let mixed = config.clone().trust_proxy(["10.0.0.2"], Via::XForwarded).check();
        assert_eq!(
            mixed,
            Err(InvalidConfig::TrustedProxy(InvalidTrust::Kinds(Via::Forwarded, Via::XForwarded)))
        );
        let error = config.trust_proxy(["proxy"], Via::Forwarded).check().unwrap_err();
        assert!(error.to_string().contains("names are not looked up"), "{error}");
    }

    #[test]
    fn only_header_fields_need_a_rule() {
        let rule = |via| ServerConfig::new().trust_proxy(["10.0.0.1"], via).connection_config();
        assert!(rule(Via::Forwarded).get_head_rule().is_some());
        assert!(rule(Via::XForwarded).get_head_rule().is_some());
        assert!(rule(Via::ProxyProtocol).get_head_rule().is_none());
    }
}
