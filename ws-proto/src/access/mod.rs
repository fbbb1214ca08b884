//! The `Host` and `Origin` rules of a server.
//!
//! A browser lets any page on the web open connections to this machine and to its network. Two header fields, which no
//! page can forge, expose such requests:
//!
//! - `Host` is the name in the page's own address bar. It exposes a foreign name that points here (DNS rebinding).
//! - `Origin` is the page that sends the request. It exposes a foreign page that opens a socket with this user's
//!   cookies (cross-site WebSocket hijacking, RFC 6455 §10.2).

pub(crate) mod authority;
pub(crate) mod cors;
pub(crate) mod forwarded;
pub(crate) mod head_rule;
pub(crate) mod invalid;
pub(crate) mod origin;
#[cfg(test)]
mod tests_access;
pub(crate) mod tls;
pub(crate) mod transport;

pub use crate::access::invalid::InvalidAccess;

use crate::access::authority::Authority;
use crate::access::origin::{Origin, is_opaque, is_special, parse_scheme};
use crate::access::transport::Transport;
use crate::error::RequestError;

/// The `Host` and `Origin` rules of a server.
///
/// The default accepts address literals, `localhost` and `*.localhost` as `Host`, and accepts requests from programs
/// (which send no `Origin`) and from pages that this server itself served. Anything else must be allowed.
///
/// ```
/// use ws_proto::Access;
///
/// let access = Access::new()
///     .allow_host("app.example")              // behind its own name
///     .allow_origin("https://www.app.example"); // and used by pages of another one
/// ```
///
/// `Origin` is checked on opening handshakes and on every method but GET, HEAD and OPTIONS, which must not change
/// anything (RFC 9110 §9.2.1). Origins listed in [`Cors`](crate::Cors) pass it too.
///
/// # This machine
///
/// Where a server listens on both `127.0.0.1` and `[::1]` at one port, as with `Bind::localhost` and `Bind::any`, the
/// names `localhost`, `127.0.0.1` and `[::1]` are one host for the rule of origins: a page of `http://localhost:8700`
/// may open `ws://127.0.0.1:8700`. This applies to those three only, at that port only. Browsers still keep cookies by
/// name: a cookie that the page's server has set for `localhost`, such as a token, is not sent to `127.0.0.1`, so a
/// page should connect to `location.host`.
///
/// # Unix sockets
///
/// No browser opens a Unix socket, and programs have no name for it. Over one, an empty `Host` is accepted, and so is
/// every name without a dot, such as `unix` or `d`. A request with an `Origin` and an empty `Host` is rejected,
/// regardless of its method and of what is allowed.
///
/// # Mistakes
///
/// An invalid host, origin or scheme matches nothing. It is remembered, and servers refuse to start with it:
/// [`Access::check`].
#[derive(Clone, Debug, Default)]
pub struct Access {
    hosts: Vec<String>,
    any_host: bool,
    origins: Vec<Origin>,
    schemes: Vec<String>,
    null_origin: bool,
    file_origin: bool,
    any_origin: bool,
    /// The first invalid rule.
    invalid: Option<InvalidAccess>,
}

