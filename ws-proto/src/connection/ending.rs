//! How a connection ends (RFC 6455 §7).

use super::flow::Held;
use super::{Busy, Connection, Moment, Stage, close_body};
use crate::close::CloseCode;
use crate::decode::Decoder;
use crate::deflate::PerMessage;
use crate::error::{Error, SendError, Timeout};
use crate::event::{Closed, Initiator};
use crate::frame::Opcode;
use alloc::boxed::Box;
use alloc::string::String;
use core::mem;

/// An end in progress: what has been said on both sides, and the first cause.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) initiator: Initiator,
    /// The peer's code and reason.
    pub(super) received: Option<(CloseCode, String)>,
    pub(super) sent: Option<CloseCode>,
    pub(super) error: Option<Error>,
    pub(super) was_open: bool,
    /// Whether the application must hear of this end: it has heard of the connection, or wants to hear of all.
    pub(super) announced: bool,
    /// When the closing phase began; for HTTP, once the last answer is flushed.
    pub(super) since: Option<Moment>,
    /// When it ended.
    pub(super) ended: Moment,
    pub(super) half_close: HalfClose,
    /// Whether the peer has ended its half.
    pub(super) peer_ended: bool,
    /// Bytes read and thrown away.
    pub(super) discarded: u64,
    /// It was open, of which the application is yet to hear.
    pub(super) opened: Option<Box<::http::Response<()>>>,
    /// What inflates data that comes before the peer's Close.
    pub(super) compression: Option<Box<PerMessage>>,
    /// An HTTP answer is being flushed whose end is that of the connection.
    pub(super) has_open_end: bool,
    /// The body of our Close, which overtakes what waits once the socket takes no more: the connection failed.
    pub(super) overtaking: Option<Vec<u8>>,
    /// Writing failed: it is over with the peer's Close, or soon without.
    pub(super) is_broken: bool,
    /// Reading was paused when it began to end.
    pub(super) was_paused: bool,
}

/// Whether our half of TCP is to be closed before the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HalfClose {
    /// It is for the peer to begin (§7.1.1: the server closes first).
    No,
    Due,
    Told,
}

impl Ending {
    fn new(initiator: Initiator) -> Self {
        Self {
            initiator,
            received: None,
            sent: None,
            error: None,
            was_open: true,
            announced: true,
            since: None,
            ended: Moment::default(),
            half_close: HalfClose::No,
            peer_ended: false,
            discarded: 0,
            opened: None,
            compression: None,
            has_open_end: false,
            overtaking: None,
            is_broken: false,
            was_paused: false,
        }
    }

    /// Whether to half-close now; once.
    pub(super) fn take_half_close(&mut self) -> bool {
        let due = self.half_close == HalfClose::Due;
        if due {
            self.half_close = HalfClose::Told;
        }
        due
    }

    pub(super) fn into_closed(self, connection: &Connection) -> Closed {
        let clean = self.received.is_some() && self.sent.is_some() && self.error.is_none();
        // The first Close that was received, whatever broke afterwards (§7.1.5, §7.1.6).
        let (code, reason) = self.received.unwrap_or((CloseCode::ABNORMAL, String::new()));
        Closed {
            code,
            reason,
            clean,
            initiator: self.initiator,
            error: self.error,
            sent: self.sent,
            was_open: self.was_open,
            reading_paused: self.was_paused,
            bytes_received: connection.bytes_received,
            bytes_sent: connection.bytes_sent,
            age: self.ended.since(connection.birth),
        }
    }
}

impl Connection {
    /// Starts the closing handshake (RFC 6455 §7.1.2). What was queued before goes out before it; messages
    /// that wait behind an unfinished message of ours cannot, and are dropped with it.
    ///
    /// [`CloseCode::NO_STATUS`] with an empty reason sends a Close without a body. Before the connection is
    /// open there is no closing handshake: a client gives up, a server ends the HTTP connection.
    ///
    /// # Errors
    /// [`SendError::CloseCodeInvalid`], [`SendError::CloseReasonTooLong`], and [`SendError::NotOpen`] when the
    /// connection is ending already, which is harmless.
    pub fn close(&mut self, now: Moment, code: CloseCode, reason: &str) -> Result<(), SendError> {
        let body = close_body::encode(code, reason)?;
        match &mut self.stage {
            Stage::Opened(_) | Stage::Open(_) => {
                let mut ending = self.begin_ending(now, Initiator::Local);
                self.write_copied(Opcode::Close, true, &body);
                ending.sent = Some(code);
                self.stage = Stage::Closing(ending);
                self.end_opened();
                self.arm();
                Ok(())
            }
            Stage::Http(_) => {
                self.end_http(now);
                Ok(())
            }
            Stage::Handshake(_) => {
                self.done(now, Error::Aborted);
                Ok(())
            }
            Stage::Closing(_) | Stage::Draining(_) | Stage::Done(_) => Err(SendError::NotOpen),
        }
    }

