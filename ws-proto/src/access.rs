//! Which `Host` and `Origin` a server answers.
//!
//! A browser lets any page on the web open connections to this machine and to its network. Two header fields,
//! which no page can forge, tell what is going on:
//!
//! - `Host` is the name in the page's own address bar. A name that somebody else made to point here (DNS
//!   rebinding) gives itself away.
//! - `Origin` is the page that asks. A foreign page that opens a socket with this user's cookies (cross-site
//!   WebSocket hijacking, RFC 6455 §10.2) gives itself away.

use crate::error::HandshakeError;
use crate::origin::Origin;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Which `Host` and `Origin` a server answers.
///
/// The default answers for address literals, `localhost` and `*.localhost`, and takes requests of programs
/// (which send no `Origin`) and of pages that this server itself gave out. Anything else must be allowed.
///
/// ```
/// use ws_proto::Access;
///
/// let access = Access::default()
///     .allow_host("app.example")              // behind a name of its own
///     .allow_origin("https://www.app.example"); // and used by pages of another one
/// ```
///
/// `Origin` is checked on opening handshakes and on every method but GET, HEAD and OPTIONS, which must not
/// change anything (RFC 9110 §9.2.1). Origins that [`Cors`](crate::Cors) names pass it too.
#[derive(Clone, Debug, Default)]
pub struct Access {
    hosts: Vec<String>,
    any_host: bool,
    origins: Vec<Origin>,
    null_origin: bool,
    any_origin: bool,
}

impl Access {
    /// Answers requests for this host too, on any port. One exact name: there are no wildcards, and what is no
    /// host name, such as a URL, matches nothing.
    #[must_use]
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        let host = host.into();
        if let Some(authority) = Authority::parse(&host) {
            self.hosts.push(authority.host);
        }
        self
    }

    /// Answers requests for every host. Then any page on the web can read what this server answers, by making
    /// a name of its own point here; only for servers whose content is public, or behind a proxy that checks.
    #[must_use]
    pub fn allow_any_host(mut self) -> Self {
        self.any_host = true;
        self
    }

    /// Lets pages of this origin in too: scheme, host and, where it is not the scheme's own, port.
    ///
    /// ```
    /// # use ws_proto::Access;
    /// let access = Access::default()
    ///     .allow_origin("https://app.example")
    ///     .allow_origin("http://localhost:5173")
    ///     .allow_origin("tauri://localhost");
    /// ```
    #[must_use]
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        let origin = origin.into();
        if let Some(origin) = Origin::parse(origin.strip_suffix('/').unwrap_or(&origin)) {
            self.origins.push(origin);
        }
        self
    }

    /// Lets in pages that hide their origin: files, sandboxed frames, and so any page that wants to.
    #[must_use]
    pub fn allow_null_origin(mut self) -> Self {
        self.null_origin = true;
        self
    }

    /// Lets every page on the web in. Only for servers that do not tell users apart, and that give nothing to
    /// a caller merely because it is on this machine or in this network.
    #[must_use]
    pub fn allow_any_origin(mut self) -> Self {
        self.any_origin = true;
        self
    }

    /// Whether this server answers for `host`.
    pub(crate) fn check_host(&self, host: &Authority) -> Result<(), HandshakeError> {
        let name = host.host.as_str();
        let allowed = self.any_host
            || host.is_literal()
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.hosts.iter().any(|h| h == name);
        if allowed { Ok(()) } else { Err(HandshakeError::HostNotAllowed(name.to_owned())) }
    }

    /// Whether a page of `origin` may use this server, which it reached as `host`.
    pub(crate) fn check_origin(&self, origin: &str, host: Option<&Authority>) -> Result<(), HandshakeError> {
        if self.any_origin {
            return Ok(());
        }
        let allowed = if origin == "null" {
            self.null_origin
        } else {
            Origin::parse(origin).is_some_and(|origin| {
                host.is_some_and(|host| origin.is_same(host)) || self.origins.contains(&origin)
            })
        };
        if allowed { Ok(()) } else { Err(HandshakeError::OriginNotAllowed(origin.to_owned())) }
    }
}

