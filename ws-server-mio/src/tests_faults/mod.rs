//! What the system may answer, and seldom does: the loop over sockets that are not real.

mod app;
mod by_hand;
mod checks;
mod clients;
mod dialling;
mod ending;
mod far_side;
mod kernel;
mod listeners;
mod peer;
mod replies;
mod rng;
mod setting;
mod socket;
mod wire;
mod world;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

thread_local! {
    /// What stands in for the system's random numbers on this thread, so that a run can be had again.
    static CHANCE: RefCell<Option<rng::Rng>> = const { RefCell::new(None) };
}

/// Any number, where a run is under way.
pub(crate) fn chance() -> Option<u32> {
    CHANCE.with_borrow_mut(|rng| rng.as_mut().map(|rng| rng.next() as u32))
}

/// Each seed is a run of its own. `SEED=7` does that one, and says what happens in it; `SEEDS=100000` does so
/// many.
fn runs(seeds: u64, run: impl Fn(u64, bool) + Sync) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("SEED") {
        return run(seed, true);
    }
    let seeds = number("SEEDS").unwrap_or(seeds);
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    thread::scope(|scope| {
        for first in 0..threads {
            let run = &run;
            scope.spawn(move || {
                for seed in (first..seeds).step_by(threads as usize) {
                    if catch_unwind(AssertUnwindSafe(|| run(seed, false))).is_err() {
                        panic!("run it again with SEED={seed}");
                    }
                }
            });
        }
    });
}

#[test]
fn whatever_the_kernel_answers_nothing_is_lost_forgotten_or_left() {
    let shelf = setting::shelf();
    runs(2000, |seed, trace| world::World::new(seed, &shelf, trace).run());
}
