//! The work of one turn, between two waits.
//!
//! Everything here stops when the time is over and goes on in the next turn: what is left stays in its list.

use crate::connection::deadlines::judge;
use crate::connection::io::write;
use crate::connection::readable::share_on;
use crate::connection::slots::{ConnectionId, Slot, flag, mark};
use crate::connection::{Connections, Leftover, arm, lend, mark_dirty, read_on, reclaim};
use crate::endpoint::options::{Budget, Clock};
use crate::endpoint::recovery::Fed;
use crate::endpoint::remote::Job;
use crate::event::Event;
use crate::files::takes_chunk;
use crate::server::list::Step;
use crate::sys::socket::short_says_all;
use crate::sys::socket_options;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::Shutdown;
use std::time::{Duration, Instant};
use ws_proto::Next;

/// With this much waiting, a connection is written to as soon as its visit ends, while the bytes are warm and
/// their memory can serve the next one.
const WRITE_EARLY: usize = 8 << 10;
/// So much more is read from one connection to finish a message, where no time bounds the turn: the memory of
/// the message is warm, and free for the next one when it is sent.
const FINISH_MESSAGE: usize = 4 << 20;

pub(crate) struct TurnRun<'e, H> {
    pub(crate) connections: &'e mut Connections,
    pub(crate) rx: &'e mut [u8],
    pub(crate) jobs: &'e mut VecDeque<Job>,
    pub(crate) jobs_left: &'e mut bool,
    pub(crate) handler: H,
    pub(crate) budget: &'e Budget,
    pub(crate) clock: &'e Clock,
    /// When the time is over; `None` reads no clock.
    pub(crate) end: Option<Instant>,
    pub(crate) over: bool,
    pub(crate) events: u32,
    pub(crate) stopped: bool,
    /// The connection that was visited or finished last: where a handler panics, it is that one's.
    pub(crate) current: Option<u32>,
    /// The turn has come to its end.
    pub(crate) finished: bool,
    /// The extension has seen what is told now.
    pub(crate) was_intercepted: bool,
    /// Has the host run another turn after one that has not.
    pub(crate) abandoned: &'e dyn Fn(),
}

