//! The deadlines of the server's HTTP stage: for heads, bodies, idle connections, and answers.

use super::Io;
use super::reading::Reading;
use super::server::ServerHttp;
use super::streaming::STREAM_PERIOD;
use crate::config::Config;
use crate::error::{Error, RequestError, Timeout};
use crate::moment::Moment;
use crate::outbox::Outbox;
use core::time::Duration;

/// A body may take this long, plus a second for each KiB received.
const BODY_GRACE: Duration = Duration::from_secs(5);
const BODY_RATE: u64 = 1024;

impl ServerHttp {
    /// Handles all expired deadlines.
    pub(crate) fn handle_timeout(&mut self, io: &mut Io<'_>) {
        for pending in &mut self.queue {
            if pending.answer.deadline(io.config).is_some_and(|deadline| deadline <= io.now) {
                pending.answer.time_out(io.now);
            }
        }
        self.sweep(io);
        if self.reading_deadline(io.config, io.out).is_none_or(|deadline| deadline > io.now) {
            return;
        }
        let timeout = match &mut self.reading {
            Reading::Head { head, .. } if !head.has_begun() => {
                // There was no request, so there is no answer.
                self.cause = (self.served == 0).then_some(Error::Timeout(Timeout::Handshake));
                self.reading = Reading::Stopped;
                if self.queue.is_empty() {
                    self.end();
                }
                return;
            }
            Reading::Head { head, .. } => {
                self.grant = io.config.cors.grant_to(head.origin());
                if let Some(error) = head.take_rejected() {
                    return self.fail(io, error.clone(), error.into());
                }
                Timeout::Handshake
            }
            Reading::Body(_) => Timeout::Body,
            Reading::Stream(reader) => {
                if reader.begin_period() {
                    self.since = io.now;
                    return;
                }
                Timeout::Body
            }
            _ => Timeout::Handshake,
        };
        self.fail(io, RequestError::TooSlow, Error::Timeout(timeout));
    }

    /// The earliest deadline.
    pub(crate) fn deadline(&self, config: &Config, out: &Outbox) -> Option<Moment> {
        let answers = self.queue.iter().filter_map(|pending| pending.answer.deadline(config));
        answers.chain(self.reading_deadline(config, out)).min()
    }

    fn reading_deadline(&self, config: &Config, out: &Outbox) -> Option<Moment> {
        if self.is_held {
            return None;
        }
        let time = match &self.reading {
            Reading::Head { .. } if self.is_between_requests() => {
                if !self.queue.is_empty() || !out.is_empty() {
                    return None;
                }
                let idle = self.since.checked_add(config.keep_alive);
                return idle.into_iter().chain(self.preflights_end(config)).min();
            }
            Reading::Head { .. } => config.handshake_timeout,
            Reading::Body(reader) if reader.continue_due => return None,
            Reading::Body(reader) => {
                BODY_GRACE + Duration::from_millis(reader.body.len() as u64 * 1000 / BODY_RATE)
            }
            Reading::Stream(reader)
                if reader.continue_due || reader.emitted.is_some() || reader.may_pause() =>
            {
                return None;
            }
            Reading::Stream(_) => STREAM_PERIOD,
            Reading::Upgrade | Reading::Opened | Reading::Stopped => return None,
        };
        self.since.checked_add(time)
    }
}
