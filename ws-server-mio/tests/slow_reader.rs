//! A peer that does not read.

mod common;
use common::*;
use std::time::Duration;
use ws_proto::{Error, Timeout};
use ws_server_mio::{Frame, Options, SendError, Sent, ServerConfig, State};

fn config() -> ServerConfig {
    ServerConfig::new().outbox(64 << 10, 256 << 10, 1 << 20)
}

#[test]
fn sends_are_congested_then_full_until_the_reader_drains_them() {
    let mut rig = Rig::new(config());
    let (mut peer, id) = rig.open("/");
    let frame = Frame::binary(vec![1; 50_000]);
    let mut sent = 0;
    let mut congested = false;
    loop {
        match rig.endpoint.connections().send(id, &frame) {
            Ok(Sent::Queued) => {}
            Ok(Sent::Congested) => congested = true,
            Err(SendError::Full) => break,
            Err(error) => panic!("{error}"),
        }
        sent += 1;
        rig.turn();
    }
    assert!(congested);
    assert!(rig.endpoint.connections().queued(id) <= 1 << 20);
    // Now the peer reads everything.
    peer.stream.set_nonblocking(true).unwrap();
    for _ in 0..sent {
        assert_eq!(rig.frame(&mut peer).1.len(), 50_000);
    }
    rig.until("drained", |rig| rig.app.count(|seen| matches!(seen, Seen::Drained(_))) >= 1);
    assert_eq!(rig.endpoint.connections().send(id, &frame), Ok(Sent::Queued));
    assert!(rig.app.closed().is_empty());
}

#[test]
fn a_congested_peer_is_still_read() {
    let mut rig = Rig::new(config());
    let (mut peer, id) = rig.open("/");
    rig.app.silent = true;
    let large = Frame::binary(vec![1; 300_000]);
    while rig.endpoint.connections().send(id, &large).is_ok() {
        rig.turn();
    }
    peer.send(&frame(TEXT, b"can you hear me?"));
    for _ in 0..10 {
        rig.turn();
    }
    assert_eq!(rig.app.count(|seen| matches!(seen, Seen::Text(..))), 1);
}

#[test]
fn a_peer_that_reads_nothing_in_time_is_closed() {
    let mut rig = Rig::new(config().output_timeout(Duration::from_millis(30)));
    let (_peer, id) = rig.open("/");
    let large = Frame::binary(vec![1; 300_000]);
    while rig.endpoint.connections().send(id, &large).is_ok() {
        rig.turn();
    }
    rig.until("its end", |rig| rig.app.closed().len() == 1);
    assert!(matches!(rig.app.closed()[0].error, Some(Error::Timeout(Timeout::Output))));
}

#[test]
fn a_broadcast_closes_only_slow_peers() {
    let clock = Clock::default();
    let given = clock.clone();
    let mut rig = Rig::with(Options::ui().clock(move || given.now()), config());
    let (_slow, slow) = rig.open("/");
    let (mut fast, _) = rig.open("/");
    let large = Frame::binary(vec![1; 300_000]);
    let mut got = 0;
    while rig.endpoint.connections().state(slow) == State::Open {
        rig.endpoint.connections().broadcast(&large);
        got += 1;
        assert_eq!(rig.frame(&mut fast).1.len(), 300_000);
        assert!(got < 1000);
    }
    assert!(rig.app.closed().is_empty(), "it may still take its output");
    clock.pass(Duration::from_secs(30));
    rig.until("its end", |rig| !rig.app.closed().is_empty());
    assert!(rig.app.seen.iter().any(|seen| matches!(seen, Seen::Closed(id, _) if *id == slow)));
    assert_eq!(rig.app.closed().len(), 1);
}

#[test]
fn an_echo_to_a_peer_that_floods_and_never_reads_is_bounded() {
    let mut rig = Rig::new(config());
    let (mut peer, id) = rig.open("/");
    let message = frame(BINARY, &vec![1; 100_000]);
    // Far more than all buffers between the ends: reading stops, and the peer's sending stalls.
    let mut stalled = 0;
    while stalled < 20 {
        if peer.unsent.len() < 200_000 {
            peer.unsent.extend_from_slice(&message);
        }
        let before = peer.unsent.len();
        let done = peer.flush();
        stalled = if done || peer.unsent.len() < before { 0 } else { stalled + 1 };
        rig.turn();
        assert!(rig.endpoint.connections().queued(id) <= 1 << 20);
    }
    assert!(rig.app.closed().is_empty());
    assert!(!rig.turn().more);
}

/// At 10 KB/s that is 20 s.
#[cfg(target_os = "linux")]
#[test]
fn a_slow_reader_shows_progress_at_least_every_200_kilobytes() {
    use std::io::Read;
    let mut rig = Rig::new(ServerConfig::new());
    // Segments as on a network, and the kernel buffer of a reader that was never fast.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_tcp_mss(1400).unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    socket.connect(&rig.address().into()).unwrap();
    let mut peer = Peer::new(socket.into());
    peer.send(&handshake(rig.address(), "/"));
    rig.head(&mut peer);
    let id = rig.app.open_ids()[0];
    rig.endpoint.connections().send(id, vec![1; 15 << 20]).unwrap();
    let mut still = 0;
    let mut queued = 0;
    while still < 50 {
        rig.turn();
        let now = rig.endpoint.connections().queued(id);
        still = if now == queued { still + 1 } else { 0 };
        queued = now;
    }
    assert!(queued > 1 << 20, "the kernel has nearly all of it");
    let (mut read, mut unseen) = (0, 0);
    while read < 5 << 20 {
        let mut buffer = [0; 10_000];
        peer.stream.read_exact(&mut buffer).unwrap();
        (read, unseen) = (read + 10_000, unseen + 10_000);
        rig.turn();
        if unseen == 200_000 {
            // Busy kernels notify each other a moment later.
            rig.until("progress", |rig| rig.endpoint.connections().queued(id) < queued);
        }
        let now = rig.endpoint.connections().queued(id);
        if now < queued {
            unseen = 0;
        }
        queued = now;
    }
}
