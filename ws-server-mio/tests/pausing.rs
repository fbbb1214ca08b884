//! Reading paused by the application.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use socket2::SockRef;
use std::time::Duration;
use ws_proto::Error;
use ws_server_mio::{Budget, CloseCode, Connections, Event, Frame, Heartbeat, Options, ServerConfig, State};

fn texts(rig: &Rig) -> Vec<String> {
    let texts = rig.app.seen.iter();
    texts.filter_map(|seen| if let Seen::Text(_, text) = seen { Some(text.clone()) } else { None }).collect()
}

fn turns(rig: &mut Rig) {
    for _ in 0..20 {
        rig.turn();
    }
}

fn reset(peer: Peer) {
    SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
}

#[test]
fn only_a_paused_connection_is_not_read() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut paused, id) = rig.open("/");
    let (mut other, _) = rig.open("/");
    rig.endpoint.connections().pause(id);
    paused.send(&frame(TEXT, b"later"));
    other.send(&frame(TEXT, b"now"));
    assert_eq!(rig.frame(&mut other), (TEXT, b"now".to_vec()));
    turns(&mut rig);
    assert_eq!(texts(&rig), ["now"]);
    assert!(!rig.turn().more, "it does not spin");
    // Sending still works.
    rig.endpoint.connections().send(id, Frame::text("to you")).unwrap();
    assert_eq!(rig.frame(&mut paused), (TEXT, b"to you".to_vec()));
    rig.endpoint.connections().resume(id);
    assert_eq!(rig.frame(&mut paused), (TEXT, b"later".to_vec()));
}

#[test]
fn a_pause_in_the_handler_holds_the_rest_of_the_same_read() {
    // Without a budget, and with one that leaves bytes for the next turn.
    for options in [Options::default(), Options::default().budget(Budget::ui())] {
        let mut rig = Rig::with(options, ServerConfig::new());
        rig.app.also = Some(Box::new(|connections: &mut Connections, event: &Event<'_>| {
            if let Event::Message(id, _) = event {
                connections.pause(*id);
            }
        }));
        let (mut peer, id) = rig.open("/");
        let all: Vec<u8> = (0..5).flat_map(|k: i32| frame(TEXT, k.to_string().as_bytes())).collect();
        peer.send(&all);
        for k in 1..=5 {
            rig.until("the next", |rig| texts(rig).len() == k);
            turns(&mut rig);
            assert_eq!(texts(&rig).len(), k, "it is paused again");
            rig.endpoint.connections().resume(id);
            // Pausing and resuming again has no effect.
            rig.endpoint.connections().pause(id);
            rig.endpoint.connections().resume(id);
        }
        assert_eq!(texts(&rig), ["0", "1", "2", "3", "4"]);
    }
}

#[test]
fn a_resumed_connection_is_read_in_the_next_turn() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    rig.endpoint.connections().pause(id);
    peer.send(&[frame(TEXT, b"one"), frame(TEXT, b"two")].concat());
    turns(&mut rig);
    rig.endpoint.connections().resume(id);
    assert_eq!(rig.endpoint.next_timeout(), Some(Duration::ZERO));
    rig.turn();
    rig.turn();
    assert_eq!(texts(&rig), ["one", "two"]);
}

#[test]
fn stale_ids_are_harmless() {
    let mut rig = Rig::new(ServerConfig::new());
    let (peer, id) = rig.open("/");
    drop(peer);
    rig.until("its end", |rig| rig.app.closed().len() == 1);
    let (mut next, other) = rig.open("/");
    rig.endpoint.connections().pause(id);
    next.send(&frame(TEXT, b"not me"));
    assert_eq!(rig.frame(&mut next), (TEXT, b"not me".to_vec()));
    rig.endpoint.connections().pause(other);
    rig.endpoint.connections().resume(id);
    next.send(&frame(TEXT, b"but me"));
    turns(&mut rig);
    assert_eq!(texts(&rig), ["not me"]);
}

#[test]
fn a_reset_is_noticed_while_paused_and_a_fin_on_resume() {
    let mut rig = Rig::new(ServerConfig::new());
    let (reset_peer, first) = rig.open("/");
    let (ended, second) = rig.open("/");
    rig.endpoint.connections().pause(first);
    rig.endpoint.connections().pause(second);
    reset(reset_peer);
    drop(ended);
    rig.until("the reset", |rig| rig.app.closed().len() == 1);
    assert!(rig.app.closed()[0].reading_paused);
    assert!(matches!(rig.app.closed()[0].error, Some(Error::Io(_))));
    turns(&mut rig);
    assert_eq!(rig.endpoint.connections().state(second), State::Open);
    rig.endpoint.connections().resume(second);
    rig.until("the end", |rig| rig.app.closed().len() == 2);
    assert!(!rig.app.closed()[1].reading_paused);
}

#[test]
fn a_reset_before_the_pause_is_noticed_too() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.silent = true;
    rig.app.also = Some(Box::new(|connections: &mut Connections, event: &Event<'_>| {
        if let Event::Message(id, _) = event {
            connections.pause(*id);
        }
    }));
    let (mut peer, _) = rig.open("/");
    // Both have arrived when the turn begins.
    peer.send(&[frame(TEXT, b"one"), frame(TEXT, b"two")].concat());
    reset(peer);
    rig.until("its end", |rig| rig.app.closed().len() == 1);
    assert!(texts(&rig).len() <= 1);
}

#[test]
fn a_close_ends_the_pause() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    rig.endpoint.connections().pause(id);
    peer.send(&frame(TEXT, b"unread"));
    turns(&mut rig);
    rig.endpoint.connections().close(id, CloseCode::NORMAL, "").unwrap();
    assert_eq!(rig.frame(&mut peer).0, CLOSE);
    peer.send(&frame(CLOSE, b"\x03\xe8"));
    rig.end(&mut peer);
    drop(peer);
    rig.until("its end", |rig| rig.app.closed().len() == 1);
    assert!(rig.app.closed()[0].clean, "{}", rig.app.closed()[0]);
    assert_eq!(texts(&rig), ["unread"]);
}

#[test]
fn no_heartbeat_times_out_while_paused() {
    let second = Duration::from_secs(1);
    let clock = Clock::default();
    let config =
        ServerConfig::new().heartbeat(Heartbeat::frequent().idle(10 * second).pong_timeout(5 * second));
    let mut rig = Rig::with(clock.on(Options::default()), config);
    let (mut peer, id) = rig.open("/");
    rig.endpoint.connections().pause(id);
    turns(&mut rig);
    clock.pass(10 * second);
    assert_eq!(rig.frame(&mut peer), (PING, Vec::new()), "it is sent nevertheless");
    peer.send(&frame(PONG, b""));
    for _ in 0..100 {
        clock.pass(10 * second);
        rig.turn();
    }
    assert_eq!(rig.endpoint.connections().state(id), State::Open);
    rig.endpoint.connections().resume(id);
    turns(&mut rig);
    assert!(rig.app.closed().is_empty());
    // From here on deadlines apply as usual.
    peer.got.clear();
    for _ in 0..40 {
        clock.pass(second);
        rig.turn();
    }
    rig.until("its end", |rig| rig.app.closed().len() == 1);
}
