//! What the server is reading.

use super::body::Body;
use super::head::Head;
use super::response::Shape;
use crate::handshake::check::RequestLine;
use core::fmt;

#[derive(Debug)]
pub(super) enum Reading {
    Head {
        head: Head,
        line: Option<RequestLine>,
    },
    Body(Box<Reader>),
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
