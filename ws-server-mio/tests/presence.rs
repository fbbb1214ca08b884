//! Presence: the handler of a close can notify the other subscribers of its topics.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use socket2::SockRef;
use std::collections::BTreeSet;
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ws_server_mio::{
    ClientConfig, ConnectionId, Connections, Event, Extension, Frame, ServerConfig, SlowPeer, Stop,
    TopicError,
};

/// What the handler of a close can see of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Left {
    topics: BTreeSet<String>,
    /// Subscribers of "room", and of "own", which has no other.
    subscribers: [usize; 2],
    /// How many received what was published to each.
    reached: [usize; 2],
}

/// Inspects the topics, and notifies the other subscribers.
fn leave(connections: &mut Connections, id: ConnectionId) -> Left {
    let topics: BTreeSet<_> = connections.topics().of(id).map(str::to_owned).collect();
    assert_eq!(connections.topics().subscribe(id, "late"), Err(TopicError::NotOpen));
    let subscribers = ["room", "own"].map(|topic| {
        assert!(connections.topics().subscribers(topic).all(|other| other != id));
        connections.topics().subscribers(topic).len()
    });
    let left = Frame::text(format!("{id} left"));
    let reached = ["room", "own"].map(|topic| connections.topics().publish(topic, &left));
    Left { topics, subscribers, reached }
}

type Seen = Arc<Mutex<Vec<Left>>>;

/// An extension that does the same before the handler.
struct Before(Seen);

impl Extension for Before {
    fn observe(&mut self, connections: &mut Connections, event: &Event<'_>) {
        if let Event::Closed(id, _) = event {
            self.0.lock().unwrap().push(leave(connections, *id));
        }
    }
}

/// Ends one of two connections to the topic "room"; returns what its handler and an extension see.
fn end(name: &str, end: impl Fn(&mut Rig, &mut Peer, ConnectionId)) {
    for extended in [false, true] {
        let mut rig = Rig::new(ServerConfig::new().heartbeat(ws_server_mio::Heartbeat::off()));
        let (before, seen) = (Seen::default(), Seen::default());
        if extended {
            rig.endpoint.connections().set_extension(Before(before.clone())).unwrap();
        }
        let (mut peer, id) = rig.open("/");
        let (mut other, other_id) = rig.open("/other");
        let connections = rig.endpoint.connections();
        connections.topics().subscribe(id, "room").unwrap();
        connections.topics().subscribe(id, "own").unwrap();
        connections.topics().subscribe(other_id, "room").unwrap();
        let looks = seen.clone();
        rig.app.also = Some(Box::new(move |connections, event| {
            if let Event::Closed(closed, _) = event
                && *closed == id
            {
                looks.lock().unwrap().push(leave(connections, id));
            }
        }));
        end(&mut rig, &mut peer, id);
        rig.until("its end", |_| !seen.lock().unwrap().is_empty());
        let topics = BTreeSet::from(["own".to_owned(), "room".to_owned()]);
        let expected = Left { topics, subscribers: [1, 0], reached: [1, 0] };
        assert_eq!(*seen.lock().unwrap(), std::slice::from_ref(&expected), "{name}");
        if extended {
            assert_eq!(before.lock().unwrap()[0], expected, "{name}");
        }
        let connections = rig.endpoint.connections();
        assert_eq!(connections.topics().of(id).count(), 0, "{name}: gone after the event");
        assert_eq!(connections.topics().subscribers("room").collect::<Vec<_>>(), [other_id]);
        for _ in 0..=usize::from(extended) {
            assert_eq!(rig.frame(&mut other), (TEXT, format!("{id} left").into_bytes()), "{name}");
        }
        let (_late, late) = rig.open("/late");
        assert_eq!(rig.endpoint.connections().topics().of(late).count(), 0, "no connection inherits them");
    }
}

/// Sends a Close, and half-closes.
fn close(peer: &mut Peer) {
    peer.send(&frame(CLOSE, &1000_u16.to_be_bytes()));
    peer.stream.shutdown(Shutdown::Write).unwrap();
}

