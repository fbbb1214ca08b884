//! What keeps a quiet connection alive, and finds a dead peer.

use core::time::Duration;

/// The frame that a heartbeat sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatKind {
    /// A Ping, which the peer must answer (RFC 6455 §5.5.2).
    Ping,
    /// An unsolicited Pong, a one-way heartbeat that nobody answers (§5.5.3).
    Pong,
}

/// A control frame carries at most this (§5.5).
pub(crate) const MAX_CONTROL_PAYLOAD: usize = 125;
/// A thousand heartbeats a second are as many control frames as a peer with the defaults takes.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// What is sent on a connection that has been quiet, and how long an answer may take.
///
/// A Ping is due an interval after the last byte *heard* from the peer, whatever is sent to it meanwhile, and at the
/// latest four intervals after the last Ping, so that [`latency`](crate::Connection::latency) stays true for a peer
/// that talks all the time. A Ping that nothing answers in time ends the connection; any byte from the peer proves
/// life. The time for the answer begins when the socket has taken the Ping; while reading is held back, nothing is
/// judged.
///
/// A one-way Pong is due an interval after the last byte *written*.
///
/// How soon a Ping reaches a peer that reads slowly depends on what the kernel holds before it: on Linux and Android
/// the adapters keep that small (`TCP_NOTSENT_LOWAT`); elsewhere it is the send buffer of the socket, which a peer must
/// read within the time for the answer.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    pub(crate) kind: HeartbeatKind,
    pub(crate) idle: Option<Duration>,
    pub(crate) pong_timeout: Duration,
    pub(crate) payload: bytes::Bytes,
    /// Nobody chose it.
    pub(crate) is_default: bool,
}

/// Two that do the same are equal, chosen or not.
impl PartialEq for Heartbeat {
    fn eq(&self, other: &Self) -> bool {
        let what = |one: &Self| (one.kind, one.idle, one.pong_timeout);
        what(self) == what(other) && self.payload == other.payload
    }
}

impl Eq for Heartbeat {}

impl Heartbeat {
    /// The default of a server: an empty Ping after 30 quiet minutes, answered within 30 s.
    pub fn server() -> Self {
        Self {
            kind: HeartbeatKind::Ping,
            idle: Some(Duration::from_secs(30 * 60)),
            pong_timeout: Duration::from_secs(30),
            payload: bytes::Bytes::new(),
            is_default: false,
        }
    }

    /// The default of a client: an empty one-way Pong after 30 quiet seconds. A client with a
    /// `Reconnect` policy whose heartbeat nobody chose has [`frequent`](Self::frequent) instead.
    pub fn client() -> Self {
        Self { kind: HeartbeatKind::Pong, idle: Some(Duration::from_secs(30)), ..Self::server() }
    }

    /// Keeps connections through proxies, which cut at 60 quiet seconds, and finds dead peers soon: a Ping
    /// after 25 s, answered within 20 s.
    pub fn frequent() -> Self {
        Self {
            kind: HeartbeatKind::Ping,
            idle: Some(Duration::from_secs(25)),
            pong_timeout: Duration::from_secs(20),
            ..Self::server()
        }
    }

    /// Whether nobody chose it: it is the default of [`Config::client`](crate::Config::client).
    pub fn is_default(&self) -> bool {
        self.is_default
    }

    /// None at all. A peer that vanishes without a word is found only when something is sent to it.
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

    /// Sets the quiet time after which it is sent, a millisecond at the least.
    #[must_use]
    pub fn idle(mut self, time: Duration) -> Self {
        self.is_default = false;
        // Without a pause, one-way Pongs would be all that is ever done.
        self.idle = Some(time.max(SHORTEST_INTERVAL));
        self
    }

    /// Sets how long the answer to a Ping may take, a millisecond at the least.
    #[must_use]
    pub fn pong_timeout(mut self, time: Duration) -> Self {
        self.is_default = false;
        self.pong_timeout = time.max(SHORTEST_INTERVAL);
        self
    }

    /// Sets the payload; what is over the 125 bytes of a control frame (§5.5) is cut off.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<bytes::Bytes>) -> Self {
        self.is_default = false;
        self.payload = payload.into();
        self.payload.truncate(MAX_CONTROL_PAYLOAD);
        self
    }
}
