//! The work of one turn, between two waits.
//!
//! Everything here stops when the time is over and goes on in the next turn: what is left stays in its list.
//!
//! Application code may panic amid a turn, and be caught: nothing of what was read is lost, and the next turn goes on.
//!
//! ```text
//!  read ─▶ feed ─▶ event ─▶ handler panics
//!                              │ Fed: the bytes behind the event are kept for the connection
//!                              │ TurnRun: the connection is put back on the lists that it was taken from
//!                              ▼
//!                           the caller of Endpoint::poll catches the panic, and a turn is due
//! ```

use crate::connection::Connections;
use crate::connection::couple::Leg;
use crate::endpoint::options::{Budget, Clock};
use crate::endpoint::remote::Job;
use crate::event::Event;
use crate::ids::ConnectionId;
use std::collections::VecDeque;
use std::time::Duration;
use ws_proto::{Moment, Request, Upgrade};

pub(crate) struct TurnRun<'e, H> {
    pub(crate) connections: &'e mut Connections,
    pub(crate) rx: &'e mut [u8],
    pub(crate) jobs: &'e mut VecDeque<Job>,
    pub(crate) jobs_left: &'e mut bool,
    pub(crate) handler: H,
    pub(crate) budget: &'e Budget,
    pub(crate) clock: &'e Clock,
    /// When the time is over; `None` reads no clock.
    pub(crate) end: Option<Moment>,
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
    /// The machine slept: peers are asked before anything else, and then the handler is told.
    #[cold]
    pub(crate) fn resume(&mut self, slept: Duration) {
        self.connections.wake_up();
        self.tell(Event::Resumed { slept });
    }

    /// Reads the clock, where there is a budget, after a fragment of work.
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

    #[inline]
    pub(crate) fn dispatch(&mut self, id: ConnectionId, event: ws_proto::Event<'_>, coupled: bool) {
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
        match event {
            Event::Request(..) | Event::Upgrade(..) => match self.connections.guard(id, event) {
                Some(Event::Request(_, request)) => self.dispatch_request(id, request),
                Some(Event::Upgrade(_, upgrade)) => self.dispatch_upgrade(id, upgrade),
                _ => self.worked(),
            },
            event if coupled => self.dispatch_coupled(id, event),
            event @ Event::Closed(..) => self.dispatch_closed(id, event),
            event => self.tell(event),
        }
    }

    /// A plain request. One that nobody keeps or answers is answered here.
    fn dispatch_request(&mut self, id: ConnectionId, request: Request) {
        let unanswered = self.connections.unanswered(id, request.path());
        self.tell(Event::Request(id, request));
        if let Some(unanswered) = unanswered {
            self.connections.answer_dropped(id, unanswered);
        }
    }

    /// An upgrade, about which the application decides where it wants to.
    fn dispatch_upgrade(&mut self, id: ConnectionId, upgrade: Upgrade) {
        match self.connections.decide(id, upgrade) {
            Some(upgrade) => self.tell(Event::Upgrade(id, upgrade)),
            None => self.worked(),
        }
    }

    fn dispatch_closed(&mut self, id: ConnectionId, event: Event<'_>) {
        let client = self.connections.client_of(id);
        self.tell(event);
        // What it was subscribed to is known while that is told, and whose connection it was.
        self.connections.forget_topics(id);
        if let Some(client) = client {
            self.connections.clients.forget_rested(client);
        }
    }
}

impl<H: FnMut(&mut Connections, Event<'_>)> TurnRun<'_, H> {
    /// What happened on a connection that is coupled.
    #[cold]
    fn dispatch_coupled(&mut self, id: ConnectionId, event: Event<'_>) {
        match event {
            Event::Message(..) | Event::Fragment(..) | Event::Drained(_) => {
                let drained = matches!(event, Event::Drained(_));
                match self.connections.intercept(event) {
                    Some(event) => self.connections.relay(id, event),
                    // Whoever keeps that does not keep the other leg waiting.
                    None if drained => self.connections.relay(id, Event::Drained(id)),
                    None => {}
                }
                self.worked();
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
            event => self.tell(event),
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
    /// A turn that does not come to its end: what it was at is for the next one.
    #[cold]
    fn recover(&mut self) {
        self.connections.stopped |= self.stopped;
        if let Some(slot) = self.current {
            self.connections.list_again(slot);
        }
        self.connections.end_legs();
        self.connections.give_up_legs();
        (self.abandoned)();
    }
}

impl<H: FnMut(&mut Connections, Event<'_>)> TurnRun<'_, H> {
    /// Tells the handler what an extension that panicked has kept from it.
    pub(crate) fn tell_untold(&mut self) {
        self.was_intercepted = true;
        while !self.over
            && let Some(event) = self.connections.untold.pop_front()
        {
            self.tell(event);
        }
        self.was_intercepted = false;
    }
}
