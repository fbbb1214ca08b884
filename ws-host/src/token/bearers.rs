//! Which connections came by which token.

use super::{TokenId, TokenRule};
use core::hash::Hash;
use std::collections::HashMap;
use std::sync::Arc;
use std::vec::Vec;
use ws_proto::{RequestHead, Upgrade};

/// The WebSockets of a server, or of several, that came by a token: which one, and whether it is still accepted.
#[derive(Debug)]
pub struct Bearers<K>(HashMap<K, Bearer>);

#[derive(Debug)]
struct Bearer {
    rule: Arc<TokenRule>,
    /// `None` if it was revoked between the check and now.
    token: Option<TokenId>,
}

impl<K> Default for Bearers<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Copy + Eq + Hash> Bearers<K> {
    /// This connection requests an upgrade, and has passed this rule.
    pub fn note(&mut self, key: K, rule: &Arc<TokenRule>, upgrade: &Upgrade) {
        let token = rule.token_of(&RequestHead::new(upgrade.http(), true));
        self.0.insert(key, Bearer { rule: rule.clone(), token });
    }

    /// The token by which a connection came.
    pub fn token(&self, key: K) -> Option<TokenId> {
        self.0.get(&key)?.token
    }

    /// The connections whose token was revoked, or has expired.
    pub fn revoked(&self) -> Vec<K> {
        let is_revoked = |bearer: &Bearer| bearer.token.is_none_or(|token| !bearer.rule.accepts(token));
        self.0.iter().filter(|(_, bearer)| is_revoked(bearer)).map(|(key, _)| *key).collect()
    }

    /// The connection is gone.
    #[inline]
    pub fn forget(&mut self, key: K) {
        if !self.0.is_empty() {
            self.0.remove(&key);
        }
    }
}
