//! Streaming responses over real sockets.

mod common;
use common::*;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;
use ws_host::web::{ServerSentEvent, sse};
use ws_server_mio::{Bytes, RespondError, Sent, ServerConfig, http};

#[test]
fn events_reach_a_page_as_they_happen() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let mut peer = rig.peer();
    peer.send(&get(rig.address(), "/events"));
    rig.until("the request", |rig| rig.app.requests.len() == 1);
    let (id, request) = rig.app.requests.pop().unwrap();
    let stream = rig.endpoint.connections().respond_streaming(id, request, sse::head(), None).unwrap();
    let mut head = None;
    rig.until("the head", |_| {
        head = head.take().or_else(|| peer.take_head());
        head.is_some()
    });
    let head = head.unwrap().to_lowercase();
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    for n in 0..3 {
        let event = ServerSentEvent::new(format!("line {n}")).id(&n.to_string());
        rig.endpoint.connections().send_body(id, &stream, event).unwrap();
        let expected = format!("14\r\nid: {n}\ndata: line {n}\n\n\r\n");
        rig.until("the event", |_| {
            peer.read();
            peer.got.len() >= expected.len()
        });
        assert_eq!(String::from_utf8_lossy(&peer.got), expected);
        peer.got.clear();
    }
    drop(peer);
    rig.until("the end of the stream that the page has left", |rig| {
        let sent = rig.endpoint.connections().send_body(id, &stream, sse::keep_alive());
        sent == Err(RespondError::NotOpen)
    });
    assert_eq!(rig.endpoint.connections().finish_body(id, stream), Err(RespondError::NotOpen));
}

#[test]
fn the_connection_outlives_a_finished_stream() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let mut peer = rig.peer();
    let request = get(rig.address(), "/");
    peer.send(&request);
    rig.until("the request", |rig| rig.app.requests.len() == 1);
    let (id, first) = rig.app.requests.pop().unwrap();
    let connections = rig.endpoint.connections();
    let body = connections.respond_streaming(id, first, http::Response::new(()), Some(6)).unwrap();
    connections.send_body(id, &body, "one").unwrap();
    connections.send_body(id, &body, "two").unwrap();
    connections.finish_body(id, body).unwrap();
    assert_eq!(rig.response(&mut peer), (200, "onetwo".to_owned()));
    rig.app.hold = false;
    peer.send(&request);
    assert_eq!(rig.response(&mut peer), (200, "hello".to_owned()));
}

#[test]
fn a_slow_reader_gets_the_whole_stream() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let mut peer = rig.peer();
    peer.send(&get(rig.address(), "/"));
    rig.until("the request", |rig| rig.app.requests.len() == 1);
    let (id, request) = rig.app.requests.pop().unwrap();
    let head = http::Response::new(());
    let body = rig.endpoint.connections().respond_streaming(id, request, head, None).unwrap();
    let chunk = Bytes::from(vec![b'x'; 60_000]);
    let mut sent = 0;
    // How much the kernel buffers is unknown; beyond that the marks apply.
    loop {
        match rig.endpoint.connections().send_body(id, &body, chunk.clone()).unwrap() {
            Sent::Queued => sent += chunk.len(),
            Sent::Congested => {
                sent += chunk.len();
                rig.turn();
                rig.turn();
                if rig.endpoint.connections().queued(id) > 1 << 20 {
                    break;
                }
            }
        }
    }
    let drained = |rig: &Rig| rig.app.count(|seen| matches!(seen, Seen::Drained(_)));
    let before = drained(&rig);
    for _ in 0..5 {
        assert!(!rig.turn().more, "a turn is due while the response waits");
    }
    assert_eq!(drained(&rig), before);
    rig.until("the drained outbox", |rig| {
        peer.read();
        drained(rig) > before
    });
    assert_eq!(drained(&rig), before + 1);
    rig.endpoint.connections().finish_body(id, body).unwrap();
    rig.until("all of it", |_| {
        peer.read();
        peer.got.ends_with(b"0\r\n\r\n")
    });
    assert!(peer.got.iter().filter(|b| **b == b'x').count() >= sent);
}

