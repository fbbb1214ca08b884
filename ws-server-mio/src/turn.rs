//! The work of one turn, between two waits.
//!
//! Everything here stops when the time is over and goes on in the next turn: what is left stays in its list.

use crate::connections::{Connections, Rest, lend};
use crate::event::Event;
use crate::options::{Budget, Clock};
use crate::remote::Job;
use crate::server::{LISTENERS, Step};
use crate::slots::{Live, UNARMED, flag};
use crate::socket::{SHORT_SAYS_ALL, write};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::Shutdown;
use std::time::Instant;
use ws_proto::{Event as Happened, Next};

/// With this much waiting, a connection is written to as soon as its visit ends, while the bytes are warm and
/// their memory can serve the next one.
const WRITE_EARLY: usize = 8 << 10;
/// Timers that run in a turn whose time is already over, so that no flood keeps them away.
const LATE_TIMERS: usize = 16;

pub(crate) struct Work<'e, H> {
    pub(crate) connections: &'e mut Connections,
    pub(crate) rx: &'e mut [u8],
    pub(crate) jobs: &'e mut VecDeque<Job>,
    pub(crate) handler: H,
    pub(crate) budget: &'e Budget,
    pub(crate) clock: &'e Clock,
    /// When the time is over; `None` reads no clock.
    pub(crate) end: Option<Instant>,
    pub(crate) over: bool,
    pub(crate) events: u32,
    pub(crate) stopped: bool,
}

/// What became of a visit's bytes.
enum Fed {
    /// All used.
    All,
    /// So many are left at the end: the connection is paused, or the time is over.
    Left(usize),
}

