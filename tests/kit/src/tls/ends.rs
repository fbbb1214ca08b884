//! How a peer may end its side of a WebSocket over TLS: with a Close, a close_notify, a FIN and a reset, each or none of
//! them, in any order.

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
pub fn orders() -> Vec<Vec<Act>> {
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
pub fn explanation(order: &[Act]) -> Explanation {
    match order[0] {
        Act::Close => Explanation::Close,
        Act::Notify | Act::Fin => Explanation::Eof,
        Act::Reset => Explanation::Reset,
    }
}
