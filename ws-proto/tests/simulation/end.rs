//! One end: a connection, its socket, and the state used to check it at each step.

use super::deadlines::later;
use super::flow::Shared;
use super::link::{CLIENT, Link, Read, Side};
use super::manner::Manner;
use super::meter;
use super::rng::Rng;
use super::setting::Rules;
use super::wire::{Marks, Wire};
use bytes::Buf;
use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::time::Duration;
use ws_kit::oracle::Engine;
use ws_proto::{Closed, Connection, Error, Event, IoAction, Moment, OutboxBuffer, State};

/// What an end can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    Write,
    Timer,
    Poll,
    /// It has more to send, and there is room.
    Push,
    /// It resumes reading after its own pause.
    Resume,
}

/// What a connection may hold in addition: control frames, a head.
const BESIDE: usize = 8 << 10;

#[derive(Debug)]
pub(crate) struct End {
    pub(crate) connection: Connection,
    /// What every connection promises; it has the timer of an owner that checks whether the deadline changed.
    pub(super) oracle: Engine,
    pub(crate) rules: Rules,
    pub(super) side: Side,
    pub(super) born: Moment,
    pub(crate) manner: Manner,
    /// Input left by a paused connection.
    pub(super) unread: Vec<u8>,
    pub(super) storage: Option<OutboxBuffer>,
    /// It reads nothing before this.
    pub(crate) reads_from: Moment,
    /// Its poll is deferred.
    pub(crate) is_unpolled: bool,
    /// The stream has ended; `eof_reported` is whether the connection was notified.
    pub(super) is_ended: bool,
    pub(crate) eof_reported: bool,
    /// It was paused when its timer last fired.
    pub(super) is_judged_unread: bool,
    /// Its application pauses reading until then.
    pub(crate) pauses_until: Option<Moment>,
    pub(crate) is_dropped: bool,

    // Observations for the checks.
    /// Since when a peer has been stalled.
    pub(super) blocked: Option<Moment>,
    pub(super) received: Moment,
    /// When its application received `Open`; the peer's silence counts from here.
    pub(super) opened: Moment,
    pub(super) wrote: Moment,
    /// When it last was not read, could not write, or was not known to be open.
    pub(super) hindered: Moment,
    /// Reading was paused at the last check.
    pub(super) is_unread: bool,
    /// When a Ping that is still unanswered was sent, or must have been sent.
    pub(super) pinged: Option<Moment>,
    /// Since when output has been queued.
    pub(super) waiting: Option<Moment>,
    /// The peer's last messages may be lost: they were not read in time, or the owner broke off.
    pub(crate) is_deaf: bool,
    pub(super) closing_since: Option<(Moment, u64)>,
    /// The input used before the end.
    pub(super) used_before_end: u64,
    /// The input used since the last event.
    unfinished: u64,
    /// The application ended it without a closing handshake.
    pub(crate) is_terminated: bool,
    /// When writing failed.
    pub(super) failed_at: Option<Moment>,
    /// Its peer's output is not marked.
    pub(crate) is_unmarked: bool,
    /// What the outbox may hold beyond its cap: control frames, the framing of chunks.
    pub(super) exempt: usize,
    /// The lengths of HTTP answers that may be in the outbox, or wait for their turn.
    pub(super) answers: VecDeque<usize>,
    /// The longest message accepted while nothing was queued.
    pub(super) alone: usize,
    /// The longest message ever accepted.
    pub(crate) longest: usize,
    /// The longest part sent ahead of waiting messages.
    pub(super) ahead: usize,
    /// The number of complete answers.
    pub(crate) answered: usize,
    /// The outbox may still hold HTTP output.
    pub(super) has_http: bool,
    /// Checks its output.
    pub(super) wire: Wire,
    /// The marks in its peer's output.
    pub(super) marks: Shared<Marks>,
    /// If set, events are printed under this name.
    pub(crate) name: Option<String>,
}

