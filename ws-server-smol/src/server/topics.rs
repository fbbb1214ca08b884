//! Topics: subscriptions, and one message to all subscribers.

use crate::ids::ConnectionId;
use crate::server::Server;
use ws_host::topics::{SlowPeer, TopicError};
use ws_proto::{Frame, State};

impl Server {
    /// Topics: subscriptions, and one message to all subscribers; also to a list of connections, or with a policy for
    /// slow peers.
    pub fn topics(&self) -> Topics<'_> {
        Topics { server: self }
    }
}

/// Topics, as [`Server::topics`] gives them.
#[derive(Clone, Copy, Debug)]
pub struct Topics<'s> {
    server: &'s Server,
}

impl Topics<'_> {
    /// Subscribes an open WebSocket to a topic; says whether that is new. The subscription ends with the connection.
    ///
    /// # Presence
    ///
    /// Once a WebSocket has ended ([`next`](crate::WebSocket::next) gives `None` or an error, and
    /// [`Extension::closed`](crate::Extension::closed) is called), it is no subscriber any more: it is not counted, and
    /// nothing that is published reaches it. [`of`](Self::of) shows what it was subscribed to until the
    /// [`WebSocket`](crate::WebSocket) is dropped: the place to tell the others. The extension is told also of a
    /// WebSocket that is dropped while it is open.
    ///
    /// ```
    /// # use ws_server_smol::{Frame, Server, WebSocket};
    /// async fn room(server: &Server, mut ws: WebSocket) -> Result<(), Box<dyn std::error::Error>> {
    ///     server.topics().subscribe(ws.id(), "room")?;
    ///     while let Some(Ok(message)) = ws.next().await {
    ///         server.topics().publish("room", &Frame::text(message.as_text().unwrap_or("?")));
    ///     }
    ///     for topic in server.topics().of(ws.id()) {
    ///         server.topics().publish(&topic, &Frame::text(format!("{} has left", ws.id())));
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TopicError`]: it is not open, has too many topics, or the name is too long. See
    /// [`set_limits`](Self::set_limits).
    pub fn subscribe(&self, id: ConnectionId, topic: &str) -> Result<bool, TopicError> {
        if self.server.state(id) != State::Open {
            return Err(TopicError::NotOpen);
        }
        let mut state = self.server.inner.state();
        // It may have gone meanwhile, on another thread.
        if !state.members.get(&id).is_some_and(|member| member.websocket) {
            return Err(TopicError::NotOpen);
        }
        state.topics.subscribe(id, topic)
    }

    /// Ends a subscription; says whether there was one.
    pub fn unsubscribe(&self, id: ConnectionId, topic: &str) -> bool {
        self.server.inner.state().topics.unsubscribe(id, topic)
    }

    /// Sends a frame to all subscribers of a topic, and answers how many got it. It is encoded once, and no other
    /// connection is looked at. As [`Server::broadcast`] otherwise: a peer that is too slow is closed.
    pub fn publish(&self, topic: &str, frame: &Frame) -> usize {
        self.publish_with(topic, frame, SlowPeer::Close)
    }

    /// As [`publish`](Self::publish), with what becomes of slow peers. Those for whom it is kept are counted.
    pub fn publish_with(&self, topic: &str, frame: &Frame, slow: SlowPeer<'_>) -> usize {
        let subscribers = self.server.pick(|state| {
            let members = state.topics.subscribers(topic).filter_map(|id| state.members.get(&id));
            members.map(|member| member.shared.clone()).collect()
        });
        self.server.deliver(frame, slow, &subscribers)
    }

    /// The subscribers of a topic: WebSockets that are open, or closing and not yet closed.
    pub fn subscribers(&self, topic: &str) -> Vec<ConnectionId> {
        self.server.inner.state().topics.subscribers(topic).collect()
    }

    /// What a WebSocket is subscribed to, in no order; of one that has ended what it was subscribed to, until it is
    /// dropped.
    pub fn of(&self, id: ConnectionId) -> Vec<String> {
        self.server.inner.state().topics.topics_of(id).map(str::to_owned).collect()
    }

    /// Sets the most topics that one connection may be subscribed to (256), and the longest name of a topic in bytes
    /// (256); zero topics allow none.
    pub fn set_limits(&self, per_connection: usize, name_len: usize) {
        self.server.inner.state().topics.set_limits(per_connection, name_len);
    }

    /// Sends a frame to these clients, and answers how many got it; those that are not open are passed over. As
    /// [`Server::broadcast`] otherwise.
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
        let some = self.server.pick(|state| {
            let members = ids.iter().filter_map(|id| state.members.get(id)).filter(|member| member.websocket);
            members.map(|member| member.shared.clone()).collect()
        });
        self.server.deliver(frame, slow, &some)
    }

    /// As [`Server::broadcast_where`], with what becomes of slow peers. Those for whom it is kept are counted.
    pub fn broadcast_with(
        &self,
        frame: &Frame,
        slow: SlowPeer<'_>,
        filter: impl FnMut(ConnectionId) -> bool,
    ) -> usize {
        self.server.broadcast_with(frame, slow, filter)
    }
}
