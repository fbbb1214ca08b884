//! How broadcasts treat a peer that does not keep up.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use ws_host::topics::{Delivered, LatestByKey, SlowPeer, flush_latest};
use ws_kit::frames::*;
use ws_proto::Moment;
use ws_proto::{Config, Connection, Event, Frame, Role, State};

const PEER: u32 = 7;

struct Rig {
    server: Connection,
    now: Moment,
    newest: LatestByKey<u32, Frame>,
}

impl Rig {
    /// The second message of a hundred bytes exceeds the high mark; the cap allows a third.
    fn new() -> Self {
        let (server, now) = open(Role::Server, Config::server().outbox(10, 150, 350));
        Self { server, now, newest: LatestByKey::default() }
    }

    fn deliver(&mut self, policy: SlowPeer<'_>, byte: u8, len: usize) -> Delivered {
        let frame = Frame::binary(vec![byte; len]);
        policy.deliver(self.now, PEER, &mut self.server, &frame, &mut self.newest)
    }

    /// The first byte of each message sent, once the peer has taken everything.
    fn drain(&mut self) -> Vec<u8> {
        let output = take_output(&mut self.server, self.now);
        parse(&output).iter().map(|frame| frame.payload[0]).collect()
    }

    /// Flushes the kept messages, and returns the outcome of each.
    fn release(&mut self) -> Vec<(u8, Delivered)> {
        let mut outcomes = Vec::new();
        flush_latest(self.now, PEER, &mut self.server, &mut self.newest, |frame, delivered| {
            outcomes.push((frame.payload()[0], delivered));
        });
        outcomes
    }
}

#[test]
fn a_peer_that_must_not_miss_messages_is_closed_at_its_cap() {
    let mut rig = Rig::new();
    for byte in b'a'..=b'c' {
        assert_eq!(rig.deliver(SlowPeer::Close, byte, 100), Delivered::Queued);
    }
    assert_eq!(rig.deliver(SlowPeer::default(), b'd', 100), Delivered::Closed);
    assert_eq!(rig.deliver(SlowPeer::Close, b'e', 1), Delivered::NotOpen);
    let output = take_output(&mut rig.server, rig.now);
    assert_eq!(close_code(&output), Some(1013), "it may reconnect");
    assert_eq!(parse(&output).len(), 4, "it receives all queued messages");
}

#[test]
fn a_peer_that_may_be_skipped_is_skipped_until_it_drains() {
    let mut rig = Rig::new();
    assert_eq!(rig.deliver(SlowPeer::Skip, b'a', 100), Delivered::Queued);
    assert_eq!(rig.deliver(SlowPeer::Skip, b'b', 300), Delivered::Skipped, "there is no room for it");
    assert_eq!(
        rig.deliver(SlowPeer::Skip, b'c', 1),
        Delivered::Skipped,
        "once rejected, it counts as behind"
    );
    assert_eq!(rig.drain(), b"a");
    assert!(matches!(rig.server.poll_event(rig.now), Some(Event::Drained)));
    assert_eq!(rig.deliver(SlowPeer::Skip, b'd', 100), Delivered::Queued);
    assert_eq!(rig.server.state(), State::Open);
    assert!(!Delivered::Skipped.reaches() && Delivered::Queued.reaches() && Delivered::Kept.reaches());
}

#[test]
fn the_latest_message_per_key_is_kept_until_there_is_room() {
    let mut rig = Rig::new();
    let latest = SlowPeer::Latest;
    assert_eq!(rig.deliver(latest("x"), b'a', 100), Delivered::Queued);
    assert_eq!(rig.deliver(latest("x"), b'b', 100), Delivered::Queued);
    for (key, byte) in [("x", b'c'), ("y", b'd'), ("x", b'e')] {
        assert_eq!(rig.deliver(latest(key), byte, 60), Delivered::Kept);
    }
    assert_eq!(rig.release(), [], "it is still behind");
    assert_eq!(rig.drain(), b"ab");
    assert_eq!(rig.deliver(latest("z"), b'f', 60), Delivered::Kept, "after earlier kept messages");
    let order = [(b'd', Delivered::Queued), (b'e', Delivered::Queued), (b'f', Delivered::Queued)];
    assert_eq!(rig.release(), order);
    assert_eq!(rig.drain(), b"def");
    assert_eq!(rig.release(), [], "nothing is left");
}

#[test]
fn a_message_without_room_is_kept_too() {
    let mut rig = Rig::new();
    assert_eq!(rig.deliver(SlowPeer::Latest("x"), b'a', 100), Delivered::Queued);
    assert_eq!(rig.deliver(SlowPeer::Latest("x"), b'b', 300), Delivered::Kept);
    assert_eq!(rig.drain(), b"a");
    assert_eq!(rig.release(), [(b'b', Delivered::Queued)]);
}

#[test]
fn messages_that_do_not_fit_stay_kept_in_order() {
    let mut rig = Rig::new();
    rig.deliver(SlowPeer::Close, b'a', 200);
    for (key, byte) in [("x", b'b'), ("y", b'c'), ("z", b'd')] {
        assert_eq!(rig.deliver(SlowPeer::Latest(key), byte, 100), Delivered::Kept);
    }
    assert_eq!(rig.drain(), b"a");
    let two = [(b'b', Delivered::Queued), (b'c', Delivered::Queued)];
    assert_eq!(rig.release(), two, "the second exceeds the high mark");
    assert_eq!(rig.deliver(SlowPeer::Latest("x"), b'e', 100), Delivered::Kept);
    assert_eq!(rig.drain(), b"bc");
    assert_eq!(rig.release(), [(b'd', Delivered::Queued), (b'e', Delivered::Queued)]);
}

#[test]
fn one_key_over_the_limit_closes_a_peer_and_a_closed_peer_keeps_nothing() {
    for (set, limit) in [(None, 4096), (Some(2), 2), (Some(0), 0)] {
        let mut rig = Rig::new();
        if let Some(set) = set {
            rig.newest.set_key_limit(set);
        }
        rig.deliver(SlowPeer::Close, b'a', 200);
        for key in 0..limit {
            assert_eq!(rig.deliver(SlowPeer::Latest(&key.to_string()), b'b', 1), Delivered::Kept);
        }
        if limit > 0 {
            assert_eq!(rig.deliver(SlowPeer::Latest("0"), b'b', 1), Delivered::Kept, "it is no further key");
        }
        assert_eq!(rig.deliver(SlowPeer::Latest("one more"), b'c', 1), Delivered::Closed);
        assert_eq!(rig.deliver(SlowPeer::Latest("0"), b'd', 1), Delivered::NotOpen);
        assert_eq!(close_code(&take_output(&mut rig.server, rig.now)), Some(1013));
    }
}
