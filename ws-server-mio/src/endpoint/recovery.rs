//! Application code that panics, amid a turn, and is caught: nothing of what was read is lost, and the next turn goes on.
//!
//! ```text
//!  read ─▶ feed ─▶ event ─▶ handler panics
//!                              │ Fed: the bytes behind the event are kept for the connection
//!                              │ TurnRun: the connection is put back on the lists that it was taken from
//!                              ▼
//!                           the caller of Endpoint::poll catches the panic, and a turn is due
//! ```

use crate::client::list::ClientId;
use crate::connection::couple::Leg;
use crate::connection::deadlines::judge;
use crate::connection::slots::{flag, mark};
use crate::connection::{Connections, Leftover, mark_dirty, read_on};
use crate::endpoint::turn::TurnRun;
use crate::event::Event;

/// Bytes that are being fed to a connection. What is left of them when the handler panics stays with the connection.
pub(crate) struct Fed<'f, 'e, H> {
    pub(crate) turn: &'f mut TurnRun<'e, H>,
    pub(crate) slot: u32,
    pub(crate) input: &'f mut [u8],
}

impl<H> Drop for Fed<'_, '_, H> {
    #[inline]
    fn drop(&mut self) {
        if !self.input.is_empty() {
            self.keep();
        }
    }
}

impl<H> Fed<'_, '_, H> {
    #[cold]
    fn keep(&mut self) {
        let connections = &mut *self.turn.connections;
        let buffer = connections.pool.buffer_with(self.input);
        connections.keep_leftover(self.slot, Leftover { buffer, at: 0 });
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

impl Connections {
    /// Puts a connection on every list that it may belong on.
    fn list_again(&mut self, slot: u32) {
        let Self { slots, dirty, readable, timers, .. } = self;
        let Some(live) = slots.at_mut(slot) else { return };
        read_on(slot, live, readable);
        // It would be judged after the visit that did not come to its end.
        if live.is_marked(mark::OVERDUE) && !live.has(flag::QUEUED) {
            live.unmark(mark::OVERDUE);
            judge(live, timers);
        }
        mark_dirty(slot, live, dirty);
    }

    /// Ends the partners of all clients that have come to rest.
    fn give_up_legs(&mut self) {
        let clients: Vec<ClientId> = self.couples.legs().filter_map(Leg::client).collect();
        for client in clients {
            self.give_up_leg(client);
        }
    }
}
