//! What a server allows: how many may come, and how many came.

use super::upgrades::{UpgradeRule, Upgrades};
use crate::settings::{handed_on, settings_of_a_connection};
use crate::token::{Token, TokenRule};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::HashMap;
use std::string::String;
use std::vec::Vec;
use ws_proto::{Access, Config, Cors, InvalidAccess, Memory, WallClock};

/// What a server allows: the rules of each connection, and how many there may be.
///
/// A [`Config`] alone is a server with the other defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The rules of each connection.
    pub connection: Config,
    /// The most connections at a time, plain HTTP included; further ones are closed as they come; zero
    /// closes all of them. 10,000.
    pub max_connections: usize,
    /// The most connections of one address at a time, an IPv6 network (/64) being one; further ones are closed
    /// as they come; zero closes all of them. This machine has no such limit. 1,000; for a server behind a proxy, `None`.
    pub max_per_address: Option<usize>,
    /// The most connections at a time that have asked nothing yet; further ones wait in the kernel until one of
    /// those has, or its [time](Config::handshake_timeout) is over. Zero is one; `None` is a quarter of
    /// `max_connections`, and 16 at least.
    pub max_handshakes: Option<usize>,
    /// The most bytes that the server holds for all its connections together: in outboxes, in unfinished messages, and
    /// read ahead; what is shared counts once, and what is below the low mark not at all. See
    /// [`Memory`]. 1 GiB.
    pub memory_limit: Option<usize>,
    /// What a client must show. Nothing.
    pub token: Option<Token>,
    upgrades: Upgrades,
}

settings_of_a_connection!(ServerConfig);

