//! Limits, times and rules of a connection. Every limit is on by default.

use crate::access::Access;
use crate::cors::Cors;
use crate::deflate::Deflate;
use crate::memory::Memory;
use crate::wall_clock::WallClock;
use alloc::sync::Arc;
use core::time::Duration;

/// What a connection allows and when it acts. One `Arc<Config>` serves any number of connections.
///
/// No value is refused: a time of zero is over at once, `Duration::MAX` never is, and the greatest number is no limit.
///
/// ```
/// use std::time::Duration;
/// use ws_proto::{Config, Heartbeat};
///
/// let config = Config::server()
///     .message_limit(1 << 20)
///     .heartbeat(Heartbeat::live())
///     .allow_origin("https://app.example");
/// assert_eq!(config.close_timeout, Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The longest message in bytes, pieces together; over it the connection fails with 1009. 16 MiB.
    pub message_limit: u64,
    /// How messages that come in fragments are delivered. Joined.
    pub pieces: Pieces,
    /// The most bytes of an HTTP head, request or response (431). 32 KiB.
    pub head_limit: usize,
    /// The most header fields of an HTTP head (431). 100.
    pub header_limit: usize,
    /// The longest request target (414). 8 KiB.
    pub target_limit: usize,
    /// The longest HTTP body (413); for a client, how much of a refusal's body is kept. 1 MiB, client 16 KiB.
    pub body_limit: usize,
    /// The most pipelined requests that wait for their answers; then reading pauses. Behind an answer that is given in
    /// pieces, none is taken; behind one without a length up to [`head_limit`](Self::head_limit) bytes are kept. 16.
    pub pipeline_limit: usize,
    /// The most requests on one HTTP connection; the last answer closes it. 1,000.
    pub request_limit: u32,
    /// The most frames a second that carry nothing, for each kind of them. Pings and Pongs, and empty frames amid a
    /// message: over it the connection fails with 1008. In a message with content, the first and the last frame may be
    /// empty and do not count. Messages that are empty as a whole, in one frame or several: what is over it is not read
    /// until the next second begins, and nothing is lost; one of them passes a second even where it is 0. `None` is no
    /// limit, and neither is 65,535 or more. 1,000.
    pub frame_rate: Option<u32>,
    /// The most messages a second from one peer; over it the peer is not read until the next second begins, and
    /// nothing is lost. `None` is no limit, and costs nothing. None.
    pub message_rate: Option<u16>,
    /// The most bytes that are read and discarded while a connection drains. 16 MiB.
    pub drain_limit: u64,

    /// When the outbox falls to this after it was over the high mark, `Drained` is told. 64 KiB.
    pub low_mark: usize,
    /// Over this a send answers `Congested`, and no further HTTP request is taken. 1 MiB.
    pub high_mark: usize,
    /// Over this a send is refused with `Full`; a message alone always fits. Over half of it, an event whose handling
    /// added to the outbox delays the next one until the peer has taken as much, or for 100 ms, twice as long each time
    /// in a row that it takes nothing; an event that adds nothing delays nothing. 16 MiB.
    pub outbox_cap: usize,

    /// From the first byte of a connection or of a request's head to its end; for a client, to the open
    /// connection. An upgrade must be decided in it too. 10 s.
    pub handshake_timeout: Duration,
    /// How long an HTTP connection may idle between requests. 15 s.
    pub keep_alive: Duration,
    /// How long the application may take to answer a request; then 503. So often, and once a second at the most, an
    /// answer that is given in pieces is checked for whether its body was dropped. 60 s.
    pub answer_timeout: Duration,
    /// The whole closing phase: flush, the peer's Close, draining. 5 s.
    pub close_timeout: Duration,
    /// How long output may wait while the peer takes less than [`min_output_rate`](Self::min_output_rate) asks for;
    /// then the connection ends. It is judged at the end of each such time, and what the kernel took counts as taken: a
    /// peer that takes nothing is found in that time, one that takes too little within twice of it. 30 s.
    pub output_timeout: Duration,
    /// How many bytes a second a peer must take, over [`output_timeout`](Self::output_timeout), of output that waits for
    /// it. 0 asks for a byte in that time. 1 KiB.
    pub min_output_rate: u32,
    /// Server: whether a client that has ended its half of the connection still gets an answer without a length. Few do
    /// so; of the others it is the only sign that nobody listens any more. `false`.
    pub half_close: bool,
    /// The memory that all connections of this configuration share. The adapters set it from
    /// `ServerConfig::memory_limit`. `None` is no limit for them together.
    /// None.
    pub memory: Option<Memory>,
    /// What keeps a quiet connection alive, and finds a dead peer.
    pub heartbeat: Heartbeat,

    pub(crate) deflate: Option<Arc<Deflate>>,
    /// Whether a server's [`Closed`](crate::Event::Closed) is told of every connection, also of one that never
    /// asked anything (a port scanner, a browser that connects ahead of need) or whose request was refused by the
    /// engine (a page of a strange origin, a host that is not allowed). `false`.
    pub tell_every_end: bool,
    /// Which `Host` and `Origin` a server answers.
    pub access: Access,
    /// Whose pages may read what a server answers across origins: see [`Cors`], which has the rules. Nobody, and OPTIONS
    /// is the application's.
    pub cors: Cors,
    /// The time of day for the `Date` of a server's responses; none without it. None, but servers of the adapters add
    /// one; they keep whichever there is set.
    pub wall_clock: Option<WallClock>,
}

