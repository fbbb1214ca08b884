//! What is asked for, and what was agreed.

#[cfg(feature = "deflate")]
use super::codec::Codec;
use super::pool::Pool;
use alloc::sync::Arc;
use core::ops::RangeInclusive;
use core::time::Duration;

/// zlib cannot compress with a window of 256 bytes.
const OUR_BITS: RangeInclusive<u8> = 9..=15;
const PEER_BITS: RangeInclusive<u8> = 8..=15;

/// How messages are compressed, what is agreed on with the peer, and what its messages may cost.
///
/// Three presets serve most programs: [`chat`](Self::chat), [`large_json`](Self::large_json) and
/// [`many_idle`](Self::many_idle). What a connection holds, and when, is told [here](crate::deflate#memory).
///
/// Clones share a small pool of idle contexts.
///
/// A message that holds a secret must not be compressed where a stranger's text stands in it or, with context takeover,
/// in any other message of the connection: lengths tell of the secret (CRIME, BREACH). Send it as a [`Frame`](crate::Frame) [without
/// compression](crate::Frame::without_compression), or [decline
/// compression](crate::Upgrade::decline_compression) for the whole connection.
///
/// ```
/// use ws_proto::{Config, Deflate};
///
/// let config = Config::server().deflate(Deflate::new().level(3).threshold(256).peer_takeover(false));
/// ```
#[derive(Clone, Debug)]
pub struct Deflate {
    pub(crate) level: u8,
    pub(crate) memory_level: u8,
    pub(crate) threshold: usize,
    pub(crate) ours: Direction,
    pub(crate) theirs: Direction,
    pub(crate) ratio_limit: Option<u32>,
    pub(crate) inflate_rate: Option<u64>,
    pub(crate) release_after: Duration,
    pub(crate) pool: Arc<Pool>,
}

/// What holds for the messages of one side (RFC 7692 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction {
    /// Whether a message may refer to earlier ones: context takeover (§7.1.1).
    pub takeover: bool,
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

/// Without the feature nobody can have a [`Codec`], and so no settings.
#[cfg(feature = "deflate")]
impl Deflate {
    /// Level 6, the whole window and context takeover both ways, from 64 bytes on.
    pub fn new() -> Self {
        let full = Direction { takeover: true, window_bits: 15 };
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

    /// Many small messages that resemble each other: context takeover, at the fastest level, with a window of 8 KiB for
    /// ours, which holds the last few dozen of them. In a room where all is sent to all, each message is compressed by
    /// itself, since it is compressed once for everybody.
    pub fn chat() -> Self {
        Self::new().level(1).window_bits(13).memory_level(4)
    }

    /// Few large documents: level 6, from 1 KiB on, and no memory between them, since each has its repetitions in
    /// itself.
    pub fn large_json() -> Self {
        Self::new().level(6).threshold(1024).takeover(false).peer_takeover(false)
    }

    /// Thousands of connections of which few speak at a time: each message by itself, by contexts that all share,
    /// from 256 bytes on. A quiet connection holds nothing. It is [`large_json`](Self::large_json) for shorter messages.
    pub fn many_idle() -> Self {
        Self::new().threshold(256).takeover(false).peer_takeover(false)
    }
}

impl Deflate {
    /// Sets how hard to try, 1 (fast) to 9 (small); what is outside is brought in. 6.
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = level.clamp(1, 9);
        self
    }

    /// Sets zlib's memory level, 1 to 9, of what is compressed; what is outside is brought in. 6.
    #[must_use]
    pub fn memory_level(mut self, level: u8) -> Self {
        self.memory_level = level.clamp(1, 9);
        self
    }

    /// Sets the shortest message in bytes that is compressed. For one message decide otherwise with
    /// [`Frame::with_compression`](crate::Frame::with_compression) and
    /// [`Frame::without_compression`](crate::Frame::without_compression). 64.
    #[must_use]
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// Sets whether our messages refer to earlier ones: smaller messages, for memory that each connection
    /// holds. `true`.
    #[must_use]
    pub fn takeover(mut self, takeover: bool) -> Self {
        self.ours.takeover = takeover;
        self
    }

    /// Sets whether the peer's messages may refer to earlier ones. `false` asks it not to; then nothing is held
    /// for it between messages. `true`.
    #[must_use]
    pub fn peer_takeover(mut self, takeover: bool) -> Self {
        self.theirs.takeover = takeover;
        self
    }

    /// Sets the window of our messages, as the base-two logarithm, 9 to 15; what is outside is brought in. A peer
    /// that asks for a smaller one gets it. 15.
    #[must_use]
    pub fn window_bits(mut self, bits: u8) -> Self {
        self.ours.window_bits = bits.clamp(*OUR_BITS.start(), *OUR_BITS.end());
        self
    }

    /// Sets the window that the peer's messages may have, as the base-two logarithm, 8 to 15; what is outside is
    /// brought in. A server does not compress for a client that could use more and does not say that it can be told
    /// (Firefox); a client only asks. 15.
    #[must_use]
    pub fn peer_window_bits(mut self, bits: u8) -> Self {
        self.theirs.window_bits = bits.clamp(*PEER_BITS.start(), *PEER_BITS.end());
        self
    }

    /// Sets how many times larger than it came a message may become, once it is over 1 MiB; over it the connection fails
    /// with 1009. Deflate reaches 1,032, and honest peers do: a blank canvas becomes 700 times as large and more. `None`
    /// allows that, and stops at 2,000 only what begins its stream anew again and again; what a peer costs is then bounded
    /// by the message limit, the [inflate rate](Self::inflate_rate) and the server's memory limit. None.
    #[must_use]
    pub fn ratio_limit(mut self, ratio: Option<u32>) -> Self {
        self.ratio_limit = ratio;
        self
    }

    /// Sets how many bytes a second one peer's messages may become, the work of streams that begin anew included; a peer
    /// over it is not read until the next second begins, and nothing is lost. Below it, peers take turns: see
    /// [`Connection::share_inflating`](crate::Connection::share_inflating). `None` is no limit. 64 MiB.
    #[must_use]
    pub fn inflate_rate(mut self, bytes_per_second: Option<u64>) -> Self {
        self.inflate_rate = bytes_per_second;
        self
    }

    /// Sets after how long without compressed messages a connection lets its contexts go. Ours is begun anew; of the
    /// peer's, whose messages may refer to earlier ones, only the window's bytes are kept. 30 s.
    #[must_use]
    pub fn release_after(mut self, quiet: Duration) -> Self {
        self.release_after = quiet;
        self
    }
}
