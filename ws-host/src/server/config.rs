//! A server's configuration: its limits, and the rules of its connections.

use super::head_rule::ServerRule;
use super::invalid::{self, InvalidConfig};
use super::streaming::StreamedPaths;
use super::upgrades::{UpgradeRule, Upgrades};
use crate::settings::{connection_settings, forwarded};
#[cfg(feature = "tls-no-provider")]
use crate::tls::{ServerTls, TlsMode, TlsServer};
use crate::token::Tokens;
use crate::trusted_proxy::{HEADER_LIMIT, TrustedProxies, Via};
use core::net::SocketAddr;
use core::time::Duration;
use std::string::String;
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use std::vec::Vec;
use ws_proto::{Access, Config, Cors, Memory, WallClock};

/// A server's configuration: its connection limits, its upgrades, and the rules of each connection.
///
/// ```
/// use std::time::Duration;
/// use ws_host::server::ServerConfig;
/// use ws_proto::Heartbeat;
///
/// let config = ServerConfig::new()
///     .max_connections(500)
///     .allow_origin("https://app.example")
///     .heartbeat(Heartbeat::frequent())
///     .close_timeout(Duration::from_secs(2));
/// ```
#[derive(Clone, Debug)]
pub struct ServerConfig {
    connection: Config,
    pub(super) max_connections: usize,
    pub(super) max_per_address: Option<usize>,
    pub(super) max_handshakes: Option<usize>,
    memory_limit: Option<usize>,
    pub(super) tokens: Option<Tokens>,
    pub(super) token_guesses: Option<u32>,
    upgrades: Upgrades,
    streamed: StreamedPaths,
    pub(super) trusted: Option<Arc<TrustedProxies>>,
    pub(super) proxy_header_limit: usize,
    #[cfg(feature = "tls-no-provider")]
    tls: Option<TlsServer>,
    #[cfg(feature = "tls-no-provider")]
    tls_mode: TlsMode,
}

connection_settings!(ServerConfig);

forwarded! { ServerConfig:
    /// Limits the request target, in bytes: [`Config::target_limit`]. 8 KiB.
    target_limit(bytes: usize);

    /// Limits the unanswered pipelined requests: [`Config::pipeline_limit`]. 16.
    pipeline_limit(requests: usize);

    /// Limits the requests on one HTTP connection: [`Config::request_limit`]. 1,000.
    request_limit(requests: u32);

    /// Sets how long an HTTP connection may idle between requests: [`Config::keep_alive`]. 15 s.
    keep_alive(time: Duration);

    /// Sets how long the application may take to answer a request: [`Config::answer_timeout`]. 60 s.
    answer_timeout(time: Duration);

    /// Sets whether a client that has ended its half still gets answers without a length: [`Config::half_close`]. `false`.
    half_close(allowed: bool);

    /// Sets whether every connection emits `Closed`, including one without a request:
    /// [`Config::report_all_closes`]. `false`.
    report_all_closes(all: bool);

    /// Answers requests for this `Host` too, such as `app.example`, in addition to address literals and `localhost`:
    /// [`Access::allow_host`].
    allow_host(host: impl Into<String>);

    /// Allows pages of this origin too, such as `https://app.example`, in addition to the server's own:
    /// [`Access::allow_origin`].
    allow_origin(origin: impl Into<String>);

    /// Allows every HTML file of this machine that sends the origin `file://`: [`Access::allow_file_origin`].
    allow_file_origin();

    /// Allows pages that hide their origin, as Chromium does for files: [`Access::allow_null_origin`].
    allow_null_origin();

    /// Allows pages of every origin of this scheme, such as `moz-extension`: [`Access::allow_scheme`].
    allow_scheme(scheme: impl Into<String>);

    /// Replaces all rules for `Host` and `Origin`, discarding earlier ones: [`Config::access`].
    access(access: Access);

    /// Sets which origins may read the server's answers: [`Config::cors`]. If a token is required,
    /// preflights need none, and the 401 is readable too.
    cors(cors: Cors);

    /// Sets the time of day for the `Date` of answers: [`Config::wall_clock`]. Servers of the adapters have one.
    wall_clock(clock: WallClock);
}

