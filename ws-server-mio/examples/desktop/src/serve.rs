//! The server's part: which request gets what, and what messages do.

use crate::meter::Meter;
use crate::scope::{Kind, Scope};
use ws_server_mio::handshake::upgrade_required;
use ws_server_mio::http::{HeaderValue, Method, Response, StatusCode, header};
use ws_server_mio::web;
use ws_server_mio::{Bytes, CloseCode, ConnectionId, Connections, Event, Frame, Message, Request, SlowPeer};

const PAGE: &str = include_str!("page.html");
/// The page may run its own script, start workers that it has made, and call this server: nothing else.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                      worker-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";
/// Where pages hear the state, and where those come that flood us.
pub(crate) const LIVE: &str = "/live";
pub(crate) const FLOOD: &str = "/flood";

/// Whatever happens on a connection. A send or an answer that fails needs no care here: its connection is
/// going, and `Closed` follows.
pub(crate) fn handle(
    connections: &mut Connections,
    scope: &mut Scope<ConnectionId>,
    meter: &Meter,
    event: Event<'_>,
) {
    match event {
        Event::Request(id, request) => {
            let response = answer(&request, scope, meter);
            let _ = connections.respond(id, request, response);
        }
        Event::Open(id, _) => {
            let kind = if connections.path(id) == Some(FLOOD) { Kind::Flood } else { Kind::Page };
            scope.join(id, kind);
        }
        Event::Message(id, Message::Text(text)) => {
            scope.heard(&id);
            if scope.receive(&text).is_err() {
                let _ = connections.close(id, CloseCode::POLICY, "not understood");
            }
        }
        // Those who flood us want it all back.
        Event::Message(id, echo) => {
            scope.heard(&id);
            let _ = connections.send(id, echo);
        }
        Event::Closed(id, _) => scope.leave(&id),
        _ => {}
    }
}

/// Tells all pages how things stand. Of a page that does not keep up only the newest is kept.
pub(crate) fn publish(connections: &mut Connections, scope: &Scope<ConnectionId>, meter: &Meter) {
    let state = Frame::text(scope.state(&meter.report()));
    connections.topics().broadcast_with(&state, SlowPeer::Latest("state"), |_, id| scope.is_page(&id));
}

/// Plain HTTP. A HEAD is answered as a GET; the connection leaves the body out.
fn answer(request: &Request, scope: &Scope<ConnectionId>, meter: &Meter) -> Response<Bytes> {
    let path = request.uri().path();
    match path {
        "/" | "/stats" | LIVE | FLOOD if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            web::method_not_allowed(&[Method::GET, Method::HEAD])
        }
        "/" => {
            let mut page = web::no_cache(web::html(PAGE));
            page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            page
        }
        "/stats" => web::json(StatusCode::OK, scope.state(&meter.report())),
        LIVE | FLOOD => upgrade_required(),
        _ => web::not_found(),
    }
}
