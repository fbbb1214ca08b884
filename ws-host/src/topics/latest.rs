//! The latest message of each key, kept for slow peers.

use core::hash::Hash;
use std::collections::HashMap;

/// The latest message of each key, for slow peers.
///
/// It keeps at most 1,024 keys per peer.
#[derive(Clone, Debug)]
pub struct LatestByKey<Id, T> {
    peers: HashMap<Id, HashMap<Box<str>, (u64, T)>>,
    count: u64,
    keys: usize,
}

impl<Id, T> Default for LatestByKey<Id, T> {
    fn default() -> Self {
        Self { peers: HashMap::new(), count: 0, keys: 1024 }
    }
}

impl<Id: Copy + Eq + Hash, T> LatestByKey<Id, T> {
    /// Keeps a message, replacing the previous one of its key. Returns `false` and drops the message if the peer is at
    /// its limit of keys.
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

    /// Whether a message is kept for a peer.
    #[inline]
    pub fn has(&self, id: Id) -> bool {
        !self.peers.is_empty() && self.peers.contains_key(&id)
    }

    /// Takes all messages kept for a peer, the oldest first. Pass those it does not accept to
    /// [`keep`](Self::keep) again.
    pub fn take(&mut self, id: Id) -> Vec<(Box<str>, T)> {
        let mut kept: Vec<_> = self.peers.remove(&id).unwrap_or_default().into_iter().collect();
        kept.sort_unstable_by_key(|(_, (age, _))| *age);
        kept.into_iter().map(|(key, (_, message))| (key, message)).collect()
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
        let taken: Vec<_> = latest.take(1).into_iter().map(|(_, message)| message).collect();
        assert_eq!(taken, [3, 4, 5]);
        assert!(!latest.has(1) && latest.take(1).is_empty());
    }

    #[test]
    fn the_keys_kept_for_one_peer_are_bounded() {
        let mut latest = LatestByKey { keys: 2, ..LatestByKey::default() };
        assert!(latest.keep(1, "a", 1) && latest.keep(1, "b", 2));
        assert!(!latest.keep(1, "c", 3));
        assert!(latest.keep(1, "a", 4) && latest.keep(2, "c", 5));
        latest.forget(1);
        assert!(!latest.has(1) && latest.has(2));
    }
}
