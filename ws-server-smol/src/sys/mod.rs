//! What the system has: sockets.

pub(crate) mod socket;
