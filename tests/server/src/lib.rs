//! Shared by the servers and clients of the tests: options, answers, counts.
//!
//! Unlike the examples, they can be configured from outside, which spares tests deadlines of half a minute, and they
//! report on themselves.

pub mod counts;
pub mod options;
pub mod pages;
pub mod talk;
