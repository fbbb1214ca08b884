//! The work of one turn, between two waits.
//!
//! All work here stops when the time is over and resumes in the next turn: the rest stays in its list.
//!
//! Application code may panic during a turn, and be caught: no input is lost, and the next turn continues.
//!
//! ```text
//!  read ─▶ feed ─▶ event ─▶ handler panics
//!                              │ FeedGuard: keeps the bytes after the event for the connection
//!                              │ TurnRun: puts the connection back on its lists
//!                              ▼
//!                           the caller of Endpoint::poll catches the panic, and a turn is due
//! ```

use crate::connection::Connections;
use crate::connection::couple::Leg;
use crate::connection::slots::mark;
use crate::endpoint::options::{Budget, Clock, Rounds};
use crate::endpoint::remote::Job;
use crate::endpoint::work::{Kinds, Work};
use crate::event::Event;
use crate::ids::ConnectionId;
use std::collections::VecDeque;
use std::time::Duration;
use ws_host::server::too_many_connections;
use ws_proto::{Moment, Request, Upgrade};

pub(crate) struct TurnRun<'e, H> {
    pub(crate) connections: &'e mut Connections,
    pub(crate) rx: &'e mut [u8],
    pub(crate) jobs: &'e mut VecDeque<Job>,
    /// The kind of work that the next turn begins with.
    pub(crate) first: &'e mut Work,
    /// The kind of work after the one that was done last.
    pub(crate) next: Work,
    pub(crate) handler: H,
    pub(crate) budget: &'e Budget,
    pub(crate) clock: &'e Clock,
    /// The end of the turn's time; `None` reads no clock.
    pub(crate) end: Option<Moment>,
    /// The kinds of work that may start; none once the time is over.
    pub(crate) open: Kinds,
    /// How many more connections in their TLS handshake are read.
    pub(crate) handshakes: usize,
    pub(crate) rounds: Rounds,
    pub(crate) events: u32,
    pub(crate) stopped: bool,
    /// The connection that was visited or finished last: a panic of the handler belongs to it.
    pub(crate) current: Option<u32>,
    /// The turn ran to its end.
    pub(crate) finished: bool,
    /// The extension has seen the current event.
    pub(crate) was_intercepted: bool,
    /// Asks the host for another turn after an aborted one.
    pub(crate) abandoned: &'e dyn Fn(),
}

