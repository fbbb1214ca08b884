//! Queries by id, and counts.

use super::common::*;
use ws_server_mio::{
    ClientConfig, CloseCode, ConnectionId, Event, Frame, Opcode, SendError, ServerConfig, SlowPeer, State,
    inspect,
};

#[derive(Debug, PartialEq)]
struct Seat(u32);

#[test]
fn row_17_queries_by_id_report_this_connection_and_never_another() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.app.hold = true;
    let mut peer = rig.peer();
    peer.send(&handshake(rig.address(), "/"));
    rig.until("the upgrade", |rig| rig.app.upgrades.len() == 1);
    let (id, upgrade) = rig.app.upgrades.pop().unwrap();
    rig.app.hold = false;
    assert_eq!(rig.endpoint.connections().state(id), State::Connecting);
    rig.endpoint.connections().accept(id, upgrade).unwrap();
    rig.head(&mut peer);

    // Open and ready to send, the addresses of both ends, the role, and the application's data.
    let address = rig.address();
    let server = rig.server;
    let connections = rig.endpoint.connections();
    assert_eq!(connections.state(id), State::Open);
    assert_eq!(connections.queued(id), 0);
    assert_eq!(connections.peer_addr(id), Some(peer.stream.local_addr().unwrap()));
    assert_eq!(connections.local_addr(id), Some(address));
    assert_eq!(connections.server_of(id), Some(server));
    assert_eq!(connections.latency(id), None, "no Ping was sent yet");
    assert_eq!(connections.data::<Seat>(id), None);
    assert!(connections.set_data(id, Seat(3)));
    connections.data_mut::<Seat>(id).unwrap().0 += 1;
    assert_eq!(connections.data(id), Some(&Seat(4)));
    connections.send_ping(id, b"?").unwrap();
    assert_eq!(rig.frame(&mut peer), (PING, b"?".to_vec()));
    peer.send(&frame(PONG, b"?"));
    rig.until("the answer", |rig| rig.app.count(|seen| matches!(seen, Seen::Pong(of) if *of == id)) == 1);
    assert!(rig.endpoint.connections().latency(id).is_some());

    rig.endpoint.connections().close(id, CloseCode::NORMAL, "").unwrap();
    assert_eq!(rig.endpoint.connections().state(id), State::Closing);
    assert_eq!(rig.endpoint.connections().data(id), Some(&Seat(4)));
    peer.send(&frame(CLOSE, &1000u16.to_be_bytes()));
    drop(peer);
    rig.until("its end", |rig| rig.app.closed().len() == 1);

    // Another connection takes its slot. The old id finds nothing: neither the old connection, nor the new one.
    let (_other, new) = rig.open("/");
    let slot = |id: ConnectionId| id.to_string().split('.').next().map(str::to_owned);
    assert!(new != id && slot(new) == slot(id), "{id} and {new} share a slot");
    let connections = rig.endpoint.connections();
    assert!(connections.data::<Seat>(new).is_none() && connections.set_data(new, Seat(5)));
    assert_eq!(connections.state(id), State::Closed);
    assert_eq!((connections.peer_addr(id), connections.local_addr(id)), (None, None));
    assert_eq!((connections.server_of(id), connections.latency(id)), (None, None));
    assert_eq!((connections.queued(id), connections.data::<Seat>(id)), (0, None));
    assert_eq!(connections.take_data::<Seat>(id), None);
    assert!(!connections.set_data(id, Seat(6)));
    assert_eq!(connections.send(id, Frame::text("x")), Err(SendError::NotOpen));
    assert_eq!(connections.close(id, CloseCode::NORMAL, ""), Err(SendError::NotOpen));
    connections.terminate(id);
    assert_eq!((connections.state(new), connections.data(new)), (State::Open, Some(&Seat(5))));
}

