//! The WebSocket as a stream and a sink, for `forward`, `split` and similar combinators.

use super::{WebSocket, is_ordinary};
use crate::error::WebSocketError;
use crate::handles::sender;
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use futures_sink::Sink;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use ws_proto::{CloseCode, Closed, Initiator, Message, SendError};

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
/// After a normal end (`None` of [`next`](WebSocket::next)) everything was written, and flushing and closing succeed;
/// [`WebSocket::flush`] is an error after any end. One message sent after the peer has closed normally is dropped
/// silently: `split` and `forward` hold one in transit from the stream to the sink, and a peer that closes right after
/// it expects no answer. The next one is an error.
///
/// A message behind our own Close is an error, as is every call after any other end, or where output was lost:
/// [`WebSocketError::Closed`] once the end is known, [`SendError::NotOpen`] until then.
///
/// # Relays
/// Two `forward`s relay between two WebSockets, without close codes. When one leg ends normally, with 1000, 1001 or no
/// code, the other is closed with 1000, behind everything that was relayed. When it ends otherwise, `forward` returns
/// that error and closes nothing: once dropped, the other leg closes with 1001, if that is possible without waiting,
/// and loses its queued output. `try_join` drops both at the first error. That may also be the second message for a leg
/// that has left, or the next one for a leg that a [stop](crate::Server::stop) is closing: the server then writes the
/// queued output of that leg, but nothing writes that of the other. Even after its Close is written, a client that is
/// dropped with unread input may lose what has not reached its peer, since the system resets such a connection.
/// [`couple`](crate::couple) waits for both ends, relays codes and reasons, and writes queued output first.
///
/// While a message in fragments is unfinished, messages wait behind it; once more than the high mark does, the next one
/// is [`SendError::Full`].
impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message<'static>> for WebSocket<S> {
    type Error = WebSocketError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        let this = self.get_mut();
        match ready!(this.driver.poll_room(cx)) {
            Err(SendError::NotOpen) if this.is_late() => Poll::Ready(Ok(())),
            result => Poll::Ready(result.map_err(|error| this.explain(error))),
        }
    }

    fn start_send(self: Pin<&mut Self>, message: Message<'static>) -> Result<(), WebSocketError> {
        let this = self.get_mut();
        match sender::queue_past_cap(&this.driver.shared, message) {
            Err(SendError::NotOpen) if this.is_late() => {
                this.knows_end = true;
                Ok(())
            }
            result => result.map_err(|error| this.explain(error)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        self.get_mut().poll_written(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        let this = self.get_mut();
        // It may be closing already.
        let _ = this.start_close(CloseCode::NORMAL, "");
        this.poll_written(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Whether a message may have been in transit from the stream to the sink when the peer closed normally. There is
    /// at most one: the next is an error.
    fn is_late(&mut self) -> bool {
        let by_peer = match self.end() {
            Some(closed) => is_ordinary(closed) && closed.initiator == Initiator::Remote,
            None => self.driver.shared.connection().closing_initiator() == Some(Initiator::Remote),
        };
        by_peer && !self.knows_end
    }

    /// Ready when all output is written, which it was if the end is a normal one.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        match ready!(self.driver.poll_flush(cx)) {
            Err(SendError::NotOpen) if self.end().is_some_and(is_ordinary) => Poll::Ready(Ok(())),
            result => Poll::Ready(result.map_err(|error| self.explain(error))),
        }
    }

    /// What explains the end, whether or not the reading half has seen it.
    fn end(&mut self) -> Option<&Closed> {
        match &self.closed {
            Some(closed) => Some(closed),
            None => self.driver.unreported_end(),
        }
    }

    /// The error of the sink: the end, if that is why it accepts nothing.
    fn explain(&mut self, error: SendError) -> WebSocketError {
        match self.end() {
            Some(closed) if error == SendError::NotOpen => WebSocketError::Closed(Box::new(closed.clone())),
            _ => error.into(),
        }
    }

    /// Whether the sink has accepted a message past the cap, so that another send would fail.
    pub(super) fn is_past_cap(&self) -> bool {
        let connection = self.driver.shared.connection();
        connection.queued() > connection.config().get_outbox_cap()
    }
}
