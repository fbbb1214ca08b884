//! How a server stops: the order of its Closes, their time, and what is aborted. The clock is virtual.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::files::*;
use common::*;
use std::io::ErrorKind;
use std::time::Duration;
use ws_host::web::sse;
use ws_proto::Error;
use ws_server_mio::{Bytes, CloseCode, Folder, Options, RespondError, ServerConfig, Stop, http};

const SECOND: Duration = Duration::from_secs(1);

fn rig(config: ServerConfig) -> (Clock, Rig) {
    let clock = Clock::default();
    // No connection here may time out meanwhile.
    let config = config.keep_alive(3600 * SECOND).answer_timeout(3600 * SECOND);
    let rig = Rig::with(clock.on(Options::default()), config);
    (clock, rig)
}

fn turns(rig: &mut Rig) {
    for _ in 0..10 {
        rig.turn();
    }
}

fn stopped(rig: &mut Rig) -> bool {
    rig.app.count(|seen| matches!(seen, Seen::Stopped(_))) == 1
}

/// A pending request.
fn pending_request(
    rig: &mut Rig,
    request: &[u8],
) -> (Peer, ws_server_mio::ConnectionId, ws_server_mio::Request) {
    let mut peer = rig.peer();
    peer.send(request);
    rig.app.hold = true;
    rig.until("the request", |rig| rig.app.requests.len() == 1);
    rig.app.hold = false;
    let (id, request) = rig.app.requests.pop().unwrap();
    (peer, id, request)
}

fn error_of(rig: &Rig) -> Option<&Error> {
    rig.app.closed().last().unwrap().error.as_ref()
}

