//! Sends one message to many connections.

use crate::clock;
use crate::driver::shared::Shared;
use crate::ids::ConnectionId;
use crate::server::{Server, State};
use std::sync::Arc;
use ws_host::topics::{Delivered, SlowPeer};
use ws_proto::Frame;

/// # Broadcasts
impl Server {
    /// Sends a frame to every open WebSocket, and returns how many got it. The frame is encoded once; large payloads
    /// are shared, not copied. If messages are compressed, it is compressed once for all peers with the same window, and
    /// the next message to each of them does not refer to earlier data.
    ///
    /// It queues the frame for every peer before it returns. The cost is frames × peers, so pack values that change
    /// together into one message.
    ///
    /// A peer that is too slow (its outbox is [`Full`](crate::SendError::Full)) is closed with 1013.
    pub fn broadcast(&self, frame: &Frame) -> usize {
        self.broadcast_with(frame, SlowPeer::Close, |_| true)
    }

    /// As [`broadcast`](Self::broadcast), to those that the filter selects. The filter may call the server.
    pub fn broadcast_where(&self, frame: &Frame, filter: impl FnMut(ConnectionId) -> bool) -> usize {
        self.broadcast_with(frame, SlowPeer::Close, filter)
    }

    pub(super) fn broadcast_with(
        &self,
        frame: &Frame,
        slow: SlowPeer<'_>,
        mut filter: impl FnMut(ConnectionId) -> bool,
    ) -> usize {
        let mut all = self.pick(|state| {
            let websockets = state.members.values().filter(|member| member.websocket);
            websockets.map(|member| member.shared.clone()).collect()
        });
        all.retain(|shared| filter(shared.id));
        self.deliver(frame, slow, &all)
    }

    pub(super) fn pick(&self, choose: impl FnOnce(&State) -> Vec<Arc<Shared>>) -> Vec<Arc<Shared>> {
        choose(&self.inner.state())
    }

    pub(super) fn deliver(&self, frame: &Frame, slow: SlowPeer<'_>, to: &[Arc<Shared>]) -> usize {
        let now = clock::now();
        let ends_message = frame.ends_message();
        let mut latest = self.inner.latest();
        let mut woken = Vec::with_capacity(to.len());
        let reached = to.iter().filter(|shared| {
            let mut connection = shared.connection();
            let delivered = slow.deliver(now, shared.id, &mut connection, frame, &mut latest);
            if delivered == Delivered::Queued && ends_message {
                shared.count_sent();
            }
            drop(connection);
            if matches!(delivered, Delivered::Queued | Delivered::Closed) {
                woken.push(*shared);
            }
            delivered.reaches()
        });
        let reached = reached.count();
        drop(latest);
        // A woken task may call the server.
        woken.iter().for_each(|shared| shared.wakers.wake_driver());
        reached
    }
}
