//! Broadcasts.

mod common;
use common::*;
use ws_server_mio::{Connections, Event, Frame, ServerConfig};

#[test]
fn a_broadcast_reaches_what_the_filter_accepts() {
    let mut rig = Rig::new(ServerConfig::new());
    let mut open: Vec<_> = (0..20).map(|_| rig.open("/")).collect();
    let http = rig.peer();
    let left_out = open[7].1;
    let connections = rig.endpoint.connections();
    assert_eq!(connections.ids().count(), 20);
    let large = vec![b'x'; 100_000];
    assert_eq!(connections.broadcast_where(&Frame::text("small"), |_, id| id != left_out), 19);
    assert_eq!(connections.broadcast(&Frame::binary(large.clone())), 20);
    for (peer, id) in &mut open {
        if *id != left_out {
            assert_eq!(rig.frame(peer), (TEXT, b"small".to_vec()));
        }
        assert_eq!(rig.frame(peer), (BINARY, large.clone()));
    }
    drop(http);
}

#[test]
fn a_list_may_contain_closed_connections() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut here, a) = rig.open("/");
    let (_gone, b) = rig.open("/");
    rig.endpoint.connections().terminate(b);
    rig.until("its end", |rig| rig.app.closed().len() == 1);
    assert_eq!(rig.endpoint.connections().topics().send_to(&Frame::text("you two"), [a, b]), 1);
    assert_eq!(rig.frame(&mut here), (TEXT, b"you two".to_vec()));
}

#[test]
fn a_broadcast_from_a_handler_includes_the_sender() {
    let mut rig = Rig::new(ServerConfig::new());
    let mut open: Vec<_> = (0..5).map(|_| rig.open("/")).collect();
    open[2].0.send(&frame(TEXT, b"to all"));
    let handler = |connections: &mut Connections, event: Event<'_>| {
        if let Event::Message(_, message) = event {
            connections.broadcast(&Frame::text(message.as_text().unwrap()));
        }
    };
    let mut events = 0;
    while events == 0 {
        events = rig.endpoint.poll(None, handler).unwrap().events;
    }
    for (peer, _) in &mut open {
        assert_eq!(rig.frame(peer), (TEXT, b"to all".to_vec()));
    }
}