    /// Ends the connection at once, and says why: [`Error::Aborted`] where the application wants no closing handshake,
    /// [`Error::Io`] where reading failed, [`Error::Stopped`] where the server has stopped. Nothing more is sent. An end
    /// that was already in order stays so.
    pub fn abort(&mut self, now: Moment, error: Error) {
        self.done(now, error);
    }

    /// Says goodbye in order, since the server stops. A WebSocket is [closed](Self::close) with this code. HTTP takes
    /// no further request: an idle connection ends, and where something is going on, the last answer says
    /// `Connection: close`.
    ///
    /// Event streams (answers without a length whose type is `text/event-stream`) are finished at once, as is one that
    /// begins later; every other answer goes on to its end, and a request whose head or body is arriving is read and
    /// answered too. An opening handshake that is not complete is refused with 503: accepting it then says
    /// [`SendError::NotOpen`].
    ///
    /// To cut what is left after a while, [`abort`](Self::abort) with [`Error::Stopped`]. Calling this again is
    /// harmless.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn go_away(&mut self, now: Moment, code: CloseCode, reason: &str) -> Result<(), SendError> {
        let Stage::Http(http) = &mut self.stage else { return self.close(now, code, reason) };
        close_body::encode(code, reason)?;
        http.go_away(now, &self.config, &mut self.outbox);
        self.settle_http(now);
        Ok(())
    }

    /// Takes the connection out of its stage, which is open, to put what is made of it into the next.
    pub(super) fn begin_ending(&mut self, now: Moment, initiator: Initiator) -> Box<Ending> {
        let mut ending = Ending::new(initiator);
        match mem::replace(&mut self.stage, Stage::Done(None)) {
            Stage::Opened(opened) => {
                ending.opened = Some(opened.response);
                ending.compression = opened.compression;
            }
            Stage::Open(compression) => ending.compression = compression,
            _ => {}
        }
        ending.since = Some(now);
        ending.was_paused = self.input.held.has(Held::PAUSED);
        Box::new(ending)
    }

    /// What only an open connection needs is over; what waits to be written is still counted and judged.
    pub(super) fn end_opened(&mut self) {
        self.input.held = Held::default();
        if let Some(busy) = &mut self.busy {
            let (stall, counted) = (busy.stall.take(), busy.counted.take());
            let (ahead, ends_behind) = (mem::take(&mut busy.ahead), busy.ends_behind);
            **busy = Busy { stall, counted, ends_behind, ..Busy::default() };
            self.keep_ahead(ahead);
        }
        if self.is_counted() {
            self.count_held();
        }
        self.forget_busy_if_idle();
    }

    /// Once it is over: whether the transport is to be reset rather than ended (`SO_LINGER` of zero), since an answer
    /// was cut off whose end only the end of the connection tells, as in HTTP/1.0 without a length.
    pub fn wants_reset(&self) -> bool {
        self.output.wants_reset
    }

    /// The peer's Close (§5.5.1): answered with its own code, if ours is not sent already.
    pub(super) fn receive_close(&mut self, now: Moment, code: CloseCode, reason: String) {
        self.release_contexts();
        let mut ending = match mem::replace(&mut self.stage, Stage::Done(None)) {
            Stage::Closing(ending) => ending,
            stage => {
                self.stage = stage;
                let mut ending = self.begin_ending(now, Initiator::Remote);
                let body = close_body::encode(code, "").unwrap_or_default();
                self.write_copied(Opcode::Close, true, &body);
                ending.sent = Some(code);
                ending
            }
        };
        ending.received = Some((code, reason));
        let is_broken = ending.is_broken;
        self.drain(ending);
        if is_broken {
            self.finish(now);
        }
    }

    pub(super) fn drain(&mut self, mut ending: Box<Ending>) {
        if !self.is_client() {
            ending.half_close = HalfClose::Due;
        }
        self.decoder = Decoder::new();
        ending.peer_ended |= self.busy.as_mut().is_some_and(|busy| mem::take(&mut busy.ends_behind));
        self.stage = Stage::Draining(ending);
        self.end_opened();
        self.arm();
    }

    /// The end of an HTTP connection: what is answered is flushed, then it drains.
    pub(super) fn end_http(&mut self, now: Moment) {
        let Stage::Http(http) = &mut self.stage else { return };
        let (cause, at_once) = match http.ending() {
            Some(ending) => (ending.cause.clone(), ending.at_once),
            // It is the application that ends it, amid an answer or not.
            None => (http.owes_answer().then_some(Error::Aborted), false),
        };
        // Our FIN would be the end of an answer that was cut off.
        if let Some(cause) = cause.clone().filter(|_| at_once || http.has_open_end()) {
            return self.done(now, cause);
        }
        let mut ending = Box::new(Ending::new(Initiator::Local));
        ending.error = cause;
        ending.has_open_end = http.has_open_end();
        ending.announced = http.announced() || self.config.report_all_closes;
        ending.was_open = false;
        ending.peer_ended = http.peer_ended();
        ending.was_paused = self.input.held.has(Held::PAUSED);
        ending.half_close = HalfClose::Due;
        if matches!(ending.error, Some(Error::Eof | Error::Abandoned))
            || (ending.peer_ended && ending.error.is_none())
        {
            ending.initiator = Initiator::Remote;
        }
        self.stage = Stage::Draining(ending);
        if self.outbox.is_empty() {
            self.flushed(now);
        }
        self.arm();
    }

    /// The outbox is empty.
    pub(super) fn flushed(&mut self, now: Moment) {
        if let Stage::Draining(ending) = &mut self.stage {
            if ending.since.is_none() {
                ending.since = Some(now);
            }
            self.finish_if_flushed(now);
            self.arm();
        }
    }

    /// Ends a drained connection whose peer has ended too.
    pub(super) fn finish_if_flushed(&mut self, now: Moment) {
        if let Stage::Draining(ending) = &self.stage
            && ending.peer_ended
            && self.outbox.is_empty()
        {
            self.finish(now);
        }
    }

    /// Draining is over.
    pub(super) fn finish(&mut self, now: Moment) {
        if let Stage::Draining(mut ending) = mem::replace(&mut self.stage, Stage::Done(None)) {
            // What we said last never left: neither an orderly end, nor a whole answer.
            if !self.outbox.is_empty() {
                self.output.wants_reset = ending.has_open_end;
                ending.error.get_or_insert(Error::Timeout(Timeout::Close));
            }
            ending.ended = now;
            self.busy = None;
            self.stage = Stage::Done(ending.announced.then_some(ending));
        }
        self.outbox.clear();
        self.output.drained = false;
        self.arm();
    }

    /// Ends at once, from any stage. The first cause stays (§7.1.7); so does an end that was in order.
    pub(super) fn done(&mut self, now: Moment, error: Error) {
        self.release_contexts();
        let initiator = match &error {
            Error::Timeout(_)
            | Error::Memory { .. }
            | Error::Aborted
            | Error::Stopped
            | Error::Unfinished => Initiator::Local,
            _ => Initiator::Remote,
        };
        let mut ending = match mem::replace(&mut self.stage, Stage::Done(None)) {
            Stage::Done(ending) => {
                self.stage = Stage::Done(ending);
                return;
            }
            Stage::Draining(mut ending) => {
                if !self.outbox.is_empty() {
                    self.output.wants_reset = ending.has_open_end;
                    ending.error.get_or_insert(error);
                }
                ending
            }
            Stage::Closing(mut ending) => {
                ending.error.get_or_insert(error);
                ending
            }
            stage @ (Stage::Open(_) | Stage::Opened(_)) => {
                self.stage = stage;
                let mut ending = self.begin_ending(now, initiator);
                ending.error = Some(error);
                ending
            }
            Stage::Http(http) => {
                self.output.wants_reset = http.has_open_end();
                let mut ending = Box::new(Ending::new(initiator));
                ending.announced = http.announced() || self.config.report_all_closes;
                ending.was_open = false;
                ending.error = Some(error);
                ending
            }
            Stage::Handshake(mut http) => {
                // A server that refuses may never end what it says of it, or end it with a reset: what came is
                // the answer.
                let (initiator, error) = match error {
                    Error::Timeout(_) | Error::Io(_) if http.is_refused() => {
                        (Initiator::Remote, http.receive_eof().into())
                    }
                    error => (initiator, error),
                };
                let mut ending = Box::new(Ending::new(initiator));
                ending.was_open = false;
                ending.error = Some(error);
                ending
            }
        };
        ending.ended = now;
        ending.was_paused |= self.input.held.has(Held::PAUSED);
        self.stage = Stage::Done(ending.announced.then_some(ending));
        self.decoder = Decoder::new();
        self.busy = None;
        self.outbox.clear();
        self.output.drained = false;
        self.arm();
    }
}