impl ServerConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            connection: Config::server(),
            max_connections: 10_000,
            max_per_address: Some(1_000),
            max_handshakes: None,
            memory_limit: Some(1 << 30),
            tokens: None,
            token_guesses: Some(10),
            upgrades: Upgrades::default(),
            streamed: StreamedPaths::default(),
            trusted: None,
            proxy_header_limit: HEADER_LIMIT,
            #[cfg(feature = "tls-no-provider")]
            tls: None,
            #[cfg(feature = "tls-no-provider")]
            tls_mode: TlsMode::default(),
        }
    }

    /// Limits the concurrent connections, plain HTTP included; further ones are closed on arrival; zero
    /// closes all of them. 10,000.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Limits the concurrent connections of one address, an IPv6 network (/64) counting as one; further ones are
    /// closed on arrival; zero closes all of them. This machine has no such limit, and neither have
    /// [trusted proxies](Self::trust_proxy): through them the address of the client counts. 1,000; set `None` behind a
    /// proxy that is not trusted so.
    #[must_use]
    pub fn max_per_address(mut self, connections: Option<usize>) -> Self {
        self.max_per_address = connections;
        self
    }

    /// Limits the pending handshakes, connections without a request so far; further connections wait in the kernel
    /// until a handshake is done, or [times out](Self::handshake_timeout). Zero counts as one. A quarter of
    /// [`max_connections`](Self::max_connections), and 16 at least.
    #[must_use]
    pub fn max_handshakes(mut self, connections: usize) -> Self {
        self.max_handshakes = Some(connections);
        self
    }

    /// Limits the bytes that the server holds for all its connections together: in outboxes, in unfinished messages, and
    /// read ahead; shared bytes count once, and bytes below the low mark not at all. See [`Memory`]. `None` is no
    /// limit. 1 GiB.
    #[must_use]
    pub fn memory_limit(mut self, bytes: Option<usize>) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// Sets the paths that accept upgrades, as clients send them: whole, without query, percent-encoded if necessary. A
    /// missing leading slash is added: `"ws"` is `"/ws"`. An upgrade on any other path gets 404 and never reaches
    /// the application. A plain request for one of them that the application leaves unanswered gets 426,
    /// which names the protocol (RFC 9110 §15.5.22): with `ws-server-mio` a request that is dropped while its event is
    /// handled, with `ws-server-smol` one to which `upgrade` or `upgrade_or` has no response. A request dropped later, or
    /// returned by `HttpConnection::next` and dropped, gets 503. Every path.
    ///
    /// ```
    /// use ws_host::server::ServerConfig;
    ///
    /// let config = ServerConfig::new().upgrade_paths(["/ws"]).subprotocols(["chat.v2", "chat.v1"]);
    /// ```
    #[must_use]
    pub fn upgrade_paths(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.upgrades.paths = Some(paths.into_iter().map(|path| rooted(path.into())).collect());
        self
    }

    /// Sets whether the application decides about each upgrade on the accepted [paths](Self::upgrade_paths); a dropped
    /// upgrade is rejected with 503. Otherwise valid upgrades are accepted, and the application sees the open
    /// WebSocket. `false`.
    ///
    /// In `ws-server-smol`, the call decides instead: `HttpConnection::next_upgrade` returns the request of the upgrade,
    /// `HttpConnection::upgrade` accepts it.
    #[must_use]
    pub fn decide_upgrades(mut self, decides: bool) -> Self {
        self.upgrades.app_decides = decides;
        self
    }

    /// Sets the subprotocols of the server, in order of preference. The first one that a client offers too is
    /// chosen; without a match, none is. By default, there are none.
    #[must_use]
    pub fn subprotocols(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.upgrades.subprotocols = names.into_iter().map(Into::into).collect::<Vec<_>>();
        self
    }

    /// Has the bodies of requests for this path emitted as they arrive, up to this many bytes; a longer one gets 413.
    /// Such a request is emitted with its head, before the client sends the body, and nothing of the body is kept:
    /// uploads of any size take no memory. A path that ends with a slash includes all below it; if several match, the
    /// longest applies. GET, HEAD and OPTIONS are exempt. By default none: each body is collected, up to
    /// [`body_limit`](Self::body_limit).
    ///
    /// For other choices, by a header say, [`HeadRule::stream_body`](ws_proto::HeadRule::stream_body).
    ///
    /// ```
    /// use ws_host::server::ServerConfig;
    ///
    /// let config = ServerConfig::new().stream_bodies("/files/", 100 << 30); // 100 GiB
    /// ```
    #[must_use]
    pub fn stream_bodies(mut self, path: impl Into<String>, limit: u64) -> Self {
        self.streamed.add(rooted(path.into()), limit);
        self
    }

    /// Sets the fewest bytes a second that a client must send of a body that [streams](Self::stream_bodies) on this
    /// path, in each 30 s in which it is read, or the rest of it; a slower one gets 408. With 0 it may pause for as long
    /// as it likes: for live data. A client that vanishes then holds its connection until the application
    /// [closes](ws_proto::Connection::close) it. Paths are as for `stream_bodies`. 1 KiB.
    ///
    /// ```
    /// use ws_host::server::ServerConfig;
    ///
    /// let config = ServerConfig::new().stream_bodies("/files/", 100 << 30).min_body_rate("/files/live/", 0);
    /// ```
    #[must_use]
    pub fn min_body_rate(mut self, path: impl Into<String>, bytes_per_second: u32) -> Self {
        self.streamed.add_min_rate(rooted(path.into()), bytes_per_second);
        self
    }

    /// Speaks TLS: `wss://` and `https://`. Clients without TLS are closed at once, unless [`tls_mode`](Self::tls_mode)
    /// changes that. Off.
    #[cfg(feature = "tls-no-provider")]
    #[must_use]
    pub fn tls(mut self, tls: TlsServer) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets how clients that do not speak TLS are treated, if the server has [TLS](Self::tls). [`TlsMode::Only`].
    #[cfg(feature = "tls-no-provider")]
    #[must_use]
    pub fn tls_mode(mut self, mode: TlsMode) -> Self {
        self.tls_mode = mode;
        self
    }

    /// The server's TLS, and how clients without it are treated.
    #[cfg(feature = "tls-no-provider")]
    pub fn get_tls(&self) -> Option<(&TlsServer, TlsMode)> {
        self.tls.as_ref().map(|tls| (tls, self.tls_mode))
    }

    /// The server's TLS, for connections with this configuration.
    #[cfg(feature = "tls-no-provider")]
    pub fn server_tls(&self, connection: &Config) -> Option<ServerTls> {
        self.tls.as_ref().map(|tls| ServerTls::new(tls.clone(), self.tls_mode, connection))
    }

    /// Whether the server speaks TLS.
    pub fn is_tls(&self) -> bool {
        #[cfg(feature = "tls-no-provider")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls-no-provider"))]
        false
    }

    /// Whether it also serves clients without TLS.
    pub(super) fn is_plain_served(&self) -> bool {
        #[cfg(feature = "tls-no-provider")]
        return self.tls.is_none() || self.tls_mode == TlsMode::OrPlain;
        #[cfg(not(feature = "tls-no-provider"))]
        true
    }

    /// The rule for upgrades, and for dropped plain requests.
    pub fn upgrade_rule(&self) -> UpgradeRule {
        self.upgrades.clone().into()
    }

    /// The most connections at a time.
    pub fn get_max_connections(&self) -> usize {
        self.max_connections
    }

    /// The most connections of one address at a time.
    pub fn get_max_per_address(&self) -> Option<usize> {
        self.max_per_address
    }

    /// The most bytes that the server holds for all its connections together.
    pub fn get_memory_limit(&self) -> Option<usize> {
        self.memory_limit
    }

    /// The rules of each connection of a server that starts now, with its shared memory, and with a clock for
    /// [`SleepDetector::attach`](crate::sleep::SleepDetector::attach) to set. Connections reject requests without the
    /// [token](Self::require_token), and upgrades on other [paths](Self::upgrade_paths), as soon as they have the head.
    pub fn connection_config(&self) -> Config {
        self.connection_config_at(None)
    }

    /// As [`connection_config`](Self::connection_config), for a server at this address, whose port is in the name of the
    /// token's cookie.
    pub fn connection_config_at(&self, address: Option<SocketAddr>) -> Config {
        let clock = self.connection.get_wall_clock().cloned();
        let config = self.connection.clone().wall_clock(clock.unwrap_or_else(|| WallClock::new(UNIX_EPOCH)));
        let config = match self.memory_limit {
            Some(limit) if config.get_memory().is_none() => config.memory(Memory::new(limit)),
            _ => config,
        };
        let trusted = self.trusted.clone().filter(|trusted| trusted.via() != Via::ProxyProtocol);
        let is_ruled = self.tokens.is_some() || self.upgrades.paths.is_some() || trusted.is_some();
        if !is_ruled && self.streamed.is_empty() {
            return config;
        }
        let further = config.get_head_rule().cloned();
        let rule = ServerRule {
            trusted,
            token: self.token_rule(address, config.get_wall_clock()),
            upgrades: self.upgrade_rule(),
            streamed: self.streamed.clone(),
            further,
        };
        config.head_rule(Arc::new(rule))
    }

    /// Checks its rules for `Host`, `Origin` and CORS, its trusted proxies, paths and subprotocols. Each server calls this
    /// when it starts.
    ///
    /// # Errors
    /// [`InvalidConfig`]: the first invalid part.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        self.connection.check_access()?;
        self.trusted.as_ref().map_or(Ok(()), |trusted| trusted.check())?;
        let paths = self.upgrades.paths.as_deref().unwrap_or_default();
        invalid::check(paths, self.streamed.paths(), &self.upgrades.subprotocols)
    }
}

