//! Misuse by the application, in what it sends.

use crate::close_code::CloseCode;
use core::fmt;

/// Why the application cannot send this on a WebSocket. Nothing was queued, and the connection continues.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is not open: it has ended or is about to; for messages, also when it is still in its handshake.
    NotOpen,
    /// The outbox is at its cap: wait for [`Event::Drained`](crate::Event::Drained), or close the connection. If whole
    /// messages wait behind one in fragments, send its last fragment.
    Full,
    /// No room became free within the output timeout, and no task polls the connection: its peer has stopped reading, or
    /// nothing writes, since the send itself cannot. Await its [`next`] concurrently with the send: that writes, and
    /// ends a connection whose peer does not read.
    ///
    /// [`next`]: https://docs.rs/ws-server-smol
    NotPolled,
    /// A control frame carries at most 125 bytes (§5.5).
    ControlTooLong(usize),
    /// A fragment out of order: a continuation without a message, a new message inside a fragmented one, or a
    /// fragmented control frame (§5.4).
    FragmentOrder,
    /// A text frame whose payload is not UTF-8 (§8.1).
    NotUtf8,
    /// Send a Close frame with [`Connection::close`](crate::Connection::close).
    CloseFrame,
    /// A code that must not be sent (§7.4).
    CloseCodeInvalid(CloseCode),
    /// A close reason of more than 123 bytes (§5.5.1).
    CloseReasonTooLong(usize),
}

crate::debug_is_display!(SendError);

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpen => f.write_str("the connection is not open"),
            Self::Full => {
                f.write_str("the outbox is full: wait until it has drained, or close the connection")
            }
            Self::NotPolled => f.write_str(
                "there is no room: the peer has stopped reading, or no task polls the connection to write; await its \
                 next() concurrently with the send",
            ),
            Self::ControlTooLong(n) => write!(f, "a control frame carries at most 125 bytes, not {n}"),
            Self::FragmentOrder => f.write_str("a fragment out of order"),
            Self::NotUtf8 => f.write_str("the payload of a text frame must be UTF-8"),
            Self::CloseFrame => f.write_str("use close() to send a close frame"),
            Self::CloseCodeInvalid(code) => write!(f, "the close code {} must not be sent", code.get()),
            Self::CloseReasonTooLong(n) => write!(f, "a close reason has at most 123 bytes, not {n}"),
        }
    }
}

impl std::error::Error for SendError {}
