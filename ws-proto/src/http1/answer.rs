//! A request from its arrival to its answer.

use super::Opened;
use super::response::Shape;
use super::stream::Streamed;
use crate::access::cors::Grant;
use crate::config::Config;
use crate::error::Error;
use crate::handshake::Token;
use crate::handshake::reject;
use crate::moment::Moment;
use ::http::Response;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// A parsed request, in its place in the queue.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) shape: Shape,
    /// Which pages may read the answer.
    pub(super) grant: Grant,
    pub(super) answer: Answer,
}

/// The progress of its answer.
#[derive(Debug)]
pub(super) enum Answer {
    Awaited {
        token: Token,
        /// When the whole request had arrived.
        since: Option<Moment>,
        is_upgrade: bool,
    },
    Ready(Response<Bytes>),
    /// In its turn it is written as its chunks arrive.
    Streamed(Box<Streamed>),
    Accepted(Opened),
    /// The engine's own answer, after which the connection ends.
    Fault {
        response: Response<Bytes>,
        cause: Error,
    },
}

/// The least time between two checks whether a streaming response was dropped: a server may have many of them.
const MIN_CHECK_INTERVAL: Duration = Duration::from_secs(1);

impl Answer {
    /// When the answer is due; for a streaming one, when to check whether it was dropped.
    pub(super) fn deadline(&self, config: &Config) -> Option<Moment> {
        match self {
            Self::Awaited { since, is_upgrade: true, .. } => {
                since.as_ref()?.checked_add(config.handshake_timeout)
            }
            Self::Awaited { since, .. } => since.as_ref()?.checked_add(config.answer_timeout),
            // With a timeout of zero, one check would be due right after the other.
            Self::Streamed(streamed) => {
                streamed.checked.checked_add(config.answer_timeout.max(MIN_CHECK_INTERVAL))
            }
            _ => None,
        }
    }

    /// The deadline has passed.
    pub(super) fn time_out(&mut self, now: Moment) {
        match self {
            // It may never end; a peer that takes none of it has another deadline.
            Self::Streamed(streamed) => streamed.checked = now,
            _ => self.unanswered(),
        }
    }

    /// Whether the application has dropped the request, and it can still be answered.
    pub(super) fn is_dropped(&self) -> bool {
        match self {
            Self::Awaited { token, .. } => Arc::strong_count(token) == 1,
            Self::Streamed(streamed) => !streamed.has_begun() && streamed.is_dropped(),
            _ => false,
        }
    }

    /// Answers 503. If this was an upgrade, the connection ends as well: a browser gives up the socket that it requested.
    pub(super) fn unanswered(&mut self) {
        *self = match self {
            Self::Awaited { is_upgrade: true, .. } => {
                Self::Fault { response: reject::unanswered(), cause: Error::Unanswered }
            }
            _ => Self::Ready(reject::unanswered()),
        };
    }
}
