//! A server that stops: answers in progress continue to their end, and nothing new begins.

use super::Io;
use super::answer::{Answer, Pending};
use super::response::Shape;
use super::server::{Reading, ServerHttp};
use crate::handshake::reject;
use core::mem;

impl ServerHttp {
    /// Takes no further request. A request that has begun to arrive is read and answered, event streams are finished,
    /// and an incomplete upgrade is rejected: its WebSocket would end with its first frame.
    pub(crate) fn go_away(&mut self, io: &mut Io<'_>) {
        if self.is_stopping || self.ending.is_some() {
            return;
        }
        self.is_stopping = true;
        // The application has yet to learn that event streams and upgrades are over.
        self.has_discarded = true;
        match &mut self.reading {
            Reading::Head { head, .. } if head.has_begun() => {}
            Reading::Head { .. } | Reading::Upgrade => self.stop_reading(),
            Reading::Body(reader) => reader.shape.keep_alive = false,
            Reading::Stream(reader) if reader.is_discarded => self.stop_reading(),
            Reading::Stream(reader) => reader.keep_alive = false,
            Reading::Opened | Reading::Stopped => {}
        }
        for pending in &mut self.queue {
            match &mut pending.answer {
                Answer::Awaited { is_upgrade: true, .. } | Answer::Accepted(..) => {
                    pending.answer = Answer::Ready(reject::stopping());
                }
                Answer::Streamed(streamed) => streamed.stop(io.out),
                _ => {}
            }
        }
        self.flush(io);
        if self.queue.is_empty() && self.ending.is_none() && matches!(self.reading, Reading::Stopped) {
            self.end();
        }
    }

    /// Rejects an upgrade whose head was arriving when the server began to stop.
    pub(super) fn reject_upgrade(&mut self, io: &mut Io<'_>) {
        let shape = Shape { is_head: false, is_10: false, keep_alive: false };
        let grant = mem::take(&mut self.grant);
        self.queue.push_back(Pending { shape, grant, answer: Answer::Ready(reject::stopping()) });
        self.stop_reading();
        self.flush(io);
    }
}
