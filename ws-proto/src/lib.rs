//! skeleton
extern crate alloc;

pub mod access;
mod close;
mod config;
mod connection;
mod decode;
mod error;
mod event;
mod frame;
pub mod handshake;
mod http;
mod mask;
mod outbox;
mod utf8;

pub use access::Access;
pub use close::CloseCode;
pub use config::{Config, Heartbeat, HeartbeatKind, Pieces};
pub use connection::{Connection, Next, Role, Sent, State};
pub use error::{Cause, Error, HandshakeError, ProtocolError, SendError, Timeout};
pub use event::{Closed, Event, Initiator, Message, Piece, Pong};
pub use frame::{Frame, Opcode};
pub use handshake::{ClientRequest, Request, Upgrade};
pub use outbox::{Outbox, Storage};
