//! A simulation of many connections: clients and a server, on a network that is slow, cuts bytes anywhere, stalls and
//! breaks, with a clock that advances only when nothing else can happen. Everything follows from one seed.
//!
//! ```text
//!   client: Party ── End ──┐                        ┌── End ── Party :server
//!           what it sends, │ a Connection, with     │          echoes, topics, answers
//!           and receives   │ how its owner drives it│
//!                          └──── Link: two pipes ───┘
//!   client: Browser ────────────  …  ─────────────────── End ── answers
//!   client: Rude ───────────────  …  ─────────────────── End
//! ```
//!
//! `checks` and `ws_kit::oracle` verify the acting end after each step. At the end of a run, well-behaved ends must have received
//! everything they may expect, and everything must be closed.
//!
//! `SEEDS=1000000 cargo test --release -p ws-proto --test simulation` runs that many seeds. `SEED=7` runs that one and
//! prints its events, with `-- --nocapture`. `FIRST=5000` starts there. `COUNT=1` continues after a fault, and counts
//! the seeds per fault.
#![allow(unreachable_pub)] // a single crate
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // this is a test

mod answers;
mod browser;
mod checks;
mod clients;
mod content;
mod deadlines;
mod end;
mod ending;
mod flow;
mod link;
mod manner;
mod meter;
mod party;
mod rng;
mod server;
mod setting;
mod sharing;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use world::{Purpose, World};
use ws_kit::seeds::{number, panic_message};

/// Runs one test at a time with all threads, so that its allocations are its own.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn nothing_is_lost_late_or_left_over_on_any_network() {
    run(Purpose::Any, 3000);
}

#[test]
fn two_honest_ends_never_deadlock() {
    run(Purpose::Steady, 150);
}

#[test]
fn all_connections_together_stay_near_the_memory_limit() {
    run(Purpose::Memory, 60);
}

/// Runs that once failed, each with its fault.
#[test]
fn past_failures_do_not_recur() {
    let found = [
        ("a stop cuts an event stream without its last chunk", 11),
        ("a dead peer is not detected under a feed", 28),
        ("a partly written Close is sent again", 37),
        ("a Pong waits behind messages", 78),
        ("the vanished client of an endless answer is not detected", 9),
        ("a truncated HTTP/1.0 answer looks complete", 126),
        ("the code of the peer's Close is lost with the connection", 158),
        ("an answer timeout of zero stays due", 2349),
        ("the answer to a heartbeat stays due while nothing is read", 5932),
        ("an accepted answer is dropped behind an HTTP/1.0 answer without a length", 10_705),
    ];
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for (what, seed) in found {
        assert!(fault(Purpose::Any, seed).is_none(), "{what}: run it again with SEED={seed}");
    }
    let what = "output before our Close is not counted if the peer takes none";
    assert!(fault(Purpose::Memory, 5721).is_none(), "{what}: run it again with SEED=5721");
}

/// Runs this many seeds by default.
fn run(purpose: Purpose, seeds: u64) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(seed) = number("SEED") {
        return meter::alone(|| World::new(purpose, seed, true).run());
    }
    let (first, seeds) = (number("FIRST").unwrap_or(0), number("SEEDS").unwrap_or(seeds));
    if number("COUNT").is_some() {
        return count(purpose, first..first + seeds);
    }
    // A tenth of them run on a single thread, whose allocations can be attributed.
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
                    if fault(purpose, seed).is_some() {
                        next.store(last, Ordering::Relaxed);
                        panic!("run it again with SEED={seed}");
                    }
                }
            });
        }
    });
    meter::alone(|| {
        for seed in alone..last {
            assert!(fault(purpose, seed).is_none(), "run it again with SEED={seed}");
        }
    });
}

/// Reports for each fault how many seeds find it, and the first of them.
fn count(purpose: Purpose, seeds: std::ops::Range<u64>) {
    let mut faults = BTreeMap::<String, (u64, u64)>::new();
    for seed in seeds {
        if let Some(fault) = fault(purpose, seed) {
            let digits = |c: char| c.is_ascii_digit();
            let words: Vec<_> = fault.split(digits).filter(|part| !part.is_empty()).collect();
            let kind: String = words.join("_").chars().take(90).collect();
            faults.entry(kind).or_insert((0, seed)).0 += 1;
        }
    }
    for (kind, (seeds, first)) in faults {
        println!("{seeds:5} seeds, the first is {first}: {kind}");
    }
}

/// The fault found by a run, if any.
fn fault(purpose: Purpose, seed: u64) -> Option<String> {
    let fault = catch_unwind(AssertUnwindSafe(|| World::new(purpose, seed, false).run())).err()?;
    Some(panic_message(&*fault))
}
