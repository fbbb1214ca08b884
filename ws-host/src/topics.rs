//! Who wants to hear what: subscriptions by topic, and what becomes of a peer that is too slow to hear it all.
//!
//! An id is whatever the owner has.
//!
//! ```
//! use ws_host::topics::Topics;
//!
//! let mut topics = Topics::new();
//! topics.subscribe(7, "prices")?;
//! topics.subscribe(9, "prices")?;
//! topics.forget(7); // it is gone
//! assert_eq!(topics.subscribers("prices").collect::<Vec<_>>(), [9]);
//! # Ok::<(), ws_host::topics::TopicError>(())
//! ```

use core::fmt;
use core::hash::Hash;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use ws_proto::CloseCode;
use ws_proto::Frame;
use ws_proto::Moment;
use ws_proto::SendError;
use ws_proto::{Connection, State};

/// Subscriptions of ids to topics.
///
/// Names may come from peers: they are hashed with a secret of this process (SipHash), and both their length
/// and how many of them one id may take are limited. A topic exists as long as somebody is subscribed to it.
#[derive(Clone, Debug)]
pub struct Topics<Id> {
    /// Sorted, so that publishing goes through an owner's memory in its order.
    subscribers: HashMap<Arc<str>, BTreeSet<Id>>,
    topics: HashMap<Id, Vec<Arc<str>>>,
    /// What ids were subscribed to that have left, and are yet to be forgotten.
    left: HashMap<Id, Vec<Arc<str>>>,
    per_id: usize,
    name_len: usize,
}

impl<Id> Default for Topics<Id> {
    fn default() -> Self {
        Self {
            subscribers: HashMap::new(),
            topics: HashMap::new(),
            left: HashMap::new(),
            per_id: 256,
            name_len: 256,
        }
    }
}

impl<Id: Copy + Ord + Hash> Topics<Id> {
    /// No subscriptions; at most 256 topics to an id, and 256 bytes to a name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the most topics that one id may be subscribed to, and the longest name in bytes. What is there already stays.
    pub fn set_limits(&mut self, topics_per_id: usize, name_len: usize) {
        self.per_id = topics_per_id;
        self.name_len = name_len;
    }

    /// Subscribes an id; says whether that is new.
    ///
    /// # Errors
    /// [`TopicError`]; nothing was changed.
    pub fn subscribe(&mut self, id: Id, topic: &str) -> Result<bool, TopicError> {
        if topic.len() > self.name_len {
            return Err(TopicError::NameTooLong { limit: self.name_len });
        }
        if self.is_subscribed(id, topic) {
            return Ok(false);
        }
        if self.topics.get(&id).map_or(0, Vec::len) >= self.per_id {
            return Err(TopicError::TooMany { limit: self.per_id });
        }
        let name = match self.subscribers.get_key_value(topic) {
            Some((name, _)) => name.clone(),
            None => Arc::from(topic),
        };
        self.left.remove(&id);
        self.topics.entry(id).or_default().push(name.clone());
        self.subscribers.entry(name).or_default().insert(id);
        Ok(true)
    }

    /// Ends a subscription; says whether there was one.
    pub fn unsubscribe(&mut self, id: Id, topic: &str) -> bool {
        let Some(topics) = self.topics.get_mut(&id) else { return false };
        let Some(at) = topics.iter().position(|name| **name == *topic) else { return false };
        topics.swap_remove(at);
        if topics.is_empty() {
            self.topics.remove(&id);
        }
        self.remove(id, topic);
        true
    }

    /// Takes an id out of the subscribers of its topics, which [`topics_of`](Self::topics_of) still shows until
    /// [`forget`](Self::forget): its connection has ended, and its owner may want to tell the others.
    pub fn leave(&mut self, id: Id) {
        let Some(topics) = self.topics.remove(&id) else { return };
        topics.iter().for_each(|topic| self.remove(id, topic));
        self.left.insert(id, topics);
    }

    /// Ends all subscriptions of an id.
    pub fn forget(&mut self, id: Id) {
        for topic in self.topics.remove(&id).unwrap_or_default() {
            self.remove(id, &topic);
        }
        self.left.remove(&id);
    }

