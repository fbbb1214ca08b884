//! Waiting for the kernel: in the turn, or in a watch.

use crate::endpoint::remote::Remote;
use crate::endpoint::watch::{Shared, Watch, Watched};
use crate::sys::poller::{EVENTS, Readiness, Selector};
use mio::Token;
use std::io;
use std::time::Duration;

/// Where the endpoint waits for the kernel, and the last batch.
pub(crate) enum Waiting {
    /// In the turn.
    Here(Selector),
    /// On a helper thread.
    Watched(Watched),
}

impl Waiting {
    pub(crate) fn new(selector: Selector) -> Self {
        Self::Here(selector)
    }

    /// Waits until something is ready.
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

    /// Whether the last batch was full: the kernel may have more.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Here(selector) => selector.is_full(),
            Self::Watched(watched) => watched.taken.len() >= EVENTS,
        }
    }

    /// Whether the last batch was empty.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Here(selector) => selector.is_empty(),
            Self::Watched(watched) => watched.taken.is_empty(),
        }
    }

    /// The last batch.
    #[inline]
    pub(crate) fn each(&self, mut on_ready: impl FnMut(Token, Readiness)) {
        match self {
            Self::Here(selector) => selector.each(on_ready),
            Self::Watched(watched) => {
                watched.taken.iter().for_each(|(token, readiness)| on_ready(*token, *readiness))
            }
        }
    }

    /// A turn has drained: the host is woken when something is ready, and by `next` at the latest. Returns
    /// whether something is ready already.
    #[inline]
    pub(crate) fn set_idle(&self, next: impl FnOnce() -> Option<Duration>) -> bool {
        match self {
            Self::Here(_) => false,
            Self::Watched(watched) => watched.shared.set_idle(next()),
        }
    }

    /// A panic has ended a turn: wakes the host, whose caller may not know that another turn is due.
    #[cold]
    pub(crate) fn abandon(&self) {
        if let Self::Watched(watched) = self {
            watched.shared.abandon();
        }
    }

    /// Work was queued between turns: wakes an idle host.
    #[inline]
    pub(crate) fn nudge(&self) {
        if let Self::Watched(watched) = self {
            watched.shared.nudge();
        }
    }
}

impl Waiting {
    pub(crate) fn watch(
        &mut self,
        remote: Remote,
        next: Option<Duration>,
        wake: impl Fn() + Send + 'static,
    ) -> io::Result<Watch> {
        if let Self::Watched(watched) = self
            && !watched.has_ended()
        {
            let error = "the endpoint is already watched; drop the other Watch first";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, error));
        }
        let (shared, thread) = Shared::begin(remote, wake)?;
        let watched = Watched { shared: shared.clone(), taken: Vec::new() };
        let (selector, batch) = match std::mem::replace(self, Self::Watched(watched)) {
            Self::Here(selector) => (Some(selector), Vec::new()),
            Self::Watched(ended) => ended.hand_over(),
        };
        Ok(shared.start(selector, batch, thread, next))
    }
}
