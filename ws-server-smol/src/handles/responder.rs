//! Answers HTTP requests later, from another task, or as a stream.

use crate::clock;
use crate::driver::shared::Shared;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use ws_proto::{Request, RespondError, ResponseBody, Sent};

/// Answers the requests of one connection from other tasks and threads. It wakes the task that polls
/// [`HttpConnection::next`](crate::HttpConnection::next), which writes what is queued.
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
    /// Answers a request, or rejects an upgrade.
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

    /// Begins a streaming response. With a `length` the body must have exactly that many bytes.
    ///
    /// Without one, the connection is read during the response, to detect that the peer has left; and on a server's TCP
    /// socket the system probes an idle peer (`SO_KEEPALIVE`) from now on.
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

/// The body of a streaming response. Dropping it before [`finish`](Self::finish) ends the connection, and the peer sees
/// a truncated body.
pub struct Body {
    shared: Arc<Shared>,
    /// `None` once the body has ended.
    token: Option<ResponseBody>,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

impl Body {
    /// Whether no body is sent: the request was a HEAD, or the status has none.
    pub fn is_discarded(&self) -> bool {
        self.token.as_ref().is_none_or(ResponseBody::is_discarded)
    }

    /// Queues a chunk at once.
    ///
    /// # Errors
    /// [`RespondError::NotOpen`], [`RespondError::Full`], [`RespondError::BodyLength`]; nothing is queued then.
    pub fn try_send(&self, chunk: impl Into<Bytes>) -> Result<Sent, RespondError> {
        let token = self.token.as_ref().ok_or(RespondError::WrongRequest)?;
        let sent = self.shared.connection().http().send_body(token, chunk)?;
        self.shared.wakers.wake_driver();
        Ok(sent)
    }

    /// Waits until there is room below the high mark, and queues a chunk. If the stream is a server's
    /// [`Socket`](crate::Socket), it writes pending output itself meanwhile. Cancel-safe: if dropped before it
    /// completes, nothing is queued.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), except that it waits for room; and [`RespondError::NotPolled`] if there is no
    /// room within [`Config::output_timeout`](crate::Config::output_timeout), and no task polls the connection: its
    /// peer has stopped reading, or, over other streams, nothing writes.
    pub async fn send(&self, chunk: impl Into<Bytes>) -> Result<(), RespondError> {
        let chunk = chunk.into();
        self.shared
            .send_when_room((RespondError::Full, RespondError::NotPolled), || self.try_send(chunk.clone()))
            .await
    }

    /// Ends the body.
    ///
    /// # Errors
    /// [`RespondError::NotOpen`]; [`RespondError::BodyLength`] if the body is shorter than declared, which ends the
    /// connection.
    pub fn finish(mut self) -> Result<(), RespondError> {
        let token = self.token.take().ok_or(RespondError::WrongRequest)?;
        self.shared.connection().http().finish_body(clock::now(), token)?;
        self.shared.wakers.wake_driver();
        Ok(())
    }
}

/// The engine notices the dropped token when it is next polled for events.
impl Drop for Body {
    fn drop(&mut self) {
        if self.token.take().is_some() {
            self.shared.wakers.wake_driver();
        }
    }
}
