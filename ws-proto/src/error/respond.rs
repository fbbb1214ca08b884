//! Misuse by the application, in its answers.

use super::SendError;
use core::fmt;
use http::StatusCode;

/// Why the application cannot give this answer, or no longer can. Nothing was queued.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RespondError {
    /// The connection has ended or is about to, or the peer is gone.
    NotOpen,
    /// The outbox is at its cap: wait for [`Event::Drained`](crate::Event::Drained) before the next chunk of a body, or
    /// drop the body.
    Full,
    /// No room became free within the output timeout, and no task polls the connection: its peer has stopped reading, or
    /// nothing writes, since the send itself cannot. Await its [`next`] concurrently with the send: that writes, and
    /// ends a connection whose peer does not read.
    ///
    /// [`next`]: https://docs.rs/ws-server-smol
    NotPolled,
    /// The request belongs to another connection, was answered already, or timed out.
    WrongRequest,
    /// A header that this response may not carry, because the connection itself writes it or because it would break the
    /// message: its name.
    Header(String),
    /// A status that an application may not answer with: 1xx.
    Status(StatusCode),
    /// The chunks of a body do not add up to its declared length.
    BodyLength {
        /// How many bytes of that length are left.
        left: u64,
    },
    /// A subprotocol that the client did not offer.
    SubprotocolNotOffered(String),
}

crate::debug_is_display!(RespondError);

impl fmt::Display for RespondError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpen => SendError::NotOpen.fmt(f),
            Self::Full => SendError::Full.fmt(f),
            Self::NotPolled => SendError::NotPolled.fmt(f),
            Self::WrongRequest => f.write_str(
                "that request came from another connection, was already answered, or has timed out",
            ),
            Self::Header(name) => write!(f, "the response may not set the header {name:?}"),
            Self::Status(status) => write!(f, "an application may not answer with {status}"),
            Self::BodyLength { left } => {
                write!(f, "{left} bytes of the declared body length are left")
            }
            Self::SubprotocolNotOffered(name) => {
                write!(f, "the client did not offer the subprotocol {name:?}")
            }
        }
    }
}

impl std::error::Error for RespondError {}
