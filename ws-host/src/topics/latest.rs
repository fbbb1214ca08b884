//! The latest message of each key, kept for slow peers.

use core::cmp::Reverse;
use core::hash::Hash;
use std::collections::{BinaryHeap, HashMap};

/// The latest message of each key, for slow peers: of at most 4,096 keys for each peer, unless [`set_key_limit`] sets
/// another number.
///
/// [`set_key_limit`]: Self::set_key_limit
#[derive(Clone, Debug)]
pub struct LatestByKey<Id, T> {
    peers: HashMap<Id, HashMap<Box<str>, (u64, T)>>,
    count: u64,
    keys: usize,
}

impl<Id, T> Default for LatestByKey<Id, T> {
    fn default() -> Self {
        Self { peers: HashMap::new(), count: 0, keys: 4096 }
    }
}

impl<Id: Copy + Eq + Hash, T> LatestByKey<Id, T> {
    /// Limits the keys of which a message is kept for one peer. What is kept already stays.
    pub fn set_key_limit(&mut self, keys: usize) {
        self.keys = keys;
    }

    /// Keeps a message, replacing the previous one of its key. Returns `false` and drops the message if the peer is at
    /// its limit of keys.
    #[must_use]
    pub fn keep(&mut self, id: Id, key: &str, message: T) -> bool {
        self.count += 1;
        let kept = self.peers.get_mut(&id);
        let count = kept.as_ref().map_or(0, |kept| kept.len());
        if let Some(place) = kept.and_then(|kept| kept.get_mut(key)) {
            *place = (self.count, message);
            return true;
        }
        if count >= self.keys {
            return false;
        }
        self.peers.entry(id).or_default().insert(key.into(), (self.count, message));
        true
    }

    /// Whether a message is kept for a peer.
    #[inline]
    pub fn has(&self, id: Id) -> bool {
        !self.peers.is_empty() && self.peers.contains_key(&id)
    }

    /// Passes the messages kept for a peer to `send`, the oldest first, until it returns `false`: that message and those
    /// after it stay.
    pub fn flush(&mut self, id: Id, mut send: impl FnMut(&T) -> bool) {
        let Some(kept) = self.peers.get_mut(&id) else { return };
        // A peer may take a few of thousands at a time, so they are not all sorted.
        let oldest = kept.iter().map(|(key, (age, _))| Reverse((*age, key)));
        let mut oldest: BinaryHeap<_> = oldest.collect();
        let mut sent = 0;
        while let Some(Reverse((age, key))) = oldest.pop() {
            if !kept.get(key).is_none_or(|(_, message)| send(message)) {
                break;
            }
            sent = age;
        }
        drop(oldest);
        kept.retain(|_, (age, _)| *age > sent);
        if kept.is_empty() {
            self.peers.remove(&id);
        }
    }

    /// Drops all messages of a peer.
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
    fn the_latest_of_each_key_is_kept_in_order_of_arrival() {
        let mut latest = LatestByKey::default();
        assert!(!latest.has(1));
        for (key, message) in [("x", 1), ("y", 2), ("x", 3), ("z", 4), ("y", 5)] {
            assert!(latest.keep(1, key, message));
        }
        assert!(latest.has(1) && !latest.has(2));
        let flush = |latest: &mut LatestByKey<i32, i32>, most: usize| {
            let mut sent = Vec::new();
            latest.flush(1, |message| {
                let takes = sent.len() < most;
                if takes {
                    sent.push(*message);
                }
                takes
            });
            sent
        };
        assert_eq!(flush(&mut latest, 0), []);
        assert_eq!(flush(&mut latest, 2), [3, 4]);
        assert!(latest.keep(1, "x", 6) && latest.has(1));
        assert_eq!(flush(&mut latest, 9), [5, 6]);
        assert!(!latest.has(1) && flush(&mut latest, 9).is_empty());
    }

    #[test]
    fn the_keys_kept_for_one_peer_are_bounded() {
        let mut latest = LatestByKey::default();
        latest.set_key_limit(2);
        assert!(latest.keep(1, "a", 1) && latest.keep(1, "b", 2));
        assert!(!latest.keep(1, "c", 3));
        assert!(latest.keep(1, "a", 4) && latest.keep(2, "c", 5));
        latest.forget(1);
        assert!(!latest.has(1) && latest.has(2));
        latest.set_key_limit(0);
        assert!(!latest.keep(1, "a", 1) && !latest.has(1));
        assert!(latest.keep(2, "c", 6) && !latest.keep(2, "d", 7), "what was kept before stays");
    }
}
