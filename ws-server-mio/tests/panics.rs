//! Application code that panics within a turn, and is caught: everything else continues.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::watched::Watched;
use common::*;
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use ws_server_mio::{
    Budget, ClientConfig, Connections, Delivery, Event, Extension, Frame, Options, ServerConfig, State,
};

const CAUGHT: &str = "on purpose";

/// Panics without output.
fn fail() {
    resume_unwind(Box::new(CAUGHT));
}

/// The result of `act`, unless it panics on purpose.
fn catching<T>(act: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(done) => Some(done),
        Err(cause) if cause.downcast_ref() == Some(&CAUGHT) => None,
        Err(cause) => resume_unwind(cause),
    }
}

/// Runs turns until the condition holds, and catches the application's panics; returns how many.
fn until(rig: &mut Rig, what: &str, mut done: impl FnMut(&mut Rig) -> bool) -> usize {
    let (start, mut panics) = (Instant::now(), 0);
    while !done(rig) {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "timed out waiting for {what}: {:?}",
            rig.app.seen
        );
        panics += usize::from(catching(|| rig.turn()).is_none());
    }
    panics
}

/// Makes the application panic at matching events.
fn panics_at(mut wanted: impl FnMut(&Event<'_>) -> bool + Send + 'static) -> Option<Hook> {
    Some(Box::new(move |_: &mut Connections, event: &Event<'_>| {
        if wanted(event) {
            fail();
        }
    }))
}

fn is_text(event: &Event<'_>, text: &str) -> bool {
    matches!(event, Event::Message(_, message) if message.as_text() == Some(text))
}

fn texts(rig: &Rig) -> Vec<&str> {
    let seen = rig.app.seen.iter();
    seen.filter_map(|seen| if let Seen::Text(_, text) = seen { Some(&**text) } else { None }).collect()
}

#[test]
fn input_behind_the_panic_is_reported_next_and_no_other_connection_is_affected() {
    for visit in [1, 7, 256 << 10] {
        let budget = Budget::server().bytes_per_visit(visit);
        let mut rig = Rig::with(Options::default().budget(budget), ServerConfig::new());
        let (mut peer, _) = rig.open("/");
        let (mut other, _) = rig.open("/other");
        rig.app.also = panics_at(|event| is_text(event, "2") || is_text(event, "4"));
        let all: Vec<u8> = (1..=5).flat_map(|k: i32| frame(TEXT, k.to_string().as_bytes())).collect();
        // The last frame arrives in two halves.
        let half = all.len() - 3;
        peer.send(&all[..half]);
        other.send(&frame(TEXT, b"hello"));
        let panics = until(&mut rig, "all but the last", |rig| texts(rig).len() == 3);
        peer.send(&all[half..]);
        let more = until(&mut rig, "the last", |rig| texts(rig).len() == 4);
        assert_eq!(panics + more, 2);
        for text in ["1", "3", "5"] {
            assert_eq!(rig.frame(&mut peer), (TEXT, text.as_bytes().to_vec()));
        }
        assert_eq!(rig.frame(&mut other), (TEXT, b"hello".to_vec()));
        peer.send(&frame(CLOSE, &1000_u16.to_be_bytes()));
        assert_eq!(rig.frame(&mut peer), (CLOSE, 1000_u16.to_be_bytes().to_vec()));
    }
}

#[test]
fn a_turn_is_due_after_a_panic() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    rig.until("an idle endpoint", |rig| rig.endpoint.next_timeout() != Some(Duration::ZERO));
    rig.app.also = panics_at(|event| is_text(event, "1"));
    peer.send(&[frame(TEXT, b"1"), frame(TEXT, b"2")].concat());
    while catching(|| rig.turn()).is_some() {}
    assert_eq!(rig.endpoint.next_timeout(), Some(Duration::ZERO));
    rig.turn();
    assert_eq!(texts(&rig), ["2"]);
}

#[test]
fn a_watch_wakes_its_host_after_a_panic() {
    let mut watched = Watched::new(Rig::new(ServerConfig::new()));
    let mut peer = Peer::connect(watched.rig.address());
    let address = watched.rig.address();
    peer.send(&handshake(address, "/"));
    watched.until("an open connection", |_| peer.take_head().is_some());
    watched.settle();
    watched.rig.app.also = panics_at(|event| is_text(event, "1"));
    peer.send(&[frame(TEXT, b"1"), frame(TEXT, b"2")].concat());
    watched.next_wake();
    while catching(|| watched.drain()).is_some() {
        watched.next_wake();
    }
    // The host has no other hint that more is due.
    watched.next_wake();
    watched.drain();
    assert_eq!(watched.frame(&mut peer), (TEXT, b"2".to_vec()));
}

