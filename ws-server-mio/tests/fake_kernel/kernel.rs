//! A fake kernel: it does what a real kernel may do but rarely does, and keeps what a real kernel promises.
//!
//! ```text
//!  peer ── send ──▶ wire ── arrives, sooner or later ──▶ inbox ── read ──▶ the loop
//!       ◀─ receive ─────────────────────────────────── outbox ◀─ write ──
//! ```
//!
//! Promised by a system with edge-triggered readiness (epoll, kqueue): whatever arrives after the last event was
//! fetched causes another one, and so does room after a write that was refused or cut short; an event shows the whole
//! state at the time it is fetched; EOF and errors show as such in every event from then on. By a system that must be
//! armed (Windows, as mio has it): each kind of readiness is reported once, and again only after a read or a write has
//! returned `WouldBlock`.
//!
//! Not promised: when anything arrives, in which order sockets are reported, that readiness still holds, and that a
//! call is not interrupted.

use super::dialling::DialOutcome;
use super::rng::Rng;
use super::wire::{ALL, Link, Signal, Socket, Target};
use mio::Token;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use ws_server_mio::sys::Readiness;

pub(super) struct Listener {
    pub(super) backlog: VecDeque<usize>,
    pub(super) edge: bool,
    armed: bool,
    pub(super) token: Token,
}

pub(super) struct Inner {
    pub(super) rng: Rng,
    pub(super) sockets: Vec<Socket>,
    pub(super) listeners: Vec<Listener>,
    /// Readiness must be re-armed, as on Windows.
    pub(super) armed_system: bool,
    /// Input before a reset can still be read, as on Linux.
    pub(super) reset_keeps: bool,
    /// How often a call fails, in percent.
    pub(super) faults: usize,
    pub(super) no_descriptors: bool,
    /// It reports room and opens windows as Linux does.
    pub(super) linux: bool,
    /// How often it was out of descriptors.
    pub(super) rejections: u64,
    /// Another thread asks the loop to wake.
    pub(super) woken: bool,
    /// What was last reported to the loop, and what will be reported about sockets that are gone.
    pub(super) reported: Vec<(Token, Readiness)>,
    pub(super) stale: Vec<(Token, Readiness)>,
    /// Calls of the loop into the kernel.
    pub(super) calls: u64,
    /// The outcome of a connect by target; all other targets are `Up`.
    pub(super) outcomes: BTreeMap<Target, DialOutcome>,
}

/// A handle to the kernel.
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
            linux: false,
            rejections: 0,
            woken: false,
            reported: Vec::new(),
            stale: Vec::new(),
            calls: 0,
            outcomes: BTreeMap::new(),
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Teardown runs even after a failure.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The loop's calls. The state of a socket may change just before any of them.
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
        self.may_watch(id)?;
        let socket = &mut self.sockets[id];
        socket.token = Some(token);
        // The present state causes the first event.
        socket.edge = true;
        socket.armed = ALL;
        Ok(())
    }

    pub(super) fn read(&mut self, id: usize, buffer: &mut [u8]) -> io::Result<usize> {
        self.call(id)?;
        let Self { rng, faults, armed_system, .. } = self;
        let socket = &mut self.sockets[id];
        assert!(!socket.closed && !buffer.is_empty() && socket.link == Link::Up);
        let mut n = socket.inbox.len().min(buffer.len());
        if n > 0 {
            if rng.percent(*faults) {
                n = rng.within(1, n);
                // The rest arrived just after: an edge-triggered system will report it.
                socket.edge |= !*armed_system && n < socket.inbox.len();
            }
            buffer[..n].copy_from_slice(socket.inbox.take(n));
            socket.bytes_read += n as u64;
            if rng.percent(*faults) {
                socket.progress(rng, false, self.reset_keeps);
            }
            return Ok(n);
        }
        // An error is reported once; then the connection reads EOF.
        if socket.reset == Signal::Arrived && mem::take(&mut socket.error) {
            return Err(socket.kind.into());
        }
        if socket.reset == Signal::Arrived || socket.fin == Signal::Arrived {
            socket.eof_reported = true;
            return Ok(0);
        }
        self.would_block(id)
    }

    pub(super) fn write(&mut self, id: usize, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.call(id)?;
        let Self { rng, faults, .. } = self;
        let socket = &mut self.sockets[id];
        assert!(!socket.closed && socket.link == Link::Up);
        if socket.writes_left == Some(0) && socket.reset != Signal::Arrived {
            (socket.reset, socket.error, socket.edge) = (Signal::Arrived, true, true);
        }
        socket.writes_left = socket.writes_left.map(|left| left.saturating_sub(1));
        if socket.reset == Signal::Arrived {
            let was_reported = !mem::take(&mut socket.error);
            let kind = if was_reported { io::ErrorKind::BrokenPipe } else { socket.kind };
            return Err(kind.into());
        }
        if socket.shut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        assert!(offered > 0, "an empty write");
        let mut n = offered.min(socket.room());
        if rng.percent(*faults) {
            n = rng.within(0, n);
        }
        socket.starved |= n < offered;
        socket.refused |= n < offered;
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
        if socket.peer_closed {
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
        // The change of state may be reported, or not.
        socket.edge |= self.rng.percent(50);
        Ok(())
    }

    pub(super) fn take_error(&mut self, id: usize) -> io::Result<Option<io::Error>> {
        self.calls += 1;
        self.advance_connect(id);
        let socket = &mut self.sockets[id];
        let is_pending = mem::take(&mut socket.error);
        Ok(is_pending.then(|| socket.kind.into()))
    }

    pub(super) fn close(&mut self, id: usize) {
        let socket = &mut self.sockets[id];
        assert!(!mem::replace(&mut socket.closed, true));
        socket.token = None;
        // Unread input: the peer learns that it was lost.
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
            self.rejections += 1;
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

/// What the next wait fetches.
impl Inner {
    /// Whether the next wait would fetch anything.
    pub(super) fn has_events(&self) -> bool {
        self.woken
            || self.sockets.iter().any(|socket| self.event(socket).is_some())
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

    /// Whether everything about this socket was reported, and the loop must remember it.
    pub(super) fn is_reported(&self, id: usize) -> bool {
        self.event(&self.sockets[id]).is_none()
    }

    /// What would be reported about this socket.
    pub(super) fn level(&self, id: usize) -> Readiness {
        self.sockets[id].level(self.armed_system)
    }

    /// Fetches events: not always all, in any order, perhaps two for one socket, and sometimes a spurious one.
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

    /// Whether a connection waits to be accepted there, and the loop was notified.
    pub(super) fn waiting(&self, place: usize) -> bool {
        let listener = &self.listeners[place];
        !listener.backlog.is_empty() && !self.is_ready(listener)
    }

    /// Lets time pass for one socket, or lets everything arrive.
    pub(super) fn progress(&mut self, id: usize, all: bool) {
        self.sockets[id].progress(&mut self.rng, all, self.reset_keeps);
    }

    /// Descriptors are back, and buffers have their usual size.
    pub(super) fn be_fair(&mut self) {
        self.no_descriptors = false;
        for socket in &mut self.sockets {
            socket.outbox_size = socket.outbox_size.max(20_000);
            socket.inbox_size = socket.inbox_size.max(20_000);
        }
    }

    /// The planned listeners, which get their tokens later.
    pub(super) fn prepare_listeners(&mut self, count: usize) {
        let listener = || Listener { backlog: VecDeque::new(), edge: false, armed: true, token: Token(0) };
        self.listeners = (0..count).map(|_| listener()).collect();
    }
}
