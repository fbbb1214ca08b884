//! Misuse by the application.

use crate::close::CloseCode;
use core::fmt;
use http::StatusCode;

/// What the application asked for and cannot have. Nothing was queued, and the connection goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is not open: it has ended or is about to; for messages, also when it is still in its handshake.
    NotOpen,
    /// The outbox is at its cap: wait for [`Event::Drained`](crate::Event::Drained), or close the connection. Where
    /// whole messages wait behind one that is being sent in fragments, send its last fragment.
    Full,
    /// Nobody polls the connection, so that nothing is written, and there was no room for as long as output may wait:
    /// await its [`next`] beside the send.
    ///
    /// [`next`]: https://docs.rs/ws-server-smol
    NotPolled,
    /// A control frame carries at most 125 bytes (§5.5).
    ControlTooLong(usize),
    /// A fragment out of order: a continuation of nothing, a new message inside a fragmented one, or a
    /// control frame in pieces (§5.4).
    FragmentOrder,
    /// A text frame whose payload is not UTF-8 (§8.1).
    NotUtf8,
    /// A Close frame is sent with [`Connection::close`](crate::Connection::close).
    CloseFrame,
    /// A code that must not be sent (§7.4).
    CloseCodeInvalid(CloseCode),
    /// A close reason of more than 123 bytes (§5.5.1).
    CloseReasonTooLong(usize),
    /// The request belongs to another connection, was answered already, or its time is over.
    WrongRequest,
    /// A header that this response may not carry, since the connection itself writes it or since it would
    /// break the message; says which.
    ResponseHeader(String),
    /// A status that an application may not answer with: 1xx.
    ResponseStatus(StatusCode),
    /// The pieces of a body do not make the length that was declared for it.
    BodyLength {
        /// How many bytes of that length are left.
        left: u64,
    },
    /// A subprotocol that the client did not offer.
    SubprotocolNotOffered(String),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpen => f.write_str("the connection is not open"),
            Self::Full => {
                f.write_str("the outbox is full: wait until it has drained, or close the connection")
            }
            Self::NotPolled => f.write_str(
                "there is no room, and nobody polls the connection, which would make some: await its next() beside \
                 the send",
            ),
            Self::ControlTooLong(n) => write!(f, "a control frame carries at most 125 bytes, not {n}"),
            Self::FragmentOrder => f.write_str("a fragment out of order"),
            Self::NotUtf8 => f.write_str("the payload of a text frame must be UTF-8"),
            Self::CloseFrame => f.write_str("a close frame is sent by close()"),
            Self::CloseCodeInvalid(code) => write!(f, "the close code {} must not be sent", code.get()),
            Self::CloseReasonTooLong(n) => write!(f, "a close reason has at most 123 bytes, not {n}"),
            Self::WrongRequest => {
                f.write_str("this connection did not make that request, or it was answered, or its time is over")
            }
            Self::ResponseHeader(name) => write!(f, "the response may not set the header {name:?}"),
            Self::ResponseStatus(status) => write!(f, "an application may not answer with {status}"),
            Self::BodyLength { left } => {
                write!(f, "of the length that was declared for the body {left} bytes are left")
            }
            Self::SubprotocolNotOffered(name) => {
                write!(f, "the client did not offer the subprotocol {name:?}")
            }
        }
    }
}

impl std::error::Error for SendError {}
