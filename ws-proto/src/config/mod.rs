//! Limits, times and rules of a connection. All limits but `message_rate` and `memory` are on by default.

pub(crate) mod heartbeat;
pub(crate) mod wall_clock;

use crate::access::Access;
use crate::access::cors::Cors;
use crate::access::head_rule::HeadRule;
use crate::access::invalid::InvalidAccess;
use crate::config::heartbeat::Heartbeat;
use crate::config::wall_clock::WallClock;
use crate::deflate::Deflate;
use crate::memory::Memory;
use alloc::sync::Arc;
use core::time::Duration;

/// What a connection allows and when it acts. One `Arc<Config>` serves any number of connections.
///
/// `x(…)` sets what `get_x()` reads. No value is rejected: a zero timeout expires at once, `Duration::MAX` never does,
/// and the greatest number is unlimited.
///
/// ```
/// use std::time::Duration;
/// use ws_proto::{Config, Heartbeat};
///
/// let config = Config::server()
///     .message_limit(1 << 20)
///     .heartbeat(Heartbeat::frequent())
///     .allow_origin("https://app.example");
/// assert_eq!(config.get_close_timeout(), Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) message_limit: u64,
    pub(crate) delivery: Delivery,
    pub(crate) head_limit: usize,
    pub(crate) header_limit: usize,
    pub(crate) target_limit: usize,
    pub(crate) body_limit: usize,
    pub(crate) pipeline_limit: usize,
    pub(crate) request_limit: u32,
    pub(crate) frame_rate: Option<u32>,
    pub(crate) message_rate: Option<u16>,
    pub(crate) drain_limit: u64,
    pub(crate) low_mark: usize,
    pub(crate) high_mark: usize,
    pub(crate) outbox_cap: usize,
    pub(crate) handshake_timeout: Duration,
    pub(crate) keep_alive: Duration,
    pub(crate) answer_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) output_timeout: Duration,
    pub(crate) min_output_rate: u32,
    pub(crate) half_close: bool,
    pub(crate) memory: Option<Memory>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) deflate: Option<Arc<Deflate>>,
    pub(crate) report_all_closes: bool,
    pub(crate) access: Access,
    pub(crate) cors: Cors,
    pub(crate) head_rule: Option<Arc<dyn HeadRule>>,
    pub(crate) wall_clock: Option<WallClock>,
}

/// A setter and a getter for each setting that is stored as given.
macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident, $get:ident: $value:ident: $type:ty;)+) => {
        impl Config {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(mut self, $value: $type) -> Self {
                    self.$name = $value;
                    self
                }

                #[doc = concat!("What [`", stringify!($name), "`](Self::", stringify!($name), ") is.")]
                pub fn $get(&self) -> $type {
                    self.$name
                }
            )+
        }
    };
}

impl Config {
    /// The defaults of a server.
    pub fn server() -> Self {
        Self {
            message_limit: 16 << 20,
            delivery: Delivery::Whole,
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
            report_all_closes: false,
            access: Access::default(),
            cors: Cors::default(),
            head_rule: None,
            wall_clock: None,
        }
    }

    /// The defaults of a client: those of a server, except for the heartbeat and how much of a rejection's body is
    /// kept.
    pub fn client() -> Self {
        let heartbeat = Heartbeat { is_default: true, ..Heartbeat::client() };
        Self { body_limit: 16 << 10, heartbeat, ..Self::server() }
    }
}

