//! The one deadline. Traffic does not move it, but for the answer to a heartbeat: when it fires, it is compared
//! with what was heard meanwhile, and armed anew.

use super::{Connection, Moment, SECOND, Stage};
use crate::config::HeartbeatKind;
use crate::error::{Error, Timeout};
use crate::frame::Opcode;
use std::time::Instant;

impl Connection {
    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; `None` for never.
    ///
    /// It only moves to an earlier time by a call into the connection; a timer that fires early is harmless.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.deadline {
            Moment::NEVER => None,
            Moment(nanos) => self.birth.checked_add(core::time::Duration::from_nanos(nanos)),
        }
    }

    /// Whether [`poll_timeout`](Self::poll_timeout) has become earlier since this was last asked. An owner of
    /// many connections, with a timer for each, asks this first.
    #[inline]
    pub fn timeout_moved(&mut self) -> bool {
        core::mem::take(&mut self.deadline_moved)
    }

    /// Does what is due, and arms the deadline anew. Harmless when early.
    pub fn handle_timeout(&mut self, now: Instant) {
        let moment = self.moment(now);
        if moment < self.deadline {
            return;
        }
        if self.output_due().is_some_and(|due| moment >= due) {
            return self.time_out(now, Timeout::Output);
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
                let pace_is_over = self.pace_due().is_some_and(|due| moment >= due);
                // A reader that stopped at a message has not had it noted.
                if core::mem::take(&mut self.heard_more) {
                    self.heard = moment;
                }
                self.beat(now, moment);
                if pace_is_over {
                    self.output.paced = false;
                }
                if self.release_due().is_some_and(|due| moment >= due)
                    && let (Some(compression), Some(settings)) =
                        (self.stage.compression_mut(), &self.config.deflate)
                {
                    compression.release(settings);
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
        if self.output.stalled {
            self.wrote = moment;
        }
        if let Some(awaited) =
            self.busy.as_mut().and_then(|busy| busy.ping.as_mut()).and_then(|ping| ping.awaited.as_mut())
        {
            *awaited = moment;
        } else if self.config.heartbeat.interval.is_some() && !self.output.stalled {
            // One that is stalled cannot be reached; the output deadline judges it.
            self.send_heartbeat(now, moment);
        }
        self.arm();
    }

    fn send_heartbeat(&mut self, now: Instant, moment: Moment) {
        let payload = self.config.heartbeat.payload.clone();
        match self.config.heartbeat.kind {
            HeartbeatKind::Ping => self.ping(now, payload, true),
            HeartbeatKind::Pong => self.write_copied(Opcode::Pong, true, &payload),
        }
        // Until it is written, it counts as written: one heartbeat an interval.
        self.wrote = moment;
    }

    /// The heartbeat: finds a dead peer, or sends to a quiet one.
    fn beat(&mut self, now: Instant, moment: Moment) {
        if let Some(ping) = self.busy.as_mut().and_then(|busy| busy.ping.as_mut())
            && let Some(since) = ping.awaited
        {
            if self.heard > since {
                ping.awaited = None;
            } else if self.output.holds_back() || self.output.paced {
                // The answer may be there: over its mark, or its rate, a peer is not read.
                ping.awaited = Some(moment);
            } else if moment >= since.after(self.config.heartbeat.answer) {
                return self.time_out(now, Timeout::Heartbeat);
            }
        }
        if self.heartbeat_due().is_some_and(|due| moment >= due) {
            self.send_heartbeat(now, moment);
        }
    }

    pub(super) fn heartbeat_due(&self) -> Option<Moment> {
        let awaited =
            self.busy.as_ref().and_then(|busy| busy.ping.as_ref()).is_some_and(|ping| ping.awaited.is_some());
        // A stalled peer cannot be reached; the output deadline judges it.
        if awaited || self.output.stalled {
            return None;
        }
        Some(self.heard.max(self.wrote).after(self.config.heartbeat.interval?))
    }

    fn answer_due(&self) -> Option<Moment> {
        let since = self.busy.as_ref()?.ping.as_ref()?.awaited?;
        Some(since.after(self.config.heartbeat.answer))
    }

    /// When a peer that has sent too many messages is read again: the next second begins.
    fn pace_due(&self) -> Option<Moment> {
        self.output.paced.then(|| Moment((self.heard.0 / SECOND + 1) * SECOND))
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
        (self.output.stalled && !ending).then(|| self.wrote.after(self.config.output_timeout))
    }

    /// When the closing phase is over. Answers to HTTP requests are flushed first, however long that takes, as
    /// long as the peer reads.
    fn ending_due(&self) -> Moment {
        match &self.stage {
            Stage::Closing(ending) | Stage::Draining(ending) => match ending.since {
                Some(since) => since.after(self.config.close_timeout),
                None => Moment::NEVER,
            },
            _ => Moment::NEVER,
        }
    }

    /// Sets the deadline to the earliest of what may become due in this stage.
    pub(super) fn arm(&mut self) {
        let stage = match &self.stage {
            Stage::Http(http) => http.deadline(&self.config, &self.outbox).map(|at| self.moment(at)),
            Stage::Handshake(_) => Some(self.handshake_due()),
            Stage::Opened(_) | Stage::Open(_) => {
                let release = self.release_due();
                if let Some(compression) = self.stage.compression_mut() {
                    *compression.release_is_due() = release.is_some();
                }
                let due = self.answer_due().into_iter().chain(self.heartbeat_due()).chain(self.pace_due());
                due.chain(release).min()
            }
            Stage::Closing(_) | Stage::Draining(_) => Some(self.ending_due()),
            Stage::Done(_) => None,
        };
        let deadline = stage.into_iter().chain(self.output_due()).min().unwrap_or(Moment::NEVER);
        self.set_deadline(deadline);
    }

    pub(super) fn set_deadline(&mut self, deadline: Moment) {
        self.deadline_moved |= deadline < self.deadline;
        self.deadline = deadline;
    }

    fn time_out(&mut self, now: Instant, timeout: Timeout) {
        self.done(now, Error::Timeout(timeout));
    }
}
