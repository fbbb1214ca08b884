//! Answers to HTTP requests that are given later, elsewhere, or in pieces.

use crate::clock;
use crate::driver::shared::Shared;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use ws_proto::{Request, RespondError, ResponseBody, Sent};

/// Answers the requests of one connection from other tasks and threads. What it queues goes out while
/// [`HttpConnection::next`](crate::HttpConnection::next) is polled, which it wakes for that.
#[derive(Clone)]
pub struct Responder {
    /// `None` once the connection has ended.
    pub(crate) shared: Option<Arc<Shared>>,
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").finish_non_exhaustive()
    }
}

impl Responder {
    /// Answers a request, or refuses an upgrade.
    ///
    /// # Errors
    /// [`RespondError::NotOpen`], [`RespondError::WrongRequest`], [`RespondError::Header`], [`RespondError::Status`].
    pub fn respond(
        &self,
        request: impl Into<Request>,
        response: http::Response<Bytes>,
    ) -> Result<(), RespondError> {
        self.shared.as_ref().ok_or(RespondError::NotOpen)?.respond(request.into(), response)
    }

    /// Begins an answer whose body comes in pieces. With a `length` the body must have exactly that.
    ///
    /// Without one, the peer is read on while the answer is given, so that its leaving is seen; and on a TCP socket of
    /// a server the system asks a quiet peer whether it is still there (`SO_KEEPALIVE`), from now on.
    ///
    /// # Errors
    /// As [`respond`](Self::respond).
    pub fn respond_streaming(
        &self,
        request: impl Into<Request>,
        head: http::Response<()>,
        length: Option<u64>,
    ) -> Result<Body, RespondError> {
        let shared = self.shared.as_ref().ok_or(RespondError::NotOpen)?;
        let token = shared.respond_streaming(request.into(), head, length)?;
        Ok(Body { shared: shared.clone(), token: Some(token) })
    }
}

/// The body of an answer, piece by piece. Dropped before [`finish`](Self::finish), it ends the connection, and the
/// peer sees that it was cut off.
pub struct Body {
    shared: Arc<Shared>,
    /// Taken when it ends.
    token: Option<ResponseBody>,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

impl Body {
    /// Whether no body is sent: the request was a HEAD, or the status has none.
    pub fn is_unwanted(&self) -> bool {
        self.token.as_ref().is_none_or(ResponseBody::is_unwanted)
    }

    /// Queues a piece at once.
    ///
    /// # Errors
    /// [`RespondError::NotOpen`], [`RespondError::Full`], [`RespondError::BodyLength`]; nothing was queued then.
    pub fn try_send(&self, piece: impl Into<Bytes>) -> Result<Sent, RespondError> {
        let token = self.token.as_ref().ok_or(RespondError::WrongRequest)?;
        let sent = self.shared.connection().http().send_body(token, piece)?;
        self.shared.wakers.driver.wake();
        Ok(sent)
    }

    /// Waits until there is room below the high mark, and queues a piece. Meanwhile it writes by itself, where the
    /// stream is a [`Socket`](crate::Socket) of a server. Cancel-safe: dropped before it is done, nothing was queued.
    ///
    /// # Errors
    /// [`RespondError::NotOpen`], [`RespondError::Full`], [`RespondError::BodyLength`], but that it waits where there
    /// is no room; and [`RespondError::NotPolled`], where in [`Config::output_timeout`](crate::Config::output_timeout)
    /// there was no room, and no task polled the connection.
    pub async fn send(&self, piece: impl Into<Bytes>) -> Result<(), RespondError> {
        let piece = piece.into();
        self.shared
            .send_when_room((RespondError::Full, RespondError::NotPolled), || self.try_send(piece.clone()))
            .await
    }

    /// Ends the body.
    ///
    /// # Errors
    /// [`RespondError::NotOpen`]; [`RespondError::BodyLength`] where less came than was declared, which ends the
    /// connection.
    pub fn finish(mut self) -> Result<(), RespondError> {
        let token = self.token.take().ok_or(RespondError::WrongRequest)?;
        self.shared.connection().http().finish_body(clock::now(), token)?;
        self.shared.wakers.driver.wake();
        Ok(())
    }
}

/// The engine notices that the token is gone when it is asked for what it has to tell.
impl Drop for Body {
    fn drop(&mut self) {
        if self.token.take().is_some() {
            self.shared.wakers.driver.wake();
        }
    }
}
