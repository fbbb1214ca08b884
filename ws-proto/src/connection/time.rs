//! The one deadline. Traffic does not move it, but for the answer to a heartbeat: when it fires, it is compared
//! with what was heard meanwhile, and armed anew.

use super::flow::Held;
use super::{Connection, Moment, Stage, Stall};
use crate::close::CloseCode;
use crate::config::HeartbeatKind;
use crate::error::{Error, Timeout};
use crate::frame::Opcode;
use core::time::Duration;
use std::time::Instant;

/// How long a connection is read whose writing failed.
const READ_BROKEN: Duration = Duration::from_secs(1);
/// A Ping is sent at the latest so many intervals after the last one, however lively the peer is.
const PINGS_AT_LEAST: u32 = 4;

impl Connection {
    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; `None` for never.
    ///
    /// It only moves to an earlier time by a call into the connection; a timer that fires early is harmless.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.deadline {
            Moment::NEVER => None,
            Moment(nanos) => self.birth.checked_add(Duration::from_nanos(nanos)),
        }
    }

    /// Whether [`poll_timeout`](Self::poll_timeout) has become earlier since this was last asked. An owner of
    /// many connections, with a timer for each, asks this first.
    #[inline]
    pub fn timeout_moved(&mut self) -> bool {
        core::mem::take(&mut self.output.deadline_moved)
    }

    /// Does what is due, and arms the deadline anew. Harmless when early.
    pub fn handle_timeout(&mut self, now: Instant) {
        let moment = self.moment(now);
        if moment < self.deadline || self.deadline == Moment::NEVER {
            return;
        }
        self.act(now, moment);
        // The end of it may have a time of zero. What is open is read before it is judged again.
        if moment >= self.deadline && matches!(self.stage, Stage::Closing(_) | Stage::Draining(_)) {
            self.act(now, moment);
        }
    }

    fn act(&mut self, now: Instant, moment: Moment) {
        self.look_at_memory(now);
        if self.output_due().is_some_and(|due| moment >= due) && self.judge_output(now) {
            return;
        }
        if matches!(self.stage, Stage::Http(_)) {
            self.pass_memory_delay(moment);
        }
        self.note_http_held(now);
        match &mut self.stage {
            Stage::Http(http) => {
                http.handle_timeout(now, &self.config, &mut self.outbox);
                self.settle_http(now);
            }
            Stage::Handshake(_) => {
                if moment >= self.handshake_due() {
                    self.time_out(now, Timeout::Handshake);
                }
            }
            Stage::Opened(_) | Stage::Open(_) => {
                // A reader that stopped at a message has not had it noted.
                self.note_heard(now);
                self.pass_delay(moment);
                self.beat(now, moment);
                self.end_pace(moment);
                if self.release_due().is_some_and(|due| moment >= due)
                    && let Some(compression) = self.stage.compression_mut()
                {
                    compression.release();
                }
            }
            Stage::Closing(_) => {
                if moment >= self.ending_due() {
                    self.time_out(now, Timeout::Close);
                }
            }
            Stage::Draining(_) => {
                if moment >= self.ending_due() {
                    self.finish(moment);
                }
            }
            Stage::Done(_) => {}
        }
        self.arm();
    }

    /// Tells that the machine slept: the peer may be gone, and had no fair chance to show otherwise.
    ///
    /// An open connection with a heartbeat sends it at once, however lively it was. Whatever is awaited of the
    /// peer (the answer to a Ping, its taking output) has its whole time again.
    pub fn handle_resume(&mut self, now: Instant) {
        if !matches!(self.stage, Stage::Opened(_) | Stage::Open(_)) {
            return;
        }
        let moment = self.moment(now);
        if let Some(busy) = &mut self.busy {
            if let Some(stall) = &mut busy.stall {
                (stall.since, stall.last) = (moment, moment);
            }
            if let Some(awaited) = busy.ping.as_mut().and_then(|ping| ping.awaited.as_mut()) {
                *awaited = moment;
                return self.arm();
            }
        }
        if self.config.heartbeat.interval.is_some() {
            // Also where heartbeats are one-way: only an answer shows that the peer is there.
            self.send_heartbeat(now, moment, HeartbeatKind::Ping);
        }
        self.arm();
    }

    fn send_heartbeat(&mut self, now: Instant, moment: Moment, kind: HeartbeatKind) {
        let payload = self.config.heartbeat.payload.clone();
        match kind {
            HeartbeatKind::Ping => self.ping(now, payload, true),
            HeartbeatKind::Pong => {
                self.write_urgent(Opcode::Pong, &payload);
            }
        }
        // Until it is written, it counts as written: one heartbeat an interval.
        self.beat = moment;
    }

    /// The heartbeat: finds a dead peer, or sends to a quiet one.
    fn beat(&mut self, now: Instant, moment: Moment) {
        if let Some(ping) = self.busy.as_mut().and_then(|busy| busy.ping.as_mut())
            && let Some(since) = ping.awaited
        {
            if self.heard > since {
                ping.awaited = None;
            } else if self.input.held.has(Held::ANY) {
                // The answer may be there, unread.
                ping.awaited = Some(moment);
            } else if moment >= since.after(self.config.heartbeat.answer) {
                return self.time_out(now, Timeout::Heartbeat);
            }
        }
        if self.heartbeat_due().is_some_and(|due| moment >= due) {
            self.send_heartbeat(now, moment, self.config.heartbeat.kind);
        }
    }

    pub(super) fn heartbeat_due(&self) -> Option<Moment> {
        let awaited =
            self.busy.as_ref().and_then(|busy| busy.ping.as_ref()).is_some_and(|ping| ping.awaited.is_some());
        let interval = self.config.heartbeat.interval?;
        match self.config.heartbeat.kind {
            HeartbeatKind::Ping if awaited => None,
            // A peer that talks all the time is asked now and then, too: how long its answer takes is the latency.
            HeartbeatKind::Ping => {
                let at_latest = self.beat.after(interval.saturating_mul(PINGS_AT_LEAST));
                Some(self.heard.after(interval).min(at_latest))
            }
            // While output waits, there is no need to show that we live.
            HeartbeatKind::Pong => (!self.output.stalled).then(|| self.beat.after(interval)),
        }
    }

    fn answer_due(&self) -> Option<Moment> {
        let since = self.busy.as_ref()?.ping.as_ref()?.awaited?;
        // It may be there, unread: then its time begins anew once reading goes on.
        let is_hidden = self.heard <= since && self.input.held.has(Held::ANY);
        (!is_hidden).then(|| since.after(self.config.heartbeat.answer))
    }

    /// When a client must be open.
    fn handshake_due(&self) -> Moment {
        Moment(0).after(self.config.handshake_timeout)
    }

    /// When the peer must have taken some output. A closing handshake has its own, shorter time, and what is over
    /// has no output.
    fn output_due(&self) -> Option<Moment> {
        let ending = match &self.stage {
            Stage::Closing(_) | Stage::Done(_) => true,
            Stage::Draining(ending) => ending.was_open,
            _ => false,
        };
        if ending {
            return None;
        }
        let stall = self.busy.as_ref()?.stall?;
        Some(stall.since.min(stall.last).after(self.config.output_timeout))
    }

    /// The time for taking output has passed: a peer that took nothing for so long is gone, one that took enough has that
    /// time again. Says whether it is over.
    fn judge_output(&mut self, now: Instant) -> bool {
        let (moment, sent) = (self.moment(now), self.bytes_sent);
        let rate = u128::from(self.config.min_output_rate);
        let enough = self.config.output_timeout.as_millis() * rate / 1000;
        let timeout = self.config.output_timeout;
        let Some(stall) = self.busy.as_mut().and_then(|busy| busy.stall.as_mut()) else { return false };
        let error = Error::Timeout(Timeout::Output);
        if moment >= stall.last.after(timeout) {
            self.done(now, error);
        } else if u128::from(sent - stall.sent) < enough {
            self.give_up(now, error, CloseCode::TRY_AGAIN_LATER, "too slow");
        } else {
            *stall = Stall { since: moment, sent, last: stall.last };
            return false;
        }
        true
    }

    /// When the closing phase is over. Answers to HTTP requests are flushed first, however long that takes, as
    /// long as the peer reads.
    fn ending_due(&self) -> Moment {
        match &self.stage {
            Stage::Closing(ending) | Stage::Draining(ending) => match ending.since {
                Some(since) if ending.is_broken => since.after(READ_BROKEN.min(self.config.close_timeout)),
                Some(since) => since.after(self.config.close_timeout),
                None => Moment::NEVER,
            },
            _ => Moment::NEVER,
        }
    }

    /// Sets the deadline to the earliest of what may become due in this stage.
    pub(super) fn arm(&mut self) {
        let flow = self.busy.as_ref().and_then(|busy| busy.flow.due());
        let stage = match &self.stage {
            Stage::Http(http) => {
                let http = http.deadline(&self.config, &self.outbox).map(|at| self.moment(at));
                http.into_iter().chain(flow).min()
            }
            Stage::Handshake(_) => Some(self.handshake_due()),
            Stage::Opened(_) | Stage::Open(_) => {
                let release = self.release_due();
                if let Some(compression) = self.stage.compression_mut() {
                    *compression.release_is_due() = release.is_some();
                }
                let due = self.answer_due().into_iter().chain(self.heartbeat_due());
                due.chain(release).chain(flow).min()
            }
            Stage::Closing(_) | Stage::Draining(_) => Some(self.ending_due()),
            Stage::Done(_) => None,
        };
        let look = self.busy.as_ref().and_then(|busy| busy.counted.as_ref()).map(|counted| counted.look_at);
        let due = stage.into_iter().chain(self.output_due()).chain(look);
        let deadline = due.min().unwrap_or(Moment::NEVER);
        self.set_deadline(deadline);
    }

    pub(super) fn set_deadline(&mut self, deadline: Moment) {
        self.output.deadline_moved |= deadline < self.deadline;
        self.deadline = deadline;
    }

    fn time_out(&mut self, now: Instant, timeout: Timeout) {
        self.done(now, Error::Timeout(timeout));
    }
}
