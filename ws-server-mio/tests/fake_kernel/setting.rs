//! The environment of a run: time, rules, and a file to serve.

use super::app::{FILE, PATTERN, Shelf};
use super::rng::Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use ws_proto::Config;
use ws_proto::Moment;
use ws_server_mio::{Delivery, Folder, Heartbeat};

/// Time that passes only when advanced, and a little with every clock reading.
#[derive(Clone)]
pub(super) struct Time {
    origin: Instant,
    nanos: Arc<AtomicU64>,
    /// How far the time of day is ahead.
    wall: Arc<AtomicU64>,
    step: u64,
}

impl Time {
    pub(super) fn new(step: u64) -> Self {
        Self { origin: Instant::now(), nanos: Arc::default(), wall: Arc::default(), step }
    }

    /// The time since the first reading, as the endpoint counts it.
    pub(super) fn now(&self) -> Moment {
        Moment::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    pub(super) fn look(&self) -> Instant {
        self.origin + Duration::from_nanos(self.nanos.fetch_add(self.step, Ordering::Relaxed))
    }

    pub(super) fn advance(&self, by: Duration) {
        self.nanos.fetch_add(by.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(super) fn wall(&self) -> SystemTime {
        let nanos = self.nanos.load(Ordering::Relaxed) + self.wall.load(Ordering::Relaxed);
        SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
    }

    /// The machine sleeps for an hour.
    pub(super) fn sleep(&self) {
        self.wall.fetch_add(3_600_000_000_000, Ordering::Relaxed);
    }
}

/// The folder of the served file.
pub(super) fn shelf() -> Shelf {
    static SHELVES: AtomicU64 = AtomicU64::new(0);
    let number = SHELVES.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("ws-server-mio-shelf-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    let content = Arc::new(PATTERN[..150_000].to_vec());
    std::fs::write(path.join(FILE), &*content).unwrap();
    Shelf { folder: Folder::new(&path).unwrap().at("/file"), path, content }
}

/// The rules of connections: marks low enough to be reached, throttled floods, short timeouts.
pub(super) fn config(mut config: Config, rng: &mut Rng, hasty: bool) -> Config {
    // Its HTTP clients half-close right after the request.
    config = config.half_close(true);
    config = match rng.below(4) {
        0 => config.outbox(100, 500, 5000),
        1 => config.outbox(1000, 10_000, 200_000),
        _ => config,
    };
    if rng.percent(15) {
        config = config.message_rate(Some(rng.within(1, 20) as u16));
    }
    if rng.percent(20) {
        config = config.delivery(Delivery::Chunked { whole: rng.pick(&[0, 100, 5000]) });
    }
    if hasty {
        let mut time = || Duration::from_millis(rng.pick(&[50, 200, 1000]));
        return config
            .handshake_timeout(time())
            .keep_alive(time())
            .answer_timeout(time())
            .close_timeout(time())
            .output_timeout(time())
            .heartbeat(Heartbeat::frequent().idle(time()).pong_timeout(time()));
    }
    let hour = Duration::from_secs(3600);
    let heartbeat = if rng.percent(50) { Heartbeat::off() } else { Heartbeat::server() };
    config.keep_alive(hour).answer_timeout(hour).output_timeout(hour).heartbeat(heartbeat)
}
