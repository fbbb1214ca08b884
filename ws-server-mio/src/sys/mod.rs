//! What the system is asked for.

pub(crate) mod socket_options;
pub(crate) mod stream;
