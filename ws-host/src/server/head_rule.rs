//! The rule of a server for the heads of requests: its token, the paths of its WebSockets, and those of its uploads.

use super::streaming::StreamedPaths;
use super::upgrades::UpgradeRule;
use crate::token::TokenRule;
use crate::trusted_proxy::TrustedProxies;
use http::HeaderMap;
use std::borrow::ToOwned;
use std::sync::Arc;
use ws_proto::{Forwarded, HeadRule, RequestError, RequestHead};

#[derive(Debug)]
pub(super) struct ServerRule {
    pub(super) trusted: Option<Arc<TrustedProxies>>,
    pub(super) token: Option<TokenRule>,
    pub(super) upgrades: UpgradeRule,
    pub(super) streamed: StreamedPaths,
    /// The rule that the application has set for connections.
    pub(super) further: Option<Arc<dyn HeadRule>>,
}

impl ServerRule {
    fn parts(&self) -> impl Iterator<Item = &dyn HeadRule> {
        let token = self.token.as_ref().map(|rule| rule as &dyn HeadRule);
        token.into_iter().chain(self.further.as_deref())
    }
}

impl HeadRule for ServerRule {
    fn forwarded(&self, head: &RequestHead<'_>) -> Option<Forwarded> {
        let trusted = self.trusted.as_ref().and_then(|trusted| trusted.forwarded(head));
        trusted.or_else(|| self.further.as_ref().and_then(|rule| rule.forwarded(head)))
    }

    fn check(&self, head: &RequestHead<'_>) -> Result<(), RequestError> {
        self.parts().try_for_each(|rule| rule.check(head))?;
        if head.is_upgrade() && !self.upgrades.is_path(head.path()) {
            return Err(RequestError::UpgradePath(head.path().to_owned()));
        }
        Ok(())
    }

    fn stream_body(&self, head: &RequestHead<'_>) -> Option<u64> {
        let further = || self.further.as_ref().and_then(|rule| rule.stream_body(head));
        self.streamed.limit(head).or_else(further)
    }

    fn min_body_rate(&self, head: &RequestHead<'_>) -> Option<u32> {
        let further = || self.further.as_ref().and_then(|rule| rule.min_body_rate(head));
        self.streamed.min_rate(head).or_else(further)
    }

    fn complete(&self, head: &RequestHead<'_>, response: &mut HeaderMap) {
        self.parts().for_each(|rule| rule.complete(head, response));
    }
}
