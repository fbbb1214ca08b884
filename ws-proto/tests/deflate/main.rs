//! permessage-deflate (RFC 7692): whatever was agreed on and however it is sent and cut, the bytes that come out are
//! those that went in; and no bytes that come in cost more than they may.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod bits;
mod contexts;
mod judge;

mod blocks;
mod cuts;
mod empties;
mod limits;
mod pieces;
mod random;
mod reader;
mod received;
mod sent;
mod shared;
mod shares;
mod text;
