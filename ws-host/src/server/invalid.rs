//! Invalid parts of a server's configuration.

use crate::trusted_proxy::InvalidTrust;
use core::fmt;
use ws_proto::{InvalidAccess, fields};

/// A part of a server's configuration that can never match: it would silently reject the clients it is meant for.
///
/// Servers refuse to start with it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidConfig {
    /// A host, origin or scheme that cannot be allowed.
    Access(InvalidAccess),
    /// A value of [`ServerConfig::upgrade_paths`](super::ServerConfig::upgrade_paths) that is not a path a client
    /// sends.
    UpgradePath(String),
    /// A path of [`ServerConfig::stream_bodies`](super::ServerConfig::stream_bodies) or
    /// [`ServerConfig::min_body_rate`](super::ServerConfig::min_body_rate) that no client sends.
    StreamedPath(String),
    /// A value of [`ServerConfig::subprotocols`](super::ServerConfig::subprotocols) that is not a name a client
    /// offers.
    Subprotocol(String),
    /// The proxies of [`ServerConfig::trust_proxy`](super::ServerConfig::trust_proxy).
    TrustedProxy(InvalidTrust),
}

ws_proto::debug_is_display!(InvalidConfig);

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access(error) => error.fmt(f),
            Self::TrustedProxy(error) => error.fmt(f),
            Self::UpgradePath(path) => {
                write!(f, "{path:?} is not a path for upgrade_paths: {}", about_path(path))
            }
            Self::StreamedPath(path) => {
                write!(f, "{path:?} is not a path for stream_bodies or min_body_rate: {}", about_path(path))
            }
            Self::Subprotocol(name) => {
                write!(f, "{name:?} is not a subprotocol: a name is a token, such as chat.v2 (RFC 6455 §4.1)")
            }
        }
    }
}

impl core::error::Error for InvalidConfig {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Access(error) => Some(error),
            Self::TrustedProxy(error) => Some(error),
            Self::UpgradePath(_) | Self::StreamedPath(_) | Self::Subprotocol(_) => None,
        }
    }
}

impl From<InvalidAccess> for InvalidConfig {
    fn from(error: InvalidAccess) -> Self {
        Self::Access(error)
    }
}

impl From<InvalidTrust> for InvalidConfig {
    fn from(error: InvalidTrust) -> Self {
        Self::TrustedProxy(error)
    }
}

/// Finds the first value that no client can send.
pub(super) fn check<'a>(
    paths: &[String],
    mut streamed: impl Iterator<Item = &'a str>,
    subprotocols: &[String],
) -> Result<(), InvalidConfig> {
    if let Some(path) = paths.iter().find(|path| !is_path(path)) {
        return Err(InvalidConfig::UpgradePath(path.clone()));
    }
    if let Some(path) = streamed.find(|path| !is_path(path)) {
        return Err(InvalidConfig::StreamedPath(path.to_owned()));
    }
    match subprotocols.iter().find(|name| !fields::is_token(name.as_bytes())) {
        Some(name) => Err(InvalidConfig::Subprotocol(name.clone())),
        None => Ok(()),
    }
}

/// `path-absolute` (RFC 3986 §3.3), except `*`, which is meant as a pattern.
fn is_path(path: &str) -> bool {
    let is_pchar = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@/%".contains(&b);
    path.starts_with('/') && !path.contains("://") && path.bytes().all(is_pchar)
}

fn about_path(path: &str) -> &'static str {
    match path {
        _ if path.contains("://") => "give only the path, without scheme and host",
        _ if path.contains(['?', '#']) => "give only the path, without query and fragment",
        _ if path.contains(['*', '{']) => {
            "it takes whole paths, no patterns; without upgrade_paths, every path accepts upgrades, and for \
             stream_bodies a path that ends with a slash includes all below it"
        }
        _ => "percent-encode spaces and non-ASCII characters, as clients do",
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServerConfig;
    use super::*;

    #[test]
    fn invalid_paths_are_errors_with_a_remedy() {
        for (path, remedy) in [
            ("*", "no patterns"),
            ("/*", "no patterns"),
            ("/room/{id}", "no patterns"),
            ("/ws?x", "without query"),
            ("/ws#a", "without query and fragment"),
            ("/w s", "percent-encode"),
            ("/größe", "percent-encode"),
            ("/a\"b", "percent-encode"),
            ("http://localhost/ws", "without scheme"),
            ("ws://localhost/ws", "without scheme"),
        ] {
            let error = ServerConfig::new().upgrade_paths(["/ws", path]).check().unwrap_err();
            assert!(matches!(&error, InvalidConfig::UpgradePath(_)), "{path}: {error}");
            assert!(error.to_string().contains(remedy), "{path}: {error}");
            let config = ServerConfig::new();
            for config in [config.clone().stream_bodies(path, 1), config.min_body_rate(path, 1)] {
                let error = config.check().unwrap_err();
                assert!(matches!(&error, InvalidConfig::StreamedPath(_)), "{path}: {error}");
                assert!(error.to_string().contains(remedy), "{path}: {error}");
            }
        }
    }

    #[test]
    fn valid_paths_pass() {
        for path in ["", "/", "ws", "/ws", "/ws/", "/a/b.c", "/gr%C3%B6%C3%9Fe", "/~x/@y:z;v=1,2!$&'()+"] {
            assert_eq!(ServerConfig::new().upgrade_paths([path]).check(), Ok(()), "{path}");
        }
        assert_eq!(ServerConfig::new().check(), Ok(()));
    }

    #[test]
    fn subprotocols_are_tokens() {
        for name in ["", "chat v2", "a,b", "größe", "a/b"] {
            let error = ServerConfig::new().subprotocols(["chat", name]).check().unwrap_err();
            assert_eq!(error, InvalidConfig::Subprotocol(name.into()));
            assert!(error.to_string().contains("token"), "{error}");
        }
        assert_eq!(ServerConfig::new().subprotocols(["chat.v2", "graphql-ws", "v1~x"]).check(), Ok(()));
    }
}
