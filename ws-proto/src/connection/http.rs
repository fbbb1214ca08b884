//! A server's answers to requests and opening handshakes.

use super::backpressure::Held;
use super::{Connection, Stage};
use crate::error::RespondError;
use crate::event::Event;
use crate::handshake::{Request, Upgrade};
use crate::http1::{Incoming, Io, ServerHttp};
use crate::moment::Moment;
use bytes::Bytes;

impl Connection {
    /// Server: completes an opening handshake. [`Event::Open`](crate::Event::Open) follows from
    /// [`poll_event`](Self::poll_event).
    ///
    /// # Errors
    /// [`RespondError::NotOpen`] when the connection has ended or the server [stops](Self::go_away), and when the peer
    /// has ended its stream meanwhile; [`RespondError::WrongRequest`] when the upgrade belongs to another connection,
    /// or timed out.
    pub fn accept(&mut self, now: Moment, upgrade: Upgrade) -> Result<(), RespondError> {
        let Some((http, mut io)) = self.stage_http(now) else { return Err(self.no_request()) };
        let result = http.accept(&mut io, upgrade);
        self.settle_http(now);
        result
    }

    /// Server: answers a request, now or later, in any order; or rejects an upgrade. A rejection is the last answer of
    /// its connection: bytes after the upgrade may be frames, and are not read.
    ///
    /// The connection itself writes `Content-Length`, `Date` and `Connection`, and spells field names as
    /// usual, such as `ETag`. A `Last-Modified` later than the `Date` is replaced by it (RFC 9110 §8.8.2.1). An answer to
    /// HEAD is sent without its body.
    ///
    /// # Errors
    /// [`RespondError::NotOpen`] when the connection has ended, or ends with an earlier answer;
    /// [`RespondError::WrongRequest`] when the request belongs to another connection, or timed out;
    /// [`RespondError::Header`] and [`RespondError::Status`] for what would break the framing: the request then
    /// gets 503.
    pub fn respond(
        &mut self,
        now: Moment,
        request: impl Into<Request>,
        response: ::http::Response<Bytes>,
    ) -> Result<(), RespondError> {
        let Some((http, mut io)) = self.stage_http(now) else { return Err(self.no_request()) };
        let result = http.respond(&mut io, request.into(), response);
        self.settle_http(now);
        result
    }

    /// The HTTP stage, with the parts of the connection that it borrows.
    pub(super) fn stage_http(&mut self, now: Moment) -> Option<(&mut ServerHttp, Io<'_>)> {
        let Self { stage: Stage::Http(http), config, outbox: out, .. } = self else { return None };
        Some((http, Io { now, config, out }))
    }

    /// Server: handles expired deadlines.
    pub(super) fn handle_http_timeout(&mut self, now: Moment) {
        let Some((http, mut io)) = self.stage_http(now) else { return };
        http.handle_timeout(&mut io);
        self.settle_http(now);
    }

    /// Takes no further requests.
    pub(super) fn stop_http(&mut self, now: Moment) {
        let Some((http, mut io)) = self.stage_http(now) else { return };
        http.go_away(&mut io);
        self.settle_http(now);
    }

    /// Handles input in the HTTP stage, kept input first.
    pub(super) fn receive_http<'a>(&mut self, now: Moment, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        let held = self.holds_requests();
        let (http, mut io) = self.stage_http(now)?;
        let incoming = http.handle_input(&mut io, held, input);
        self.settle_http(now);
        incoming.map(|incoming| match incoming {
            Incoming::Request(request) => Event::Request(request),
            Incoming::Upgrade(upgrade) => Event::Upgrade(upgrade),
            Incoming::Body(body) => Event::Body(body),
        })
    }

    /// Moves to the stage that HTTP has reached: the switch, or the end.
    pub(super) fn settle_http(&mut self, now: Moment) {
        let Stage::Http(http) = &mut self.stage else { return };
        // Chunks are in the outbox, so report when they drain.
        self.backpressure.congested |= http.take_room_due();
        if let Some((response, terms)) = http.take_opened() {
            let ahead = http.take_ahead();
            self.establish(now, response, terms);
            self.keep_ahead(ahead);
        } else if http.ending().is_some() {
            self.end_http(now);
        }
        self.check_marks();
        if matches!(self.stage, Stage::Http(_)) {
            self.count_held();
        }
        self.update_http_held(now);
    }

    /// Whether to take no request: too much output is pending, or reading is paused.
    pub(super) fn holds_requests(&self) -> bool {
        self.backpressure.congested || self.input.held.has(Held::ANY)
    }

    /// Records for the HTTP deadlines whether we hold reading back.
    pub(super) fn update_http_held(&mut self, now: Moment) {
        let held = self.holds_requests();
        if let Stage::Http(http) = &mut self.stage {
            http.set_held(now, &self.config, held);
            self.arm();
        }
    }

    /// Reports to HTTP that the socket took `n` bytes.
    pub(super) fn http_written(&mut self, now: Moment, n: usize) {
        if let Stage::Http(http) = &mut self.stage {
            http.handle_written(now, n, &self.outbox);
            self.update_http_held(now);
        }
    }

    /// Why there is no request to answer.
    pub(super) fn no_request(&self) -> RespondError {
        match self.stage {
            Stage::Closing(_) | Stage::Draining(_) | Stage::Done { .. } => RespondError::NotOpen,
            // Those of an open connection have been answered, and a client has none.
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