#[test]
fn a_close_whose_handler_panics_is_reported_once_and_leaks_nothing() {
    let mut rig = Rig::new(ServerConfig::new());
    let (peer, id) = rig.open("/");
    let (mut other, _) = rig.open("/");
    let connections = rig.endpoint.connections();
    connections.topics().subscribe(id, "topic").unwrap();
    let witness = Arc::new(());
    connections.set_data(id, witness.clone());
    let closes = Arc::new(Mutex::new(0));
    let count = closes.clone();
    rig.app.also = panics_at(move |event| {
        let is_end = matches!(event, Event::Closed(..));
        *count.lock().unwrap() += usize::from(is_end);
        is_end
    });
    drop(peer);
    until(&mut rig, "its end", |rig| rig.endpoint.connections().stats().open == 1);
    assert_eq!(*closes.lock().unwrap(), 1);
    let connections = rig.endpoint.connections();
    assert_eq!((connections.topics().of(id).count(), connections.state(id)), (0, State::Closed));
    assert_eq!(Arc::strong_count(&witness), 1);
    other.send(&frame(TEXT, b"hello"));
    assert_eq!(rig.frame(&mut other), (TEXT, b"hello".to_vec()));
}

#[test]
fn a_request_whose_handler_panics_gets_503_and_the_next_one_is_served() {
    let mut rig = Rig::new(ServerConfig::new());
    let address = rig.address();
    rig.app.also = panics_at(|event| match event {
        Event::Request(_, request) => request.uri().path() == "/panics",
        _ => false,
    });
    let mut peer = rig.peer();
    peer.send(&[get(address, "/panics"), get(address, "/")].concat());
    until(&mut rig, "the second request", |rig| !rig.app.seen.is_empty());
    assert_eq!(rig.response(&mut peer).0, 503);
    assert_eq!(rig.response(&mut peer), (200, "hello".to_owned()));
}

#[test]
fn a_panicking_job_does_not_stop_later_jobs() {
    let mut rig = Rig::new(ServerConfig::new());
    let done = Arc::new(Mutex::new(Vec::new()));
    for k in 0..4 {
        let done = done.clone();
        let job = move |_: &mut Connections| {
            done.lock().unwrap().push(k);
            if k % 2 == 1 {
                fail();
            }
        };
        rig.endpoint.remote().run(job).unwrap();
    }
    let panics = until(&mut rig, "the last job", |_| done.lock().unwrap().len() == 4);
    assert_eq!((panics, done.lock().unwrap().clone()), (2, vec![0, 1, 2, 3]));
}

#[test]
fn run_ends_with_the_last_server_even_if_its_handler_panics() {
    let mut rig = Rig::new(ServerConfig::new());
    let server = rig.server;
    rig.endpoint.connections().server(server).stop(Duration::ZERO);
    let run = catching(|| {
        rig.endpoint.run(|_, event| {
            if matches!(event, Event::Stopped(_)) {
                fail();
            }
        })
    });
    assert!(run.is_none());
    rig.endpoint.run(|_, event| panic!("{event:?}")).unwrap();
}

/// Panics on messages and fragments that contain "filter", and at every close.
struct Fragile;

impl Extension for Fragile {
    fn filter<'a>(&mut self, _: &mut Connections, event: Event<'a>) -> Option<Event<'a>> {
        let data = match &event {
            Event::Message(_, message) => message.as_bytes(),
            Event::Fragment(_, chunk) => chunk.data.as_bytes(),
            _ => b"",
        };
        if data == b"filter" {
            fail();
        }
        Some(event)
    }

    fn observe(&mut self, _: &mut Connections, event: &Event<'_>) {
        if matches!(event, Event::Closed(..) | Event::Stopped(_)) {
            fail();
        }
    }
}

#[test]
fn an_extension_that_panics_on_a_message_stays_and_loses_that_connection() {
    let config = ServerConfig::new().delivery(Delivery::Chunked { whole: 0 });
    for (rules, bytes) in [
        (ServerConfig::new(), [frame(TEXT, b"filter"), frame(TEXT, b"behind")].concat()),
        // The remainder of a message is not mistaken for the whole.
        (config, [frame(0x01, b"one"), frame(0x00, b"filter"), frame(0x80, b"three")].concat()),
    ] {
        let mut rig = Rig::new(rules);
        rig.endpoint.connections().set_extension(Fragile).unwrap();
        let (mut peer, _) = rig.open("/");
        let (mut other, id) = rig.open("/");
        peer.send(&bytes);
        let mut end = None;
        until(&mut rig, "its end", |_| {
            end = end.take().or_else(|| peer.take_frame());
            end.as_ref().is_some_and(|(first, _)| *first == CLOSE)
        });
        assert_eq!(close_code(&end.unwrap().1), 1011);
        // The handler receives no message whose middle is lost; it receives the close, although the extension panics on
        // that, too.
        let lasts = |seen: &Seen| matches!(seen, Seen::Fragment(_, _, _, true));
        assert_eq!(rig.app.count(lasts), 0);
        drop(peer);
        until(&mut rig, "a report of the close", |rig| rig.app.closed().len() == 1);
        // The extension is still there, and so is the other connection.
        assert!(rig.endpoint.connections().set_extension(Fragile).is_err());
        other.send(&frame(TEXT, b"filter"));
        until(&mut rig, "the other's end", |rig| rig.endpoint.connections().state(id) != State::Open);
    }
}

