//! One message to many: to all, to some, to the subscribers of a topic.

use crate::connection::Connections;
use crate::connection::lists::{attach_buffer, mark_dirty};
use crate::connection::slots::mark;
use crate::fanout::{Delivery, FanOut, deliver};
use crate::ids::ConnectionId;
use ws_host::topics::{Delivered, SlowPeer, TopicError, flush_latest};
use ws_proto::{Frame, State};

impl Connections {
    /// Topics: subscriptions, and publishing to subscribers.
    pub fn topics(&mut self) -> Topics<'_> {
        Topics { connections: self }
    }
}

/// The topics of an endpoint, from [`Connections::topics`].
#[derive(Debug)]
pub struct Topics<'c> {
    connections: &'c mut Connections,
}

/// Subscriptions.
impl<'c> Topics<'c> {
    /// Subscribes an open WebSocket to a topic; returns whether the subscription is new. It ends with the connection.
    ///
    /// # Presence
    ///
    /// When [`Closed`](crate::Event::Closed) is emitted, to the extension and then to the handler, the connection is
    /// already unsubscribed: it is not counted, and receives nothing that is published. [`of`](Self::of) still shows
    /// its topics until the handler returns, so the handler can notify the other subscribers. Every WebSocket that was
    /// open emits it, unless the endpoint is dropped first.
    ///
    /// ```
    /// # use ws_server_mio::{Connections, Event, Frame};
    /// # fn handler(connections: &mut Connections, event: Event<'_>) {
    /// # match event {
    /// Event::Closed(id, _) => {
    ///     let topics: Vec<_> = connections.topics().of(id).map(str::to_owned).collect();
    ///     for topic in topics {
    ///         connections.topics().publish(&topic, &Frame::text(format!("{id} has left")));
    ///     }
    /// }
    /// # _ => {}
    /// # }
    /// # }
    /// ```
    ///
    /// # Example
    ///
    /// ```
    /// use ws_server_mio::{Connections, Event, Frame};
    ///
    /// fn handler(connections: &mut Connections, event: Event<'_>) {
    ///     match event {
    ///         Event::Open(id, _) => drop(connections.topics().subscribe(id, "news")),
    ///         Event::Message(_, message) => {
    ///             let Some(text) = message.as_text() else { return };
    ///             connections.topics().publish("news", &Frame::text(text));
    ///         }
    ///         _ => {}
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TopicError`]: the connection is not open, has too many topics, or the name is too long. See
    /// [`set_limits`](Self::set_limits).
    pub fn subscribe(&mut self, id: ConnectionId, topic: &str) -> Result<bool, TopicError> {
        if self.connections.state(id) != State::Open {
            return Err(TopicError::NotOpen);
        }
        self.connections.fanout.topics.subscribe(id, topic)
    }

    /// Ends a subscription; returns whether there was one.
    pub fn unsubscribe(&mut self, id: ConnectionId, topic: &str) -> bool {
        self.connections.fanout.topics.unsubscribe(id, topic)
    }

    /// The subscribers of a topic: WebSockets that are open, or closing and not yet closed.
    pub fn subscribers(self, topic: &str) -> impl ExactSizeIterator<Item = ConnectionId> {
        self.connections.fanout.topics.subscribers(topic)
    }

    /// The topics of a WebSocket, in no particular order; during its `Closed`, its former topics.
    pub fn of(self, id: ConnectionId) -> impl Iterator<Item = &'c str> {
        self.connections.fanout.topics.topics_of(id)
    }

    /// Sets how many topics one connection may subscribe to (default 256), and the longest topic name in bytes
    /// (default 256); zero allows no topics.
    pub fn set_limits(&mut self, per_connection: usize, name_len: usize) {
        self.connections.fanout.topics.set_limits(per_connection, name_len);
    }

    /// Sets for how many keys [`SlowPeer::Latest`] keeps a message for one slow peer (default 4,096); one more closes
    /// the peer with 1013. What is kept already stays.
    pub fn set_key_limit(&mut self, keys_per_peer: usize) {
        self.connections.fanout.latest.set_key_limit(keys_per_peer);
    }
}

/// One frame to many.
impl Topics<'_> {
    /// Sends a frame to all subscribers of a topic, and returns how many got it. The frame is encoded once, and only
    /// subscribers are visited. Otherwise as [`Connections::broadcast`]: a peer that is too slow is closed with 1013
    /// ([`SlowPeer::Close`]). Where peers cause the messages, as in a chat, one that floods gets all slow readers
    /// closed: limit each with [`ServerConfig::message_rate`](crate::ServerConfig::message_rate).
    ///
    /// It queues the frame for every subscriber before it returns, a fraction of a microsecond for each, which no
    /// [`Budget`](crate::Budget) bounds. The cost is frames × subscribers, so pack values that change together into one
    /// message.
    pub fn publish(&mut self, topic: &str, frame: &Frame) -> usize {
        self.publish_with(topic, frame, SlowPeer::Close)
    }

    /// As [`publish`](Self::publish), with a policy for slow peers. The count includes peers for which the frame is
    /// kept.
    pub fn publish_with(&mut self, topic: &str, frame: &Frame, slow: SlowPeer<'_>) -> usize {
        let Connections { slots, pool, dirty, fanout, totals, now, .. } = &mut *self.connections;
        let FanOut { topics, latest } = fanout;
        let mut delivery = Delivery { frame, slow, latest, pool, dirty, totals, now: *now };
        topics.subscribers(topic).filter(|id| delivery.reach(*id, slots)).count()
    }

    /// Sends a frame to these connections, and returns how many got it; it skips those that are not
    /// open. Otherwise as [`Connections::broadcast`].
    pub fn send_to(&mut self, frame: &Frame, ids: impl IntoIterator<Item = ConnectionId>) -> usize {
        let Connections { slots, pool, dirty, now, .. } = &mut *self.connections;
        let (mut sent, mut by_servers) = (0, 0);
        for id in ids {
            if let Some(live) = slots.get_mut(id)
                && deliver(id.slot, live, frame, pool, dirty, *now)
            {
                sent += 1;
                by_servers += u64::from(!live.is_marked(mark::CLIENT));
            }
        }
        self.connections.totals.messages_out += by_servers * u64::from(frame.ends_message());
        sent
    }

    /// As [`send_to`](Self::send_to), with a policy for slow peers. The count includes peers for which the frame is
    /// kept.
    pub fn send_to_with(
        &mut self,
        frame: &Frame,
        slow: SlowPeer<'_>,
        ids: impl IntoIterator<Item = ConnectionId>,
    ) -> usize {
        let Connections { slots, pool, dirty, fanout, totals, now, .. } = &mut *self.connections;
        let mut delivery =
            Delivery { frame, slow, latest: &mut fanout.latest, pool, dirty, totals, now: *now };
        ids.into_iter().filter(|id| delivery.reach(*id, slots)).count()
    }

    /// As [`Connections::broadcast_where`], with a policy for slow peers. The count includes peers for which the frame
    /// is kept.
    pub fn broadcast_with(
        &mut self,
        frame: &Frame,
        slow: SlowPeer<'_>,
        mut filter: impl FnMut(&Connections, ConnectionId) -> bool,
    ) -> usize {
        let mut sent = 0;
        for slot in 0..self.connections.slots.end() {
            let Some(id) = self.connections.websocket_at(slot) else { continue };
            if filter(self.connections, id) {
                sent += self.send_to_with(frame, slow, [id]);
            }
        }
        sent
    }
}

/// For the turn.
impl Connections {
    /// A connection has drained: sends the frames kept for it, as far as they fit.
    pub(crate) fn flush_kept(&mut self, slot: u32) {
        let Self { slots, pool, dirty, fanout, totals, now, .. } = self;
        let Some(live) = slots.at_mut(slot) else { return };
        let id = live.id(slot);
        if !fanout.latest.has(id) {
            return;
        }
        attach_buffer(live, pool);
        let is_counted = !live.is_marked(mark::CLIENT);
        flush_latest(*now, id, &mut live.connection, &mut fanout.latest, |frame, delivered| {
            let is_sent = delivered == Delivered::Queued && frame.ends_message();
            totals.messages_out += u64::from(is_counted && is_sent);
        });
        mark_dirty(slot, live, dirty);
    }

    /// A connection has ended: unsubscribes it. The handler can still query its topics.
    pub(crate) fn leave_topics(&mut self, slot: u32) {
        let Some(id) = self.slots.at(slot).map(|live| live.id(slot)) else { return };
        self.fanout.latest.forget(id);
        if !self.fanout.topics.is_empty() {
            self.fanout.topics.leave(id);
        }
    }

    /// The handler has seen the connection's `Closed`.
    pub(crate) fn forget_topics(&mut self, id: ConnectionId) {
        if !self.fanout.topics.is_empty() {
            self.fanout.topics.forget(id);
        }
    }
}
