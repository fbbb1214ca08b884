//! One proxy: its kind, its address, and its credentials.

use super::InvalidProxy;
#[cfg(feature = "tls-no-provider")]
use crate::tls::TlsClient;
use core::fmt;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::format;
use std::string::String;
use ws_proto::fields::basic_credentials;
use ws_proto::http::HeaderValue;
use ws_proto::{ClientRequest, InvalidRequest};

/// The longest user name and password of SOCKS5, in bytes (RFC 1929 §2).
const SOCKS_TEXT: usize = 255;

/// One proxy, as [`Proxy::server`](super::Proxy::server) chooses it. Its `Debug` and `Display` omit the credentials.
#[derive(Clone)]
pub struct ProxyServer {
    kind: Kind,
    /// Only its host, zone and port matter.
    address: ClientRequest,
    credentials: Option<Credentials>,
    #[cfg(feature = "tls-no-provider")]
    tls: TlsClient,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    Https,
    Socks5,
}

#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
    /// For an HTTP proxy.
    pub(super) basic: Option<HeaderValue>,
}

impl ProxyServer {
    pub(super) fn new(url: &str) -> Result<Self, InvalidProxy> {
        use InvalidProxy::Url;
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let (kind, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Kind::Http, 1080),
            "https" if cfg!(feature = "tls-no-provider") => (Kind::Https, 443),
            "https" => return Err(InvalidProxy::TlsUnsupported),
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            "socks" | "socks4" | "socks4a" => {
                return Err(Url("the only supported version of SOCKS is socks5"));
            }
            _ => return Err(Url("its scheme is not http, https, socks5 or socks5h")),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !matches!(path, "" | "/") {
            return Err(Url("it has a path; scripts that choose a proxy (PAC) are not supported"));
        }
        // A password may hold an @ that is not percent-encoded.
        let (user_info, host) = match authority.rsplit_once('@') {
            Some((user_info, host)) => (Some(user_info), host),
            None => (None, authority),
        };
        let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':') && !end.ends_with(':'));
        let port = if has_port { String::new() } else { format!(":{default_port}") };
        let address = ClientRequest::new(&format!("ws://{}{port}/", host.trim_end_matches(':')));
        let address = address.map_err(|error| match error {
            InvalidRequest::Url(why) => Url(why),
            _ => Url("its host or port is malformed"),
        })?;
        let server = Self {
            kind,
            address,
            credentials: None,
            #[cfg(feature = "tls-no-provider")]
            tls: TlsClient::system(),
        };
        let Some(user_info) = user_info.filter(|user_info| !user_info.is_empty()) else { return Ok(server) };
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        server.with_credentials(&decoded(user)?, &decoded(password)?)
    }

    pub(super) fn with_credentials(self, user: &str, password: &str) -> Result<Self, InvalidProxy> {
        let basic = match self.kind {
            Kind::Http | Kind::Https => {
                Some(basic_credentials(user, password).map_err(InvalidProxy::Credentials)?)
            }
            Kind::Socks5 if user.is_empty() => {
                return Err(InvalidProxy::Credentials("the user name is empty"));
            }
            Kind::Socks5 if user.len().max(password.len()) > SOCKS_TEXT => {
                return Err(InvalidProxy::Credentials("SOCKS5 allows at most 255 bytes for each"));
            }
            Kind::Socks5 => None,
        };
        let credentials = Credentials { user: user.into(), password: password.into(), basic };
        Ok(Self { credentials: Some(credentials), ..self })
    }

    #[cfg(feature = "tls-no-provider")]
    pub(super) fn with_tls(self, tls: TlsClient) -> Self {
        Self { tls, ..self }
    }

    /// The address of the proxy, in the form that the functions of [`client`](crate::client) take; the rest of the
    /// request has no meaning.
    pub fn address(&self) -> &ClientRequest {
        &self.address
    }

    /// Whether the proxy itself speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.kind == Kind::Https
    }

    /// The roots or keys of the proxy that are trusted, for an `https://` proxy.
    #[cfg(feature = "tls-no-provider")]
    pub fn tls(&self) -> &TlsClient {
        &self.tls
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }
}

/// Its URL, without the credentials.
impl fmt::Display for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Http => "http",
            Kind::Https => "https",
            Kind::Socks5 => "socks5h",
        };
        let (host, port) = (self.address.host(), self.address.port());
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]:{port}"),
            false => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

impl fmt::Debug for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn decoded(text: &str) -> Result<Cow<'_, str>, InvalidProxy> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map_err(|_| InvalidProxy::Credentials("they are not UTF-8"))
}