impl End {
    pub(crate) fn new(connection: Connection, rules: Rules, side: Side, now: Moment, manner: Manner) -> Self {
        let is_open = connection.state() == State::Open;
        let may_compress = rules.may_compress();
        let oracle = match side {
            CLIENT => Engine::client(&connection),
            _ => Engine::server(&connection),
        };
        let mut this = Self {
            connection,
            oracle,
            rules,
            side,
            born: now,
            manner,
            unread: Vec::new(),
            storage: None,
            reads_from: now,
            is_unpolled: true,
            is_ended: false,
            eof_reported: false,
            is_judged_unread: false,
            pauses_until: None,
            is_dropped: false,
            blocked: None,
            received: now,
            opened: now,
            wrote: now,
            hindered: now,
            is_unread: false,
            pinged: None,
            waiting: None,
            is_deaf: false,
            closing_since: None,
            used_before_end: 0,
            unfinished: 0,
            is_terminated: false,
            failed_at: None,
            is_unmarked: false,
            exempt: 0,
            answers: VecDeque::new(),
            alone: 0,
            longest: 0,
            ahead: 0,
            answered: 0,
            has_http: !is_open,
            wire: Wire::new(side, is_open, may_compress),
            marks: Shared::default(),
            name: None,
        };
        this.check(now);
        this
    }

    /// Connects it with its peer's marks, for the checks.
    pub(crate) fn share_marks(&mut self, peer: &Self) {
        self.marks = peer.wire.marks.clone();
    }

    /// Its peer's output starts after bytes that others wrote.
    pub(crate) fn continue_after(&mut self, written: u64) {
        self.wire.continue_after(written);
        self.is_unmarked = true;
    }

    /// The bytes held for it, as far as is visible from outside.
    pub(crate) fn held(&self) -> usize {
        self.connection.queued()
    }

    /// What it may hold regardless of shared memory: up to its high mark, one message above it, and answers.
    pub(crate) fn own(&self) -> usize {
        self.rules.config.get_high_mark() + self.longest + self.answers.iter().sum::<usize>() + BESIDE
    }

    /// Whether its Close is completely written.
    pub(crate) fn has_written_close(&self) -> bool {
        self.wire.marks.borrow().close.is_some()
    }

    /// The WebSocket is or was open.
    pub(crate) fn is_open(&self) -> bool {
        self.oracle.events.is_open()
    }

    /// How it ended.
    pub(crate) fn closed(&self) -> Option<&Closed> {
        self.oracle.events.closed()
    }

    pub(crate) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    pub(crate) fn born(&self) -> Moment {
        self.born
    }

    /// Bytes received after a handshake that was done elsewhere.
    pub(crate) fn give_first(&mut self, bytes: Vec<u8>) {
        self.unread = bytes;
    }

    // --- when it can act

    pub(crate) fn can(&mut self, op: Op, now: Moment, link: &Link) -> bool {
        if self.is_dropped {
            return false;
        }
        match op {
            Op::Poll => self.is_unpolled,
            Op::Timer => {
                let is_due = self.oracle.timer().is_some_and(|at| at + self.manner.late <= now);
                is_due && !(self.manner.reads_first && self.can(Op::Read, now, link))
            }
            Op::Write => {
                !self.connection.outbox().is_empty()
                    && (link.room(self.side) > 0
                        || self.blocked.is_none()
                        || link.is_reset(self.side, now) && !self.is_ended)
            }
            Op::Read => {
                if self.is_ended && self.unread.is_empty() || self.reads_from > now {
                    return false;
                }
                let comes = link.is_readable(self.side, now) && !self.is_ended;
                if self.connection.is_paused()
                    || self.manner.one_at_a_time && !self.connection.outbox().is_empty()
                {
                    // A failed socket wakes even an end that only waits.
                    return comes && self.unread.is_empty() && link.is_reset(self.side, now);
                }
                !self.unread.is_empty() || comes
            }
            Op::Resume => self.pauses_until.is_some_and(|at| at <= now),
            Op::Push => false,
        }
    }

