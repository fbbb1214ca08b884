//! WebSockets that were dropped during a closing handshake. Whatever serves or stops the server polls them to their end.

use futures_core::Stream;
use futures_util::stream::FuturesUnordered;
use std::mem;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll};

/// Polls one to its end.
pub(super) type Finish = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Shared by those that poll them. They end with the last of those.
#[derive(Default)]
pub(crate) struct Lingering {
    added: Mutex<Vec<Finish>>,
    polled: Mutex<FuturesUnordered<Finish>>,
}

impl Lingering {
    pub(super) fn add(&self, finish: Finish) {
        self.added().push(finish);
    }

    /// Polls those that are woken, and wakes this task once more of them are. Of several tasks that poll, the last is
    /// woken, so one that gives up must wake the others.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) {
        let mut polled = match self.polled.try_lock() {
            Ok(polled) => polled,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            // Another task is at it.
            Err(TryLockError::WouldBlock) => return,
        };
        loop {
            polled.extend(mem::take(&mut *self.added()));
            while let Poll::Ready(Some(())) = Pin::new(&mut *polled).poll_next(cx) {}
            // One that ends may cause another.
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
