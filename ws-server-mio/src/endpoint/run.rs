//! The order of one turn.
//!
//! ```text
//!  kind       unit                                     one pass takes
//!  Writes     one write to a connection, its events    each connection that is dirty at its beginning, once
//!  Notices    one event of a client                    those pending at its beginning
//!  Clients    one attempt                              the clients that are due
//!  Jobs       one closure of another thread            those queued before the turn
//!  Servers    one step of a stopping server            all
//!  Accepts    one connection                           up to `Budget::accepts`
//!  Inflating  one share                                one connection that used up its share
//!  Reads      one visit to a connection                each that is readable at its beginning, once; a MiB of shares
//!  Files      one chunk                                one of each file
//!  Deadlines  one connection                           all that have passed
//!  Timers     one closure                              those that are due, and set before the pass
//! ```
//!
//! Every turn makes this pass. In the time that is left, it writes what that has caused, and steps servers and clients
//! again; then it reads, sends files and writes in rounds, until nothing is left. If the time runs out, the next turn begins its
//! pass with another kind: [`work`](crate::endpoint::work).
//!
//! A deadline has no effect before pending input is read, and pending output is written as far as the kernel takes it:
//! a loop that was busy elsewhere may find the awaited input, or room for its Close, and the expired deadline at once.

use crate::client::list::{Notice, Phase};
use crate::connection::Connections;
use crate::connection::io::{flush, write};
use crate::connection::lists::{arm, detach_buffer, expire, mark_dirty, queue_deferred, queue_read};
use crate::connection::slots::{Slot, flag, mark};
use crate::endpoint::turn::TurnRun;
use crate::endpoint::work::{Kinds, Work};
use crate::event::Event;
use crate::files::takes_chunk;
use crate::server::list::Step;
use ws_proto::{Error, IoAction, State};

