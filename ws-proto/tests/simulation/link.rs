//! The network between two ends: bytes arrive late, cut anywhere, or not at all, but never out of order.
//!
//! ```text
//!   end 0 ──write──▶ [ segment, due at t1 | segment, due at t2 … FIN ] ──read──▶ end 1
//!         ◀──read── [ … ] ◀──write──
//! ```
//!
//! The sender's and the receiver's buffer of a direction are one here: unread bytes take room from new ones.

use super::rng::Rng;
use std::collections::VecDeque;
use std::io::{Error, ErrorKind};
use std::time::Duration;
use ws_proto::Moment;

/// An end: 0 connected, 1 accepted.
pub(crate) type Side = usize;
pub(crate) const CLIENT: Side = 0;
pub(crate) const SERVER: Side = 1;

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// This many bytes.
    Bytes(usize),
    End,
    Reset,
    Nothing,
}

#[derive(Debug, Default)]
struct Pipe {
    bytes: Vec<u8>,
    /// Bytes before this offset were read.
    start: usize,
    /// The end offset of each segment in the stream, and when it is due.
    segments: VecDeque<(u64, Moment)>,
    read: u64,
    written: u64,
    /// When EOF is due.
    fin: Option<Moment>,
    is_ended: bool,
    /// When a reset is due.
    reset: Option<Moment>,
    /// Nothing arrives before this.
    held_until: Option<Moment>,
    last_due: Option<Moment>,
    /// The rate in bytes a second, if the network limits it.
    rate: Option<u32>,
    /// The window opens after this many bytes are read, or all; until then, read bytes still take room.
    window: usize,
    unopened: usize,
    /// A full kernel buffer accepts bytes again once this much is free; `is_full` is whether it waits for that.
    step: usize,
    is_full: bool,
}

impl Pipe {
    fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    fn due(&self, at: Moment) -> Moment {
        self.held_until.map_or(at, |held| held.max(at))
    }

    fn is_due(&self, at: Option<Moment>, now: Moment) -> bool {
        at.is_some_and(|at| self.due(at) <= now)
    }

    /// The number of bytes that have arrived, up to `most`.
    fn arrived(&self, now: Moment, most: usize) -> usize {
        let mut arrived = 0;
        for (end, at) in &self.segments {
            if arrived >= most || self.due(*at) > now {
                break;
            }
            arrived = (*end - self.read) as usize;
        }
        arrived.min(most)
    }

    fn push(&mut self, bytes: &[u8], at: Moment) {
        // Compact when more than half was read.
        if self.start > 4096 && self.start * 2 > self.bytes.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
        self.written += bytes.len() as u64;
        let mut at = self.last_due.map_or(at, |last| last.max(at));
        if let Some(rate) = self.rate {
            at += Duration::from_secs(bytes.len() as u64) / rate;
        }
        self.last_due = Some(at);
        self.segments.push_back((self.written, at));
    }

    fn take(&mut self, n: usize, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.bytes[self.start..self.start + n]);
        self.start += n;
        self.read += n as u64;
        self.unopened += n;
        if self.unopened >= self.window || self.len() == 0 {
            self.unopened = 0;
        }
        while self.segments.front().is_some_and(|(end, _)| *end <= self.read) {
            self.segments.pop_front();
        }
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    fn lose(&mut self) {
        self.bytes.clear();
        self.segments.clear();
        self.start = 0;
        self.unopened = 0;
        self.read = self.written;
    }
}

#[derive(Debug)]
pub(crate) struct Link {
    /// The pipe that each side writes to.
    pipes: [Pipe; 2],
    /// Which sockets are closed.
    closed: [bool; 2],
    pub(crate) capacity: usize,
    latency: Duration,
    /// The largest segment of a write.
    segment: usize,
    /// Whether bytes that arrived before a reset remain readable.
    keeps: bool,
    /// Nothing arrives any more, silently.
    pub(crate) is_cut: bool,
}

/// The rates of a link in bytes a second: up, then down.
const RATES: [[u32; 2]; 5] =
    [[40_000, 40_000], [10_000, 500_000], [500_000, 10_000], [4000, 200_000], [10_000, 10_000]];