settings! {
    /// Limits a message, all fragments together, in bytes; over it the connection fails with 1009. 16 MiB.
    message_limit, get_message_limit: bytes: u64;

    /// Sets how to deliver messages that arrive in fragments. Whole.
    delivery, get_delivery: delivery: Delivery;

    /// Limits an HTTP head, request or response, in bytes (431). 32 KiB.
    head_limit, get_head_limit: bytes: usize;

    /// Limits the header fields of an HTTP head (431). 100.
    header_limit, get_header_limit: fields: usize;

    /// Limits the request target, in bytes (414). 8 KiB.
    target_limit, get_target_limit: bytes: usize;

    /// Limits an HTTP body, in bytes (413), unless it [streams](HeadRule::stream_body); for a client, how much of a rejection's body is kept. 1 MiB, client
    /// 16 KiB.
    body_limit, get_body_limit: bytes: usize;

    /// Limits the pipelined requests that wait for their answers; then reading pauses. During a streaming response,
    /// no further request is parsed; if it has no length, up to [`head_limit`](Self::head_limit) bytes are kept. 16.
    pipeline_limit, get_pipeline_limit: requests: usize;

    /// Limits the requests on one HTTP connection; the last answer closes it. 1,000.
    request_limit, get_request_limit: requests: u32;

    /// Limits the frames a second that carry nothing. Each kind is counted on its own:
    ///
    /// - Pings and Pongs together, and empty frames inside a message: over the limit the connection fails with 1008. The
    ///   first and the last frame of a message with content may be empty and do not count. Up to a minute of unused
    ///   allowance is kept for each, so up to 60 times the limit may arrive at once: what a stall held back.
    /// - Empty messages, in one frame or several: over the limit the peer is not read until the next second begins, and
    ///   nothing is lost. One passes each second even if the limit is 0.
    ///
    /// `None` means no limit, and so does 65,535 or more. 1,000.
    frame_rate, get_frame_rate: per_second: Option<u32>;

    /// Limits the messages a second from one peer, fragments included; over it the peer is not read until the next
    /// second begins, and nothing is lost. One passes each second even if the limit is 0. `None`, the default, is no
    /// limit and costs nothing; 65,535 is no limit either.
    ///
    /// ```
    /// use ws_proto::Config;
    ///
    /// assert_eq!(Config::server().get_message_rate(), None);
    /// let config = Config::server().message_rate(Some(100));
    /// assert_eq!(config.get_message_rate(), Some(100));
    /// ```
    message_rate, get_message_rate: per_second: Option<u16>;

    /// Limits the bytes to read and discard while a connection drains. 16 MiB.
    drain_limit, get_drain_limit: bytes: u64;

    /// Sets how long a server waits for the head of a request: the first one from the start of the connection, a later
    /// one from its first byte. An incomplete head then gets 408; a connection that has sent nothing ends without an
    /// answer. A socket that ignores our FIN lasts [`close_timeout`](Self::close_timeout) longer. The application must
    /// decide on an upgrade within the same time. For a client, from the start to the open connection. 10 s.
    handshake_timeout, get_handshake_timeout: time: Duration;

    /// Sets how long an HTTP connection may idle between requests. 15 s.
    keep_alive, get_keep_alive: time: Duration;

    /// Sets how long the application may take to answer a request; then 503. At the same interval, at most once a
    /// second, a streaming response is checked for a dropped body. 60 s.
    answer_timeout, get_answer_timeout: time: Duration;

    /// Sets how long the closing phase may take once our Close is written: until the peer's Close and the end of its
    /// stream. A peer that was inside a frame may finish it first, at [`min_output_rate`](Self::min_output_rate). 5 s.
    ///
    /// Before that, the peer must take the pending output, of which our Close is the last, as on an open connection: it
    /// is cut off if it takes nothing for [`output_timeout`](Self::output_timeout), or less over that time than
    /// `min_output_rate` requires; a faster one receives all of it. If `close_timeout` is longer, it applies instead. A
    /// peer that had stopped reading before the close has at least `close_timeout` from then on.
    ///
    /// So a slow peer may hold a close for as long as the pending bytes and the rest of its frame take at
    /// `min_output_rate`: at the default of 1 KiB a second, 4.6 hours for 16 MiB. At 0, one byte in each period is enough.
    /// The adapters end a connection earlier at a deadline of your own: `terminate`, and the deadline of a server's
    /// `stop`.
    close_timeout, get_close_timeout: time: Duration;

    /// Sets how long output may wait while the peer takes less than [`min_output_rate`](Self::min_output_rate)
    /// requires; then the connection ends, open or [closing](Self::close_timeout). The check runs at the end of each such
    /// period, and bytes in the kernel count as taken: a peer that takes nothing is detected within one
    /// period, one that takes too little within two. 30 s.
    ///
    /// A slow reader shows its progress in steps: the kernel of the peer announces room only after up to some 200 KB were
    /// read. A peer that reads less than about 200 KB in this time, 7 KB a second by default, may seem to take nothing
    /// for a whole period, and is closed although it reads faster than the minimum. For such peers set a longer time: at
    /// the default minimum of 1 KiB a second, 200 s.
    output_timeout, get_output_timeout: time: Duration;

    /// Sets how many bytes a second a peer must take, over [`output_timeout`](Self::output_timeout), while output is
    /// pending. 0 requires one byte in that time, also of a peer that holds a [close](Self::close_timeout). It does not
    /// help readers so slow that they show no progress in a whole period: see `output_timeout`. 1 KiB.
    min_output_rate, get_min_output_rate: bytes_per_second: u32;

    /// Sets whether a server still gives an answer without a length to a client that has ended its half of the
    /// connection. Few clients do that; for all others it is the only sign that they have stopped reading. `false`.
    half_close, get_half_close: allowed: bool;

    /// Sets whether a server reports [`Closed`](crate::Event::Closed) for every connection, including one that never
    /// sent a request (a port scanner, a browser that connects ahead of need, a client that rejects our certificate) or
    /// whose request the engine rejected itself: its text explains, for example, why a page gets 401, 403 or 404. Such
    /// a connection has no other event.
    /// `false`.
    report_all_closes, get_report_all_closes: all: bool;
}

