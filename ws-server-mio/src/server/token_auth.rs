//! Servers that require a token.

use crate::connection::Connections;
use crate::connection::slots::flag;
use crate::event::Event;
use crate::ids::ConnectionId;
use ws_host::token::TokenRule;
use ws_proto::Request;

impl Connections {
    /// Rejects a request without the token that its server requires.
    pub(crate) fn require_token<'a>(&mut self, id: ConnectionId, event: Event<'a>) -> Option<Event<'a>> {
        let Self { slots, servers, .. } = self;
        let Some(live) = slots.get_mut(id) else { return Some(event) };
        let rule = servers.at(live.server).and_then(|server| server.token.as_ref());
        let Some(rule) = rule else { return Some(event) };
        let incoming = match event {
            Event::Request(_, request) => ws_proto::Event::Request(request),
            Event::Upgrade(_, upgrade) => ws_proto::Event::Upgrade(upgrade),
            event => return Some(event),
        };
        let request = match rule.authenticate(incoming) {
            Ok(event) => {
                live.set(flag::AUTHENTICATED);
                return Event::of(id, event);
            }
            Err(request) => request,
        };
        // The request has just arrived, so it can be answered.
        let _ = self.respond(id, request, TokenRule::unauthorized());
        None
    }

    /// Whether the end of a connection is not reported: it never presented the token, and `report_all_closes` is not set.
    pub(crate) fn is_close_hidden(&self, id: ConnectionId) -> bool {
        let Some(live) = self.slots.get(id) else { return false };
        self.token_rule(id).is_some()
            && !live.has(flag::AUTHENTICATED)
            && !live.connection.config().get_report_all_closes()
    }

    /// Sets the cookie for a client that presented the token in the query.
    pub(crate) fn set_token_cookie<B>(
        &self,
        id: ConnectionId,
        request: &Request,
        response: &mut http::Response<B>,
    ) {
        if let Some(rule) = self.token_rule(id) {
            rule.complete_response(request, response);
        }
    }

    fn token_rule(&self, id: ConnectionId) -> Option<&TokenRule> {
        self.servers.at(self.slots.get(id)?.server)?.token.as_ref()
    }
}
