//! The state machine: the stages of a connection and every transition between them. No other file changes the stage.
//!
//! ```text
//!  server: Http ────────┬─ establish ─▶ Opened ─ report_open ─▶ Open
//!  client: Handshake ───┘                 └──────────┬───────────┘
//!                                                    ├─ start_closing_handshake, break_off ─▶ Closing
//!                                                    │                                           │
//!                 receive_close, fail_connection, evict                receive_close, fail_connection
//!                                                    ▼                                           │
//!          Http ── end_http ─────────────────────▶ Draining ◀────────────────────────────────────┘
//!                                                    │ finish
//!                                                    ▼
//!          any stage ── connection_closed ───────▶ Done
//! ```
//!
//! | from | transition | to | RFC 6455 |
//! |---|---|---|---|
//! | Http, Handshake | [`establish`](Connection::establish): the 101 | Opened | §4.1, §4.2.2 "established" |
//! | Opened | [`report_open`](Connection::report_open): reported to the application | Open | |
//! | Opened, Open | [`start_closing_handshake`](Connection::start_closing_handshake): our Close | Closing | §7.1.2 |
//! | Opened, Open, Closing | [`break_off`](Connection::break_off): writing failed | Closing, reading only | §7.1.7 |
//! | Opened, Open, Closing | [`receive_close`](Connection::receive_close): the peer's Close, answered | Draining | §5.5.1, §7.1.3 |
//! | Opened, Open, Closing | [`fail_connection`](Connection::fail_connection): the peer broke the protocol | Draining | §7.1.7 |
//! | Opened, Open | [`evict`](Connection::evict): over a limit of time or memory | Draining | §7.1.7 |
//! | Http | [`end_http`](Connection::end_http): the last answer is queued | Draining | |
//! | Draining | [`finish`](Connection::finish): flushed, and the peer has ended too | Done | §7.1.1 |
//! | any | [`connection_closed`](Connection::connection_closed): end of stream, I/O error, deadline, abort | Done | §7.1.4 |

use super::backpressure::Held;
use super::ending::{Beneath, Closes, Closing, Draining, Ended, Ending, HalfClose, Period};
use super::in_flight::InFlight;
use super::{Connection, close_body};
use crate::close_code::CloseCode;
use crate::deflate::{PerMessage, Terms};
use crate::error::{Error, ProtocolError, Timeout};
use crate::event::{Event, Initiator};
use crate::frame::Opcode;
use crate::frame::decode::Decoder;
use crate::http1::{ClientHttp, ServerHttp};
use crate::moment::Moment;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

/// The stage of the connection.
#[derive(Debug)]
pub(super) enum Stage {
    /// Server: HTTP requests.
    Http(Box<ServerHttp>),
    /// Client: waiting for the answer to its handshake.
    Handshake(Box<ClientHttp>),
    /// The switch is done, not yet reported to the application.
    Opened(Box<Opened>),
    Open(Option<Box<PerMessage>>),
    /// Our Close is sent; the peer's is awaited, and data before it is still delivered (§5.5.1).
    Closing(Box<Closing>),
    /// Nothing more is delivered: flush, half-close, discard until the peer ends, so no reset destroys what we sent
    /// last (§7.1.1).
    Draining(Box<Draining>),
    /// Over.
    Done {
        /// The final report, until the application has received it.
        report: Option<Box<Ended>>,
        /// See [`IoAction::Reset`](super::IoAction::Reset).
        wants_reset: bool,
        /// What failed beneath it.
        beneath: Option<Beneath>,
        /// All that we had to send was written.
        has_sent_all: bool,
    },
}

/// A connection that has just opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) response: Box<::http::Response<()>>,
    /// permessage-deflate, where it was agreed on.
    pub(super) compression: Option<Box<PerMessage>>,
}

impl Stage {
    /// Whether messages may be sent.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Opened(_))
    }

    /// The ending of this connection, to which causes may be added.
    pub(super) fn ending_mut(&mut self) -> Option<&mut Ending> {
        match self {
            Self::Closing(closing) => Some(&mut closing.ending),
            Self::Draining(draining) => Some(&mut draining.ending),
            Self::Done { report: Some(ended), .. } => Some(&mut ended.ending),
            _ => None,
        }
    }
}

// --- opening

