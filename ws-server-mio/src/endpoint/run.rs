//! The order of one turn: jobs, accepting, reading, files, timers, writing; then, in the time that is left, reading and
//! writing again.
//!
//! No deadline is checked before pending input is read: a loop that was busy elsewhere finds the answer and the expired
//! deadline together.

use crate::client::list::{Notice, Phase};
use crate::connection::Connections;
use crate::connection::io::write;
use crate::connection::lists::{arm, detach_buffer, expire, mark_dirty, queue_deferred, queue_read};
use crate::connection::slots::{Slot, flag, mark};
use crate::endpoint::turn::TurnRun;
use crate::event::Event;
use crate::files::takes_chunk;
use crate::server::list::Step;
use ws_proto::IoAction;

impl<H: FnMut(&mut Connections, Event<'_>)> TurnRun<'_, H> {
    pub(crate) fn run(&mut self) {
        self.emit_pending();
        // The last turn's unfinished work comes first, so that reading cannot starve writing.
        self.finish_dirty();
        // Before jobs and reading: no flood of either delays reconnects.
        self.step_clients();
        // Jobs that used up the last turn yield to peers in this one.
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
        self.run_alarms();
        self.finish_dirty_twice();
        if self.connections.servers.busy() {
            self.step_servers();
        }
        self.step_clients();
        // All else has had its turn.
        self.run_further_rounds();
        let Connections { slots, timers, servers, .. } = &mut *self.connections;
        servers.settle();
        slots.free_removed();
        timers.clean(slots.len(), |entry| Connections::is_armed(slots, entry));
        self.finished = true;
    }

    /// Reads and writes on, in rounds: each connection is visited before any is visited again.
    fn run_further_rounds(&mut self) {
        for _ in 1..self.rounds {
            if self.over || !self.connections.can_transfer() {
                break;
            }
            self.read();
            self.finish_dirty_twice();
        }
    }

    fn run_jobs(&mut self) {
        while !self.over
            && let Some(job) = self.jobs.pop_front()
        {
            job(self.connections);
            self.check_clock();
        }
    }

    /// Runs timers of the application: at least one, so that no flood starves them.
    fn run_alarms(&mut self) {
        let count = self.connections.alarms.count();
        let mut has_run = false;
        while !(self.over && has_run)
            && let Some(job) = self.connections.alarms.take_due(self.connections.now, count)
        {
            job(self.connections);
            self.check_clock();
            has_run = true;
        }
    }

    /// Emits the events of servers, and advances those that are stopping.
    fn step_servers(&mut self) {
        while !self.over
            && let Some((server, error)) = self.connections.failures.pop_front()
        {
            self.emit(Event::AcceptFailed { server, error });
        }
        for index in 0..self.connections.servers.end() {
            while !self.over {
                let Connections { servers, slots, now, .. } = &mut *self.connections;
                let owner = |slot| slots.at(slot).map(|live: &Slot| live.server);
                match servers.step(index, *now, slots.end(), owner) {
                    Step::Nothing => break,
                    Step::Stopping(server) => self.emit(Event::Stopping(server)),
                    Step::Close(slot) => {
                        self.connections.go_away(slot);
                        self.check_clock();
                    }
                    Step::Cut(slot) => {
                        self.connections.abort_stopped(slot);
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
        while idle < self.connections.servers.places() && left > 0 && !self.over {
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

    /// Sends a chunk of each file response; at least one, so that no flood starves them.
    fn send_files(&mut self) {
        for sent in 0..self.connections.files.ready() {
            if self.over && sent > 0 {
                break;
            }
            self.connections.send_chunk();
            self.check_clock();
        }
    }

    /// Output caused by the first pass is written too, but a handler that answers each drained outbox with more does not
    /// hold the turn.
    fn finish_dirty_twice(&mut self) {
        self.finish_dirty();
        self.finish_dirty();
    }

    /// Visits each dirty connection once.
    fn finish_dirty(&mut self) {
        for _ in 0..self.connections.dirty.len() {
            if self.over {
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
        let wrote = live.connection.queued() > 0 && write(slot, live, sockets, *now, limit);
        // A deferred answer, a drained outbox, an end. Usually nothing.
        while let Some(live) = self.connections.slots.at_mut(slot)
            && let Some(event) = live.connection.poll_event(self.connections.now)
        {
            let (id, is_rare) = (live.id(slot), live.is_marked(mark::COUPLED | mark::CLIENT));
            self.dispatch(id, event, is_rare);
            if self.over {
                self.connections.mark_dirty(slot);
                return;
            }
        }
        let Connections { slots, sockets, pool, timers, dirty, readable, files, .. } = &mut *self.connections;
        let Some(live) = slots.at_mut(slot) else { return };
        if files.waits_for(slot) && takes_chunk(&mut live.connection) {
            files.resume(slot);
        }
        let mut next = live.connection.poll_io();
        if next == IoAction::Shutdown {
            // It fails if the peer has reset the connection; the next read reports that.
            let _ = sockets.socket(slot, &live.stream).shutdown();
            next = live.connection.poll_io();
        }
        match next {
            IoAction::Drop | IoAction::Reset => {
                if next == IoAction::Reset {
                    sockets.socket(slot, &live.stream).reset_on_close();
                }
                self.connections.remove_slot(slot);
                return self.check_clock();
            }
            IoAction::Write if live.has(flag::WRITABLE) => mark_dirty(slot, live, dirty),
            IoAction::Write => queue_deferred(slot, live, readable),
            IoAction::Pause => {
                detach_buffer(live, pool);
                // Input from before the open may wait for a share, without another edge.
                queue_deferred(slot, live, readable);
            }
            _ => detach_buffer(live, pool),
        }
        arm(slot, live, timers);
        queue_read(slot, live, readable);
        if wrote {
            self.check_clock();
        }
    }

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
    /// that fails and retries immediately holds neither the turn nor other clients.
    #[inline]
    pub(crate) fn step_clients(&mut self) {
        for _ in 0..self.connections.clients.notices.len() {
            if self.over {
                return;
            }
            self.emit_notice();
        }
        for _ in 0..self.connections.clients.due_len() {
            if self.over {
                return;
            }
            let Some(index) = self.connections.clients.take_due(self.connections.now) else { return };
            self.connections.client_due(index);
            self.check_clock();
        }
    }

    #[cold]
    fn emit_notice(&mut self) {
        match self.connections.clients.notices.pop_front() {
            Some(Notice::Failed { client, error }) if self.connections.clients.get(client).is_some() => {
                self.emit(Event::ConnectFailed { client, error });
                // Unless the handler retries.
                self.connections.end_idle_leg(client);
                self.connections.clients.forget_idle(client);
            }
            Some(Notice::Reconnecting { client, attempts, attempt, delay, until: at }) => {
                // Unless the application has changed that meanwhile.
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

/// Timers that run even if the turn's time is over, so that no flood starves them.
const LATE_TIMERS: usize = 16;

impl<H: FnMut(&mut Connections, Event<'_>)> TurnRun<'_, H> {
    pub(crate) fn run_timers(&mut self) {
        let tick = self.connections.timers.tick();
        let mut late = LATE_TIMERS;
        while let Some(entry) = self.connections.timers.first()
            && entry.tick() <= tick
        {
            if self.over {
                if late == 0 {
                    break;
                }
                late -= 1;
            }
            self.connections.timers.pop();
            if !Connections::is_armed(&self.connections.slots, entry) {
                continue;
            }
            self.connections.timer_fired(entry.slot());
            self.check_clock();
        }
    }
}

impl Connections {
    /// Expires a connection whose deadline has passed. If it has unread bytes, it is visited first, but only once, so that
    /// no flood postpones it forever.
    fn timer_fired(&mut self, slot: u32) {
        let Self { slots, readable, dirty, timers, .. } = self;
        let Some(live) = slots.at_mut(slot) else { return };
        queue_read(slot, live, readable);
        if live.has(flag::QUEUED) {
            return live.mark(mark::OVERDUE);
        }
        expire(live, timers);
        mark_dirty(slot, live, dirty);
    }
}
