//! Deadlines that have passed.
//!
//! Nobody is judged before what it said is read: a loop that was busy elsewhere finds the answer and the end of its time
//! together.

use crate::connection::slots::{Slot, flag, mark};
use crate::connection::timers::{self, Timers};
use crate::connection::{Connections, mark_dirty, read_on};
use crate::endpoint::turn::TurnRun;
use crate::event::Event;

/// Timers that run in a turn whose time is already over, so that no flood keeps them away.
const LATE_TIMERS: usize = 16;

/// As of the beginning of the turn: what came later is not read yet.
pub(crate) fn judge(live: &mut Slot, timers: &Timers) {
    live.set_armed(timers::NEVER);
    live.connection.handle_timeout(timers.now());
}

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
            self.worked();
        }
    }
}

impl Connections {
    /// Judges a connection whose time has come. One that has bytes unread is visited first; once, so that no flood
    /// postpones the judgement for ever.
    fn timer_fired(&mut self, slot: u32) {
        let Self { slots, readable, dirty, timers, .. } = self;
        let Some(live) = slots.at_mut(slot) else { return };
        read_on(slot, live, readable);
        if live.has(flag::QUEUED) {
            return live.mark(mark::OVERDUE);
        }
        judge(live, timers);
        mark_dirty(slot, live, dirty);
    }
}
