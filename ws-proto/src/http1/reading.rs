//! What the server is reading.

use super::body::{Body, Deframer};
use super::head::Head;
use super::response::Shape;
use crate::handshake::check::RequestLine;
use crate::moment::Moment;
use core::fmt;

#[derive(Debug)]
pub(super) enum Reading {
    Head {
        head: Head,
        line: Option<RequestLine>,
    },
    /// A body that is collected before its request is emitted.
    Body(Box<Reader>),
    /// A body whose request was emitted with its head.
    Stream(Box<StreamReader>),
    /// An upgrade is undecided; further bytes are frames of its WebSocket, or are not read.
    Upgrade,
    /// The 101 is sent.
    Opened,
    /// The last request was read.
    Stopped,
}

pub(super) struct Reader {
    pub(super) request: ::http::Request<()>,
    pub(super) shape: Shape,
    pub(super) body: Body,
    /// A 100 must be sent once the earlier requests are answered.
    pub(super) continue_due: bool,
}

/// The request is omitted: it may have a token.
impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("shape", &self.shape).field("body", &self.body).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct StreamReader {
    pub(super) deframer: Deframer,
    /// Whether the connection serves a further request.
    pub(super) keep_alive: bool,
    /// How many more bytes the body may have.
    pub(super) room: u64,
    /// The fewest bytes a second that the peer must send; at 0 no deadline runs.
    pub(super) min_rate: u32,
    /// A 100 must be sent when it is this request's turn, unless the application answers first.
    pub(super) continue_due: bool,
    /// The bytes received in the current period, in which the peer must send enough.
    pub(super) received: u64,
    /// When the last event was emitted. While the application may still be handling it, no deadline of the peer runs.
    pub(super) emitted: Option<Moment>,
    /// The request was answered: the small rest is discarded.
    pub(super) is_discarded: bool,
}
