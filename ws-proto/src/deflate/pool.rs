//! Idle contexts.

use super::codec::{Codec, Deflater, Effort, Inflater};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A loop uses one at a time; a few more serve fragmented messages, and loops on other threads.
const MAX_IDLE: usize = 4;

pub(crate) struct Pool {
    codec: Codec,
    idle: Mutex<Idle>,
    /// How many connections want more than their first inflate share.
    claims: AtomicUsize,
}

#[derive(Default)]
struct Idle {
    #[expect(clippy::vec_box, reason = "they are boxed in use, and only stored here")]
    inflaters: Vec<Box<Inflater>>,
    #[expect(clippy::vec_box, reason = "they are boxed in use, and only stored here")]
    deflaters: Vec<Box<Deflater>>,
}

impl Pool {
    pub(crate) fn new(codec: Codec) -> Self {
        Self { codec, idle: Mutex::default(), claims: AtomicUsize::new(0) }
    }

    pub(crate) fn inflater(&self) -> Box<Inflater> {
        let pooled = self.idle().inflaters.pop();
        pooled.unwrap_or_else(|| Box::new(Inflater::new(self.codec)))
    }

    pub(crate) fn deflater(&self, effort: Effort) -> Box<Deflater> {
        let mut idle = self.idle();
        let at = idle.deflaters.iter().position(|deflater| deflater.effort() == effort);
        let pooled = at.map(|at| idle.deflaters.swap_remove(at));
        drop(idle);
        pooled.unwrap_or_else(|| Box::new(Deflater::new(self.codec, effort)))
    }

    /// Returns an inflater to the pool, and resets it.
    pub(crate) fn keep_inflater(&self, mut inflater: Box<Inflater>) {
        inflater.forget();
        let mut idle = self.idle();
        if idle.inflaters.len() < MAX_IDLE {
            idle.inflaters.push(inflater);
        }
    }

    /// Returns a deflater to the pool, and resets it.
    pub(crate) fn keep_deflater(&self, mut deflater: Box<Deflater>) {
        deflater.forget();
        deflater.shrink();
        let mut idle = self.idle();
        if idle.deflaters.len() == MAX_IDLE {
            // Not the newest: it is of the kind in use.
            idle.deflaters.swap_remove(0);
        }
        idle.deflaters.push(deflater);
    }

    pub(super) fn claims(&self) -> usize {
        self.claims.load(Relaxed)
    }

    pub(super) fn change_claims(&self, by: isize) {
        self.claims.fetch_add(by as usize, Relaxed);
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idle = self.idle();
        write!(f, "Pool({} inflaters, {} deflaters)", idle.inflaters.len(), idle.deflaters.len())
    }
}
