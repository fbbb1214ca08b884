//! permessage-deflate on one connection, in both directions.

use super::codec::{Broken, CHUNK, Deflater, Effort, Incoming, Inflater};
use super::pool::Pool;
use super::settings::{Deflate, Terms};
use super::share::Share;
use crate::error::ProtocolError;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::mem;
use core::time::Duration;
use std::sync::{Mutex, PoisonError};

/// The ratio of a message is checked above this size.
const RATIO_THRESHOLD: u64 = 1 << 20;

/// More than deflate can reach, which is 1,032: only streams that restart again and again cost this much.
const MAX_RATIO: u32 = 2_000;

/// Used since the last recorded time; the codec has no clock.
const UNRECORDED: u64 = u64::MAX;

/// Whether to compress a message, where compression was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompressionHint {
    /// By its length and the settings.
    ByLength,
    With,
    Without,
}

/// permessage-deflate on one connection. Small until something is compressed.
#[derive(Debug)]
pub(crate) struct PerMessage {
    settings: Arc<Deflate>,
    terms: Terms,
    peer: PeerContext,
    deflater: Option<Box<Deflater>>,
    /// A message of ours has begun and not ended.
    is_sending: bool,
    /// The current second of the rate.
    second: u16,
    work_of_second: u32,
    /// Work that is not yet counted in any second.
    uncounted: u32,
    /// The work of earlier seconds, halved with each.
    earlier: u32,
    /// The inflate share of this connection, if any.
    share: Option<Share>,
    /// When something was last compressed or inflated, or [`UNRECORDED`].
    used: u64,
    /// Whether the deadline includes the release of contexts.
    release_is_due: bool,
}

/// The history that the peer's messages may refer to.
#[derive(Debug)]
enum PeerContext {
    /// Only the bytes, while nothing is inflated.
    Window(Box<[u8]>),
    Inflater(Box<Inflater>),
}

impl PeerContext {
    fn inflater(&mut self, pool: &Pool, window_bits: u8) -> &mut Inflater {
        loop {
            match self {
                Self::Inflater(inflater) => return inflater,
                Self::Window(window) => {
                    let mut inflater = pool.inflater();
                    inflater.begin(window, window_bits);
                    *self = Self::Inflater(inflater);
                }
            }
        }
    }

    /// The inflater, if it can be released.
    fn idle_inflater(&self) -> Option<&Inflater> {
        match self {
            Self::Inflater(inflater) if !inflater.is_within_message() => Some(inflater),
            _ => None,
        }
    }

    /// Keeps only these bytes; the inflater returns to the pool.
    fn release(&mut self, window: Box<[u8]>, pool: &Pool) {
        if let Self::Inflater(inflater) = mem::replace(self, Self::Window(window)) {
            pool.keep_inflater(inflater);
        }
    }
}

impl PerMessage {
    /// Creates it for these terms and settings; `None` without settings.
    pub(crate) fn new(settings: Option<&Arc<Deflate>>, terms: Terms) -> Option<Box<Self>> {
        let settings = settings?.clone();
        Some(Box::new(Self {
            settings,
            terms,
            peer: PeerContext::Window(Box::default()),
            deflater: None,
            is_sending: false,
            second: 0,
            work_of_second: 0,
            uncounted: 0,
            earlier: 0,
            share: None,
            used: 0,
            release_is_due: false,
        }))
    }

    pub(crate) fn terms(&self) -> Terms {
        self.terms
    }

    pub(crate) fn release_is_due(&mut self) -> &mut bool {
        &mut self.release_is_due
    }

    /// Whether to compress a message of this length. Decided first: under context takeover, compressed output must be
    /// sent.
    pub(crate) fn compresses(&self, hint: CompressionHint, len: usize) -> bool {
        let can = self.terms.ours.window_bits > 8;
        can && match hint {
            CompressionHint::ByLength => len >= self.settings.threshold,
            CompressionHint::With => true,
            CompressionHint::Without => false,
        }
    }

    /// Compresses a message, or the next part of one, in this connection's context.
    pub(crate) fn compress(&mut self, payload: &[u8], fin: bool) -> &[u8] {
        let effort = self.effort();
        let deflater = self.deflater.get_or_insert_with(|| self.settings.pool.deflater(effort));
        self.is_sending = !fin;
        self.used = UNRECORDED;
        deflater.compress(payload, fin)
    }

    /// The output just compressed, to be queued as a payload of its own.
    pub(crate) fn take_compressed(&mut self, len: usize) -> Bytes {
        self.deflater.as_mut().map(|deflater| deflater.take_output(len)).unwrap_or_default()
    }

    /// The compressed output is queued.
    pub(crate) fn compressed(&mut self) {
        if let Some(deflater) = &mut self.deflater {
            deflater.shrink();
        }
        if !self.is_sending
            && !self.terms.ours.context_takeover
            && let Some(deflater) = self.deflater.take()
        {
            self.settings.pool.keep_deflater(deflater);
        }
    }

    /// A message for many connections, compressed independently and only once.
    pub(crate) fn compress_shared(&mut self, shared: &Shared, payload: &[u8]) -> Bytes {
        // The peer's window will hold it, and our context does not: neither may refer to earlier data.
        if let Some(deflater) = &mut self.deflater {
            deflater.forget();
        }
        shared.compressed(&self.settings.pool, self.effort(), payload)
    }

