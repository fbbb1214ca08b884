//! One message to all WebSockets, or to some.

use crate::connection::Connections;
use crate::connection::slots::flag;
use crate::fanout::deliver;
use crate::ids::ConnectionId;
use ws_proto::Frame;

/// Broadcasts.
impl Connections {
    /// Sends a frame to every open WebSocket of every server, and returns how many got it; the
    /// endpoint's own clients are not included. The frame is encoded once; large payloads are shared, not copied. Where
    /// messages are compressed, it is compressed once for all peers with the same parameters, and each peer's next
    /// message does not refer to earlier data.
    ///
    /// It queues the frame for every peer before it returns, a fraction of a microsecond for each, which no
    /// [`Budget`](crate::Budget) bounds. The cost is frames × peers, so pack values that change together into one
    /// message.
    ///
    /// A peer that is too slow (its outbox is [`SendError::Full`](crate::SendError::Full)) is closed with 1013.
    pub fn broadcast(&mut self, frame: &Frame) -> usize {
        let Self { slots, pool, dirty, now, .. } = self;
        let mut sent = 0;
        for (slot, live) in slots.iter_mut() {
            if live.has(flag::WEBSOCKET) {
                sent += usize::from(deliver(slot, live, frame, pool, dirty, *now));
            }
        }
        self.totals.messages_out += sent as u64 * u64::from(frame.ends_message());
        sent
    }

    /// As [`broadcast`](Self::broadcast), to the connections that pass the filter, which may inspect them: their path,
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
        self.totals.messages_out += sent as u64 * u64::from(frame.ends_message());
        sent
    }

    /// The open server WebSocket in this slot, if any.
    pub(crate) fn websocket_at(&self, slot: u32) -> Option<ConnectionId> {
        let live = self.slots.at(slot).filter(|live| live.has(flag::WEBSOCKET))?;
        Some(live.id(slot))
    }
}
