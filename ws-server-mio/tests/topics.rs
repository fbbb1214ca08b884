//! Topics, and peers that are too slow for broadcasts.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use ws_server_mio::{CloseCode, ConnectionId, Frame, SendError, ServerConfig, SlowPeer, TopicError};

#[test]
fn a_topic_reaches_its_subscribers_on_every_kind_of_frame() {
    let mut rig = Rig::new(ServerConfig::new());
    let mut open: Vec<_> = (0..6).map(|_| rig.open("/")).collect();
    let connections = rig.endpoint.connections();
    for (k, (_, id)) in open.iter().enumerate() {
        let topic = if k % 2 == 0 { "even" } else { "odd" };
        assert_eq!(connections.topics().subscribe(*id, topic), Ok(true));
        assert_eq!(connections.topics().subscribe(*id, topic), Ok(false));
    }
    let large = vec![b'x'; 100_000];
    assert_eq!(connections.topics().publish("even", &Frame::text("2")), 3);
    assert_eq!(connections.topics().publish("odd", &Frame::binary(large.clone())), 3);
    assert_eq!(connections.topics().publish("neither", &Frame::text("no subscriber")), 0);
    assert_eq!(connections.topics().subscribers("even").len(), 3);
    assert!(connections.topics().unsubscribe(open[0].1, "even"));
    assert!(!connections.topics().unsubscribe(open[0].1, "even"));
    assert_eq!(connections.topics().publish("even", &Frame::text("4")), 2);
    let connections = rig.endpoint.connections();
    assert_eq!(connections.broadcast(&Frame::text("end")), 6);
    for (k, (peer, _)) in open.iter_mut().enumerate() {
        let mut got = Vec::new();
        while got.last() != Some(&(TEXT, b"end".to_vec())) {
            got.push(rig.frame(peer));
        }
        got.pop();
        match k {
            0 => assert_eq!(got, [(TEXT, b"2".to_vec())]),
            2 | 4 => assert_eq!(got, [(TEXT, b"2".to_vec()), (TEXT, b"4".to_vec())]),
            _ => assert_eq!(got, [(BINARY, large.clone())]),
        }
    }
}

#[test]
fn only_open_connections_subscribe_and_within_the_limits() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let mut peer = rig.peer();
    let address = rig.address();
    peer.send(&handshake(address, "/"));
    rig.until("the question", |rig| rig.app.upgrades.len() == 1);
    let (id, upgrade) = rig.app.upgrades.pop().unwrap();
    let connections = rig.endpoint.connections();
    assert_eq!(connections.topics().subscribe(id, "a"), Err(TopicError::NotOpen));
    connections.accept(id, upgrade).unwrap();
    connections.topics().set_limits(1, 3);
    assert_eq!(connections.topics().subscribe(id, "a"), Ok(true), "as soon as it is accepted");
    assert_eq!(connections.topics().subscribe(id, "b"), Err(TopicError::TooMany { limit: 1 }));
    connections.topics().unsubscribe(id, "a");
    assert_eq!(connections.topics().subscribe(id, "abcd"), Err(TopicError::NameTooLong { limit: 3 }));
    connections.close(id, CloseCode::NORMAL, "").unwrap();
    assert_eq!(connections.topics().subscribe(id, "a"), Err(TopicError::NotOpen));
}

fn slow_config() -> ServerConfig {
    ServerConfig::new().outbox(64 << 10, 256 << 10, 1 << 20)
}

/// A peer that does not read and stays over its mark, and how many fillers it has to read.
fn congested(rig: &mut Rig) -> (Peer, ConnectionId, usize) {
    let (peer, id) = rig.open("/slow");
    let filler = Frame::binary(vec![0; 100_000]);
    let (mut fillers, mut still) = (0, 0);
    // The kernel's buffers may grow for a while.
    while still < 20 {
        let before = rig.endpoint.connections().queued(id);
        if before <= 256 << 10 {
            rig.endpoint.connections().send(id, &filler).unwrap();
            fillers += 1;
            still = 0;
        }
        rig.turn();
        still = if rig.endpoint.connections().queued(id) == before { still + 1 } else { 0 };
    }
    assert!(rig.endpoint.connections().queued(id) > 256 << 10);
    (peer, id, fillers)
}

fn skip_fillers(rig: &mut Rig, peer: &mut Peer, fillers: usize) {
    for _ in 0..fillers {
        assert_eq!(rig.frame(peer).0, BINARY);
    }
}

#[test]
fn a_slow_peer_is_skipped_until_it_has_drained() {
    let mut rig = Rig::new(slow_config());
    let (mut slow, slow_id, fillers) = congested(&mut rig);
    let (mut fast, fast_id) = rig.open("/fast");
    let connections = rig.endpoint.connections();
    let frame = |text: &str| Frame::text(text);
    assert_eq!(connections.topics().broadcast_with(&frame("1"), SlowPeer::Skip, |_, _| true), 1);
    assert_eq!(connections.topics().send_to_with(&frame("2"), SlowPeer::Skip, [slow_id, fast_id]), 1);
    connections.topics().subscribe(slow_id, "t").unwrap();
    connections.topics().subscribe(fast_id, "t").unwrap();
    assert_eq!(connections.topics().publish_with("t", &frame("3"), SlowPeer::Skip), 1);
    for text in ["1", "2", "3"] {
        assert_eq!(rig.frame(&mut fast), (TEXT, text.as_bytes().to_vec()));
    }
    skip_fillers(&mut rig, &mut slow, fillers);
    rig.until("drained", |rig| rig.app.count(|seen| matches!(seen, Seen::Drained(_))) > 0);
    assert_eq!(rig.endpoint.connections().topics().publish_with("t", &frame("4"), SlowPeer::Skip), 2);
    assert_eq!(rig.frame(&mut slow), (TEXT, b"4".to_vec()), "and nothing of what was skipped");
    assert!(rig.app.closed().is_empty());
}

