//! The body of a request, as it arrives.

use crate::connection::http::HttpConnection;
use crate::connection::streaming::Streaming;
use crate::sys::socket::Socket;
use bytes::{Buf, Bytes};
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use ws_proto::{Error, Event, Request};

/// The body of a request: a [`Stream`] of chunks, and an [`AsyncRead`]. [`HttpConnection::body`] returns it.
///
/// A chunk is what one read brought, at most 64 KiB. Nothing is read unless this is polled, so a slow reader slows its
/// client down, and no memory fills. Dropping it loses nothing: another call of [`body`](HttpConnection::body)
/// continues.
///
/// As an `AsyncRead`, it returns an error of the kind [`UnexpectedEof`](ErrorKind::UnexpectedEof) for a body that was cut
/// off.
pub struct BodyReader<'h, S: AsyncRead + AsyncWrite + Unpin = Socket> {
    http: &'h mut HttpConnection<S>,
    request: &'h Request,
    has_failed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> HttpConnection<S> {
    /// Returns the body of a request that is not answered yet, to be read as it arrives. If the request is not
    /// [streaming](Request::is_streaming), it is there already.
    ///
    /// The first poll asks a client that waits for `100 Continue` to send the body; an answer before that rejects it.
    /// An answer before the end of the body is the last one of the connection, unless at most 64 KiB of it are missing.
    /// Calling [`next`](Self::next) before the end discards the rest.
    ///
    /// ```
    /// use ws_server_smol::{HttpConnection, Request, http::StatusCode, web};
    ///
    /// async fn count(http: &mut HttpConnection, request: Request) -> Result<(), Box<dyn std::error::Error>> {
    ///     let mut len = 0;
    ///     let mut body = http.body(&request);
    ///     while let Some(chunk) = body.next().await {
    ///         len += chunk?.len(); // an error: the body is incomplete, and so is what was made of it
    ///     }
    ///     Ok(http.respond(request, web::text(format!("{len} bytes\n"))).await?)
    /// }
    /// ```
    pub fn body<'h>(&'h mut self, request: &'h Request) -> BodyReader<'h, S> {
        if !request.is_streaming() && self.collected.as_ref().is_none_or(|its| its.id != request.id()) {
            self.collected = Some(Box::new(Streaming::collected(request)));
        }
        BodyReader { http: self, request, has_failed: false }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> BodyReader<'_, S> {
    /// Returns the next chunk, or `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// Why the rest does not arrive, once: the request cannot be answered, and the connection is over.
    /// [`Error::Aborted`] also if [`HttpConnection::next`] has discarded some of it.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// The request whose body this is.
    pub fn request(&self) -> &Request {
        self.request
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if !ready!(self.poll_data(cx))? {
            return Poll::Ready(None);
        }
        Poll::Ready(self.data().map(|data| Ok(std::mem::take(data))))
    }

    /// The bytes that are there.
    fn data(&mut self) -> Option<&mut Bytes> {
        let HttpConnection { streaming, collected, .. } = &mut *self.http;
        let its = if self.request.is_streaming() { streaming } else { collected };
        Some(&mut its.as_mut()?.rest)
    }

    /// Whether there is data; `false` at the end.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        if !self.request.is_streaming() {
            return Poll::Ready(Ok(self.data().is_some_and(|data| !data.is_empty())));
        }
        loop {
            let streaming = self.http.streaming.as_ref().filter(|s| s.id == self.request.id());
            let Some(streaming) = streaming else { return Poll::Ready(self.fail(Error::Aborted)) };
            match &streaming.end {
                _ if !streaming.rest.is_empty() => return Poll::Ready(Ok(true)),
                Some(Ok(())) => return Poll::Ready(Ok(false)),
                Some(Err(error)) => {
                    let error = error.clone();
                    return Poll::Ready(self.fail(error));
                }
                None => {}
            }
            let HttpConnection { driver: Some(driver), streaming: Some(streaming), .. } = &mut *self.http
            else {
                return Poll::Ready(self.fail(Error::Aborted));
            };
            match ready!(driver.poll_event(cx)) {
                Some(Event::Body(part)) => streaming.receive(part),
                Some(Event::Closed(closed)) => self.http.end(Some(closed)),
                None => self.http.end(None),
                Some(_) => {}
            }
        }
    }

    /// Reports a failure once; afterwards there is nothing more.
    fn fail(&mut self, error: Error) -> Result<bool, Error> {
        if std::mem::replace(&mut self.has_failed, true) { Ok(false) } else { Err(error) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for BodyReader<'_, S> {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_chunk(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for BodyReader<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.has_failed {
            // The end of a file would look like that of the body.
            return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
        }
        let result = ready!(self.poll_data(cx));
        let has_data = result.map_err(|error| io::Error::new(ErrorKind::UnexpectedEof, error))?;
        let Some(data) = self.data().filter(|_| has_data) else { return Poll::Ready(Ok(0)) };
        let n = data.len().min(buffer.len());
        data.split_to(n).copy_to_slice(&mut buffer[..n]);
        Poll::Ready(Ok(n))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> fmt::Debug for BodyReader<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReader").field("len", &self.request.body_len()).finish_non_exhaustive()
    }
}
