//! A kernel that does not exist. It answers as a real one may, and seldom does; what a real one promises, it
//! keeps.
//!
//! ```text
//!  peer ── send ──▶ wire ── arrives, sooner or later ──▶ inbox ── read ──▶ the loop
//!       ◀─ receive ─────────────────────────────────── outbox ◀─ write ──
//! ```
//!
//! Promised, of a system whose readiness comes in edges (epoll, kqueue): whatever arrives after the last event
//! was fetched makes another one, and so does room after a write that was refused or cut short; an event shows
//! the whole state at the time it is fetched; the end of the stream and an error show themselves as such in
//! every event from then on. Of a system that must be armed (Windows, as mio has it): a kind of readiness is
//! told once, and again only when a read or a write was answered `WouldBlock` since.
//!
//! Not promised: when anything arrives, in which order sockets are told of, that what was ready still is, that a
//! call is not interrupted.

use super::rng::Rng;
use crate::socket::Readiness;
use mio::Token;
use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes in order; taken from the front without moving the rest.
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

/// Something that the peer did once: its FIN, its RST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    No,
    OnItsWay,
    Arrived,
}

/// One connection, as the kernels on both sides have it.
pub(super) struct Socket {
    pub(super) wire: Pipe,
    pub(super) inbox: Pipe,
    pub(super) fin: Signal,
    pub(super) reset: Signal,
    /// The error that the reset left, until somebody is told.
    error: bool,
    outbox: Pipe,
    outbox_size: usize,
    inbox_size: usize,
    /// A write was refused, or cut short; an edge is owed.
    starved: bool,
    /// The loop has half-closed.
    shut: bool,
    pub(super) accepted: bool,
    /// The loop has read to the end.
    pub(super) end_told: bool,
    /// The loop has dropped it.
    pub(super) closed: bool,
    /// Not orderly: the peer is sent a RST for it.
    aborted: bool,
    /// The peer was reached by that: bytes behind it are lost.
    cut: bool,
    /// The peer has closed its socket: what is sent to it, it answers with RST.
    gone: bool,
    token: Option<Token>,
    edge: bool,
    armed: Readiness,
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
}

const ALL: Readiness = Readiness { readable: true, writable: true, read_closed: true, error: true };

impl Socket {
    /// What the loop would be told now.
    fn level(&self, armed_system: bool) -> Readiness {
        let over = self.reset == Signal::Arrived;
        let ended = over || self.fin == Signal::Arrived;
        Readiness {
            readable: ended || !self.inbox.is_empty(),
            writable: over || !self.starved && (self.outbox_size - self.outbox.len()) * 3 >= self.outbox_size,
            read_closed: ended,
            error: over && self.error && !armed_system,
        }
    }

    /// What came, or went, while nobody looked.
    fn progress(&mut self, rng: &mut Rng, all: bool, keeps: bool) {
        let room = self.inbox_size.saturating_sub(self.inbox.len());
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
            } else if self.fin == Signal::OnItsWay && self.wire.is_empty() {
                self.fin = Signal::Arrived;
                self.edge = true;
            }
        }
        if self.starved
            && (self.outbox_size - self.outbox.len()) * 3 >= self.outbox_size
            && (all || rng.percent(50))
        {
            self.starved = false;
            self.edge = true;
        }
    }
}

pub(super) struct Listener {
    pub(super) backlog: VecDeque<usize>,
    edge: bool,
    armed: bool,
    token: Token,
}

pub(super) struct Inner {
    pub(super) rng: Rng,
    pub(super) sockets: Vec<Socket>,
    pub(super) listeners: Vec<Listener>,
    /// Readiness must be armed again, as on Windows.
    pub(super) armed_system: bool,
    /// What came before a reset can still be read, as on Linux.
    pub(super) reset_keeps: bool,
    /// How often something goes wrong, in percent.
    pub(super) faults: usize,
    pub(super) no_descriptors: bool,
    /// Calls of the loop into the kernel.
    pub(super) calls: u64,
}

/// A handle to it.
#[derive(Clone)]
pub(super) struct Kernel(Arc<Mutex<Inner>>);

