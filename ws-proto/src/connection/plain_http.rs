//! Plain HTTP on a server's connection, beyond one complete answer per request.

use super::{Connection, Sent, Stage};
use crate::access::tls::TlsInfo;
use crate::error::RespondError;
use crate::event::RequestBody;
use crate::handshake::Request;
use crate::http1::ResponseBody;
use crate::moment::Moment;
use bytes::Bytes;
use core::net::SocketAddr;
use std::sync::Arc;

/// Server functions besides [`respond`](Connection::respond): streaming responses, and answers to requests that the
/// application dropped. [`Connection::http`] returns it.
#[derive(Debug)]
pub struct PlainHttp<'a> {
    connection: &'a mut Connection,
}

impl Connection {
    /// Server: streaming responses, and the rest of plain HTTP besides [`respond`](Self::respond).
    #[inline]
    pub fn http(&mut self) -> PlainHttp<'_> {
        PlainHttp { connection: self }
    }
}

impl PlainHttp<'_> {
    /// Answers the latest request, in place of the 503 for a dropped one, unless the application still has it or has
    /// answered it. Call it when the application has seen [`Event::Request`](crate::Event::Request). Returns whether it
    /// answered.
    ///
    /// An answer that [`respond`](Connection::respond) would reject becomes 503.
    pub fn answer_dropped(&mut self, now: Moment, answer: impl FnOnce() -> ::http::Response<Bytes>) -> bool {
        let connection = &mut *self.connection;
        let Some((http, mut io)) = connection.stage_http(now) else { return false };
        let is_answered = http.answer_dropped(&mut io, answer);
        if is_answered {
            connection.settle_http(now);
        }
        is_answered
    }

    /// Records that the owner of the socket speaks TLS: from the next request on, the connection counts as
    /// [secure](crate::Transport::secure), and requests have [this](Request::tls). Call it once the TLS handshake is
    /// done, before the first plaintext.
    pub fn set_tls(&mut self, info: Arc<TlsInfo>) {
        if let Stage::Http(http) = &mut self.connection.stage {
            http.set_tls(info);
        }
    }

    /// Records the client's address, once the owner of the socket has it from a proxy that precedes the stream with a
    /// header: from the next request on it is that of the [transport](crate::Transport::peer). Call it before the first
    /// byte of the stream.
    pub fn set_peer(&mut self, peer: SocketAddr) {
        if let Stage::Http(http) = &mut self.connection.stage {
            http.set_peer(peer);
        }
    }

    /// Starts a streaming response: its body follows in chunks, now or later, as for a file or a stream of events.
    ///
    /// With a `length` the body must have exactly that length; without, it is sent chunked (RFC 9112 §7.1), and to
    /// HTTP/1.0 until the connection ends: later requests are not answered then. It is sent in its turn after the
    /// answers to earlier requests; until then its chunks are held, and count as queued.
    ///
    /// A peer that ends its stream during an answer without a length counts as gone: the answer ends with the
    /// connection, unless [`half_close`](crate::Config::half_close) is allowed. An answer with a length continues until a
    /// write fails. A server that [stops](Connection::go_away) finishes streams of the type `text/event-stream` itself,
    /// and rejects later chunks.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use ws_proto::{Config, Connection, Event, Moment, Transport};
    /// # let now = Moment::default();
    /// # let mut server = Connection::server(now, Arc::new(Config::server()), Transport::default());
    /// # let mut input = *b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    /// # let Some(Event::Request(request)) = server.handle_input(now, &mut &mut input[..]) else { panic!() };
    /// let body = server.http().respond_streaming(now, request, http::Response::new(()), None)?;
    /// server.http().send_body(&body, "tick\n")?;
    /// server.http().send_body(&body, "tock\n")?;
    /// server.http().finish_body(now, body)?;
    /// assert!(bytes::Buf::chunk(server.outbox()).ends_with(b"5\r\ntick\n\r\n5\r\ntock\n\r\n0\r\n\r\n"));
    /// # Ok::<(), ws_proto::RespondError>(())
    /// ```
    ///
    /// # Errors
    /// As [`respond`](Connection::respond), and also [`RespondError::NotOpen`] where the peer has ended its stream and
    /// this answer would have no length. Only `length` may set `Content-Length`.
    pub fn respond_streaming(
        &mut self,
        now: Moment,
        request: impl Into<Request>,
        head: ::http::Response<()>,
        length: Option<u64>,
    ) -> Result<ResponseBody, RespondError> {
        let connection = &mut *self.connection;
        let Some((http, mut io)) = connection.stage_http(now) else { return Err(connection.no_request()) };
        let request = request.into();
        let result = http.respond_streaming(&mut io, request, head, length);
        connection.settle_http(now);
        result
    }

    /// Sends the next chunk of a body. Sending at the pace of [`Event::Drained`](crate::Event::Drained) keeps memory
    /// use small, however long the body is.
    ///
    /// # Errors
    /// [`RespondError::NotOpen`] when the connection or this body has ended, [`RespondError::Full`],
    /// [`RespondError::BodyLength`] when this would exceed the declared length, [`RespondError::WrongRequest`] when the
    /// body belongs to another connection. Nothing was queued then.
    pub fn send_body(&mut self, body: &ResponseBody, chunk: impl Into<Bytes>) -> Result<Sent, RespondError> {
        let chunk = chunk.into();
        // The answer is complete without it, and may have been the last one.
        if body.is_discarded() {
            return Ok(Sent::Queued);
        }
        let is_its_turn = self.is_its_turn(body);
        let connection = &mut *self.connection;
        let Stage::Http(http) = &mut connection.stage else { return Err(RespondError::NotOpen) };
        http.check_body(body)?;
        if is_its_turn {
            // Output that waits for this body does not block it.
            connection.check_fits(connection.outbox.len(), chunk.len()).map_err(|_| RespondError::Full)?;
            let Stage::Http(http) = &mut connection.stage else { return Err(RespondError::NotOpen) };
            http.send_body(&mut connection.outbox, body, chunk)?;
            let sent = connection.check_marks();
            if let Stage::Http(http) = &mut connection.stage
                && connection.backpressure.congested
            {
                http.hold();
            }
            return Ok(sent);
        }
        let is_full = connection.is_full(connection.queued(), chunk.len());
        let Stage::Http(http) = &mut connection.stage else { return Err(RespondError::NotOpen) };
        if is_full {
            http.request_room(body);
            return Err(RespondError::Full);
        }
        http.send_body(&mut connection.outbox, body, chunk)?;
        let is_over = connection.outbox.len() + http.held_len() > connection.config.high_mark;
        if is_over {
            http.request_room(body);
        }
        connection.count_held();
        Ok(if is_over { Sent::Congested } else { Sent::Queued })
    }

    /// Whether it is this body's turn. Before that its chunks are held, and count as queued.
    pub fn is_its_turn(&self, body: &ResponseBody) -> bool {
        match &self.connection.stage {
            Stage::Http(http) => http.is_its_turn(body) == Some(true),
            _ => false,
        }
    }

    /// Ends a body. The connection continues with the next request.
    ///
    /// # Errors
    /// [`RespondError::NotOpen`] and [`RespondError::WrongRequest`] as for [`send_body`](Self::send_body);
    /// [`RespondError::BodyLength`] when less was sent than declared: the connection then ends, which shows the peer
    /// that the body was cut off.
    pub fn finish_body(&mut self, now: Moment, body: ResponseBody) -> Result<(), RespondError> {
        let connection = &mut *self.connection;
        if body.is_discarded() {
            return Ok(());
        }
        let Some((http, mut io)) = connection.stage_http(now) else { return Err(RespondError::NotOpen) };
        let result = http.finish_body(&mut io, body);
        connection.settle_http(now);
        result
    }

    /// Whether a part of this request's body is still to be reported: data, or its end. `false` for a request that is not
    /// [streaming](Request::is_streaming), and after its answer.
    pub fn is_receiving_body(&mut self, request: &Request) -> bool {
        match &mut self.connection.stage {
            Stage::Http(http) => http.is_receiving(request),
            stage => stage.ending_mut().is_some_and(|ending| ending.cut.is_some()),
        }
    }

    /// The end of a body that the end of the connection cut off, if that is not yet reported. For adapters that report
    /// the end of the connection later, exempt from semver.
    #[doc(hidden)]
    pub fn take_cut_body(&mut self) -> Option<RequestBody<'static>> {
        self.connection.take_cut()
    }

    /// Whether an upgrade is undecided, or accepted and waiting for the answers to earlier requests.
    pub fn is_upgrading(&self) -> bool {
        matches!(&self.connection.stage, Stage::Http(http) if http.is_upgrading())
    }
}
