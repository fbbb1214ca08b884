//! No debug output shows a token.

use super::ClientRequest;
use crate::moment::Moment;
use crate::{Config, Connection, Event, Transport};
use std::sync::Arc;

const SECRET: &str = "BwcHBwcHBwcHBwcHBwcHBw";

/// The event that a server emits for these bytes.
fn received(bytes: &str) -> Event<'static> {
    let now = Moment::default();
    let mut server = Connection::server(now, Arc::new(Config::server()), Transport::default());
    let mut bytes = bytes.as_bytes().to_vec();
    server.handle_input(now, &mut &mut bytes[..]).unwrap().into_owned()
}

fn fields() -> String {
    format!(
        "Host: localhost\r\nCookie: a=b; ws_token={SECRET}\r\nCookie: c={SECRET}\r\nAuthorization: Bearer {SECRET}\r\n\
         Proxy-Authorization: Basic {SECRET}\r\nReferer: http://localhost/?token={SECRET}\r\nX-Kind: plain\r\n"
    )
}

#[test]
fn request_debug_shows_path_and_fields_but_no_token() {
    let request = received(&format!(
        "POST /a/page?token={SECRET} HTTP/1.1\r\n{}Content-Length: 22\r\n\r\n{SECRET}",
        fields()
    ));
    let Event::Request(ref inner) = request else { panic!() };
    for shown in [format!("{request:?}"), format!("{inner:#?}"), format!("{:?}", inner.headers())] {
        assert!(!shown.contains(SECRET), "{shown}");
        assert!(shown.contains("x-kind") && shown.contains("plain"), "{shown}");
    }
    let shown = format!("{request:?}");
    assert!(
        shown.contains("POST") && shown.contains("\"/a/page\"?…") && shown.contains("22 bytes"),
        "{shown}"
    );
    assert_eq!(inner.query().unwrap(), format!("token={SECRET}"), "the application has all of it");
    assert!(inner.headers()["cookie"].to_str().unwrap().contains(SECRET));
}

#[test]
fn upgrade_debug_shows_no_token_or_response_cookie() {
    let upgrade = received(&format!(
        "GET /ws?token={SECRET} HTTP/1.1\r\n{}Connection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        fields()
    ));
    assert!(!format!("{upgrade:?}").contains(SECRET), "{upgrade:?}");
    assert!(format!("{upgrade:?}").contains("\"/ws\"?…"), "{upgrade:?}");
    let Event::Upgrade(mut upgrade) = upgrade else { panic!() };
    upgrade.set_header("Set-Cookie", &format!("ws_token={SECRET}; Path=/")).unwrap();
    upgrade.set_header("X-Kind", "answer").unwrap();
    assert!(!format!("{upgrade:?}").contains(SECRET), "{upgrade:?}");
    let (response, _) = upgrade.into_response(None);
    let open = Event::Open(Box::new(response));
    assert!(!format!("{open:?}").contains(SECRET) && format!("{open:?}").contains("answer"), "{open:?}");
}

#[test]
fn client_request_and_rejection_debug_show_no_token() {
    let url = format!("wss://app.example:8443/live?token={SECRET}");
    let mut request = ClientRequest::new(&url).unwrap().subprotocol("chat").unwrap();
    for (name, value) in [("Authorization", "Bearer "), ("Cookie", "a="), ("proxy-authorization", "Basic ")] {
        request = request.header(name, &format!("{value}{SECRET}")).unwrap();
    }
    // Only the application knows what its own fields hold.
    let request = request.header("X-Kind", SECRET).unwrap().header("User-Agent", "desk/1").unwrap();
    let shown = format!("{request:?}");
    assert!(!shown.contains(SECRET), "{shown}");
    for part in ["app.example", "8443", "\"/live\"?…", "chat", "x-kind", "desk/1"] {
        assert!(shown.contains(part), "{shown}");
    }
    let config = Arc::new(Config::client());
    let mut client = Connection::client(Moment::default(), config, request, [7; 32]);
    let mut answer = format!(
        "HTTP/1.1 302 Found\r\nLocation: /login?token={SECRET}\r\nSet-Cookie: a={SECRET}\r\nContent-Length: 50\r\n\r\n\
         <a href=\"/?token={SECRET}\">Found</a>"
    )
    .into_bytes();
    let closed = client.handle_input(Moment::default(), &mut &mut answer[..]);
    let closed = closed.or_else(|| client.poll_event(Moment::default())).unwrap();
    assert!(!format!("{closed:?}").contains(SECRET), "{closed:?}");
    let shown = format!("{closed:?}");
    assert!(shown.contains("the server answered 302 Found, a redirect to /login; connect"), "{shown}");
}

#[test]
fn connection_debug_shows_no_input() {
    let now = Moment::default();
    let mut server = Connection::server(now, Arc::new(Config::server()), Transport::default());
    let mut bytes =
        format!("POST /?token={SECRET} HTTP/1.1\r\n{}Content-Length: 9\r\n\r\n", fields()).into_bytes();
    for byte in bytes.chunks_mut(1) {
        assert!(server.handle_input(now, &mut &mut byte[..]).is_none());
        assert!(!format!("{server:?}").contains(SECRET));
    }
    assert!(format!("{server:?}").contains("Reader {"), "the state is shown");
}