impl<H: FnMut(&mut Connections, Event<'_>)> Work<'_, H> {
    pub(crate) fn run(&mut self) {
        // What the last turn could not finish comes first, so that reading cannot keep writing away.
        self.finish_touched();
        self.run_jobs();
        self.step_servers();
        self.accept();
        self.read();
        self.run_timers();
        // Twice: what the first pass caused is written too, but a handler that answers each drained outbox
        // with more does not hold the turn.
        self.finish_touched();
        self.finish_touched();
        self.step_servers();
        let Connections { slots, timers, .. } = &mut *self.connections;
        slots.free_buried();
        timers.clean(slots.len(), |entry| Connections::is_armed(slots, entry));
    }

    /// Reads the clock, where there is a budget, after a piece of work.
    #[inline]
    fn worked(&mut self) {
        if let Some(end) = self.end {
            self.connections.now = self.clock.now();
            self.over |= self.connections.now >= end;
        }
    }

    #[inline]
    fn tell(&mut self, event: Event<'_>) {
        self.events += 1;
        (self.handler)(self.connections, event);
        self.worked();
    }

    fn run_jobs(&mut self) {
        while !self.over
            && let Some(job) = self.jobs.pop_front()
        {
            job(self.connections);
            self.worked();
        }
    }

    fn step_servers(&mut self) {
        while !self.over
            && let Some((server, error)) = self.connections.failures.pop_front()
        {
            self.tell(Event::AcceptFailed { server, error });
        }
        for index in 0..self.connections.servers.end() {
            while !self.over {
                let Connections { servers, slots, now, .. } = &mut *self.connections;
                let owner = |slot| slots.at(slot).map(|live: &Live| live.server);
                match servers.step(index, *now, slots.end(), owner) {
                    Step::Nothing => break,
                    Step::Stopping(server) => self.tell(Event::Stopping(server)),
                    Step::Tell(slot) => {
                        self.connections.leave(slot);
                        self.worked();
                    }
                    Step::Cut(slot) => {
                        self.connections.cut(slot);
                        self.worked();
                    }
                    Step::Stopped(server) => {
                        self.stopped = true;
                        self.tell(Event::Stopped(server));
                    }
                }
            }
        }
    }

    fn accept(&mut self) {
        let mut left = self.budget.accepts;
        for index in 0..self.connections.servers.end() {
            for place in 0..LISTENERS {
                while left > 0 && !self.over && self.connections.accept_one(index, place) {
                    left -= 1;
                    self.worked();
                }
            }
        }
    }

    /// Visits each connection that may be read, once: who comes back waits for the next turn.
    fn read(&mut self) {
        for _ in 0..self.connections.unread.len() {
            if self.over {
                break;
            }
            let Some(slot) = self.connections.unread.pop_front() else { break };
            self.visit(slot);
        }
    }

    fn visit(&mut self, slot: u32) {
        let Some(live) = self.connections.slots.at_mut(slot) else { return };
        live.clear(flag::UNREAD);
        let mut rested = true;
        if live.has(flag::REST) {
            rested = self.visit_rest(slot);
        }
        if rested && !self.over {
            self.visit_socket(slot);
        }
        self.connections.touch(slot);
        let limit = self.write_limit();
        if let Some(live) = self.connections.slots.at_mut(slot)
            && live.has(flag::WRITABLE)
            && live.connection.queued() >= WRITE_EARLY
            && !self.over
        {
            let _ = write(live, self.connections.now, limit);
            self.connections.reclaim(slot);
            self.worked();
        }
        self.read_on(slot);
    }

    /// Queues a connection that may be read further. One that is paused is queued when that ends: whatever
    /// ends it touches the connection.
    fn read_on(&mut self, slot: u32) {
        if let Some(live) = self.connections.slots.at(slot)
            && live.has(flag::READABLE | flag::REST)
            && !live.connection.is_paused()
        {
            self.connections.unread(slot);
        }
    }

    /// Goes on with bytes that were read before; says whether they are used up.
    fn visit_rest(&mut self, slot: u32) -> bool {
        let Some(mut rest) = self.connections.rests.remove(&slot) else { return true };
        match self.feed(slot, &mut rest.buffer[rest.at..]) {
            Fed::Left(left) if left > 0 => {
                rest.at = rest.buffer.len() - left;
                self.connections.rests.insert(slot, rest);
                false
            }
            _ => {
                if let Some(live) = self.connections.slots.at_mut(slot) {
                    live.clear(flag::REST);
                }
                self.connections.pool.give_buffer(rest.buffer);
                true
            }
        }
    }

    fn visit_socket(&mut self, slot: u32) {
        let mut left = self.budget.bytes_per_visit.max(1);
        let rx = std::mem::take(&mut self.rx);
        while left > 0 && !self.over {
            let now = self.connections.now;
            let Some(live) = self.connections.slots.at_mut(slot) else { break };
            if !live.has(flag::READABLE) || live.connection.is_paused() {
                break;
            }
            let room = rx.len().min(left);
            let n = match (&live.stream).read(&mut rx[..room]) {
                Ok(0) => {
                    live.clear(flag::READABLE);
                    live.connection.receive_eof(now);
                    break;
                }
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    live.clear(flag::READABLE);
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    live.clear(flag::READABLE);
                    live.connection.abort(now, error.into());
                    break;
                }
            };
            // The end of the stream is to be read too, and brings no edge of its own once it was told.
            if n < room && SHORT_SAYS_ALL && !live.has(flag::READ_CLOSED) {
                live.clear(flag::READABLE);
            }
            left -= n;
            if let Fed::Left(rest) = self.feed(slot, &mut rx[..n])
                && rest > 0
            {
                self.connections.keep_rest(slot, &rx[n - rest..n]);
                break;
            }
            self.worked();
        }
        self.rx = rx;
    }

    /// Gives a connection its bytes, and the handler what they make.
    #[inline]
    fn feed(&mut self, slot: u32, bytes: &mut [u8]) -> Fed {
        let mut input = bytes;
        {
            let Connections { slots, pool, .. } = &mut *self.connections;
            let Some(live) = slots.at_mut(slot) else { return Fed::All };
            lend(live, pool);
        }
        loop {
            let now = self.connections.now;
            let Some(live) = self.connections.slots.at_mut(slot) else { return Fed::All };
            let Some(event) = live.connection.receive(now, &mut input) else { break };
            let id = live.id(slot);
            self.connections.note(slot, &event);
            self.tell(Event::Connection(id, event));
            if self.over {
                break;
            }
        }
        if input.is_empty() { Fed::All } else { Fed::Left(input.len()) }
    }

    fn run_timers(&mut self) {
        let tick = self.connections.timers.tick_at(self.connections.now);
        let mut late = LATE_TIMERS;
        while let Some(entry) = self.connections.timers.first()
            && entry.at <= tick
        {
            if self.over {
                if late == 0 {
                    break;
                }
                late -= 1;
            }
            self.connections.timers.pop();
            if !Connections::is_armed(&self.connections.slots, &entry) {
                continue;
            }
            let now = self.connections.now;
            if let Some(live) = self.connections.slots.at_mut(entry.slot) {
                live.armed = UNARMED;
                live.connection.handle_timeout(now);
            }
            self.connections.touch(entry.slot);
            self.worked();
        }
    }

    /// Looks once at each connection that was touched.
    fn finish_touched(&mut self) {
        for _ in 0..self.connections.touched.len() {
            if self.over {
                break;
            }
            let Some(slot) = self.connections.touched.pop_front() else { break };
            self.finish(slot);
        }
    }

    /// Tells what a connection has to tell, writes once, and does what it wants of its socket.
    fn finish(&mut self, slot: u32) {
        if !self.tell_all(slot) {
            // The flag still stands.
            self.connections.touched.push_back(slot);
            return;
        }
        let limit = self.write_limit();
        let now = self.connections.now;
        let Some(live) = self.connections.slots.at_mut(slot) else { return };
        live.clear(flag::TOUCHED);
        let wrote = live.connection.queued() > 0 && write(live, now, limit);
        if wrote {
            self.worked();
            // An outbox that drained, an end that only had to be flushed.
            if !self.tell_all(slot) {
                self.connections.touch(slot);
                return;
            }
        }
        let Some(live) = self.connections.slots.at_mut(slot) else { return };
        let mut next = live.connection.next_io();
        if next == Next::Shutdown {
            // It fails where the peer has reset the connection: reading will tell.
            let _ = live.stream.shutdown(Shutdown::Write);
            next = live.connection.next_io();
        }
        match next {
            Next::Drop => {
                self.connections.bury(slot);
                self.worked();
                return;
            }
            Next::Write if live.has(flag::WRITABLE) => self.connections.touch(slot),
            _ => {}
        }
        self.connections.reclaim(slot);
        self.connections.arm(slot);
        self.read_on(slot);
    }

    /// Tells the handler what a connection has to tell; says whether the time sufficed.
    fn tell_all(&mut self, slot: u32) -> bool {
        loop {
            if self.over {
                return false;
            }
            let now = self.connections.now;
            let Some(live) = self.connections.slots.at_mut(slot) else { return true };
            let Some(event) = live.connection.poll_event(now) else { return true };
            let id = live.id(slot);
            self.connections.note(slot, &event);
            self.tell(Event::Connection(id, event));
        }
    }

    /// How many bytes one write may take: a socket takes megabytes at once if it can.
    fn write_limit(&self) -> usize {
        match self.end {
            None => usize::MAX,
            Some(_) => self.budget.bytes_per_visit.max(64 << 10),
        }
    }
}

impl Connections {
    /// Keeps bytes that a connection does not take now.
    fn keep_rest(&mut self, slot: u32, bytes: &[u8]) {
        if let Some(live) = self.slots.at_mut(slot) {
            live.set(flag::REST);
            let buffer = self.pool.buffer_with(bytes);
            self.rests.insert(slot, Rest { buffer, at: 0 });
        }
    }

    /// What an event means for the counts, before the handler sees it.
    #[inline]
    fn note(&mut self, slot: u32, event: &Happened<'_>) {
        match event {
            Happened::Upgrade(_) => self.count_upgrade(slot),
            Happened::Closed(_) => self.uncount(slot),
            _ => {}
        }
    }

    /// Whether there is something to do that the kernel will not tell.
    pub(crate) fn has_work(&self) -> bool {
        !self.touched.is_empty()
            || !self.unread.is_empty()
            || !self.failures.is_empty()
            || self.servers.has_work(self.now)
    }
}
