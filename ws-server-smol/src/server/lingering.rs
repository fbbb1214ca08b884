//! WebSockets that were dropped during a closing handshake: `serve`, or a stop, polls them to their end.

use futures_core::Stream;
use futures_util::stream::FuturesUnordered;
use std::mem;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll};

/// Polls one of them to its end.
pub(super) type Finish = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The lingering WebSockets, shared by the tasks that poll them. They end at once when the last such task does.
#[derive(Default)]
pub(crate) struct Lingering {
    added: Mutex<Vec<Finish>>,
    polled: Mutex<FuturesUnordered<Finish>>,
}

impl Lingering {
    pub(super) fn add(&self, finish: Finish) {
        self.added().push(finish);
    }

    /// Polls those that are woken, and wakes this task when more of them are. Only the task that polled last is woken,
    /// so a task that gives up must wake the others.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) {
        let mut polled = match self.polled.try_lock() {
            Ok(polled) => polled,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            // Another task is polling them.
            Err(TryLockError::WouldBlock) => return,
        };
        loop {
            polled.extend(mem::take(&mut *self.added()));
            while let Poll::Ready(Some(())) = Pin::new(&mut *polled).poll_next(cx) {}
            // The end of one may have added another.
            if self.added().is_empty() {
                return;
            }
        }
    }

    fn added(&self) -> MutexGuard<'_, Vec<Finish>> {
        // No application code runs under this lock.
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
