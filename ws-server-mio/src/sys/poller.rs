//! Waiting for the kernel.

/// What the kernel says of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) read_closed: bool,
    pub(crate) error: bool,
}

impl From<&mio::event::Event> for Readiness {
    #[inline]
    fn from(event: &mio::event::Event) -> Self {
        Self {
            readable: event.is_readable(),
            writable: event.is_writable(),
            read_closed: event.is_read_closed(),
            error: event.is_error(),
        }
    }
}

/// The token of whatever wakes a wait from another thread.
pub(crate) const WAKER: Token = Token(usize::MAX);

/// What one wait can report; the kernel keeps the rest for the next.
pub(crate) const EVENTS: usize = 1024;
use mio::Events;
use mio::Poll;
use mio::Token;
use std::io;
use std::time::Duration;

/// Where the kernel tells what is ready.
pub(crate) struct Selector {
    poll: Poll,
    ready: Events,
}

impl Selector {
    pub(crate) fn new(poll: Poll) -> Self {
        Self { poll, ready: Events::with_capacity(EVENTS) }
    }

    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.ready, timeout) {
            // A signal: no news, and the next wait goes on.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }

    /// What the last wait brought.
    #[inline]
    pub(crate) fn ready(&self) -> impl Iterator<Item = (Token, Readiness)> {
        self.ready.iter().map(|event| (event.token(), event.into()))
    }

    /// Whether it brought as much as one wait can: the kernel may have more to tell.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.ready.iter().nth(EVENTS - 1).is_some()
    }

    /// Whether it brought nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }
}
