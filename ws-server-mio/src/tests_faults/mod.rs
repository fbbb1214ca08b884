//! What the system may answer, and seldom does: the loop over sockets that are not real.

mod app;
mod by_hand;
mod checks;
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

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

/// Each seed is a run of its own. `SEED=7` does that one, and says what happens in it; `SEEDS=100000` does so
/// many.
#[test]
fn whatever_the_kernel_answers_nothing_is_lost_forgotten_or_left() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let shelf = setting::shelf();
    if let Some(seed) = number("SEED") {
        return world::World::new(seed, &shelf, true).run();
    }
    let seeds = number("SEEDS").unwrap_or(2000);
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    thread::scope(|scope| {
        for first in 0..threads {
            let shelf = &shelf;
            scope.spawn(move || {
                for seed in (first..seeds).step_by(threads as usize) {
                    let run = || world::World::new(seed, shelf, false).run();
                    if catch_unwind(AssertUnwindSafe(run)).is_err() {
                        panic!("run it again with SEED={seed}");
                    }
                }
            });
        }
    });
}