impl Config {
    /// Sets the marks and the cap of the outbox in bytes. A low mark above the high one is clamped to it, and so is a
    /// high mark above the cap. 64 KiB, 1 MiB and 16 MiB.
    ///
    /// - When the outbox falls to the low mark after it was over the high one, it emits
    ///   [`Drained`](crate::Event::Drained).
    /// - Over the high mark a send returns [`Congested`](crate::Sent::Congested), and no further HTTP request is taken.
    /// - Over the cap a send fails with [`Full`](crate::SendError::Full); a single message always fits.
    /// - Over half of the cap, a peer that causes output is read only as fast as it takes that output. If the application
    ///   handles a message and sends 1 KiB to the same peer, the next message is delivered once the peer has taken 1 KiB,
    ///   or after 100 ms, whichever is first. Each time in a row that the peer takes nothing, the wait doubles, up to
    ///   3.2 s. After an event for which nothing was sent to this peer there is no wait.
    #[must_use]
    pub fn outbox(mut self, low_mark: usize, high_mark: usize, cap: usize) -> Self {
        self.outbox_cap = cap;
        self.high_mark = high_mark.min(cap);
        self.low_mark = low_mark.min(self.high_mark);
        self
    }

    /// The low mark of the [outbox](Self::outbox).
    pub fn get_low_mark(&self) -> usize {
        self.low_mark
    }

    /// The high mark of the [outbox](Self::outbox).
    pub fn get_high_mark(&self) -> usize {
        self.high_mark
    }

    /// The cap of the [outbox](Self::outbox).
    pub fn get_outbox_cap(&self) -> usize {
        self.outbox_cap
    }

