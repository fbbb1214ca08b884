//! Waiting for the kernel.

use mio::{Events, Poll, Token};
use std::io;
use std::time::Duration;

/// The readiness of a socket, as the kernel reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// There may be bytes to read, or a connection to accept.
    pub readable: bool,
    /// It may be writable.
    pub writable: bool,
    /// The peer has ended its stream.
    pub read_closed: bool,
    /// The socket has an error.
    pub error: bool,
}

impl From<&mio::event::Event> for Readiness {
    #[inline]
    fn from(event: &mio::event::Event) -> Self {
        Self {
            readable: event.is_readable(),
            writable: event.is_writable(),
            read_closed: event.is_read_closed(),
            // mio reports a reset on Windows as the end of both halves, and only a failed connect as an error.
            error: event.is_error() || cfg!(windows) && event.is_write_closed(),
        }
    }
}

/// Replaces waiting in the kernel.
pub trait Poller: Send {
    /// Waits until something is ready, at most for `timeout`, and adds the readiness.
    ///
    /// # Errors
    /// When it cannot wait.
    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<(Token, Readiness)>) -> io::Result<()>;
}

/// The token of a wake-up from another thread.
pub const WAKER: Token = Token(usize::MAX);

/// The most events of one wait; the kernel keeps the rest for the next.
pub(crate) const EVENTS: usize = 1024;

/// The source of readiness.
pub(crate) enum Selector {
    Mio { poll: Poll, ready: Events },
    Other { poller: Box<dyn Poller>, ready: Vec<(Token, Readiness)> },
}

impl Selector {
    pub(crate) fn new(poll: Poll) -> Self {
        Self::Mio { poll, ready: Events::with_capacity(EVENTS) }
    }

    pub(crate) fn other(poller: Box<dyn Poller>) -> Self {
        Self::Other { poller, ready: Vec::new() }
    }

    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let waited = match self {
            Self::Mio { poll, ready } => poll.poll(ready, timeout),
            Self::Other { poller, ready } => {
                ready.clear();
                poller.wait(timeout, ready)
            }
        };
        match waited {
            // A signal interrupted the wait, and nothing is ready.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }

    /// The last batch.
    #[inline]
    pub(crate) fn each(&self, mut on_ready: impl FnMut(Token, Readiness)) {
        match self {
            Self::Mio { ready, .. } => ready.iter().for_each(|event| on_ready(event.token(), event.into())),
            Self::Other { ready, .. } => {
                ready.iter().for_each(|(token, readiness)| on_ready(*token, *readiness))
            }
        }
    }

    /// Whether the last batch was full: the kernel may have more.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Mio { ready, .. } => ready.iter().nth(EVENTS - 1).is_some(),
            Self::Other { ready, .. } => ready.len() >= EVENTS,
        }
    }

    /// Whether the last batch was empty.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Mio { ready, .. } => ready.is_empty(),
            Self::Other { ready, .. } => ready.is_empty(),
        }
    }
}

/// Ends a wait from another thread, the current or the next one.
pub(crate) enum Waker {
    Mio(mio::Waker),
    Other(Wake),
}

/// As [`mio::Waker::wake`].
pub type Wake = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

impl Waker {
    pub(crate) fn wake(&self) -> io::Result<()> {
        match self {
            Self::Mio(waker) => waker.wake(),
            Self::Other(wake) => wake(),
        }
    }
}
