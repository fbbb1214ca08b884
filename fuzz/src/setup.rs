//! Configurations from four bytes of an input.

use crate::input::{Input, pick};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use ws_proto::{
    Access, Config, Delivery, HeadRule, Heartbeat, HeartbeatKind, RequestError, RequestHead, Role, WallClock,
};

/// The seed of a client's masking keys, and so of its `Sec-WebSocket-Key`: the same in every run.
pub(crate) const SEED: [u8; 32] = *b"the same key in each of the runs";

/// A client, as a [`Role`].
pub(crate) const CLIENT: Role = Role::Client { seed: SEED };

/// How a connection starts, and what it allows.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) config: Config,
    /// It starts open, without a handshake.
    pub(crate) is_upgraded: bool,
    pub(crate) end: End,
    /// The application echoes every message.
    pub(crate) echoes: bool,
}

/// What follows once the peer has sent everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Eof,
    /// Nothing more arrives, and no output is taken.
    Silence,
    Reset,
    /// The application closes, and the peer does not answer.
    Closes,
}

impl Setup {
    /// Zeros give the defaults, with an echoing application and a peer that ends.
    pub(crate) fn new(base: Config, input: &mut Input<'_>) -> Self {
        let [messages, http, times, rest] = [0; 4].map(|_| input.byte());
        let (kind, interval) = (HeartbeatKind::Ping, Duration::from_secs(2));
        let ping = Heartbeat::frequent().kind(kind).idle(interval).pong_timeout(interval).payload("there?");
        let pong = ping.clone().kind(HeartbeatKind::Pong);

        let mut config = base.clone();
        config = config.message_limit(pick(messages, 0, [base.get_message_limit(), 16, 300, 70_000]));
        let chunked = |whole| Delivery::Chunked { whole };
        let delivery = [Delivery::Whole, chunked(0), chunked(10), chunked(u64::MAX)];
        config = config.delivery(pick(messages, 2, delivery));
        let marks = (base.get_low_mark(), base.get_high_mark(), base.get_outbox_cap());
        let (low, high, cap) = pick(messages, 4, [marks, (0, 0, 0), (10, 100, 1000), (1000, 1000, 70_000)]);
        config = config.outbox(low, high, cap);
        config = config.frame_rate(pick(messages, 6, [base.get_frame_rate(), None, Some(1), Some(20)]));

        let heads = (base.get_head_limit(), base.get_header_limit(), base.get_target_limit());
        let (head, fields, target) = pick(http, 0, [heads, (0, 0, 0), (200, 8, 20), (1000, 20, 100)]);
        config = config.head_limit(head).header_limit(fields).target_limit(target);
        config = config.body_limit(pick(http, 2, [base.get_body_limit(), 0, 10, 1000]));
        config = config.pipeline_limit(pick(http, 4, [base.get_pipeline_limit(), 0, 1, 2]));
        config = config.request_limit(pick(http, 6, [base.get_request_limit(), 0, 1, 2]));

        config = config.message_rate(pick(times, 0, [None, Some(0), Some(1), Some(3)]));
        config =
            config.heartbeat(pick(times, 2, [base.get_heartbeat(), &Heartbeat::off(), &ping, &pong]).clone());
        config = config.report_all_closes(times & 0x10 != 0);
        if times & 0x20 != 0 {
            config = config.access(any_access());
        }
        if times & 0x40 != 0 {
            config = config.wall_clock(WallClock::new(SystemTime::UNIX_EPOCH));
        }
        if rest & 0x10 != 0 {
            config = config.drain_limit(100);
        }
        if rest & 0x20 != 0 {
            config = config.head_rule(Arc::new(Streaming(pick(http, 2, [u64::MAX, 0, 10, 1000]))));
        }
        Self {
            config,
            is_upgraded: times & 0x80 != 0,
            end: pick(rest, 0, [End::Eof, End::Silence, End::Reset, End::Closes]),
            echoes: rest & 4 == 0,
        }
    }
}

/// All bodies are streaming, up to this many bytes.
#[derive(Debug)]
pub(crate) struct Streaming(pub(crate) u64);

impl HeadRule for Streaming {
    fn check(&self, _: &RequestHead<'_>) -> Result<(), RequestError> {
        Ok(())
    }

    fn stream_body(&self, _: &RequestHead<'_>) -> Option<u64> {
        Some(self.0)
    }
}

pub(crate) fn any_access() -> Access {
    Access::default().allow_any_host().allow_any_origin().allow_null_origin()
}

/// A configuration that rejects only protocol violations.
pub(crate) fn lenient(base: Config) -> Config {
    let mut config = base.message_limit(u64::MAX).frame_rate(None).heartbeat(Heartbeat::off());
    config = config.access(any_access());
    config
}

/// An answer with only a body.
pub(crate) fn answer(body: impl Into<Bytes>) -> http::Response<Bytes> {
    http::Response::new(body.into())
}
