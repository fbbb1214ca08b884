//! The system, as servers and clients see it: listeners, sockets, names.
//!
//! ```text
//!   servers ──poll_accept──▶ AsyncListener ─────────┐
//!   connections ──read, write──▶ Socket ────────────┤──▶ async-io and std, or what a test has put in their place
//!   clients ──look_up──▶ Resolver ──▶ its threads ──┘
//! ```
//!
//! Nothing here knows who uses it. A test starts a server on an [`Accept`] of its own with
//! [`Server::listen_on_fakes`](crate::Server::listen_on_fakes), and a client on a [`Resolver`] of its own with
//! [`connect_with_names`](crate::connect_with_names); clocks are replaced by
//! [`Server::with_clocks`](crate::Server::with_clocks) and [`WebSocket::set_clocks`](crate::WebSocket::set_clocks). All of
//! that is outside of what semantic versioning promises.

pub(crate) mod listener;
pub(crate) mod names;
pub(crate) mod socket;

pub use listener::Accept;
pub use names::Resolver;
