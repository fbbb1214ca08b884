//! The settings of compression, and the terms that both ends agree on.

#[cfg(feature = "deflate")]
use super::codec::Codec;
use super::pool::Pool;
use alloc::sync::Arc;
use core::ops::RangeInclusive;
use core::time::Duration;

/// zlib cannot compress with a window of 256 bytes.
const OUR_BITS: RangeInclusive<u8> = 9..=15;
const PEER_BITS: RangeInclusive<u8> = 8..=15;

/// How to compress messages, what to negotiate with the peer, and what its messages may cost.
///
/// Three presets serve most programs: [`chat`](Self::chat), [`large_json`](Self::large_json) and
/// [`many_idle`](Self::many_idle). `get_x` reads each setting `x`. [The module](crate::deflate#memory) documents what a
/// connection holds, and when.
///
/// Clones share a small pool of idle contexts.
///
/// Never compress a message with a secret together with a stranger's text, in the same message or, with context
/// takeover, in any other message of the connection: lengths reveal the secret (CRIME, BREACH). Send it as a
/// [`Frame`](crate::Frame) [without compression](crate::Frame::without_compression), or [decline
/// compression](crate::Upgrade::decline_compression) for the whole connection.
///
/// ```
/// # #[cfg(feature = "deflate")] {
/// use ws_proto::{Config, Deflate};
///
/// let settings = Deflate::new().level(3).threshold(256).peer_context_takeover(false);
/// assert_eq!(settings.get_threshold(), 256);
/// let config = Config::server().deflate(settings);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Deflate {
    pub(super) level: u8,
    pub(super) memory_level: u8,
    pub(super) threshold: usize,
    pub(super) ours: Direction,
    pub(super) theirs: Direction,
    pub(super) ratio_limit: Option<u32>,
    pub(super) inflate_rate: Option<u64>,
    pub(super) release_after: Duration,
    pub(super) pool: Arc<Pool>,
}

/// The terms for the messages of one side (RFC 7692 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction {
    /// Whether a message may refer to earlier ones (§7.1.1).
    pub context_takeover: bool,
    /// The base-two logarithm of the window, 8 to 15 (§7.1.2): how far back a message refers.
    pub window_bits: u8,
}

/// What both ends agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// For what we send.
    pub ours: Direction,
    /// For what the peer sends.
    pub theirs: Direction,
}

#[cfg(feature = "deflate")]
impl Default for Deflate {
    fn default() -> Self {
        Self::new()
    }
}

// Without the feature there is no codec, and so there are no settings.
/// Presets, named for their use.
#[cfg(feature = "deflate")]
impl Deflate {
    /// Level 6, the whole window and context takeover both ways, from 64 bytes on.
    pub fn new() -> Self {
        let full = Direction { context_takeover: true, window_bits: 15 };
        Self {
            level: 6,
            memory_level: 6,
            threshold: 64,
            ours: full,
            theirs: full,
            ratio_limit: None,
            inflate_rate: Some(64 << 20),
            release_after: Duration::from_secs(30),
            pool: Arc::new(Pool::new(Codec)),
        }
    }

    /// Many small, similar messages: context takeover, at the fastest level, and a window of 8 KiB for ours, which
    /// holds the last few dozen. In a room that sends everything to everyone, each message is compressed
    /// independently, since it is compressed once for all.
    pub fn chat() -> Self {
        Self::new().level(1).window_bits(13).memory_level(4)
    }

    /// Few large documents: level 6, from 1 KiB on, and no memory between them, since each contains its own
    /// repetitions.
    pub fn large_json() -> Self {
        Self::new().level(6).threshold(1024).context_takeover(false).peer_context_takeover(false)
    }

    /// Thousands of connections of which few send at a time: each message independently, by shared contexts,
    /// from 256 bytes on. An idle connection holds nothing. It is [`large_json`](Self::large_json) for shorter
    /// messages.
    pub fn many_idle() -> Self {
        Self::new().threshold(256).context_takeover(false).peer_context_takeover(false)
    }
}

