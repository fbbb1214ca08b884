//! The server's part: responses to requests, and messages.

use crate::meter::Meter;
use crate::scope::{Kind, Scope};
use ws_server_mio::handshake::upgrade_required;
use ws_server_mio::http::{HeaderValue, Method, Response, StatusCode, header};
use ws_server_mio::web;
use ws_server_mio::{Bytes, CloseCode, ConnectionId, Connections, Event, Frame, Message, Request, SlowPeer};

const PAGE: &str = include_str!("page.html");
/// The page may run its own script, start its own workers, and call this server: nothing else.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                      worker-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";
/// The path of pages, and the path of flooding sockets.
pub(crate) const LIVE: &str = "/live";
pub(crate) const FLOOD: &str = "/flood";

/// Handles every event. A failed send or response needs no handling: its connection is
/// closing, and `Closed` follows.
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
            scope.message_received(&id);
            if scope.receive(&text).is_err() {
                let _ = connections.close(id, CloseCode::POLICY, "not understood");
            }
        }
        // Flooding sockets get every message back.
        Event::Message(id, echo) => {
            scope.message_received(&id);
            let _ = connections.send(id, echo);
        }
        Event::Closed(id, _) => scope.leave(&id),
        _ => {}
    }
}

/// Sends the state to all pages. For a page that does not keep up, only the latest is kept.
pub(crate) fn publish(connections: &mut Connections, scope: &Scope<ConnectionId>, meter: &Meter) {
    let state = Frame::text(scope.state(&meter.report()));
    connections.topics().broadcast_with(&state, SlowPeer::Latest("state"), |_, id| scope.is_page(&id));
}

/// The response to a plain request. HEAD is answered like GET; the connection omits the body.
fn answer(request: &Request, scope: &Scope<ConnectionId>, meter: &Meter) -> Response<Bytes> {
    let path = request.uri().path();
    match path {
        "/" | "/stats" | LIVE | FLOOD if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            web::method_not_allowed(&[Method::GET, Method::HEAD])
        }
        "/" => {
            let mut page = web::no_store(web::html(PAGE));
            page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            page
        }
        "/stats" => web::json(StatusCode::OK, scope.state(&meter.report())),
        LIVE | FLOOD => upgrade_required(),
        _ => web::not_found(),
    }
}
