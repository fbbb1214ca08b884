//! A simulation of many connections: clients and a server, on a network that is slow, cuts bytes anywhere, stalls and
//! breaks, under a clock that moves only when nothing else is to be done. Everything follows from one seed.
//!
//! ```text
//!   client: Party ── End ──┐                        ┌── End ── Party :server
//!           what it says,  │ a Connection, with     │          echoes, topics, answers
//!           and must hear  │ how its owner treats it│
//!                          └──── Link: two pipes ───┘
//!   client: Browser ────────────  …  ─────────────────── End ── answers
//!   client: Rude ───────────────  …  ─────────────────── End
//! ```
//!
//! At each step `checks` judges the end that did something; at the end of a run whoever did nothing wrong must have
//! got all that it may expect, and everything must be over.
//!
//! `SEEDS=1000000 cargo test --release -p ws-proto --test simulation` runs so many seeds. `SEED=7` runs that one, and
//! tells what happens in it, with `-- --nocapture`. `FIRST=5000` begins there.
#![allow(unreachable_pub)] // one crate, whose modules see each other
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // this is a test

mod answers;
mod browser;
mod checks;
mod clients;
mod content;
mod end;
mod ending;
mod flow;
mod link;
mod meter;
mod party;
mod rng;
mod server;
mod setting;
mod wire;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// How many seeds are run where nobody asks for more.
const SEEDS: u64 = 3000;

#[test]
fn whatever_the_network_does_nothing_is_lost_or_late_or_left() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("SEED") {
        return meter::alone(|| world::World::new(seed, true).run());
    }
    let (first, seeds) = (number("FIRST").unwrap_or(0), number("SEEDS").unwrap_or(SEEDS));
    // A tenth of them for a single thread, of which it can be said what it allocates.
    let last = first + seeds;
    let alone = last - seeds / 10;
    let next = AtomicU64::new(first);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= alone {
                        break;
                    }
                    if !passes(seed) {
                        next.store(last, Ordering::Relaxed);
                        panic!("run it again with SEED={seed}");
                    }
                }
            });
        }
    });
    meter::alone(|| {
        for seed in alone..last {
            assert!(passes(seed), "run it again with SEED={seed}");
        }
    });
}

fn passes(seed: u64) -> bool {
    catch_unwind(AssertUnwindSafe(|| world::World::new(seed, false).run())).is_ok()
}
