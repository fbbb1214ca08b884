//! Handles to a connection for other tasks and threads: they queue output, and the task that polls the connection
//! writes it.

pub(crate) mod responder;
pub(crate) mod sender;
