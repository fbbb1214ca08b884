//! A server's answers: to requests, and to opening handshakes.

use super::backpressure::Held;
use super::{Connection, Sent, Stage};
use crate::error::RespondError;
use crate::event::Event;
use crate::handshake::{Request, Upgrade};
use crate::http1::{Incoming, Io, ResponseBody, ServerHttp};
use crate::moment::Moment;
use bytes::Bytes;

impl Connection {
    /// Server: completes an opening handshake. [`Event::Open`](crate::Event::Open) follows from
    /// [`poll_event`](Self::poll_event).
    ///
    /// # Errors
    /// [`RespondError::NotOpen`] when the connection has ended or the server [stops](Self::go_away), and when the peer has
    /// ended its stream meanwhile; [`RespondError::WrongRequest`] when the upgrade is not one of this connection, or its
    /// time is over.
    pub fn accept(&mut self, now: Moment, upgrade: Upgrade) -> Result<(), RespondError> {
        let Some((http, mut io)) = self.http(now) else { return Err(self.no_request()) };
        let result = http.accept(&mut io, upgrade);
        self.settle_http(now);
        result
    }

    /// Server: answers a request, now or later, in any order; or refuses an upgrade. A refusal is the last answer of its
    /// connection: what stands behind the upgrade may be frames, and is not read.
    ///
    /// `Content-Length`, `Date` and `Connection` are written by the connection itself, and names of fields in their usual
    /// spelling, `ETag` say. A `Last-Modified` that is later than the `Date` is written as that (RFC 9110 §8.8.2.1). What
    /// is answered to HEAD goes out without its body.
    ///
    /// # Errors
    /// [`RespondError::NotOpen`] when the connection has ended, or ends with an earlier answer; [`RespondError::WrongRequest`]
    /// when the request is not one of this connection, or its time is over; [`RespondError::Header`] and
    /// [`RespondError::Status`] for what would break the framing: the request is then answered 503.
    pub fn respond(
        &mut self,
        now: Moment,
        request: impl Into<Request>,
        response: ::http::Response<Bytes>,
    ) -> Result<(), RespondError> {
        let Some((http, mut io)) = self.http(now) else { return Err(self.no_request()) };
        let result = http.respond(&mut io, request.into(), response);
        self.settle_http(now);
        result
    }

    /// Server: answers the request that came last, unless the application still has it or has answered it: in place of the
    /// 503 that a dropped request gets. Call it when the application has seen [`Event::Request`]. Says whether it answered.
    ///
    /// An answer that [`respond`](Self::respond) would not take is 503.
    pub fn answer_dropped(&mut self, now: Moment, answer: impl FnOnce() -> ::http::Response<Bytes>) -> bool {
        let Some((http, mut io)) = self.http(now) else { return false };
        let is_answered = http.answer_dropped(&mut io, answer);
        if is_answered {
            self.settle_http(now);
        }
        is_answered
    }

    /// Server: begins an answer whose body comes in pieces, now or later, as a file or a stream of events does.
    ///
    /// With a `length` the body must have exactly that; without, it is sent in chunks (RFC 9112 §7.1), and to
    /// HTTP/1.0 until the connection ends: no later request is answered then. It goes out in its turn behind the answers
    /// to earlier requests; until then its pieces are held, and count as queued.
    ///
    /// A peer that ends its stream amid an answer without a length is taken to have gone: the answer ends with the
    /// connection, unless [`half_close`](crate::Config::half_close) is allowed. One with a length goes on until it
    /// cannot be written. A server that [stops](Self::go_away) finishes streams of the type `text/event-stream`
    /// itself; pieces that come later are refused.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use ws_proto::{Config, Connection, Event, Moment, Transport};
    /// # let now = Moment::default();
    /// # let mut server = Connection::server(now, Arc::new(Config::server()), Transport::default());
    /// # let mut input = *b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    /// # let Some(Event::Request(request)) = server.handle_input(now, &mut &mut input[..]) else { panic!() };
    /// let body = server.respond_streaming(now, request, http::Response::new(()), None)?;
    /// server.send_body(&body, "tick\n")?;
    /// server.send_body(&body, "tock\n")?;
    /// server.finish_body(now, body)?;
    /// assert!(bytes::Buf::chunk(server.outbox()).ends_with(b"5\r\ntick\n\r\n5\r\ntock\n\r\n0\r\n\r\n"));
    /// # Ok::<(), ws_proto::RespondError>(())
    /// ```
    ///
    /// # Errors
    /// As [`respond`](Self::respond), and [`RespondError::NotOpen`] too where the peer has ended its stream and this
    /// answer would have no length. `Content-Length` is told by `length` alone.
    pub fn respond_streaming(
        &mut self,
        now: Moment,
        request: impl Into<Request>,
        head: ::http::Response<()>,
        length: Option<u64>,
    ) -> Result<ResponseBody, RespondError> {
        let Some((http, mut io)) = self.http(now) else { return Err(self.no_request()) };
        let request = request.into();
        let result = http.respond_streaming(&mut io, request, head, length);
        self.settle_http(now);
        result
    }

