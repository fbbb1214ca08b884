//! Application data of a connection.

use crate::connection::slots::{Slot, flag};
use std::any::Any;
use std::collections::HashMap;

/// The application's data, by slot: stored separately, so that a connection without data stays small.
#[derive(Default)]
pub(crate) struct Data(pub(crate) HashMap<u32, Vec<Box<dyn Any + Send>>>);

impl Data {
    /// The connection is gone.
    pub(crate) fn forget(&mut self, slot: u32, live: &Slot) {
        if live.has(flag::DATA) {
            self.0.remove(&slot);
        }
    }

    pub(crate) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}
