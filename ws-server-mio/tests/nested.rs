//! The endpoint's descriptor in another event loop.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};
use ws_server_mio::{Budget, Connections, Endpoint, Event, Options, ServerConfig, Turn};

/// What a level-triggered outer loop sees: registering again shows the present state.
fn is_readable(rig: &Rig) -> bool {
    let mut outer = Poll::new().unwrap();
    let mut events = Events::with_capacity(1);
    let fd = rig.endpoint.as_fd().as_raw_fd();
    outer.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE).unwrap();
    outer.poll(&mut events, Some(Duration::from_millis(1))).unwrap();
    !events.is_empty()
}

#[test]
fn turns_on_readability_alone_leave_nothing_undone() {
    // A turn of no time reads once.
    let budget = Budget::server().bytes_per_visit(4096).time(Duration::ZERO);
    let mut rig = Rig::with(Options::default().budget(budget), ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    while is_readable(&rig) {
        rig.endpoint.poll(Some(Duration::ZERO), |_, _| {}).unwrap();
    }
    // Many visits, from a single kernel event.
    let message = frame(BINARY, &vec![7; 100_000]);
    peer.send(&message);
    let start = Instant::now();
    let mut turns = 0;
    let reply = loop {
        if is_readable(&rig) {
            turns += 1;
            let Rig { endpoint, app, .. } = &mut rig;
            endpoint.poll(Some(Duration::ZERO), |connections, event| app.handle(connections, event)).unwrap();
        }
        if let Some((_, reply)) = peer.take_frame() {
            break reply;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "after {turns} turns");
    };
    assert_eq!(reply.len(), 100_000);
    assert!(turns >= 100_000 / 4096);
}

#[test]
fn calls_between_turns_make_the_descriptor_readable_until_a_turn_serves_them() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    while is_readable(&rig) {
        rig.endpoint.poll(Some(Duration::ZERO), |_, _| {}).unwrap();
    }
    for _ in 0..3 {
        rig.endpoint.connections().send(id, "from a button").unwrap();
        assert!(is_readable(&rig));
        rig.endpoint.poll(Some(Duration::ZERO), |_, _| {}).unwrap();
        assert_eq!(rig.endpoint.next_timeout().filter(Duration::is_zero), None);
        assert!(!is_readable(&rig));
        assert_eq!(peer.take_frame(), Some((TEXT, b"from a button".to_vec())));
    }
}

/// The host's turn, for a loop that may call it reentrantly.
fn turn(endpoint: &Rc<RefCell<Endpoint>>, app: &mut impl FnMut(&mut Connections, Event<'_>)) -> Option<Turn> {
    // An outer call is in a turn, and continues with it.
    let mut endpoint = endpoint.try_borrow_mut().ok()?;
    Some(endpoint.poll(Some(Duration::ZERO), app).unwrap())
}

#[test]
fn a_turn_inside_a_handler_is_skipped_and_nothing_is_lost() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    let (mut other, _) = rig.open("/");
    let endpoint = Rc::new(RefCell::new(rig.endpoint));
    let start = Instant::now();
    peer.send(&[frame(TEXT, b"dialog"), frame(TEXT, b"after")].concat());
    let (mut skipped, mut received, mut answered) = (0, Vec::new(), Vec::new());
    while answered.len() < 104 {
        assert!(start.elapsed() < Duration::from_secs(20), "answered: {answered:?}");
        turn(&endpoint, &mut |connections, event| {
            let Event::Message(id, message) = event else { return };
            let text = message.as_text().unwrap().to_owned();
            if text == "dialog" {
                // The handler runs the outer loop, and with it the host's sources, while more arrives.
                for k in 0..100 {
                    other.send(&frame(TEXT, format!("meanwhile {k}").as_bytes()));
                    assert_eq!(turn(&endpoint, &mut |_, _| panic!("a nested turn")), None);
                    skipped += 1;
                }
                peer.send(&frame(TEXT, b"last"));
                other.send(&frame(TEXT, b"last"));
            }
            received.push(text);
            connections.send(id, message).unwrap();
        });
        while let Some((_, answer)) = peer.take_frame().or_else(|| other.take_frame()) {
            answered.push(String::from_utf8(answer).unwrap());
        }
    }
    assert_eq!(skipped, 100);
    received.sort();
    answered.sort();
    assert_eq!(received, answered);
}