    /// The next bytes of the peer's message, and whether the input holds more, valid or not. Returns no byte over the
    /// limit.
    pub(crate) fn inflate(&mut self, input: &mut &[u8], limit: u64) -> Result<(&[u8], bool), ProtocolError> {
        let inflater = self.peer.inflater(&self.settings.pool, self.terms.theirs.window_bits);
        self.used = UNRECORDED;
        // At the limit, one more byte shows that there is more.
        let at_most = (limit - inflater.message.inflated).clamp(1, CHUNK as u64) as usize;
        let before = input.len();
        let chunk_len = inflater.inflate(input, at_most).map_err(broken)?.len();
        let work = inflater.take_work();
        let message = &mut inflater.message;
        message.compressed += (before - input.len()) as u64;
        message.inflated += chunk_len as u64;
        if message.inflated > limit {
            return Err(ProtocolError::MessageTooBig { limit });
        }
        message.work += work;
        let work = u32::try_from(work).unwrap_or(u32::MAX);
        self.uncounted = self.uncounted.saturating_add(work);
        if let Some(share) = &mut self.share {
            share.spend(work);
        }
        let ratio = self.settings.ratio_limit.unwrap_or(MAX_RATIO);
        if message.work > RATIO_THRESHOLD && message.work > message.compressed.saturating_mul(ratio.into()) {
            return Err(ProtocolError::CompressionRatio { limit: ratio });
        }
        let more = chunk_len == at_most || !input.is_empty() || inflater.is_broken();
        Ok((inflater.chunk(chunk_len), more))
    }

    /// Ends the peer's message.
    pub(crate) fn end_message(&mut self) -> Result<(), ProtocolError> {
        let PeerContext::Inflater(inflater) = &mut self.peer else {
            return Err(ProtocolError::DeflateInvalid);
        };
        inflater.message = Incoming::default();
        inflater.end().map_err(broken)?;
        if !self.terms.theirs.context_takeover {
            self.peer.release(Box::default(), &self.settings.pool);
        }
        Ok(())
    }

    pub(crate) fn has_uncounted(&self) -> bool {
        self.uncounted > 0
    }

    /// Whether the peer's messages have used the inflate rate for this second.
    pub(crate) fn is_over_rate(&mut self, second: u16) -> bool {
        if self.second != second {
            let passed = u32::from(second.wrapping_sub(self.second));
            let all = self.earlier.saturating_add(self.work_of_second);
            self.earlier = all.checked_shr(passed).unwrap_or(0);
            self.second = second;
            self.work_of_second = 0;
        }
        self.work_of_second = self.work_of_second.saturating_add(mem::take(&mut self.uncounted));
        self.settings.inflate_rate.is_some_and(|rate| u64::from(self.work_of_second) > rate)
    }

    /// The recent cost of the peer's messages: in this second, and half as much of each earlier one.
    pub(crate) fn recently_inflated(&self) -> u32 {
        self.earlier.saturating_add(self.work_of_second).saturating_add(self.uncounted)
    }

    /// Inflates by shares from now on.
    pub(crate) fn share(&mut self) {
        self.share.get_or_insert_with(Share::first);
    }

    /// Whether inflating must wait for the next share.
    pub(crate) fn has_used_share(&self) -> bool {
        self.share.as_ref().is_some_and(Share::is_used)
    }

    /// Grants the next share.
    pub(crate) fn next_share(&mut self) {
        if let Some(share) = &mut self.share {
            share.renew(&self.settings.pool);
        }
    }

    /// All received input is inflated.
    pub(crate) fn finish_share(&mut self) {
        if let Some(share) = &mut self.share {
            share.finish();
        }
    }

    /// Records earlier use at this time.
    pub(crate) fn record_use(&mut self, now: u64) {
        self.used = self.last_use(now);
    }

    /// When something was last compressed or inflated; unrecorded use counts as `now`.
    pub(crate) fn last_use(&self, now: u64) -> u64 {
        if self.used == UNRECORDED { now } else { self.used }
    }

    /// Whether there are contexts that no unfinished message needs.
    pub(crate) fn can_release(&self) -> bool {
        self.peer.idle_inflater().is_some() || self.deflater.is_some() && !self.is_sending
    }

    /// How long to keep unused contexts.
    pub(crate) fn release_after(&self) -> Duration {
        self.settings.release_after
    }

    /// Releases everything: nothing more follows.
    pub(crate) fn release_all(&mut self) {
        self.peer.release(Box::default(), &self.settings.pool);
        if let Some(deflater) = self.deflater.take() {
            self.settings.pool.keep_deflater(deflater);
        }
        self.finish_share();
    }

    /// Releases contexts that no unfinished message needs.
    pub(crate) fn release(&mut self) {
        if let Some(inflater) = self.peer.idle_inflater() {
            let window = if self.terms.theirs.context_takeover { inflater.window() } else { &[] };
            self.peer.release(window.into(), &self.settings.pool);
        }
        if !self.is_sending
            && let Some(deflater) = self.deflater.take()
        {
            self.settings.pool.keep_deflater(deflater);
        }
    }

    fn effort(&self) -> Effort {
        let Deflate { level, memory_level, .. } = *self.settings;
        // Terms from another negotiation may have any value.
        Effort { level, memory_level, window_bits: self.terms.ours.window_bits.min(15) }
    }
}

fn broken(_: Broken) -> ProtocolError {
    ProtocolError::DeflateInvalid
}

/// A message compressed for many connections, once for each window size.
#[derive(Clone, Default)]
pub(crate) struct Shared {
    compressed: Arc<Mutex<Vec<(Effort, Bytes)>>>,
}

impl Shared {
    fn compressed(&self, pool: &Pool, effort: Effort, payload: &[u8]) -> Bytes {
        let mut compressed = self.compressed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = compressed.iter().find(|(made, _)| *made == effort) {
            return bytes.clone();
        }
        let mut deflater = pool.deflater(effort);
        let bytes = Bytes::copy_from_slice(deflater.compress(payload, true));
        pool.keep_deflater(deflater);
        compressed.push((effort, bytes.clone()));
        bytes
    }
}

impl core::fmt::Debug for Shared {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Shared")
    }
}
