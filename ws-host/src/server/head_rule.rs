//! The rule of a server for the heads of requests: its token, and the paths of its WebSockets.

use super::upgrades::UpgradeRule;
use crate::token::TokenRule;
use http::HeaderMap;
use std::borrow::ToOwned;
use std::sync::Arc;
use ws_proto::{HeadRule, RequestError, RequestHead};

#[derive(Debug)]
pub(super) struct ServerRule {
    pub(super) token: Option<TokenRule>,
    pub(super) upgrades: UpgradeRule,
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
    fn check(&self, head: &RequestHead<'_>) -> Result<(), RequestError> {
        self.parts().try_for_each(|rule| rule.check(head))?;
        if head.is_upgrade() && !self.upgrades.is_path(head.path()) {
            return Err(RequestError::UpgradePath(head.path().to_owned()));
        }
        Ok(())
    }

    fn complete(&self, head: &RequestHead<'_>, response: &mut HeaderMap) {
        self.parts().for_each(|rule| rule.complete(head, response));
    }
}
