//! The system interface of servers and clients: listeners, sockets, names.
//!
//! ```text
//!   servers ──poll_accept──▶ AsyncListener ─────────┐
//!   connections ──read, write──▶ Socket ────────────┤──▶ async-io and std, or a test's replacement
//!   clients ──look_up──▶ Resolver ──▶ its threads ──┘
//! ```
//!
//! Nothing here depends on its users. A test starts a server on its own [`Accept`] with
//! [`listen_on_fakes`](crate::listen_on_fakes), and a client with its own [`Resolver`] through
//! [`connect_with_names`](crate::connect_with_names), or over a [`fake_socket`] through
//! [`connect_over_fake`](crate::connect_over_fake); clocks are replaced by
//! [`server_with_clocks`](crate::server_with_clocks) and [`WebSocket::set_clocks`](crate::WebSocket::set_clocks). All
//! of this is exempt from semantic versioning.

pub(crate) mod layered;
pub(crate) mod listener;
pub(crate) mod names;
pub(crate) mod socket;
pub(crate) mod stream;

pub use listener::Accept;
pub use names::Resolver;
pub use stream::FakeSocket;

use socket::Socket;
use std::sync::Arc;
use stream::Stream;

/// A socket that is a test's.
pub fn fake_socket(fake: impl FakeSocket + 'static) -> Socket {
    Stream::Other(Arc::new(Box::new(fake))).into()
}