handed_on! { ServerConfig:
    /// Sets how long an HTTP connection may idle between requests: [`Config::keep_alive`]. 15 s.
    keep_alive(time: Duration);

    /// Sets how long the application may take to answer a request: [`Config::answer_timeout`]. 60 s.
    answer_timeout(time: Duration);

    /// Sets whether a client that has ended its half still gets answers without a length: [`Config::half_close`]. `false`.
    half_close(allowed: bool);

    /// Answers requests for this `Host` too, such as `app.example`, beside address literals and `localhost`:
    /// [`Access::allow_host`].
    allow_host(host: impl Into<String>);

    /// Lets pages of this origin in too, such as `https://app.example`, beside pages of the server's own:
    /// [`Access::allow_origin`].
    allow_origin(origin: impl Into<String>);

    /// Lets in every HTML file of this machine that sends the origin `file://`: [`Access::allow_file_origin`].
    allow_file_origin();

    /// Lets in pages that hide their origin, as Chromium does for files: [`Access::allow_null_origin`].
    allow_null_origin();

    /// Lets in pages of every origin of this scheme, such as `moz-extension`: [`Access::allow_scheme`].
    allow_scheme(scheme: impl Into<String>);

    /// Sets the rules for `Host` and `Origin` whole, in place of what was allowed before: [`Config::access`].
    access(access: Access);

    /// Sets whose pages may read what the server answers across origins: [`Config::cors`]. Where a token is required,
    /// preflights need none, and the 401 is readable too.
    cors(cors: Cors);

    /// Gives the time of day for the `Date` of answers: [`Config::wall_clock`]. Servers of the adapters have one.
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
            token: None,
            upgrades: Upgrades::default(),
        }
    }

    /// Sets the most connections at a time.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Sets the most connections of one address at a time.
    #[must_use]
    pub fn max_per_address(mut self, connections: Option<usize>) -> Self {
        self.max_per_address = connections;
        self
    }

    /// Sets the most connections at a time that have asked nothing yet.
    #[must_use]
    pub fn max_handshakes(mut self, connections: usize) -> Self {
        self.max_handshakes = Some(connections);
        self
    }

    /// Sets the most bytes that the server holds for all its connections together; `None` is no limit.
    #[must_use]
    pub fn memory_limit(mut self, bytes: Option<usize>) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// Sets the paths at which there is a WebSocket, as a client sends them: without query, not decoded. An upgrade on any
    /// other gets 404 and never comes to the application; a plain request for one of them that nobody answers gets 426,
    /// which says how to ask. Every path.
    ///
    /// ```
    /// use ws_host::server::ServerConfig;
    ///
    /// let config = ServerConfig::new().upgrade_paths(["/ws"]).subprotocols(["chat.v2", "chat.v1"]);
    /// ```
    #[must_use]
    pub fn upgrade_paths(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let rooted = |path: String| if path.starts_with('/') { path } else { ["/", &path].concat() };
        self.upgrades.paths = Some(paths.into_iter().map(|path| rooted(path.into())).collect());
        self
    }

    /// Sets whether the application decides about each upgrade, on the [paths](Self::upgrade_paths) that there are; one that
    /// it drops is refused with 503. Otherwise those that are valid are accepted, and the application sees the open
    /// WebSocket. `false`.
    #[must_use]
    pub fn decide_upgrades(mut self, asked: bool) -> Self {
        self.upgrades.asks = asked;
        self
    }

    /// Sets the subprotocols that the server speaks, the one that it likes best first. Of those that a client offers too,
    /// the first is chosen; where there is none, none is spoken. None.
    #[must_use]
    pub fn subprotocols(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.upgrades.subprotocols = names.into_iter().map(Into::into).collect::<Vec<_>>();
        self
    }

    /// What becomes of upgrades, and of plain requests that nobody answers.
    pub fn upgrade_rule(&self) -> UpgradeRule {
        self.upgrades.clone().into()
    }

    /// The rules of each connection of a server that starts now, with the memory that they share.
    pub fn shared_config(&self) -> Config {
        let mut config = self.connection.clone();
        if config.memory.is_none() {
            config.memory = self.memory_limit.map(Memory::new);
        }
        config
    }

    /// Answers 401 to every request, and to every WebSocket, that does not show this token. Hand it out in the
    /// URL, as `?token=…`; a browser has it as a cookie from then on. See [`token`](crate::token).
    ///
    /// ```
    /// use ws_host::server::ServerConfig;
    /// use ws_host::token::Token;
    ///
    /// let mut random = [0; 16];
    /// getrandom::fill(&mut random)?;
    /// let token = Token::from_random(random);
    /// let link = format!("?token={}", token.as_str()); // after the server's URL
    /// let config = ServerConfig::default().require_token(token);
    /// # Ok::<(), getrandom::Error>(())
    /// ```
    #[must_use]
    pub fn require_token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Whether all can be allowed that its rules for `Host`, `Origin` and CORS say: what each start of a server asks
    /// first.
    ///
    /// # Errors
    /// [`InvalidAccess`]: the first that cannot be allowed.
    pub fn check_access(&self) -> Result<(), InvalidAccess> {
        self.connection.check_access()
    }

    /// What lets clients of a server at this address in.
    pub fn token_rule(&self, address: Option<SocketAddr>) -> Option<TokenRule> {
        let rule = TokenRule::new(self.token.clone()?);
        Some(match address {
            Some(address) => rule.port(address.port()),
            None => rule,
        })
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Config> for ServerConfig {
    fn from(connection: Config) -> Self {
        Self { connection, ..Self::new() }
    }
}

/// What a server counts of its connections, and whether one more may come.
///
/// ```
/// use ws_host::server::{Census, ServerConfig};
///
/// let mut census = Census::new(&ServerConfig::default().max_connections(1));
/// let peer = Some(([192, 0, 2, 1], 40_000).into());
/// assert!(census.admit(peer));
/// assert!(!census.admit(peer), "it is full");
/// census.dismiss(peer); // the first one is gone
/// assert!(census.admit(peer));
/// assert_eq!(census.turned_away(), 1);
/// ```
#[derive(Debug)]
pub struct Census {
    max_connections: usize,
    max_handshakes: usize,
    max_per_address: Option<usize>,
    addresses: Addresses,
    sockets: usize,
    handshakes: usize,
    turned_away: u64,
}

impl Census {
    /// Nobody has come yet.
    pub fn new(config: &ServerConfig) -> Self {
        // Browsers open connections ahead of need: a few of those must not keep everybody else waiting.
        let handshakes = config.max_handshakes.unwrap_or((config.max_connections / 4).max(16));
        Self {
            max_connections: config.max_connections,
            max_handshakes: handshakes.max(1),
            max_per_address: config.max_per_address,
            addresses: Addresses::default(),
            sockets: 0,
            handshakes: 0,
            turned_away: 0,
        }
    }

    /// Whether one more may come from there. If so, it is counted, as one that has asked nothing yet; if not, as
    /// turned away.
    pub fn admit(&mut self, peer: Option<SocketAddr>) -> bool {
        let admitted = self.sockets < self.max_connections
            && match (self.max_per_address, peer) {
                (Some(limit), Some(peer)) => self.addresses.add(peer, limit),
                _ => true,
            };
        if admitted {
            self.sockets += 1;
            self.handshakes += 1;
        } else {
            self.turned_away += 1;
        }
        admitted
    }

    /// One of them has asked something, or is about to go without.
    pub fn asked(&mut self) {
        self.handshakes = self.handshakes.saturating_sub(1);
    }

    /// One that was admitted from there, and has [asked](Self::asked), is gone.
    pub fn dismiss(&mut self, peer: Option<SocketAddr>) {
        self.sockets = self.sockets.saturating_sub(1);
        if let (Some(_), Some(peer)) = (self.max_per_address, peer) {
            self.addresses.remove(peer);
        }
    }

    /// Whether so many have asked nothing yet that the next must wait in the kernel.
    pub fn is_crowded(&self) -> bool {
        self.handshakes >= self.max_handshakes
    }

    /// How many are there.
    pub fn sockets(&self) -> usize {
        self.sockets
    }

    /// How many of them have asked nothing yet.
    pub fn handshakes(&self) -> usize {
        self.handshakes
    }

    /// How many addresses they come from, this machine's own not counted.
    pub fn addresses(&self) -> usize {
        self.addresses.0.len()
    }

    /// How many were turned away.
    pub fn turned_away(&self) -> u64 {
        self.turned_away
    }
}

/// How many connections each address has; this machine's own are not counted.
#[derive(Debug, Default)]
struct Addresses(HashMap<u64, u32>);

impl Addresses {
    /// Counts one more, unless there are as many as there may be.
    fn add(&mut self, peer: SocketAddr, limit: usize) -> bool {
        let Some(key) = key(peer) else { return true };
        let count = self.0.entry(key).or_default();
        if *count as usize >= limit {
            // A limit of zero must not leave an entry.
            if *count == 0 {
                self.0.remove(&key);
            }
            return false;
        }
        *count += 1;
        true
    }

    fn remove(&mut self, peer: SocketAddr) {
        if let Some(key) = key(peer)
            && let Some(count) = self.0.get_mut(&key)
        {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&key);
            }
        }
    }
}

