//! Heartbeats: they keep an idle connection alive, and detect a dead peer.

use core::time::Duration;

/// The frame that a heartbeat sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatKind {
    /// A Ping, which the peer must answer (RFC 6455 §5.5.2).
    Ping,
    /// An unsolicited Pong, a one-way heartbeat that has no answer (§5.5.3).
    Pong,
}

/// The longest payload of a control frame (§5.5).
pub(crate) const MAX_CONTROL_PAYLOAD: usize = 125;
/// At a thousand heartbeats a second, a peer with the defaults reaches its limit of control frames.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// What to send on an idle connection, and how long an answer may take.
///
/// With Pings, [`idle`](Self::idle) of 25 s and a [`pong_timeout`](Self::pong_timeout) of 20 s, which is
/// [`frequent`](Self::frequent):
///
/// - 25 s after the last byte *received* from the peer, a Ping is sent, however much is sent to the peer meanwhile.
/// - If nothing arrives for 20 s after the socket has taken the Ping, the connection ends. So a dead peer is detected
///   after 45 s. Any byte of the peer counts as an answer, not only the Pong.
/// - A peer that sends continuously gets a Ping all the same, every 100 s, four times `idle`: the Pong keeps
///   [`latency`](crate::Connection::latency) current.
/// - While reading is held back, for example by [`pause`](crate::Connection::pause), the 20 s do not run: the answer may
///   have arrived unread.
///
/// A one-way Pong with the same `idle` is sent 25 s after the last byte *written*. It has no answer, so it detects
/// nothing.
///
/// How soon a Ping reaches a peer that reads slowly depends on what the kernel queues before it: on Linux and Android
/// the adapters keep that small (`TCP_NOTSENT_LOWAT`); elsewhere it is the send buffer of the socket, which a peer must
/// read within the time for the answer.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    pub(crate) kind: HeartbeatKind,
    pub(crate) idle: Option<Duration>,
    pub(crate) pong_timeout: Duration,
    pub(crate) payload: bytes::Bytes,
    /// Not set by the application.
    pub(crate) is_default: bool,
}

/// Heartbeats with the same behaviour are equal, default or not.
impl PartialEq for Heartbeat {
    fn eq(&self, other: &Self) -> bool {
        let what = |one: &Self| (one.kind, one.idle, one.pong_timeout);
        what(self) == what(other) && self.payload == other.payload
    }
}

impl Eq for Heartbeat {}

impl Heartbeat {
    /// The default of a server: an empty Ping after 30 idle minutes, answered within 30 s.
    pub fn server() -> Self {
        Self {
            kind: HeartbeatKind::Ping,
            idle: Some(Duration::from_secs(30 * 60)),
            pong_timeout: Duration::from_secs(30),
            payload: bytes::Bytes::new(),
            is_default: false,
        }
    }

    /// The default of a client: an empty one-way Pong after 30 idle seconds. A client with a `Reconnect` policy and no
    /// heartbeat of its own uses [`frequent`](Self::frequent) instead.
    pub fn client() -> Self {
        Self { kind: HeartbeatKind::Pong, idle: Some(Duration::from_secs(30)), ..Self::server() }
    }

    /// Keeps connections open through proxies, which cut at 60 idle seconds, and detects dead peers early: a Ping after
    /// 25 s, answered within 20 s.
    pub fn frequent() -> Self {
        Self {
            kind: HeartbeatKind::Ping,
            idle: Some(Duration::from_secs(25)),
            pong_timeout: Duration::from_secs(20),
            ..Self::server()
        }
    }

    /// Whether this is the default of [`Config::client`](crate::Config::client), not set by the application.
    pub fn is_default(&self) -> bool {
        self.is_default
    }

    /// No heartbeat. A peer that vanishes silently is detected only when something is sent to it.
    pub fn off() -> Self {
        Self { idle: None, ..Self::server() }
    }

    /// Sets the frame that is sent.
    #[must_use]
    pub fn kind(mut self, kind: HeartbeatKind) -> Self {
        self.is_default = false;
        self.kind = kind;
        self
    }

    /// Sets the idle time after which it is sent, at least a millisecond.
    #[must_use]
    pub fn idle(mut self, time: Duration) -> Self {
        self.is_default = false;
        // Without a minimum, one-way Pongs would starve everything else.
        self.idle = Some(time.max(SHORTEST_INTERVAL));
        self
    }

    /// Sets how long the answer to a Ping may take, at least a millisecond.
    #[must_use]
    pub fn pong_timeout(mut self, time: Duration) -> Self {
        self.is_default = false;
        self.pong_timeout = time.max(SHORTEST_INTERVAL);
        self
    }

    /// Sets the payload, truncated to the 125 bytes of a control frame (§5.5).
    #[must_use]
    pub fn payload(mut self, payload: impl Into<bytes::Bytes>) -> Self {
        self.is_default = false;
        self.payload = payload.into();
        self.payload.truncate(MAX_CONTROL_PAYLOAD);
        self
    }
}
