//! A connection's byte counts, and its memory reuse.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use ws_kit::frames;
use ws_kit::pair::Pair;
use ws_proto::{CloseCode, Config, Connection, Event, Moment, Role};

#[test]
fn every_byte_is_counted_at_both_ends() {
    let mut pair = Pair::open();
    let count = |pair: &Pair| {
        let (client, server) = (&pair.client.connection, &pair.server.connection);
        assert_eq!(client.bytes_sent(), server.bytes_received());
        assert_eq!(server.bytes_sent(), client.bytes_received());
        (client.bytes_sent(), server.bytes_sent())
    };
    let (up, down) = count(&pair);
    assert!(up > 100 && down > 100, "the handshake counts: {up} and {down} bytes");
    pair.client.connection.send("hello").unwrap();
    assert_eq!(count(&pair), (up, down), "what is queued is not sent yet");
    pair.drive();
    assert_eq!(count(&pair), (up + 11, down), "a header, a key and five bytes");
    pair.server.connection.send(&[0; 300][..]).unwrap();
    pair.drive();
    assert_eq!(count(&pair), (up + 11, down + 304));
    pair.client.connection.close(pair.now, CloseCode::NORMAL, "").unwrap();
    pair.drive();
    let (client, server) = (pair.client.closed(), pair.server.closed());
    assert_eq!((client.bytes_sent, client.bytes_received), (up + 19, down + 308));
    assert_eq!((server.bytes_sent, server.bytes_received), (down + 308, up + 19));
}

/// Whether an empty outbox holds the memory of a large message that was sent.
fn has_spare(server: &mut Connection) -> bool {
    let Some(storage) = server.outbox().detach_buffer() else { return false };
    let has_spare = storage.has_spare();
    server.outbox().attach_buffer(storage);
    has_spare
}

/// Echoes the binary message in these bytes, given in two parts, and flushes it. Returns whether the memory of the
/// previous message was still unused when the second part arrived.
fn echo_in_parts(server: &mut Connection, now: Moment, len: usize, first: usize) -> bool {
    let mut bytes = frames::frame(true, frames::FIN | frames::BINARY, &vec![7; len]);
    let header = bytes.len() - len;
    let (one, other) = bytes.split_at_mut(header + first);
    assert!(server.handle_input(now, &mut &mut *one).is_none());
    let is_unused = has_spare(server);
    let mut input = other;
    let Some(Event::Message(message)) = server.handle_input(now, &mut input) else { panic!("no message") };
    assert_eq!(message.as_bytes(), vec![7; len]);
    server.send(message).unwrap();
    frames::take_output(server, now);
    is_unused
}

#[test]
fn a_message_with_16_kib_to_come_reuses_the_memory_of_the_previous_one() {
    const LARGE: usize = 16 * 1024;
    let (mut server, now) = frames::open(Role::Server, Config::server());
    assert!(!echo_in_parts(&mut server, now, 200_000, 10), "there is no previous one");
    assert!(has_spare(&mut server));
    assert!(echo_in_parts(&mut server, now, 10 + LARGE - 1, 10), "a smaller remainder does not reuse it");
    assert!(has_spare(&mut server));
    assert!(!echo_in_parts(&mut server, now, 10 + LARGE, 10));
    assert!(has_spare(&mut server), "every sent message leaves its memory");
}
