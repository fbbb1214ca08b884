//! How an application and its peers behave in a run: as users do, or worse.

use super::bulk::{Bulk, Until};
use super::layer::Layers;
use super::rng::Rng;
use std::time::Duration;
use ws_proto::Config;
use ws_server_mio::{Delivery, Heartbeat};

/// What they do besides echoing, closing and misbehaving; nothing by default.
#[derive(Clone, Debug, Default)]
pub(super) struct Behaviour {
    /// Any of the variants below.
    pub(super) users: bool,
    /// Both ends send a lot, using only `send`.
    pub(super) bulk: bool,
    /// The server sends more at each `Drained`, until a peer requests a stop.
    pub(super) refill: bool,
    /// Feeds that are faster than heartbeats, to peers that die.
    pub(super) feed: bool,
    /// Event streams, endless logs, and peers that leave them.
    pub(super) streams: bool,
    /// A stop while responses are pending, some of them late.
    pub(super) stops: bool,
    /// Peers that send a Close, and vanish.
    pub(super) farewells: bool,
    /// The application pauses reading.
    pub(super) pauses: bool,
    /// Slow handlers.
    pub(super) slow: bool,
    /// Handlers panic, and the application catches it.
    pub(super) panics: bool,
    /// Settings at their extremes.
    pub(super) extremes: bool,
    /// A limit on the memory of all connections together.
    pub(super) memory: Option<usize>,
    /// What all speak through.
    pub(super) layers: Option<Layers>,
}

impl Behaviour {
    /// Any combination.
    pub(super) fn mixed(rng: &mut Rng) -> Self {
        let mut some = || rng.percent(40);
        Self {
            users: true,
            bulk: some(),
            refill: false,
            feed: some(),
            streams: some(),
            stops: some(),
            farewells: some(),
            pauses: some(),
            slow: some(),
            panics: false,
            extremes: false,
            memory: None,
            layers: None,
        }
    }

    /// The rules of a server or a client. They end no connection of an honest peer.
    pub(super) fn config(&self, mut config: Config, rng: &mut Rng) -> Config {
        let weeks = Duration::from_secs(2_000_000);
        let minute = Duration::from_secs(60);
        config =
            config.keep_alive(weeks).answer_timeout(weeks).handshake_timeout(minute).close_timeout(minute);
        config = match rng.below(5) {
            0 => config.outbox(100, 500, 5000),
            1 => config.outbox(1000, 10_000, 200_000),
            2 => config.outbox(20_000, 100_000, 400_000),
            3 => config.outbox(0, 0, 1 << 20),
            _ if self.memory.is_some() => config.outbox(50_000, 100_000, 16 << 20),
            // The default outbox takes long to refill again and again.
            _ if self.refill => config.outbox(64 << 10, 256 << 10, 1 << 20),
            _ => config,
        };
        if rng.percent(20) {
            config = config.delivery(Delivery::Chunked { whole: rng.pick(&[0, 100, 5000]) });
        }
        if self.extremes {
            config = extremes(config, rng);
        }
        #[cfg(feature = "deflate")]
        if rng.percent(50) {
            config = config.deflate(ws_server_mio::Deflate::default());
        }
        config
    }

    /// The heartbeat of the server: its interval, and its Pong timeout.
    pub(super) fn heartbeat(&self, rng: &mut Rng) -> Option<(Duration, Duration)> {
        let seconds = |interval, answer| Some((Duration::from_secs(interval), Duration::from_secs(answer)));
        // A loop whose handlers take a second must not expect Pongs within a second.
        let is_quick = self.feed && !self.slow;
        match rng.below(5) {
            0 if is_quick => seconds(1, 1),
            1 if is_quick => seconds(5, 2),
            2 | 3 => seconds(25, 20),
            4 => seconds(30 * 60, 30),
            _ => None,
        }
    }

    /// What an end sends in bulk; sometimes nothing.
    pub(super) fn bulk_of(&self, rng: &mut Rng, most: usize) -> Option<Bulk> {
        if !self.bulk || rng.percent(20) {
            return None;
        }
        let len = rng.pick(&[20, 1000, 20_000, 65_536]).min(most);
        let total = if self.memory.is_some() || rng.percent(5) {
            1_500_000
        } else {
            rng.pick(&[50_000, 150_000, 400_000])
        };
        let total = total.min(most * 20);
        let until = rng.pick(&[Until::Never, Until::Congested, Until::Full]);
        Some(Bulk::new(until, len, (total / len).min(400)))
    }
}

/// What is sent until a stop is requested.
pub(super) fn refills(rng: &mut Rng, most: usize) -> Bulk {
    let until = rng.pick(&[Until::Congested, Until::Full]);
    Bulk::new(until, rng.pick(&[1000, 20_000]).min(most), usize::MAX)
}

/// The heartbeat of these settings: its interval, and its Pong timeout.
pub(super) fn ping(beat: Option<(Duration, Duration)>) -> Heartbeat {
    match beat {
        Some((interval, answer)) => Heartbeat::frequent().idle(interval).pong_timeout(answer),
        None => Heartbeat::off(),
    }
}

/// Settings at 0, at 1 and at their maximum.
fn extremes(mut config: Config, rng: &mut Rng) -> Config {
    let mut size = || rng.pick(&[0, 1, usize::MAX]);
    config = config.outbox(size(), size(), size());
    config = config.pipeline_limit(size().max(1));
    config = config.drain_limit(u64::MAX);
    if rng.percent(30) {
        config = config.message_rate(Some(rng.pick(&[100, u16::MAX])));
    }
    // A throttled peer reads little in a second.
    config = config.min_output_rate(0);
    if rng.percent(30) {
        config = config.output_timeout(Duration::MAX);
    }
    config
}