impl<H: FnMut(&mut Connections, Event<'_>)> TurnRun<'_, H> {
    /// The machine slept: probes the peers before anything else, then informs the handler.
    #[cold]
    pub(crate) fn resume(&mut self, slept: Duration) {
        self.connections.on_resume();
        self.emit(Event::Resumed { slept });
    }

    /// Reads the clock, if there is a time limit, after a unit of work.
    #[inline]
    pub(crate) fn check_clock(&mut self) {
        if let Some(end) = self.end {
            self.connections.now = self.clock.now();
            if self.connections.now >= end {
                self.open = Kinds::NONE;
            }
        }
    }

    /// Whether the turn's time is over.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.open.is_empty()
    }

    /// Lets these kinds of work start, unless the time is over.
    #[inline]
    pub(crate) fn allow(&mut self, kinds: Kinds) {
        if !self.is_over() {
            self.open = kinds;
        }
    }

    #[inline]
    pub(crate) fn emit(&mut self, event: Event<'_>) {
        let event = match self.connections.intercepted && !self.was_intercepted {
            false => event,
            true => match self.connections.intercept(event) {
                Some(event) => event,
                None => return self.check_clock(),
            },
        };
        self.events += 1;
        (self.handler)(self.connections, event);
        self.check_clock();
    }

    #[inline]
    pub(crate) fn dispatch(&mut self, id: ConnectionId, event: ws_proto::Event<'_>, is_rare: bool) {
        match event {
            ws_proto::Event::Message(message) if !is_rare => {
                self.connections.totals.messages_in += 1;
                self.emit(Event::Message(id, message));
            }
            event => self.dispatch_rare(id, event),
        }
    }

    /// Everything except messages, and the events of clients and of coupled connections.
    #[inline(never)]
    fn dispatch_rare(&mut self, id: ConnectionId, event: ws_proto::Event<'_>) {
        let Some(event) = Event::of(id, event) else { return };
        let coupled = self.connections.slots.get(id).is_some_and(|live| live.is_marked(mark::COUPLED));
        if !self.connections.track_event(id.slot, &event) {
            return;
        }
        match event {
            Event::Request(_, request) if !self.connections.readmit(id.slot, request.peer_addr()) => {
                self.reject(id, request);
            }
            Event::Upgrade(_, upgrade) if !self.connections.readmit(id.slot, upgrade.peer_addr()) => {
                self.reject(id, upgrade.into());
            }
            Event::Request(_, request) => self.dispatch_request(id, request),
            Event::Upgrade(_, upgrade) => self.dispatch_upgrade(id, upgrade),
            event if coupled => self.dispatch_coupled(id, event),
            event @ Event::Closed(..) => self.dispatch_closed(id, event),
            event => self.emit(event),
        }
    }

    /// Answers a request through a trusted proxy whose client has too many connections.
    #[cold]
    fn reject(&mut self, id: ConnectionId, request: Request) {
        // It has just arrived, so it can be answered.
        let _ = self.connections.respond(id, request, too_many_connections());
        self.check_clock();
    }

    /// Dispatches a plain request, and answers it automatically if it was dropped.
    fn dispatch_request(&mut self, id: ConnectionId, request: Request) {
        let unanswered = self.connections.unanswered(id, request.path());
        self.emit(Event::Request(id, request));
        if let Some(unanswered) = unanswered {
            self.connections.answer_dropped(id, unanswered);
        }
    }

    /// Dispatches an upgrade, if the application decides about it.
    fn dispatch_upgrade(&mut self, id: ConnectionId, upgrade: Upgrade) {
        self.connections.note_token(id, &upgrade);
        match self.connections.decide(id, upgrade) {
            Some(upgrade) => self.emit(Event::Upgrade(id, upgrade)),
            None => self.check_clock(),
        }
    }

    fn dispatch_closed(&mut self, id: ConnectionId, event: Event<'_>) {
        let client = self.connections.client_of(id);
        self.emit(event);
        // Its topics and its client stay known during this event.
        self.connections.forget_topics(id);
        if let Some(client) = client {
            self.connections.clients.forget_idle(client);
        }
    }
}

impl<H: FnMut(&mut Connections, Event<'_>)> TurnRun<'_, H> {
    /// Dispatches an event of a coupled connection.
    #[cold]
    fn dispatch_coupled(&mut self, id: ConnectionId, event: Event<'_>) {
        match event {
            Event::Message(..) | Event::Fragment(..) | Event::Drained(_) => {
                let drained = matches!(event, Event::Drained(_));
                match self.connections.intercept(event) {
                    Some(event) => self.connections.relay(id, event),
                    // A consumed `Drained` still resumes the other leg.
                    None if drained => self.connections.relay(id, Event::Drained(id)),
                    None => {}
                }
                self.check_clock();
            }
            Event::Closed(_, closed) => {
                if let Some(other) = self.connections.couples.take(Leg::Connection(id)) {
                    let ends = [false, true].map(|to_server| {
                        let (code, reason) = closed.relayed(to_server);
                        (code, reason.to_owned())
                    });
                    self.connections.couples.ending.push((other, ends));
                }
                self.dispatch_closed(id, Event::Closed(id, closed));
                self.connections.end_legs();
            }
            event => self.emit(event),
        }
    }
}

impl<H> Drop for TurnRun<'_, H> {
    #[inline]
    fn drop(&mut self) {
        if !self.finished {
            self.recover();
        }
    }
}

impl<H> TurnRun<'_, H> {
    /// Leaves the work of an aborted turn to the next one.
    #[cold]
    fn recover(&mut self) {
        *self.first = self.next;
        self.connections.stopped |= self.stopped;
        if let Some(slot) = self.current {
            self.connections.relist(slot, self.write_limit());
        }
        self.connections.end_legs();
        self.connections.end_idle_legs();
        (self.abandoned)();
    }
}

impl<H: FnMut(&mut Connections, Event<'_>)> TurnRun<'_, H> {
    /// Emits the events that a panicked extension has withheld from the handler.
    pub(crate) fn emit_pending(&mut self) {
        self.was_intercepted = true;
        while !self.is_over()
            && let Some(event) = self.connections.pending_events.pop_front()
        {
            self.emit(event);
        }
        self.was_intercepted = false;
    }
}
