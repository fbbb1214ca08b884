//! What the system is asked for.

pub(crate) mod listener;
pub(crate) mod poller;
pub(crate) mod socket;
pub(crate) mod socket_options;
