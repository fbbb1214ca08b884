//! The one deadline. Traffic does not move it, except for the answer to a heartbeat: when it fires, it is compared with
//! what arrived meanwhile, and rearmed.

use super::backpressure::Held;
use super::ending::Period;
use super::in_flight::Stall;
use super::{Connection, Moment, Stage};
use crate::close_code::CloseCode;
use crate::config::heartbeat::HeartbeatKind;
use crate::error::{Error, Timeout};
use crate::frame::Opcode;
use core::time::Duration;

/// How long to keep reading after a failed write.
const READ_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// The interval of one-way Pongs while the peer's Pings, which expect an answer, are not read.
const WHILE_UNREAD: Duration = Duration::from_secs(10);
/// The most intervals between two Pings, even to an active peer.
const MAX_PING_INTERVALS: u32 = 4;

/// The bytes that pass in this time at this rate in bytes a second.
fn bytes_in(time: Duration, rate: u32) -> u128 {
    time.as_millis() * u128::from(rate) / 1000
}

impl Connection {
    /// When to call [`handle_timeout`](Self::handle_timeout); `None` for never.
    ///
    /// It moves to an earlier time only by a call into the connection; a timer that fires early is harmless.
    pub fn poll_timeout(&self) -> Option<Moment> {
        (self.deadline != Moment::NEVER).then_some(self.deadline)
    }

    /// Whether [`poll_timeout`](Self::poll_timeout) has become earlier since the last call. For owners of many
    /// connections with a timer for each.
    #[inline]
    pub fn take_timeout_changed(&mut self) -> bool {
        core::mem::take(&mut self.timeout_changed)
    }

    /// Whether a deadline limits how long pending output may take: write before it is
    /// [handled](Self::handle_timeout). For adapters, exempt from semver.
    #[doc(hidden)]
    pub fn is_output_limited(&self) -> bool {
        let is_ending = matches!(self.stage, Stage::Closing(_) | Stage::Draining(_));
        (is_ending || self.is_stalled()) && !self.outbox.is_empty()
    }

    /// Handles what is due, and rearms the deadline. Harmless when early.
    ///
    /// An owner that was busy reads and writes first, once, as far as the socket allows without waiting: the answer may
    /// have arrived, and the peer may take what is pending.
    pub fn handle_timeout(&mut self, now: Moment) {
        if now < self.deadline || self.deadline == Moment::NEVER {
            return;
        }
        self.act(now);
        // The closing timeout may be zero. An open connection is read before its deadline is checked again, and pending
        // output is written.
        let is_ending = matches!(self.stage, Stage::Closing(_) | Stage::Draining(_));
        if now >= self.deadline && is_ending && self.outbox.is_empty() {
            self.act(now);
        }
    }

    fn act(&mut self, now: Moment) {
        let was_open = self.stage.is_open();
        self.check_memory(now);
        if was_open && !self.stage.is_open() {
            // Its Close is written before its time is judged.
            return;
        }
        if self.output_due().is_some_and(|due| now >= due) && self.check_output(now) {
            return;
        }
        if matches!(self.stage, Stage::Http(_)) {
            self.expire_memory_wait(now);
        }
        self.update_http_held(now);
        match &self.stage {
            Stage::Http(_) => self.handle_http_timeout(now),
            Stage::Handshake(_) => {
                if now >= self.handshake_due() {
                    self.time_out(now, Timeout::Handshake);
                }
            }
            Stage::Opened(_) | Stage::Open(_) => {
                // A reader that stopped at a message has not recorded its time.
                self.record_received(now);
                self.expire_delay(now);
                self.beat(now);
                self.end_throttle(now);
                self.release_unused(now);
            }
            Stage::Closing(_) | Stage::Draining(_) => {
                if now >= self.ending_due() && !self.extend_ending(now) {
                    self.time_out(now, Timeout::Close);
                }
            }
            Stage::Done { .. } => {}
        }
        self.arm();
    }

    /// Handles the wake-up after the machine slept: the peer may be gone, and had no chance to prove otherwise.
    ///
    /// An open connection with a heartbeat sends it at once, however active it was. Every wait for the peer
    /// (the answer to a Ping, taking output) starts over.
    pub fn handle_resume(&mut self, now: Moment) {
        if !self.stage.is_open() {
            return;
        }
        if let Some(in_flight) = &mut self.in_flight {
            if let Some(stall) = &mut in_flight.stall {
                (stall.since, stall.last) = (now, now);
            }
            if let Some(awaited) = in_flight.ping.as_mut().and_then(|ping| ping.awaited.as_mut()) {
                *awaited = now;
                return self.arm();
            }
        }
        if self.config.heartbeat.idle.is_some() {
            // Even where heartbeats are one-way: only an answer proves that the peer is alive.
            self.send_heartbeat(now, HeartbeatKind::Ping);
        }
        self.arm();
    }