impl Config {
    /// The defaults of a server.
    pub fn server() -> Self {
        Self {
            message_limit: 16 << 20,
            pieces: Pieces::Joined,
            head_limit: 32 << 10,
            header_limit: 100,
            target_limit: 8 << 10,
            body_limit: 1 << 20,
            pipeline_limit: 16,
            request_limit: 1_000,
            frame_rate: Some(1_000),
            message_rate: None,
            drain_limit: 16 << 20,
            low_mark: 64 << 10,
            high_mark: 1 << 20,
            outbox_cap: 16 << 20,
            handshake_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(15),
            answer_timeout: Duration::from_secs(60),
            close_timeout: Duration::from_secs(5),
            output_timeout: Duration::from_secs(30),
            min_output_rate: 1024,
            half_close: false,
            memory: None,
            heartbeat: Heartbeat::server(),
            deflate: None,
            tell_every_end: false,
            access: Access::default(),
            cors: Cors::default(),
            wall_clock: None,
        }
    }

    /// The defaults of a client: as a server's, but for the heartbeat and the kept part of a refusal's body.
    pub fn client() -> Self {
        let heartbeat = Heartbeat { is_default: true, ..Heartbeat::client() };
        Self { body_limit: 16 << 10, heartbeat, ..Self::server() }
    }

    /// Sets the longest message in bytes.
    #[must_use]
    pub fn message_limit(mut self, bytes: u64) -> Self {
        self.message_limit = bytes;
        self
    }

    /// Sets how messages that come in fragments are delivered.
    #[must_use]
    pub fn pieces(mut self, pieces: Pieces) -> Self {
        self.pieces = pieces;
        self
    }

    /// Compresses messages where the peer agrees. Without it, none are.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, deflate: Deflate) -> Self {
        self.deflate = Some(Arc::new(deflate));
        self
    }

    /// How messages are compressed where the peer agrees; `None` where they are not.
    #[cfg(feature = "deflate")]
    pub fn get_deflate(&self) -> Option<&Deflate> {
        self.deflate.as_deref()
    }

    /// Sets the longest HTTP body in bytes.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Sets the most control frames, empty frames amid messages, and empty messages that a peer may send in a second;
    /// `None` takes the limit away. Empty messages over it wait, the others end the connection.
    #[must_use]
    pub fn frame_rate(mut self, per_second: Option<u32>) -> Self {
        self.frame_rate = per_second;
        self
    }

    /// Sets the most messages that a peer may send in a second, pieces too; what is more, waits unread.
    #[must_use]
    pub fn message_rate(mut self, per_second: Option<u16>) -> Self {
        self.message_rate = per_second;
        self
    }

    /// Sets the marks and the cap of the outbox in bytes. A low mark above the high one, or a high mark above
    /// the cap, is lowered to it.
    #[must_use]
    pub fn outbox(mut self, low_mark: usize, high_mark: usize, cap: usize) -> Self {
        self.outbox_cap = cap;
        self.high_mark = high_mark.min(cap);
        self.low_mark = low_mark.min(self.high_mark);
        self
    }

    /// Sets the time for handshakes and request heads.
    #[must_use]
    pub fn handshake_timeout(mut self, time: Duration) -> Self {
        self.handshake_timeout = time;
        self
    }

    /// Sets how long an HTTP connection may idle between requests.
    #[must_use]
    pub fn keep_alive(mut self, time: Duration) -> Self {
        self.keep_alive = time;
        self
    }

    /// Sets how long the application may take to answer a request.
    #[must_use]
    pub fn answer_timeout(mut self, time: Duration) -> Self {
        self.answer_timeout = time;
        self
    }

    /// Sets the time for the whole closing phase.
    #[must_use]
    pub fn close_timeout(mut self, time: Duration) -> Self {
        self.close_timeout = time;
        self
    }

    /// Sets how long output may wait while the peer takes too little of it.
    #[must_use]
    pub fn output_timeout(mut self, time: Duration) -> Self {
        self.output_timeout = time;
        self
    }

    /// Sets how many bytes a second a peer must take of output that waits for it.
    #[must_use]
    pub fn min_output_rate(mut self, bytes_per_second: u32) -> Self {
        self.min_output_rate = bytes_per_second;
        self
    }

    /// Sets whether a client that has ended its half still gets answers without a length.
    #[must_use]
    pub fn half_close(mut self, allowed: bool) -> Self {
        self.half_close = allowed;
        self
    }

    /// Sets the memory that all connections of this configuration share.
    #[must_use]
    pub fn memory(mut self, memory: Memory) -> Self {
        self.memory = Some(memory);
        self
    }

    /// Sets the heartbeat.
    #[must_use]
    pub fn heartbeat(mut self, heartbeat: Heartbeat) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// Tells [`Closed`](crate::Event::Closed) of every connection, also of one that never asked anything, or whose
    /// request the engine refused itself: its sentence says why a page gets 403, say. It is the only event of such a
    /// one.
    #[must_use]
    pub fn tell_every_end(mut self) -> Self {
        self.tell_every_end = true;
        self
    }

    /// Sets the rules for `Host` and `Origin` whole, in place of what was allowed before: for servers that need other than
    /// those above, such as [`Access::allow_null_origin`] for HTML files in most browsers.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Sets whose pages may read what a server answers across origins, also what it answers by itself. Origins that are
    /// named one by one may also open WebSockets and use every method, as with [`allow_origin`](Self::allow_origin).
    #[must_use]
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = cors;
        self
    }

    /// Gives the time of day, so that responses can carry a `Date` (RFC 9110 §6.6.1).
    #[must_use]
    pub fn wall_clock(mut self, clock: WallClock) -> Self {
        self.wall_clock = Some(clock);
        self
    }
}

