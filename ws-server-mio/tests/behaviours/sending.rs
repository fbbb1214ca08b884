//! Sending: to one, as a raw frame, to all.

use super::common::*;
use ws_server_mio::{CloseCode, Frame, Opcode, SendError, Sent, ServerConfig, State};

#[test]
fn row_13_a_send_returns_whether_it_was_accepted_is_over_the_mark_or_was_rejected() {
    let mut rig = Rig::new(ServerConfig::new().outbox(100, 1000, 10_000));
    let (mut peer, id) = rig.open("/");
    let connections = rig.endpoint.connections();
    assert_eq!(connections.send(id, "text"), Ok(Sent::Queued));
    assert_eq!(connections.send(id, vec![1, 2]), Ok(Sent::Queued));
    assert_eq!(connections.send(id, vec![0; 2000]), Ok(Sent::Congested));
    assert_eq!(connections.send(id, vec![0; 9000]), Err(SendError::Full));

    // A rejected message is not sent; all others are, and `Drained` follows.
    assert_eq!(rig.frame(&mut peer), (TEXT, b"text".to_vec()));
    assert_eq!(rig.frame(&mut peer), (BINARY, vec![1, 2]));
    assert_eq!(rig.frame(&mut peer), (BINARY, vec![0; 2000]));
    rig.until("room", |rig| rig.app.count(|seen| matches!(seen, Seen::Drained(of) if *of == id)) == 1);
    assert_eq!(rig.endpoint.connections().send(id, "again"), Ok(Sent::Queued));
    assert_eq!(rig.frame(&mut peer), (TEXT, b"again".to_vec()));

    // A connection that is not open gets nothing.
    rig.endpoint.connections().close(id, CloseCode::NORMAL, "").unwrap();
    assert_eq!(rig.endpoint.connections().send(id, "late"), Err(SendError::NotOpen));
    assert_eq!(rig.frame(&mut peer).0, CLOSE);
}

#[test]
fn row_14_raw_frames_are_sent_verbatim_and_rejected_where_they_would_break_the_protocol() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    let connections = rig.endpoint.connections();
    let raw = |opcode, fin, payload: &[u8]| Frame::raw(opcode, fin, payload.to_vec());
    let umlaut = "\u{f6}".as_bytes();

    // In themselves: long or fragmented control frames, a text that is not UTF-8, a Close without its handshake.
    assert_eq!(raw(Opcode::Ping, true, &[0; 126]), Err(SendError::ControlTooLong(126)));
    assert_eq!(raw(Opcode::Pong, false, b""), Err(SendError::FragmentOrder));
    assert_eq!(raw(Opcode::Text, true, &umlaut[..1]), Err(SendError::NotUtf8));
    assert_eq!(raw(Opcode::Close, true, b"\x03\xe8"), Err(SendError::CloseFrame));

    // In context: a continuation of nothing, a new message inside another, half a character at the end.
    let mut send = |frame: Frame| connections.send(id, &frame);
    assert_eq!(send(raw(Opcode::Continuation, true, b"").unwrap()), Err(SendError::FragmentOrder));
    assert_eq!(send(raw(Opcode::Text, false, &umlaut[..1]).unwrap()), Ok(Sent::Queued));
    assert_eq!(send(raw(Opcode::Binary, false, b"").unwrap()), Err(SendError::FragmentOrder));
    assert_eq!(send(raw(Opcode::Continuation, true, b"x").unwrap()), Err(SendError::NotUtf8));
    assert_eq!(send(raw(Opcode::Ping, true, b"between").unwrap()), Ok(Sent::Queued));
    assert_eq!(send(raw(Opcode::Continuation, false, &umlaut[1..]).unwrap()), Ok(Sent::Queued));
    assert_eq!(send(raw(Opcode::Continuation, true, b"").unwrap()), Ok(Sent::Queued));
    assert_eq!(send(raw(Opcode::Binary, true, &[1]).unwrap()), Ok(Sent::Queued));
    assert_eq!(send(raw(Opcode::Pong, true, b"alive").unwrap()), Ok(Sent::Queued));

    // The peer has the accepted frames, one by one, and the connection continues. Pings and Pongs may overtake the rest.
    let frames: Vec<_> = (0..6).map(|_| rig.frame(&mut peer)).collect();
    let (control, data): (Vec<_>, Vec<_>) = frames.into_iter().partition(|(first, _)| first & 8 != 0);
    assert_eq!(control, [(PING, b"between".to_vec()), (PONG, b"alive".to_vec())]);
    let expected: [(u8, &[u8]); 4] =
        [(0x01, &umlaut[..1]), (0x00, &umlaut[1..]), (0x80, b""), (BINARY, &[1])];
    assert_eq!(data, expected.map(|(first, payload)| (first, payload.to_vec())));
    assert_eq!(rig.endpoint.connections().state(id), State::Open);
}

#[test]
fn row_15_a_broadcast_goes_to_every_open_connection_and_no_other() {
    let mut rig = Rig::new(ServerConfig::new());
    let mut open: Vec<_> = (0..3).map(|_| rig.open("/")).collect();
    let (mut closing, closing_id) = rig.open("/closing");
    rig.endpoint.connections().close(closing_id, CloseCode::NORMAL, "").unwrap();
    let mut page = rig.peer();
    page.send(&get(rig.address(), "/"));
    assert_eq!(rig.response(&mut page).0, 200);
    rig.app.hold = true;
    let mut undecided = rig.peer();
    undecided.send(&handshake(rig.address(), "/undecided"));
    rig.until("the upgrade", |rig| rig.app.upgrades.len() == 1);

    // One frame, encoded once, for all of them.
    for news in [Frame::text("news"), Frame::binary(vec![7; 100_000])] {
        assert_eq!(rig.endpoint.connections().broadcast(&news), 3);
        for (peer, _) in &mut open {
            let (first, payload) = rig.frame(peer);
            assert_eq!(
                (first & 0x0f == 1, &payload[..]),
                (news.opcode() == Opcode::Text, &news.payload()[..])
            );
        }
    }
    let chosen = open[1].1;
    assert_eq!(rig.endpoint.connections().broadcast_where(&Frame::text("for one"), |_, id| id == chosen), 1);
    assert_eq!(rig.frame(&mut open[1].0), (TEXT, b"for one".to_vec()));
    assert_eq!(rig.frame(&mut closing).0, CLOSE);
    for peer in [&mut closing, &mut page, &mut undecided, &mut open[0].0] {
        peer.read();
        assert!(peer.got.is_empty(), "{:?}", peer.got);
    }
}
