//! Topics: subscriptions and publishing.

use crate::ids::ConnectionId;
use crate::server::Server;
use ws_host::topics::{SlowPeer, TopicError};
use ws_proto::{Frame, State};

impl Server {
    /// Returns the topics: subscriptions, and publishing to all subscribers, to a list of connections, or with a policy
    /// for slow peers.
    pub fn topics(&self) -> Topics<'_> {
        Topics { server: self }
    }
}

/// The topics of a server, from [`Server::topics`].
#[derive(Clone, Copy, Debug)]
pub struct Topics<'s> {
    server: &'s Server,
}

impl Topics<'_> {
    /// Subscribes an open WebSocket to a topic; returns whether the subscription is new. It ends with the connection.
    ///
    /// # Presence
    ///
    /// Once a WebSocket has ended ([`next`](crate::WebSocket::next) returns `None` or an error, and
    /// [`Extension::closed`](crate::Extension::closed) is called), it is no longer a subscriber: it is not counted, and
    /// no published message reaches it. Until the [`WebSocket`](crate::WebSocket) is dropped, [`of`](Self::of) still
    /// returns its topics, so this is the place to notify the rest. The extension is also called for a WebSocket that
    /// is dropped while open.
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
    /// [`TopicError`]: the WebSocket is not open, has too many topics, or the name is too long. See
    /// [`set_limits`](Self::set_limits).
    pub fn subscribe(&self, id: ConnectionId, topic: &str) -> Result<bool, TopicError> {
        if self.server.state(id) != State::Open {
            return Err(TopicError::NotOpen);
        }
        let mut state = self.server.inner.state();
        // It may have closed meanwhile, on another thread.
        if !state.members.get(&id).is_some_and(|member| member.websocket) {
            return Err(TopicError::NotOpen);
        }
        state.topics.subscribe(id, topic)
    }

    /// Ends a subscription; returns whether there was one.
    pub fn unsubscribe(&self, id: ConnectionId, topic: &str) -> bool {
        self.server.inner.state().topics.unsubscribe(id, topic)
    }

    /// Sends a frame to all subscribers of a topic, and returns how many got it. The frame is encoded once, and no
    /// other connection is visited. Otherwise as [`Server::broadcast`]: a peer that is too slow is closed with 1013
    /// ([`SlowPeer::Close`]). Where peers cause the messages, as in a chat, one that floods gets all slow readers
    /// closed: limit each with [`ServerConfig::message_rate`](crate::ServerConfig::message_rate).
    ///
    /// It queues the frame for every subscriber before it returns. The cost is frames × subscribers, so pack values
    /// that change together into one message.
    pub fn publish(&self, topic: &str, frame: &Frame) -> usize {
        self.publish_with(topic, frame, SlowPeer::Close)
    }

    /// As [`publish`](Self::publish), with a policy for slow peers. The count includes peers for which the frame is
    /// kept.
    pub fn publish_with(&self, topic: &str, frame: &Frame, slow: SlowPeer<'_>) -> usize {
        let subscribers = self.server.pick(|state| {
            let members = state.topics.subscribers(topic).filter_map(|id| state.members.get(&id));
            members.map(|member| member.shared.clone()).collect()
        });
        self.server.deliver(frame, slow, &subscribers)
    }

    /// Returns the subscribers of a topic: WebSockets that are open, or closing and not yet closed.
    pub fn subscribers(&self, topic: &str) -> Vec<ConnectionId> {
        self.server.inner.state().topics.subscribers(topic).collect()
    }

    /// Returns the topics of a WebSocket, in no particular order; after it has ended, its former topics, until it is
    /// dropped.
    pub fn of(&self, id: ConnectionId) -> Vec<String> {
        self.server.inner.state().topics.topics_of(id).map(str::to_owned).collect()
    }

    /// Sets how many topics one connection may subscribe to (default 256), and the longest topic name in bytes (default
    /// 256); zero allows no topics.
    pub fn set_limits(&self, per_connection: usize, name_len: usize) {
        self.server.inner.state().topics.set_limits(per_connection, name_len);
    }

    /// Sets for how many keys [`SlowPeer::Latest`] keeps a message for one slow peer (default 4,096); one more closes
    /// the peer with 1013. What is kept already stays.
    pub fn set_key_limit(&self, keys_per_peer: usize) {
        self.server.inner.latest().set_key_limit(keys_per_peer);
    }

    /// Sends a frame to these WebSockets, and returns how many got it; those that are not open are skipped. Otherwise
    /// as [`Server::broadcast`].
    pub fn send_to(&self, frame: &Frame, ids: impl IntoIterator<Item = ConnectionId>) -> usize {
        self.send_to_with(frame, SlowPeer::Close, ids)
    }

    /// As [`send_to`](Self::send_to), with a policy for slow peers. The count includes peers for which the frame is
    /// kept.
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

    /// As [`Server::broadcast_where`], with a policy for slow peers. The count includes peers for which the frame is
    /// kept.
    pub fn broadcast_with(
        &self,
        frame: &Frame,
        slow: SlowPeer<'_>,
        filter: impl FnMut(ConnectionId) -> bool,
    ) -> usize {
        self.server.broadcast_with(frame, slow, filter)
    }
}
