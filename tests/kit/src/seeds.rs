//! Runs seeds, and reports those that fail.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

/// `SEED`, `SEEDS` and the like, from the environment.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// The message of a panic; empty if it is not text.
pub fn panic_message(cause: &(dyn Any + Send)) -> String {
    let fixed = cause.downcast_ref::<&str>().map(ToString::to_string);
    cause.downcast_ref::<String>().cloned().or(fixed).unwrap_or_default()
}

/// Runs each of the first `seeds` seeds separately, and returns how many ran. `SEED=7` runs only that one, and traces
/// it; `SEEDS=100000` runs that many; `COUNT=1` runs all despite failures, and counts the failures by kind.
#[expect(clippy::print_stdout, reason = "the failures that were counted, on request")]
pub fn run_each(seeds: u64, threads_per_core: u64, run: impl Fn(u64, bool) + Sync) -> u64 {
    if let Some(seed) = number("SEED") {
        run(seed, true);
        return 1;
    }
    let seeds = number("SEEDS").unwrap_or(seeds);
    let counts = number("COUNT").is_some();
    let failures = Mutex::new(BTreeMap::<String, Vec<u64>>::new());
    let threads = threads_per_core * thread::available_parallelism().map_or(1, usize::from) as u64;
    thread::scope(|scope| {
        for first in 0..threads {
            let (run, failures) = (&run, &failures);
            scope.spawn(move || {
                for seed in (first..seeds).step_by(threads as usize) {
                    let Err(cause) = catch_unwind(AssertUnwindSafe(|| run(seed, false))) else { continue };
                    assert!(counts, "run it again with SEED={seed}");
                    let text = panic_message(&*cause);
                    // Failures of one kind differ in their numbers.
                    let kind = text.lines().next().unwrap_or("").replace(|c: char| c.is_ascii_digit(), "");
                    failures.lock().unwrap().entry(kind).or_default().push(seed);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    for (kind, seeds) in &failures {
        println!("{} times, such as with {:?}: {kind}", seeds.len(), &seeds[..seeds.len().min(8)]);
    }
    assert!(failures.is_empty());
    seeds
}
