//! What all connections of a server hold together, and who must give way when that is too much.

use alloc::sync::Arc;

/// The memory that connections share: one limit for all of them.
///
/// Clones are the same memory. Give it to every connection by [`Config::memory`](crate::Config::memory).
#[derive(Clone, Debug)]
pub struct Memory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: usize,
}

impl Memory {
    /// Memory of so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { inner: Arc::new(Inner { limit }) }
    }

    /// The most bytes that all connections may hold together.
    pub fn limit(&self) -> usize {
        self.inner.limit
    }
}
