//! Every reported connection ends once, and its peer gets the reason.

mod common;
use common::*;
use std::time::Duration;
use ws_proto::{Error, Initiator, ProtocolError};
use ws_server_mio::{CloseCode, Frame, SendError, ServerConfig, State};

#[test]
fn a_closing_handshake_by_the_peer_is_clean_and_reported_once() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    peer.send(&frame(CLOSE, b"\x0f\xa1bye"));
    let (first, payload) = rig.frame(&mut peer);
    assert_eq!((first, close_code(&payload)), (CLOSE, 4001));
    rig.end(&mut peer);
    assert_eq!(peer.ended, Some(Ok(())), "the server half-closes first");
    drop(peer);
    rig.until("the close", |rig| rig.app.closed().len() == 1);
    rig.until("the removal", |rig| rig.endpoint.servers().count() == 1);
    let closed = rig.app.closed()[0];
    assert!(closed.clean && closed.was_open);
    assert_eq!((closed.code, closed.reason.as_str()), (CloseCode::from(4001), "bye"));
    for _ in 0..5 {
        rig.turn();
    }
    assert_eq!(rig.app.closed().len(), 1);
    assert_eq!(rig.endpoint.connections().state(id), State::Closed);
}

#[test]
fn our_close_is_answered() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    rig.endpoint.connections().close(id, CloseCode::NORMAL, "enough").unwrap();
    assert_eq!(rig.endpoint.connections().send(id, Frame::text("more")), Err(SendError::NotOpen));
    assert_eq!(rig.frame(&mut peer), (CLOSE, b"\x03\xe8enough".to_vec()));
    peer.send(&frame(TEXT, b"last words"));
    peer.send(&frame(CLOSE, b"\x03\xe8"));
    rig.end(&mut peer);
    drop(peer);
    rig.until("the close", |rig| rig.app.closed().len() == 1);
    assert!(rig.app.closed()[0].clean);
    assert_eq!(rig.app.count(|seen| matches!(seen, Seen::Text(_, text) if text == "last words")), 1);
}

#[test]
fn a_peer_that_is_still_sending_a_mebibyte_gets_1009() {
    let mut rig = Rig::new(ServerConfig::new().message_limit(1000));
    let (mut peer, _) = rig.open("/");
    peer.send(&frame(BINARY, &vec![7; 1 << 20]));
    let (first, payload) = rig.frame(&mut peer);
    assert_eq!((first, close_code(&payload)), (CLOSE, 1009));
    rig.until("the sent message", |_| peer.flush());
    rig.end(&mut peer);
    assert_eq!(peer.ended, Some(Ok(())), "a reset has discarded the Close");
    drop(peer);
    rig.until("the close", |rig| rig.app.closed().len() == 1);
    let closed = rig.app.closed()[0];
    assert!(matches!(closed.error, Some(Error::Protocol(ProtocolError::MessageTooBig { limit: 1000 }))));
    assert_eq!(closed.sent, Some(CloseCode::TOO_BIG));
}

#[test]
fn a_vanished_peer_is_reported() {
    let mut rig = Rig::new(ServerConfig::new());
    let (peer, id) = rig.open("/");
    drop(peer);
    rig.until("the close", |rig| rig.app.closed().len() == 1);
    let closed = rig.app.closed()[0];
    assert_eq!(
        (closed.code, closed.clean, closed.initiator),
        (CloseCode::ABNORMAL, false, Initiator::Remote)
    );
    assert_eq!(rig.endpoint.connections().server(rig.server).count(), 0);
    rig.endpoint.connections().terminate(id);
    rig.turn();
    assert_eq!(rig.app.closed().len(), 1);
}

#[test]
fn message_close_and_eof_together_lose_nothing() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    peer.send(&[frame(TEXT, b"one"), frame(CLOSE, b"\x03\xe8")].concat());
    drop(peer);
    rig.until("the close", |rig| rig.app.closed().len() == 1);
    assert_eq!(rig.app.count(|seen| matches!(seen, Seen::Text(..))), 1);
    assert!(rig.app.closed()[0].clean, "{}", rig.app.closed()[0]);
}

#[test]
fn dropping_the_endpoint_sends_1001() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    drop(rig);
    let mut frame = None;
    while frame.is_none() {
        assert_eq!(peer.ended, None);
        frame = peer.take_frame();
    }
    let (first, payload) = frame.unwrap();
    assert_eq!((first, close_code(&payload)), (CLOSE, 1001));
}

#[test]
fn dropping_the_endpoint_writes_a_close_that_is_still_queued() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let client = rig.endpoint.connections().connect(&*url, ws_server_mio::ClientConfig::new()).unwrap();
    let mut far = Peer::new(listener.accept().unwrap().0);
    let head = rig.head(&mut far);
    far.send(accepting(&head).as_bytes());
    rig.until("the open client", |rig| rig.app.open_ids().len() == 2);
    // No turn follows.
    let connections = rig.endpoint.connections();
    connections.close(id, CloseCode::from(4000), "enough").unwrap();
    connections.client(client).disconnect();
    drop(rig);
    for (peer, code) in [(&mut peer, 4000), (&mut far, 1000)] {
        let mut frame = None;
        while frame.is_none() {
            assert_eq!(peer.ended, None);
            frame = peer.take_frame();
        }
        let (first, payload) = frame.unwrap();
        // The client's is masked.
        assert_eq!((first, close_code(&payload)), (CLOSE, code));
    }
}

#[test]
fn the_code_of_a_peer_that_closes_and_resets_during_a_send_is_kept() {
    // The unread input is its Close alone, or a message and its Close.
    for before in [Vec::new(), frame(TEXT, b"bye")] {
        for resets in [true, false] {
            let mut rig = Rig::new(ServerConfig::new());
            let (mut peer, id) = rig.open("/");
            peer.send(&[before.clone(), frame(CLOSE, b"\x0f\xa5gone")].concat());
            // Unread input at the peer makes its kernel reset the connection, and so does a linger of zero.
            let connections = rig.endpoint.connections();
            connections.send(id, Frame::text("tick")).unwrap();
            if resets {
                socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
            drop(peer);
            // The loop was busy meanwhile; it writes first.
            std::thread::sleep(Duration::from_millis(10));
            rig.until("its end", |rig| {
                let _ = rig.endpoint.connections().send(id, Frame::text("tick"));
                rig.app.closed().len() == 1
            });
            let closed = rig.app.closed()[0];
            assert_eq!((closed.code, closed.reason.as_str()), (CloseCode::from(4005), "gone"), "{closed}");
            let texts = rig.app.count(|seen| matches!(seen, Seen::Text(..)));
            assert_eq!(texts, usize::from(!before.is_empty()));
        }
    }
}
