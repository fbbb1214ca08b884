//! Whatever a stream does, and whenever it fails: messages that arrive are whole and in order, and without a failure
//! all of them arrive; each close is reported once; no task waits forever; and the stream is released.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

#[path = "../common/mod.rs"]
mod common;

mod asking;
mod bulk;
#[cfg(feature = "tls")]
mod ends;
mod leaving;
mod noise;
mod sides;
mod talking;
#[cfg(feature = "tls")]
mod tls;
mod unruly;

use common::Random;
use common::pipe::{End, pipe};
use sides::ServerSide;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;
use unruly::{Fate, Unruly};
use ws_kit::seeds::run_each;
#[cfg(feature = "deflate")]
use ws_server_smol::Deflate;
use ws_server_smol::{Config, Heartbeat};
use ws_server_smol::{Incoming, WebSocket};

/// The source bytes of messages and bodies.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = Random::new(0);
    (0..20_000).map(|_| b'a' + random.below(26) as u8).collect()
});

/// The content of the nth message.
fn content(n: usize, len: usize) -> &'static [u8] {
    let from = n * 131 % 10_000;
    &PATTERN[from..from + len]
}

/// Large ones would take forever through a pipe of a few bytes.
fn content_len(random: &mut Random, capacity: usize) -> usize {
    let most = random.pick(&[10, 300, 5000]);
    random.below(most.min(1 + 25 * capacity))
}

/// The marks of the outbox: low, high, and the cap.
const MARKS: [(usize, usize, usize); 3] =
    [(10, 100, 20_000), (1000, 10_000, 200_000), (64 << 10, 1 << 20, 16 << 20)];

/// Timeouts that no run reaches.
fn patient(config: Config) -> Config {
    let hour = Duration::from_secs(3600);
    let config = config.handshake_timeout(hour).keep_alive(hour).answer_timeout(hour).close_timeout(hour);
    config.output_timeout(hour).heartbeat(Heartbeat::off())
}

/// Counts of what happened in all runs together, which prove that they cover something.
#[derive(Debug, Default)]
struct Total {
    runs: usize,
    failed: usize,
    messages: usize,
    answers: usize,
}

struct Run<'t> {
    healthy: bool,
    /// The capacity of the pipe.
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

/// A pipe, and the fate of its server's end.
fn streams(
    seed: u64,
    random: &mut Random,
    fate: impl FnOnce(&mut Random) -> Fate,
) -> (End, Unruly, Fate, usize) {
    let most = random.pick(&[8, 64, 4096]);
    let capacity = 1 + random.below(most);
    let (client, server) = pipe(capacity, seed);
    let (client, server) =
        if random.below(3) == 0 { (client.holding(), server.holding()) } else { (client, server) };
    let fate = fate(random);
    let server = Unruly::new(server, fate, random.clone());
    (client, server, fate, capacity)
}

fn run(seed: u64, total: &Mutex<Total>) {
    let mut random = Random::new(seed);
    let (client, server, fate, capacity) = streams(seed, &mut random, Fate::of);
    let healthy = fate == Fate::Healthy;
    let (seed, run) = (seed * 10, Run { healthy, capacity, total });
    match random.below(5) {
        0 | 1 => talking::run(seed, client, server, &run),
        2 | 3 => asking::run(seed, client, server, &run),
        _ => noise::run(seed, client, server, &run),
    }
}

/// Runs in which applications and peers behave as users do, over faultless streams.
fn with_users(seeds: u64, run: impl Fn(u64, End, Unruly, &Run<'_>) + Sync) {
    let total = Mutex::default();
    runs(seeds, |seed| {
        let mut random = Random::new(seed ^ 0x5e75);
        let (client, server, _, capacity) = streams(seed, &mut random, |_| Fate::Healthy);
        run(seed * 10, client, server, &Run { healthy: true, capacity, total: &total });
    });
    let total = total.into_inner().unwrap();
    assert!(total.runs >= 1 && total.messages + total.answers >= total.runs / 2, "{total:?}");
}

/// How long a run waits for a timer before it counts as hanging. The longest is the delay of reading behind output: 100
/// ms, doubled five times. The rest is for a busy machine.
const TIMERS: Duration = Duration::from_secs(20);

/// The rules of users: marks from nothing to the maximum, compression in every second run.
fn users(mut config: Config, random: &mut Random) -> Config {
    let marks = random.pick(&[(0, 0, 0), (0, 1, 20_000), (usize::MAX, usize::MAX, usize::MAX)]);
    let (low, high, cap) = if random.below(4) == 0 { marks } else { random.pick(&MARKS) };
    config = config.outbox(low, high, cap);
    #[cfg(feature = "deflate")]
    if random.below(2) == 0 {
        config = config.deflate(Deflate::default());
    }
    config
}

/// The WebSocket that the client requests.
async fn accept<S: ServerSide>(side: S, config: Config) -> Option<WebSocket<S::Stream>> {
    let mut http = side.http(config).await;
    match http.next().await? {
        Incoming::Upgrade(upgrade) => http.accept(upgrade).await.ok(),
        Incoming::Request(request) => panic!("{request:?}"),
    }
}

/// Runs each seed; a failure names its seed. Returns how many ran.
fn runs(seeds: u64, run: impl Fn(u64) + Sync) -> u64 {
    // Some runs wait for a timer.
    run_each(seeds, 4, |seed, _| run(seed))
}

#[test]
fn nothing_is_lost_forgotten_or_leaked_whatever_the_stream_does() {
    let total = Mutex::default();
    let seeds = runs(2000, |seed| run(seed, &total));
    let total = total.into_inner().unwrap();
    let (runs, failed) = (total.runs, total.failed);
    if seeds > 1 {
        assert!(runs == seeds as usize && failed > runs / 5 && failed < runs / 2, "{total:?}");
        assert!(total.messages > runs && total.answers > runs, "{total:?}");
    }
}

#[test]
fn two_ends_that_both_send_never_deadlock() {
    with_users(150, bulk::run);
}

#[test]
fn a_last_message_sent_while_paused_is_received_before_the_close() {
    with_users(150, bulk::pausing);
}

#[test]
fn the_close_code_is_the_peers_whatever_fails_later() {
    with_users(150, leaving::with_a_close);
}

#[test]
fn a_peer_that_leaves_a_stream_is_detected() {
    with_users(150, leaving::a_stream);
}
