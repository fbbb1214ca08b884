//! Why a proxy opened no tunnel, or why TLS with it failed.

use super::TlsError;
use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;
use http::StatusCode;

/// Why a proxy opened no tunnel to the server, or why TLS with the proxy failed later. The engine itself has no
/// proxies: the owner of the socket reports this to [`Connection::abort`](crate::Connection::abort), and the
/// application finds it in [`Error::Proxy`](crate::Error::Proxy).
///
/// Where the user can act, the sentence says how.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyError {
    /// The proxy requires a user name and a password (407 or 401, or no acceptable method of SOCKS), and none were sent.
    AuthenticationRequired {
        /// The schemes that an HTTP proxy offers, such as `Basic, Negotiate`; empty if it names none.
        offered: Box<str>,
    },
    /// The proxy rejected the user name or the password, or accepts them only in another way.
    CredentialsRejected {
        /// The schemes that an HTTP proxy offers; empty if it names none.
        offered: Box<str>,
    },
    /// An HTTP proxy answered with a status that opens no tunnel.
    Rejected {
        /// The status.
        status: StatusCode,
        /// The proxy's reason phrase, cut after 128 bytes.
        reason: Box<str>,
        /// The delay that the proxy requests with `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// A SOCKS proxy replied that it could not connect.
    Socks(SocksReply),
    /// The head of the proxy's answer is over the limit, in bytes or in header fields.
    HeadTooLarge,
    /// The proxy's answer breaks the grammar of HTTP/1.1 or SOCKS5, in the named part.
    Malformed(&'static str),
    /// The proxy speaks TLS, but its URL begins with `http://`.
    TlsRequired,
    /// The proxy ended the connection before the tunnel was open.
    Eof,
    /// Reading from the proxy or writing to it failed before the tunnel was open.
    Io(std::io::ErrorKind),
    /// TLS with the proxy itself failed, before or after the tunnel was open.
    Tls(TlsError),
    /// The proxy cannot connect to this target. Nothing was sent.
    Target(&'static str),
}

/// The reply of a SOCKS5 proxy (RFC 1928 §6).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SocksReply(pub u8);

crate::debug_is_display!(ProxyError, SocksReply);

impl fmt::Display for SocksReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            1 => "the proxy failed",
            2 => "the rules of the proxy do not allow this server",
            3 => "the proxy cannot reach the network of the server",
            4 => "the proxy cannot reach the server; its name may be unknown there",
            5 => "the server refused the proxy's connection; perhaps no program listens on its port",
            6 => "the server is too many hops away from the proxy",
            7 => "the proxy does not support CONNECT",
            8 => "the proxy does not support this address type",
            other => return write!(f, "the proxy failed with the unassigned reply {other}"),
        })
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AuthenticationRequired { offered } => {
                if lacks_basic(offered) {
                    return supports_only_basic(f, "the proxy requires credentials", offered);
                }
                f.write_str(
                    "the proxy requires a user name and a password; set them with credentials, or in its URL as \
                     user:password@ before the host",
                )
            }
            Self::CredentialsRejected { offered } => {
                let what = "the proxy rejected the user name or the password";
                if lacks_basic(offered) { supports_only_basic(f, what, offered) } else { f.write_str(what) }
            }
            Self::Rejected { status, reason, .. } => {
                write!(f, "the proxy answered {}", status.as_u16())?;
                if !reason.is_empty() {
                    write!(f, " {reason:?}")?;
                }
                f.write_str(hint(*status))
            }
            Self::Socks(reply) => reply.fmt(f),
            Self::HeadTooLarge => f.write_str("the head of the proxy's answer is too large"),
            Self::Malformed(what) => {
                write!(f, "malformed answer of the proxy: {what}; the scheme or the port of its URL may be wrong")
            }
            Self::TlsRequired => f.write_str("the proxy speaks TLS; begin its URL with https://"),
            Self::Eof => f.write_str(
                "the proxy ended the connection before the tunnel was open; the scheme or the port of its URL may be wrong",
            ),
            Self::Io(kind) => write!(f, "the connection to the proxy failed: {kind}"),
            Self::Tls(error) => {
                write!(f, "the proxy's TLS failed, whose settings are those of Proxy::tls: {error}")
            }
            Self::Target(why) => write!(f, "the proxy cannot be used for this server: {why}"),
        }
    }
}

/// What such an answer to CONNECT usually means.
fn hint(status: StatusCode) -> &'static str {
    match status.as_u16() {
        403 => "; it may not allow this server, or its port",
        400 | 404 | 405 | 501 => {
            "; it may be a web server: the host or the port of the proxy's URL may be wrong"
        }
        300..400 | 511 => "; the network may require you to log in with a browser first",
        502 | 504 => "; it cannot reach the server",
        429 | 503 => "; it may work later",
        _ => "",
    }
}

/// Whether the proxy names its schemes, and ours is not among them.
fn lacks_basic(offered: &str) -> bool {
    !offered.is_empty() && !offered.split(", ").any(|scheme| scheme.eq_ignore_ascii_case("basic"))
}

fn supports_only_basic(f: &mut fmt::Formatter<'_>, what: &str, offered: &str) -> fmt::Result {
    write!(
        f,
        "{what}; it offers only {offered}, but this client supports only Basic: use a local proxy that logs in to \
         this one"
    )
}

impl std::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Tls(error) => Some(error),
            _ => None,
        }
    }
}