impl Connection {
    /// "The WebSocket Connection is Established" (§4.1, §4.2.2): the 101 has arrived, or is in the outbox.
    pub(super) fn establish(&mut self, now: Moment, response: ::http::Response<()>, terms: Option<Terms>) {
        // The 101 counts as written already: the connection is not idle when it opens.
        self.beat = now;
        self.last_received = now;
        self.outbox.begin_frames();
        let compression = terms.and_then(|terms| PerMessage::new(self.config.deflate.as_ref(), terms));
        self.stage = Stage::Opened(Box::new(Opened { response: Box::new(response), compression }));
        self.begin_shares();
        self.arm();
    }

    /// Reports that the connection has opened, even if it is closing or lost by now.
    pub(super) fn report_open(&mut self) -> Option<Event<'static>> {
        if let Some(ending) = self.stage.ending_mut() {
            return ending.opened.take().map(Event::Open);
        }
        match self.leave() {
            Stage::Opened(opened) => {
                self.stage = Stage::Open(opened.compression);
                self.arm();
                Some(Event::Open(opened.response))
            }
            stage => {
                self.stage = stage;
                None
            }
        }
    }

    /// Reports the end, once.
    pub(super) fn report_closed(&mut self) -> Option<Event<'static>> {
        let Stage::Done { report, .. } = &mut self.stage else { return None };
        let ended = report.take()?;
        Some(Event::Closed(Box::new(ended.into_closed(self))))
    }
}

// --- the closing handshake, and its failures

impl Connection {
    /// "Start the WebSocket Closing Handshake" (§7.1.2): our Close follows what is queued.
    pub(super) fn start_closing_handshake(&mut self, now: Moment, code: CloseCode, body: &[u8]) {
        self.write_copied(Opcode::Close, true, body);
        let open = self.leave();
        let (ending, compression) = self.begin_ending(open, Initiator::Local, Closes::sent(code), None);
        let period = self.period(now);
        self.enter_closing(Closing { ending, period, is_broken: false, compression });
    }

    /// Writing failed: the peer's last messages may be unread, so reading continues for a short time.
    pub(super) fn break_off(&mut self, now: Moment, error: Error) {
        let (ending, compression) = match self.leave() {
            Stage::Closing(closing) => (self.as_sent(closing.ending).caused_by(error), closing.compression),
            open => self.begin_ending(open, Initiator::Remote, Closes::default(), Some(error)),
        };
        self.outbox.clear();
        self.backpressure.drained = false;
        let period = self.period(now);
        self.enter_closing(Closing { ending, period, is_broken: true, compression });
    }

    /// "The WebSocket Closing Handshake is Started" by the peer (§7.1.3), or completed. Its Close is answered with its
    /// own code, unless ours is already sent (§5.5.1).
    pub(super) fn receive_close(&mut self, now: Moment, code: CloseCode, reason: String) {
        self.release_contexts();
        // The server closes TCP first (§7.1.1).
        let half_close = if self.is_client() { HalfClose::No } else { HalfClose::Due };
        match self.leave() {
            Stage::Closing(closing) => {
                let closing = closing.map(|ending| ending.answered_by(code, reason));
                self.end_closing(now, closing, half_close);
            }
            open => {
                self.write_close(code, "");
                let closes = Closes { received: Some((code, reason)), sent: Some(code) };
                let (ending, _) = self.begin_ending(open, Initiator::Remote, closes, None);
                self.enter_draining(ending, self.period(now), half_close, None);
            }
        }
    }

    /// "Fail the WebSocket Connection" (§7.1.7): the peer broke the protocol.
    pub(super) fn fail_connection(&mut self, now: Moment, error: ProtocolError) {
        self.release_contexts();
        match self.leave() {
            Stage::Closing(closing) => {
                let closing = closing.map(|ending| ending.caused_by(error.into()));
                self.end_closing(now, closing, HalfClose::Due);
            }
            open => {
                let code = error.close_code();
                let body = self.write_close(code, error.reason());
                let closes = Closes::sent(code);
                let (ending, _) = self.begin_ending(open, Initiator::Local, closes, Some(error.into()));
                self.enter_draining(ending, self.period(now), HalfClose::Due, Some(body));
            }
        }
    }

    /// Ends a connection that is over a limit of time or memory: a WebSocket receives the reason in a Close that
    /// overtakes pending output (§7.1.7).
    pub(super) fn evict(&mut self, now: Moment, error: Error, code: CloseCode, reason: &str) {
        if !self.stage.is_open() {
            return self.connection_closed(now, error);
        }
        self.release_contexts();
        self.outbox.drop_unwritten();
        self.write_close(code, reason);
        let open = self.leave();
        let (ending, _) = self.begin_ending(open, Initiator::Local, Closes::sent(code), Some(error));
        self.enter_draining(ending, self.period(now), HalfClose::Due, None);
    }

