//! Sending to one connection, as a raw frame, and to all.

use super::common::run;
use super::peer::*;
use super::transport::{peer_of, server_config};
use super::{App, Seen, beside, local, open, until};
use futures_lite::future;
use std::cell::RefCell;
use ws_server_smol::{CloseCode, Frame, Incoming, Opcode, SendError, Sent, State};

#[test]
fn row_13_a_send_returns_whether_it_was_accepted_is_over_the_mark_or_was_rejected() {
    let server = local(server_config().outbox(100, 1000, 10_000));
    let app = App::default();
    run(beside(&server, async |http| app.handle(http).await, async {
        let (mut peer, id) = open(&server, "/").await;
        assert_eq!(server.send(id, "text"), Ok(Sent::Queued));
        assert_eq!(server.send(id, vec![1, 2]), Ok(Sent::Queued));
        assert_eq!(server.send(id, vec![0; 2000]), Ok(Sent::Congested));
        assert_eq!(server.send(id, vec![0; 9000]), Err(SendError::Full));

        // A rejected message is not sent; all others are, and `Drained` follows. A sender that can wait makes room.
        let sender = server.sender(id).unwrap();
        assert_eq!(sender.send(vec![9; 9000]).await, Ok(()));
        assert_eq!(peer.frame().await, (TEXT, b"text".to_vec()));
        assert_eq!(peer.frame().await, (BINARY, vec![1, 2]));
        assert_eq!(peer.frame().await, (BINARY, vec![0; 2000]));
        until(|| app.count(|seen| matches!(seen, Seen::Drained)) > 0).await;
        assert_eq!(peer.frame().await, (BINARY, vec![9; 9000]));
        assert_eq!(server.send(id, "again"), Ok(Sent::Queued));
        assert_eq!(peer.frame().await, (TEXT, b"again".to_vec()));

        // A connection that is not open gets nothing.
        server.close(id, CloseCode::NORMAL, "").unwrap();
        assert_eq!(server.send(id, "late"), Err(SendError::NotOpen));
        assert_eq!(sender.try_send("late"), Err(SendError::NotOpen));
        assert_eq!(peer.frame().await.0, CLOSE);
    }));
}

#[test]
fn row_14_raw_frames_are_sent_verbatim_and_rejected_where_they_would_break_the_protocol() {
    let (server, app) = (local(server_config()), App::default());
    run(beside(&server, async |http| app.handle(http).await, async {
        let (mut peer, id) = open(&server, "/").await;
        let raw = |opcode, fin, payload: &[u8]| Frame::raw(opcode, fin, payload.to_vec());
        let umlaut = "\u{f6}".as_bytes();

        // Invalid frames: long or fragmented control frames, a text that is not UTF-8, a Close without its handshake.
        assert_eq!(raw(Opcode::Ping, true, &[0; 126]), Err(SendError::ControlTooLong(126)));
        assert_eq!(raw(Opcode::Pong, false, b""), Err(SendError::FragmentOrder));
        assert_eq!(raw(Opcode::Text, true, &umlaut[..1]), Err(SendError::NotUtf8));
        assert_eq!(raw(Opcode::Close, true, b"\x03\xe8"), Err(SendError::CloseFrame));

        // Invalid in context: a continuation without a message, a message inside another, half a character at the end.
        let send = |frame: Frame| server.send(id, &frame);
        assert_eq!(send(raw(Opcode::Continuation, true, b"").unwrap()), Err(SendError::FragmentOrder));
        assert_eq!(send(raw(Opcode::Text, false, &umlaut[..1]).unwrap()), Ok(Sent::Queued));
        assert_eq!(send(raw(Opcode::Binary, false, b"").unwrap()), Err(SendError::FragmentOrder));
        assert_eq!(send(raw(Opcode::Continuation, true, b"x").unwrap()), Err(SendError::NotUtf8));
        assert_eq!(send(raw(Opcode::Ping, true, b"between").unwrap()), Ok(Sent::Queued));
        assert_eq!(send(raw(Opcode::Continuation, false, &umlaut[1..]).unwrap()), Ok(Sent::Queued));
        assert_eq!(send(raw(Opcode::Continuation, true, b"").unwrap()), Ok(Sent::Queued));
        assert_eq!(send(raw(Opcode::Binary, true, &[1]).unwrap()), Ok(Sent::Queued));
        assert_eq!(send(raw(Opcode::Pong, true, b"alive").unwrap()), Ok(Sent::Queued));

        // The peer has the accepted frames, one by one, Pings and Pongs first, and the connection continues.
        let expected: [(u8, &[u8]); 6] = [
            (PING, b"between"),
            (PONG, b"alive"),
            (0x01, &umlaut[..1]),
            (0x00, &umlaut[1..]),
            (0x80, b""),
            (BINARY, &[1]),
        ];
        for (first, payload) in expected {
            assert_eq!(peer.frame().await, (first, payload.to_vec()));
        }
        assert_eq!(server.state(id), State::Open);
    }));
}

#[test]
fn row_15_a_broadcast_goes_to_every_open_connection_and_no_other() {
    let server = local(server_config());
    let undecided = RefCell::new(Vec::new());
    let handler = async |mut http: ws_server_smol::HttpConnection<_>| loop {
        match http.next().await {
            Some(Incoming::Upgrade(upgrade)) if upgrade.path() == "/undecided" => {
                undecided.borrow_mut().push(upgrade);
                future::pending().await
            }
            Some(Incoming::Upgrade(upgrade)) => {
                let mut ws = http.accept(upgrade).await.unwrap();
                while ws.next().await.is_some() {}
                return;
            }
            Some(Incoming::Request(request)) => http.respond(request, super::ok("hello")).await.unwrap(),
            None => return,
        }
    };
    run(beside(&server, handler, async {
        let mut open_ones = Vec::new();
        for _ in 0..3 {
            open_ones.push(open(&server, "/").await);
        }
        let (mut closing, closing_id) = open(&server, "/closing").await;
        server.close(closing_id, CloseCode::NORMAL, "").unwrap();
        let address = server.local_addr().unwrap();
        let mut page = peer_of(address);
        page.send(&get(address, "/"));
        assert_eq!(page.response().await.0, 200);
        let mut pending = super::requesting_peer(&server, "/undecided");
        pending.beside(until(|| undecided.borrow().len() == 1)).await;

        // One frame is encoded once for all of them.
        for news in [Frame::text("news"), Frame::binary(vec![7; 100_000])] {
            assert_eq!(server.broadcast(&news), 3);
            for (peer, _) in &mut open_ones {
                let (first, payload) = peer.frame().await;
                assert_eq!(
                    (first & 0x0f == 1, &payload[..]),
                    (news.opcode() == Opcode::Text, &news.payload()[..])
                );
            }
        }
        let chosen = open_ones[1].1;
        assert_eq!(server.broadcast_where(&Frame::text("for one"), |id| id == chosen), 1);
        assert_eq!(open_ones[1].0.frame().await, (TEXT, b"for one".to_vec()));
        assert_eq!(closing.frame().await.0, CLOSE);
        for peer in [&mut closing, &mut page, &mut pending, &mut open_ones[0].0] {
            peer.read();
            assert!(peer.got.is_empty(), "{:?}", peer.got);
        }
    }));
}
