//! The WebSocket as a stream and a sink, for `forward`, `split` and similar combinators.

use super::{WebSocket, is_ordinary};
use crate::error::WebSocketError;
use crate::handles::sender;
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use futures_sink::Sink;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use ws_proto::{CloseCode, Message, SendError, State};

/// As [`WebSocket::next`], with the error type of the sink. `ws.split()` and `stream.forward(sink)` come from
/// `futures-util = { version = "0.3", features = ["sink"] }`.
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message<'static>, WebSocketError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(cx).map_err(Into::into)
    }
}

/// Ready when there is room below the high mark; then one message is accepted, even if it exceeds the cap, or another
/// task's [`Sender`](crate::Sender) has used the room since. It is queued at once: whatever is sent or closed later
/// follows it, and polling [`next`](WebSocket::next) writes it. Flushed when all output is written; closed when a Close
/// with 1000 is written. Closing takes nothing from the reading half, which still gets remaining messages and the end.
/// `feed`, `split` and the like come from `futures-util = { version = "0.3", features = ["sink"] }`.
///
/// One message sent after a normal end is dropped silently. `split` and `forward` hold one in transit from the stream
/// to the sink, and a peer that closes right after it expects no answer. The next one is an error.
///
/// While a message in fragments is unfinished, messages wait behind it; once more than the high mark does, the next one
/// is [`SendError::Full`].
impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message<'static>> for WebSocket<S> {
    type Error = WebSocketError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        let this = self.get_mut();
        match ready!(this.driver.poll_room(cx)) {
            Err(SendError::NotOpen) if this.is_late() => Poll::Ready(Ok(())),
            result => Poll::Ready(result.map_err(Into::into)),
        }
    }

    fn start_send(self: Pin<&mut Self>, message: Message<'static>) -> Result<(), WebSocketError> {
        let this = self.get_mut();
        match sender::queue_past_cap(&this.driver.shared, message) {
            Err(SendError::NotOpen) if this.is_late() => this.knows_end = true,
            result => result?,
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        self.get_mut().driver.poll_flush(cx).map_err(Into::into)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        let this = self.get_mut();
        // It may be closing already.
        let _ = this.start_close(CloseCode::NORMAL, "");
        let flushed = ready!(this.driver.poll_flush(cx));
        Poll::Ready(flushed.or(Ok(())))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Whether a message may have been in transit from the stream to the sink when the WebSocket ended normally. There
    /// is at most one: the next is an error.
    fn is_late(&self) -> bool {
        let in_order = match &self.closed {
            Some(closed) => is_ordinary(closed),
            None => self.state() != State::Open,
        };
        in_order && !self.knows_end
    }

    /// Whether the sink has accepted a message past the cap, so that another send would fail.
    pub(super) fn is_past_cap(&self) -> bool {
        let connection = self.driver.shared.connection();
        connection.queued() > connection.config().get_outbox_cap()
    }
}
