//! Plain HTTP on the same port, and rejected upgrades.

mod common;
use common::*;
use ws_server_mio::{Bytes, Frame, RespondError, ServerConfig, http};

#[test]
fn a_request_is_answered_at_once() {
    let mut rig = Rig::new(ServerConfig::new());
    let mut peer = rig.peer();
    let request = get(rig.address(), "/page");
    peer.send(&request);
    assert_eq!(rig.response(&mut peer), (200, "hello".to_owned()));
    assert!(matches!(&rig.app.seen[..], [Seen::Request(_, path)] if path == "/page"));
    assert_eq!(rig.endpoint.connections().server(rig.server).http_count(), 1);
    assert_eq!(rig.endpoint.connections().server(rig.server).count(), 0);
    peer.send(&request);
    assert_eq!(rig.response(&mut peer).0, 200, "kept alive");
}

#[test]
fn requests_may_be_answered_later_and_in_any_order() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let mut peer = rig.peer();
    let address = rig.address();
    peer.send(&[get(address, "/1"), get(address, "/2")].concat());
    rig.until("both", |rig| rig.app.requests.len() == 2);
    for _ in 0..3 {
        rig.turn();
    }
    peer.read();
    assert!(peer.got.is_empty());
    while let Some((id, request)) = rig.app.requests.pop() {
        let body = request.uri().path().to_owned();
        rig.endpoint.connections().respond(id, request, ok(body)).unwrap();
    }
    assert_eq!(rig.response(&mut peer), (200, "/1".to_owned()));
    assert_eq!(rig.response(&mut peer), (200, "/2".to_owned()));
}

#[test]
fn an_answer_to_a_closed_connection_is_rejected() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let mut peer = rig.peer();
    peer.send(&get(rig.address(), "/"));
    rig.until("the request", |rig| rig.app.requests.len() == 1);
    let (id, request) = rig.app.requests.pop().unwrap();
    rig.endpoint.connections().terminate(id);
    rig.until("the end", |rig| rig.app.closed().len() == 1);
    assert!(!rig.app.closed()[0].was_open);
    let result = rig.endpoint.connections().respond(id, request, ok("late"));
    assert_eq!(result, Err(RespondError::NotOpen));
    rig.end(&mut peer);
}

#[test]
fn an_upgrade_may_be_decided_later() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let mut peer = rig.peer();
    let mut bytes = handshake(rig.address(), "/");
    bytes.extend(frame(TEXT, b"waiting"));
    peer.send(&bytes);
    rig.until("the upgrade", |rig| rig.app.upgrades.len() == 1);
    assert_eq!(rig.endpoint.connections().server(rig.server).count(), 1);
    for _ in 0..3 {
        assert!(!rig.turn().more, "a paused connection makes no turn due");
    }
    let (id, upgrade) = rig.app.upgrades.pop().unwrap();
    rig.endpoint.connections().accept(id, upgrade).unwrap();
    rig.until("the head", |_| peer.take_head().is_some());
    assert_eq!(rig.frame(&mut peer), (TEXT, b"waiting".to_vec()));
}

#[test]
fn a_rejected_upgrade_is_plain_http() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let mut peer = rig.peer();
    peer.send(&handshake(rig.address(), "/private"));
    rig.until("the upgrade", |rig| rig.app.upgrades.len() == 1);
    let (id, upgrade) = rig.app.upgrades.pop().unwrap();
    let mut response = http::Response::new(Bytes::from("no"));
    *response.status_mut() = http::StatusCode::FORBIDDEN;
    rig.endpoint.connections().respond(id, upgrade, response).unwrap();
    assert_eq!(rig.response(&mut peer), (403, "no".to_owned()));
    assert_eq!(rig.endpoint.connections().server(rig.server).count(), 0);
}

