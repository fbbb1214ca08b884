//! The page of the examples `drop` and `async_drop`.

/// It sends files by PUT to `/files/NAME`, and shows what the socket `/ws` tells: progress, ends, and the files there are.
pub const PAGE: &str = include_str!("page.html");