    fn send_heartbeat(&mut self, now: Moment, kind: HeartbeatKind) {
        let payload = self.config.heartbeat.payload.clone();
        match kind {
            HeartbeatKind::Ping => self.ping(now, payload, true),
            HeartbeatKind::Pong => {
                self.write_urgent(Opcode::Pong, &payload);
            }
        }
        // It counts as written already: one heartbeat per interval.
        self.beat = now;
    }

    /// The heartbeat: detects a dead peer, or sends to an idle one.
    fn beat(&mut self, now: Moment) {
        if let Some(ping) = self.in_flight.as_mut().and_then(|in_flight| in_flight.ping.as_mut())
            && let Some(since) = ping.awaited
        {
            if self.last_received > since {
                ping.awaited = None;
            } else if self.input.held.has(Held::ANY) {
                // The answer may have arrived, unread.
                ping.awaited = Some(now);
            } else if now >= since + self.config.heartbeat.pong_timeout {
                return self.time_out(now, Timeout::Heartbeat);
            }
        }
        if self.heartbeat_due().is_some_and(|due| now >= due) {
            self.send_heartbeat(now, self.config.heartbeat.kind);
        } else {
            self.show_life(now);
        }
    }

    /// Holds reading back for this reason.
    pub(super) fn hold_back(&mut self, now: Moment, reason: u8) {
        self.input.held.set(reason, true);
        if matches!(self.stage, Stage::Open(_)) {
            self.show_life(now);
        }
        self.arm();
    }

    fn show_life(&mut self, now: Moment) {
        if self.unread_due().is_some_and(|due| now >= due) {
            self.send_heartbeat(now, HeartbeatKind::Pong);
        }
    }

    /// When the peer is due a sign of life because its Pings wait unread: a one-way Pong (§5.5.3).
    fn unread_due(&self) -> Option<Moment> {
        let is_mute = self.config.heartbeat.kind == HeartbeatKind::Ping && !self.is_stalled();
        self.config.heartbeat.idle.filter(|_| is_mute && self.input.held.has(Held::ANY))?;
        Some(self.beat + WHILE_UNREAD)
    }

    pub(super) fn heartbeat_due(&self) -> Option<Moment> {
        let awaited = self
            .in_flight
            .as_ref()
            .and_then(|in_flight| in_flight.ping.as_ref())
            .is_some_and(|ping| ping.awaited.is_some());
        let interval = self.config.heartbeat.idle?;
        match self.config.heartbeat.kind {
            HeartbeatKind::Ping if awaited => None,
            // A peer that sends continuously gets a Ping now and then, too: its answer measures the latency.
            HeartbeatKind::Ping => {
                let at_latest = self.beat + interval.saturating_mul(MAX_PING_INTERVALS);
                Some((self.last_received + interval).min(at_latest))
            }
            // Pending output already proves that we are alive.
            HeartbeatKind::Pong => (!self.is_stalled()).then(|| self.beat + interval),
        }
    }

    fn answer_due(&self) -> Option<Moment> {
        let since = self.in_flight.as_ref()?.ping.as_ref()?.awaited?;
        // It may have arrived, unread: its time restarts once reading resumes.
        let is_hidden = self.last_received <= since && self.input.held.has(Held::ANY);
        (!is_hidden).then(|| since + self.config.heartbeat.pong_timeout)
    }

    /// When a client's handshake times out.
    fn handshake_due(&self) -> Moment {
        self.birth + self.config.handshake_timeout
    }

    /// When the peer must have taken some output. A closing handshake has its own periods, and a closed connection has no
    /// output.
    fn output_due(&self) -> Option<Moment> {
        let ending = match &self.stage {
            Stage::Closing(_) | Stage::Done { .. } => true,
            Stage::Draining(draining) => draining.ending.was_open,
            _ => false,
        };
        if ending {
            return None;
        }
        let stall = self.in_flight.as_ref()?.stall?;
        Some(stall.since.min(stall.last) + self.config.output_timeout)
    }

