//! What the server is reading, and until when.

use super::body::Body;
use super::head::Head;
use super::request::RequestLine;
use super::response::Shape;
use super::server::ServerHttp;
use crate::config::Config;
use crate::moment::Moment;
use crate::outbox::Outbox;
use core::fmt;
use core::time::Duration;

/// A body may take this long, and a second more for each KiB that came.
const BODY_GRACE: Duration = Duration::from_secs(5);
const BODY_RATE: u64 = 1024;

#[derive(Debug)]
pub(super) enum Reading {
    Head {
        head: Head,
        line: Option<RequestLine>,
    },
    Body(Box<Reader>),
    /// An upgrade is undecided; what comes are frames of its WebSocket, or is not read.
    Upgrade,
    /// The 101 is out.
    Opened,
    /// The last request was read.
    Stopped,
}

pub(super) struct Reader {
    pub(super) request: ::http::Request<()>,
    pub(super) shape: Shape,
    pub(super) body: Body,
    /// A 100 must be sent once the earlier requests are answered.
    pub(super) owes_continue: bool,
}

/// The request is left out: it may have a token.
impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("shape", &self.shape).field("body", &self.body).finish_non_exhaustive()
    }
}

impl ServerHttp {
    pub(super) fn reading_deadline(&self, config: &Config, out: &Outbox) -> Option<Moment> {
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
            Reading::Body(reader) if reader.owes_continue => return None,
            Reading::Body(reader) => BODY_GRACE + Duration::from_secs(reader.body.len() as u64 / BODY_RATE),
            Reading::Upgrade | Reading::Opened | Reading::Stopped => return None,
        };
        self.since.checked_add(time)
    }
}
