//! How a peer may end its side of a WebSocket over TLS: with a Close, a close_notify, a FIN and a reset, each or none of
//! them, in any order.

use crate::frames::{CLOSE, FIN, frame};
use std::io::ErrorKind;
use ws_proto::{CloseCode, Closed, Error};

/// The opening handshake of a peer that is a client.
pub const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What our side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

impl Role {
    /// The Close of the peer.
    pub fn close_of_peer(self) -> Vec<u8> {
        let payload = [&4005_u16.to_be_bytes()[..], b"gone"].concat();
        frame(self == Self::Server, FIN | CLOSE, &payload)
    }
}

/// What a peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It sends a Close frame.
    Close,
    /// It sends a close_notify. What it encrypts afterwards is ignored (RFC 8446 §6.1).
    Notify,
    /// It ends its stream. Only a reset can follow.
    Fin,
    /// It resets the connection, once everything that it sent has arrived. Nothing can follow.
    Reset,
}

/// Each order that ends the connection.
fn orders() -> Vec<Vec<Act>> {
    use Act::{Close, Fin, Notify, Reset};
    let mut orders = Vec::new();
    for announced in [&[][..], &[Close], &[Notify], &[Close, Notify], &[Notify, Close]] {
        for ended in [&[Fin][..], &[Reset], &[Fin, Reset]] {
            orders.push([announced, ended].concat());
        }
    }
    orders
}

/// What explains the end to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explanation {
    /// The Close of the peer, whatever follows it.
    Close,
    /// An end without a Close.
    Eof,
    /// The reset.
    Reset,
}

/// The first act that ends the direction from the peer.
fn explanation(order: &[Act]) -> Explanation {
    match order[0] {
        Act::Close => Explanation::Close,
        Act::Notify | Act::Fin => Explanation::Eof,
        Act::Reset => Explanation::Reset,
    }
}

/// What explains this end of our side.
fn found(closed: &Closed) -> Explanation {
    match (closed.code, &closed.error) {
        (code, _) if code == CloseCode::from(4005) && &*closed.reason == "gone" => Explanation::Close,
        (CloseCode::ABNORMAL, Some(Error::Eof)) => Explanation::Eof,
        (CloseCode::ABNORMAL, Some(Error::Io(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe))) => {
            Explanation::Reset
        }
        _ => panic!("{closed}"),
    }
}

/// Asserts that this end of our side is explained by what the peer did, each act alone or all at once.
pub fn must_be_explained(closed: &Closed, order: &[Act], at_once: bool) {
    let found = found(closed);
    let has_reset = order.contains(&Act::Reset);
    assert!(found == explanation(order) || at_once && has_reset && found == Explanation::Reset, "{found:?}");
}

/// Whether the peer receives all that our side sends, which may have begun the end itself. What follows a close_notify is
/// not read, and so answered by a reset.
pub fn receives_all(order: &[Act]) -> bool {
    !order.contains(&Act::Reset) && !order.starts_with(&[Act::Notify, Act::Close])
}

/// Asserts that a peer that receives all has received our Close, where one is due.
pub fn must_be_answered(content: &[u8], order: &[Act], begins: bool) {
    let is_answered = begins || explanation(order) == Explanation::Close;
    assert_eq!(content.contains(&(FIN | CLOSE)), is_answered, "{content:?}");
}

/// Runs each case: our role, whether our side begins the end, what the peer does, whether at once, and a seed.
#[expect(clippy::print_stdout, reason = "a failing test shows its case")]
pub fn each_case(run: impl Fn(Role, bool, &[Act], bool, u64)) {
    for role in [Role::Server, Role::Client] {
        for order in orders() {
            for (begins, at_once) in [(false, false), (false, true), (true, false), (true, true)] {
                for seed in 0..8 {
                    println!("{role:?}, begins: {begins}, {order:?} at once: {at_once}, seed {seed}");
                    run(role, begins, &order, at_once, seed);
                }
            }
        }
    }
}

/// How far the handshake has come when the peer ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Nothing,
    /// A part of the first flight of the peer.
    Cut,
    /// All of it.
    Flight,
}

impl Stage {
    /// What the peer has sent of its first flight.
    pub fn of(self, flight: &[u8]) -> &[u8] {
        match self {
            Self::Nothing => &[],
            Self::Cut => &flight[..flight.len() / 2],
            Self::Flight => flight,
        }
    }
}