    /// Ends a period for taking output: a peer that took nothing is gone, one that took enough gets a new period.
    /// Returns whether the connection is over.
    fn check_output(&mut self, now: Moment) -> bool {
        let sent = self.bytes_sent;
        let timeout = self.config.output_timeout;
        let enough = bytes_in(timeout, self.config.min_output_rate);
        let Some(stall) = self.in_flight.as_mut().and_then(|in_flight| in_flight.stall.as_mut()) else {
            return false;
        };
        let error = Error::Timeout(Timeout::Output);
        if now >= stall.last + timeout {
            self.connection_closed(now, error);
        } else if u128::from(sent - stall.sent) < enough {
            self.evict(now, error, CloseCode::TRY_AGAIN_LATER, "too slow");
        } else {
            *stall = Stall { since: now, sent, last: stall.last };
            return false;
        }
        true
    }

    /// When the closing phase times out. Answers to HTTP requests are flushed first, however long that takes, as long
    /// as the peer reads.
    fn ending_due(&self) -> Moment {
        match &self.stage {
            Stage::Closing(closing) if closing.is_broken => {
                closing.period.since + READ_AFTER_FAILURE.min(self.config.close_timeout)
            }
            Stage::Closing(closing) => self.orderly_due(closing.period),
            Stage::Draining(draining) => match draining.period {
                Some(period) if draining.is_orderly() => self.orderly_due(period),
                Some(period) => period.since + self.config.close_timeout,
                None => Moment::NEVER,
            },
            _ => Moment::NEVER,
        }
    }

    /// When this period of an orderly end is over; earlier, if the peer takes none of the pending output.
    fn orderly_due(&self, period: Period) -> Moment {
        let end = period.since + self.ending_time();
        match self.in_flight.as_ref().and_then(|in_flight| in_flight.stall) {
            Some(stall) => {
                let silent = stall.last + self.config.output_timeout;
                end.min(silent.max(period.since + self.config.close_timeout))
            }
            None => end,
        }
    }

    /// How long a period of an orderly end is. While the peer must take output it is as long as on an open connection:
    /// kernels show the progress of a slow reader in steps.
    fn ending_time(&self) -> Duration {
        match self.is_stalled() {
            true => self.config.close_timeout.max(self.config.output_timeout),
            false => self.config.close_timeout,
        }
    }

    /// Starts another period of an orderly end for a peer that makes progress: it takes our output, of which the Close is
    /// the last; once the Close is written, it is inside a frame, which its own Close must follow (§5.4).
    fn extend_ending(&mut self, now: Moment) -> bool {
        let enough = bytes_in(self.ending_time(), self.config.min_output_rate).max(1);
        let next = self.period(now);
        let (is_pending, missing) = (!self.outbox.is_empty(), self.decoder.remaining);
        let period = match &mut self.stage {
            Stage::Closing(closing) if !closing.is_broken => &mut closing.period,
            Stage::Draining(draining) if draining.is_orderly() => match &mut draining.period {
                Some(period) => period,
                None => return false,
            },
            _ => return false,
        };
        let is_enough = |bytes: u64| u128::from(bytes) >= enough;
        if is_pending {
            let takes_output = is_enough(next.sent - period.sent);
            if takes_output {
                *period = next;
            }
            return takes_output;
        }
        let received = next.received - period.received;
        let is_same_frame = period.missing.is_none_or(|before| before.checked_sub(missing) == Some(received));
        if missing == 0 || !is_enough(received) || !is_same_frame {
            return false;
        }
        *period = Period { missing: Some(missing), ..next };
        true
    }

    /// Sets the deadline to the earliest that applies in this stage.
    pub(super) fn arm(&mut self) {
        let flow = self.in_flight.as_ref().and_then(|in_flight| in_flight.flow.due());
        let stage = match &self.stage {
            Stage::Http(http) => {
                let http = http.deadline(&self.config, &self.outbox);
                http.into_iter().chain(flow).min()
            }
            Stage::Handshake(_) => Some(self.handshake_due()),
            Stage::Opened(_) | Stage::Open(_) => {
                let release = self.arm_release();
                let due = self.answer_due().into_iter().chain(self.heartbeat_due()).chain(self.unread_due());
                due.chain(release).chain(flow).min()
            }
            Stage::Closing(_) | Stage::Draining(_) => Some(self.ending_due()),
            Stage::Done { .. } => None,
        };
        let check = self
            .in_flight
            .as_ref()
            .and_then(|in_flight| in_flight.counted.as_ref())
            .map(|counted| counted.check_at);
        let due = stage.into_iter().chain(self.output_due()).chain(check);
        let deadline = due.min().unwrap_or(Moment::NEVER);
        self.set_deadline(deadline);
    }

    pub(super) fn set_deadline(&mut self, deadline: Moment) {
        self.timeout_changed |= deadline < self.deadline;
        self.deadline = deadline;
    }

    fn time_out(&mut self, now: Moment, timeout: Timeout) {
        self.connection_closed(now, Error::Timeout(timeout));
    }
}
