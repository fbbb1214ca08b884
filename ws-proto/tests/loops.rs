//! The loop of the example `by_hand`: `Closed` is the last event, whatever the peer and its socket do.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

#[path = "../examples/by_hand.rs"]
#[allow(dead_code)]
mod by_hand;

use by_hand::{drive, now};
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use ws_proto::http::Response;
use ws_proto::{CloseCode, Closed, Config, Connection, Error, Event, ProtocolError, Role, Transport};

const MESSAGE: &[u8] = b"\x81\x82\0\0\0\0hi";
const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";
const RESERVED_OPCODE: &[u8] = b"\x83\x80\0\0\0\0";

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, peer)
}

/// Drives an echo to its end. The peer sends `first` at once, and leaves while its message is handled.
fn end(first: &[&[u8]], leave: impl FnOnce(TcpStream)) -> Closed {
    let (socket, mut peer) = sockets();
    peer.write_all(&first.concat()).unwrap();
    let mut leaves = Some(|| leave(peer));
    let mut ends = Vec::new();
    let connection = Connection::upgraded(now(), Arc::new(Config::server()), Role::Server);
    drive(socket, connection, |connection, event| match event {
        Event::Message(message) => {
            leaves.take().unwrap()();
            connection.send(message).unwrap();
        }
        Event::Closed(closed) => ends.push(*closed),
        other => panic!("{other:?}"),
    });
    assert_eq!(ends.len(), 1);
    ends.remove(0)
}

fn reset(peer: TcpStream) {
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_peer_that_leaves_before_the_half_close_is_reported() {
    // Its socket is closed when our Close arrives, so ours is reset, and the half-close fails.
    let closed = end(&[MESSAGE, CLOSE], drop);
    assert!(closed.clean && closed.code == CloseCode::NORMAL, "{closed}");
    let closed = end(&[MESSAGE, RESERVED_OPCODE], drop);
    let fault = matches!(closed.error, Some(Error::Protocol(ProtocolError::ReservedOpcode(3))));
    assert!(fault, "{closed}");
    assert_eq!(closed.sent, Some(CloseCode::PROTOCOL_ERROR));
}

#[test]
fn a_peer_that_resets_is_reported_with_the_close_that_it_sent() {
    let closed = end(&[MESSAGE, CLOSE], reset);
    assert_eq!(closed.code, CloseCode::NORMAL, "{closed}");
    let closed = end(&[MESSAGE], reset);
    assert!(closed.code == CloseCode::ABNORMAL && matches!(closed.error, Some(Error::Io(_))), "{closed}");
}

/// Linux keeps what arrived before a reset.
#[cfg(target_os = "linux")]
#[test]
fn an_unread_close_is_read_after_a_write_fails() {
    let closed = end(&[MESSAGE], |mut peer| {
        peer.write_all(CLOSE).unwrap();
        reset(peer);
    });
    assert_eq!(closed.code, CloseCode::NORMAL, "{closed}");
}

#[test]
fn a_truncated_answer_without_a_length_ends_in_a_reset() {
    let (socket, mut peer) = sockets();
    peer.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let connection = Connection::server(now(), Arc::new(Config::server()), Transport::default());
    drive(socket, connection, |connection, event| {
        if let Event::Request(request) = event {
            let _body = connection.http().respond_streaming(now(), request, Response::new(()), None).unwrap();
            connection.abort(now(), Error::Stopped);
        }
    });
    assert_eq!(peer.read(&mut [0; 100]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}
