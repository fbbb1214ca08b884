//! When reading waits for output: a peer that does not read cannot make an answering application fill its memory, and
//! two ends do not deadlock.
//!
//! Below half the cap, output never holds messages back. Above it, an event whose handling grew the outbox delays the
//! next event until the peer has taken as much as was added, or for 100 ms, doubled each time in a row that the peer
//! takes nothing. An event that added nothing delays nothing. HTTP requests wait from the high mark on, since each of
//! them may cause output.

use super::{Connection, Moment, Stage};
use core::time::Duration;

/// The longest delay for a peer that takes its output.
const DELAY: Duration = Duration::from_millis(100);
/// The most doublings: a peer that sends must not consider us dead meanwhile.
const DOUBLINGS: u8 = 5;

/// The state of the outbox relative to its marks and to the socket.
#[derive(Debug, Default)]
pub(super) struct Backpressure {
    /// Over the high mark, and not yet back at the low one.
    pub(super) congested: bool,
    /// Back at the low mark, not yet reported to the application.
    pub(super) drained: bool,
}

/// The cause of the last event that the application received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LastEvent {
    #[default]
    None,
    /// An event not caused by input.
    Polled,
    /// An event caused by input. Its time is recorded once for all events of one read.
    Received,
}

/// What holds reading back, one bit each; and what to check before anything is received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held(u8);

impl Held {
    /// The application has paused it.
    pub(super) const PAUSED: u8 = 1;
    /// The peer has used its rate for this second.
    pub(super) const THROTTLED: u8 = 1 << 1;
    /// Output caused by earlier input is pending.
    pub(super) const OUTPUT: u8 = 1 << 2;
    /// All connections together hold too much, and this one has an unfinished message or body.
    pub(super) const MEMORY: u8 = 1 << 3;
    /// Its inflate share is used, and other connections are served first.
    pub(super) const SHARE: u8 = 1 << 4;
    pub(super) const ANY: u8 = Self::PAUSED | Self::THROTTLED | Self::OUTPUT | Self::MEMORY | Self::SHARE;

    /// Kept bytes precede newer ones.
    pub(super) const AHEAD: u8 = 1 << 5;
    /// The outbox is over half its cap: an event may cause a delay.
    pub(super) const OVER_HALF: u8 = 1 << 6;
    /// Received, undelivered bytes are counted, so recount them after each read.
    pub(super) const UNDELIVERED: u8 = 1 << 7;

    /// Whether there is nothing to check.
    #[inline]
    pub(super) fn is_free(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(super) fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }

    #[inline]
    pub(super) fn set(&mut self, bits: u8, on: bool) {
        if on { self.0 |= bits } else { self.0 &= !bits }
    }
}

/// How reading waits for output.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// All bytes queued so far at the last event, if the outbox was over half its cap then.
    mark: Option<u64>,
    delay: Option<Delay>,
    /// How many delays in a row have passed in which the peer took nothing.
    stalled_delays: u8,
    /// Until when reading is throttled.
    pub(super) throttled_until: Option<Moment>,
    /// Until when a message or a body in progress waits for memory.
    memory_until: Option<Moment>,
}

/// The delay of the next event.
#[derive(Clone, Copy, Debug)]
struct Delay {
    until: Moment,
    /// Or until this much was sent.
    sent: u64,
    /// How much had been sent when it began.
    since: u64,
}

impl Flow {
    pub(super) fn is_idle(&self) -> bool {
        self.mark.is_none()
            && self.delay.is_none()
            && self.stalled_delays == 0
            && self.throttled_until.is_none()
            && self.memory_until.is_none()
    }

    pub(super) fn due(&self) -> Option<Moment> {
        let delay = self.delay.map(|delay| delay.until);
        delay.into_iter().chain(self.memory_until).chain(self.throttled_until).min()
    }
}

impl Connection {
    fn half_cap(&self) -> usize {
        self.config.outbox_cap / 2
    }

    /// All bytes ever queued.
    fn total_queued(&self) -> u64 {
        self.bytes_sent + self.outbox.len() as u64
    }