/// How messages that come in fragments, or in one huge frame, are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    /// Joined to whole messages: [`Event::Message`](crate::Event::Message).
    Joined,
    /// As they come: [`Event::Piece`](crate::Event::Piece). A message in one frame of at most `whole` bytes is
    /// still one [`Event::Message`](crate::Event::Message).
    AsTheyCome {
        /// The longest frame that is joined when it is a message by itself; of a compressed one, as it came.
        whole: u64,
    },
}

/// The frame that a heartbeat sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatKind {
    /// A Ping, which the peer must answer (RFC 6455 §5.5.2).
    Ping,
    /// An unsolicited Pong, a one-way heartbeat that nobody answers (§5.5.3).
    Pong,
}

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
    pub(crate) interval: Option<Duration>,
    pub(crate) answer: Duration,
    pub(crate) payload: bytes::Bytes,
    /// Nobody chose it.
    pub(crate) is_default: bool,
}

/// Two that do the same are equal, chosen or not.
impl PartialEq for Heartbeat {
    fn eq(&self, other: &Self) -> bool {
        let what = |one: &Self| (one.kind, one.interval, one.answer);
        what(self) == what(other) && self.payload == other.payload
    }
}

impl Eq for Heartbeat {}

impl Heartbeat {
    /// The default of a server: an empty Ping after 30 quiet minutes, answered within 30 s.
    pub fn server() -> Self {
        Self {
            kind: HeartbeatKind::Ping,
            interval: Some(Duration::from_secs(30 * 60)),
            answer: Duration::from_secs(30),
            payload: bytes::Bytes::new(),
            is_default: false,
        }
    }

    /// The default of a client: an empty one-way Pong after 30 quiet seconds. A client with a
    /// `Reconnect` policy whose heartbeat nobody chose has [`live`](Self::live) instead.
    pub fn client() -> Self {
        Self { kind: HeartbeatKind::Pong, interval: Some(Duration::from_secs(30)), ..Self::server() }
    }

    /// Keeps connections through proxies, which cut at 60 quiet seconds, and finds dead peers soon: a Ping
    /// after 25 s, answered within 20 s.
    pub fn live() -> Self {
        Self {
            kind: HeartbeatKind::Ping,
            interval: Some(Duration::from_secs(25)),
            answer: Duration::from_secs(20),
            ..Self::server()
        }
    }

    /// Whether nobody chose it: it is the default of [`Config::client`].
    pub fn is_default(&self) -> bool {
        self.is_default
    }

    /// None at all. A peer that vanishes without a word is found only when something is sent to it.
    pub fn off() -> Self {
        Self { interval: None, ..Self::server() }
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
    pub fn interval(mut self, interval: Duration) -> Self {
        self.is_default = false;
        // Without a pause, one-way Pongs would be all that is ever done.
        self.interval = Some(interval.max(SHORTEST_INTERVAL));
        self
    }

    /// Sets how long the answer to a Ping may take, a millisecond at the least.
    #[must_use]
    pub fn answer(mut self, time: Duration) -> Self {
        self.is_default = false;
        self.answer = time.max(SHORTEST_INTERVAL);
        self
    }

    /// Sets the payload; what is over the 125 bytes of a control frame (§5.5) is cut off.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<bytes::Bytes>) -> Self {
        self.is_default = false;
        self.payload = payload.into();
        self.payload.truncate(crate::frame::MAX_CONTROL_PAYLOAD);
        self
    }
}
