//! WebSocket servers and clients for async apps, over the engine of [`ws_proto`].

mod acceptor;
mod buffer;
mod client;
mod connect;
mod driver;
mod responder;
mod sender;
mod server;
mod shared;
mod socket;
mod websocket;

pub use acceptor::{AcceptError, Acceptor, Incoming};
pub use client::{Client, ClientEvent};
pub use connect::{connect, handshake};
pub use responder::{Body, Responder};
pub use sender::{Outgoing, Sender};
pub use socket::Socket;
pub use websocket::WebSocket;
pub use ws_proto;
pub use ws_proto::connect::{ClientConfig, ClientState, ConnectError, ConnectFailure};
