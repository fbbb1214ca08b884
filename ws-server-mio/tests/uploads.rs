//! Streaming request bodies over real sockets.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ws_server_mio::{
    ConnectionId, Connections, Error, Event, Options, Request, RequestBody, ServerConfig, State, Timeout,
};

const SECOND: Duration = Duration::from_secs(1);

/// What the handler was told of bodies, and the last streaming request.
#[derive(Default)]
struct Uploads {
    parts: Vec<Part>,
    data: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Part {
    Data(usize),
    Complete,
    Incomplete(Error),
    Closed,
}

/// A rig that holds its streaming requests, and records their bodies.
fn rig_with(options: Options, config: ServerConfig) -> (Rig, Arc<Mutex<Uploads>>) {
    let mut rig = Rig::with(options, config.stream_bodies("/files/", 1 << 40));
    rig.app.hold = true;
    let uploads = Arc::new(Mutex::new(Uploads::default()));
    let seen = uploads.clone();
    rig.app.also = Some(Box::new(move |_, event| {
        let mut seen = seen.lock().unwrap();
        match event {
            Event::Body(_, RequestBody::Data(data)) => {
                seen.data.extend_from_slice(data);
                seen.parts.push(Part::Data(data.len()));
            }
            Event::Body(_, RequestBody::Complete) => seen.parts.push(Part::Complete),
            Event::Body(_, RequestBody::Incomplete(error)) => {
                seen.parts.push(Part::Incomplete(*error.clone()))
            }
            Event::Closed(..) => seen.parts.push(Part::Closed),
            _ => {}
        }
    }));
    (rig, uploads)
}

fn rig() -> (Rig, Arc<Mutex<Uploads>>) {
    rig_with(Options::default(), ServerConfig::new())
}

fn put(length: u64, fields: &str) -> Vec<u8> {
    format!("PUT /files/film HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\n\r\n").into()
}

fn request(rig: &mut Rig) -> (ConnectionId, Request) {
    rig.until("the request", |rig| !rig.app.requests.is_empty());
    rig.app.requests.pop().unwrap()
}

fn count(uploads: &Mutex<Uploads>, is: fn(&Part) -> bool) -> usize {
    uploads.lock().unwrap().parts.iter().filter(|part| is(part)).count()
}

fn is_complete(part: &Part) -> bool {
    matches!(part, Part::Complete)
}

#[test]
fn an_upload_arrives_in_parts_and_is_answered_after_the_last() {
    let (mut rig, uploads) = rig();
    let mut peer = rig.peer();
    let body: Vec<u8> = (0..3_000_000).map(|k| (k % 251) as u8).collect();
    peer.send(&put(body.len() as u64, ""));
    let (id, request) = request(&mut rig);
    assert!(request.is_streaming() && request.body_len() == Some(body.len() as u64));
    peer.send(&body);
    rig.until("the end of the body", |_| {
        peer.flush();
        count(&uploads, is_complete) == 1
    });
    assert!(uploads.lock().unwrap().data == body);
    rig.endpoint.connections().respond(id, request, ok("stored")).unwrap();
    assert_eq!(rig.response(&mut peer), (200, "stored".to_owned()));
    rig.app.hold = false;
    peer.send(&get(rig.address(), "/"));
    assert_eq!(rig.response(&mut peer), (200, "hello".to_owned()), "the connection continues");
}

#[test]
fn a_paused_upload_waits_in_the_kernel() {
    let (mut rig, uploads) = rig();
    let mut peer = rig.peer();
    peer.send(&put(1 << 40, ""));
    let (id, request) = request(&mut rig);
    rig.endpoint.connections().pause(id);
    peer.send(&vec![7; 50_000_000]);
    for _ in 0..20 {
        rig.turn();
        peer.flush();
    }
    assert!(peer.unsent.len() > 20_000_000, "the kernel holds little");
    assert!(uploads.lock().unwrap().data.is_empty(), "nothing is read");
    rig.endpoint.connections().resume(id);
    rig.until("the rest", |_| peer.flush());
    drop(request);
}

#[test]
fn no_part_is_handled_past_the_budget_of_a_turn() {
    let clock = Clock::default();
    let (mut rig, _) = rig_with(clock.on(Options::ui()), ServerConfig::new());
    let mut peer = rig.peer();
    let body = "1\r\nx\r\n".repeat(100);
    peer.send(
        format!("PUT /files/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
            .as_bytes(),
    );
    peer.send(b"0\r\n\r\n");
    let (mut parts, mut is_whole, mut held) = (0, false, None);
    let late = AtomicU64::new(0);
    for _ in 0..1000 {
        let start = clock.now();
        rig.endpoint
            .poll(Some(Duration::ZERO), |_, event| match event {
                Event::Request(_, request) => held = Some(request),
                Event::Body(_, part) => {
                    late.fetch_add(
                        u64::from(clock.now() - start >= Duration::from_millis(1)),
                        Ordering::Relaxed,
                    );
                    // Writing to a slow disk, say.
                    clock.pass(Duration::from_micros(300));
                    parts += 1;
                    is_whole |= matches!(part, RequestBody::Complete);
                }
                _ => {}
            })
            .unwrap();
        if is_whole {
            break;
        }
    }
    assert_eq!((parts, is_whole, late.into_inner()), (101, true, 0));
}

#[test]
fn continue_follows_the_handlers_call_and_a_rejection_precedes_it() {
    let (mut rig, uploads) = rig();
    let mut peer = rig.peer();
    peer.send(&put(5, "Expect: 100-continue\r\n"));
    assert_eq!(rig.head(&mut peer), "HTTP/1.1 100 Continue\r\n\r\n");
    peer.send(b"hello");
    rig.until("the end of the body", |_| count(&uploads, is_complete) == 1);
    let (id, request) = rig.app.requests.pop().unwrap();
    rig.endpoint.connections().respond(id, request, ok("stored")).unwrap();
    assert_eq!(rig.response(&mut peer), (200, "stored".to_owned()));

    rig.app.hold = false;
    let mut peer = rig.peer();
    peer.send(&put(1 << 40, "Expect: 100-continue\r\n"));
    let head = rig.head(&mut peer);
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("Connection: close"), "{head}");
    rig.end(&mut peer);
    assert_eq!(peer.ended, Some(Ok(())));
    assert!(count(&uploads, |part| matches!(part, Part::Data(_))) == 1, "only of the first");
}

#[test]
fn a_peer_that_still_sends_can_read_an_early_answer() {
    let (mut rig, _) = rig();
    rig.app.hold = false;
    let mut peer = rig.peer();
    peer.send(&put(1 << 40, ""));
    peer.send(&vec![7; 5_000_000]);
    assert_eq!(rig.response(&mut peer), (200, "hello".to_owned()));
    rig.end(&mut peer);
    assert_eq!(peer.ended, Some(Ok(())), "no reset");
}

#[test]
fn a_dropped_upload_is_answered_404_and_ends_the_connection() {
    let (mut rig, uploads) = rig();
    let mut peer = rig.peer();
    peer.send(&put(1 << 40, ""));
    let mut response = None;
    while response.is_none() {
        rig.endpoint.poll(Some(Duration::from_millis(1)), |_, event| drop(event)).unwrap();
        response = peer.take_response();
    }
    assert_eq!(response.unwrap().0, 404);
    assert!(uploads.lock().unwrap().parts.is_empty());
}

#[test]
fn a_cut_upload_is_incomplete_and_then_closed() {
    let (mut rig, uploads) = rig();
    let mut peer = rig.peer();
    peer.send(&put(10, ""));
    peer.send(b"hello");
    let (id, held) = request(&mut rig);
    rig.until("the data", |_| !uploads.lock().unwrap().data.is_empty());
    drop(peer);
    rig.until("the end", |_| count(&uploads, |part| matches!(part, Part::Closed)) == 1);
    let parts = uploads.lock().unwrap().parts.clone();
    assert!(
        matches!(parts[..], [Part::Data(5), Part::Incomplete(Error::RequestCutOff), Part::Closed]),
        "{parts:?}"
    );
    assert_eq!(rig.endpoint.connections().state(id), State::Closed);
    drop(held);
}

#[test]
fn a_stalled_upload_is_cut_off_but_a_paused_one_is_not() {
    let clock = Clock::default();
    let (mut rig, uploads) = rig_with(clock.on(Options::default()), ServerConfig::new());
    let mut peer = rig.peer();
    peer.send(&put(10, ""));
    let (id, _held) = request(&mut rig);
    rig.turn();
    rig.endpoint.connections().pause(id);
    rig.turn();
    clock.pass(600 * SECOND);
    rig.turn();
    assert_eq!(rig.endpoint.connections().state(id), State::Connecting);
    rig.endpoint.connections().resume(id);
    rig.turn();
    clock.pass(29 * SECOND);
    rig.turn();
    assert!(uploads.lock().unwrap().parts.is_empty());
    clock.pass(2 * SECOND);
    assert_eq!(rig.response(&mut peer).0, 408);
    let parts = uploads.lock().unwrap().parts.clone();
    assert!(matches!(parts[..], [Part::Incomplete(Error::Timeout(Timeout::Body))]), "{parts:?}");
}

#[test]
fn a_live_upload_may_pause_and_others_may_not() {
    for is_live in [true, false] {
        let clock = Clock::default();
        let path = if is_live { "/files/film" } else { "/files/live/" };
        let config = ServerConfig::new().min_body_rate(path, 0);
        let (mut rig, uploads) = rig_with(clock.on(Options::default()), config);
        let mut peer = rig.peer();
        peer.send(&put(10, ""));
        let (id, held) = request(&mut rig);
        rig.turn();
        clock.pass(3600 * SECOND);
        if is_live {
            rig.turn();
            peer.send(b"helloworld");
            rig.until("the end of the body", |_| count(&uploads, is_complete) == 1);
            rig.endpoint.connections().respond(id, held, ok("stored")).unwrap();
        }
        assert_eq!(rig.response(&mut peer).0, if is_live { 200 } else { 408 });
    }
}

#[test]
fn a_stop_waits_for_an_upload_until_its_deadline() {
    for is_cut in [false, true] {
        let clock = Clock::default();
        let (mut rig, uploads) = rig_with(clock.on(Options::default()), ServerConfig::new());
        let mut peer = rig.peer();
        peer.send(&put(10, ""));
        let (id, held) = request(&mut rig);
        let server = rig.server;
        rig.endpoint.connections().server(server).stop(5 * SECOND);
        rig.turn();
        clock.pass(4 * SECOND);
        peer.send(b"hello");
        rig.until("the data", |_| !uploads.lock().unwrap().data.is_empty());
        if is_cut {
            clock.pass(2 * SECOND);
            rig.until("the end", |rig| rig.app.count(|seen| matches!(seen, Seen::Stopped(_))) == 1);
            let parts = uploads.lock().unwrap().parts.clone();
            assert!(matches!(parts[1..], [Part::Incomplete(Error::Stopped), Part::Closed]), "{parts:?}");
        } else {
            peer.send(b"world");
            rig.until("the end of the body", |_| count(&uploads, is_complete) == 1);
            rig.endpoint.connections().respond(id, held, ok("stored")).unwrap();
            let head = rig.head(&mut peer);
            assert!(head.contains("200 OK") && head.contains("Connection: close"), "{head}");
        }
    }
}

/// Panics at the first part of a body.
struct Fragile;

impl ws_server_mio::Extension for Fragile {
    fn filter<'a>(&mut self, _: &mut Connections, event: Event<'a>) -> Option<Event<'a>> {
        assert!(!matches!(event, Event::Body(_, RequestBody::Data(_))), "an error of the extension");
        Some(event)
    }
}

#[test]
fn an_extension_that_panics_leaves_no_hole_in_a_body() {
    let (mut rig, uploads) = rig();
    rig.endpoint.connections().set_extension(Fragile).unwrap();
    let mut peer = rig.peer();
    peer.send(&put(10, ""));
    let (_, _held) = request(&mut rig);
    peer.send(b"hello");
    let mut panics = 0;
    while count(&uploads, |part| matches!(part, Part::Closed)) == 0 {
        let turn = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rig.turn()));
        panics += usize::from(turn.is_err());
    }
    assert_eq!(panics, 1);
    let parts = uploads.lock().unwrap().parts.clone();
    assert!(matches!(parts[..], [Part::Incomplete(Error::Aborted), Part::Closed]), "{parts:?}");
}