#[test]
fn connections_are_closed_one_by_one_and_the_rest_are_still_served() {
    let (clock, mut rig) = rig(ServerConfig::new());
    let mut open: Vec<_> = (0..8).map(|_| rig.open("/").0).collect();
    let address = rig.address();
    let mut page = rig.peer();
    page.send(&get(address, "/"));
    assert_eq!(rig.response(&mut page).0, 200);
    let (mut listener, id, request) = pending_request(&mut rig, &get(address, "/events"));
    let stream = rig.endpoint.connections().respond_streaming(id, request, sse::head(), None).unwrap();
    rig.head(&mut listener);

    // Ten connections, ten seconds.
    let server = rig.server;
    let stop =
        Stop::within(5 * SECOND).code(CloseCode::SERVICE_RESTART).reason("back soon").spread(10 * SECOND);
    rig.endpoint.connections().server(server).stop_with(stop);
    rig.until("the stop to be announced", |rig| rig.app.count(|seen| matches!(seen, Seen::Stopping(_))) == 1);
    for closed in 0..8 {
        if closed > 0 {
            clock.pass(SECOND - Duration::from_millis(1));
            turns(&mut rig);
            assert_eq!(open[closed].take_frame(), None, "its second is not over");
            clock.pass(Duration::from_millis(1));
        }
        let mut payload = CloseCode::SERVICE_RESTART.get().to_be_bytes().to_vec();
        payload.extend_from_slice(b"back soon");
        assert_eq!(rig.frame(&mut open[closed]), (CLOSE, payload.clone()));
        open[closed].send(&frame(CLOSE, &payload));
        // The loop wakes itself for the next one, and not before.
        turns(&mut rig);
        assert_eq!(rig.endpoint.next_timeout(), Some(SECOND));
        for peer in &mut open[closed + 1..] {
            peer.send(&frame(TEXT, b"still there?"));
            assert_eq!(rig.frame(peer), (TEXT, b"still there?".to_vec()));
        }
        page.send(&get(address, "/"));
        assert_eq!(rig.response(&mut page).0, 200);
        rig.endpoint.connections().send_body(id, &stream, sse::keep_alive()).unwrap();
        listener.got.clear();
        rig.until("the stream's comment", |_| {
            listener.read();
            !listener.got.is_empty()
        });
    }
    for peer in open {
        drop(peer);
    }
    // The ninth is the page, the tenth the stream.
    assert_eq!((page.ended, listener.ended), (None, None));
    clock.pass(SECOND);
    rig.end(&mut page);
    assert_eq!(listener.ended, None);
    listener.got.clear();
    clock.pass(SECOND);
    rig.end(&mut listener);
    assert!(listener.got.ends_with(b"0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&listener.got));
    drop((page, listener));
    rig.until("the end", stopped);
    assert_eq!(rig.app.closed().iter().filter(|closed| closed.code == CloseCode::SERVICE_RESTART).count(), 8);
}

#[test]
fn no_connection_is_accepted_once_the_spread_begins() {
    let (_, mut rig) = rig(ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    let (mut last, _) = rig.open("/");
    let (server, address) = (rig.server, rig.address());
    rig.endpoint.connections().server(server).stop_with(Stop::within(SECOND).spread(10 * SECOND));
    assert!(std::net::TcpStream::connect(address).is_err());
    assert_eq!(rig.frame(&mut peer).0, CLOSE);
    last.send(&frame(TEXT, b"one"));
    assert_eq!(rig.frame(&mut last), (TEXT, b"one".to_vec()));
}

#[test]
fn the_deadline_counts_from_the_end_of_the_spread() {
    let (clock, mut rig) = rig(ServerConfig::new());
    let address = rig.address();
    let (_peer, _, _request) = pending_request(&mut rig, &get(address, "/late"));
    let server = rig.server;
    rig.endpoint.connections().server(server).stop_with(Stop::within(5 * SECOND).spread(10 * SECOND));
    clock.pass(15 * SECOND - Duration::from_millis(1));
    turns(&mut rig);
    assert!(rig.app.closed().is_empty() && !stopped(&mut rig));
    clock.pass(Duration::from_millis(1));
    rig.until("the end", stopped);
    assert!(matches!(error_of(&rig), Some(Error::Stopped)), "{:?}", error_of(&rig));
}

#[test]
fn two_stops_use_the_earlier_deadline_and_the_shorter_spread() {
    for (first, second, end) in [(60, 5, 5), (5, 60, 5), (5, 5, 5)] {
        let (clock, mut rig) = rig(ServerConfig::new());
        let address = rig.address();
        let (_peer, _, _request) = pending_request(&mut rig, &get(address, "/late"));
        let server = rig.server;
        rig.endpoint.connections().server(server).stop(first * SECOND);
        turns(&mut rig);
        rig.endpoint.connections().server(server).stop(second * SECOND);
        clock.pass(end * SECOND - Duration::from_millis(1));
        turns(&mut rig);
        assert!(!stopped(&mut rig));
        clock.pass(Duration::from_millis(1));
        rig.until("the end", stopped);
    }
    // The code and reason stay, and the spread is over at once.
    let (_, mut rig) = rig(ServerConfig::new());
    let mut open: Vec<_> = (0..4).map(|_| rig.open("/").0).collect();
    let server = rig.server;
    let stop = Stop::within(SECOND).code(CloseCode::SERVICE_RESTART).spread(3600 * SECOND);
    rig.endpoint.connections().server(server).stop_with(stop);
    assert_eq!(rig.frame(&mut open[0]).0, CLOSE);
    turns(&mut rig);
    assert_eq!(open[1].take_frame(), None);
    rig.endpoint.connections().server(server).stop(SECOND);
    for peer in &mut open[1..] {
        let (first, payload) = rig.frame(peer);
        assert_eq!((first, close_code(&payload)), (CLOSE, 1012));
    }
}

#[test]
fn the_spread_ends_early_when_the_last_peer_leaves() {
    let (_, mut rig) = rig(ServerConfig::new());
    let open: Vec<_> = (0..4).map(|_| rig.open("/").0).collect();
    let server = rig.server;
    rig.endpoint.connections().server(server).stop_with(Stop::within(SECOND).spread(3600 * SECOND));
    turns(&mut rig);
    drop(open);
    rig.until("the end", stopped);
}

#[test]
fn a_late_response_is_sent_after_the_stop_with_connection_close() {
    let (clock, mut rig) = rig(ServerConfig::new());
    let address = rig.address();
    let (mut peer, id, request) = pending_request(&mut rig, &get(address, "/report"));
    let server = rig.server;
    rig.endpoint.connections().server(server).stop(5 * SECOND);
    clock.pass(4 * SECOND);
    turns(&mut rig);
    rig.endpoint.connections().respond(id, request, ok("all of it")).unwrap();
    rig.end(&mut peer);
    let response = String::from_utf8(std::mem::take(&mut peer.got)).unwrap().to_lowercase();
    assert!(response.contains("connection: close\r\n") && response.ends_with("all of it"), "{response}");
    drop(peer);
    rig.until("the end", stopped);
    assert!(error_of(&rig).is_none(), "{:?}", error_of(&rig));
}

#[test]
fn a_response_after_the_deadline_is_rejected() {
    let (clock, mut rig) = rig(ServerConfig::new());
    let address = rig.address();
    let (mut peer, id, request) = pending_request(&mut rig, &get(address, "/report"));
    let server = rig.server;
    rig.endpoint.connections().server(server).stop(5 * SECOND);
    turns(&mut rig);
    clock.pass(5 * SECOND);
    rig.until("the end", stopped);
    rig.end(&mut peer);
    assert_eq!(rig.endpoint.connections().respond(id, request, ok("")), Err(RespondError::NotOpen));
    assert!(matches!(error_of(&rig), Some(Error::Stopped)));
}

#[test]
fn a_download_continues_until_done_and_is_aborted_at_the_deadline() {
    let size = 8 << 20;
    let folder = Temp::new("stopping");
    folder.write("large", &vec![7; size]);
    let served = Folder::new(folder.public()).unwrap();
    for ends in [true, false] {
        let (clock, mut rig) = rig(ServerConfig::new().output_timeout(3600 * SECOND));
        let address = rig.address();
        let (mut peer, id, request) = pending_request(&mut rig, &get(address, "/large"));
        rig.endpoint.connections().respond_file(id, request, &served).unwrap();
        turns(&mut rig);
        let server = rig.server;
        rig.endpoint.connections().server(server).stop(20 * SECOND);
        turns(&mut rig);
        clock.pass(20 * SECOND - Duration::from_millis(1));
        turns(&mut rig);
        assert!(!stopped(&mut rig));
        if !ends {
            clock.pass(Duration::from_millis(1));
            rig.until("the abort", stopped);
        }
        rig.end(&mut peer);
        let whole = peer.got.len() > size;
        assert_eq!(whole, ends, "{} bytes", peer.got.len());
        drop(peer);
        rig.until("the end", stopped);
        assert_eq!(matches!(error_of(&rig), Some(Error::Stopped)), !ends, "{:?}", error_of(&rig));
    }
}

#[test]
fn a_partial_request_is_still_read_and_answered() {
    let (_, mut rig) = rig(ServerConfig::new());
    let address = rig.address();
    let mut peer = rig.peer();
    peer.send(
        format!("POST /save HTTP/1.1\r\nHost: {address}\r\nContent-Length: 10\r\n\r\nhalf ").as_bytes(),
    );
    rig.until("the first half", |rig| rig.endpoint.connections().stats().bytes_in > 50);
    let server = rig.server;
    rig.endpoint.connections().server(server).stop(5 * SECOND);
    turns(&mut rig);
    peer.send(b"there");
    assert_eq!(rig.response(&mut peer).0, 200);
    rig.end(&mut peer);
    drop(peer);
    rig.until("the end", stopped);
}

#[test]
fn an_aborted_response_delimited_by_eof_is_reset() {
    for length in [None, Some(100)] {
        let (clock, mut rig) = rig(ServerConfig::new());
        let address = rig.address();
        let request = format!("GET / HTTP/1.0\r\nHost: {address}\r\n\r\n");
        let (mut peer, id, request) = pending_request(&mut rig, request.as_bytes());
        let connections = rig.endpoint.connections();
        let body = connections.respond_streaming(id, request, http::Response::new(()), length).unwrap();
        connections.send_body(id, &body, Bytes::from_static(b"some of it")).unwrap();
        rig.head(&mut peer);
        let server = rig.server;
        rig.endpoint.connections().server(server).stop(SECOND);
        turns(&mut rig);
        clock.pass(SECOND);
        rig.until("the end", stopped);
        rig.end(&mut peer);
        let expected = if length.is_none() { Err(ErrorKind::ConnectionReset) } else { Ok(()) };
        assert_eq!(peer.ended, Some(expected), "with a length, no reset is needed");
        assert_eq!(rig.endpoint.connections().finish_body(id, body), Err(RespondError::NotOpen));
    }
}

/// Four peers, and a stop without any grace.
fn stopped_at_once(code: CloseCode, reason: &str, clock: &Clock, rig: &mut Rig) -> Vec<Peer> {
    let open: Vec<_> = (0..4).map(|_| rig.open("/").0).collect();
    let server = rig.server;
    let stop = Stop::within(SECOND).code(code).reason(reason);
    rig.endpoint.connections().server(server).stop_with(stop);
    // The loop is busy elsewhere.
    clock.pass(SECOND);
    open
}

#[test]
fn a_deadline_that_has_passed_by_the_first_turn_still_sends_each_close() {
    let (clock, mut rig) = rig(ServerConfig::new());
    let mut open = stopped_at_once(CloseCode::SERVICE_RESTART, "back soon", &clock, &mut rig);
    rig.until("the end", stopped);
    for closed in rig.app.closed() {
        assert!(matches!(closed.error, Some(Error::Stopped)) && !closed.clean, "{closed}");
        assert_eq!((closed.sent, closed.code), (Some(CloseCode::SERVICE_RESTART), CloseCode::ABNORMAL));
    }
    assert_eq!(rig.app.closed().len(), 4);
    for peer in &mut open {
        let (first, payload) = rig.frame(peer);
        assert_eq!((first, close_code(&payload), &payload[2..]), (CLOSE, 1012, &b"back soon"[..]));
        rig.end(peer);
        assert_eq!((peer.ended, peer.got.len()), (Some(Ok(())), 0));
    }
}

#[test]
fn a_stop_without_grace_sends_what_is_queued_and_then_its_close() {
    let (_, mut rig) = rig(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    let server = rig.server;
    rig.app.also = Some(Box::new(move |connections, event| {
        if let ws_server_mio::Event::Stopping(_) = event {
            connections.send(id, "the last message").unwrap();
        }
    }));
    let connections = rig.endpoint.connections();
    connections.send(id, "one").unwrap();
    connections.server(server).stop(Duration::ZERO);
    rig.until("the end", stopped);
    for expected in [&b"one"[..], b"the last message"] {
        assert_eq!(rig.frame(&mut peer), (TEXT, expected.to_vec()));
    }
    let (first, payload) = rig.frame(&mut peer);
    assert_eq!((first, close_code(&payload)), (CLOSE, 1001));
}

#[test]
fn connections_whose_turn_in_a_spread_had_not_come_get_their_close_at_the_deadline() {
    let (clock, mut rig) = rig(ServerConfig::new());
    let mut open: Vec<_> = (0..4).map(|_| rig.open("/").0).collect();
    let server = rig.server;
    let stop = Stop::within(SECOND).code(CloseCode::SERVICE_RESTART).spread(10 * SECOND);
    rig.endpoint.connections().server(server).stop_with(stop);
    turns(&mut rig);
    assert!(open[0].take_frame().is_some() && open[1].take_frame().is_none());
    clock.pass(11 * SECOND);
    rig.until("the end", stopped);
    for peer in &mut open[1..] {
        let (first, payload) = rig.frame(peer);
        assert_eq!((first, close_code(&payload)), (CLOSE, 1012));
    }
    assert!(rig.app.closed().iter().all(|closed| closed.sent == Some(CloseCode::SERVICE_RESTART)));
}

#[test]
fn what_arrived_before_the_deadline_counts_however_late_the_turn() {
    let (clock, mut rig) = rig(ServerConfig::new());
    let (mut closing, _) = rig.open("/");
    let server = rig.server;
    rig.endpoint.connections().server(server).stop(SECOND);
    let (_, payload) = rig.frame(&mut closing);
    closing.send(&[frame(TEXT, b"last words"), frame(CLOSE, &payload)].concat());
    clock.pass(SECOND);
    rig.until("the end", stopped);
    assert_eq!(rig.app.count(|seen| matches!(seen, Seen::Text(_, text) if text == "last words")), 1);
    assert!(rig.app.closed()[0].clean, "{}", rig.app.closed()[0]);
}

#[test]
fn a_stop_without_grace_breaks_no_frame_and_aborts_http() {
    let (_, mut rig) = rig(ServerConfig::new().outbox(1 << 20, 32 << 20, 64 << 20));
    let address = rig.address();
    let (mut slow, id) = rig.open("/");
    let (mut page, _, request) = pending_request(&mut rig, &get(address, "/report"));
    // More than the kernels hold.
    rig.endpoint.connections().send(id, vec![7; 30 << 20]).unwrap();
    let server = rig.server;
    rig.endpoint.connections().server(server).stop(Duration::ZERO);
    rig.until("the end", stopped);
    drop(request);
    let closed = rig.app.closed();
    let [of_page, of_slow] = if closed[0].was_open { [closed[1], closed[0]] } else { [closed[0], closed[1]] };
    assert!(matches!(of_page.error, Some(Error::Stopped)), "{of_page}");
    assert!(matches!(of_slow.error, Some(Error::Stopped)) && of_slow.sent.is_none(), "{of_slow}");
    rig.end(&mut page);
    assert!(page.got.is_empty(), "{:?}", page.got);
    rig.end(&mut slow);
    assert!(slow.got[10..].iter().all(|byte| *byte == 7), "nothing follows the half of a frame");
}