    /// When it can next do something that it cannot do now.
    pub(crate) fn next(&self, now: Moment, link: &Link) -> Option<Moment> {
        if self.is_dropped {
            return None;
        }
        let arrival = link.next_arrival(self.side, now).filter(|_| !self.is_ended);
        let timer = self.oracle.timer().map(|at| at + self.manner.late);
        let times = arrival.into_iter().chain(timer).chain(self.pauses_until).chain([self.reads_from]);
        times.filter(|at| *at > now).min()
    }

    // --- actions

    /// Input for the connection: what it left, then new bytes.
    pub(crate) fn input(&mut self, now: Moment, link: &mut Link, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.unread);
        let is_paused = self.connection.is_paused();
        if self.is_ended || !bytes.is_empty() && rng.percent(50) {
            return bytes;
        }
        let most = if is_paused { 0 } else { rng.within(1, self.manner.read_most) };
        match link.read(self.side, now, most, &mut bytes) {
            Read::Bytes(n) => {
                if let Some(rate) = self.manner.read_rate {
                    self.reads_from = now + Duration::from_secs(n as u64) / rate;
                }
            }
            Read::Nothing => {}
            // EOF is reported after the remaining input.
            Read::End => self.is_ended = true,
            Read::Reset => {
                self.is_deaf |= is_paused || !bytes.is_empty();
                bytes.clear();
                self.lose(now);
            }
        }
        bytes
    }

    fn lose(&mut self, now: Moment) {
        (self.is_ended, self.eof_reported) = (true, true);
        self.connection.abort(now, Error::Io(ErrorKind::ConnectionReset));
        self.touch(now);
    }

    /// The next event from the input.
    pub(crate) fn handle_input<'a>(&mut self, now: Moment, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        let before = (input.len(), self.connection.state());
        let allocated = meter::allocated();
        let event = self.connection.handle_input(now, input);
        let used = before.0 - input.len();
        self.unfinished += used as u64;
        // Compression contexts and inflated messages are measured only on their own.
        if !self.rules.may_compress() {
            meter::check(allocated, self.unfinished, self.connection.outbox().len());
        }
        if event.is_some() {
            self.unfinished = 0;
        }
        if self.pauses_until.is_some() && before.1 == State::Open {
            assert!(used == 0 && event.is_none(), "it reads while its application has paused it");
        }
        if before.0 > 0 && before.1 != State::Closed {
            (self.received, self.pinged) = (now, None);
        }
        self.oracle.handle_input(&self.connection, before.0, input.len(), event.is_some());
        if before.1 != State::Closed {
            self.used_before_end = self.oracle.received();
        }
        self.record_pings();
        if let Some(event) = &event {
            self.record(now, event);
        }
        self.check(now);
        event
    }

    /// Keeps the remaining input with the owner.
    pub(crate) fn keep(&mut self, now: Moment, left: &[u8]) {
        if self.connection.state() != State::Closed {
            self.unread.extend_from_slice(left);
        }
        if self.is_ended && !self.eof_reported && self.unread.is_empty() {
            self.eof_reported = true;
            self.connection.handle_eof(now);
        }
        self.touch(now);
    }

    pub(crate) fn poll(&mut self, now: Moment) -> Option<Event<'static>> {
        let event = self.connection.poll_event(now);
        if let Some(event) = &event {
            self.record(now, event);
        } else {
            self.is_unpolled = false;
        }
        self.check(now);
        event
    }

    pub(crate) fn write(&mut self, now: Moment, link: &mut Link, rng: &mut Rng) {
        let mut most = rng.within(1, self.manner.write_most);
        let pings = self.wire.pings;
        let outbox = self.connection.outbox();
        let mut slices = [IoSlice::new(outbox.chunk()); 4];
        let count = if rng.percent(50) { 1 } else { outbox.chunks_vectored(&mut slices) };
        let mut sum = 0;
        for slice in &slices[..count] {
            let part = &slice[..slice.len().min(most)];
            most -= part.len();
            match link.write(self.side, now, part, rng) {
                Ok(n) => {
                    self.wire.written(&part[..n]);
                    sum += n;
                    if n < part.len() || most == 0 {
                        break;
                    }
                }
                Err(error) => return self.fail_to_write(now, error.kind()),
            }
        }
        if self.wire.pings > pings {
            self.record_ping(now);
        }
        self.handle_written(now, sum);
    }

    /// A Ping was sent: a heartbeat, unless it is too early. If output was queued, it may not be the first.
    fn record_ping(&mut self, now: Moment) {
        let is_due = self.interval().is_some_and(|interval| now >= later(self.silent_since(), interval));
        if is_due && (self.pinged.is_none() || self.blocked.is_some()) {
            self.pinged = Some(now);
        }
    }

    /// Writing fails; the peer's last messages may still be read.
    fn fail_to_write(&mut self, now: Moment, kind: ErrorKind) {
        self.is_deaf |= self.connection.is_paused() || self.reads_from > now;
        self.connection.write_failed(now, Error::Io(kind));
        self.failed_at = Some(now);
        self.blocked = None;
        self.touch(now);
    }

    fn handle_written(&mut self, now: Moment, n: usize) {
        self.connection.handle_written(now, n);
        self.oracle.handle_written(n);
        if n > 0 {
            self.wrote = now;
        }
        self.blocked = match self.blocked {
            _ if self.connection.outbox().is_empty() => None,
            Some(since) if n == 0 => Some(since),
            _ => Some(now),
        };
        self.is_unpolled = true;
        self.check(now);
    }

    pub(crate) fn time_out(&mut self, now: Moment) {
        let was_paused = self.connection.is_paused() && self.is_open();
        self.connection.handle_timeout(now);
        self.is_judged_unread = was_paused;
        if was_paused {
            self.hindered = now;
        }
        self.oracle.handle_timeout(&mut self.connection);
        // After an instantaneous step, a zero timeout may already be due.
        if !self.rules.times().contains(&Duration::ZERO) {
            self.oracle.must_be_handled(now, &self.connection);
        }
        self.is_unpolled = true;
        self.check(now);
    }

    /// Performs the next action for the socket itself.
    pub(crate) fn settle(&mut self, now: Moment, link: &mut Link) {
        if self.manner.lends && self.storage.is_none() {
            self.storage = self.connection.outbox().detach_buffer();
        } else if let Some(storage) = self.storage.take_if(|_| !self.connection.outbox().has_buffer()) {
            self.connection.outbox().attach_buffer(storage);
        }
        if self.is_dropped {
            return;
        }
        let action = self.oracle.poll_io(&mut self.connection);
        match action {
            IoAction::Shutdown => link.shut(self.side, now),
            IoAction::Drop | IoAction::Reset if !self.is_unpolled => {
                self.is_dropped = true;
                if action == IoAction::Reset {
                    link.reset(self.side, now);
                } else {
                    link.close(self.side, now);
                }
                self.oracle.must_be_over(now, &mut self.connection);
            }
            IoAction::Read | IoAction::Write | IoAction::Pause | IoAction::Drop | IoAction::Reset => {}
        }
    }

    /// The machine slept, or appears to have slept.
    pub(crate) fn resume(&mut self, now: Moment) {
        self.connection.handle_resume(now);
        if self.connection.state() == State::Open {
            (self.received, self.wrote) = (now, now);
            self.blocked = self.blocked.map(|_| now);
            self.exempt_control();
        }
        self.touch(now);
    }

    /// The application, or its stopping server, aborts the connection.
    pub(crate) fn abort(&mut self, now: Moment, error: Error) {
        self.is_terminated = true;
        self.connection.abort(now, error);
        self.touch(now);
    }

    /// The application pauses reading until then.
    pub(crate) fn pause(&mut self, now: Moment, until: Moment) {
        if self.connection.state() == State::Open {
            self.connection.pause();
            self.pauses_until = Some(until);
            self.touch(now);
        }
    }

    /// The application resumes reading.
    pub(crate) fn read_on(&mut self, now: Moment) {
        if self.pauses_until.take().is_some() {
            self.connection.resume(now);
            self.hindered = now;
            self.touch(now);
        }
    }
}
