//! The WebSocket as a stream and a sink, for `forward`, `split` and their kin.

use super::{WebSocket, is_ordinary};
use crate::error::WebSocketError;
use crate::handles::sender;
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use futures_sink::Sink;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use ws_proto::{CloseCode, Message, SendError, State};

/// As [`WebSocket::next`], with the error that it shares with the sink.
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message<'static>, WebSocketError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(cx).map_err(Into::into)
    }
}

/// Ready when there is room below the high mark; a message that is larger than what is left up to the cap waits until it is
/// alone. Flushed when everything is written; closed when a Close with 1000 is written. The half that reads gets what still
/// comes, and the end: closing takes nothing from another half.
///
/// One message that comes after an end in order is dropped without a word. `split` and `forward` hold one on its way from the
/// stream to the sink, and a peer that closes right behind it waits for no answer. The next one is an error.
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
        let cap = this.driver.shared.connection().config().get_outbox_cap();
        if this.queued() == 0 || this.queued() + message.as_bytes().len() <= cap {
            this.try_send(message)?;
        } else {
            // That there is room below the high mark says nothing about a message that is larger.
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
    /// Queues what the sink has taken, once it would be alone: then it fits, whatever the cap.
    pub(super) fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if self.waiting.is_some() && self.is_late() {
            (self.waiting, self.knows_end) = (None, true);
        }
        if let Some(message) = &self.waiting {
            ready!(self.driver.poll_flush(cx))?;
            // Kept where a sender of another thread was faster.
            sender::queue(&self.driver.shared, (&**message).into())?;
            self.waiting = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether a message may have been on its way from the stream to the sink when the WebSocket ended in order. Only
    /// one is: the next is an error.
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
