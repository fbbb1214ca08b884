//! A request between its question and its answer.

use super::response::{self, Shape};
use crate::config::Config;
use crate::error::{Error, HandshakeError};
use crate::handshake::Token;
use ::http::Response;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;

/// A request that was read, in its place among the others.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) shape: Shape,
    pub(super) answer: Answer,
}

/// How far its answer is.
#[derive(Debug)]
pub(super) enum Answer {
    Awaited {
        token: Token,
        since: Instant,
        is_upgrade: bool,
    },
    Ready(Response<Bytes>),
    Accepted(Response<()>),
    /// The engine's own answer, after which the connection ends.
    Fault {
        error: HandshakeError,
        cause: Error,
    },
}

impl Answer {
    /// When it must be there.
    pub(super) fn deadline(&self, config: &Config) -> Option<Instant> {
        let Self::Awaited { since, is_upgrade, .. } = self else { return None };
        since.checked_add(if *is_upgrade { config.handshake_timeout } else { config.answer_timeout })
    }

    /// Whether the application has dropped the request.
    pub(super) fn is_dropped(&self) -> bool {
        matches!(self, Self::Awaited { token, .. } if Arc::strong_count(token) == 1)
    }

    /// The 503. A browser gives up the socket that it asked for, so there the connection ends.
    pub(super) fn unanswered(&mut self) {
        let error = HandshakeError::Unanswered;
        *self = match self {
            Self::Awaited { is_upgrade: true, .. } => Self::Fault { cause: error.clone().into(), error },
            _ => Self::Ready(response::error(&error)),
        };
    }
}
