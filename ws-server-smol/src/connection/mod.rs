//! One connection: its HTTP phase, its WebSocket, and the handles of both.

mod couple;
pub(crate) mod http;
pub(crate) mod pool;
pub(crate) mod responder;
pub(crate) mod sender;
pub(crate) mod shared;
pub(crate) mod websocket;

pub use couple::couple;
