//! One connection, as the application has it: its HTTP phase, then its WebSocket, and two of these coupled.

pub(crate) mod couple;
pub(crate) mod http;
pub(crate) mod websocket;