    fn remove(&mut self, id: Id, topic: &str) {
        if let Some(subscribers) = self.subscribers.get_mut(topic) {
            subscribers.remove(&id);
            if subscribers.is_empty() {
                self.subscribers.remove(topic);
            }
        }
    }

    /// Whether an id is subscribed to a topic.
    pub fn is_subscribed(&self, id: Id, topic: &str) -> bool {
        self.subscribers.get(topic).is_some_and(|subscribers| subscribers.contains(&id))
    }

    /// Who is subscribed to a topic, in the order of their ids; those that have [left](Self::leave) are not.
    pub fn subscribers(&self, topic: &str) -> impl ExactSizeIterator<Item = Id> + '_ {
        self.subscribers.get(topic).map(BTreeSet::iter).unwrap_or_default().copied()
    }

    /// What an id is subscribed to, in no order.
    pub fn topics_of(&self, id: Id) -> impl Iterator<Item = &str> {
        self.topics.get(&id).or_else(|| self.left.get(&id)).into_iter().flatten().map(|name| &**name)
    }

    /// Every topic that somebody is subscribed to, in no order.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &str> {
        self.subscribers.keys().map(|name| &**name)
    }

    /// Whether nothing is kept for any id.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.left.is_empty()
    }
}

/// Why a subscription was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicError {
    /// The id is not one of an open connection.
    NotOpen,
    /// It is subscribed to as many topics as it may be.
    TooMany {
        /// How many.
        limit: usize,
    },
    /// The name is too long.
    NameTooLong {
        /// How many bytes it may have.
        limit: usize,
    },
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpen => f.write_str("only an open connection can subscribe"),
            Self::TooMany { limit } => write!(f, "already subscribed to {limit} topics, which is the limit"),
            Self::NameTooLong { limit } => write!(f, "the name of a topic is longer than {limit} bytes"),
        }
    }
}

impl core::error::Error for TopicError {}

/// What becomes of a peer that does not keep up with what is sent to many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowPeer<'k> {
    /// What it does not read waits for it, and at the cap of its outbox it is closed with 1013: it may come
    /// again. For what must not have gaps. Where peers cause what is sent to many, as in a chat, one that floods makes
    /// all the others slow: bound what each may cause, with [`Config::message_rate`](ws_proto::Config::message_rate).
    #[default]
    Close,
    /// Over the high mark of its outbox it is passed over until it has drained. For what the next message makes
    /// obsolete anyhow. Lower the mark as for [`Latest`](Self::Latest).
    Skip,
    /// Over the high mark of its outbox only the newest message of each key is kept, and sent when it has
    /// drained. For the state of many things: a cursor for each user, a price for each product.
    ///
    /// Up to the high mark everything waits, however old, and what the kernel has taken (often some megabytes) is
    /// out of reach. For what is sent many times a second, lower the marks to a few messages, with
    /// [`Config::outbox`](ws_proto::Config::outbox): the default of 1 MiB is minutes of small ones.
    Latest(&'k str),
}

/// What became of a message for one of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It is queued.
    Queued,
    /// It is kept until the peer has drained.
    Kept,
    /// The peer is passed over.
    Skipped,
    /// The peer is too slow, and its connection closes.
    Closed,
    /// The connection does not take messages.
    NotOpen,
}

impl Delivered {
    /// Whether the peer gets it, now or later.
    pub fn reaches(self) -> bool {
        matches!(self, Self::Queued | Self::Kept)
    }
}

impl SlowPeer<'_> {
    /// Sends a frame to one of many, or does what is to be done with a peer that is too slow. What is kept in
    /// `newest` is sent by [`release`] once the connection has drained.
    pub fn deliver<Id: Copy + Eq + Hash>(
        self,
        now: Moment,
        id: Id,
        connection: &mut Connection,
        frame: &Frame,
        newest: &mut Newest<Id, Frame>,
    ) -> Delivered {
        let behind = connection.is_congested();
        match self {
            Self::Skip if behind => return Delivered::Skipped,
            // What was kept before is still to be sent first.
            Self::Latest(key) if behind || newest.has(id) => {
                return keep(now, id, connection, frame, key, newest);
            }
            _ => {}
        }
        match (connection.send_shared(frame), self) {
            (Ok(_), _) => Delivered::Queued,
            // Larger than what is left, though the mark was not reached. Refused, it counts as congested, so that
            // its draining will be told.
            (Err(SendError::Full), Self::Skip) => Delivered::Skipped,
            (Err(SendError::Full), Self::Latest(key)) if connection.is_congested() => {
                keep(now, id, connection, frame, key, newest)
            }
            (Err(SendError::Full), _) => too_slow(now, connection),
            (Err(_), _) => Delivered::NotOpen,
        }
    }
}