impl Link {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let mut this = Self {
            pipes: [Pipe::default(), Pipe::default()],
            closed: [false; 2],
            capacity: rng.pick(&[1, 30, 1000, 10_000, 10_000, 200_000, 200_000]),
            latency: rng.time(Duration::from_millis(100)),
            segment: rng.pick(&[1, 10, 1500, 65_536, 1 << 20]),
            keeps: rng.percent(50),
            is_cut: false,
        };
        if rng.percent(30) {
            this.narrow(rng);
        }
        this.choose_steps(rng);
        this
    }

    /// A network that is slow but otherwise fair: its rates, and the capacity of its kernels.
    pub(crate) fn steady(rng: &mut Rng) -> Self {
        let mut this = Self::new(rng);
        this.segment = rng.pick(&[1500, 65_536, 1 << 20]);
        this.narrow(rng);
        // With larger kernel buffers, heartbeats would not arrive in time.
        let slowest = this.pipes.iter().filter_map(|pipe| pipe.rate).min().unwrap_or(u32::MAX) as usize;
        this.capacity = rng.pick(&[3000, 20_000, 200_000]).min(4 * slowest);
        this.choose_steps(rng);
        this
    }

    fn narrow(&mut self, rng: &mut Rng) {
        let rates = rng.pick(&RATES);
        for (pipe, rate) in self.pipes.iter_mut().zip(rates) {
            pipe.rate = Some(rate);
        }
    }

    /// How room and windows open: by the byte, or like Linux, a third of a buffer or all above a mark at a time.
    fn choose_steps(&mut self, rng: &mut Rng) {
        let full = self.capacity;
        for pipe in &mut self.pipes {
            pipe.window = rng.pick(&[0, 0, full / 2, full / 4]);
            pipe.step = rng.pick(&[0, 0, full / 3, full.saturating_sub(16_384)]);
        }
    }

    /// A side's write rate in bytes a second, if the link limits it.
    pub(crate) fn rate(&self, side: Side) -> Option<u32> {
        self.pipes[side].rate
    }

    /// The number of bytes that a side has written.
    pub(crate) fn written(&self, side: Side) -> u64 {
        self.pipes[side].written
    }

    /// The longest reasonable message, so that it takes dozens of steps and not thousands.
    pub(crate) fn fair_length(&self) -> usize {
        self.capacity.min(self.segment * 16) * 16
    }

    // --- socket operations

    pub(crate) fn room(&self, side: Side) -> usize {
        let pipe = &self.pipes[side];
        let free = self.capacity.saturating_sub(pipe.len() + pipe.unopened);
        if pipe.is_full && free < pipe.step { 0 } else { free }
    }

    /// Whether only EOF is left to read.
    pub(crate) fn is_at_end(&self, side: Side, now: Moment) -> bool {
        let pipe = &self.pipes[1 - side];
        !self.is_cut && (pipe.is_due(pipe.reset, now) || pipe.len() == 0 && pipe.is_due(pipe.fin, now))
    }

    /// Whether everything that a side wrote has arrived, or was read.
    pub(crate) fn has_arrived(&self, side: Side, now: Moment) -> bool {
        let pipe = &self.pipes[side];
        pipe.arrived(now, usize::MAX) == pipe.len()
    }

    /// Whether the kernel keeps bytes received before a reset.
    pub(crate) fn keeps(&self) -> bool {
        self.keeps
    }

    /// Whether the other side has reset the connection, as far as this side has seen.
    pub(crate) fn is_reset(&self, side: Side, now: Moment) -> bool {
        let pipe = &self.pipes[1 - side];
        !self.is_cut && pipe.is_due(pipe.reset, now)
    }

    /// Writes what there is room for, in one or more segments.
    pub(crate) fn write(
        &mut self,
        side: Side,
        now: Moment,
        bytes: &[u8],
        rng: &mut Rng,
    ) -> Result<usize, Error> {
        if self.is_reset(side, now) {
            return Err(Error::from(ErrorKind::ConnectionReset));
        }
        let n = bytes.len().min(self.room(side));
        self.pipes[side].is_full = n < bytes.len();
        if n == 0 {
            return Ok(0);
        }
        if self.closed[1 - side] {
            // The peer is gone: the bytes are lost, and a reset returns.
            let at = now + self.latency * 2;
            self.pipes[1 - side].reset.get_or_insert(at);
            return Ok(n);
        }
        for part in bytes[..n].chunks(self.segment.max(n / 32)) {
            let at = now + rng.time(self.latency);
            self.pipes[side].push(part, at);
        }
        Ok(n)
    }

    /// Whether a read would return anything.
    pub(crate) fn is_readable(&self, side: Side, now: Moment) -> bool {
        let pipe = &self.pipes[1 - side];
        !self.is_cut
            && (pipe.is_due(pipe.reset, now)
                || pipe.arrived(now, 1) > 0
                || pipe.len() == 0 && !pipe.is_ended && pipe.is_due(pipe.fin, now))
    }

    /// Adds up to `most` bytes that have arrived.
    pub(crate) fn read(&mut self, side: Side, now: Moment, most: usize, into: &mut Vec<u8>) -> Read {
        if !self.is_readable(side, now) {
            return Read::Nothing;
        }
        let is_reset = self.is_reset(side, now);
        let pipe = &mut self.pipes[1 - side];
        let arrived = pipe.arrived(now, most);
        if is_reset && (!self.keeps || arrived == 0) {
            pipe.lose();
            return Read::Reset;
        }
        if arrived > 0 {
            pipe.take(arrived, into);
            return Read::Bytes(arrived);
        }
        pipe.is_ended = true;
        Read::End
    }

    /// When the next thing arrives.
    pub(crate) fn next_arrival(&self, side: Side, now: Moment) -> Option<Moment> {
        if self.is_cut {
            return None;
        }
        let pipe = &self.pipes[1 - side];
        let next = pipe.segments.iter().map(|(_, at)| *at).find(|at| pipe.due(*at) > now);
        let fin = pipe.fin.filter(|_| !pipe.is_ended);
        next.into_iter().chain(fin).chain(pipe.reset).map(|at| pipe.due(at)).filter(|at| *at > now).min()
    }

    /// Half-closes this side.
    pub(crate) fn shut(&mut self, side: Side, now: Moment) {
        let pipe = &mut self.pipes[side];
        let at = pipe.last_due.map_or(now + self.latency, |last| last.max(now));
        pipe.fin.get_or_insert(at);
    }

    /// Closes a socket: cleanly if everything was read, else with a reset, as TCP does (RFC 1122 §4.2.2.13).
    pub(crate) fn close(&mut self, side: Side, now: Moment) {
        if self.closed[side] {
            return;
        }
        if self.pipes[1 - side].len() > 0 {
            self.reset(side, now);
        } else {
            self.shut(side, now);
            self.closed[side] = true;
        }
    }

    /// Closes a socket with a reset, which may overtake written bytes.
    pub(crate) fn reset(&mut self, side: Side, now: Moment) {
        self.closed[side] = true;
        self.pipes[side].reset.get_or_insert(now + self.latency / 2);
        self.pipes[1 - side].lose();
    }

    // --- network events

    /// Delays everything that this side writes.
    pub(crate) fn hold(&mut self, side: Side, until: Moment) {
        let held = &mut self.pipes[side].held_until;
        *held = Some(held.map_or(until, |held| held.max(until)));
    }

    /// Whether something is held.
    pub(crate) fn is_held(&self) -> bool {
        self.pipes.iter().any(|pipe| pipe.held_until.is_some())
    }

    /// Releases everything held.
    pub(crate) fn release(&mut self) {
        for pipe in &mut self.pipes {
            pipe.held_until = None;
        }
    }

    /// The network breaks the connection: both sides see a reset.
    pub(crate) fn break_off(&mut self, now: Moment) {
        for pipe in &mut self.pipes {
            pipe.reset.get_or_insert(now);
        }
    }

    /// Whether anything is in flight to an open socket.
    pub(crate) fn is_busy(&self) -> bool {
        let busy = |side: Side| {
            let pipe = &self.pipes[side];
            !self.closed[1 - side]
                && (pipe.len() > 0 || pipe.fin.is_some() && !pipe.is_ended && pipe.reset.is_none())
        };
        !self.is_cut && (busy(CLIENT) || busy(SERVER))
    }
}