#[test]
fn statistics_count_what_a_server_accepted_and_no_clients_of_this_process() {
    let mut rig = Rig::new(ServerConfig::new());
    let url = rig.endpoint.connections().server(rig.server).url("/").unwrap();
    let client = rig.endpoint.connections().connect(&*url, ClientConfig::new().reconnect(None)).unwrap();
    rig.until("both ends", |rig| rig.app.open_ids().len() == 2);
    let connections = rig.endpoint.connections();
    let ours = connections.client(client).connection().unwrap();
    let stats = connections.stats();
    assert_eq!((stats.accepted, stats.open), (1, 1));
    assert_eq!(connections.server(rig.server).count(), 1);

    // Four messages of the client, each echoed, by every way to send.
    connections.send(ours, "one").unwrap();
    let frame = Frame::text("two");
    assert_eq!(connections.topics().send_to(&frame, [ours]), 1);
    assert_eq!(connections.topics().send_to_with(&frame, SlowPeer::Skip, [ours]), 1);
    connections.send(ours, Frame::raw(Opcode::Text, false, "fo").unwrap()).unwrap();
    connections.send(ours, Frame::raw(Opcode::Continuation, true, "ur").unwrap()).unwrap();
    let received = |rig: &Rig| rig.app.count(|seen| matches!(seen, Seen::Text(id, _) if *id == ours));
    rig.until("the echoes", |rig| received(rig) == 4);
    let stats = rig.endpoint.connections().stats();
    assert_eq!((stats.messages_in, stats.messages_out), (4, 4));
    let mut of_server = (0, 0);
    inspect::each_slot(rig.endpoint.connections(), |live| {
        if live.client.is_none() {
            of_server = (live.connection.bytes_received(), live.connection.bytes_sent());
        }
    });
    assert_eq!((stats.bytes_in, stats.bytes_out), of_server);
    assert!(stats.bytes_in != stats.bytes_out, "masked one way");

    rig.endpoint.connections().client(client).disconnect();
    rig.until("both ends", |rig| rig.app.closed().len() == 2);
    rig.until("no socket", |rig| inspect::overview(rig.endpoint.connections()).slots == 0);
    let after = rig.endpoint.connections().stats();
    assert_eq!((after.accepted, after.open, after.messages_in, after.messages_out), (1, 0, 4, 4));
    // A Close with its code, masked, and its echo.
    assert_eq!((after.bytes_in - stats.bytes_in, after.bytes_out - stats.bytes_out), (8, 4));
}

#[test]
fn row_18_connections_count_as_websockets_from_their_upgrade_to_their_close() {
    let mut rig = Rig::new(ServerConfig::new());
    let count = |rig: &mut Rig| rig.endpoint.connections().server(rig.server).count();
    let mut page = rig.peer();
    page.send(&get(rig.address(), "/"));
    assert_eq!(rig.response(&mut page).0, 200);
    assert_eq!(count(&mut rig), 0, "plain HTTP is not a client");
    assert_eq!(rig.endpoint.connections().server(rig.server).http_count(), 1);

    // Connecting, open, closing.
    rig.app.hold = true;
    let mut peer = rig.peer();
    peer.send(&handshake(rig.address(), "/"));
    rig.until("the upgrade", |rig| rig.app.upgrades.len() == 1);
    assert_eq!(count(&mut rig), 1, "connecting");
    let (id, upgrade) = rig.app.upgrades.pop().unwrap();
    rig.app.hold = false;
    rig.endpoint.connections().accept(id, upgrade).unwrap();
    rig.head(&mut peer);
    let (other, _) = rig.open("/other");
    assert_eq!(count(&mut rig), 2, "open");
    assert_eq!(rig.endpoint.connections().ids().count(), 2);
    rig.endpoint.connections().close(id, CloseCode::NORMAL, "").unwrap();
    assert_eq!(rig.frame(&mut peer).0, CLOSE);
    assert_eq!(count(&mut rig), 2, "closing");

    // Not closed: at that very event, it no longer counts.
    let server = rig.server;
    rig.app.also = Some(Box::new(move |connections, event| {
        if let Event::Closed(_, _) = event {
            assert_eq!(connections.server(server).count(), 1);
        }
    }));
    peer.send(&frame(CLOSE, &1000u16.to_be_bytes()));
    drop(peer);
    rig.until("its end", |rig| rig.app.closed().len() == 1);
    assert_eq!(count(&mut rig), 1);
    rig.app.also = None;
    drop(other);
    rig.until("the other's end", |rig| rig.app.closed().len() == 2);
    assert_eq!(count(&mut rig), 0);
}