    /// Compresses messages where the peer agrees. Off.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, deflate: Deflate) -> Self {
        self.deflate = Some(Arc::new(deflate));
        self
    }

    /// How messages are compressed where the peer agrees.
    #[cfg(feature = "deflate")]
    pub fn get_deflate(&self) -> Option<&Deflate> {
        self.deflate.as_deref()
    }

    /// Sets the memory limit that all connections of this configuration share. The adapters set it from
    /// `ServerConfig::memory_limit`. None: no common limit.
    #[must_use]
    pub fn memory(mut self, memory: Memory) -> Self {
        self.memory = Some(memory);
        self
    }

    /// The memory limit that all connections of this configuration share.
    pub fn get_memory(&self) -> Option<&Memory> {
        self.memory.as_ref()
    }

    /// Sets the heartbeat. [`Heartbeat::server`], [`Heartbeat::client`].
    #[must_use]
    pub fn heartbeat(mut self, heartbeat: Heartbeat) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// The heartbeat.
    pub fn get_heartbeat(&self) -> &Heartbeat {
        &self.heartbeat
    }

    /// Replaces all rules for `Host` and `Origin`.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// The `Host` and `Origin` rules of a server.
    pub fn get_access(&self) -> &Access {
        &self.access
    }

    /// Sets which pages may read a server's answers across origins, including its automatic answers: see [`Cors`],
    /// which has the rules. Origins that are listed individually may also open WebSockets and use every method, as with
    /// [`allow_origin`](Self::allow_origin). By default none, and the application handles OPTIONS.
    #[must_use]
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = cors;
        self
    }

    /// Which pages may read a server's answers across origins.
    pub fn get_cors(&self) -> &Cors {
        &self.cors
    }

    /// Sets a further rule of a server for the heads of requests, such as one for credentials: [`HeadRule`], which has an
    /// example. None.
    #[must_use]
    pub fn head_rule(mut self, rule: Arc<dyn HeadRule>) -> Self {
        self.head_rule = Some(rule);
        self
    }

    /// The further rule of a server for the heads of requests.
    pub fn get_head_rule(&self) -> Option<&Arc<dyn HeadRule>> {
        self.head_rule.as_ref()
    }

    /// Provides the time of day for the `Date` of a server's responses (RFC 9110 §6.6.1). None, but servers of the
    /// adapters add one if there is none, and keep it current either way.
    #[must_use]
    pub fn wall_clock(mut self, clock: WallClock) -> Self {
        self.wall_clock = Some(clock);
        self
    }

    /// The time of day for the `Date` of responses.
    pub fn get_wall_clock(&self) -> Option<&WallClock> {
        self.wall_clock.as_ref()
    }
}

/// Shortcuts for the rules of [`Access`].
impl Config {
    /// Accepts requests for this `Host` too, such as `app.example`, besides address literals and `localhost`.
    #[must_use]
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.access = self.access.allow_host(host);
        self
    }

    /// Admits pages of this origin too, such as `https://app.example`, besides pages of the server's own:
    /// [`Access::allow_origin`].
    #[must_use]
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.access = self.access.allow_origin(origin);
        self
    }

    /// Admits every HTML file of this machine that sends the origin `file://`: [`Access::allow_file_origin`].
    #[must_use]
    pub fn allow_file_origin(mut self) -> Self {
        self.access = self.access.allow_file_origin();
        self
    }

    /// Admits pages that hide their origin, as Chromium does for files: [`Access::allow_null_origin`].
    #[must_use]
    pub fn allow_null_origin(mut self) -> Self {
        self.access = self.access.allow_null_origin();
        self
    }

    /// Admits pages of every origin of this scheme, such as `moz-extension`: [`Access::allow_scheme`].
    #[must_use]
    pub fn allow_scheme(mut self, scheme: impl Into<String>) -> Self {
        self.access = self.access.allow_scheme(scheme);
        self
    }

    /// Checks that all rules for `Host`, `Origin` and CORS are valid.
    ///
    /// # Errors
    /// [`InvalidAccess`]: the first invalid rule.
    pub fn check_access(&self) -> Result<(), InvalidAccess> {
        self.access.check().and_then(|()| self.cors.check())
    }
}

/// How messages that arrive in fragments, or in one huge frame, are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Joined to whole messages: [`Event::Message`](crate::Event::Message).
    Whole,
    /// As they arrive: [`Event::Fragment`](crate::Event::Fragment). A message in one frame of at most `whole` bytes is
    /// still one [`Event::Message`](crate::Event::Message).
    Chunked {
        /// The longest frame that is joined when it is a whole message; for a compressed one, its compressed length.
        whole: u64,
    },
}
