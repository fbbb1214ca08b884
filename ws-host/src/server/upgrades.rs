//! Automatic answers to upgrades, and to dropped plain requests.

use crate::web::{self, strip_prefix};
use bytes::Bytes;
use http::Response;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;
use ws_proto::Upgrade;
use ws_proto::handshake::upgrade_required;

/// The longest path of a WebSocket that an adapter keeps for the application, in bytes: peers must not fill the memory
/// with longer ones.
pub const PATH_LIMIT: usize = 256;

/// The rule of a server for upgrades and for dropped plain requests:
/// [`ServerConfig::upgrade_rule`](super::ServerConfig::upgrade_rule). Clones share it.
///
/// ```
/// use ws_host::server::{Decision, ServerConfig, Unanswered};
/// use ws_proto::Upgrade;
///
/// let rule = ServerConfig::new().upgrade_paths(["/ws"]).upgrade_rule();
/// let request = http::Request::get("/ws?room=1").body(()).unwrap();
/// assert_eq!(rule.decide(&mut Upgrade::from(request)), Decision::Accept);
/// assert_eq!(rule.unanswered("/"), Unanswered::NotFound);
/// assert_eq!(rule.unanswered("/ws"), Unanswered::UpgradeRequired);
/// ```
#[derive(Clone, Debug, Default)]
pub struct UpgradeRule(Arc<Upgrades>);

/// The configuration of upgrades.
#[derive(Clone, Debug, Default)]
pub(super) struct Upgrades {
    /// `None` is every path.
    pub(super) paths: Option<Vec<String>>,
    pub(super) app_decides: bool,
    /// In order of preference.
    pub(super) subprotocols: Vec<String>,
}

/// The decision about an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// It is accepted, and the application sees the open WebSocket.
    Accept,
    /// The application decides.
    Defer,
}

/// The answer to a dropped plain request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unanswered {
    /// 404: there is nothing at this path.
    NotFound,
    /// 426: this path only accepts upgrades (RFC 9110 §15.5.22).
    UpgradeRequired,
}

impl From<Upgrades> for UpgradeRule {
    fn from(upgrades: Upgrades) -> Self {
        Self(Arc::new(upgrades))
    }
}

impl UpgradeRule {
    /// Decides about an upgrade whose path its connection has checked. It gets the server's most preferred subprotocol
    /// among those the client offers.
    pub fn decide(&self, upgrade: &mut Upgrade) -> Decision {
        upgrade.choose_subprotocol(&self.0.subprotocols);
        if self.0.app_decides { Decision::Defer } else { Decision::Accept }
    }

    /// The answer to a dropped plain request for this path. If the application decides about upgrades on
    /// every path, only it knows where its WebSockets are, and the answer is 404.
    pub fn unanswered(&self, path: &str) -> Unanswered {
        let is_known = self.0.paths.is_some() || !self.0.app_decides;
        if is_known && self.is_path(path) { Unanswered::UpgradeRequired } else { Unanswered::NotFound }
    }

    /// Whether upgrades on this path are accepted.
    pub(super) fn is_path(&self, path: &str) -> bool {
        self.0.paths.as_ref().is_none_or(|paths| paths.iter().any(|its| strip_prefix(path, its) == Some("")))
    }
}

impl Unanswered {
    /// The answer.
    pub fn response(self) -> Response<Bytes> {
        match self {
            Self::NotFound => web::not_found(),
            Self::UpgradeRequired => upgrade_required(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServerConfig;
    use super::*;

    fn upgrade(path: &str, offered: &str) -> Upgrade {
        let request = http::Request::get(path).header("sec-websocket-protocol", offered);
        request.body(()).unwrap().into()
    }

    #[test]
    fn by_default_every_path_accepts_upgrades() {
        let rule = ServerConfig::new().upgrade_rule();
        for path in ["/", "/ws", "/a/b?c"] {
            assert_eq!(rule.decide(&mut upgrade(path, "")), Decision::Accept, "{path}");
            assert_eq!(rule.unanswered(path), Unanswered::UpgradeRequired, "{path}");
        }
    }

    #[test]
    fn paths_are_exact_as_they_are_sent() {
        let rule = ServerConfig::new().upgrade_paths(["/ws", "chat"]).upgrade_rule();
        for path in ["/ws", "/ws?a=/b", "/chat", "/w%73"] {
            assert!(rule.is_path(upgrade(path, "").path()), "{path}");
        }
        for path in ["/", "/ws/", "/WS", "/w%5s", "/wsx", "/x/ws", "//ws"] {
            assert!(!rule.is_path(upgrade(path, "").path()), "{path}");
            assert_eq!(rule.unanswered(path), Unanswered::NotFound, "{path}");
        }
        let nowhere = ServerConfig::new().upgrade_paths([""; 0]).upgrade_rule();
        assert!(!nowhere.is_path("/"));
    }

    #[test]
    fn the_application_decides_on_its_paths_only() {
        let rule = ServerConfig::new().decide_upgrades(true).upgrade_rule();
        assert_eq!(rule.decide(&mut upgrade("/any", "")), Decision::Defer);
        assert_eq!(rule.unanswered("/any"), Unanswered::NotFound);
        let rule = ServerConfig::new().decide_upgrades(true).upgrade_paths(["/ws"]).upgrade_rule();
        assert_eq!(rule.decide(&mut upgrade("/ws", "")), Decision::Defer);
        assert!(!rule.is_path("/other"));
        assert_eq!(rule.unanswered("/ws"), Unanswered::UpgradeRequired);
    }

    #[test]
    fn the_servers_preferred_subprotocol_is_chosen() {
        let rule = ServerConfig::new().subprotocols(["chat.v2", "chat.v1"]).upgrade_rule();
        for (offered, chosen) in [
            ("chat.v1, chat.v2", Some("chat.v2")),
            ("mqtt, chat.v1", Some("chat.v1")),
            ("CHAT.V1", None),
            ("mqtt", None),
            ("", None),
        ] {
            let mut upgrade = upgrade("/", offered);
            assert_eq!(rule.decide(&mut upgrade), Decision::Accept);
            assert_eq!(upgrade.subprotocol(), chosen, "{offered}");
        }
    }

    #[test]
    fn a_dropped_request_is_404_or_426() {
        assert_eq!(Unanswered::NotFound.response().status(), 404);
        let response = Unanswered::UpgradeRequired.response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["upgrade"]),
            (426, &"websocket".parse().unwrap())
        );
    }
}
