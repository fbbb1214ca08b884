//! Limits: a limit of zero is enforced, and does not mean unlimited.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::sync::Arc;
use std::time::Duration;
use ws_kit::frames::*;
use ws_proto::Moment;
use ws_proto::{Config, Connection, Event, Role, SendError, Sent, State};

/// The status of the answer to these bytes, which the application does not see.
fn refused(config: Config, bytes: &[u8]) -> String {
    let now = Moment::default();
    let mut server = Connection::server(now, Arc::new(config), Default::default());
    assert!(feed(&mut server, now, bytes).is_empty());
    String::from_utf8(take_output(&mut server, now)[9..12].to_vec()).unwrap()
}

#[test]
fn zero_is_a_limit_and_not_none() {
    let get = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let post = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(refused(Config::server().head_limit(0), get), "431");
    assert_eq!(refused(Config::server().header_limit(0), get), "431");
    assert_eq!(refused(Config::server().target_limit(0), get), "414");
    assert_eq!(refused(Config::server().body_limit(0), post), "413");

    let (mut server, now) = open(Role::Server, Config::server().message_limit(0));
    assert_eq!(feed(&mut server, now, &frame(true, FIN | TEXT, b"")).len(), 1);
    feed(&mut server, now, &header(true, FIN | TEXT, 1));
    assert_eq!(close_code(&take_output(&mut server, now)), Some(1009));

    for first in [FIN | PING, CONTINUATION] {
        let (mut server, now) = open(Role::Server, Config::server().frame_rate(Some(0)));
        feed(&mut server, now, &frame(true, TEXT, b"a"));
        feed(&mut server, now, &frame(true, first, b""));
        assert_eq!(close_code(&take_output(&mut server, now)), Some(1008));
    }

    let (mut server, now) = open(Role::Server, Config::server().outbox(0, 0, 0));
    assert_eq!(server.send("alone it fits"), Ok(Sent::Congested));
    assert_eq!(server.send("and no other"), Err(SendError::Full));
    take_output(&mut server, now);
    assert_eq!(server.send("until it is gone"), Ok(Sent::Congested));

    let config = Config::server().drain_limit(0);
    let (mut server, now) = open(Role::Server, config);
    assert!(matches!(feed(&mut server, now, b"\xff")[..], [Event::Closed(_)]), "the bad byte ends it");
}

#[test]
fn a_zero_timeout_expires_immediately() {
    let none = Duration::ZERO;
    let now = Moment::default();
    let mut server =
        Connection::server(now, Arc::new(Config::server().handshake_timeout(none)), Default::default());
    server.handle_timeout(now);
    assert_ne!(server.state(), State::Connecting);

    let (mut server, now) = open(Role::Server, Config::server().close_timeout(none));
    server.close(now, ws_proto::CloseCode::NORMAL, "").unwrap();
    server.handle_timeout(now);
    assert_eq!(server.state(), State::Closed);

    let (mut server, now) = open(Role::Server, Config::server().output_timeout(none));
    server.send("x").unwrap();
    server.handle_written(now, 0);
    server.handle_timeout(now);
    assert_eq!(server.state(), State::Closed);
}

/// Pipelines, handshakes in progress and requests allow at least one; without it there is no server.
#[test]
fn limits_that_would_disable_the_server_allow_one() {
    let now = Moment::default();
    let config = Config::server().pipeline_limit(0).request_limit(0);
    let mut server = Connection::server(now, Arc::new(config), Default::default());
    let mut events = feed(&mut server, now, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let Some(Event::Request(request)) = events.pop() else { panic!("{events:?}") };
    assert!(server.is_paused());
    server.respond(now, request, http::Response::default()).unwrap();
    let answer = String::from_utf8(take_output(&mut server, now)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("Connection: close"), "{answer}");
}
