//! The error of a WebSocket.

use std::error::Error;
use std::fmt;
use ws_host::topics::TopicError;
use ws_proto::{Closed, RespondError, SendError};

/// Why a WebSocket did not open, returns no more messages, or did not accept a message: the error of
/// [`HttpConnection::accept`](crate::HttpConnection::accept), and of [`WebSocket`](crate::WebSocket) as a stream and as
/// a sink. The errors of its methods convert into it with `?`.
///
/// `Debug` shows the same sentence as `Display`.
#[derive(Clone)]
#[non_exhaustive]
pub enum WebSocketError {
    /// The WebSocket has ended. Its stream returns this once, unless the end was [normal](crate::WebSocket::next); its
    /// sink returns this from each call that the end makes impossible.
    Closed(Box<Closed>),
    /// The message cannot be sent: the WebSocket is closing, say.
    Send(SendError),
    /// The upgrade cannot be accepted: it belongs to another connection, say, or the peer is gone.
    Respond(RespondError),
    /// The WebSocket cannot be subscribed to a topic.
    Topic(TopicError),
}

impl WebSocketError {
    /// Returns what explains the end, if this error is due to one that is known. `None` for a
    /// [`SendError::NotOpen`]: if the sink returns that, the WebSocket is only about to end; a method of
    /// [`WebSocket`](crate::WebSocket) or [`Sender`](crate::Sender) also returns it afterwards, when
    /// [`WebSocket::closed`](crate::WebSocket::closed) explains it.
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
