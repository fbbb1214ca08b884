//! What the system may answer, and seldom does: the loop over sockets that are not real.

mod accepting;
mod listeners;
