//! Holds wake-ups back while a lock is held: a waker may run application code, and own a task with all that the
//! task owns.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;

/// The lower bits are wake-ups that were held back; the upper ones count the holders.
#[derive(Debug, Default)]
pub(crate) struct Gate(AtomicU32);

const HOLDER: u32 = 1 << 8;
const WAKE_UPS: u32 = HOLDER - 1;

impl Gate {
    /// Returns whether to wake now. If not, a holder gets these wake-ups.
    pub(crate) fn passes(&self, wake_ups: u32) -> bool {
        self.0.fetch_update(SeqCst, SeqCst, |now| (now >= HOLDER).then_some(now | wake_ups)).is_err()
    }

    /// Holds all wake-ups back until the holder is dropped, which then passes to `wake` those that came meanwhile.
    /// Declare the holder before the lock that it is for, and do not nest holders.
    #[inline]
    pub(crate) fn hold<F: Fn(u32)>(&self, wake: F) -> Holder<'_, F> {
        self.0.fetch_add(HOLDER, SeqCst);
        Holder { gate: self, wake }
    }
}

pub(crate) struct Holder<'g, F: Fn(u32)> {
    gate: &'g Gate,
    wake: F,
}

impl<F: Fn(u32)> Drop for Holder<'_, F> {
    #[inline]
    fn drop(&mut self) {
        let before = self.gate.0.fetch_sub(HOLDER, SeqCst);
        if before & WAKE_UPS > 0 {
            self.wake_held_back();
        }
    }
}

impl<F: Fn(u32)> Holder<'_, F> {
    /// Other holders are on other threads, which release their locks.
    #[cold]
    fn wake_held_back(&self) {
        let wake_ups = self.gate.0.fetch_and(!WAKE_UPS, SeqCst) & WAKE_UPS;
        if wake_ups > 0 {
            (self.wake)(wake_ups);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn a_wake_up_passes_at_once_or_with_the_next_holder_that_leaves() {
        let (gate, woken) = (Gate::default(), RefCell::new(Vec::new()));
        let hold = || gate.hold(|wake_ups| woken.borrow_mut().push(wake_ups));
        assert!(gate.passes(1));
        drop(hold());
        assert_eq!(*woken.borrow(), [0; 0]);
        let (one, other) = (hold(), hold());
        assert!(!gate.passes(1) && !gate.passes(4));
        drop(one);
        assert_eq!(*woken.borrow(), [5]);
        assert!(!gate.passes(WAKE_UPS));
        drop(other);
        assert_eq!(*woken.borrow(), [5, WAKE_UPS]);
        assert!(gate.passes(1));
    }
}
