//! What goes wrong with a WebSocket.

use std::error::Error;
use std::fmt;
use ws_host::topics::TopicError;
use ws_proto::{Closed, RespondError, SendError};

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
    /// What was to be sent cannot be: it is not open, say.
    Send(SendError),
    /// The upgrade cannot be accepted: it is another connection's, say, or the peer has gone.
    Respond(RespondError),
    /// It cannot be subscribed to a topic.
    Topic(TopicError),
}

impl WebSocketError {
    /// What explains the end, where it has ended.
    pub fn closed(&self) -> Option<&Closed> {
        match self {
            Self::Closed(closed) => Some(closed),
            Self::Send(_) | Self::Respond(_) | Self::Topic(_) => None,
        }
    }
}

impl fmt::Display for WebSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(closed) => closed.fmt(f),
            Self::Send(error) => error.fmt(f),
            Self::Respond(error) => error.fmt(f),
            Self::Topic(error) => error.fmt(f),
        }
    }
}

ws_proto::debug_is_display!(WebSocketError);

impl Error for WebSocketError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Closed(closed) => Some(&**closed),
            Self::Send(error) => Some(error),
            Self::Respond(error) => Some(error),
            Self::Topic(error) => Some(error),
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

impl From<TopicError> for WebSocketError {
    fn from(error: TopicError) -> Self {
        Self::Topic(error)
    }
}

impl From<RespondError> for WebSocketError {
    fn from(error: RespondError) -> Self {
        Self::Respond(error)
    }
}
