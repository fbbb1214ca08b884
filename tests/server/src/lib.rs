//! What the servers and clients of the tests share: how they are set, what a server answers, what is counted.
//!
//! They differ from the examples in what can be set from outside, so that a test need not wait for deadlines of half
//! a minute, and in what they tell of themselves.

pub mod counts;
pub mod options;
pub mod pages;
pub mod talk;