impl<H: FnMut(&mut Connections, Event<'_>)> TurnRun<'_, H> {
    pub(crate) fn run(&mut self) {
        let first = *self.first;
        self.emit_pending();
        self.connections.readable.admit_handshakes(self.handshakes);
        let mut kinds = Kinds::from(first);
        loop {
            self.allow(kinds);
            self.pass();
            if kinds.has(Work::FIRST) {
                break;
            }
            kinds = Kinds::before(first);
        }
        self.allow(Kinds::ALL);
        self.finish_dirty_twice();
        if self.connections.servers.busy() {
            self.step_servers();
        }
        self.step_clients();
        // All else has had its turn.
        self.run_further_rounds();
        let Connections { slots, deadlines, servers, .. } = &mut *self.connections;
        servers.settle();
        slots.free_removed();
        deadlines.clean(slots.len(), |entry| Connections::is_armed(slots, entry));
        *self.first = if self.is_over() { self.next } else { Work::FIRST };
        self.finished = true;
    }

    /// One pass: does the work that may start, in its order.
    #[inline]
    fn pass(&mut self) {
        // Before reading, so that the last turn's output leaves before more is added.
        self.finish_dirty();
        // Before jobs and reading: no flood of either delays reconnects.
        self.step_clients();
        self.run_jobs();
        if self.connections.servers.busy() {
            self.step_servers();
            self.accept();
        }
        self.read();
        self.send_files();
        self.run_deadlines();
        self.run_timers();
    }

    /// Whether a unit of this kind may start now. If the time runs out in it, the next turn begins with the next kind.
    #[inline]
    pub(crate) fn may(&mut self, work: Work) -> bool {
        let may = self.open.has(work);
        if may {
            self.next = work.next();
        }
        may
    }

    /// Reads and writes on, in rounds: each connection is visited, and each file sends a chunk, before any does again.
    fn run_further_rounds(&mut self) {
        for round in 1..self.rounds.visits.max(self.rounds.chunks) {
            let reads = round < self.rounds.visits && self.connections.readable.can_visit();
            let sends = round < self.rounds.chunks && self.connections.files.has_work();
            if self.is_over() || !reads && !sends && self.connections.dirty.is_empty() {
                break;
            }
            if reads {
                self.read();
            }
            if sends {
                self.send_files();
            }
            self.finish_dirty_twice();
        }
    }

    fn run_jobs(&mut self) {
        while !self.jobs.is_empty()
            && self.may(Work::Jobs)
            && let Some(job) = self.jobs.pop_front()
        {
            job(self.connections);
            self.check_clock();
        }
    }

    /// Runs timers of the application.
    fn run_timers(&mut self) {
        let count = self.connections.timers.count();
        while self.connections.timers.has_work(self.connections.now)
            && self.may(Work::Timers)
            && let Some(job) = self.connections.timers.take_due(self.connections.now, count)
        {
            job(self.connections);
            self.check_clock();
        }
    }

    /// Emits the events of servers, and advances those that are stopping.
    fn step_servers(&mut self) {
        while self.may(Work::Servers)
            && let Some((server, error)) = self.connections.failures.pop_front()
        {
            self.emit(Event::AcceptFailed { server, error });
        }
        for index in 0..self.connections.servers.end() {
            while self.may(Work::Servers) {
                let limit = self.write_limit();
                let Connections { servers, slots, readable, now, .. } = &mut *self.connections;
                let owner = |slot| {
                    let live: Option<&Slot> = slots.at(slot);
                    live.filter(|live| live.connection.state() != State::Closed).map(|live| live.server)
                };
                match servers.step(index, *now, slots.end(), readable, owner) {
                    Step::Nothing => break,
                    Step::Stopping(server) => self.emit(Event::Stopping(server)),
                    Step::Close(slot) => {
                        self.connections.go_away(slot);
                        self.check_clock();
                    }
                    Step::Abort(slot) => {
                        self.connections.abort_stopped(slot, limit);
                        self.check_clock();
                    }
                    Step::Stopped(server) => {
                        self.stopped = true;
                        self.emit(Event::Stopped(server));
                    }
                }
            }
        }
    }

    /// Accepts from the listeners round-robin, so that a flooded one does not starve the rest.
    fn accept(&mut self) {
        let mut left = self.budget.accepts;
        let mut idle = 0;
        while idle < self.connections.servers.places() && left > 0 && self.may(Work::Accepts) {
            let (index, place) = self.connections.servers.next_place();
            if self.connections.accept_one(index, place) {
                idle = 0;
                left -= 1;
                self.check_clock();
            } else {
                idle += 1;
            }
        }
    }

    /// Sends a chunk of each file response.
    fn send_files(&mut self) {
        for _ in 0..self.connections.files.ready() {
            if !self.may(Work::Files) {
                break;
            }
            self.connections.send_chunk();
            self.check_clock();
        }
    }

    /// Output caused by the first pass is written too, but a handler that answers each drained outbox with more does
    /// not prolong the turn.
    fn finish_dirty_twice(&mut self) {
        self.finish_dirty();
        self.finish_dirty();
    }

    /// Visits each dirty connection once.
    #[inline]
    fn finish_dirty(&mut self) {
        if !self.connections.dirty.is_empty() {
            self.finish_each();
        }
    }

    #[inline(never)]
    fn finish_each(&mut self) {
        for _ in 0..self.connections.dirty.len() {
            if !self.may(Work::Writes) {
                break;
            }
            let Some(slot) = self.connections.dirty.pop_front() else { break };
            self.finish(slot);
        }
    }

    /// Writes once, emits pending events, and applies the connection's requests to its socket.
    fn finish(&mut self, slot: u32) {
        let limit = self.write_limit();
        let Connections { slots, sockets, now, .. } = &mut *self.connections;
        let Some(live) = slots.at_mut(slot) else { return };
        live.clear(flag::DIRTY);
        self.current = Some(slot);
        if live.stream.is_none() && live.connection.state() == State::Closing && sockets.is_handshaking(slot)
        {
            // TLS has carried nothing, and nothing of the handshake matters any more.
            live.connection.abort(*now, Error::Aborted);
        }
        let wrote = (live.connection.queued() > 0 || live.stream.is_none())
            && write(slot, live, sockets, *now, limit);
        // A deferred `Open`, a drained outbox, an end; usually nothing.
        while let Some(live) = self.connections.slots.at_mut(slot)
            && let Some(event) = live.connection.poll_event(self.connections.now)
        {
            let (id, is_rare) = (live.id(slot), live.is_marked(mark::COUPLED | mark::CLIENT));
            self.dispatch(id, event, is_rare);
            if self.is_over() {
                return self.connections.postpone(slot);
            }
        }
        let Connections { slots, sockets, pool, deadlines, dirty, readable, files, now, .. } =
            &mut *self.connections;
        let Some(live) = slots.at_mut(slot) else { return };
        if files.waits_for(slot) && takes_chunk(&mut live.connection) {
            files.resume(slot);
        }
        let mut next = live.connection.poll_io();
        if next == IoAction::Shutdown {
            // It fails if the peer has reset the connection; the next read reports that.
            let _ = sockets.socket(slot, &live.stream).shutdown();
            let has_failed = live.stream.is_none()
                && flush(slot, live, sockets, *now)
                && live.connection.state() == State::Closed;
            if has_failed {
                // Writing the last of TLS has ended it, which is reported first.
                return self.connections.postpone(slot);
            }
            next = live.connection.poll_io();
        }
        match next {
            IoAction::Drop | IoAction::Reset => {
                let socket = sockets.socket(slot, &live.stream);
                if next == IoAction::Reset {
                    socket.reset_on_close();
                } else if socket.holds_output() && live.connection.has_sent_all() {
                    // TLS sends close_notify, although nothing waits for it.
                    let _ = socket.shutdown();
                }
                self.connections.remove_slot(slot);
                return self.check_clock();
            }
            // A TLS handshake continues when there is more to read.
            IoAction::Write if live.stream.is_none() && sockets.is_handshaking(slot) => {}
            IoAction::Write if live.has(flag::WRITABLE) => mark_dirty(slot, live, dirty),
            IoAction::Write => queue_deferred(slot, live, readable),
            IoAction::Pause => {
                detach_buffer(live, pool);
                // Input from before the open may wait for a share, without another edge.
                queue_deferred(slot, live, readable);
            }
            _ => detach_buffer(live, pool),
        }
        arm(slot, live, deadlines);
        queue_read(slot, live, readable);
        if wrote {
            self.check_clock();
        }
    }
}

impl<H> TurnRun<'_, H> {
    /// How many bytes one write may take: a socket may accept megabytes at once.
    pub(crate) fn write_limit(&self) -> usize {
        match self.end {
            None => usize::MAX,
            Some(_) => self.budget.bytes_per_visit.max(64 << 10),
        }
    }
}