impl Kernel {
    pub(super) fn new(mut rng: Rng) -> Self {
        let armed_system = rng.percent(30);
        let reset_keeps = !armed_system && rng.percent(60);
        let faults = rng.pick(&[0, 5, 20, 50]);
        Self(Arc::new(Mutex::new(Inner {
            rng,
            sockets: Vec::new(),
            listeners: Vec::new(),
            armed_system,
            reset_keeps,
            faults,
            no_descriptors: false,
            calls: 0,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A run that has failed is still taken down.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the loop calls. A call may find that the world has moved on meanwhile.
impl Inner {
    fn call(&mut self, id: usize) -> io::Result<()> {
        self.calls += 1;
        if self.rng.percent(self.faults) {
            self.sockets[id].progress(&mut self.rng, false, self.reset_keeps);
        }
        if self.rng.percent(self.faults / 4) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(())
    }

    fn would_block<T>(&mut self, id: usize) -> io::Result<T> {
        self.sockets[id].armed = ALL;
        Err(io::ErrorKind::WouldBlock.into())
    }

    pub(super) fn register(&mut self, id: usize, token: Token) -> io::Result<()> {
        self.calls += 1;
        let socket = &mut self.sockets[id];
        socket.token = Some(token);
        // The present state makes the first event.
        socket.edge = true;
        socket.armed = ALL;
        Ok(())
    }

    pub(super) fn read(&mut self, id: usize, buffer: &mut [u8]) -> io::Result<usize> {
        self.call(id)?;
        let Self { rng, faults, armed_system, .. } = self;
        let socket = &mut self.sockets[id];
        assert!(!socket.closed && !buffer.is_empty());
        let mut n = socket.inbox.len().min(buffer.len());
        if n > 0 {
            if rng.percent(*faults) {
                n = rng.within(1, n);
                // The rest came just after: an event will tell, where it is told in edges.
                socket.edge |= !*armed_system && n < socket.inbox.len();
            }
            buffer[..n].copy_from_slice(socket.inbox.take(n));
            socket.bytes_read += n as u64;
            if rng.percent(*faults) {
                socket.progress(rng, false, self.reset_keeps);
            }
            return Ok(n);
        }
        // An error is told once; what is left of the connection is its end.
        if socket.reset == Signal::Arrived && mem::take(&mut socket.error) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if socket.reset == Signal::Arrived || socket.fin == Signal::Arrived {
            socket.end_told = true;
            return Ok(0);
        }
        self.would_block(id)
    }

    pub(super) fn write(&mut self, id: usize, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.call(id)?;
        let Self { rng, faults, .. } = self;
        let socket = &mut self.sockets[id];
        assert!(!socket.closed);
        if socket.reset == Signal::Arrived {
            let told = !mem::take(&mut socket.error);
            let kind = if told { io::ErrorKind::BrokenPipe } else { io::ErrorKind::ConnectionReset };
            return Err(kind.into());
        }
        if socket.shut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let asked: usize = slices.iter().map(|slice| slice.len()).sum();
        assert!(asked > 0, "a write of nothing");
        let mut n = asked.min(socket.outbox_size - socket.outbox.len());
        if rng.percent(*faults) {
            n = rng.within(0, n);
        }
        socket.starved |= n < asked;
        if n == 0 {
            return self.would_block(id);
        }
        let mut left = n;
        for slice in slices {
            let part = left.min(slice.len());
            socket.outbox.push(&slice[..part]);
            left -= part;
        }
        socket.bytes_written += n as u64;
        if socket.gone {
            socket.outbox.clear();
            if socket.reset == Signal::No {
                socket.reset = Signal::OnItsWay;
            }
        }
        Ok(n)
    }

    pub(super) fn shutdown(&mut self, id: usize) -> io::Result<()> {
        self.calls += 1;
        let socket = &mut self.sockets[id];
        if socket.reset == Signal::Arrived {
            return Err(io::ErrorKind::NotConnected.into());
        }
        socket.shut = true;
        // The change of state may be told, and may not.
        socket.edge |= self.rng.percent(50);
        Ok(())
    }

    pub(super) fn take_error(&mut self, id: usize) -> io::Result<Option<io::Error>> {
        self.calls += 1;
        let told = mem::take(&mut self.sockets[id].error);
        Ok(told.then(|| io::ErrorKind::ConnectionReset.into()))
    }

    pub(super) fn close(&mut self, id: usize) {
        let socket = &mut self.sockets[id];
        assert!(!mem::replace(&mut socket.closed, true));
        socket.token = None;
        // What came and was not read: the peer learns that it was lost.
        socket.aborted |= !socket.inbox.is_empty();
    }

    pub(super) fn accept(&mut self, place: usize) -> io::Result<(usize, Option<SocketAddr>)> {
        self.calls += 1;
        let Self { rng, faults, .. } = self;
        let listener = &mut self.listeners[place];
        if rng.percent(*faults / 4) {
            let kinds = [
                io::ErrorKind::Interrupted,
                io::ErrorKind::ConnectionAborted,
                io::ErrorKind::ConnectionReset,
                io::ErrorKind::NetworkUnreachable,
            ];
            return Err(rng.pick(&kinds).into());
        }
        if listener.backlog.is_empty() {
            listener.armed = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.no_descriptors {
            // EMFILE and ENFILE.
            return Err(io::Error::from_raw_os_error(rng.pick(&[24, 23])));
        }
        let Some(id) = listener.backlog.pop_front() else { return Err(io::ErrorKind::WouldBlock.into()) };
        self.sockets[id].accepted = true;
        let address = match id % 4 {
            0 => Some(SocketAddr::from(([192, 0, 2, (id % 8) as u8], 1000 + id as u16))),
            1 => Some(SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, id as u16], 1000 + id as u16))),
            2 => Some(SocketAddr::from(([127, 0, 0, 1], 1000 + id as u16))),
            _ => None,
        };
        Ok((id, address))
    }
}

/// What the waiting fetches.
impl Inner {
    /// Whether it would fetch anything.
    pub(super) fn has_events(&self) -> bool {
        self.sockets.iter().any(|socket| self.event(socket).is_some())
            || self.listeners.iter().any(|listener| self.is_ready(listener))
    }

    fn event(&self, socket: &Socket) -> Option<Readiness> {
        socket.token?;
        let mut level = socket.level(self.armed_system);
        if self.armed_system {
            level.readable &= socket.armed.readable;
            level.writable &= socket.armed.writable;
            level.read_closed &= socket.armed.read_closed;
        } else if !socket.edge {
            return None;
        }
        (level != Readiness::default()).then_some(level)
    }

    fn is_ready(&self, listener: &Listener) -> bool {
        !listener.backlog.is_empty() && if self.armed_system { listener.armed } else { listener.edge }
    }

    /// Whether the loop was told all there is of this socket, so that it must remember by itself.
    pub(super) fn is_told(&self, id: usize) -> bool {
        self.event(&self.sockets[id]).is_none()
    }

    /// What the loop would be told of it.
    pub(super) fn level(&self, id: usize) -> Readiness {
        self.sockets[id].level(self.armed_system)
    }

    /// Fetches events: not always all, in any order, one socket's perhaps in two, and now and then one for
    /// nothing.
    pub(super) fn wait(&mut self) -> Vec<(Token, Readiness)> {
        let mut events = Vec::new();
        for place in 0..self.listeners.len() {
            if self.is_ready(&self.listeners[place]) && !self.rng.percent(self.faults / 2) {
                let listener = &mut self.listeners[place];
                (listener.edge, listener.armed) = (false, false);
                events.push((listener.token, Readiness { readable: true, ..Readiness::default() }));
            }
        }
        for id in 0..self.sockets.len() {
            let Some(token) = self.sockets[id].token else { continue };
            if self.rng.percent(self.faults / 10) {
                let mut flag = || self.rng.percent(50);
                let (readable, writable) = (flag(), flag());
                events.push((token, Readiness { readable, writable, read_closed: flag(), error: flag() }));
            }
            let Some(event) = self.event(&self.sockets[id]) else { continue };
            if self.rng.percent(self.faults / 2) {
                continue;
            }
            let socket = &mut self.sockets[id];
            socket.edge = false;
            socket.armed.readable &= !event.readable;
            socket.armed.writable &= !event.writable;
            socket.armed.read_closed &= !event.read_closed;
            if event.writable && self.rng.percent(self.faults) {
                events.push((token, Readiness { writable: true, ..Readiness::default() }));
                events.push((token, Readiness { writable: false, ..event }));
            } else {
                events.push((token, event));
            }
        }
        self.rng.shuffle(&mut events);
        events
    }

    /// The sockets that the loop watches: token and socket.
    pub(super) fn tokens(&self) -> impl Iterator<Item = (usize, usize)> {
        let tokens = self.sockets.iter().enumerate();
        tokens.filter_map(|(id, socket)| socket.token.map(|Token(token)| (token, id)))
    }

    /// Whether somebody waits to be accepted there, and the loop was told.
    pub(super) fn waiting(&self, place: usize) -> bool {
        let listener = &self.listeners[place];
        !listener.backlog.is_empty() && !self.is_ready(listener)
    }

    /// Time passes for one socket, or it all arrives.
    pub(super) fn progress(&mut self, id: usize, all: bool) {
        self.sockets[id].progress(&mut self.rng, all, self.reset_keeps);
    }

    /// Descriptors are back, and buffers are of the usual size.
    pub(super) fn be_fair(&mut self) {
        self.no_descriptors = false;
        for socket in &mut self.sockets {
            socket.outbox_size = socket.outbox_size.max(20_000);
            socket.inbox_size = socket.inbox_size.max(20_000);
        }
    }

    pub(super) fn listen(&mut self, tokens: impl IntoIterator<Item = Token>) {
        let listener = |token| Listener { backlog: VecDeque::new(), edge: false, armed: true, token };
        self.listeners = tokens.into_iter().map(listener).collect();
    }
}

/// What peers do.
impl Inner {
    pub(super) fn connect(&mut self, place: usize) -> usize {
        let id = self.sockets.len();
        let sizes = [1, 7, 100, 1000, 4096, 20_000, 100_000];
        self.sockets.push(Socket {
            wire: Pipe::default(),
            inbox: Pipe::default(),
            fin: Signal::No,
            reset: Signal::No,
            error: false,
            outbox: Pipe::default(),
            outbox_size: self.rng.pick(&sizes[2..]),
            inbox_size: self.rng.pick(&sizes),
            starved: false,
            shut: false,
            accepted: false,
            end_told: false,
            closed: false,
            aborted: false,
            cut: false,
            gone: false,
            token: None,
            edge: false,
            armed: ALL,
            bytes_read: 0,
            bytes_written: 0,
        });
        self.listeners[place].backlog.push_back(id);
        self.listeners[place].edge = true;
        id
    }

    /// How many bytes the peer's socket takes now.
    pub(super) fn send(&mut self, id: usize, bytes: &[u8]) -> usize {
        let socket = &mut self.sockets[id];
        assert!(socket.fin == Signal::No && !socket.gone, "the test sends after its end");
        if socket.reset != Signal::No {
            return bytes.len();
        }
        if socket.closed {
            socket.aborted |= !bytes.is_empty();
            return bytes.len();
        }
        let n = bytes.len().min(200_000usize.saturating_sub(socket.wire.len()));
        socket.wire.push(&bytes[..n]);
        n
    }

    /// The peer half-closes.
    pub(super) fn fin(&mut self, id: usize) {
        let socket = &mut self.sockets[id];
        if socket.fin == Signal::No && socket.reset == Signal::No {
            socket.fin = Signal::OnItsWay;
        }
    }

    /// The peer closes its socket. Unread bytes make that a reset.
    pub(super) fn leave(&mut self, id: usize) {
        if self.sockets[id].outbox.is_empty() {
            self.fin(id);
        } else {
            self.reset(id);
        }
        self.sockets[id].gone = true;
    }

    /// The peer resets the connection; what was on its way may be lost.
    pub(super) fn reset(&mut self, id: usize) {
        let Self { rng, sockets, .. } = self;
        let socket = &mut sockets[id];
        if socket.reset == Signal::No {
            socket.reset = Signal::OnItsWay;
            let keep = rng.within(0, socket.wire.len());
            socket.wire.truncate(keep);
        }
        socket.gone = true;
        socket.outbox.clear();
    }

    /// The peer reads.
    pub(super) fn receive(&mut self, id: usize, most: usize) -> Received {
        let Self { rng, sockets, .. } = self;
        let socket = &mut sockets[id];
        if socket.closed && !socket.wire.is_empty() {
            // What arrives at a closed socket is answered with a reset.
            socket.aborted = true;
            socket.wire.clear();
        }
        if socket.aborted && !mem::replace(&mut socket.cut, true) {
            let keep = rng.within(0, socket.outbox.len());
            socket.outbox.truncate(keep);
        }
        let n = socket.outbox.len().min(most);
        if n > 0 {
            return Received::Bytes(socket.outbox.take(n).to_vec());
        }
        match () {
            () if socket.aborted || socket.reset != Signal::No => Received::Reset,
            () if socket.shut || socket.closed => Received::End,
            () => Received::Nothing,
        }
    }
}

/// What a peer's read gives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    Bytes(Vec<u8>),
    Nothing,
    End,
    Reset,
}
