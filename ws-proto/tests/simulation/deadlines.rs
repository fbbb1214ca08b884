//! Waits and their limits: what is due at each time, and whether an end was in time.

use super::end::End;
use super::setting::Rules;
use std::time::Duration;
use ws_proto::{CloseCode, Closed, Error, HeartbeatKind, Moment, State, Timeout};

/// How long reading continues after a failed write.
const READS_ON: Duration = Duration::from_secs(1);
/// The engine's clock has nanoseconds, and rounds up.
const SLACK: Duration = Duration::from_millis(1);
/// Later than the end of any run.
const FAR: Duration = Duration::from_secs(1 << 32);

/// A future time; for the longest durations, one that is never reached.
pub(super) fn later(since: Moment, time: Duration) -> Moment {
    since + time.min(FAR)
}

impl End {
    /// The idle time before it pings its peer.
    pub(super) fn interval(&self) -> Option<Duration> {
        let beat = self.rules.beat.as_ref()?;
        (beat.kind == HeartbeatKind::Ping).then_some(beat.interval)
    }

    /// Since when a peer able to send has been silent.
    pub(super) fn silent_since(&self) -> Moment {
        self.received.max(self.opened)
    }

    /// Checks that every wait ends in time, if timers fire in time.
    pub(crate) fn check_time(&self, now: Moment) {
        if self.manner.late > Duration::ZERO || self.manner.reads_first && self.reads_from > now {
            return;
        }
        let Rules { config, beat, .. } = &self.rules;
        let in_time = |since: Moment, time: Duration, what: &str| {
            assert!(
                now <= later(since, time) + SLACK,
                "{what} is awaited longer than {time:?}, {}",
                self.describe()
            );
        };
        match self.connection.state() {
            State::Open => {
                if let Some(since) = self.blocked.filter(|_| self.is_open()) {
                    // It may have taken enough when the window began, and nothing since.
                    in_time(since, config.get_output_timeout().saturating_mul(2), "a stalled peer");
                }
                let Some(beat) = beat else { return };
                if beat.kind == HeartbeatKind::Pong {
                    if self.blocked.is_none() {
                        let since = self.wrote.max(self.hindered);
                        in_time(since, beat.interval, "a one-way heartbeat");
                    }
                    return;
                }
                if self.is_unread {
                    return; // its answer may be unread
                }
                // A pinged peer that has since sent data is pinged again no later than that answer would have been due.
                let silent = later(self.silent_since(), beat.interval.max(beat.answer));
                // Until the Ping is written, each write delays the deadline for its answer.
                let since = silent.max(self.pinged.unwrap_or(self.wrote)).max(self.hindered);
                in_time(since, beat.answer, "a dead peer");
            }
            State::Closing if self.is_open() && self.failed_at.is_none() => {
                let (closing, used) = self.closing_since.unwrap_or((now, self.oracle.received()));
                let close = config.get_close_timeout();
                // A peer that makes progress has its time from then on, and the rest of the current period.
                let enough = close.as_millis() * u128::from(config.get_min_output_rate()) / 1000;
                let is_inside_frame = u128::from(self.oracle.received() - used) >= enough.max(1);
                let progress = if is_inside_frame && self.blocked.is_none() {
                    self.wrote.max(self.received)
                } else {
                    self.wrote
                };
                let timeout = match self.blocked {
                    Some(_) => close.max(config.get_output_timeout()),
                    None => close,
                };
                match progress >= closing {
                    true => in_time(progress, timeout.saturating_mul(2), "an end"),
                    false => in_time(closing, timeout, "an end"),
                }
            }
            _ => {}
        }
    }

    pub(super) fn check_end(&self, now: Moment, closed: &Closed) {
        assert!(closed.age <= now - self.born, "{closed}");
        self.check_code(closed);
        let at = self.born + closed.age;
        let Rules { config, beat, .. } = &self.rules;
        let waited = |since: Moment, time: Duration| {
            assert!(at >= later(since, time), "too early: {closed}, {}", self.describe())
        };
        match &closed.error {
            Some(Error::Timeout(Timeout::Handshake)) => waited(self.born, config.get_handshake_timeout()),
            Some(Error::Timeout(Timeout::Body)) => waited(self.born, Duration::from_secs(5)),
            Some(Error::Timeout(Timeout::Heartbeat)) => {
                assert!(!self.is_judged_unread, "an unread peer is considered dead");
                waited(self.received, beat.as_ref().map_or(Duration::MAX, |beat| beat.answer));
            }
            Some(Error::Timeout(Timeout::Output)) => {
                waited(self.waiting.unwrap_or(self.wrote), config.get_output_timeout());
            }
            Some(Error::Timeout(Timeout::Close)) if config.get_drain_limit() > 1 => {
                waited(self.closing_since.map_or(now, |(since, _)| since), config.get_close_timeout());
            }
            Some(Error::Eof | Error::RequestCutOff) => assert!(self.is_ended, "{closed}"),
            Some(Error::Io(_)) => assert!(self.is_ended || self.failed_at.is_some(), "{closed}"),
            Some(Error::Aborted | Error::Stopped) => assert!(self.is_terminated, "{closed}"),
            _ => {}
        }
        if let Some(since) = self.failed_at.filter(|_| self.is_open()) {
            let is_in_time = self.manner.late > Duration::ZERO || at <= since + READS_ON;
            assert!(is_in_time, "reading continues too long after a failed write: {closed}");
        }
    }

    /// The known state, for messages.
    fn describe(&self) -> String {
        let Self { side, born, received, wrote, hindered, pinged, waiting, blocked, .. } = self;
        let since = |at: Moment| at - *born;
        format!(
            "side {side}: received {:?}, wrote {:?}, hindered {:?}, pinged {:?}, waiting {:?}, blocked {:?}, {:?}, {:?}, {:?}",
            since(*received),
            since(*wrote),
            since(*hindered),
            pinged.map(since),
            waiting.map(since),
            blocked.map(since),
            self.connection.poll_timeout().map(since),
            self.rules.times(),
            self.connection,
        )
    }

    /// The code is that of the first Close received (RFC 6455 §7.1.5), regardless of later failures.
    fn check_code(&self, closed: &Closed) {
        if self.is_unmarked {
            return;
        }
        let close = self.marks.borrow().close.filter(|(end, _)| *end <= self.used_before_end);
        match close {
            // Input after a fault is read and discarded.
            _ if !closed.was_open => {
                assert_eq!((closed.code, &*closed.reason), (CloseCode::ABNORMAL, ""), "{closed}");
            }
            // A failed write is the first cause, regardless of later faults.
            Some(_) if self.failed_at.is_some() && self.rules.is_unfair() => {}
            Some((_, code)) => {
                let is_received = matches!(
                    closed.error,
                    None | Some(Error::Eof | Error::Io(_) | Error::Aborted | Error::Stopped)
                );
                assert!(!is_received || closed.code.get() == code, "the peer closed with {code}: {closed}");
            }
            None if closed.error.is_some() => {
                assert_eq!((closed.code, &*closed.reason), (CloseCode::ABNORMAL, ""), "{closed}");
            }
            None => {}
        }
    }
}