/// Whoever has an IPv6 address has its whole /64 (RFC 4291 §2.5.4); no such network is all zeros above.
fn key(peer: SocketAddr) -> Option<u64> {
    match peer.ip().to_canonical() {
        ip if ip.is_loopback() => None,
        IpAddr::V4(v4) => Some(u64::from(v4.to_bits())),
        IpAddr::V6(v6) => Some((v6.to_bits() >> 64) as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 1)
    }

    #[test]
    fn an_address_has_so_many_and_no_more_until_one_goes() {
        let mut addresses = Addresses::default();
        let (a, b) = (at("192.0.2.1"), at("192.0.2.2"));
        assert!(addresses.add(a, 2) && addresses.add(a, 2) && !addresses.add(a, 2));
        assert!(addresses.add(b, 2));
        addresses.remove(a);
        assert!(addresses.add(a, 2) && !addresses.add(a, 2));
        for _ in 0..2 {
            addresses.remove(a);
        }
        addresses.remove(b);
        assert!(!addresses.add(a, 0));
        assert!(addresses.0.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_so_is_an_ipv4_one_on_dual_stack() {
        let mut addresses = Addresses::default();
        assert!(addresses.add(at("2001:db8::1"), 1));
        assert!(!addresses.add(at("2001:db8::ffff:1"), 1));
        assert!(addresses.add(at("2001:db8:0:1::1"), 1));
        assert!(addresses.add(at("::ffff:192.0.2.1"), 1));
        assert!(!addresses.add(at("192.0.2.1"), 1));
    }

    #[test]
    fn those_who_have_asked_nothing_crowd_a_server_until_they_ask_or_go() {
        let mut census = Census::new(&ServerConfig::default().max_handshakes(2));
        assert!(census.admit(None) && !census.is_crowded());
        assert!(census.admit(None) && census.is_crowded());
        census.asked();
        assert!(!census.is_crowded());
        census.asked();
        census.dismiss(None);
        assert_eq!(census.sockets(), 1);
    }

    #[test]
    fn a_full_server_turns_away_and_counts_whom() {
        let config = ServerConfig::from(Config::server()).max_connections(3).max_per_address(Some(2));
        let mut census = Census::new(&config);
        let (a, b) = (Some(at("192.0.2.1")), Some(at("192.0.2.2")));
        assert!(census.admit(a) && census.admit(a));
        assert!(!census.admit(a), "one address has no more");
        assert!(census.admit(b) && !census.admit(b), "nor has the server");
        assert_eq!((census.sockets(), census.handshakes(), census.addresses()), (3, 3, 2));
        assert_eq!(census.turned_away(), 2);
        census.asked();
        census.dismiss(a);
        assert_eq!((census.sockets(), census.turned_away()), (2, 2));
        assert!(census.admit(a));
    }

    #[test]
    fn behind_a_proxy_one_address_may_be_everybody() {
        let mut census = Census::new(&ServerConfig::default().max_per_address(None).max_connections(9));
        assert_eq!((0..10).filter(|_| census.admit(Some(at("192.0.2.1")))).count(), 9);
        assert_eq!(census.addresses(), 0);
    }

    #[test]
    fn each_server_of_a_host_has_a_cookie_of_its_own() {
        let config = ServerConfig::default().require_token(Token::from_random([1; 16]));
        let cookie = |address| config.token_rule(address).map(|rule| rule.set_cookie());
        let (one, two) = (cookie(Some(([127, 0, 0, 1], 1).into())), cookie(Some(([127, 0, 0, 1], 2).into())));
        assert!(one.is_some() && one != two && one != cookie(None));
        assert!(ServerConfig::default().token_rule(None).is_none(), "nothing is required");
    }

    #[test]
    fn this_machine_is_not_counted() {
        let mut addresses = Addresses::default();
        for address in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            assert!(addresses.add(at(address), 0) && addresses.add(at(address), 0));
            addresses.remove(at(address));
        }
        assert!(addresses.0.is_empty());
    }
}
