//! What goes wrong with a WebSocket.

use std::error::Error;
use std::fmt;
use ws_proto::{Closed, SendError};

/// Why a WebSocket did not open, gives no more messages, or did not take what was sent: the error of
/// [`HttpConnection::accept`](crate::HttpConnection::accept), and of [`WebSocket`](crate::WebSocket) as a stream and as a
/// sink. The errors of its methods turn into it by `?`.
///
/// `Debug` shows the same sentence as `Display`.
#[derive(Clone)]
#[non_exhaustive]
pub enum WebSocketError {
    /// It ended otherwise than in order; see [`WebSocket::next`](crate::WebSocket::next).
    Closed(Box<Closed>),
    /// What was asked for cannot be had: it is not open, say, or an upgrade is another connection's.
    Send(SendError),
}

impl WebSocketError {
    /// What explains the end, where it has ended.
    pub fn closed(&self) -> Option<&Closed> {
        match self {
            Self::Closed(closed) => Some(closed),
            Self::Send(_) => None,
        }
    }
}

impl fmt::Display for WebSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(closed) => closed.fmt(f),
            Self::Send(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for WebSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for WebSocketError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Closed(closed) => Some(&**closed),
            Self::Send(error) => Some(error),
        }
    }
}

impl From<SendError> for WebSocketError {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

impl From<Box<Closed>> for WebSocketError {
    fn from(closed: Box<Closed>) -> Self {
        Self::Closed(closed)
    }
}
