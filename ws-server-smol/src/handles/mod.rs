//! What other tasks and threads have of a connection: they queue, and the task that polls it writes.

pub(crate) mod responder;
pub(crate) mod sender;
