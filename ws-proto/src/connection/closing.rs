//! How the application or the transport ends a connection.

use super::{Connection, Stage, close_body};
use crate::close_code::CloseCode;
use crate::error::{Error, SendError};
use crate::frame::Opcode;
use crate::moment::Moment;

impl Connection {
    /// Starts the closing handshake (RFC 6455 §7.1.2). Output queued before it is sent first; messages that wait behind
    /// an unfinished message of ours cannot be sent, and are dropped with it. A slow peer may take long:
    /// [`Config::close_timeout`](crate::Config::close_timeout).
    ///
    /// The code is a [`CloseCode`] or its number, such as `4001`.
    /// [`CloseCode::NO_STATUS`] with an empty reason sends a Close without a body. Before the connection is open there
    /// is no closing handshake: a client gives up, a server ends the HTTP connection.
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

    /// Ends the connection at once with a cause: [`Error::Aborted`] where the application wants no closing handshake,
    /// [`Error::Io`] where reading failed, [`Error::Stopped`] where the server has stopped. Nothing more is sent. An
    /// ending that was already orderly stays orderly.
    pub fn abort(&mut self, now: Moment, error: Error) {
        self.connection_closed(now, error);
    }

    /// Handles a failed write. Nothing more is sent, but the peer's last messages may be unread: reading continues for
    /// a second at most, and [`Closed`](crate::Closed) reports the Close found there.
    pub fn write_failed(&mut self, now: Moment, error: Error) {
        match &self.stage {
            Stage::Closing(closing) if closing.is_broken => {}
            Stage::Opened(_) | Stage::Open(_) | Stage::Closing(_) => self.break_off(now, error),
            _ => self.connection_closed(now, error),
        }
    }

    /// Ends the connection gracefully because the server stops. A WebSocket is [closed](Self::close) with this code.
    /// HTTP takes no further request: an idle connection ends, and a busy one sends `Connection: close` with its last
    /// answer.
    ///
    /// Event streams (answers without a length whose type is `text/event-stream`) are finished at once, as is one that
    /// begins later; every other answer continues to its end, and a request whose head or body is arriving is still read
    /// and answered. An incomplete opening handshake is rejected with 503: accepting it then returns
    /// [`RespondError::NotOpen`](crate::RespondError::NotOpen).
    ///
    /// To cut off the rest after a while, [`abort`](Self::abort) with [`Error::Stopped`]. Calling this again is
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

    /// The socket takes no more for now: the Close of a failed connection overtakes pending output.
    pub(super) fn close_overtakes(&mut self) {
        if let Stage::Draining(draining) = &mut self.stage
            && let Some(body) = draining.overtaking.take()
            // Otherwise the Close itself is partly written.
            && self.outbox.has_unbegun()
        {
            self.outbox.drop_unwritten();
            self.write_copied(Opcode::Close, true, &body);
        }
    }
}