#[test]
fn a_reader_that_stops_reading_is_closed() {
    let config = ServerConfig::new().output_timeout(Duration::from_millis(50));
    let mut rig = Rig::new(config);
    rig.app.hold = true;
    let mut peer = rig.peer();
    peer.send(&get(rig.address(), "/"));
    rig.until("the request", |rig| rig.app.requests.len() == 1);
    let (id, request) = rig.app.requests.pop().unwrap();
    let head = http::Response::new(());
    let body = rig.endpoint.connections().respond_streaming(id, request, head, None).unwrap();
    rig.endpoint.connections().send_body(id, &body, vec![0; 15 << 20]).unwrap();
    rig.until("its end", |rig| rig.app.closed().len() == 1);
    assert_eq!(rig.endpoint.connections().send_body(id, &body, "x"), Err(RespondError::NotOpen));
}

#[test]
fn a_server_that_stops_finishes_its_event_streams() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let mut peer = rig.peer();
    peer.send(&get(rig.address(), "/"));
    rig.until("the request", |rig| rig.app.requests.len() == 1);
    let (id, request) = rig.app.requests.pop().unwrap();
    let body = rig.endpoint.connections().respond_streaming(id, request, sse::head(), None).unwrap();
    let server = rig.server;
    rig.endpoint.connections().server(server).stop(Duration::from_secs(5));
    rig.end(&mut peer);
    assert!(peer.got.ends_with(b"0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&peer.got));
    assert_eq!(rig.endpoint.connections().send_body(id, &body, "x"), Err(RespondError::NotOpen));
}

#[test]
fn streams_of_vanished_peers_free_their_slots() {
    // They vanish by EOF, by a reset, and after bytes behind the request.
    for (resets, more) in [(false, ""), (true, ""), (false, "GET /next HTTP/1.1\r\n")] {
        let mut rig = Rig::new(ServerConfig::new().max_connections(50));
        rig.app.hold = true;
        let mut bodies = Vec::new();
        for _ in 0..50 {
            let mut peer = rig.peer();
            peer.send(&get(rig.address(), "/events"));
            peer.send(more.as_bytes());
            rig.until("the request", |rig| rig.app.requests.len() == 1);
            let (id, request) = rig.app.requests.pop().unwrap();
            bodies
                .push(rig.endpoint.connections().respond_streaming(id, request, sse::head(), None).unwrap());
            rig.until("the head", |_| peer.take_head().is_some());
            if resets {
                socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        // Each slot was held by a vanished peer, to which nothing more was sent.
        rig.until("all ends", |rig| rig.app.closed().len() == 50);
        assert!(rig.app.closed().iter().all(|closed| closed.error.is_some()));
        assert_eq!(rig.endpoint.connections().stats().open, 0);
        rig.app.hold = false;
        let (address, mut honest) = (rig.address(), rig.peer());
        honest.send(&get(address, "/"));
        assert_eq!(rig.response(&mut honest).0, 200);
    }
}

#[test]
fn dropping_the_endpoint_resets_an_unfinished_response_that_eof_would_end() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let address = rig.address();
    let reading = std::thread::spawn(move || {
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        socket.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        socket.read_to_end(&mut Vec::new())
    });
    rig.until("the request", |rig| rig.app.requests.len() == 1);
    let (id, request) = rig.app.requests.pop().unwrap();
    let head = http::Response::new(());
    let body = rig.endpoint.connections().respond_streaming(id, request, head, None).unwrap();
    rig.endpoint.connections().send_body(id, &body, "a part").unwrap();
    let before = rig.endpoint.connections().stats().bytes_out;
    rig.until("the written part", |rig| rig.endpoint.connections().stats().bytes_out > before);
    drop(rig);
    assert_eq!(reading.join().unwrap().unwrap_err().kind(), ErrorKind::ConnectionReset);
    drop(body);
}
