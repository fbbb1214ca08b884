//! The tokens that a server accepts.

use super::Token;
use core::hash::BuildHasher;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;
use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use std::vec::Vec;

/// The tokens that a server accepts. Clones share them, on any thread: those that are added or revoked count from the next
/// request on, on each server that has a clone. One that is revoked or has expired is as wrong as any other.
///
/// WebSockets that are open stay, until the application closes them: `Connections::close_revoked` of `ws-server-mio`,
/// `Server::close_revoked` of `ws-server-smol`.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use ws_host::server::ServerConfig;
/// use ws_host::token::{Token, Tokens};
///
/// # let [one, two] = [[1; 16], [2; 16]]; // use the system's source of randomness instead
/// let tokens = Tokens::new();
/// let phone = tokens.add(Token::from_random(one));
/// tokens.add_until(Token::from_random(two), SystemTime::now() + Duration::from_secs(3600)); // a guest, for an hour
/// let config = ServerConfig::new().require_tokens(tokens.clone());
/// // later, from any thread
/// assert!(tokens.revoke(phone));
/// assert_eq!(tokens.len(), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tokens(Arc<Mutex<List>>);

/// Identifies a token without being it: for logs, and to revoke it. Unique in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(u64);

static NEXT: AtomicU64 = AtomicU64::new(0);

#[derive(Debug, Default)]
struct List {
    /// By a hash of unknown key, so that the time of a search tells nothing of a token.
    by_hash: HashMap<u64, Vec<Entry>>,
    hashes: HashMap<TokenId, u64>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Entry {
    id: TokenId,
    token: Token,
    /// The end of its validity, if it has one.
    until: Option<SystemTime>,
}

impl Entry {
    fn is_valid(&self, now: Option<SystemTime>) -> bool {
        self.until.is_none_or(|until| now.is_some_and(|now| now < until))
    }
}

impl Tokens {
    /// None: every request is rejected.
    pub fn new() -> Self {
        Self::default()
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts this token, until it is revoked.
    pub fn add(&self, token: Token) -> TokenId {
        self.insert(token, None)
    }

    /// Accepts this token until this time of day, by the [clock](crate::server::ServerConfig::wall_clock) of the server,
    /// in whole seconds.
    pub fn add_until(&self, token: Token, until: SystemTime) -> TokenId {
        self.insert(token, Some(until))
    }

    fn insert(&self, token: Token, until: Option<SystemTime>) -> TokenId {
        let mut list = self.list();
        let id = TokenId(NEXT.fetch_add(1, Relaxed));
        let hash = list.hasher.hash_one(token.as_str().as_bytes());
        list.hashes.insert(id, hash);
        list.by_hash.entry(hash).or_default().push(Entry { id, token, until });
        id
    }

    /// No longer accepts this token; returns whether it was accepted, or had expired, until now.
    pub fn revoke(&self, id: TokenId) -> bool {
        let mut list = self.list();
        let Some(hash) = list.hashes.remove(&id) else { return false };
        if let Some(entries) = list.by_hash.get_mut(&hash) {
            entries.retain(|entry| entry.id != id);
            if entries.is_empty() {
                list.by_hash.remove(&hash);
            }
        }
        true
    }

    /// Forgets the tokens whose end is not after this time of day; returns how many.
    pub fn remove_expired(&self, now: SystemTime) -> usize {
        let mut list = self.list();
        let List { by_hash, hashes, .. } = &mut *list;
        let before = hashes.len();
        by_hash.retain(|_, entries| {
            entries.retain(|entry| {
                let is_valid = entry.is_valid(Some(now));
                if !is_valid {
                    hashes.remove(&entry.id);
                }
                is_valid
            });
            !entries.is_empty()
        });
        before - hashes.len()
    }

    /// How many there are, expired ones included.
    pub fn len(&self) -> usize {
        self.list().hashes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list().hashes.is_empty()
    }

    /// The token that this candidate is, if it is valid now; `now` is `None` if the time of day is not known.
    pub(super) fn find(&self, candidate: &[u8], now: Option<SystemTime>) -> Option<(TokenId, Token)> {
        let list = self.list();
        let entries = list.by_hash.get(&list.hasher.hash_one(candidate))?;
        let found = entries.iter().find(|entry| entry.token.matches(candidate) && entry.is_valid(now))?;
        Some((found.id, found.token.clone()))
    }

    /// Whether this token is valid now.
    pub(super) fn accepts(&self, id: TokenId, now: Option<SystemTime>) -> bool {
        let list = self.list();
        let entries = list.hashes.get(&id).and_then(|hash| list.by_hash.get(hash));
        entries.into_iter().flatten().any(|entry| entry.id == id && entry.is_valid(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use std::format;
    use std::time::UNIX_EPOCH;

    fn token(n: u8) -> Token {
        Token::from_random([n; 16])
    }

    fn at(seconds: u64) -> Option<SystemTime> {
        Some(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    fn find(tokens: &Tokens, n: u8, now: Option<SystemTime>) -> Option<TokenId> {
        tokens.find(token(n).as_str().as_bytes(), now).map(|(id, _)| id)
    }

    #[test]
    fn each_of_several_is_found_until_it_is_revoked() {
        let tokens = Tokens::new();
        assert_eq!(find(&tokens, 1, None), None);
        let (one, two) = (tokens.add(token(1)), tokens.clone().add(token(2)));
        assert_eq!((find(&tokens, 1, None), find(&tokens, 2, at(9))), (Some(one), Some(two)));
        assert_eq!(find(&tokens, 3, None), None);
        assert!(tokens.revoke(one) && !tokens.revoke(one));
        assert_eq!((find(&tokens, 1, None), find(&tokens, 2, None)), (None, Some(two)));
        assert!(!tokens.accepts(one, None) && tokens.accepts(two, None));
        assert!(tokens.revoke(two) && tokens.is_empty());
    }

    #[test]
    fn a_token_expires_and_one_without_an_end_does_not() {
        let tokens = Tokens::new();
        let guest = tokens.add_until(token(1), at(100).unwrap());
        let own = tokens.add(token(2));
        for (now, is_valid) in
            [(at(0), true), (at(99), true), (at(100), false), (at(101), false), (None, false)]
        {
            assert_eq!(find(&tokens, 1, now).is_some(), is_valid, "{now:?}");
            assert_eq!(tokens.accepts(guest, now), is_valid, "{now:?}");
            assert!(tokens.accepts(own, now));
        }
        assert_eq!(tokens.remove_expired(at(99).unwrap()), 0);
        assert_eq!((tokens.remove_expired(at(100).unwrap()), tokens.len()), (1, 1));
    }

    #[test]
    fn a_token_that_is_added_twice_is_valid_until_both_are_revoked() {
        let tokens = Tokens::new();
        let (first, second) = (tokens.add_until(token(1), at(5).unwrap()), tokens.add(token(1)));
        assert_eq!(find(&tokens, 1, at(9)), Some(second));
        assert!(tokens.revoke(second) && find(&tokens, 1, at(9)).is_none());
        assert_eq!(find(&tokens, 1, at(1)), Some(first));
    }

    #[test]
    fn no_token_shows_in_logs() {
        let tokens = Tokens::new();
        tokens.add(token(1));
        assert!(!format!("{tokens:?}").contains(token(1).as_str()));
    }
}
