//! Why trusted proxies cannot be configured.

use super::Via;
use core::fmt;
use std::string::String;

/// Why the proxies of [`ServerConfig::trust_proxy`](crate::server::ServerConfig::trust_proxy) are invalid. Servers refuse
/// to start with it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidTrust {
    /// Not an address, a range of addresses, or `unix`: the text, and why.
    Address(String, &'static str),
    /// Two kinds of header were named. A client could choose the one that the proxy does not set.
    Kinds(Via, Via),
    /// No address was named.
    Empty,
}

ws_proto::debug_is_display!(InvalidTrust);

impl fmt::Display for InvalidTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(text, why) => write!(f, "{text:?} is not an address for trust_proxy: {why}"),
            Self::Kinds(one, two) => write!(
                f,
                "trust_proxy was called with both {one:?} and {two:?}; choose the one that the proxies set"
            ),
            Self::Empty => {
                f.write_str("trust_proxy was called without an address; name those of the proxies")
            }
        }
    }
}

impl std::error::Error for InvalidTrust {}
