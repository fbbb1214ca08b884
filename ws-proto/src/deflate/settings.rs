//! What is asked for, and what was agreed.

use core::time::Duration;

/// How messages are compressed, what is offered to the peer and asked of it, and what it may cost.
///
/// Three presets serve most programs: [`chat`](Self::chat), [`large_json`](Self::large_json) and
/// [`many_idle`](Self::many_idle).
///
/// A message that holds a secret beside text which a stranger chose should not be compressed: its length tells of
/// the secret (CRIME, BREACH). Send it as a [`Frame`](crate::Frame) [`without
/// compression`](crate::Frame::without_compression).
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
}

/// What holds for the messages of one side (RFC 7692 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction {
    /// Whether a message may refer to earlier ones: context takeover (§7.1.1).
    pub takeover: bool,
    /// The base-two logarithm of the window, 8 to 15 (§7.1.2): how far back a message refers.
    pub window_bits: u8,
}

/// What both ends agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// For what we send.
    pub ours: Direction,
    /// For what the peer sends.
    pub theirs: Direction,
}
