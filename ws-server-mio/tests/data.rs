//! Application data attached to a connection.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use std::sync::Arc;
use ws_server_mio::{Connections, Endpoint, Event, ServerConfig};

#[derive(Debug, PartialEq)]
struct Name(&'static str);

#[test]
fn data_belongs_to_one_connection() {
    let mut rig = Rig::new(ServerConfig::new());
    let (_one, a) = rig.open("/");
    let (_two, b) = rig.open("/");
    let connections = rig.endpoint.connections();
    assert_eq!(connections.data::<Name>(a), None);
    assert!(connections.set_data(a, Name("a")) && connections.set_data(b, Name("b")));
    assert_eq!(connections.data(a), Some(&Name("a")));
    connections.data_mut::<Name>(b).unwrap().0 = "B";
    assert!(connections.set_data(a, Name("A")), "in place of the first");
    rig.turn();
    let connections = rig.endpoint.connections();
    assert_eq!(connections.take_data(a), Some(Name("A")));
    assert_eq!(connections.take_data::<Name>(a), None);
    assert_eq!(connections.data(b), Some(&Name("B")));
}

#[test]
fn a_connection_keeps_one_value_per_type() {
    let mut rig = Rig::new(ServerConfig::new());
    let (_peer, id) = rig.open("/");
    let connections = rig.endpoint.connections();
    connections.set_data(id, Name("the application's"));
    connections.set_data(id, 7u32);
    assert_eq!(connections.data::<String>(id), None);
    assert_eq!(connections.take_data::<u32>(id), Some(7));
    assert_eq!(connections.data(id), Some(&Name("the application's")));
}

#[test]
fn data_is_available_in_closed_and_dropped_after_it() {
    let mut rig = Rig::new(ServerConfig::new());
    let (peer, id) = rig.open("/");
    let witness = Arc::new(());
    rig.endpoint.connections().set_data(id, witness.clone());
    drop(peer);
    let mut is_closed = false;
    while !is_closed {
        rig.endpoint
            .poll(None, |connections, event| {
                if let Event::Closed(closed, _) = event {
                    assert_eq!(closed, id);
                    assert!(connections.data::<Arc<()>>(id).is_some());
                    is_closed = true;
                }
            })
            .unwrap();
    }
    assert_eq!(Arc::strong_count(&witness), 1);
    assert!(rig.endpoint.connections().data::<Arc<()>>(id).is_none());
}

#[test]
fn a_stale_id_finds_nothing_though_its_slot_is_reused() {
    let mut rig = Rig::new(ServerConfig::new());
    let (peer, old) = rig.open("/");
    rig.endpoint.connections().set_data(old, Name("old"));
    drop(peer);
    rig.until("its end", |rig| rig.app.closed().len() == 1);
    let (_other, new) = rig.open("/");
    // The slot is the same: the last freed slot is reused first.
    assert_eq!(old.to_string().split('.').next(), new.to_string().split('.').next());
    let connections = rig.endpoint.connections();
    assert_eq!(connections.data::<Name>(new), None, "no data is inherited");
    connections.set_data(new, Name("new"));
    assert!(!connections.set_data(old, Name("late")));
    assert_eq!(connections.data::<Name>(old), None);
    assert_eq!(connections.data_mut::<Name>(old), None);
    assert_eq!(connections.take_data::<Name>(old), None);
    assert_eq!(connections.data(new), Some(&Name("new")));
}

#[test]
fn plain_http_may_have_data_too() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let mut peer = rig.peer();
    peer.send(&get(rig.address(), "/"));
    rig.until("the request", |rig| rig.app.requests.len() == 1);
    let id = rig.app.requests[0].0;
    assert!(rig.endpoint.connections().set_data(id, Name("page")));
    assert_eq!(rig.endpoint.connections().data(id), Some(&Name("page")));
}

#[test]
fn an_endpoint_with_data_moves_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Endpoint>();
    is_send::<Connections>();
    let mut rig = Rig::new(ServerConfig::new());
    let (_peer, id) = rig.open("/");
    rig.endpoint.connections().set_data(id, Name("moves along"));
    let there = move || assert_eq!(rig.endpoint.connections().data(id), Some(&Name("moves along")));
    std::thread::spawn(there).join().unwrap();
}
