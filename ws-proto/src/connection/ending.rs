//! The end of a connection: what to report about it, and how far it has progressed.

use super::Connection;
use crate::close_code::CloseCode;
use crate::deflate::PerMessage;
use crate::error::{Error, RequestError};
use crate::event::{Closed, Initiator};
use crate::moment::Moment;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// The report of an end, in the making. It starts complete; the peer's Close and a first cause may be added.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) initiator: Initiator,
    pub(super) closes: Closes,
    /// The first cause, unless the end is orderly.
    pub(super) error: Option<Error>,
    pub(super) was_open: bool,
    /// Whether to report this end: the application has seen the connection, or wants every close.
    pub(super) is_reported: bool,
    /// Reading was paused when the end began.
    pub(super) was_paused: bool,
    /// The connection opened, not yet reported to the application.
    pub(super) opened: Option<Box<::http::Response<()>>>,
    /// Why the body of a streaming request was cut off, not yet reported to the application.
    pub(super) cut: Option<Box<Error>>,
}

/// The Close frames of both sides.
#[derive(Debug, Default)]
pub(super) struct Closes {
    /// The peer's code and reason.
    pub(super) received: Option<(CloseCode, String)>,
    pub(super) sent: Option<CloseCode>,
}

/// Our Close is sent, or writing is no longer possible.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) ending: Ending,
    pub(super) period: Period,
    /// Writing failed: the connection ends with the peer's Close, or soon without it.
    pub(super) is_broken: bool,
    /// Inflates data that precedes the peer's Close.
    pub(super) compression: Option<Box<PerMessage>>,
}

/// When the closing phase began, or the current period in which an orderly one must make progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period {
    pub(super) since: Moment,
    /// The bytes sent and received by then.
    pub(super) sent: u64,
    pub(super) received: u64,
    /// What was missing of the peer's frame, if the period was granted for its sake.
    pub(super) missing: Option<u64>,
}

/// No more events are delivered.
#[derive(Debug)]
pub(super) struct Draining {
    pub(super) ending: Ending,
    /// For HTTP, once the last answer is flushed.
    pub(super) period: Option<Period>,
    pub(super) half_close: HalfClose,
    /// Whether the peer has ended its half.
    pub(super) peer_ended: bool,
    /// Bytes read and discarded.
    pub(super) discarded: u64,
    /// The pending HTTP answer ends only with the connection.
    pub(super) has_open_end: bool,
    /// The body of our Close, which overtakes pending output once the socket takes no more: the connection failed.
    pub(super) overtaking: Option<Vec<u8>>,
}

/// Closed, not yet reported to the application.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) ending: Ending,
    pub(super) at: Moment,
}

/// Whether our half of TCP is to be closed before the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HalfClose {
    /// The peer must go first (§7.1.1: the server closes first).
    No,
    Due,
    Reported,
}

/// What failed beneath a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beneath {
    /// TLS, or the peer speaks TLS but this side does not.
    Tls,
    /// The PROXY header was missing or invalid.
    ProxyHeader,
}

impl Closes {
    pub(super) fn sent(code: CloseCode) -> Self {
        Self { received: None, sent: Some(code) }
    }
}

impl Ending {
    /// Adds this cause, unless there is an earlier one (§7.1.7).
    pub(super) fn caused_by(mut self, error: Error) -> Self {
        self.error.get_or_insert(error);
        self
    }

    /// The connection is over, and our Close is still in the outbox.
    pub(super) fn unsent(mut self) -> Self {
        self.closes.sent = None;
        self
    }

    /// What failed beneath the connection.
    pub(super) fn beneath(&self) -> Option<Beneath> {
        match self.error {
            Some(Error::Tls(_) | Error::Request(RequestError::Tls)) => Some(Beneath::Tls),
            Some(Error::ProxyHeader(_)) => Some(Beneath::ProxyHeader),
            _ => None,
        }
    }

    /// Whether this side may owe the peer more than it has queued.
    pub(super) fn is_cut(&self) -> bool {
        use Error as E;
        matches!(
            self.error,
            Some(
                E::Aborted | E::Stopped | E::Abandoned | E::Unfinished | E::Unanswered | E::Io(_) | E::Tls(_)
            )
        )
    }

    /// Adds the peer's answer to our Close.
    pub(super) fn answered_by(mut self, code: CloseCode, reason: String) -> Self {
        self.closes.received = Some((code, reason));
        self
    }
}

impl Closing {
    /// Maps the ending, keeping the rest.
    pub(super) fn map(self, f: impl FnOnce(Ending) -> Ending) -> Self {
        Self { ending: f(self.ending), ..self }
    }
}

impl Draining {
    /// Whether it follows a closing handshake in which nothing failed.
    pub(super) fn is_orderly(&self) -> bool {
        self.ending.was_open && self.ending.error.is_none()
    }

    /// Whether to half-close now; once.
    pub(super) fn take_half_close(&mut self) -> bool {
        let is_due = self.half_close == HalfClose::Due;
        if is_due {
            self.half_close = HalfClose::Reported;
        }
        is_due
    }
}

impl Ended {
    pub(super) fn into_closed(self, connection: &Connection) -> Closed {
        let Self { ending: Ending { initiator, closes, error, was_open, was_paused, .. }, at } = self;
        let Closes { received, sent } = closes;
        let clean = received.is_some() && sent.is_some() && error.is_none();
        // The first Close that was received, regardless of later failures (§7.1.5, §7.1.6).
        let (code, reason) = received.unwrap_or((CloseCode::ABNORMAL, String::new()));
        Closed {
            code,
            reason,
            clean,
            initiator,
            error,
            sent,
            was_open,
            reading_paused: was_paused,
            bytes_received: connection.bytes_received,
            bytes_sent: connection.bytes_sent,
            age: at.since(connection.birth),
        }
    }
}