impl<H: FnMut(&mut Connections, Event<'_>)> TurnRun<'_, H> {
    pub(crate) fn run(&mut self) {
        self.tell_untold();
        // What the last turn could not finish comes first, so that reading cannot keep writing away.
        self.finish_dirty();
        // Before jobs and reading: no flood of either keeps clients from coming back.
        self.step_clients();
        // Jobs that took the whole of the last turn let peers go first in this one.
        let jobs_last = std::mem::take(&mut *self.jobs_left);
        if !jobs_last {
            self.run_jobs();
            *self.jobs_left = self.over && !self.jobs.is_empty();
        }
        if self.connections.servers.busy() {
            self.step_servers();
            self.accept();
        }
        self.read();
        if jobs_last {
            self.run_jobs();
        }
        self.send_files();
        self.run_timers();
        // Twice: what the first pass caused is written too, but a handler that answers each drained outbox
        // with more does not hold the turn.
        self.finish_dirty();
        self.finish_dirty();
        if self.connections.servers.busy() {
            self.step_servers();
        }
        self.step_clients();
        let Connections { slots, timers, servers, .. } = &mut *self.connections;
        servers.settle();
        slots.free_removed();
        timers.clean(slots.len(), |entry| Connections::is_armed(slots, entry));
        self.finished = true;
    }

    /// The machine slept: peers are asked before anything else, and then the handler is told.
    #[cold]
    pub(crate) fn resume(&mut self, slept: Duration) {
        self.connections.wake_up();
        self.tell(Event::Resumed { slept });
    }

    /// Reads the clock, where there is a budget, after a piece of work.
    #[inline]
    pub(crate) fn worked(&mut self) {
        if let Some(end) = self.end {
            self.connections.now = self.clock.now();
            self.over |= self.connections.now >= end;
        }
    }

    #[inline]
    pub(crate) fn tell(&mut self, event: Event<'_>) {
        let event = match self.connections.intercepted && !self.was_intercepted {
            false => event,
            true => match self.connections.intercept(event) {
                Some(event) => event,
                None => return self.worked(),
            },
        };
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

    /// What servers want to tell, and what those that stop have to do.
    fn step_servers(&mut self) {
        while !self.over
            && let Some((server, error)) = self.connections.failures.pop_front()
        {
            self.tell(Event::AcceptFailed { server, error });
        }
        for index in 0..self.connections.servers.end() {
            while !self.over {
                let Connections { servers, slots, now, .. } = &mut *self.connections;
                let owner = |slot| slots.at(slot).map(|live: &Slot| live.server);
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

    /// Accepts from each listener in its turn, so that a flooded one keeps no other away.
    fn accept(&mut self) {
        let mut left = self.budget.accepts;
        let mut idle = 0;
        while idle < self.connections.servers.places() && left > 0 && !self.over {
            let (index, place) = self.connections.servers.next_place();
            if self.connections.accept_one(index, place) {
                idle = 0;
                left -= 1;
                self.worked();
            } else {
                idle += 1;
            }
        }
    }

    pub(crate) fn visit(&mut self, slot: u32) {
        let Connections { slots, pool, .. } = &mut *self.connections;
        let Some(live) = slots.at_mut(slot) else { return };
        live.clear(flag::QUEUED);
        self.current = Some(slot);
        // What its messages cause is written into this.
        lend(live, pool);
        if !live.has(flag::LEFTOVER) || self.visit_leftover(slot) {
            self.visit_socket(slot);
        }
        let limit = self.write_limit();
        let Connections { slots, pool, dirty, readable, timers, now, .. } = &mut *self.connections;
        let Some(live) = slots.at_mut(slot) else { return };
        if live.is_marked(mark::OVERDUE) {
            live.unmark(mark::OVERDUE);
            judge(live, timers);
        }
        mark_dirty(slot, live, dirty);
        let early = live.connection.queued() >= WRITE_EARLY && live.has(flag::WRITABLE) && !self.over;
        if early {
            write(live, *now, limit);
            reclaim(live, pool);
        }
        read_on(slot, live, readable);
        if early {
            self.worked();
        }
    }

    /// Goes on with bytes that were read before; says whether they are used up.
    fn visit_leftover(&mut self, slot: u32) -> bool {
        if let Some(live) = self.connections.slots.at_mut(slot) {
            live.clear(flag::LEFTOVER);
        }
        let Some(mut rest) = self.connections.leftovers.remove(&slot) else { return true };
        let left = self.feed(slot, &mut rest.buffer[rest.at..]);
        if left == 0 {
            self.connections.pool.give_buffer(rest.buffer);
            return true;
        }
        rest.at = rest.buffer.len() - left;
        self.connections.keep_leftover(slot, rest);
        false
    }

    fn visit_socket(&mut self, slot: u32) {
        let mut left = self.budget.bytes_per_visit;
        let mut more = if self.end.is_none() { FINISH_MESSAGE } else { 0 };
        let rx = std::mem::take(&mut self.rx);
        while !self.over {
            let now = self.connections.now;
            let Some(live) = self.connections.slots.at_mut(slot) else { break };
            if left == 0 && live.connection.is_receiving_message() {
                left = more.min(rx.len());
                more -= left;
            }
            if left == 0 || !live.has(flag::READABLE) || live.connection.is_paused() {
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
            let drained = n < room && short_says_all(&live.stream) && !live.has(flag::READ_CLOSED);
            if drained {
                live.clear(flag::READABLE);
            }
            left -= n;
            let rest = self.feed(slot, &mut rx[..n]);
            if rest > 0 {
                let buffer = self.connections.pool.buffer_with(&rx[n - rest..n]);
                self.connections.keep_leftover(slot, Leftover { buffer, at: 0 });
                self.worked();
                break;
            }
            self.worked();
            if drained {
                break;
            }
        }
        self.rx = rx;
    }

    /// Gives a connection its bytes, and the handler what they make. Answers how many are left at the end: the
    /// connection is paused, or the time is over.
    #[inline]
    fn feed(&mut self, slot: u32, bytes: &mut [u8]) -> usize {
        let mut fed = Fed { turn: self, slot, input: bytes };
        while !fed.turn.over {
            let now = fed.turn.connections.now;
            let Some(live) = fed.turn.connections.slots.at_mut(slot) else { break };
            let Some(event) = live.connection.receive(now, &mut fed.input) else { break };
            let (id, coupled) = (live.id(slot), live.is_marked(mark::COUPLED));
            fed.turn.dispatch(id, event, coupled);
        }
        std::mem::take(&mut fed.input).len()
    }

    #[inline]
    fn dispatch(&mut self, id: ConnectionId, event: ws_proto::Event<'_>, coupled: bool) {
        match event {
            ws_proto::Event::Message(message) if !coupled => {
                self.connections.tally.messages_in += 1;
                self.tell(Event::Message(id, message));
            }
            event => self.dispatch_rare(id, event, coupled),
        }
    }

    /// What is no message, and what is a proxy's.
    #[inline(never)]
    fn dispatch_rare(&mut self, id: ConnectionId, event: ws_proto::Event<'_>, coupled: bool) {
        let Some(event) = Event::of(id, event) else { return };
        if !self.connections.note(id.slot, &event) {
            return;
        }
        if coupled {
            return self.dispatch_coupled(id, event);
        }
        let has_ended = matches!(event, Event::Closed(..));
        self.tell(event);
        if has_ended {
            // What it was subscribed to is known while that is told.
            self.connections.forget_topics(id);
        }
    }

    /// Sends a chunk of each file that is being answered; at least one, so that no flood keeps them away.
    fn send_files(&mut self) {
        for sent in 0..self.connections.files.ready() {
            if self.over && sent > 0 {
                break;
            }
            self.connections.send_chunk();
            self.worked();
        }
    }

    /// Looks once at each dirty connection.
    fn finish_dirty(&mut self) {
        for _ in 0..self.connections.dirty.len() {
            if self.over {
                break;
            }
            let Some(slot) = self.connections.dirty.pop_front() else { break };
            self.finish(slot);
        }
    }

    /// Writes once, tells what a connection has to tell, and does what it wants of its socket.
    fn finish(&mut self, slot: u32) {
        let limit = self.write_limit();
        let now = self.connections.now;
        let Some(live) = self.connections.slots.at_mut(slot) else { return };
        live.clear(flag::DIRTY);
        self.current = Some(slot);
        let wrote = live.connection.queued() > 0 && write(live, now, limit);
        // An answer that waited, an outbox that drained, an end. Mostly nothing.
        while let Some(live) = self.connections.slots.at_mut(slot)
            && let Some(event) = live.connection.poll_event(self.connections.now)
        {
            let (id, coupled) = (live.id(slot), live.is_marked(mark::COUPLED));
            self.dispatch(id, event, coupled);
            if self.over {
                self.connections.mark_dirty(slot);
                return;
            }
        }
        let Connections { slots, pool, timers, dirty, readable, files, .. } = &mut *self.connections;
        let Some(live) = slots.at_mut(slot) else { return };
        if files.waits_for(slot) && takes_chunk(&mut live.connection) {
            files.resume(slot);
        }
        let mut next = live.connection.next_io();
        if next == Next::Shutdown {
            // It fails where the peer has reset the connection: reading will tell.
            let _ = live.stream.shutdown(Shutdown::Write);
            next = live.connection.next_io();
        }
        match next {
            Next::Drop => {
                if live.connection.wants_reset() {
                    socket_options::reset_when_dropped(&live.stream);
                }
                self.connections.remove_slot(slot);
                return self.worked();
            }
            Next::Write if live.has(flag::WRITABLE) => mark_dirty(slot, live, dirty),
            Next::Write => share_on(slot, live, readable),
            Next::Pause => {
                reclaim(live, pool);
                // What came before it was open may wait for a share, with no edge to come.
                share_on(slot, live, readable);
            }
            _ => reclaim(live, pool),
        }
        arm(slot, live, timers);
        read_on(slot, live, readable);
        if wrote {
            self.worked();
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
    pub(crate) fn keep_leftover(&mut self, slot: u32, rest: Leftover) {
        if let Some(live) = self.slots.at_mut(slot) {
            live.set(flag::LEFTOVER);
            self.leftovers.insert(slot, rest);
        }
    }

    /// What an event means for counts, subscriptions and clients, before the handler sees it; and whether the
    /// handler is to see it.
    fn note(&mut self, slot: u32, event: &Event<'_>) -> bool {
        match event {
            Event::Message(..) => self.tally.messages_in += 1,
            Event::Fragment(_, fragment) => self.tally.messages_in += u64::from(fragment.last),
            Event::Request(..) => self.settle_handshake(slot),
            Event::Upgrade(..) => {
                self.settle_handshake(slot);
                self.count_upgrade(slot);
            }
            Event::Drained(_) => self.release_kept(slot),
            Event::Closed(..) => {
                self.uncount(slot);
                self.leave_topics(slot);
                return self.on_client_event(slot, event);
            }
            Event::Open(..) => {
                let told = self.on_client_event(slot, event);
                if !self.couples.is_empty() {
                    self.leg_opened(slot);
                }
                return told;
            }
            _ => {}
        }
        true
    }

    /// Whether there is something to do that the kernel will not tell.
    pub(crate) fn has_work(&self) -> bool {
        !self.dirty.is_empty()
            || !self.readable.is_empty()
            || self.files.has_work()
            || !self.failures.is_empty()
            || !self.untold.is_empty()
            || self.stopped
            || self.servers.has_work(self.now)
            || self.clients.has_work(self.now)
    }
}
