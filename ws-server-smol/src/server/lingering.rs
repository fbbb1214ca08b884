//! WebSockets that were dropped while a stop closed them in order, for the stop to poll.

use std::mem;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

/// Polls one to its end.
pub(super) type Finish = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Those that the stop has not taken over yet.
#[derive(Default)]
pub(super) struct Lingering(Mutex<Vec<Finish>>);

impl Lingering {
    pub(super) fn add(&self, finish: Finish) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(finish);
    }

    pub(super) fn take(&self) -> Vec<Finish> {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
