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
use ws_proto::{Event as Happened, Moment};

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
    pub(crate) fn dispatch(&mut self, id: ConnectionId, event: Happened<'_>, coupled: bool) {
        if coupled {
            self.dispatch_coupled(id, event);
        } else if self.connections.note(id.slot, &event) {
            let has_ended = matches!(event, Happened::Closed(_));
            self.tell(Event::Connection(id, event));
            if has_ended {
                // What it was subscribed to is known while that is told.
                self.connections.forget_topics(id);
            }
        }
    }
}

impl<H: FnMut(&mut Connections, Event<'_>)> TurnRun<'_, H> {
    /// What happened on a connection that is coupled.
    #[cold]
    pub(crate) fn dispatch_coupled(&mut self, id: ConnectionId, event: Happened<'_>) {
        if !self.connections.note(id.slot, &event) {
            return;
        }
        match event {
            Happened::Message(_) | Happened::Fragment(_) | Happened::Drained => {
                let drained = matches!(event, Happened::Drained);
                match self.connections.intercept(Event::Connection(id, event)) {
                    Some(Event::Connection(id, event)) => self.connections.relay(id, event),
                    // Whoever keeps that does not keep the other leg waiting.
                    _ if drained => self.connections.relay(id, Happened::Drained),
                    _ => {}
                }
                self.worked();
            }
            Happened::Closed(closed) => {
                if let Some(other) = self.connections.couples.take(Leg::Connection(id)) {
                    let ends = [false, true].map(|to_server| {
                        let (code, reason) = closed.relayed(to_server);
                        (code, reason.to_owned())
                    });
                    self.connections.couples.ending.push((other, ends));
                }
                self.tell(Event::Connection(id, Happened::Closed(closed)));
                self.connections.forget_topics(id);
                self.connections.end_legs();
            }
            event => self.tell(Event::Connection(id, event)),
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
