//! What the test servers and clients share: options, responses, counts.
//!
//! Unlike the examples, they can be configured from outside, so tests need no deadlines of half a minute, and they
//! report their own counts.

pub mod counts;
pub mod options;
pub mod pages;
pub mod talk;