/// Settings and their getters.
impl Deflate {
    /// Sets the compression effort, clamped to 1 (fast) to 9 (small). 6.
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = level.clamp(1, 9);
        self
    }

    /// The compression effort, 1 to 9.
    pub fn get_level(&self) -> u8 {
        self.level
    }

    /// Sets zlib's memory level for compressing, clamped to 1 to 9. 6.
    #[must_use]
    pub fn memory_level(mut self, level: u8) -> Self {
        self.memory_level = level.clamp(1, 9);
        self
    }

    /// zlib's memory level for compressing, 1 to 9.
    pub fn get_memory_level(&self) -> u8 {
        self.memory_level
    }

    /// Sets the shortest message to compress, in bytes. [`Frame::with_compression`](crate::Frame::with_compression) and
    /// [`Frame::without_compression`](crate::Frame::without_compression) override it for one message. 64.
    #[must_use]
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// The shortest message to compress, in bytes.
    pub fn get_threshold(&self) -> usize {
        self.threshold
    }

    /// Sets whether our messages refer to earlier ones: smaller messages, for memory that each connection holds. `true`.
    #[must_use]
    pub fn context_takeover(mut self, takeover: bool) -> Self {
        self.ours.context_takeover = takeover;
        self
    }

    /// Whether our messages refer to earlier ones.
    pub fn get_context_takeover(&self) -> bool {
        self.ours.context_takeover
    }

    /// Sets whether the peer's messages may refer to earlier ones. `false` requests that they do not; then the
    /// connection holds nothing for it between messages. `true`.
    #[must_use]
    pub fn peer_context_takeover(mut self, takeover: bool) -> Self {
        self.theirs.context_takeover = takeover;
        self
    }

    /// Whether the peer's messages may refer to earlier ones.
    pub fn get_peer_context_takeover(&self) -> bool {
        self.theirs.context_takeover
    }

    /// Sets the window of our messages, as the base-two logarithm, clamped to 9 to 15. A peer that requests a smaller
    /// one gets it. 15.
    #[must_use]
    pub fn window_bits(mut self, bits: u8) -> Self {
        self.ours.window_bits = bits.clamp(*OUR_BITS.start(), *OUR_BITS.end());
        self
    }

    /// The window of our messages, as the base-two logarithm, 9 to 15.
    pub fn get_window_bits(&self) -> u8 {
        self.ours.window_bits
    }

    /// Sets the window that the peer's messages may have, as the base-two logarithm, clamped to 8 to 15. A server does
    /// not compress for a client that could use more and does not offer to use less (Firefox); a client only requests
    /// it. 15.
    #[must_use]
    pub fn peer_window_bits(mut self, bits: u8) -> Self {
        self.theirs.window_bits = bits.clamp(*PEER_BITS.start(), *PEER_BITS.end());
        self
    }

    /// The window that the peer's messages may have, as the base-two logarithm, 8 to 15.
    pub fn get_peer_window_bits(&self) -> u8 {
        self.theirs.window_bits
    }

    /// Sets how many times its compressed size a message may reach, once it is over 1 MiB; over it the connection fails
    /// with 1009. Deflate reaches 1,032, and honest peers 700 or more, with a blank canvas. `None`, the default, allows
    /// that, and stops at 2,000 only streams that restart again and again; the message limit, the [inflate
    /// rate](Self::inflate_rate) and the server's memory limit then bound what a peer costs.
    #[must_use]
    pub fn ratio_limit(mut self, ratio: Option<u32>) -> Self {
        self.ratio_limit = ratio;
        self
    }

    /// How many times its compressed size a message over 1 MiB may reach.
    pub fn get_ratio_limit(&self) -> Option<u32> {
        self.ratio_limit
    }

    /// Sets how many bytes a second one peer's messages may inflate to, including the work of restarted streams. A peer
    /// over it is not read until the next second begins, and nothing is lost. Below it, peers take turns: see
    /// [`Shares::begin`](crate::Shares::begin). `None` is no limit, and neither is 4 GiB or
    /// more. 64 MiB.
    #[must_use]
    pub fn inflate_rate(mut self, bytes_per_second: Option<u64>) -> Self {
        self.inflate_rate = bytes_per_second;
        self
    }

    /// How many bytes a second one peer's messages may inflate to.
    pub fn get_inflate_rate(&self) -> Option<u64> {
        self.inflate_rate
    }

    /// Sets how long after its last compressed message a connection releases its contexts. Ours restarts; of the
    /// peer's, whose messages may refer to earlier ones, the connection keeps only the window's bytes. 30 s.
    #[must_use]
    pub fn release_after(mut self, time: Duration) -> Self {
        self.release_after = time;
        self
    }

    /// How long after its last compressed message a connection releases its contexts.
    pub fn get_release_after(&self) -> Duration {
        self.release_after
    }
}
