//! Why a proxy cannot be configured.

use core::fmt;
use std::boxed::Box;
use std::string::String;

/// Why a [`Proxy`](super::Proxy) is invalid. `Display` shows no credentials.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidProxy {
    /// Not the URL of a proxy, and why.
    Url(&'static str),
    /// The proxy is `https://`, and TLS is not built in: the feature `tls` is off.
    TlsUnsupported,
    /// The user name or the password cannot be sent, and why.
    Credentials(&'static str),
    /// A variable of the environment is invalid.
    Variable {
        /// Its name.
        name: String,
        /// What is wrong with its value.
        error: Box<InvalidProxy>,
    },
}

ws_proto::debug_is_display!(InvalidProxy);

impl fmt::Display for InvalidProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "not the URL of a proxy: {why}"),
            Self::TlsUnsupported => {
                f.write_str("cannot connect to an https:// proxy without TLS: enable the feature tls")
            }
            Self::Credentials(why) => write!(f, "the credentials of the proxy cannot be sent: {why}"),
            Self::Variable { name, error } => write!(f, "the variable {name} of the environment: {error}"),
        }
    }
}

impl std::error::Error for InvalidProxy {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Variable { error, .. } => Some(error),
            _ => None,
        }
    }
}
