//! Echoes.

mod common;
use common::*;
use ws_server_mio::{Budget, Frame, Options, ServerConfig};

#[test]
fn text_and_binary_come_back() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    peer.send(&frame(TEXT, "grüß dich".as_bytes()));
    assert_eq!(rig.frame(&mut peer), (TEXT, "grüß dich".as_bytes().to_vec()));
    peer.send(&frame(BINARY, &[0, 255, 7]));
    assert_eq!(rig.frame(&mut peer), (BINARY, vec![0, 255, 7]));
    assert_eq!(rig.endpoint.connections().queued(id), 0);
}

#[test]
fn many_messages_in_one_packet_come_back_in_order() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    let all: Vec<u8> = (0..1000).flat_map(|k: i32| frame(TEXT, k.to_string().as_bytes())).collect();
    peer.send(&all);
    for k in 0..1000 {
        assert_eq!(rig.frame(&mut peer), (TEXT, k.to_string().into_bytes()));
    }
}

#[test]
fn bytes_behind_the_handshake_in_one_packet_are_received() {
    let mut rig = Rig::new(ServerConfig::new());
    let mut peer = rig.peer();
    let mut bytes = handshake(rig.address(), "/");
    bytes.extend(frame(TEXT, b"eager"));
    peer.send(&bytes);
    rig.until("the head", |_| peer.take_head().is_some());
    assert_eq!(rig.frame(&mut peer), (TEXT, b"eager".to_vec()));
    assert!(matches!(rig.app.seen[..], [Seen::Upgrade(..), Seen::Open(_), Seen::Text(..)]));
}

#[test]
fn large_messages_come_back_whole_whatever_the_visit_size() {
    let data: Vec<u8> = (0..3_000_000u32).map(|k| (k * 7) as u8).collect();
    let small = Budget::server().bytes_per_visit(5000);
    for budget in [Budget::server(), Budget::ui(), small] {
        let mut rig = Rig::with(Options::default().budget(budget), ServerConfig::new());
        let (mut peer, _) = rig.open("/");
        peer.send(&frame(BINARY, &data));
        let (first, got) = rig.frame(&mut peer);
        assert_eq!(first, BINARY);
        assert!(got == data);
    }
}

#[test]
fn a_ping_is_answered_and_ours_is_measured() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    peer.send(&frame(PING, b"there?"));
    assert_eq!(rig.frame(&mut peer), (PONG, b"there?".to_vec()));
    rig.endpoint.connections().send_ping(id, b"and you?").unwrap();
    assert_eq!(rig.frame(&mut peer), (PING, b"and you?".to_vec()));
    peer.send(&frame(PONG, b"and you?"));
    rig.until("the pong", |rig| rig.app.count(|seen| matches!(seen, Seen::Pong(_))) == 1);
    assert!(rig.endpoint.connections().latency(id).is_some());
}

#[test]
fn a_frame_sent_byte_by_byte_is_received() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    for byte in frame(TEXT, b"slowly") {
        peer.send(&[byte]);
        rig.turn();
    }
    assert_eq!(rig.frame(&mut peer), (TEXT, b"slowly".to_vec()));
}

#[test]
fn a_send_between_turns_makes_the_next_turn_due() {
    let mut rig = Rig::new(ServerConfig::new());
    let (mut peer, id) = rig.open("/");
    rig.until("quiet", |rig| rig.endpoint.next_timeout() != Some(std::time::Duration::ZERO));
    rig.endpoint.connections().send(id, Frame::text("now")).unwrap();
    assert_eq!(rig.endpoint.next_timeout(), Some(std::time::Duration::ZERO));
    assert_eq!(rig.frame(&mut peer), (TEXT, b"now".to_vec()));
}