    /// The closing handshake that we started is over. If the peer no longer takes anything, so is the connection.
    fn end_closing(&mut self, now: Moment, closing: Closing, half_close: HalfClose) {
        match closing.is_broken {
            true => self.enter_done(now, closing.ending, false),
            false => self.enter_draining(closing.ending, closing.period, half_close, None),
        }
    }

    /// Appends a Close, and returns its body.
    fn write_close(&mut self, code: CloseCode, reason: &str) -> Vec<u8> {
        let body = close_body::encode(code, reason).unwrap_or_default();
        self.write_copied(Opcode::Close, true, &body);
        body
    }
}

// --- the end

impl Connection {
    /// The last answer of an HTTP connection is queued: flush it, then drain the connection.
    pub(super) fn end_http(&mut self, now: Moment) {
        let Stage::Http(http) = &self.stage else { return };
        let (cause, at_once) = match http.ending() {
            Some(ending) => (ending.cause.clone(), ending.at_once),
            // The application ends it, during an answer or not.
            None => (http.is_answer_due().then_some(Error::Aborted), false),
        };
        let (has_open_end, peer_ended) = (http.has_open_end(), http.peer_ended());
        let initiator = match &cause {
            // Our FIN would look like the end of a truncated answer.
            Some(cause) if at_once || has_open_end => return self.connection_closed(now, cause.clone()),
            Some(Error::Eof | Error::RequestCutOff | Error::Abandoned) => Initiator::Remote,
            None if peer_ended => Initiator::Remote,
            _ => Initiator::Local,
        };
        let http = self.leave();
        let (ending, _) = self.begin_ending(http, initiator, Closes::default(), cause);
        self.stage = Stage::Draining(Box::new(Draining {
            ending,
            period: None,
            half_close: HalfClose::Due,
            peer_ended,
            discarded: 0,
            has_open_end,
            overtaking: None,
        }));
        if self.outbox.is_empty() {
            self.flushed(now);
        }
        self.arm();
    }

    /// The outbox is empty. In an orderly end the peer's time starts now: it could not answer a Close that was
    /// not written.
    pub(super) fn flushed(&mut self, now: Moment) {
        let period = self.period(now);
        match &mut self.stage {
            Stage::Closing(closing) if !closing.is_broken => closing.period = period,
            Stage::Draining(draining) => {
                if draining.period.is_none() || draining.is_orderly() {
                    draining.period = Some(period);
                }
                self.finish_if_flushed(now);
            }
            _ => return,
        }
        self.arm();
    }

    /// The peer has ended its half. It may still be reading our answers.
    pub(super) fn peer_ended(&mut self, now: Moment) {
        if let Stage::Draining(draining) = &mut self.stage {
            draining.peer_ended = true;
            self.finish_if_flushed(now);
        }
    }

    /// Ends a drained connection whose peer has ended too.
    pub(super) fn finish_if_flushed(&mut self, now: Moment) {
        if matches!(&self.stage, Stage::Draining(draining) if draining.peer_ended) && self.outbox.is_empty() {
            self.finish(now);
        }
    }

    /// Draining is over. If our last bytes were never written, the end is not orderly, nor the answer whole.
    pub(super) fn finish(&mut self, now: Moment) {
        self.connection_closed(now, Error::Timeout(Timeout::Close));
    }

    /// "The WebSocket Connection is Closed" (§7.1.4), or its HTTP is: at once, from any stage. The first cause stays
    /// (§7.1.7); so does an orderly end.
    pub(super) fn connection_closed(&mut self, now: Moment, error: Error) {
        self.release_contexts();
        let (initiator, error) = match &mut self.stage {
            Stage::Done { .. } => return,
            // A server that rejects may never finish its answer, or end it with a reset: what arrived is the answer.
            Stage::Handshake(http)
                if http.is_rejected() && matches!(error, Error::Timeout(_) | Error::Io(_)) =>
            {
                (Initiator::Remote, http.handle_eof().into())
            }
            _ => (initiator(&error), error),
        };
        let (ending, wants_reset) = match self.leave() {
            Stage::Draining(draining) if self.outbox.is_empty() => (draining.ending, false),
            Stage::Draining(draining) => {
                (self.as_sent(draining.ending).caused_by(error), draining.has_open_end)
            }
            Stage::Closing(closing) => (self.as_sent(closing.ending).caused_by(error), false),
            stage => {
                let wants_reset = matches!(&stage, Stage::Http(http) if http.has_open_end());
                (self.begin_ending(stage, initiator, Closes::default(), Some(error)).0, wants_reset)
            }
        };
        self.enter_done(now, ending, wants_reset);
    }
}

