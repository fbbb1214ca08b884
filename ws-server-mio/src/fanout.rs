//! One message to many peers, and the policy for slow ones.

use crate::connection::lists::{attach_buffer, mark_dirty};
use crate::connection::pool::Pool;
use crate::connection::slots::{Slot, Slots, mark};
use crate::ids::ConnectionId;
use std::collections::VecDeque;
use ws_host::server::Stats;
use ws_host::topics::{Delivered, LatestByKey, SlowPeer, Topics, close_slow};
use ws_proto::{Frame, Moment, SendError};

#[derive(Default)]
pub(crate) struct FanOut {
    pub(crate) topics: Topics<ConnectionId>,
    pub(crate) latest: LatestByKey<ConnectionId, Frame>,
}

/// Delivers a broadcast to one connection; returns whether it was queued. [`Delivery`] does the same with any policy,
/// at more cost: this is the hot path.
#[inline]
pub(crate) fn deliver(
    slot: u32,
    live: &mut Slot,
    frame: &Frame,
    pool: &mut Pool,
    dirty: &mut VecDeque<u32>,
    now: Moment,
) -> bool {
    attach_buffer(live, pool);
    let sent = match live.connection.send_shared(frame) {
        Ok(_) => true,
        Err(SendError::Full) => {
            close_slow(now, &mut live.connection);
            false
        }
        Err(_) => false,
    };
    mark_dirty(slot, live, dirty);
    sent
}

/// A frame on its way to many peers.
pub(crate) struct Delivery<'d> {
    pub(crate) frame: &'d Frame,
    pub(crate) slow: SlowPeer<'d>,
    pub(crate) latest: &'d mut LatestByKey<ConnectionId, Frame>,
    pub(crate) pool: &'d mut Pool,
    pub(crate) dirty: &'d mut VecDeque<u32>,
    pub(crate) totals: &'d mut Stats,
    pub(crate) now: Moment,
}

impl Delivery<'_> {
    pub(crate) fn reach(&mut self, id: ConnectionId, slots: &mut Slots) -> bool {
        slots.get_mut(id).is_some_and(|live| self.deliver(id, live))
    }

    /// Returns whether the frame was queued, or kept for later.
    pub(crate) fn deliver(&mut self, id: ConnectionId, live: &mut Slot) -> bool {
        let attached = !live.connection.outbox().has_buffer();
        attach_buffer(live, self.pool);
        let delivered = self.slow.deliver(self.now, id, &mut live.connection, self.frame, self.latest);
        if delivered == Delivered::Queued && !live.is_marked(mark::CLIENT) {
            self.totals.messages_out += u64::from(self.frame.ends_message());
        }
        if attached || matches!(delivered, Delivered::Queued | Delivered::Closed) {
            mark_dirty(id.slot, live, self.dirty);
        }
        delivered.reaches()
    }
}
