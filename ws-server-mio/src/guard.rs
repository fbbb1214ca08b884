//! Servers that answer only to who shows a token.

use crate::connections::Connections;
use crate::slots::{ConnectionId, flag};
use http::header::{HeaderValue, REFERRER_POLICY, SET_COOKIE};
use ws_proto::token::{Shown, TokenRule};
use ws_proto::{Event, Request};

impl Connections {
    /// Refuses a request without the token that its server requires. Who showed none at all is nobody whose end
    /// is told, unless every end is asked for.
    pub(crate) fn guard<'a>(&mut self, id: ConnectionId, mut event: Event<'a>) -> Option<Event<'a>> {
        let Self { slots, servers, .. } = self;
        let Some(live) = slots.get_mut(id) else { return Some(event) };
        let rule = servers.at(live.server).and_then(|server| server.token.as_ref());
        let Some(rule) = rule else { return Some(event) };
        let shown = match &event {
            Event::Request(request) => rule.check(request.query(), request.headers()),
            Event::Upgrade(upgrade) => rule.check(upgrade.query(), upgrade.headers()),
            Event::Closed(_) if !live.has(flag::LET_IN) && !live.connection.config().tell_every_end => {
                return None;
            }
            _ => return Some(event),
        };
        if let Some(shown) = shown {
            live.set(flag::LET_IN);
            if let (Shown::InQuery, Event::Upgrade(upgrade)) = (shown, &mut event) {
                // A token and a number are a valid value.
                let _ = upgrade.set_header(SET_COOKIE.as_str(), &rule.set_cookie());
            }
            return Some(event);
        }
        let request = match event {
            Event::Request(request) => request,
            Event::Upgrade(upgrade) => upgrade.into(),
            event => return Some(event),
        };
        // It was asked just now, so that it can be answered.
        let _ = self.respond(id, request, TokenRule::refusal());
        None
    }

    /// Gives the cookie to who showed the token in the query; and sees to it that no page that is linked from there, or
    /// that is loaded into it, is told that query as its referrer.
    pub(crate) fn give_cookie<B>(
        &self,
        id: ConnectionId,
        request: &Request,
        response: &mut http::Response<B>,
    ) {
        if let Some(rule) = self.token_rule(id)
            && rule.check(request.query(), request.headers()) == Some(Shown::InQuery)
            && let Ok(cookie) = HeaderValue::try_from(rule.set_cookie())
        {
            let headers = response.headers_mut();
            headers.append(SET_COOKIE, cookie);
            // Stricter, it would hide the origin of the page's own forms.
            headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
        }
    }

    fn token_rule(&self, id: ConnectionId) -> Option<&TokenRule> {
        self.servers.at(self.slots.get(id)?.server)?.token.as_ref()
    }
}
