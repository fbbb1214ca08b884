//! What is in flight between a peer and the loop.

use super::layer::Layer;
use super::rng::Rng;
use mio::Token;
use std::io;
use std::net::SocketAddr;
use ws_server_mio::sys::Readiness;

/// Bytes in order; taking from the front does not move the rest.
#[derive(Default)]
pub(super) struct Pipe {
    bytes: Vec<u8>,
    start: usize,
}

impl Pipe {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.is_empty() {
            self.clear();
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn take(&mut self, n: usize) -> &[u8] {
        let from = self.start;
        self.start += n;
        &self.bytes[from..self.start]
    }

    pub(super) fn truncate(&mut self, n: usize) {
        self.bytes.truncate(self.start + n);
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }
}

/// An event that the peer caused once: its FIN, its RST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    No,
    OnItsWay,
    Arrived,
}

/// One connection, as the kernels on both sides see it.
pub(super) struct Socket {
    pub(super) wire: Pipe,
    pub(super) inbox: Pipe,
    pub(super) fin: Signal,
    pub(super) reset: Signal,
    /// The error that the reset left, until it is reported.
    pub(super) error: bool,
    pub(super) outbox: Pipe,
    pub(super) outbox_size: usize,
    pub(super) inbox_size: usize,
    /// A write was refused, or cut short; an edge is due.
    pub(super) starved: bool,
    /// The loop has half-closed.
    pub(super) shut: bool,
    pub(super) accepted: bool,
    /// The loop has read to EOF.
    pub(super) eof_reported: bool,
    /// The loop has dropped it.
    pub(super) closed: bool,
    /// A write was refused, or cut short. What TLS flushes later is no longer the connection's.
    pub(super) refused: bool,
    /// Not orderly: the peer receives a RST.
    pub(super) aborted: bool,
    /// That reset reached the peer: bytes behind it are lost.
    pub(super) cut: bool,
    /// After so many more writes its reset arrives.
    pub(super) writes_left: Option<usize>,
    /// The peer has closed its socket, and answers output with RST.
    pub(super) peer_closed: bool,
    pub(super) token: Option<Token>,
    pub(super) edge: bool,
    pub(super) armed: Readiness,
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
    pub(super) link: Link,
    /// The target of the loop's connect; `None` for an accepted socket.
    pub(super) target: Option<Target>,
    /// It is connected to itself.
    pub(super) self_connected: bool,
    /// The kind of the error.
    pub(super) kind: io::ErrorKind,
    /// Bytes that the peer's socket accepted.
    pub(super) bytes_sent: u64,
    /// How many of them were readable when the reset arrived.
    pub(super) reached: u64,
    /// What its peer speaks through.
    pub(super) layer: Option<Box<dyn Layer>>,
    /// The peer has read an end that the loop had not announced.
    pub(super) is_truncated: bool,
    /// How much the peer had sent when its layer announced the end. The loop need not read on.
    pub(super) announced_at: Option<u64>,
    /// It behaves as Linux does.
    pub(super) linux: Option<Linux>,
}

/// How Linux reports room and opens windows.
pub(super) struct Linux {
    /// The unsent mark (`TCP_NOTSENT_LOWAT`): above it no write is accepted, below its half there is room again.
    pub(super) mark: usize,
    /// The bytes in the peer's kernel, and their limit.
    pub(super) at_peer: Pipe,
    pub(super) window: usize,
}

/// A window opens by a full segment, or by half the buffer (RFC 9293 §3.8.6.2.2).
const SEGMENT: usize = 1460;

fn opens(size: usize, held: usize) -> bool {
    size.saturating_sub(held) >= SEGMENT.min(size.div_ceil(2))
}

/// The target of a connect: an address, or a Unix socket.
pub(super) type Target = Option<SocketAddr>;

/// Whether it is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Up,
    /// It is not connected yet; this is the outcome.
    Begun(Fate),
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Connects,
    Fails(io::ErrorKind),
    /// The target never answers.
    Silence,
}

pub(super) const ALL: Readiness =
    Readiness { readable: true, writable: true, read_closed: true, error: true };

/// Buffer sizes.
const SIZES: [usize; 7] = [1, 7, 100, 1000, 4096, 20_000, 100_000];

