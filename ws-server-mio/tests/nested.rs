//! The endpoint's descriptor in somebody else's loop.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};
use ws_server_mio::{Budget, Config, Options};

/// What a level-triggered outer loop sees: registering anew shows the present state.
fn is_readable(rig: &Rig) -> bool {
    let mut outer = Poll::new().unwrap();
    let mut events = Events::with_capacity(1);
    let fd = rig.endpoint.as_fd().as_raw_fd();
    outer.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE).unwrap();
    outer.poll(&mut events, Some(Duration::from_millis(1))).unwrap();
    !events.is_empty()
}

#[test]
fn turns_that_run_only_when_the_descriptor_is_readable_leave_nothing_undone() {
    let mut budget = Budget::unbounded();
    budget.bytes_per_visit = 4096;
    // Where time bounds a turn, no visit goes on to finish a message.
    budget.time = Some(Duration::from_secs(3600));
    let mut rig = Rig::with(Options::default().budget(budget), Config::server());
    let (mut peer, _) = rig.open("/");
    while is_readable(&rig) {
        rig.endpoint.poll(Some(Duration::ZERO), |_, _| {}).unwrap();
    }
    // Many visits, of which the kernel tells once.
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
