//! What is wrong with the PROXY header before a connection.

use core::fmt;

/// What is wrong with the header of the PROXY protocol, which must precede each connection from a trusted proxy. The
/// engine itself does not read it: the owner of the socket reports this to [`Connection::abort`](crate::Connection::abort),
/// and the application finds it in [`Error::ProxyHeader`](crate::Error::ProxyHeader).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// The connection begins with something else.
    Missing,
    /// The header is malformed: which part.
    Malformed(&'static str),
    /// The header is longer than the limit, in bytes.
    TooLong {
        /// Its length, if it declares one.
        length: Option<usize>,
        /// The limit.
        limit: usize,
    },
    /// The stream ended within the header.
    Truncated,
}

crate::debug_is_display!(ProxyHeaderError);

impl fmt::Display for ProxyHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str(
                "a connection from a trusted proxy has no PROXY header; enable it there (send-proxy in haproxy, \
                 proxy_protocol on in nginx), or do not trust this address",
            ),
            Self::Malformed(what) => write!(f, "the PROXY header is malformed: {what}"),
            Self::TooLong { length: Some(length), limit } => write!(
                f,
                "the PROXY header of {length} bytes is longer than the limit of {limit}; raise proxy_header_limit"
            ),
            Self::TooLong { length: None, limit } => {
                write!(f, "the PROXY header of version 1 is longer than {limit} bytes")
            }
            Self::Truncated => f.write_str("the stream ended within the PROXY header"),
        }
    }
}

impl std::error::Error for ProxyHeaderError {}
