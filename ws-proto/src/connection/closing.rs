//! How the application ends a connection, and how its transport does.

use super::{Connection, Stage, close_body};
use crate::close_code::CloseCode;
use crate::error::{Error, SendError};
use crate::frame::Opcode;
use crate::moment::Moment;

impl Connection {
    /// Starts the closing handshake (RFC 6455 §7.1.2). What was queued before goes out before it; messages
    /// that wait behind an unfinished message of ours cannot, and are dropped with it.
    ///
    /// The code is a [`CloseCode`] or its number, such as `4001`.
    /// [`CloseCode::NO_STATUS`] with an empty reason sends a Close without a body. Before the connection is
    /// open there is no closing handshake: a client gives up, a server ends the HTTP connection.
    ///
    /// # Errors
    /// [`SendError::CloseCodeInvalid`], [`SendError::CloseReasonTooLong`], and [`SendError::NotOpen`] when the
    /// connection is ending already, which is harmless.
    pub fn close(&mut self, now: Moment, code: impl Into<CloseCode>, reason: &str) -> Result<(), SendError> {
        let code = code.into();
        let body = close_body::encode(code, reason)?;
        match &self.stage {
            Stage::Opened(_) | Stage::Open(_) => self.start_closing_handshake(now, code, &body),
            Stage::Http(_) => self.end_http(now),
            Stage::Handshake(_) => self.abort(now, Error::Aborted),
            Stage::Closing(_) | Stage::Draining(_) | Stage::Done { .. } => return Err(SendError::NotOpen),
        }
        Ok(())
    }

    /// Ends the connection at once, and says why: [`Error::Aborted`] where the application wants no closing handshake,
    /// [`Error::Io`] where reading failed, [`Error::Stopped`] where the server has stopped. Nothing more is sent. An end
    /// that was already in order stays so.
    pub fn abort(&mut self, now: Moment, error: Error) {
        self.connection_closed(now, error);
    }

    /// Handles that writing failed. Nothing more is sent, but what the peer said before its end may stand unread: it is
    /// read on for a second at most, and its Close is the one that [`Closed`](crate::Closed) tells of.
    pub fn write_failed(&mut self, now: Moment, error: Error) {
        match &self.stage {
            Stage::Closing(closing) if closing.is_broken => {}
            Stage::Opened(_) | Stage::Open(_) | Stage::Closing(_) => self.break_off(now, error),
            _ => self.connection_closed(now, error),
        }
    }

    /// Says goodbye in order, since the server stops. A WebSocket is [closed](Self::close) with this code. HTTP takes
    /// no further request: an idle connection ends, and where something is going on, the last answer says
    /// `Connection: close`.
    ///
    /// Event streams (answers without a length whose type is `text/event-stream`) are finished at once, as is one that
    /// begins later; every other answer goes on to its end, and a request whose head or body is arriving is read and
    /// answered too. An opening handshake that is not complete is refused with 503: accepting it then says
    /// [`SendError::NotOpen`].
    ///
    /// To cut what is left after a while, [`abort`](Self::abort) with [`Error::Stopped`]. Calling this again is
    /// harmless.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn go_away(
        &mut self,
        now: Moment,
        code: impl Into<CloseCode>,
        reason: &str,
    ) -> Result<(), SendError> {
        let code = code.into();
        if !matches!(self.stage, Stage::Http(_)) {
            return self.close(now, code, reason);
        }
        close_body::encode(code, reason)?;
        self.stop_http(now);
        Ok(())
    }

    /// The socket takes no more for now: of a connection that failed, the Close goes out before what waits.
    pub(super) fn close_overtakes(&mut self) {
        if let Stage::Draining(draining) = &mut self.stage
            && let Some(body) = draining.overtaking.take()
            // Else it is the Close itself that is partly written.
            && self.outbox.has_unbegun()
        {
            self.outbox.drop_unwritten();
            self.write_copied(Opcode::Close, true, &body);
        }
    }
}
