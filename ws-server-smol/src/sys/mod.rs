//! What the system has: sockets and listeners.

pub(crate) mod listener;
pub(crate) mod socket;