#[test]
fn a_drained_slow_peer_gets_the_newest_value_of_each_key() {
    let mut rig = Rig::new(slow_config());
    let (mut slow, id, fillers) = congested(&mut rig);
    let connections = rig.endpoint.connections();
    connections.topics().subscribe(id, "prices").unwrap();
    for round in 0..100 {
        for key in ["tea", "rice"] {
            let frame = Frame::text(format!("{key} {round}"));
            assert_eq!(connections.topics().publish_with("prices", &frame, SlowPeer::Latest(key)), 1);
        }
    }
    skip_fillers(&mut rig, &mut slow, fillers);
    assert_eq!(rig.frame(&mut slow), (TEXT, b"tea 99".to_vec()));
    assert_eq!(rig.frame(&mut slow), (TEXT, b"rice 99".to_vec()));
    let connections = rig.endpoint.connections();
    connections.topics().publish_with("prices", &Frame::text("tea 100"), SlowPeer::Latest("tea"));
    assert_eq!(rig.frame(&mut slow), (TEXT, b"tea 100".to_vec()), "it keeps up again");
    assert!(rig.app.closed().is_empty());
}

#[test]
fn values_kept_for_a_peer_are_dropped_with_it() {
    let mut rig = Rig::new(slow_config());
    let (slow, id, _) = congested(&mut rig);
    let connections = rig.endpoint.connections();
    let kept = ws_server_mio::Bytes::from(vec![b'x'; 2000]);
    connections.topics().send_to_with(&Frame::binary(kept.clone()), SlowPeer::Latest("k"), [id]);
    assert!(!kept.is_unique());
    drop(slow);
    rig.endpoint.connections().terminate(id);
    rig.until("its end", |rig| rig.app.closed().len() == 1);
    assert!(kept.is_unique());
}

#[test]
fn a_peer_behind_on_as_many_keys_as_allowed_stays_and_with_one_more_is_closed() {
    for (set, limit) in [(None, 4096), (Some(3), 3)] {
        let mut rig = Rig::new(slow_config());
        let (_slow, id, _) = congested(&mut rig);
        let connections = rig.endpoint.connections();
        if let Some(set) = set {
            connections.topics().set_key_limit(set);
        }
        let frame = Frame::text("x");
        for key in (0..limit).chain(0..limit) {
            let slow = SlowPeer::Latest(&key.to_string());
            assert_eq!(connections.topics().send_to_with(&frame, slow, [id]), 1, "{key}");
        }
        assert_eq!(connections.state(id), ws_server_mio::State::Open);
        assert_eq!(connections.topics().send_to_with(&frame, SlowPeer::Latest("more"), [id]), 0);
        assert_eq!(connections.send(id, &frame), Err(SendError::NotOpen));
    }
}

#[test]
fn by_default_only_slow_subscribers_are_closed() {
    let mut rig = Rig::new(slow_config());
    let (_slow, slow, _) = congested(&mut rig);
    let (mut fast, fast_id) = rig.open("/fast");
    let connections = rig.endpoint.connections();
    connections.topics().subscribe(slow, "t").unwrap();
    connections.topics().subscribe(fast_id, "t").unwrap();
    let large = Frame::binary(vec![1; 300_000]);
    let mut both = 0;
    while rig.endpoint.connections().topics().publish("t", &large) == 2 {
        assert_eq!(rig.frame(&mut fast).1.len(), 300_000);
        both += 1;
        assert!(both < 10, "the cap is 1 MiB");
    }
    let state = |rig: &mut Rig, id| rig.endpoint.connections().state(id);
    assert_eq!(state(&mut rig, slow), ws_server_mio::State::Closing);
    assert_eq!(state(&mut rig, fast_id), ws_server_mio::State::Open);
}

/// Where the high mark is the cap, a message may not fit although the mark was not reached.
#[test]
fn the_newest_value_is_kept_even_if_the_high_mark_is_the_cap() {
    let mut rig = Rig::new(ServerConfig::new().outbox(64 << 10, 1 << 20, 1 << 20));
    let (mut peer, id) = rig.open("/");
    let filler = Frame::binary(vec![0; 100_000]);
    let mut fillers = 0;
    loop {
        match rig.endpoint.connections().send(id, &filler) {
            Ok(_) => fillers += 1,
            Err(SendError::Full) => break,
            Err(error) => panic!("{error}"),
        }
        rig.turn();
    }
    let frame = Frame::binary(vec![1; 200_000]);
    assert_eq!(rig.endpoint.connections().topics().send_to_with(&frame, SlowPeer::Latest("k"), [id]), 1);
    skip_fillers(&mut rig, &mut peer, fillers);
    assert_eq!(rig.frame(&mut peer), (BINARY, vec![1; 200_000]));
}
