//! One connection, as the application sees it: its HTTP phase, then its WebSocket, and two coupled WebSockets.

pub(crate) mod body;
pub(crate) mod couple;
pub(crate) mod http;
pub(crate) mod streaming;
pub(crate) mod websocket;
