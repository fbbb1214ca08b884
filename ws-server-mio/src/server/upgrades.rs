//! Automatic responses to upgrades, and to dropped plain requests.

use crate::connection::Connections;
use crate::connection::lists::mark_dirty;
use crate::ids::ConnectionId;
use ws_host::server::{Decision, Unanswered, UpgradeRule};
use ws_proto::Upgrade;

impl Connections {
    fn upgrade_rule(&self, id: ConnectionId) -> Option<&UpgradeRule> {
        Some(&self.servers.at(self.slots.get(id)?.server)?.upgrades)
    }

    /// Accepts an upgrade by its server's configuration; returns it if the application decides.
    pub(crate) fn decide(&mut self, id: ConnectionId, mut upgrade: Upgrade) -> Option<Upgrade> {
        let Some(rule) = self.upgrade_rule(id).cloned() else { return Some(upgrade) };
        match rule.decide(&mut upgrade) {
            Decision::Accept => {
                // The request has just arrived, so it can be answered.
                let _ = self.accept(id, upgrade);
                None
            }
            _ => Some(upgrade),
        }
    }

    /// The response to a dropped plain request for this path.
    pub(crate) fn unanswered(&self, id: ConnectionId, path: &str) -> Option<Unanswered> {
        Some(self.upgrade_rule(id)?.unanswered(path))
    }

    /// Answers the last reported request, if the application has dropped it.
    pub(crate) fn answer_dropped(&mut self, id: ConnectionId, unanswered: Unanswered) {
        let Self { slots, dirty, now, .. } = self;
        let Some(live) = slots.get_mut(id) else { return };
        if live.connection.http().answer_dropped(*now, || unanswered.response()) {
            mark_dirty(id.slot, live, dirty);
        }
    }
}
