//! Subscriptions of connections to topics.

use core::fmt;
use core::hash::Hash;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Subscriptions of ids to topics.
///
/// Names may come from peers: they are hashed with a secret of this process (SipHash), and both their length and their
/// number per id are limited. A topic exists while it has a subscriber.
#[derive(Clone, Debug)]
pub struct Topics<Id> {
    /// Sorted, so that publishing accesses an owner's memory in order.
    subscribers: HashMap<Arc<str>, BTreeSet<Id>>,
    topics: HashMap<Id, Vec<Arc<str>>>,
    /// The former topics of ids that have left and are yet to be forgotten.
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
    /// No subscriptions; at most 256 topics per id, and 256 bytes per name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the topics that one id may be subscribed to, and the longest name in bytes. Existing subscriptions stay.
    pub fn set_limits(&mut self, topics_per_id: usize, name_len: usize) {
        self.per_id = topics_per_id;
        self.name_len = name_len;
    }

    /// Subscribes an id; `true` if the subscription is new.
    ///
    /// # Errors
    /// [`TopicError`]; nothing has changed.
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

    /// Ends a subscription; `true` if there was one.
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

    /// Removes an id from the subscribers of its topics, once its connection has ended. [`topics_of`](Self::topics_of)
    /// still returns these until [`forget`](Self::forget), so that the owner can notify the other subscribers.
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

    /// The subscribers of a topic in the order of their ids, without those that have [left](Self::leave).
    pub fn subscribers(&self, topic: &str) -> impl ExactSizeIterator<Item = Id> + '_ {
        self.subscribers.get(topic).map(BTreeSet::iter).unwrap_or_default().copied()
    }

    /// The topics of an id, in no particular order.
    pub fn topics_of(&self, id: Id) -> impl Iterator<Item = &str> {
        self.topics.get(&id).or_else(|| self.left.get(&id)).into_iter().flatten().map(|name| &**name)
    }

    /// Every topic that has a subscriber, in no particular order.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &str> {
        self.subscribers.keys().map(|name| &**name)
    }

    /// Whether there are neither subscriptions nor former ones to be forgotten.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.left.is_empty()
    }
}

/// Why a subscription was rejected.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicError {
    /// The connection is not open.
    NotOpen,
    /// The connection is at its limit of topics.
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The name is too long.
    NameTooLong {
        /// The limit in bytes.
        limit: usize,
    },
}

ws_proto::debug_is_display!(TopicError);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_subscribers_are_listed() {
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
    fn the_topics_of_an_id_that_left_are_known_until_it_is_forgotten() {
        let mut topics = Topics::new();
        for (id, topic) in [(1, "a"), (1, "b"), (2, "a")] {
            topics.subscribe(id, topic).unwrap();
        }
        topics.leave(1);
        topics.leave(1);
        topics.leave(3);
        assert_eq!(topics.subscribers("a").collect::<Vec<_>>(), [2]);
        assert_eq!(topics.topics().collect::<Vec<_>>(), ["a"], "a topic without subscribers does not exist");
        assert!(!topics.is_subscribed(1, "a") && !topics.unsubscribe(1, "a"));
        assert_eq!(topics.topics_of(1).collect::<BTreeSet<_>>(), BTreeSet::from(["a", "b"]));
        assert_eq!(topics.subscribe(1, "c"), Ok(true), "a returning id starts without topics");
        assert_eq!(topics.topics_of(1).collect::<Vec<_>>(), ["c"]);
        topics.forget(1);
        topics.forget(2);
        assert!(topics.is_empty() && topics.subscribers.is_empty());
    }

    #[test]
    fn ids_and_topics_without_subscriptions_leave_nothing() {
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
        assert_eq!(topics.subscribe(1, "a"), Ok(false), "an existing subscription is not an error");
        assert_eq!(topics.subscribe(2, "fives"), Err(TopicError::NameTooLong { limit: 4 }));
        topics.unsubscribe(1, "a");
        topics.subscribe(1, "c").unwrap();
        assert_eq!(topics.topics().len(), 2, "a rejected subscription leaves nothing");
    }
}
