//! Untrusted text: the setters reject text that is invalid in a head, and text chosen by a peer is escaped for
//! terminals and logs.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::sync::Arc;
use ws_host::web::{ServerSentEvent, redirect};
use ws_kit::frames::*;
use ws_kit::pair::Pair;
use ws_proto::{
    ClientRequest, Config, Connection, Error, Event, Message, Moment, RespondError, ResponseError, Role,
    Upgrade,
};

/// Characters that end a line, or may be taken for a line end, or are not text (RFC 9110 §5.5), except for tab.
fn controls() -> impl Iterator<Item = char> {
    (0..=0x7f).map(char::from).filter(|c| c.is_ascii_control() && *c != '\t')
}

/// The text with each of them in front, in the middle and at the end.
fn spoilt(text: &str) -> impl Iterator<Item = String> {
    controls().flat_map(move |c| [format!("{c}{text}"), format!("{text}{c}{text}"), format!("{text}{c}")])
}

fn upgrade() -> (Connection, Upgrade, Moment) {
    let mut pair = Pair::new(Config::client(), Config::server());
    pair.accept = false;
    pair.drive();
    let Some(Event::Upgrade(upgrade)) = pair.server.events.pop() else { panic!("no upgrade") };
    (pair.server.connection, upgrade, pair.now)
}

#[test]
fn client_requests_reject_line_ends() {
    let request = || ClientRequest::new("ws://localhost/").unwrap();
    for bad in spoilt("x") {
        for url in [
            format!("ws://localhost/{bad}"),
            format!("ws://localhost/?{bad}"),
            format!("ws://local{bad}host/"),
            format!("ws://localhost:80{bad}/"),
            format!("{bad}ws://localhost/"),
        ] {
            assert!(ClientRequest::new(&url).is_err(), "{url:?}");
        }
        assert!(request().header(&bad, "value").is_err(), "{bad:?}");
        assert!(request().header("X-Name", &bad).is_err(), "{bad:?}");
        assert!(request().subprotocol(&bad).is_err(), "{bad:?}");
        assert!(request().origin(&bad).is_err(), "{bad:?}");
    }
    // Names are not split, nor lists extended, without a line end either.
    for bad in ["a b", "a:b", "a,b", "a\tb", "", "\u{fc}"] {
        assert!(request().header(bad, "value").is_err() && request().subprotocol(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn server_answers_reject_line_ends() {
    let (_connection, mut upgrade, _) = upgrade();
    for bad in spoilt("x") {
        let rejected = Err(RespondError::Header(bad.clone()));
        assert_eq!(upgrade.set_header(&bad, "value"), rejected);
        assert_eq!(
            upgrade.set_header("X-Name", &bad),
            Err(RespondError::Header("X-Name".to_owned())),
            "{bad:?}"
        );
        assert_eq!(upgrade.select_subprotocol(&bad), Err(RespondError::SubprotocolNotOffered(bad.clone())));
        // The types of `http` are equally strict.
        assert!(http::HeaderValue::from_str(&bad).is_err(), "{bad:?}");
        assert!(http::HeaderName::from_bytes(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn text_from_a_peer_stays_on_one_line() {
    for bad in spoilt("/x") {
        let location = redirect(http::StatusCode::SEE_OTHER, &bad);
        let location = location.headers()["location"].to_str().unwrap();
        assert!(location.bytes().all(|b| b.is_ascii_graphic()), "{location:?}");
        // An event has one line with its name, and one line per line of data.
        let event = bytes::Bytes::from(ServerSentEvent::new("data").event(&bad).id(&bad));
        let lines = String::from_utf8(event.to_vec()).unwrap();
        let fields: Vec<_> = lines.split(['\r', '\n']).filter(|line| !line.is_empty()).collect();
        assert!(fields.len() <= 3 && fields.contains(&"data: data"), "{lines:?}");
    }
}

/// A peer's attack on terminals: it clears the screen, rings, reverses text, and starts a new line in a log.
const NASTY: &str = "\u{1b}[2J\u{7}\u{9b}\r\n\u{202e}2026 all is well";

fn assert_harmless(shown: &str) {
    assert!(
        !shown.chars().any(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}')),
        "{}",
        shown.escape_debug()
    );
}

#[test]
fn text_chosen_by_a_peer_is_escaped_when_displayed() {
    // The reason of its Close.
    let (mut server, now) = open(Role::Server, Config::server());
    let body = [&1000u16.to_be_bytes(), NASTY.as_bytes()].concat();
    feed(&mut server, now, &frame(true, FIN | CLOSE, &body));
    let Some(Event::Closed(closed)) = end(&mut server, now).pop() else { panic!("no end") };
    assert_eq!(closed.reason, NASTY);
    assert_harmless(&closed.to_string());
    assert_harmless(&format!("{closed:?}"));
    // A message.
    let (mut server, now) = open(Role::Server, Config::server());
    let events = feed(&mut server, now, &frame(true, FIN | TEXT, NASTY.as_bytes()));
    assert!(matches!(&events[..], [Event::Message(Message::Text(text))] if text == NASTY));
    assert_harmless(&format!("{events:?}"));
    // Its request, and the reason for its rejection. Beyond ASCII, an Origin is invalid.
    let now = Moment::default();
    for field in ["Host: evil.example", "Host: localhost\r\nOrigin: http://evil.example\u{9b}2J"] {
        let mut server =
            Connection::server(now, Arc::new(Config::server().report_all_closes(true)), Default::default());
        let head = format!("POST / HTTP/1.1\r\n{field}\r\nX-Name: \u{9b}2J\u{202e}\r\n\r\n");
        feed(&mut server, now, head.as_bytes());
        let Some(Event::Closed(closed)) = end(&mut server, now).pop() else { panic!("no end") };
        assert_harmless(&closed.to_string());
        assert_harmless(&format!("{closed:?}"));
    }
    let mut server = Connection::server(now, Arc::new(Config::server()), Default::default());
    let head = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Name: \u{9b}2J\u{202e}\r\n\r\n";
    let events = feed(&mut server, now, head.as_bytes());
    assert_harmless(&format!("{events:?}"));
    // A server's rejection, in a client.
    let request = ClientRequest::new("ws://localhost/").unwrap();
    let mut client = Connection::client(now, Arc::new(Config::client()), request, [1; 32]);
    let answer = format!(
        "HTTP/1.1 403 No\u{202e}\r\nX-Name: \u{9b}2J\r\nContent-Length: {}\r\n\r\n{NASTY}",
        NASTY.len()
    );
    take_output(&mut client, now);
    let mut events = feed(&mut client, now, answer.as_bytes());
    events.extend(end(&mut client, now));
    let Some(Event::Closed(closed)) = events.pop() else { panic!("no end") };
    let Some(Error::Response(ResponseError::Rejected(_))) = &closed.error else { panic!("{closed}") };
    assert_harmless(&closed.to_string());
    assert_harmless(&format!("{closed:?}"));
}