    /// Records that an event is given to the application.
    #[inline]
    pub(super) fn record_event(&mut self, how: LastEvent) {
        self.input.last_event = how;
        if self.input.held.has(Held::OVER_HALF) {
            self.in_flight().flow.mark = Some(self.total_queued());
        }
    }

    /// The outbox changed its length: updates and returns whether it is over half its cap.
    pub(super) fn check_over_half(&mut self) -> bool {
        let is_over_half = self.outbox.len() > self.half_cap();
        self.input.held.set(Held::OVER_HALF, is_over_half);
        is_over_half
    }

    /// Ends the handling of the last event: what it added delays the next one.
    pub(super) fn end_handling(&mut self, now: Moment) {
        let last_event = self.input.last_event;
        self.record_received(now);
        if !self.input.held.has(Held::OVER_HALF) {
            return;
        }
        let mark = self.in_flight.as_mut().and_then(|in_flight| in_flight.flow.mark.take());
        let over_half = self.outbox.len().saturating_sub(self.half_cap());
        if last_event == LastEvent::None || over_half == 0 || !matches!(self.stage, Stage::Open(_)) {
            return;
        }
        // Output added below half the cap delays nothing and does not count.
        let added = mark.map_or(over_half as u64, |mark| self.total_queued().saturating_sub(mark));
        if added == 0 {
            return;
        }
        let since = self.bytes_sent;
        let flow = &mut self.in_flight().flow;
        let until = now + DELAY * (1 << flow.stalled_delays);
        flow.delay = Some(Delay { until, sent: since + added, since });
        self.hold_back(now, Held::OUTPUT);
    }

    /// The peer has taken `taken` bytes.
    pub(super) fn output_taken(&mut self, now: Moment, taken: usize) {
        let is_over_half = self.check_over_half();
        let sent = self.bytes_sent;
        let Some(in_flight) = &mut self.in_flight else { return };
        if taken > 0 && in_flight.flow.delay.is_none() {
            in_flight.flow.stalled_delays = 0;
        }
        let is_taken = in_flight.flow.delay.is_some_and(|delay| sent >= delay.sent);
        if is_taken || !is_over_half {
            in_flight.flow.stalled_delays = 0;
            in_flight.flow.mark = None;
            self.end_delay(now);
        }
    }

    /// Ends delays whose time has passed.
    pub(super) fn expire_delay(&mut self, now: Moment) {
        let sent = self.bytes_sent;
        let Some(in_flight) = &mut self.in_flight else { return };
        let flow = &mut in_flight.flow;
        if let Some(delay) = flow.delay.filter(|delay| now >= delay.until) {
            flow.stalled_delays =
                if sent > delay.since { 0 } else { (flow.stalled_delays + 1).min(DOUBLINGS) };
            self.end_delay(now);
        }
        self.expire_memory_wait(now);
    }

    fn end_delay(&mut self, now: Moment) {
        let Some(in_flight) = &mut self.in_flight else { return };
        if in_flight.flow.delay.take().is_some() {
            self.input.held.set(Held::OUTPUT, false);
            self.resume_reading(now);
        }
        self.drop_in_flight_if_idle();
    }

    pub(super) fn expire_memory_wait(&mut self, now: Moment) {
        let Some(in_flight) = &mut self.in_flight else { return };
        if in_flight.flow.memory_until.is_some_and(|until| now >= until) {
            in_flight.flow.memory_until = None;
            self.input.held.set(Held::MEMORY, false);
            self.resume_reading(now);
            self.drop_in_flight_if_idle();
        }
    }

    /// Delays a message or request body in progress while all connections together hold too much.
    pub(super) fn wait_for_memory(&mut self, now: Moment) {
        self.in_flight().flow.memory_until = Some(now + DELAY);
        self.hold_back(now, Held::MEMORY);
    }

    /// Resumes reading: what the peer may have sent meanwhile is read before its deadlines are checked.
    pub(super) fn resume_reading(&mut self, now: Moment) {
        if self.input.held.has(Held::ANY) {
            return;
        }
        if let Some(ping) = self.in_flight.as_mut().and_then(|in_flight| in_flight.ping.as_mut())
            && let Some(awaited) = &mut ping.awaited
        {
            *awaited = (*awaited).max(now);
        }
        self.arm();
    }
}
