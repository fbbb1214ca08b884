//! Servers that answer only to who shows a token.

use crate::connection::Connections;
use crate::connection::slots::flag;
use crate::ids::ConnectionId;
use ws_host::token::TokenRule;
use ws_proto::{Event, Request};

impl Connections {
    /// Refuses a request without the token that its server requires. Who showed none at all is nobody whose end
    /// is told, unless every end is asked for.
    pub(crate) fn guard<'a>(&mut self, id: ConnectionId, event: Event<'a>) -> Option<Event<'a>> {
        let Self { slots, servers, .. } = self;
        let Some(live) = slots.get_mut(id) else { return Some(event) };
        let rule = servers.at(live.server).and_then(|server| server.token.as_ref());
        let Some(rule) = rule else { return Some(event) };
        let event = match event {
            Event::Closed(_)
                if !live.has(flag::AUTHENTICATED) && !live.connection.config().get_report_all_closes() =>
            {
                return None;
            }
            event @ (Event::Request(_) | Event::Upgrade(_)) => event,
            event => return Some(event),
        };
        let request = match rule.authenticate(event) {
            Ok(event) => {
                live.set(flag::AUTHENTICATED);
                return Some(event);
            }
            Err(request) => request,
        };
        // It was asked just now, so that it can be answered.
        let _ = self.respond(id, request, TokenRule::unauthorized());
        None
    }

    /// Gives the cookie to who showed the token in the query.
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
