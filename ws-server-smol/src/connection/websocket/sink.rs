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

/// Two bytes, a 64-bit length and a masking key (RFC 6455 §5.2).
const LONGEST_HEADER: usize = 14;

/// As [`WebSocket::next`], with the error type of the sink.
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message<'static>, WebSocketError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(cx).map_err(Into::into)
    }
}

/// Ready when there is room below the high mark; a message larger than the room left up to the cap waits until the
/// outbox is empty. Flushed when all output is written; closed when a Close with 1000 is written. Closing takes nothing
/// from the reading half, which still gets remaining messages and the end.
///
/// One message sent after a normal end is dropped silently. `split` and `forward` hold one in transit from the stream
/// to the sink, and a peer that closes right after it expects no answer. The next one is an error.
impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message<'static>> for WebSocket<S> {
    type Error = WebSocketError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        let this = self.get_mut();
        ready!(this.poll_waiting(cx))?;
        match ready!(this.driver.poll_room(cx)) {
            Err(SendError::NotOpen) if this.is_late() => Poll::Ready(Ok(())),
            result => Poll::Ready(result.map_err(Into::into)),
        }
    }

    fn start_send(self: Pin<&mut Self>, message: Message<'static>) -> Result<(), WebSocketError> {
        let this = self.get_mut();
        if this.is_late() {
            this.knows_end = true;
            return Ok(());
        }
        if this.has_room_for(message.as_bytes().len()) {
            this.try_send(message)?;
        } else {
            // Room below the high mark does not mean room for a larger message.
            this.waiting = Some(Box::new(message));
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        self.get_mut().poll_flush_all(cx).map_err(Into::into)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        let this = self.get_mut();
        ready!(this.poll_waiting(cx))?;
        // It may be closing already.
        let _ = this.start_close(CloseCode::NORMAL, "");
        let flushed = ready!(this.driver.poll_flush(cx));
        Poll::Ready(flushed.or(Ok(())))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Whether a message of this length is taken for certain: alone it always is.
    fn has_room_for(&self, len: usize) -> bool {
        let connection = self.driver.shared.connection();
        let (queued, cap) = (connection.queued(), connection.config().get_outbox_cap());
        queued == 0 || queued.saturating_add(len).saturating_add(LONGEST_HEADER) <= cap
    }

    /// Queues the sink's waiting message once the outbox is empty: then it fits, whatever the cap.
    pub(super) fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if self.waiting.is_some() && self.is_late() {
            (self.waiting, self.knows_end) = (None, true);
        }
        if let Some(message) = &self.waiting {
            ready!(self.driver.poll_flush(cx))?;
            // The message stays here if another thread's sender was faster.
            sender::queue(&self.driver.shared, (&**message).into())?;
            self.waiting = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether a message may have been in transit from the stream to the sink when the WebSocket ended normally. There
    /// is at most one: the next is an error.
    pub(super) fn is_late(&self) -> bool {
        let in_order = match &self.closed {
            Some(closed) => is_ordinary(closed),
            None => self.state() != State::Open,
        };
        in_order && !self.knows_end
    }

    pub(super) fn poll_flush_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        ready!(self.poll_waiting(cx))?;
        self.driver.poll_flush(cx)
    }
}