impl Socket {
    /// Just connected.
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self {
            wire: Pipe::default(),
            inbox: Pipe::default(),
            fin: Signal::No,
            reset: Signal::No,
            error: false,
            outbox: Pipe::default(),
            outbox_size: rng.pick(&SIZES[2..]),
            inbox_size: rng.pick(&SIZES),
            starved: false,
            shut: false,
            accepted: false,
            eof_reported: false,
            closed: false,
            refused: false,
            aborted: false,
            cut: false,
            writes_left: None,
            peer_closed: false,
            token: None,
            edge: false,
            armed: ALL,
            bytes_read: 0,
            bytes_written: 0,
            link: Link::Up,
            target: None,
            self_connected: false,
            kind: io::ErrorKind::ConnectionReset,
            bytes_sent: 0,
            reached: 0,
            layer: None,
            is_truncated: false,
            announced_at: None,
            linux: None,
        }
    }

    /// Behaves as Linux does, from here on.
    pub(super) fn on_linux(&mut self, rng: &mut Rng) {
        let mark = rng.pick(&[usize::MAX, 16_384, 131_072]);
        let window = rng.pick(&[1000, 20_000, 65_536]);
        self.linux = Some(Linux { mark, at_peer: Pipe::default(), window });
    }

    /// How much a write accepts now.
    pub(super) fn room(&self) -> usize {
        let room = self.outbox_size - self.outbox.len();
        let mark = self.linux.as_ref().map_or(usize::MAX, |linux| linux.mark);
        room.min(mark.saturating_sub(self.outbox.len()))
    }

    /// Whether there is enough room to report it: a third of the buffer, below half the unsent mark.
    fn has_reportable_room(&self) -> bool {
        let mark = self.linux.as_ref().map_or(usize::MAX, |linux| linux.mark);
        (self.outbox_size - self.outbox.len()) * 3 >= self.outbox_size && self.outbox.len() < mark.div_ceil(2)
    }

    /// The result of the peer's read, limited to this length.
    pub(super) fn take(&mut self, most: usize) -> &[u8] {
        let Some(Linux { at_peer, window, .. }) = &mut self.linux else {
            return self.outbox.take(self.outbox.len().min(most));
        };
        if opens(*window, at_peer.len()) {
            let n = self.outbox.len().min(*window - at_peer.len());
            at_peer.push(self.outbox.take(n));
        }
        at_peer.take(at_peer.len().min(most))
    }

    /// Whether the loop has read to an end.
    pub(super) fn is_read(&self) -> bool {
        self.eof_reported || self.announced_at.is_some_and(|at| self.bytes_read >= at)
    }

    /// Whether the peer has anything left to read.
    pub(super) fn is_unread(&self) -> bool {
        !self.outbox.is_empty() || self.linux.as_ref().is_some_and(|linux| !linux.at_peer.is_empty())
    }

    /// What would be reported to the loop now.
    pub(super) fn level(&self, armed_system: bool) -> Readiness {
        if let Link::Begun(_) = self.link {
            return Readiness::default();
        }
        let over = self.reset == Signal::Arrived;
        let ended = over || self.fin == Signal::Arrived;
        Readiness {
            readable: ended || !self.inbox.is_empty(),
            writable: over || !self.starved && self.has_reportable_room(),
            read_closed: ended,
            error: over && self.error && !armed_system,
        }
    }

    /// The outcome of a connect.
    fn learn(&mut self, fate: Fate) {
        match fate {
            Fate::Connects => self.link = Link::Up,
            Fate::Fails(kind) => {
                (self.link, self.kind) = (Link::Failed, kind);
                (self.reset, self.error) = (Signal::Arrived, true);
            }
            Fate::Silence => return,
        }
        self.edge = true;
    }

    /// Lets bytes and signals arrive, unobserved by the loop.
    pub(super) fn progress(&mut self, rng: &mut Rng, all: bool, keeps: bool) {
        if let Link::Begun(fate) = self.link {
            if !self.closed && (all || rng.percent(50)) {
                self.learn(fate);
            }
            return;
        }
        let mut room = self.inbox_size.saturating_sub(self.inbox.len());
        if self.linux.is_some() && !opens(self.inbox_size, self.inbox.len()) {
            room = 0;
        }
        let most = self.wire.len().min(room);
        if most > 0 && !self.closed {
            let n = if all { most } else { rng.within(1, most) };
            self.inbox.push(self.wire.take(n));
            self.edge = true;
        }
        if all || rng.percent(50) {
            if self.reset == Signal::OnItsWay {
                // It waits for no room.
                self.wire.clear();
                self.reset = Signal::Arrived;
                self.error = true;
                self.edge = true;
                if !keeps {
                    self.inbox.clear();
                }
                self.reached = self.bytes_read + self.inbox.len() as u64;
            } else if self.fin == Signal::OnItsWay && self.wire.is_empty() {
                self.fin = Signal::Arrived;
                self.edge = true;
            }
        }
        if self.starved && self.has_reportable_room() && (all || rng.percent(50)) {
            self.starved = false;
            self.edge = true;
        }
    }
}
