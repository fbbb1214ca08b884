//! One message to many: to all, to some, to the subscribers of a topic, and what becomes of who is too slow.

use crate::connection::Connections;
use crate::connection::lists::{lend, mark_dirty};
use crate::connection::pool::Pool;
use crate::connection::slots::{Slot, Slots, flag};
use crate::connection::stats::{Tally, ends_message};
use crate::ids::ConnectionId;
use std::collections::VecDeque;
use ws_host::topics::{Delivered, LatestByKey, SlowPeer, Topics, close_slow};
use ws_proto::{Frame, Moment, SendError};

#[derive(Default)]
pub(crate) struct FanOut {
    pub(crate) topics: Topics<ConnectionId>,
    pub(crate) newest: LatestByKey<ConnectionId, Frame>,
}

/// One delivery of a broadcast; says whether it was queued. [`Delivery`] does the same with any policy,
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
    lend(live, pool);
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

/// One frame on its way to many.
pub(crate) struct Delivery<'d> {
    pub(crate) frame: &'d Frame,
    pub(crate) slow: SlowPeer<'d>,
    pub(crate) newest: &'d mut LatestByKey<ConnectionId, Frame>,
    pub(crate) pool: &'d mut Pool,
    pub(crate) dirty: &'d mut VecDeque<u32>,
    pub(crate) tally: &'d mut Tally,
    pub(crate) now: Moment,
}

impl Delivery<'_> {
    pub(crate) fn reach(&mut self, id: ConnectionId, slots: &mut Slots) -> bool {
        slots.get_mut(id).is_some_and(|live| self.deliver(id, live))
    }

    /// Says whether it was queued, or kept for later.
    pub(crate) fn deliver(&mut self, id: ConnectionId, live: &mut Slot) -> bool {
        let lent = !live.connection.has_storage();
        lend(live, self.pool);
        let delivered = self.slow.deliver(self.now, id, &mut live.connection, self.frame, self.newest);
        if delivered == Delivered::Queued {
            self.tally.messages_out += ends_message(self.frame);
        }
        if lent || matches!(delivered, Delivered::Queued | Delivered::Closed) {
            mark_dirty(id.slot, live, self.dirty);
        }
        delivered.reaches()
    }
}

/// To all, and to some.
impl Connections {
    /// Sends a frame to every open WebSocket that came to a server, and answers how many got it; connections of the
    /// endpoint's own clients are none of them. Encoded once; large payloads are shared, not copied. Where messages are
    /// compressed, it is compressed once for all peers whose terms are alike, and what is sent to each of them next refers
    /// to nothing before.
    ///
    /// A peer that is too slow to take it (its outbox is [`SendError::Full`]) is closed with 1013.
    pub fn broadcast(&mut self, frame: &Frame) -> usize {
        let Self { slots, pool, dirty, now, .. } = self;
        let mut sent = 0;
        for (slot, live) in slots.iter_mut() {
            if live.has(flag::WEBSOCKET) {
                sent += usize::from(deliver(slot, live, frame, pool, dirty, *now));
            }
        }
        self.tally.messages_out += sent as u64 * ends_message(frame);
        sent
    }

    /// As [`broadcast`](Self::broadcast), to those that the filter wants. It may look at the connections: at their path,
    /// their data, their subscriptions.
    ///
    /// ```
    /// # use ws_server_mio::{Connections, Frame};
    /// # struct Player { team: u32 }
    /// # fn f(connections: &mut Connections) {
    /// let score = Frame::text("2:1");
    /// connections.broadcast_where(&score, |connections, id| connections.path(id) == Some("/scores"));
    /// connections.broadcast_where(&score, |connections, id| {
    ///     connections.data::<Player>(id).is_some_and(|player| player.team == 2)
    /// });
    /// # }
    /// ```
    pub fn broadcast_where(
        &mut self,
        frame: &Frame,
        mut filter: impl FnMut(&Self, ConnectionId) -> bool,
    ) -> usize {
        let mut sent = 0;
        for slot in 0..self.slots.end() {
            let Some(id) = self.websocket_at(slot) else { continue };
            if !filter(self, id) {
                continue;
            }
            let Self { slots, pool, dirty, now, .. } = self;
            let live = slots.at_mut(slot);
            sent += usize::from(live.is_some_and(|live| deliver(slot, live, frame, pool, dirty, *now)));
        }
        self.tally.messages_out += sent as u64 * ends_message(frame);
        sent
    }

    /// The WebSocket of a server that is at this place, if one is.
    pub(crate) fn websocket_at(&self, slot: u32) -> Option<ConnectionId> {
        let live = self.slots.at(slot).filter(|live| live.has(flag::WEBSOCKET))?;
        Some(live.id(slot))
    }
}
