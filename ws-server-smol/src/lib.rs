//! WebSocket servers and clients for async apps, over the engine of [`ws_proto`].
//!
//! This adapter is still to come; see the table in the project's README.
pub use ws_proto;
