//! How a connection fails: by what the peer sends (RFC 6455 §7.1.7), by what it does not take, by its transport.

use super::ending::HalfClose;
use super::{Connection, Stage, close_body};
use crate::close::CloseCode;
use crate::error::{Error, ProtocolError};
use crate::event::Initiator;
use crate::frame::Opcode;
use crate::moment::Moment;
use core::mem;

impl Connection {
    /// Tells that writing failed. Nothing more is sent, but what the peer said before its end may stand unread: it is
    /// read on for a second at most, and its Close is the one that [`Closed`](crate::Closed) tells of.
    pub fn write_failed(&mut self, now: Moment, error: Error) {
        match &mut self.stage {
            Stage::Opened(_) | Stage::Open(_) => {
                let mut ending = self.begin_ending(now, Initiator::Remote);
                ending.error = Some(error);
                self.stage = Stage::Closing(ending);
            }
            Stage::Closing(ending) if !ending.is_broken => {
                ending.error.get_or_insert(error);
                ending.since = Some(now);
            }
            Stage::Closing(_) => return,
            _ => return self.done(now, error),
        }
        if let Stage::Closing(ending) = &mut self.stage {
            ending.is_broken = true;
        }
        self.outbox.clear();
        self.output.drained = false;
        self.end_opened();
        self.arm();
    }

    /// Ends a connection that is over a limit of time or memory: a WebSocket is told why, in a Close that overtakes what
    /// waits.
    pub(super) fn give_up(&mut self, now: Moment, error: Error, code: CloseCode, reason: &str) {
        if !matches!(self.stage, Stage::Opened(_) | Stage::Open(_)) {
            return self.done(now, error);
        }
        self.release_contexts();
        let mut ending = self.begin_ending(now, Initiator::Local);
        self.outbox.drop_unwritten();
        let body = close_body::encode(code, reason).unwrap_or_default();
        self.write_copied(Opcode::Close, true, &body);
        ending.sent = Some(code);
        ending.error = Some(error);
        ending.half_close = HalfClose::Due;
        self.drain(ending);
    }

    /// The socket takes no more for now: of a connection that failed, the Close goes out before what waits.
    pub(super) fn close_overtakes(&mut self) {
        if let Stage::Draining(ending) = &mut self.stage
            && let Some(body) = ending.overtaking.take()
            // Else it is the Close itself that is partly written.
            && self.outbox.has_unbegun()
        {
            self.outbox.drop_unwritten();
            self.write_copied(Opcode::Close, true, &body);
        }
    }

    /// Fails the connection (§7.1.7): the peer broke the protocol.
    pub(super) fn fail(&mut self, now: Moment, error: ProtocolError) {
        self.release_contexts();
        let mut ending = match mem::replace(&mut self.stage, Stage::Done(None)) {
            Stage::Closing(ending) => ending,
            stage => {
                self.stage = stage;
                let mut ending = self.begin_ending(now, Initiator::Local);
                let code = error.close_code();
                let body = close_body::encode(code, error.reason()).unwrap_or_default();
                self.write_copied(Opcode::Close, true, &body);
                ending.overtaking = Some(body);
                ending.sent = Some(code);
                ending
            }
        };
        ending.error.get_or_insert(error.into());
        ending.half_close = HalfClose::Due;
        let is_broken = ending.is_broken;
        self.drain(ending);
        if is_broken {
            self.finish(now);
        }
    }
}