#[test]
fn a_close_on_which_an_extension_panics_reaches_the_handler_in_full() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.endpoint.connections().set_extension(Fragile).unwrap();
    let (peer, id) = rig.open("/");
    rig.endpoint.connections().topics().subscribe(id, "topic").unwrap();
    rig.endpoint.connections().set_data(id, "data");
    let found = Arc::new(Mutex::new(Vec::new()));
    let kept = found.clone();
    rig.app.also = Some(Box::new(move |connections, event| {
        if let Event::Closed(id, _) = event {
            let topics = connections.topics().of(*id).map(str::to_owned).collect::<Vec<_>>();
            kept.lock().unwrap().push((topics, connections.data::<&str>(*id).copied()));
        }
    }));
    drop(peer);
    assert_eq!(until(&mut rig, "its end", |rig| rig.app.closed().len() == 1), 1);
    assert_eq!(*found.lock().unwrap(), [(vec!["topic".to_owned()], Some("data"))]);
    assert_eq!(rig.endpoint.connections().topics().of(id).count(), 0);

    // Events of servers are not lost either.
    let server = rig.server;
    rig.endpoint.connections().server(server).stop(Duration::ZERO);
    until(&mut rig, "the server's end", |rig| matches!(rig.app.seen.last(), Some(Seen::Stopped(_))));
    assert_eq!(rig.app.closed().len(), 1);
}

#[test]
fn a_leg_ends_with_its_partner_even_if_the_handler_panics() {
    // One whose partner closes, and one whose client cannot connect.
    for open in [true, false] {
        let host = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = host.local_addr().unwrap();
        if !open {
            drop(host);
        }
        let mut rig = Rig::new(ServerConfig::new());
        let (mut front, id) = rig.open("/");
        let request = format!("ws://{}/", if open { rig.address() } else { address });
        let connections = rig.endpoint.connections();
        let client = connections.connect(request, ClientConfig::default()).unwrap();
        connections.couple(id, client).unwrap();
        rig.app.also = Some(Box::new(move |connections, event| match event {
            Event::ConnectFailed { .. } => fail(),
            Event::Closed(id, _) if connections.client_of(*id).is_some() => fail(),
            _ => {}
        }));
        if open {
            rig.until("a second connection", |rig| rig.app.open_ids().len() == 3);
            let ids = rig.app.open_ids();
            let back = *ids.iter().find(|at| rig.endpoint.connections().client_of(**at).is_some()).unwrap();
            rig.endpoint.connections().terminate(back);
        }
        let mut end = None;
        until(&mut rig, "the close of the other leg", |_| {
            end = end.take().or_else(|| front.take_frame());
            end.is_some()
        });
        let (first, payload) = end.unwrap();
        assert_eq!((first, close_code(&payload)), (CLOSE, 1011));
    }
}

#[test]
fn an_extension_that_panics_on_a_relayed_fragment_ends_both_legs() {
    let config = ServerConfig::new().delivery(Delivery::Chunked { whole: 0 });
    let mut rig = Rig::new(config);
    rig.app.silent = true;
    rig.endpoint.connections().set_extension(Fragile).unwrap();
    let (mut one, a) = rig.open("/");
    let (mut two, b) = rig.open("/");
    rig.endpoint.connections().couple(a, b).unwrap();
    one.send(&[frame(0x01, b"one"), frame(0x00, b"filter"), frame(0x80, b"three")].concat());
    let mut got = Vec::new();
    until(&mut rig, "the close of the other leg", |_| {
        // It answers no Close: the test waits for the closed stream.
        while let Some((first, payload)) = one.take_frame() {
            assert_eq!((first, close_code(&payload)), (CLOSE, 1011));
            one.send(&frame(CLOSE, &1011_u16.to_be_bytes()));
        }
        got.extend(two.take_frame());
        got.last().is_some_and(|(first, _)| *first == CLOSE)
    });
    assert_eq!(got.len(), 2, "{got:?}");
    assert_eq!(got[0], (0x01, b"one".to_vec()), "and no end of a message with a hole");
}

#[test]
fn a_filter_that_panics_in_a_broadcast_leaves_all_connections_open() {
    let mut rig = Rig::new(ServerConfig::new());
    let mut open: Vec<_> = (0..3).map(|_| rig.open("/")).collect();
    let connections = rig.endpoint.connections();
    let mut calls = 0;
    let sent = catching(|| {
        connections.broadcast_where(&Frame::text("first"), |_, _| {
            calls += 1;
            if calls == 2 {
                fail();
            }
            true
        })
    });
    assert_eq!(sent, None);
    assert_eq!(rig.endpoint.connections().broadcast(&Frame::text("second")), 3);
    for (k, (peer, _)) in open.iter_mut().enumerate() {
        if k == 0 {
            assert_eq!(rig.frame(peer), (TEXT, b"first".to_vec()));
        }
        assert_eq!(rig.frame(peer), (TEXT, b"second".to_vec()));
    }
}