/// A connection has drained: it gets what was kept for it, as far as it takes it. `told` hears what becomes
/// of each.
pub fn release<Id: Copy + Eq + Hash>(
    now: Moment,
    id: Id,
    connection: &mut Connection,
    newest: &mut Newest<Id, Frame>,
    mut told: impl FnMut(&Frame, Delivered),
) {
    if !newest.has(id) {
        return;
    }
    for (key, frame) in newest.take(id) {
        let delivered = SlowPeer::Latest(&key).deliver(now, id, connection, &frame, newest);
        told(&frame, delivered);
    }
}

fn keep<Id: Copy + Eq + Hash>(
    now: Moment,
    id: Id,
    connection: &mut Connection,
    frame: &Frame,
    key: &str,
    newest: &mut Newest<Id, Frame>,
) -> Delivered {
    if connection.state() != State::Open {
        return Delivered::NotOpen;
    }
    if newest.keep(id, key, frame.clone()) { Delivered::Kept } else { too_slow(now, connection) }
}

/// Closes a connection that is too slow for what is sent to many, with 1013: an outbox was
/// [`Full`](SendError::Full).
pub fn too_slow(now: Moment, connection: &mut Connection) -> Delivered {
    // It is open; and the Close frame is exempt from the cap.
    let _ = connection.close(now, CloseCode::TRY_AGAIN_LATER, "too slow");
    Delivered::Closed
}

/// The newest message of each key, for peers that are slow to take them.
///
/// Of one peer at most 1,024 keys are kept.
#[derive(Clone, Debug)]
pub struct Newest<Id, T> {
    peers: HashMap<Id, HashMap<Box<str>, (u64, T)>>,
    count: u64,
    keys: usize,
}

impl<Id, T> Default for Newest<Id, T> {
    fn default() -> Self {
        Self { peers: HashMap::new(), count: 0, keys: 1024 }
    }
}

impl<Id: Copy + Eq + Hash, T> Newest<Id, T> {
    /// Keeps a message in place of the older one of its key. `false` when the peer has too many keys: the
    /// message is not kept.
    #[must_use]
    pub fn keep(&mut self, id: Id, key: &str, message: T) -> bool {
        let kept = self.peers.entry(id).or_default();
        self.count += 1;
        if let Some(place) = kept.get_mut(key) {
            *place = (self.count, message);
        } else if kept.len() < self.keys {
            kept.insert(key.into(), (self.count, message));
        } else {
            return false;
        }
        true
    }

    /// Whether anything is kept for a peer.
    #[inline]
    pub fn has(&self, id: Id) -> bool {
        !self.peers.is_empty() && self.peers.contains_key(&id)
    }

    /// All that is kept for a peer, the oldest first. Give back by [`keep`](Self::keep) what it does not take.
    pub fn take(&mut self, id: Id) -> Vec<(Box<str>, T)> {
        let mut kept: Vec<_> = self.peers.remove(&id).unwrap_or_default().into_iter().collect();
        kept.sort_unstable_by_key(|(_, (age, _))| *age);
        kept.into_iter().map(|(key, (_, message))| (key, message)).collect()
    }

