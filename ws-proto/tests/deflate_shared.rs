//! Frames sent to many connections that compress.
#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use ws_kit::pair::Pair;
use ws_proto::{Config, Deflate, Frame, Opcode};

fn open() -> Pair {
    let deflate = || Deflate::new().threshold(1);
    Pair::open_with(Config::client().deflate(deflate()), Config::server().deflate(deflate()))
}

#[test]
fn shared_fragments_all_arrive() {
    let mut pair = open();
    let fragments = [(Opcode::Text, false, "one, "), (Opcode::Continuation, true, "two")];
    for _ in 0..2 {
        for (opcode, fin, text) in fragments {
            pair.server.connection.send_shared(&Frame::raw(opcode, fin, text).unwrap()).unwrap();
        }
        pair.server.connection.send_shared(&Frame::text("whole")).unwrap();
    }
    pair.drive();
    assert_eq!(pair.client.texts(), ["one, two", "whole", "one, two", "whole"]);
}

#[test]
fn shared_control_frames_arrive_unchanged() {
    let mut pair = open();
    let payload = [b'p'; 125];
    pair.server.connection.send_shared(&Frame::ping(payload.to_vec()).unwrap()).unwrap();
    pair.server.connection.send_shared(&Frame::pong(payload.to_vec()).unwrap()).unwrap();
    assert_eq!(pair.server.connection.queued(), 2 * (2 + payload.len()));
    pair.drive();
    assert!(!pair.client.is_closed() && !pair.server.is_closed());
}
