//! permessage-deflate (RFC 7692): with any agreed terms, form and cuts, the received bytes equal the sent ones, and no
//! received bytes cost more than they may.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod bits;
mod contexts;
mod oracle;

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
