//! WebSocket servers and clients for async apps, over the engine of [`ws_proto`].

mod acceptor;
mod buffer;
mod client;
mod connect;
mod driver;
mod extension;
mod folder;
mod listening;
mod responder;
mod sender;
mod server;
mod shared;
mod socket;
mod ui;
#[cfg(unix)]
mod unix;
mod websocket;

pub use acceptor::{AcceptError, Acceptor, Incoming};
pub use client::{Client, ClientEvent};
pub use connect::{connect, handshake};
pub use extension::{AlreadyExtended, Extension};
pub use folder::{Disk, Folder};
pub use listening::Listening;
pub use responder::{Body, Responder};
pub use sender::{Outgoing, Sender};
pub use server::{Server, Stats};
pub use shared::ConnectionId;
pub use socket::Socket;
pub use ui::{Turn, UiDriver};
pub use websocket::WebSocket;
pub use ws_proto;
pub use ws_proto::bind::{Bind, ListenError};
pub use ws_proto::connect::{ClientConfig, ClientState, ConnectError, ConnectFailure};
pub use ws_proto::limits::ServerConfig;
pub use ws_proto::token::Token;
pub use ws_proto::topics::{SlowPeer, TopicError};
pub use ws_proto::{
    CloseCode, Closed, Config, Frame, Heartbeat, Message, Request, SendError, Sent, State, Upgrade,
};
