//! Waiting for the kernel: in the turn itself, or by a watch.

use crate::connection::io::Readiness;
use crate::endpoint::watch::Watched;
use mio::{Events, Poll, Token};
use std::io;
use std::time::Duration;

/// What one wait can report; the kernel keeps the rest for the next.
const EVENTS: usize = 1024;

/// Where the kernel tells what is ready.
pub(crate) struct Selector {
    poll: Poll,
    ready: Events,
}

impl Selector {
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.ready, timeout) {
            // A signal: no news, and the next wait goes on.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }

    pub(crate) fn news(&self) -> impl Iterator<Item = News> {
        self.ready.iter().map(|event| News { token: event.token(), readiness: event.into() })
    }
}

/// What the kernel told, kept.
#[derive(Clone, Copy)]
pub(crate) struct News {
    pub(crate) token: Token,
    readiness: Readiness,
}

/// Who waits for the kernel, and what it told last.
pub(crate) enum Waiting {
    /// The turn.
    Here(Selector),
    /// A helper thread.
    Watched(Watched),
}

impl Waiting {
    pub(crate) fn new(poll: Poll) -> Self {
        Self::Here(Selector { poll, ready: Events::with_capacity(EVENTS) })
    }

    /// Waits for news.
    #[inline]
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Here(selector) => selector.wait(timeout),
            Self::Watched(watched) => {
                let (waited, selector) = watched.wait(timeout);
                if let Some(selector) = selector {
                    *self = Self::Here(selector);
                }
                waited
            }
        }
    }

    /// Whether the last wait brought as much as one can: the kernel may have more to tell.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Here(selector) => selector.ready.iter().nth(EVENTS - 1).is_some(),
            Self::Watched(watched) => watched.taken.len() >= EVENTS,
        }
    }

    /// Whether the last wait brought nothing.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Here(selector) => selector.ready.is_empty(),
            Self::Watched(watched) => watched.taken.is_empty(),
        }
    }

    /// What the last wait brought.
    #[inline]
    pub(crate) fn each(&self, mut hear: impl FnMut(Token, Readiness)) {
        match self {
            Self::Here(selector) => selector.news().for_each(|news| hear(news.token, news.readiness)),
            Self::Watched(watched) => watched.taken.iter().for_each(|news| hear(news.token, news.readiness)),
        }
    }

    /// A turn has drained: from here on its host is owed a wake-up, by `next` at the latest; unless there is
    /// news already, which this answers.
    #[inline]
    pub(crate) fn rest(&self, next: impl FnOnce() -> Option<Duration>) -> bool {
        match self {
            Self::Here(_) => false,
            Self::Watched(watched) => watched.shared.rest(next()),
        }
    }

    /// A panic has ended a turn: whoever caught it may not know that another is due, and is woken for it.
    #[cold]
    pub(crate) fn abandon(&self) {
        if let Self::Watched(watched) = self {
            watched.shared.abandon();
        }
    }

    /// Something was queued between turns: a host that rests is woken for it.
    #[inline]
    pub(crate) fn nudge(&self) {
        if let Self::Watched(watched) = self {
            watched.shared.nudge();
        }
    }
}
