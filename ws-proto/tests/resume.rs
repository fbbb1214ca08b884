//! After system sleep peers are pinged, and pending waits restart.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::time::Duration;
use ws_kit::frames::*;
use ws_proto::{Config, Frame, Heartbeat, Role, State};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_live_connection_is_pinged_once_and_ends_without_an_answer() {
    let (mut server, now) = open(Role::Server, Config::server());
    assert_eq!(feed(&mut server, now, &frame(true, FIN | TEXT, b"lively")).len(), 1);
    server.handle_resume(now);
    server.handle_resume(now);
    let frames = parse(&take_output(&mut server, now));
    assert_eq!((frames.len(), frames[0].first), (1, FIN | PING));
    assert!(server.take_timeout_changed(), "an adapter must rearm its timer");
    assert_eq!(server.poll_timeout(), Some(now + 30 * SECOND));
    server.handle_timeout(now + 30 * SECOND);
    assert_eq!(server.state(), State::Closed);
}

#[test]
fn any_later_byte_proves_life() {
    let (mut server, now) = open(Role::Server, Config::server());
    server.handle_resume(now);
    take_output(&mut server, now);
    assert_eq!(feed(&mut server, now + SECOND, &frame(true, FIN | TEXT, b"here")).len(), 1);
    server.handle_timeout(now + 30 * SECOND);
    assert_eq!(server.state(), State::Open);
}

#[test]
fn a_stalled_peer_is_pinged_too_and_its_timeout_restarts() {
    let (mut server, now) = open(Role::Server, Config::server());
    server.send(Frame::text("stuck")).unwrap();
    server.handle_written(now, 0);
    let queued = server.queued();
    let later = now + 29 * SECOND;
    server.handle_resume(later);
    let ping = 2;
    assert_eq!((server.queued(), server.poll_timeout()), (queued + ping, Some(later + 30 * SECOND)));
    server.handle_timeout(now + 30 * SECOND);
    assert_eq!(server.state(), State::Open);
    server.handle_timeout(later + 30 * SECOND);
    assert_eq!(server.state(), State::Closed);
}

#[test]
fn without_a_heartbeat_nothing_is_sent() {
    let (mut server, now) = open(Role::Server, Config::server().heartbeat(Heartbeat::off()));
    server.handle_resume(now);
    assert_eq!((server.queued(), server.poll_timeout()), (0, None));
}

#[test]
fn the_timeout_of_a_heartbeat_stuck_in_the_outbox_restarts() {
    let heartbeat = Heartbeat::frequent().idle(10 * SECOND).pong_timeout(5 * SECOND);
    let (mut server, now) = open(Role::Server, Config::server().heartbeat(heartbeat));
    server.handle_timeout(now + 10 * SECOND);
    server.handle_written(now + 10 * SECOND, 0);
    let later = now + 14 * SECOND;
    server.handle_resume(later);
    server.handle_timeout(now + 15 * SECOND);
    assert_eq!(server.state(), State::Open);
    server.handle_timeout(later + 5 * SECOND);
    assert_eq!(server.state(), State::Closed);
}