    /// Drops what is kept for a peer.
    pub fn forget(&mut self, id: Id) {
        if !self.peers.is_empty() {
            self.peers.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_subscribed_is_told_and_no_one_else() {
        let mut topics = Topics::new();
        assert_eq!(topics.subscribe(2, "a"), Ok(true));
        assert_eq!(topics.subscribe(1, "a"), Ok(true));
        assert_eq!(topics.subscribe(1, "a"), Ok(false), "it is one subscription");
        assert_eq!(topics.subscribe(1, "b"), Ok(true));
        assert_eq!(topics.subscribers("a").collect::<Vec<_>>(), [1, 2]);
        assert_eq!(topics.subscribers("b").collect::<Vec<_>>(), [1]);
        assert_eq!(topics.subscribers("c").len(), 0);
        assert!(topics.unsubscribe(1, "a"));
        assert!(!topics.unsubscribe(1, "a"));
        assert!(!topics.unsubscribe(3, "a"));
        assert_eq!(topics.subscribers("a").collect::<Vec<_>>(), [2]);
        assert_eq!(topics.topics_of(1).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn an_id_that_has_left_is_no_subscriber_and_its_topics_are_known_until_it_is_forgotten() {
        let mut topics = Topics::new();
        for (id, topic) in [(1, "a"), (1, "b"), (2, "a")] {
            topics.subscribe(id, topic).unwrap();
        }
        topics.leave(1);
        topics.leave(1);
        topics.leave(3);
        assert_eq!(topics.subscribers("a").collect::<Vec<_>>(), [2]);
        assert_eq!(topics.topics().collect::<Vec<_>>(), ["a"], "a topic without subscribers is none");
        assert!(!topics.is_subscribed(1, "a") && !topics.unsubscribe(1, "a"));
        assert_eq!(topics.topics_of(1).collect::<BTreeSet<_>>(), BTreeSet::from(["a", "b"]));
        assert_eq!(topics.subscribe(1, "c"), Ok(true), "coming back, it begins anew");
        assert_eq!(topics.topics_of(1).collect::<Vec<_>>(), ["c"]);
        topics.forget(1);
        topics.forget(2);
        assert!(topics.is_empty() && topics.subscribers.is_empty());
    }

    #[test]
    fn nothing_is_left_of_who_is_gone_nor_of_a_topic_without_subscribers() {
        let mut topics = Topics::new();
        for id in 0..10 {
            for topic in ["a", "b", "c"] {
                topics.subscribe(id, topic).unwrap();
            }
        }
        for id in 0..9 {
            topics.forget(id);
        }
        assert_eq!(topics.topics().len(), 3);
        for topic in ["a", "b", "c"] {
            assert!(topics.unsubscribe(9, topic));
        }
        assert!(topics.is_empty() && topics.subscribers.is_empty());
        topics.forget(9);
    }

    #[test]
    fn a_peer_cannot_take_more_topics_or_longer_names_than_allowed() {
        let mut topics = Topics::new();
        topics.set_limits(2, 4);
        topics.subscribe(1, "a").unwrap();
        topics.subscribe(1, "four").unwrap();
        assert_eq!(topics.subscribe(1, "c"), Err(TopicError::TooMany { limit: 2 }));
        assert_eq!(topics.subscribe(1, "a"), Ok(false), "what it has it may ask for again");
        assert_eq!(topics.subscribe(2, "fives"), Err(TopicError::NameTooLong { limit: 4 }));
        topics.unsubscribe(1, "a");
        topics.subscribe(1, "c").unwrap();
        assert_eq!(topics.topics().len(), 2, "what was refused left nothing");
    }

    #[test]
    fn the_newest_of_each_key_is_kept_in_the_order_of_their_coming() {
        let mut newest = Newest::default();
        assert!(!newest.has(1));
        for (key, message) in [("x", 1), ("y", 2), ("x", 3), ("z", 4), ("y", 5)] {
            assert!(newest.keep(1, key, message));
        }
        assert!(newest.has(1) && !newest.has(2));
        let taken: Vec<_> = newest.take(1).into_iter().map(|(_, message)| message).collect();
        assert_eq!(taken, [3, 4, 5]);
        assert!(!newest.has(1) && newest.take(1).is_empty());
    }

    #[test]
    fn the_keys_kept_for_one_peer_are_bounded() {
        let mut newest = Newest { keys: 2, ..Newest::default() };
        assert!(newest.keep(1, "a", 1) && newest.keep(1, "b", 2));
        assert!(!newest.keep(1, "c", 3));
        assert!(newest.keep(1, "a", 4) && newest.keep(2, "c", 5));
        newest.forget(1);
        assert!(!newest.has(1) && newest.has(2));
    }
}
