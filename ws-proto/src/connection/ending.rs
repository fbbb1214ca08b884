//! What is known of an end: what is told of it, and how far it is.

use super::Connection;
use crate::close_code::CloseCode;
use crate::deflate::PerMessage;
use crate::error::Error;
use crate::event::{Closed, Initiator};
use crate::moment::Moment;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// What will be told of an end. It begins whole; the peer's Close and a first cause may still come.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) initiator: Initiator,
    pub(super) closes: Closes,
    /// The first cause, where it is no orderly end.
    pub(super) error: Option<Error>,
    pub(super) was_open: bool,
    /// Whether the application hears of this end: it has heard of the connection, or wants to hear of all.
    pub(super) is_reported: bool,
    /// Reading was paused when it began to end.
    pub(super) was_paused: bool,
    /// It was open, of which the application is yet to hear.
    pub(super) opened: Option<Box<::http::Response<()>>>,
}

/// The Close frames of both sides.
#[derive(Debug, Default)]
pub(super) struct Closes {
    /// The peer's code and reason.
    pub(super) received: Option<(CloseCode, String)>,
    pub(super) sent: Option<CloseCode>,
}

/// Our Close is sent, or nothing can be written any more.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) ending: Ending,
    pub(super) since: Moment,
    /// Writing failed: it is over with the peer's Close, or soon without.
    pub(super) is_broken: bool,
    /// What inflates data that comes before the peer's Close.
    pub(super) compression: Option<Box<PerMessage>>,
}

/// Nothing more is delivered.
#[derive(Debug)]
pub(super) struct Draining {
    pub(super) ending: Ending,
    /// When the closing phase began; for HTTP, once the last answer is flushed.
    pub(super) since: Option<Moment>,
    pub(super) half_close: HalfClose,
    /// Whether the peer has ended its half.
    pub(super) peer_ended: bool,
    /// Bytes read and thrown away.
    pub(super) discarded: u64,
    /// An HTTP answer is being flushed whose end is that of the connection.
    pub(super) has_open_end: bool,
    /// The body of our Close, which overtakes what waits once the socket takes no more: the connection failed.
    pub(super) overtaking: Option<Vec<u8>>,
}

/// It is over, and the application is yet to hear of it.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) ending: Ending,
    pub(super) at: Moment,
}

/// Whether our half of TCP is to be closed before the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HalfClose {
    /// It is for the peer to begin (§7.1.1: the server closes first).
    No,
    Due,
    Reported,
}

impl Closes {
    pub(super) fn sent(code: CloseCode) -> Self {
        Self { received: None, sent: Some(code) }
    }
}

impl Ending {
    /// The same end with this cause, unless another came first (§7.1.7).
    pub(super) fn caused_by(mut self, error: Error) -> Self {
        self.error.get_or_insert(error);
        self
    }

    /// The same end with the peer's answer to our Close.
    pub(super) fn answered_by(mut self, code: CloseCode, reason: String) -> Self {
        self.closes.received = Some((code, reason));
        self
    }
}

impl Closing {
    /// The same with what has become of its ending.
    pub(super) fn map(self, f: impl FnOnce(Ending) -> Ending) -> Self {
        Self { ending: f(self.ending), ..self }
    }
}

impl Draining {
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
        // The first Close that was received, whatever broke afterwards (§7.1.5, §7.1.6).
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
