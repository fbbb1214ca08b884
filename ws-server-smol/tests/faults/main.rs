//! Whatever a stream does, and whenever it fails: what was taken arrives whole and in order as far as it arrives, all of it
//! where nothing failed; each end is told once; nobody waits for ever; and the stream is let go.
#![allow(clippy::unwrap_used, clippy::panic)] // that is how a test fails

#[path = "../common/mod.rs"]
mod common;

mod asking;
mod noise;
mod talking;
mod unruly;

use common::Random;
use common::pipe::pipe;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::Duration;
use unruly::{Fate, Unruly};
use ws_server_smol::ws_proto::{Config, Heartbeat};

/// What messages and bodies are cut from.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = Random::new(0);
    (0..20_000).map(|_| b'a' + random.below(26) as u8).collect()
});

/// The content of the nth message.
fn content(n: usize, len: usize) -> &'static [u8] {
    let from = n * 131 % 10_000;
    &PATTERN[from..from + len]
}

/// Large ones do not go through a pipe of a few bytes, which would take for ever.
fn content_len(random: &mut Random, capacity: usize) -> usize {
    let most = random.pick(&[10, 300, 5000]);
    random.below(most.min(1 + 25 * capacity))
}

/// Of the outbox: the low mark, the high one, and the cap.
const MARKS: [(usize, usize, usize); 3] =
    [(10, 100, 20_000), (1000, 10_000, 200_000), (64 << 10, 1 << 20, 16 << 20)];

/// Nothing here is judged by the time it takes.
fn patient(config: Config) -> Config {
    let hour = Duration::from_secs(3600);
    let config = config.handshake_timeout(hour).keep_alive(hour).answer_timeout(hour).close_timeout(hour);
    config.output_timeout(hour).heartbeat(Heartbeat::off())
}

/// What happened in all runs together, lest they prove nothing.
#[derive(Debug, Default)]
struct Total {
    runs: usize,
    failed: usize,
    messages: usize,
    answers: usize,
}

struct Run<'t> {
    healthy: bool,
    /// Of the pipe.
    capacity: usize,
    total: &'t Mutex<Total>,
}

impl Run<'_> {
    fn total(&self, add: impl FnOnce(&mut Total)) {
        let mut total = self.total.lock().unwrap();
        total.runs += 1;
        total.failed += usize::from(!self.healthy);
        add(&mut total);
    }
}

fn run(seed: u64, total: &Mutex<Total>) {
    let mut random = Random::new(seed);
    let most = random.pick(&[8, 64, 4096]);
    let capacity = 1 + random.below(most);
    let (client, server) = pipe(capacity, seed);
    let (client, server) =
        if random.below(3) == 0 { (client.holding(), server.holding()) } else { (client, server) };
    let fate = Fate::of(&mut random);
    let server = Unruly::new(server, fate, random.clone());
    let healthy = fate == Fate::Healthy;
    let (seed, run) = (seed * 10, Run { healthy, capacity, total });
    match random.below(5) {
        0 | 1 => talking::run(seed, client, server, &run),
        2 | 3 => asking::run(seed, client, server, &run),
        _ => noise::run(seed, client, server, &run),
    }
}

/// Each seed is a run of its own. `SEED=7` does that one, `SEEDS=100000` so many.
#[test]
fn whatever_the_stream_does_nothing_is_lost_forgotten_or_left() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let total = Mutex::default();
    if let Some(seed) = number("SEED") {
        return run(seed, &total);
    }
    let seeds = number("SEEDS").unwrap_or(2000);
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    thread::scope(|scope| {
        for first in 0..threads {
            let total = &total;
            scope.spawn(move || {
                for seed in (first..seeds).step_by(threads as usize) {
                    if catch_unwind(AssertUnwindSafe(|| run(seed, total))).is_err() {
                        panic!("run it again with SEED={seed}");
                    }
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    let (runs, failed) = (total.runs, total.failed);
    assert!(runs == seeds as usize && failed > runs / 5 && failed < runs / 2, "{total:?}");
    assert!(total.messages > runs && total.answers > runs, "{total:?}");
}
