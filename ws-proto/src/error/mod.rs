//! Errors by blame: the peer's ([`ProtocolError`], [`HandshakeError`]), the network's and the clock's
//! ([`Error`]), and the application's own misuse ([`SendError`]).

mod handshake;
mod protocol;
mod send;

use core::fmt;
pub use handshake::HandshakeError;
pub use protocol::ProtocolError;
pub use send::SendError;

/// Why a connection ended otherwise than by a completed closing handshake.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke the WebSocket protocol or one of our limits.
    Protocol(ProtocolError),
    /// The peer's HTTP or its opening handshake was refused, or refused us.
    Handshake(HandshakeError),
    /// A deadline passed.
    Timeout(Timeout),
    /// The peer closed TCP without a Close frame.
    Eof,
    /// The transport failed, or the connection was given up by its owner.
    Lost(Cause),
    /// All connections together held more than they may, and this one moved least for what it held.
    Memory {
        /// How many bytes all of them held.
        held: usize,
        /// The [limit](crate::Memory::limit).
        limit: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(e) => e.fmt(f),
            Self::Handshake(e) => e.fmt(f),
            Self::Timeout(e) => e.fmt(f),
            Self::Eof => f.write_str("the peer ended the connection without a close frame"),
            Self::Lost(cause) => cause.fmt(f),
            Self::Memory { held, limit } => write!(
                f,
                "all connections together held {held} bytes, over the limit of {limit}, and this one moved least for \
                 what it held; raise the limit with ServerConfig::memory_limit"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Protocol(e) => Some(e),
            Self::Handshake(e) => Some(e),
            _ => None,
        }
    }
}

impl From<ProtocolError> for Error {
    fn from(e: ProtocolError) -> Self {
        Self::Protocol(e)
    }
}

impl From<HandshakeError> for Error {
    fn from(e: HandshakeError) -> Self {
        Self::Handshake(e)
    }
}

/// What ended a connection from below or from beside it: the argument of
/// [`Connection::abort`](crate::Connection::abort).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Reading or writing failed.
    Io(std::io::ErrorKind),
    /// The application ended the connection at once, without a closing handshake.
    Terminated,
    /// The server stopped, and its deadline passed before the connection was done.
    Stopped,
}

impl From<std::io::Error> for Cause {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.kind())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(kind) => write!(f, "the transport failed: {kind}"),
            Self::Terminated => f.write_str("the application terminated the connection"),
            Self::Stopped => f.write_str("the server stopped before the connection was done"),
        }
    }
}

/// Which deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timeout {
    /// The opening handshake, or the head of an HTTP request, took too long.
    Handshake,
    /// The body of a request came too slowly.
    Body,
    /// The heartbeat was not answered.
    Heartbeat,
    /// The closing handshake took too long.
    Close,
    /// The peer took no output for too long, or less than [`min_output_rate`](crate::Config::min_output_rate) asks for.
    Output,
    /// An HTTP connection was kept alive, and no further request came.
    KeepAlive,
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "the handshake took too long",
            Self::Body => "the request body came too slowly",
            Self::Heartbeat => "the peer did not answer the heartbeat",
            Self::Close => "the closing handshake took too long",
            Self::Output => {
                "the peer stopped reading what was sent to it, or took less than Config::min_output_rate asks for"
            }
            Self::KeepAlive => "no further request came on a kept-alive connection",
        })
    }
}