/// `host [":" port]` (RFC 3986 §3.2), the host in lower case and without the root's dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    /// A name, an IPv4 address, or an IPv6 address in its brackets.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Authority {
    /// Refuses user information, lists, and all that no host name of DNS contains.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            (format!("[{address}]"), port)
        } else {
            let end = text.find(':').unwrap_or(text.len());
            let (name, port) = text.split_at(end);
            let name = name.strip_suffix('.').unwrap_or(name);
            let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            if name.is_empty() || name.len() > 253 || !name.bytes().all(is_name) || name.ends_with('.') {
                return None;
            }
            (name.to_ascii_lowercase(), port)
        };
        // An empty port is the default one (RFC 3986 §3.2.3).
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            Some("") => None,
            Some(digits) if digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        Some(Self { host, port })
    }

    fn is_literal(&self) -> bool {
        self.host.starts_with('[') || self.host.parse::<Ipv4Addr>().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(access: &Access, host: &str) -> bool {
        Authority::parse(host).is_some_and(|host| access.check_host(&host).is_ok())
    }

    fn origin(access: &Access, origin: &str, host: &str) -> bool {
        access.check_origin(origin, Authority::parse(host).as_ref()).is_ok()
    }

    #[test]
    fn literals_and_localhost_are_answered_by_default() {
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
    fn rebound_names_are_refused() {
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
    fn an_authority_is_one_host_and_perhaps_a_port() {
        for bad in [
            "",
            ".",
            ":80",
            "user@localhost",
            "localhost/",
            "a,b",
            "a b",
            "localhost:x",
            "localhost:65536",
            "localhost:+80",
            "localhost:80:80",
            "[::1",
            "::1",
            "[::1]x",
            "[localhost]",
            "[fe80::1%eth0]",
            "a%2eb",
            "b\u{fc}cher.example",
            "localhost:000080",
        ] {
            assert_eq!(Authority::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn pages_of_the_server_itself_are_let_in() {
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
    fn foreign_pages_are_refused() {
        let access = Access::default();
        for (o, h) in [
            ("https://evil.example", "localhost:8080"),
            ("http://localhost:3000", "localhost:8080"),
            ("http://localhost", "localhost:8080"),
            ("http://127.0.0.1:8080", "localhost:8080"),
            ("https://app.example", "app.example:80"),
            ("http://localhost:8080.evil.example", "localhost:8080"),
            ("http://localhost:8080@evil.example", "localhost:8080"),
            ("null", "localhost"),
            ("", "localhost"),
            ("localhost", "localhost"),
            ("file://", "localhost"),
            ("chrome-extension://localhost", "localhost"),
            ("http://localhost http://localhost", "localhost"),
        ] {
            assert!(!origin(&access, o, h), "{o} at {h}");
        }
        assert!(access.check_origin("http://localhost", None).is_err());
    }

    #[test]
    fn origins_are_allowed_one_by_one() {
        let access = Access::default()
            .allow_origin("https://App.example:443/")
            .allow_origin("tauri://localhost")
            .allow_origin("not an origin");
        assert!(origin(&access, "https://app.example", "localhost:1"));
        assert!(origin(&access, "tauri://localhost", "localhost:1"));
        assert!(!origin(&access, "http://app.example", "localhost:1"));
        assert!(!origin(&access, "https://app.example:444", "localhost:1"));
        assert!(!origin(&access, "null", "localhost:1"));
        assert!(!origin(&access, "not an origin", "localhost:1"));
        assert!(origin(&access.allow_null_origin(), "null", "localhost:1"));
        assert!(origin(&Access::default().allow_any_origin(), "null", "localhost:1"));
    }
}