impl Access {
    /// The default: address literals, `localhost` and `*.localhost`, programs, and pages of the server's own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts requests for this host too, on any port: one exact name, without wildcards, beyond ASCII in Punycode.
    /// Anything else, such as a URL, is [`InvalidAccess::Host`] when the server starts.
    #[must_use]
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        let host = host.into();
        match Authority::parse(&host) {
            Some(authority) => self.hosts.push(authority.host),
            None => self.remember_invalid(InvalidAccess::Host(host)),
        }
        self
    }

    /// Accepts requests for every host. Any page on the web can then read this server's answers, by pointing its own
    /// name here; only for servers whose content is public, or behind a proxy that checks.
    #[must_use]
    pub fn allow_any_host(mut self) -> Self {
        self.any_host = true;
        self
    }

    /// Admits pages of this origin too: scheme, host (beyond ASCII in Punycode) and, unless it is the scheme's default,
    /// port. An application's own scheme may have an empty host, which is one origin as well: `qrc://` admits the pages
    /// of Qt's resources. Browser extensions always have a host; [`allow_scheme`](Self::allow_scheme) admits all of one
    /// scheme. Origins of pages have no `ws://`: a page of `http://localhost:5173` keeps that origin when it opens a
    /// WebSocket. An invalid origin is [`InvalidAccess::Origin`] when the server starts.
    ///
    /// ```
    /// # use ws_proto::Access;
    /// let access = Access::default()
    ///     .allow_origin("https://app.example")
    ///     .allow_origin("http://localhost:5173")
    ///     .allow_origin("tauri://localhost")
    ///     .allow_origin("qrc://");
    /// ```
    #[must_use]
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        let origin = origin.into();
        match Origin::listed(&origin) {
            Some(origin) => self.origins.push(origin),
            None => self.remember_invalid(InvalidAccess::Origin(origin)),
        }
        self
    }

    /// Admits pages of every origin of this scheme, regardless of host: `moz-extension`, for example, whose hosts are
    /// random. Case does not matter.
    ///
    /// This admits everything with that scheme: every extension that the user has installed, for example. An invalid
    /// scheme is [`InvalidAccess::Scheme`] when the server starts, and so are those of the web (`http`, `https`, `ws`,
    /// `wss`, `ftp`) and `file`.
    ///
    /// ```
    /// # use ws_proto::Access;
    /// let access = Access::default().allow_scheme("moz-extension").allow_scheme("chrome-extension");
    /// ```
    #[must_use]
    pub fn allow_scheme(mut self, scheme: impl Into<String>) -> Self {
        let scheme = scheme.into();
        match parse_scheme(&scheme).filter(|scheme| !is_special(scheme) && !is_opaque(scheme)) {
            Some(scheme) => self.schemes.push(scheme),
            None => self.remember_invalid(InvalidAccess::Scheme(scheme)),
        }
        self
    }

    /// Admits every HTML file of this machine that sends the origin `file://`, including a downloaded or mailed one as
    /// soon as the user opens it. Web views and programs with an embedded browser (Qt WebEngine, Electron, Android's
    /// WebView) send it.
    ///
    /// Most browsers send `null` for files. So can every page on the web, from a sandboxed frame, so this does not
    /// admit `null`: that takes [`allow_null_origin`](Self::allow_null_origin). Better than either, serve the page.
    #[must_use]
    pub fn allow_file_origin(mut self) -> Self {
        self.file_origin = true;
        self
    }

    /// Admits pages that hide their origin: files, sandboxed frames, and so any page that wants to.
    #[must_use]
    pub fn allow_null_origin(mut self) -> Self {
        self.null_origin = true;
        self
    }

    /// Admits every page on the web. Only for servers that do not distinguish users, and that grant nothing to a caller
    /// merely because it is on this machine or in this network.
    #[must_use]
    pub fn allow_any_origin(mut self) -> Self {
        self.any_origin = true;
        self
    }

    /// Checks that all rules are valid. Servers of the adapters do so when they start; other owners of sockets call it
    /// before their first connection.
    ///
    /// # Errors
    /// [`InvalidAccess`]: the first invalid rule.
    ///
    /// ```
    /// use ws_proto::Access;
    ///
    /// assert!(Access::default().allow_origin("https://app.example").check().is_ok());
    /// let error = Access::default().allow_origin("file://").check().unwrap_err();
    /// assert!(error.to_string().contains("allow_file_origin"));
    /// ```
    pub fn check(&self) -> Result<(), InvalidAccess> {
        self.invalid.clone().map_or(Ok(()), Err)
    }

    /// Checks a request with this `Host` and this `Origin` over this transport: the rule that the engine's own server
    /// applies to opening handshakes and to requests that may change something.
    ///
    /// It is for owners of another HTTP server; for a whole opening handshake there is
    /// [`handshake::answer`](crate::handshake::answer). The rule does not include what [`Cors`](crate::Cors) allows.
    ///
    /// # Errors
    /// [`RequestError::HostNotAllowed`], [`RequestError::OriginNotAllowed`], [`RequestError::OriginWithoutHost`], and
    /// [`RequestError::Malformed`] for an invalid `Host`. Answer with [`RequestError::status`].
    ///
    /// ```
    /// use ws_proto::{Access, Transport};
    ///
    /// let access = Access::default().allow_host("app.example");
    /// let tcp = Transport::default();
    /// assert!(access.admits("app.example", Some("https://app.example"), tcp).is_ok());
    /// assert!(access.admits("localhost:8700", None, tcp).is_ok()); // a program
    /// let error = access.admits("localhost:8700", Some("https://evil.example"), tcp).unwrap_err();
    /// assert_eq!(error.status(), 403);
    /// assert_eq!(access.admits("evil.example", None, tcp).unwrap_err().status(), 421);
    /// ```
    pub fn admits(&self, host: &str, origin: Option<&str>, transport: Transport) -> Result<(), RequestError> {
        let host = Authority::of_host(host.as_bytes(), transport)
            .ok_or(RequestError::Malformed("the Host field"))?;
        self.check_host(&host, transport)?;
        origin.map_or(Ok(()), |origin| self.check_origin(origin, Some(&host), transport))
    }

    /// Whether this server answers for `host`.
    pub(crate) fn check_host(&self, host: &Authority, transport: Transport) -> Result<(), RequestError> {
        let name = host.host.as_str();
        let allowed = self.any_host
            || host.is_literal()
            || name == "localhost"
            || name.ends_with(".localhost")
            // No name can be rebound to a Unix socket.
            || (transport.unix && !name.contains('.'))
            || self.hosts.iter().any(|h| h == name);
        if allowed { Ok(()) } else { Err(RequestError::HostNotAllowed(name.to_owned())) }
    }

    /// Whether a page of `origin` may use this server, which it reached as `host`.
    pub(crate) fn check_origin(
        &self,
        origin: &str,
        host: Option<&Authority>,
        transport: Transport,
    ) -> Result<(), RequestError> {
        if host.is_some_and(Authority::is_empty) {
            return Err(RequestError::OriginWithoutHost);
        }
        let allowed = self.any_origin
            || match origin {
                "null" => self.null_origin,
                _ if origin.eq_ignore_ascii_case("file://") => self.file_origin,
                _ => Origin::parse(origin).is_some_and(|origin| {
                    host.is_some_and(|host| origin.is_same(host, transport)) || self.allows(&origin)
                }),
            };
        if allowed { Ok(()) } else { Err(RequestError::OriginNotAllowed(origin.to_owned())) }
    }

    fn allows(&self, origin: &Origin) -> bool {
        self.origins.contains(origin) || self.schemes.iter().any(|scheme| scheme == origin.scheme())
    }

    fn remember_invalid(&mut self, invalid: InvalidAccess) {
        self.invalid.get_or_insert(invalid);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const TCP: Transport =
        Transport { secure: false, unix: false, loopback_port: None, peer: None, forwarded: false };
    /// A server on both families of port 8700.
    pub(crate) const BOTH: Transport = Transport { loopback_port: Some(8700), ..TCP };

    pub(crate) fn host(access: &Access, host: &str) -> bool {
        host_over(access, host, TCP)
    }

    pub(crate) fn host_over(access: &Access, host: &str, transport: Transport) -> bool {
        Authority::parse(host).is_some_and(|host| access.check_host(&host, transport).is_ok())
    }

    pub(crate) fn origin(access: &Access, origin: &str, host: &str) -> bool {
        origin_over(access, origin, host, BOTH)
    }

    pub(crate) fn origin_over(access: &Access, origin: &str, host: &str, transport: Transport) -> bool {
        access.check_origin(origin, Authority::parse(host).as_ref(), transport).is_ok()
    }

    #[test]
    fn literals_and_localhost_are_allowed_by_default() {
        let access = Access::default();
        for name in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "192.168.1.7:80",
            "[::1]",
            "[::1]:9000",
            "[fe80:0:0:0:0:0:0:1]",
            "localhost",
            "LocalHost:3000",
            "localhost.",
            "localhost.:3000",
            "app.localhost",
            "localhost:",
        ] {
            assert!(host(&access, name), "{name}");
        }
    }

    #[test]
    fn rebound_names_are_rejected() {
        let access = Access::default().allow_host("app.example");
        for name in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.evil.example",
            "127.1",
            "0x7f.0.0.1",
            "2130706433",
            "sub.app.example",
            "app.example..",
            "localhost..",
            ".localhost",
            "a..localhost",
        ] {
            assert!(!host(&access, name), "{name}");
        }
        for name in ["app.example", "APP.example.", "app.example:8443"] {
            assert!(host(&access, name), "{name}");
        }
        assert!(host(&Access::default().allow_any_host(), "evil.example"));
        assert!(!host(&Access::default().allow_host("*"), "evil.example"));
    }

    #[test]
    fn own_pages_are_admitted() {
        let access = Access::default();
        for (o, h) in [
            ("http://localhost:8080", "localhost:8080"),
            ("http://localhost", "localhost"),
            ("http://localhost", "localhost:80"),
            ("http://localhost:80", "localhost"),
            ("https://app.example", "app.example"),
            ("https://app.example", "app.example:443"),
            ("http://[::1]:9000", "[::1]:9000"),
            ("http://LOCALHOST:1", "localhost.:1"),
        ] {
            assert!(origin(&access, o, h), "{o} at {h}");
        }
    }

    #[test]
    fn foreign_pages_are_rejected() {
        let access = Access::default();
        for (o, h) in [
            ("https://evil.example", "localhost:8700"),
            // Another server on this machine.
            ("http://localhost:3000", "localhost:8700"),
            ("http://localhost", "localhost:8700"),
            ("http://127.0.0.1:3000", "localhost:8700"),
            ("http://127.0.0.1", "localhost:8700"),
            // The three names of this machine are one host only at the port where this server has both families.
            ("http://127.0.0.1:8701", "localhost:8701"),
            ("http://localhost", "127.0.0.1"),
            // And there are only three.
            ("http://app.localhost:8700", "localhost:8700"),
            ("http://localhost:8700", "app.localhost:8700"),
            ("http://127.0.0.2:8700", "127.0.0.1:8700"),
            ("http://0.0.0.0:8700", "127.0.0.1:8700"),
            ("http://[::ffff:127.0.0.1]:8700", "127.0.0.1:8700"),
            ("http://[::2]:8700", "[::1]:8700"),
            ("http://localhost.evil.example:8700", "127.0.0.1:8700"),
            ("http://evil.example:8700", "127.0.0.1:8700"),
            ("tauri://localhost:8700", "127.0.0.1:8700"),
            ("ws://localhost:8700", "127.0.0.1:8700"),
            ("https://app.example", "app.example:80"),
            ("http://localhost:8700.evil.example", "localhost:8700"),
            ("http://localhost:8700@evil.example", "localhost:8700"),
            ("http://[fe80::2%25eth0]:8700", "[fe80::1%25eth0]:8700"),
            ("null", "localhost"),
            ("", "localhost"),
            ("localhost", "localhost"),
            ("file://", "localhost"),
            ("qrc://", "localhost"),
            ("://localhost", "localhost"),
            ("chrome-extension://localhost", "localhost"),
            ("http://localhost http://localhost", "localhost"),
        ] {
            assert!(!origin(&access, o, h), "{o} at {h}");
        }
        assert!(access.check_origin("http://localhost", None, BOTH).is_err());
    }

    #[test]
    fn loopback_names_are_one_host_when_both_families_are_served() {
        let access = Access::default();
        let names = ["localhost", "127.0.0.1", "[::1]", "LOCALHOST.", "[0:0::1]"];
        for (page, socket) in names.iter().flat_map(|page| names.map(|socket| (page, socket))) {
            for scheme in ["http", "https"] {
                let (page, socket) = (format!("{scheme}://{page}:8700"), format!("{socket}:8700"));
                assert!(origin_over(&access, &page, &socket, BOTH), "{page} at {socket}");
            }
        }
        for (o, h) in [("http://localhost:8700", "127.0.0.1:8700"), ("http://[::1]:8700", "localhost:8700")] {
            assert!(!origin_over(&access, o, h, TCP), "one family alone: {o} at {h}");
            assert!(!origin_over(&access, o, h, BOTH.loopback_port(Some(8701))), "another port: {o} at {h}");
        }
        let on_80 = TCP.loopback_port(Some(80));
        assert!(origin_over(&access, "http://localhost", "127.0.0.1", on_80));
        assert!(!origin_over(&access, "https://localhost", "127.0.0.1", on_80));
    }

    #[test]
    fn plain_http_page_is_foreign_to_a_tls_server() {
        let access = Access::default();
        let tls = BOTH.secure(true);
        for (o, h) in [
            ("https://localhost:8700", "localhost:8700"),
            ("https://localhost:8700", "[::1]:8700"),
            ("https://app.example", "app.example"),
        ] {
            assert!(origin_over(&access, o, h, tls), "{o} at {h}");
        }
        for (o, h) in [
            ("http://localhost:8700", "localhost:8700"),
            ("http://localhost:8700", "[::1]:8700"),
            ("http://app.example:443", "app.example:443"),
            ("wss://app.example", "app.example"),
        ] {
            assert!(!origin_over(&access, o, h, tls), "{o} at {h}");
        }
        assert!(origin_over(&access.allow_origin("http://a.example"), "http://a.example", "b.example", tls));
    }
}