    /// Server: gives the next piece of a body. Pieces that are given in step with
    /// [`Event::Drained`](crate::Event::Drained) keep little in memory, however long the body is.
    ///
    /// # Errors
    /// [`RespondError::NotOpen`] when the connection has ended, or this body has, [`RespondError::Full`],
    /// [`RespondError::BodyLength`] when this would be more than was declared, [`RespondError::WrongRequest`] when the body is
    /// another connection's.
    /// Nothing was queued then.
    pub fn send_body(&mut self, body: &ResponseBody, piece: impl Into<Bytes>) -> Result<Sent, RespondError> {
        let piece = piece.into();
        // The answer is complete without it, and may have been the last one.
        if body.is_unwanted() {
            return Ok(Sent::Queued);
        }
        let Stage::Http(http) = &mut self.stage else { return Err(RespondError::NotOpen) };
        http.check_body(body)?;
        if self.is_its_turn(body) {
            // What waits behind this body cannot be in its way.
            self.check_fits(self.outbox.len(), piece.len()).map_err(|_| RespondError::Full)?;
            let Stage::Http(http) = &mut self.stage else { return Err(RespondError::NotOpen) };
            http.send_body(&mut self.outbox, body, piece)?;
            let sent = self.note_queued();
            if let Stage::Http(http) = &mut self.stage
                && self.backpressure.congested
            {
                http.hold();
            }
            return Ok(sent);
        }
        let is_full = self.is_full(self.queued(), piece.len());
        let Stage::Http(http) = &mut self.stage else { return Err(RespondError::NotOpen) };
        if is_full {
            http.owe_room(body);
            return Err(RespondError::Full);
        }
        http.send_body(&mut self.outbox, body, piece)?;
        let is_over = self.outbox.len() + http.held_len() > self.config.high_mark;
        if is_over {
            http.owe_room(body);
        }
        self.count_held();
        Ok(if is_over { Sent::Congested } else { Sent::Queued })
    }

    /// Server: whether the turn of a body has come. Before that its pieces are held, and count as queued.
    pub fn is_its_turn(&self, body: &ResponseBody) -> bool {
        match &self.stage {
            Stage::Http(http) => http.is_its_turn(body) == Some(true),
            _ => false,
        }
    }

    /// Server: ends a body. The connection goes on to the next request.
    ///
    /// # Errors
    /// [`RespondError::NotOpen`] and [`RespondError::WrongRequest`] as for [`send_body`](Self::send_body);
    /// [`RespondError::BodyLength`] when less came than was declared: the connection then ends, so that the peer
    /// sees that the body was cut off.
    pub fn finish_body(&mut self, now: Moment, body: ResponseBody) -> Result<(), RespondError> {
        if body.is_unwanted() {
            return Ok(());
        }
        let Some((http, mut io)) = self.http(now) else { return Err(RespondError::NotOpen) };
        let result = http.finish_body(&mut io, body);
        self.settle_http(now);
        result
    }

    /// The HTTP stage, with what it is lent.
    fn http(&mut self, now: Moment) -> Option<(&mut ServerHttp, Io<'_>)> {
        let Self { stage: Stage::Http(http), config, outbox: out, .. } = self else { return None };
        Some((http, Io { now, config, out }))
    }

    /// Server: does what is due.
    pub(super) fn handle_http_timeout(&mut self, now: Moment) {
        let Some((http, mut io)) = self.http(now) else { return };
        http.handle_timeout(&mut io);
        self.settle_http(now);
    }

    /// Takes no further request.
    pub(super) fn stop_http(&mut self, now: Moment) {
        let Some((http, mut io)) = self.http(now) else { return };
        http.go_away(&mut io);
        self.settle_http(now);
    }

    /// Takes input in the HTTP stage, and what was kept of it before.
    pub(super) fn receive_http(&mut self, now: Moment, input: &mut &mut [u8]) -> Option<Event<'static>> {
        let held = self.takes_no_request();
        let Some((http, mut io)) = self.http(now) else { return None };
        let incoming = http.handle_input(&mut io, held, input);
        self.settle_http(now);
        incoming.map(|incoming| match incoming {
            Incoming::Request(request) => Event::Request(request),
            Incoming::Upgrade(upgrade) => Event::Upgrade(upgrade),
        })
    }

    /// Brings the stage up to date with what HTTP came to: the switch, or the end.
    pub(super) fn settle_http(&mut self, now: Moment) {
        let Stage::Http(http) = &mut self.stage else { return };
        // Its pieces stand in the outbox, and their draining will be told.
        self.backpressure.congested |= http.take_owed_room();
        if let Some((response, terms)) = http.take_opened() {
            let ahead = http.take_ahead();
            self.establish(now, response, terms);
            self.keep_ahead(ahead);
        } else if http.ending().is_some() {
            self.end_http(now);
        }
        self.note_queued();
        if matches!(self.stage, Stage::Http(_)) {
            self.count_held();
        }
        self.note_http_held(now);
    }

    /// Whether no request may be taken, whatever came: too much output waits for the peer, or reading is paused.
    pub(super) fn takes_no_request(&self) -> bool {
        self.backpressure.congested || self.input.held.has(Held::ANY)
    }

    /// Notes for the deadlines of HTTP whether we hold reading back.
    pub(super) fn note_http_held(&mut self, now: Moment) {
        let held = self.takes_no_request();
        if let Stage::Http(http) = &mut self.stage {
            http.note_held(now, &self.config, held);
            self.arm();
        }
    }

    /// Tells HTTP that the socket took so much.
    pub(super) fn note_http_written(&mut self, now: Moment, n: usize) {
        if let Stage::Http(http) = &mut self.stage {
            http.handle_written(now, n, &self.outbox);
            self.note_http_held(now);
        }
    }

    /// Why there is no request to answer.
    fn no_request(&self) -> RespondError {
        match self.stage {
            Stage::Closing(_) | Stage::Draining(_) | Stage::Done { .. } => RespondError::NotOpen,
            // Those of an open one have been answered, and a client has none.
            Stage::Http(_) | Stage::Handshake(_) | Stage::Opened(_) | Stage::Open(_) => {
                RespondError::WrongRequest
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn http_memory_len(&self) -> usize {
        match &self.stage {
            Stage::Http(http) => http.memory_len(),
            _ => 0,
        }
    }
}
