//! One message to many: to everyone, to some, to the subscribers of a topic.

use super::Server;
use crate::clock;
use crate::connection::shared::{ConnectionId, Shared};
use std::sync::Arc;
use ws_host::topics::{Delivered, SlowPeer, TopicError};
use ws_proto::{Frame, State};

/// Many clients.
impl Server {
    /// Sends a frame to every open WebSocket that the filter wants, and answers how many got it. It is encoded once;
    /// large payloads are shared, not copied. Where messages are compressed, it is compressed once for all peers whose
    /// terms are alike, and what is sent to each of them next refers to nothing before.
    ///
    /// A peer that is too slow to take it (its outbox is [`Full`](ws_proto::SendError::Full)) is closed with 1013.
    pub fn broadcast(&self, frame: &Frame, filter: impl FnMut(ConnectionId) -> bool) -> usize {
        self.broadcast_with(frame, SlowPeer::Close, filter)
    }

    /// As [`broadcast`](Self::broadcast), with what becomes of slow peers. Those for whom it is kept are counted.
    pub fn broadcast_with(
        &self,
        frame: &Frame,
        slow: SlowPeer<'_>,
        mut filter: impl FnMut(ConnectionId) -> bool,
    ) -> usize {
        let mut all = self.pick(|state| {
            let websockets = state.members.values().filter(|member| member.websocket);
            websockets.map(|member| member.shared.clone()).collect()
        });
        // It may ask the server.
        all.retain(|shared| filter(shared.id));
        self.deliver(frame, slow, &all)
    }

    /// Sends a frame to these clients, and answers how many got it; those that are not open are passed over. As
    /// [`broadcast`](Self::broadcast) otherwise.
    pub fn send_to(&self, frame: &Frame, ids: impl IntoIterator<Item = ConnectionId>) -> usize {
        self.send_to_with(frame, SlowPeer::Close, ids)
    }

    /// As [`send_to`](Self::send_to), with what becomes of slow peers. Those for whom it is kept are counted.
    pub fn send_to_with(
        &self,
        frame: &Frame,
        slow: SlowPeer<'_>,
        ids: impl IntoIterator<Item = ConnectionId>,
    ) -> usize {
        let ids: Vec<_> = ids.into_iter().collect();
        let some = self.pick(|state| {
            let members = ids.iter().filter_map(|id| state.members.get(id)).filter(|member| member.websocket);
            members.map(|member| member.shared.clone()).collect()
        });
        self.deliver(frame, slow, &some)
    }

    /// Subscribes an open WebSocket to a topic; says whether that is new. The subscription ends with the connection.
    ///
    /// # Presence
    ///
    /// Once a WebSocket has ended ([`next`](crate::WebSocket::next) gives `None` or an error, and
    /// [`Extension::closed`](crate::Extension::closed) is called), it is no subscriber any more: it is not counted, and
    /// nothing that is published reaches it. [`topics_of`](Self::topics_of) shows what it was subscribed to until the
    /// [`WebSocket`](crate::WebSocket) is dropped: the place to tell the others. The extension is told also of a WebSocket
    /// that is dropped while it is open.
    ///
    /// ```
    /// # use ws_server_smol::{Frame, Server, Socket, WebSocket};
    /// async fn room(server: &Server, mut ws: WebSocket<Socket>) -> Result<(), Box<dyn std::error::Error>> {
    ///     server.subscribe(ws.id(), "room")?;
    ///     while let Some(Ok(message)) = ws.next().await {
    ///         server.publish("room", &Frame::text(message.as_text().unwrap_or("?")));
    ///     }
    ///     for topic in server.topics_of(ws.id()) {
    ///         server.publish(&topic, &Frame::text(format!("{} has left", ws.id())));
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TopicError`]: it is not open, has too many topics, or the name is too long. See
    /// [`set_topic_limits`](Self::set_topic_limits).
    pub fn subscribe(&self, id: ConnectionId, topic: &str) -> Result<bool, TopicError> {
        if self.state(id) != State::Open {
            return Err(TopicError::NotOpen);
        }
        let mut state = self.inner.state();
        // It may have gone meanwhile, on another thread.
        if !state.members.get(&id).is_some_and(|member| member.websocket) {
            return Err(TopicError::NotOpen);
        }
        state.topics.subscribe(id, topic)
    }

    /// Ends a subscription; says whether there was one.
    pub fn unsubscribe(&self, id: ConnectionId, topic: &str) -> bool {
        self.inner.state().topics.unsubscribe(id, topic)
    }

    /// Sends a frame to all subscribers of a topic, and answers how many got it. It is encoded once, and nobody else
    /// is looked at. As [`broadcast`](Self::broadcast) otherwise: who is too slow is closed.
    pub fn publish(&self, topic: &str, frame: &Frame) -> usize {
        self.publish_with(topic, frame, SlowPeer::Close)
    }

    /// As [`publish`](Self::publish), with what becomes of slow peers. Those for whom it is kept are counted.
    pub fn publish_with(&self, topic: &str, frame: &Frame, slow: SlowPeer<'_>) -> usize {
        let subscribers = self.pick(|state| {
            let members = state.topics.subscribers(topic).filter_map(|id| state.members.get(&id));
            members.map(|member| member.shared.clone()).collect()
        });
        self.deliver(frame, slow, &subscribers)
    }

    /// Who is subscribed to a topic: WebSockets that are open, or closing and not yet closed.
    pub fn subscribers(&self, topic: &str) -> Vec<ConnectionId> {
        self.inner.state().topics.subscribers(topic).collect()
    }

    /// What a WebSocket is subscribed to, in no order; of one that has ended what it was subscribed to, until it is dropped.
    pub fn topics_of(&self, id: ConnectionId) -> Vec<String> {
        self.inner.state().topics.topics_of(id).map(str::to_owned).collect()
    }

    /// Sets the most topics that one connection may be subscribed to (256), and the longest name of a topic in bytes
    /// (256); zero topics allow none.
    pub fn set_topic_limits(&self, per_connection: usize, name_len: usize) {
        self.inner.state().topics.set_limits(per_connection, name_len);
    }

    fn pick(&self, choose: impl FnOnce(&super::State) -> Vec<Arc<Shared>>) -> Vec<Arc<Shared>> {
        choose(&self.inner.state())
    }

    fn deliver(&self, frame: &Frame, slow: SlowPeer<'_>, to: &[Arc<Shared>]) -> usize {
        let now = clock::now();
        let mut newest = self.inner.newest();
        let reached = to.iter().filter(|shared| {
            let delivered = slow.deliver(now, shared.id, &mut shared.connection(), frame, &mut newest);
            if matches!(delivered, Delivered::Queued | Delivered::Closed) {
                shared.wakers.driver.wake();
            }
            delivered.reaches()
        });
        reached.count()
    }
}
