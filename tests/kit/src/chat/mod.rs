//! The room and the page of the examples `chat` and `async_chat`, independent of the transport. `room.rs` is the chat,
//! without I/O; `pages.rs` answers plain HTTP; `page.html` is the page.

#[cfg(feature = "chat-tls")]
mod certificate;
pub mod pages;
#[cfg(feature = "chat-qr")]
mod qr;
mod room;

#[cfg(feature = "chat-tls")]
pub use certificate::certificate;
#[cfg(feature = "chat-qr")]
pub use qr::qr_code;
pub use room::{Reply, Room};
