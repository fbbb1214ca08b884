//! Work from other threads.

use crate::connection::Connections;
use crate::sys::poller::Waker;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A closure from another thread, to run in the loop.
pub(crate) type Job = Box<dyn FnOnce(&mut Connections) + Send>;

/// A handle for other threads: it runs closures on the endpoint's thread, with access to its connections.
///
/// Jobs run at the start of a turn, in order of arrival, and within the turn's budget. Queueing
/// one costs a system call only if the queue was empty. The queue is unbounded: a thread that
/// produces faster than the loop sends should check what [`Connections::send`] returns.
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// use ws_server_mio::{Endpoint, Frame};
///
/// let mut endpoint = Endpoint::new()?;
/// let remote = endpoint.remote();
/// std::thread::spawn(move || {
///     let news = Frame::text("computed elsewhere");
///     let _ = remote.run(move |connections| {
///         connections.broadcast(&news);
///     });
/// });
/// endpoint.run(|_connections, _event| {})
/// # }
/// ```
#[derive(Clone)]
pub struct Remote {
    shared: Arc<Shared>,
}

struct Shared {
    /// `None` once the endpoint is gone.
    jobs: Mutex<Option<Vec<Job>>>,
    waker: Waker,
}

/// The endpoint of this handle is gone; the job will not run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EndpointGone;

ws_proto::debug_is_display!(EndpointGone);

impl fmt::Display for EndpointGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the endpoint is gone")
    }
}

impl std::error::Error for EndpointGone {}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

impl Remote {
    pub(crate) fn new(waker: Waker) -> Self {
        Self { shared: Arc::new(Shared { jobs: Mutex::new(Some(Vec::new())), waker }) }
    }

    /// Runs a job on the endpoint's thread at the start of its next turn.
    ///
    /// # Errors
    /// [`EndpointGone`]: the endpoint was dropped.
    pub fn run(&self, job: impl FnOnce(&mut Connections) + Send + 'static) -> Result<(), EndpointGone> {
        let first = {
            let mut jobs = self.jobs();
            let Some(jobs) = jobs.as_mut() else { return Err(EndpointGone) };
            jobs.push(Box::new(job));
            jobs.len() == 1
        };
        if first {
            // The job is queued either way; if the wake-up fails, the next turn runs it.
            let _ = self.shared.waker.wake();
        }
        Ok(())
    }

    pub(crate) fn wake(&self) -> io::Result<()> {
        self.shared.waker.wake()
    }

    pub(crate) fn has_jobs(&self) -> bool {
        self.jobs().as_ref().is_some_and(|jobs| !jobs.is_empty())
    }

    /// Moves all jobs to `into`.
    pub(crate) fn take(&self, into: &mut impl Extend<Job>) {
        if let Some(jobs) = self.jobs().as_mut() {
            into.extend(jobs.drain(..));
        }
    }

    /// The endpoint is being dropped.
    pub(crate) fn end(&self) {
        let jobs = self.jobs().take();
        // Dropped after the lock is released: a job may own another handle.
        drop(jobs);
    }

    fn jobs(&self) -> MutexGuard<'_, Option<Vec<Job>>> {
        // No job runs under the lock, so that a panic cannot leave the queue half changed.
        self.shared.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