/// A path as clients send it.
fn rooted(path: String) -> String {
    if path.starts_with('/') { path } else { ["/", &path].concat() }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Token, TokenRule};
    use ws_proto::{RequestError, RequestHead, Transport};

    fn check(
        config: &ServerConfig,
        request: &http::Request<()>,
        is_upgrade: bool,
    ) -> Result<(), RequestError> {
        let config = config.connection_config();
        config.get_head_rule().map_or(Ok(()), |rule| rule.check(&RequestHead::new(request, is_upgrade)))
    }

    #[test]
    fn connections_require_the_token_and_the_paths_and_further_rules() {
        let token = Token::from_random([1; 16]);
        let link = format!("/ws?token={}", token.as_str());
        let get = |target: &str| http::Request::get(target).body(()).unwrap();
        let plain = ServerConfig::new();
        assert!(plain.connection_config().get_head_rule().is_none(), "nothing is required");

        let config = plain.clone().upgrade_paths(["/ws"]);
        assert_eq!(check(&config, &get("/ws?a=b"), true), Ok(()));
        assert_eq!(check(&config, &get("/"), true), Err(RequestError::UpgradePath("/".to_owned())));
        assert_eq!(check(&config, &get("/"), false), Ok(()), "a page may be anywhere");

        let config = config.require_token(token.clone());
        assert_eq!(check(&config, &get(&link), true), Ok(()));
        assert_eq!(
            check(&config, &get("/"), true),
            Err(RequestError::Unauthorized),
            "paths are not disclosed"
        );

        // A rule that the application has set applies as well.
        let other = Arc::new(TokenRule::new(Token::from_random([2; 16])));
        let both = config.connection(Config::server().head_rule(other.clone()));
        assert_eq!(check(&both, &get(&link), true), Err(RequestError::Unauthorized));
        let second = format!("{link}&token={}", Token::from_random([2; 16]).as_str());
        assert_eq!(check(&both, &get(&second), true), Ok(()));
        let alone = plain.connection(Config::server().head_rule(other));
        assert_eq!(check(&alone, &get("/"), false), Err(RequestError::Unauthorized));
    }

    #[test]
    fn each_server_of_a_host_has_its_own_cookie() {
        let config = ServerConfig::default().require_token(Token::from_random([1; 16]));
        let cookie = |address| {
            config
                .token_rule(address, None)
                .map(|rule| rule.set_cookie(&Token::from_random([1; 16]), Transport::default()))
        };
        let (one, two) = (cookie(Some(([127, 0, 0, 1], 1).into())), cookie(Some(([127, 0, 0, 1], 2).into())));
        assert!(one.is_some() && one != two && one != cookie(None));
        assert!(ServerConfig::default().token_rule(None, None).is_none(), "nothing is required");
    }
}