#[test]
fn topics_are_known_while_a_close_is_reported_however_it_ends() {
    end("the peer's close", |_, peer, _| close(peer));
    end("our close, answered", |rig, peer, id| {
        rig.endpoint.connections().close(id, ws_server_mio::CloseCode::NORMAL, "").unwrap();
        assert_eq!(rig.frame(peer).0, CLOSE);
        close(peer);
    });
    end("the end of the stream", |_, peer, _| peer.stream.shutdown(Shutdown::Write).unwrap());
    end("a reset", |_, peer, _| {
        SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
        let other = Peer::connect(peer.stream.peer_addr().unwrap());
        *peer = other;
    });
    end("terminate", |rig, _, id| rig.endpoint.connections().terminate(id));
    end("a violation of the protocol", |_, peer, _| {
        peer.send(&frame(0x83, b""));
        peer.stream.shutdown(Shutdown::Write).unwrap();
    });
    end("a full outbox", |rig, _, id| {
        let large = Frame::binary(vec![0; 1 << 20]);
        let connections = rig.endpoint.connections();
        // Closed with 1013, and then cut: the peer does not read.
        while connections.topics().send_to_with(&large, SlowPeer::Close, [id]) == 1 {}
        connections.terminate(id);
    });
}

#[test]
fn a_stop_reports_the_topics_of_every_connection_it_cuts() {
    let mut rig = Rig::new(ServerConfig::new());
    let (_peers, ids): (Vec<_>, Vec<_>) = (0..3).map(|_| rig.open("/")).unzip();
    for id in &ids {
        rig.endpoint.connections().topics().subscribe(*id, "room").unwrap();
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let looks = seen.clone();
    rig.app.also = Some(Box::new(move |connections, event| {
        if let Event::Closed(id, _) = event {
            let topics = connections.topics().of(*id).map(str::to_owned).collect::<Vec<_>>();
            looks.lock().unwrap().push((topics, connections.topics().subscribers("room").len()));
        }
    }));
    let server = rig.server;
    rig.endpoint.connections().server(server).stop_with(Stop::within(Duration::ZERO));
    rig.until("its end", |rig| matches!(rig.app.seen.last(), Some(common::Seen::Stopped(_))));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.iter().map(|(topics, _)| topics.join(" ")).collect::<Vec<_>>(), ["room"; 3]);
    assert_eq!(seen.iter().map(|(_, left)| *left).collect::<Vec<_>>(), [2, 1, 0], "one less each time");
}

#[test]
fn clients_and_coupled_connections_have_presence_too() {
    let mut rig = Rig::new(ServerConfig::new());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let looks = seen.clone();
    rig.app.also = Some(Box::new(move |connections, event| match event {
        Event::Open(id, _) => drop(connections.topics().subscribe(*id, "room").unwrap()),
        Event::Closed(id, _) => {
            looks.lock().unwrap().push(connections.topics().of(*id).map(str::to_owned).collect::<Vec<_>>());
        }
        _ => {}
    }));
    let (peer, id) = rig.open("/");
    let url = format!("ws://{}/", rig.address());
    let connections = rig.endpoint.connections();
    let client = connections.connect(url, ClientConfig::default()).unwrap();
    connections.couple(id, client).unwrap();
    rig.until("three connections", |rig| rig.app.open_ids().len() == 3);
    drop(peer);
    rig.until("three ends", |_| seen.lock().unwrap().len() == 3);
    assert_eq!(*seen.lock().unwrap(), [["room"], ["room"], ["room"]]);
    for id in rig.app.open_ids() {
        assert_eq!(rig.endpoint.connections().topics().of(id).count(), 0);
    }
}

#[test]
fn a_rejected_upgrade_has_no_topics() {
    let mut rig = Rig::new(ServerConfig::new().report_all_closes(true));
    rig.app.hold = true;
    let address = rig.address();
    let mut peer = rig.peer();
    peer.send(&handshake(address, "/"));
    rig.until("the question", |rig| rig.app.upgrades.len() == 1);
    let (id, upgrade) = rig.app.upgrades.pop().unwrap();
    let connections = rig.endpoint.connections();
    assert_eq!(connections.topics().subscribe(id, "room"), Err(TopicError::NotOpen));
    connections.respond(id, upgrade, ok("not you")).unwrap();
    drop(peer);
    rig.app.also = Some(Box::new(move |connections, event| {
        if matches!(event, Event::Closed(_, _)) {
            assert_eq!(connections.topics().of(id).count(), 0);
        }
    }));
    rig.until("its end", |rig| rig.app.closed().len() == 1);
}