// --- the parts of the transitions

impl Connection {
    /// Takes the current stage, to build the next one from it.
    fn leave(&mut self) -> Stage {
        mem::replace(
            &mut self.stage,
            Stage::Done { report: None, wants_reset: false, beneath: None, has_sent_all: false },
        )
    }

    /// The ending of a connection that writes nothing more: our Close counts as sent if it was written.
    fn as_sent(&self, ending: Ending) -> Ending {
        if self.outbox.is_empty() { ending } else { ending.unsent() }
    }

    /// A period of the closing phase that begins now.
    pub(super) fn period(&self, now: Moment) -> Period {
        Period { since: now, sent: self.bytes_sent, received: self.bytes_received, missing: None }
    }

    /// Starts the ending of a connection in this stage; also returns what inflates its messages.
    fn begin_ending(
        &self,
        mut stage: Stage,
        initiator: Initiator,
        closes: Closes,
        error: Option<Error>,
    ) -> (Ending, Option<Box<PerMessage>>) {
        let was_open = stage.is_open();
        let cut = match &mut stage {
            Stage::Http(http) => http.end_cut(error.as_ref()),
            _ => None,
        };
        let is_reported = match &stage {
            Stage::Http(http) => http.has_emitted() || self.config.report_all_closes,
            _ => true,
        };
        let (opened, compression) = match stage {
            Stage::Opened(opened) => (Some(opened.response), opened.compression),
            Stage::Open(compression) => (None, compression),
            _ => (None, None),
        };
        let was_paused = self.input.held.has(Held::PAUSED);
        (Ending { initiator, closes, error, was_open, is_reported, was_paused, opened, cut }, compression)
    }

    fn enter_closing(&mut self, closing: Closing) {
        self.stage = Stage::Closing(Box::new(closing));
        self.end_open();
        self.arm();
    }

    fn enter_draining(
        &mut self,
        ending: Ending,
        period: Period,
        half_close: HalfClose,
        overtaking: Option<Vec<u8>>,
    ) {
        let in_flight = self.in_flight.as_mut();
        self.stage = Stage::Draining(Box::new(Draining {
            ending,
            period: Some(period),
            half_close,
            peer_ended: in_flight.is_some_and(|in_flight| mem::take(&mut in_flight.ends_behind)),
            discarded: 0,
            has_open_end: false,
            overtaking,
        }));
        self.decoder = Decoder::new();
        self.end_open();
        self.arm();
    }

    fn enter_done(&mut self, now: Moment, ending: Ending, wants_reset: bool) {
        let beneath = ending.beneath();
        let has_sent_all = self.outbox.is_empty() && !ending.is_cut() && !wants_reset;
        let report = ending.is_reported.then(|| Box::new(Ended { ending, at: now }));
        self.stage = Stage::Done { report, wants_reset, beneath, has_sent_all };
        self.decoder = Decoder::new();
        self.in_flight = None;
        self.outbox.clear();
        self.backpressure.drained = false;
        self.arm();
    }

    /// Drops what only an open connection needs; pending output is still counted, and its deadlines apply.
    fn end_open(&mut self) {
        self.input.held = Held::default();
        if let Some(in_flight) = &mut self.in_flight {
            let InFlight { stall, counted, ahead, ends_behind, .. } = mem::take(&mut **in_flight);
            **in_flight = InFlight { stall, counted, ends_behind, ..InFlight::default() };
            self.keep_ahead(ahead);
        }
        // The peer may take nothing more: no write would count what the Close was queued behind.
        if self.is_counted() || self.is_stalled() && self.outbox.len() > self.config.low_mark {
            self.count_held();
        }
        self.drop_in_flight_if_idle();
    }
}

/// Which side caused an immediate end.
fn initiator(error: &Error) -> Initiator {
    match error {
        Error::Timeout(_) | Error::Memory { .. } | Error::Aborted | Error::Stopped | Error::Unfinished => {
            Initiator::Local
        }
        _ => Initiator::Remote,
    }
}
