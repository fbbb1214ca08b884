//! What follows a failed accept.

use core::time::Duration;
use std::io;

/// How long to wait after accepting failed for lack of a resource: an immediate retry would spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Whether accepting failed only because a peer left early; another may be waiting.
fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        Interrupted | ConnectionAborted | ConnectionReset | HostUnreachable | NetworkUnreachable
    )
}

/// Decides what an owner of listeners does after a failed accept, and which failures it reports.
///
/// ```
/// use std::{io, time::Duration};
/// use ws_host::listen::{AcceptFailures, AfterFailure};
/// # const DELAY: Duration = Duration::from_millis(100);
///
/// let mut failures = AcceptFailures::default();
/// let full = io::Error::from(io::ErrorKind::OutOfMemory); // or no descriptor left
/// assert_eq!(failures.failed(&full), AfterFailure::Wait { delay: DELAY, report: true });
/// assert_eq!(failures.failed(&full), AfterFailure::Wait { delay: DELAY, report: false });
/// failures.accepted();
/// assert_eq!(failures.failed(&full), AfterFailure::Wait { delay: DELAY, report: true });
/// ```
#[derive(Clone, Debug, Default)]
pub struct AcceptFailures {
    reported: bool,
}

/// What to do after a failed accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// Only that peer is gone: continue accepting.
    Continue,
    /// No descriptor or memory was left: until the retry, peers wait in the kernel.
    Wait {
        /// For how long to accept nothing.
        delay: Duration,
        /// Whether to report the error: the first since a connection was accepted.
        report: bool,
    },
}

impl AcceptFailures {
    /// A connection was accepted: the next failure is reported again.
    pub fn accepted(&mut self) {
        self.reported = false;
    }

    /// Accepting failed, other than by `WouldBlock`.
    pub fn failed(&mut self, error: &io::Error) -> AfterFailure {
        if is_transient(error) {
            return AfterFailure::Continue;
        }
        let report = !core::mem::replace(&mut self.reported, true);
        AfterFailure::Wait { delay: ACCEPT_RETRY, report }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_left_before_the_accept_causes_no_wait() {
        for (kind, is_one) in [
            (io::ErrorKind::ConnectionAborted, true),
            (io::ErrorKind::Interrupted, true),
            (io::ErrorKind::Other, false),
            (io::ErrorKind::OutOfMemory, false),
        ] {
            assert_eq!(is_transient(&kind.into()), is_one, "{kind}");
            let after = AcceptFailures::default().failed(&kind.into());
            assert_eq!(after == AfterFailure::Continue, is_one, "{kind}");
        }
    }

    #[test]
    fn a_peer_that_left_does_not_suppress_the_report() {
        let mut failures = AcceptFailures::default();
        let full = || io::ErrorKind::OutOfMemory.into();
        let report = |after| matches!(after, AfterFailure::Wait { report: true, .. });
        assert!(report(failures.failed(&full())));
        assert_eq!(failures.failed(&io::ErrorKind::ConnectionAborted.into()), AfterFailure::Continue);
        assert!(!report(failures.failed(&full())));
        failures.accepted();
        assert!(report(failures.failed(&full())));
    }
}
