//! The rules of a run: how hasty it is, and what each connection allows.

use super::content::LONGEST;
use super::rng::Rng;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use ws_proto::{Config, Delivery, Heartbeat, HeartbeatKind, Memory, WallClock};

/// The rules of one end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) config: Arc<Config>,
    /// Its heartbeat, if it has one.
    pub(crate) beat: Option<Beat>,
}

#[derive(Clone, Debug)]
pub(crate) struct Beat {
    pub(crate) kind: HeartbeatKind,
    pub(crate) interval: Duration,
    /// Zero for a one-way heartbeat.
    pub(crate) answer: Duration,
}

const HOUR: Duration = Duration::from_secs(3600);
/// Longer than any delay by the network or an owner, in a run that is not hasty.
const TEN_MINUTES: Duration = Duration::from_secs(600);
const GREATEST: [Duration; 3] = [Duration::ZERO, Duration::from_millis(1), Duration::MAX];

impl Rules {
    /// Marks low enough to be reached, paced floods, chunked messages. In a hasty run timeouts are so short that slow
    /// ends are cut; otherwise only vanished ones are.
    pub(crate) fn any(base: Config, rng: &mut Rng, is_hasty: bool) -> Self {
        let mut config = match rng.below(4) {
            0 => base.outbox(100, 500, 5000),
            1 => base.outbox(1000, 10_000, 200_000),
            2 => base.outbox(0, 0, rng.pick(&[0, 300])),
            _ => base,
        };
        config = config.message_limit(2 * LONGEST as u64);
        if rng.percent(15) {
            config = config.message_rate(Some(rng.within(1, 20) as u16));
        }
        if rng.percent(25) {
            config = config.delivery(Delivery::Chunked { whole: rng.pick(&[0, 100, 5000]) });
        }
        if rng.percent(30) {
            config = config.report_all_closes(true);
        }
        if rng.percent(20) {
            config = config.pipeline_limit(rng.within(1, 3));
        }
        if rng.percent(10) {
            config = config.request_limit(rng.within(1, 4) as u32);
        }
        if rng.percent(30) {
            config = config.wall_clock(WallClock::new(SystemTime::UNIX_EPOCH));
        }
        config = config.half_close(rng.percent(50)).min_output_rate(rng.pick(&[0, 1, 1024, 1024]));
        let is_extreme = is_hasty && rng.percent(30);
        let mut time = |else_: Duration| match () {
            () if is_extreme && rng.percent(50) => rng.pick(&GREATEST),
            () if is_hasty => Duration::from_millis(rng.pick(&[50, 200, 1000, 10_000])),
            () => else_,
        };
        config = config
            .handshake_timeout(time(HOUR))
            .keep_alive(time(HOUR))
            .answer_timeout(time(HOUR))
            .close_timeout(time(HOUR))
            .output_timeout(time(HOUR));
        let (interval, answer) = (time(Duration::from_secs(60)), time(TEN_MINUTES));
        let heartbeat = Heartbeat::frequent().idle(interval).pong_timeout(answer);
        // The minimum for a heartbeat's interval and its answer.
        let (interval, answer) = (interval.max(GREATEST[1]), answer.max(GREATEST[1]));
        let mut beat = Beat { kind: HeartbeatKind::Ping, interval, answer };
        config = extended(config, rng);
        if is_extreme {
            config = extreme(config, rng);
        }
        match rng.below(4) {
            0 => Self { config: Arc::new(config.heartbeat(Heartbeat::off())), beat: None },
            1 => {
                (beat.kind, beat.answer) = (HeartbeatKind::Pong, Duration::ZERO);
                let config = config.heartbeat(heartbeat.kind(HeartbeatKind::Pong).payload("still here"));
                Self { config: Arc::new(config), beat: Some(beat) }
            }
            _ => Self { config: Arc::new(config.heartbeat(heartbeat)), beat: Some(beat) },
        }
    }
}