#[test]
fn a_malformed_request_never_reaches_the_application() {
    let mut rig = Rig::new(ServerConfig::new());
    let mut peer = rig.peer();
    let old = String::from_utf8(handshake(rig.address(), "/")).unwrap().replace("Version: 13", "Version: 8");
    peer.send(old.as_bytes());
    assert_eq!(rig.response(&mut peer).0, 426);
    let mut peer = rig.peer();
    peer.send(b"NONSENSE\r\n\r\n");
    assert_eq!(rig.response(&mut peer).0, 400);
    rig.end(&mut peer);
    assert!(rig.app.seen.is_empty());
}

#[test]
fn a_silent_connection_emits_no_event() {
    let mut rig = Rig::new(ServerConfig::new());
    let peer = rig.peer();
    rig.until("it", |rig| rig.endpoint.connections().server(rig.server).http_count() == 1);
    drop(peer);
    rig.until("its end", |rig| rig.endpoint.connections().server(rig.server).http_count() == 0);
    assert!(rig.app.seen.is_empty());
}

#[test]
fn an_upgrade_behind_a_request_counts_as_a_client_once_that_is_answered() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let mut peer = rig.peer();
    let address = rig.address();
    peer.send(&[get(address, "/"), handshake(address, "/")].concat());
    rig.until("the upgrade", |rig| rig.app.upgrades.len() == 1);
    let (id, upgrade) = rig.app.upgrades.pop().unwrap();
    let (_, request) = rig.app.requests.pop().unwrap();
    let server = rig.server;
    let connections = rig.endpoint.connections();
    connections.accept(id, upgrade).unwrap();
    connections.respond(id, request, ok("page")).unwrap();
    assert_eq!((connections.server(server).count(), connections.server(server).http_count()), (1, 0));
    assert_eq!(rig.response(&mut peer), (200, "page".to_owned()));
    rig.until("the head", |_| peer.take_head().is_some());
    let connections = rig.endpoint.connections();
    assert_eq!(connections.ids().collect::<Vec<_>>(), [id]);
    assert_eq!(connections.broadcast(&Frame::text("to all")), 1);
    assert_eq!(rig.frame(&mut peer), (TEXT, b"to all".to_vec()));
}

#[test]
fn a_rejected_upgrade_behind_a_request_does_not_count_as_a_client() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let mut peer = rig.peer();
    let address = rig.address();
    peer.send(&[get(address, "/"), handshake(address, "/")].concat());
    rig.until("the upgrade", |rig| rig.app.upgrades.len() == 1);
    let (id, upgrade) = rig.app.upgrades.pop().unwrap();
    let (_, request) = rig.app.requests.pop().unwrap();
    let server = rig.server;
    let connections = rig.endpoint.connections();
    connections.respond(id, request, ok("page")).unwrap();
    assert_eq!((connections.server(server).count(), connections.server(server).http_count()), (1, 0));
    connections.respond(id, upgrade, ok("no")).unwrap();
    assert_eq!((connections.server(server).count(), connections.server(server).http_count()), (0, 1));
    drop(peer);
    rig.until("its end", |rig| rig.endpoint.connections().server(server).http_count() == 0);
    assert_eq!(rig.endpoint.connections().server(server).count(), 0);
}

#[test]
fn report_all_closes_reports_the_close_of_a_silent_connection_once() {
    let mut rig = Rig::new(ServerConfig::new().report_all_closes(true));
    let silent = rig.peer();
    rig.until("it", |rig| rig.endpoint.connections().server(rig.server).http_count() == 1);
    drop(silent);
    rig.until("its end", |rig| rig.app.closed().len() == 1);
    assert_eq!(rig.endpoint.connections().server(rig.server).http_count(), 0);
    let closed = rig.app.closed()[0];
    assert!(!closed.was_open && closed.error.is_none(), "silence is not an error: {closed}");
    let (peer, _) = rig.open("/");
    drop(peer);
    rig.until("the other end", |rig| rig.app.closed().len() == 2);
    rig.turn();
    assert_eq!(rig.app.closed().len(), 2, "as before: once each");
}