impl<H: FnMut(&mut Connections, Event<'_>)> TurnRun<'_, H> {
    /// Emits the events of clients, and advances those that are due. Follow-ups wait for the next turn: a client
    /// that fails and retries at once delays neither the turn nor other clients.
    #[inline]
    pub(crate) fn step_clients(&mut self) {
        if !self.connections.clients.is_quiet() {
            self.step_each_client();
        }
    }

    #[cold]
    fn step_each_client(&mut self) {
        for _ in 0..self.connections.clients.notices.len() {
            if !self.may(Work::Notices) {
                break;
            }
            self.emit_notice();
        }
        for _ in 0..self.connections.clients.due_len() {
            if !self.may(Work::Clients) {
                break;
            }
            let Some(index) = self.connections.clients.take_due(self.connections.now) else { break };
            self.connections.client_due(index);
            self.check_clock();
        }
    }

    #[cold]
    fn emit_notice(&mut self) {
        match self.connections.clients.take_notice() {
            Some(Notice::Failed { client, error }) if self.connections.clients.get(client).is_some() => {
                self.emit(Event::ConnectFailed { client, error });
                // The client may be idle, unless the handler has retried.
                self.connections.end_idle_leg(client);
                self.connections.clients.forget_idle(client);
            }
            Some(Notice::Reconnecting { client, attempts, attempt, delay, until: at }) => {
                // The application may have reconnected or disconnected it meanwhile.
                let waits = self.connections.clients.get_mut(client).filter(|at| at.attempts == attempts);
                let Some(Phase::Waiting { until }) = waits.map(|at| &mut at.phase) else { return };
                *until = until.or(at);
                self.connections.clients.arm(client.index, None);
                self.emit(Event::Reconnecting { client, attempt, delay });
            }
            // A removed client emits nothing.
            _ => {}
        }
    }
}

impl<H: FnMut(&mut Connections, Event<'_>)> TurnRun<'_, H> {
    /// Checks the deadlines of connections.
    pub(crate) fn run_deadlines(&mut self) {
        let tick = self.connections.deadlines.tick();
        while let Some(entry) = self.connections.deadlines.first()
            && entry.tick() <= tick
            && self.may(Work::Deadlines)
        {
            self.connections.deadlines.pop();
            if !Connections::is_armed(&self.connections.slots, entry) {
                continue;
            }
            let limit = self.write_limit();
            self.connections.timer_fired(entry.slot(), limit);
            self.check_clock();
        }
    }
}

impl Connections {
    /// Expires a connection whose deadline has passed. If it has unread bytes, it is visited first, but only once, so
    /// that no flood postpones it forever.
    fn timer_fired(&mut self, slot: u32, limit: usize) {
        let Self { slots, sockets, readable, dirty, deadlines, now, .. } = self;
        let Some(live) = slots.at_mut(slot) else { return };
        queue_read(slot, live, readable);
        // A TLS handshake beyond the budget may wait for long.
        let waits = live.stream.is_none() && readable.is_handshaking(slot);
        if live.has(flag::QUEUED) && !waits {
            return live.mark(mark::OVERDUE);
        }
        expire(slot, live, sockets, deadlines, *now, limit);
        mark_dirty(slot, live, dirty);
    }

    /// The time is over before a connection is finished: it continues in the next turn. A handler that takes long for
    /// each of its events delays neither its reading nor its deadlines.
    #[cold]
    fn postpone(&mut self, slot: u32) {
        let Self { slots, readable, dirty, deadlines, .. } = self;
        let Some(live) = slots.at_mut(slot) else { return };
        arm(slot, live, deadlines);
        queue_read(slot, live, readable);
        mark_dirty(slot, live, dirty);
    }
}