impl Rules {
    /// The defaults, including deadlines and heartbeats, with marks that little output reaches.
    pub(crate) fn steady(base: Config, rng: &mut Rng) -> Self {
        let mut config = match rng.below(8) {
            0..3 => base.outbox(1000, 10_000, 100_000),
            3..5 => base.outbox(4096, 65_536, 1 << 20),
            5 => base.outbox(0, 100, 20_000),
            6 => base.outbox(0, 0, 20_000),
            _ => base,
        };
        config = extended(config, rng);
        let (interval, answer) = (Duration::from_secs(25), Duration::from_secs(20));
        let heartbeat = Heartbeat::frequent().idle(interval).pong_timeout(answer);
        if rng.percent(30) {
            return Self { config: Arc::new(config.heartbeat(Heartbeat::off())), beat: None };
        }
        let beat = Some(Beat { kind: HeartbeatKind::Ping, interval, answer });
        Self { config: Arc::new(config.heartbeat(heartbeat)), beat }
    }

    /// The rules of a server with limited memory.
    pub(crate) fn sharing(rng: &mut Rng, memory: &Memory) -> Self {
        let config = Config::server().outbox(1000, 10_000, rng.pick(&[20_000, 200_000, 1 << 24]));
        let config = config.heartbeat(Heartbeat::off()).memory(memory.clone());
        Self { config: Arc::new(extended(config, rng)), beat: None }
    }

    /// Whether limits near zero turn ordinary input into a fault.
    pub(crate) fn is_unfair(&self) -> bool {
        self.config.get_frame_rate().is_some_and(|limit| limit <= 1) || self.config.get_message_limit() <= 1
    }

    /// The timeouts.
    pub(crate) fn times(&self) -> [Duration; 6] {
        let config = &self.config;
        let answer = self.beat.as_ref().map_or(HOUR, |beat| beat.answer);
        [
            config.get_handshake_timeout(),
            config.get_answer_timeout(),
            config.get_close_timeout(),
            config.get_keep_alive(),
            config.get_output_timeout(),
            answer,
        ]
    }
}

/// Zero, one, and unlimited.
fn extreme(usual: Config, rng: &mut Rng) -> Config {
    let mut limit = |usual: usize| rng.pick(&[usual, usual, 0, 1, usize::MAX]);
    let config = usual
        .clone()
        .message_limit(limit(usual.get_message_limit() as usize) as u64)
        .head_limit(limit(usual.get_head_limit()))
        .header_limit(limit(usual.get_header_limit()))
        .target_limit(limit(usual.get_target_limit()))
        .body_limit(limit(usual.get_body_limit()))
        .pipeline_limit(limit(usual.get_pipeline_limit()).min(1000))
        .request_limit(limit(usual.get_request_limit() as usize) as u32)
        .min_output_rate(limit(usual.get_min_output_rate() as usize) as u32)
        .drain_limit(limit(usual.get_drain_limit() as usize) as u64);
    config
        .message_rate(rng.pick(&[usual.get_message_rate(), Some(0), Some(1), Some(u16::MAX)]))
        .frame_rate(rng.pick(&[usual.get_frame_rate(), Some(0), Some(1), Some(u32::MAX)]))
}

/// In every second run an end is willing to compress: if both are, and agree, they do.
#[cfg(feature = "deflate")]
fn extended(config: Config, rng: &mut Rng) -> Config {
    if rng.percent(50) {
        return config;
    }
    let mut deflate = ws_proto::Deflate::new()
        .threshold(rng.pick(&[0, 64, 1000]))
        .level(rng.pick(&[1, 6]))
        .context_takeover(rng.percent(70))
        .peer_context_takeover(rng.percent(70))
        .window_bits(rng.within(9, 15) as u8)
        .peer_window_bits(rng.within(9, 15) as u8)
        .release_after(Duration::from_millis(rng.pick(&[1, 100, 30_000])));
    if rng.percent(20) {
        // So low that it paces, and enough for the longest message within about a second.
        deflate = deflate.inflate_rate(Some(100_000));
    }
    config.deflate(deflate)
}

#[cfg(feature = "deflate")]
impl Rules {
    /// Whether it is willing to compress.
    pub(crate) fn may_compress(&self) -> bool {
        self.config.get_deflate().is_some()
    }
}

#[cfg(not(feature = "deflate"))]
impl Rules {
    pub(crate) fn may_compress(&self) -> bool {
        false
    }
}

#[cfg(not(feature = "deflate"))]
fn extended(config: Config, _rng: &mut Rng) -> Config {
    config
}
