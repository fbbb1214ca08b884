//! Ids of closed connections find nothing.

mod common;
use common::*;
use std::collections::HashSet;
use ws_server_mio::{ClientConfig, CloseCode, Event, Frame, SendError, ServerConfig, State};

#[test]
fn every_method_answers_for_a_closed_connection() {
    let mut rig = Rig::new(ServerConfig::new());
    let (peer, id) = rig.open("/");
    drop(peer);
    rig.until("closed", |rig| rig.app.closed().len() == 1);
    let (_other, new) = rig.open("/");
    assert_ne!(id, new);
    let connections = rig.endpoint.connections();
    let frame = Frame::text("x");
    assert_eq!(connections.send(id, &frame), Err(SendError::NotOpen));
    assert_eq!(connections.send(id, "x"), Err(SendError::NotOpen));
    assert_eq!(connections.send(id, &b"x"[..]), Err(SendError::NotOpen));
    assert_eq!(connections.send_ping(id, b""), Err(SendError::NotOpen));
    assert_eq!(connections.close(id, CloseCode::NORMAL, ""), Err(SendError::NotOpen));
    connections.terminate(id);
    assert_eq!(connections.state(id), State::Closed);
    assert_eq!(connections.queued(id), 0);
    assert_eq!(connections.peer_addr(id), None);
    assert_eq!(connections.local_addr(id), None);
    assert_eq!(connections.latency(id), None);
    assert_eq!(connections.server_of(id), None);
    assert_eq!(connections.state(new), State::Open, "no other connection is affected");
}

/// Connections close and others are accepted between two turns: one batch of readiness has both.
#[test]
fn ids_are_never_reused_when_closes_and_accepts_coincide() {
    let mut rig = Rig::new(ServerConfig::new());
    let mut peers: Vec<Peer> = Vec::new();
    let address = rig.address();
    for round in 0..20 {
        for peer in peers.drain(..) {
            drop(peer);
        }
        for _ in 0..10 {
            let mut peer = rig.peer();
            peer.send(&handshake(address, &format!("/{round}")));
            peers.push(peer);
        }
        rig.until("this round", |rig| {
            rig.app.open_ids().len() == (round + 1) * 10 && rig.app.closed().len() == round * 10
        });
    }
    let opened: HashSet<_> = rig.app.open_ids().into_iter().collect();
    assert_eq!(opened.len(), 200);
    assert_eq!(rig.endpoint.connections().server(rig.server).count(), 10);
    for (k, peer) in peers.iter_mut().enumerate() {
        rig.until("the head", |_| peer.take_head().is_some());
        peer.send(&frame(TEXT, format!("mine is {k}").as_bytes()));
    }
    for (k, peer) in peers.iter_mut().enumerate() {
        assert_eq!(rig.frame(peer), (TEXT, format!("mine is {k}").into_bytes()));
    }
}

#[test]
fn a_handler_may_close_any_connection_ready_in_the_same_turn() {
    let mut rig = Rig::new(ServerConfig::new());
    let mut open: Vec<_> = (0..4).map(|_| rig.open("/")).collect();
    let ids: Vec<_> = open.iter().map(|(_, id)| *id).collect();
    for (peer, _) in &mut open {
        peer.send(&frame(TEXT, b"hello"));
    }
    let mut received = Vec::new();
    let mut closed = Vec::new();
    while closed.len() < 3 {
        rig.endpoint
            .poll(None, |connections, event| match event {
                Event::Message(id, _) => {
                    received.push(id);
                    ids.iter().filter(|other| **other != id).for_each(|other| connections.terminate(*other));
                }
                Event::Closed(id, _) => closed.push(id),
                _ => {}
            })
            .unwrap();
    }
    assert_eq!(received.len(), 1);
    assert!(!closed.contains(&received[0]));
}

#[test]
fn ids_print_briefly() {
    let mut rig = Rig::new(ServerConfig::new());
    let (_peer, id) = rig.open("/");
    let client = rig.endpoint.connections().connect("ws://127.0.0.1:9/", ClientConfig::new()).unwrap();
    assert_eq!((format!("{id}"), format!("{id:?}")), ("0.0".into(), "0.0".into()));
    assert_eq!((format!("{}", rig.server), format!("{:?}", rig.server)), ("#1".into(), "#1".into()));
    assert_eq!((format!("{client}"), format!("{client:?}")), ("#1".into(), "#1".into()));
    assert_eq!(format!("{:?}", Event::Drained(id)), "Drained(0.0)");
}
