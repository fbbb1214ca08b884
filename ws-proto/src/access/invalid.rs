//! Invalid rules for `Host`, `Origin` or CORS.

use crate::access::origin::{is_of_extensions, is_opaque};
use core::fmt;

/// An allowed host, origin or scheme that is invalid: it would match nothing.
///
/// Servers refuse to start with it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidAccess {
    /// [`Access::allow_host`](crate::Access::allow_host) received this, which is not a host.
    Host(String),
    /// [`Access::allow_origin`](crate::Access::allow_origin) received this, which is not an origin.
    Origin(String),
    /// [`Access::allow_scheme`](crate::Access::allow_scheme) received this, which is not a scheme, or is one of the
    /// web's own.
    Scheme(String),
    /// [`Cors::origin`](crate::Cors::origin) received this, which is not an origin.
    CorsOrigin(String),
}

crate::debug_is_display!(InvalidAccess);

impl fmt::Display for InvalidAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(text) => write!(f, "{text:?} is not a host: {}", about_host(text)),
            Self::Origin(text) => write!(f, "{text:?} is not an origin: {}", about_origin(text, false)),
            Self::Scheme(text) => write!(f, "{text:?} is not a scheme to allow: {}", about_scheme(text)),
            Self::CorsOrigin(text) => {
                write!(f, "{text:?} is not an origin for CORS: {}", about_origin(text, true))
            }
        }
    }
}

impl core::error::Error for InvalidAccess {}

fn about_host(text: &str) -> &'static str {
    match text {
        "*" => "allow_host takes one exact name; allow_any_host allows all",
        _ if text.contains('*') => "allow_host takes one exact name, without wildcards",
        _ if text.contains('/') => "give allow_host the name alone, without scheme and path",
        _ if !text.is_ascii() => "give allow_host names beyond ASCII in Punycode",
        _ => "give allow_host a name such as app.example, or an address, IPv6 in brackets",
    }
}

fn about_origin(text: &str, cors: bool) -> &'static str {
    let scheme = text.split(':').next().unwrap_or_default();
    match text {
        "*" if cors => "Cors::any_origin lets pages of every origin read",
        "*" => "allow_any_origin admits pages of every origin",
        _ if text.eq_ignore_ascii_case("null") && !cors => "allow_null_origin admits pages that hide theirs",
        _ if scheme.eq_ignore_ascii_case("file") && !cors => {
            "allow_file_origin admits the HTML files of this machine"
        }
        _ if text.eq_ignore_ascii_case("null") || scheme.eq_ignore_ascii_case("file") => {
            "files and pages that hide theirs have none; Cors::any_origin lets all of them read what is public"
        }
        _ if text.contains('*') && !cors => {
            "origins are exact, without wildcards; allow_scheme admits all origins of an application's own scheme"
        }
        _ if text.contains('*') => "origins are exact, without wildcards",
        _ if ["ws", "wss"].iter().any(|ws| scheme.eq_ignore_ascii_case(ws)) => {
            "the origin of a page has http or https, even if the page opens a WebSocket"
        }
        _ if is_of_extensions(scheme) && !cors => {
            "an extension's origin has its identifier as host; allow_scheme admits all extensions of that scheme"
        }
        _ if is_of_extensions(scheme) => "an extension's origin has its identifier as host",
        _ if !text.contains("://") && !cors => {
            "begin with the scheme and ://, as in https://app.example; a scheme alone is for allow_scheme"
        }
        _ if !text.contains("://") => "begin with the scheme and ://, as in https://app.example",
        _ if !text.is_ascii() => "give hosts beyond ASCII in Punycode",
        _ => "give scheme, host and perhaps port, without path, user name or spaces",
    }
}

fn about_scheme(text: &str) -> &'static str {
    let is = |scheme| text.eq_ignore_ascii_case(scheme);
    match text {
        _ if is("file") => "allow_file_origin admits the HTML files of this machine",
        _ if ["http", "https", "ws", "wss", "ftp"].into_iter().any(is) => {
            "it would admit every website; list each origin with allow_origin"
        }
        _ if is_opaque(&text.to_ascii_lowercase()) => {
            "its pages have the origin null, which allow_null_origin admits"
        }
        _ => "give allow_scheme a name such as moz-extension, without colon and slashes",
    }
}
