//! What an application keeps with a connection.

use crate::connection::Connections;
use crate::connection::slots::{ConnectionId, Slot, flag};
use std::any::Any;
use std::collections::HashMap;

/// What is kept with connections, by slot. It stands aside, so that a connection without any is no larger.
#[derive(Default)]
pub(crate) struct Data(HashMap<u32, Vec<Box<dyn Any + Send>>>);

impl Data {
    /// This connection is gone.
    pub(crate) fn forget(&mut self, slot: u32, live: &Slot) {
        if live.has(flag::DATA) {
            self.0.remove(&slot);
        }
    }

    pub(crate) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}

/// Data of your own with a connection: who is there, what was agreed, how far it got.
impl Connections {
    /// Keeps data with a connection, in place of what it has of this type. Of each type it can have one, so that
    /// an extension and the application keep theirs without knowing of each other.
    ///
    /// It can be had up to the handler's call for [`Closed`](crate::Event::Closed), that one included, and is
    /// dropped right after it. Says whether there is such a connection; with one that is gone nothing is kept.
    ///
    /// ```
    /// use ws_server_mio::{Connections, Event};
    ///
    /// struct Player {
    ///     name: String,
    ///     moves: u32,
    /// }
    ///
    /// fn handle(connections: &mut Connections, event: Event<'_>) {
    ///     match event {
    ///         Event::Upgrade(id, upgrade) => {
    ///             let name = upgrade.query().unwrap_or("nobody").to_owned();
    ///             connections.set_data(id, Player { name, moves: 0 });
    ///             let _ = connections.accept(id, upgrade);
    ///         }
    ///         Event::Message(id, _) => {
    ///             if let Some(player) = connections.data_mut::<Player>(id) {
    ///                 player.moves += 1;
    ///             }
    ///         }
    ///         Event::Closed(id, _) => {
    ///             if let Some(player) = connections.take_data::<Player>(id) {
    ///                 println!("{} leaves after {} moves", player.name, player.moves);
    ///             }
    ///         }
    ///         _ => {}
    ///     }
    /// }
    /// ```
    pub fn set_data<T: Send + 'static>(&mut self, id: ConnectionId, data: T) -> bool {
        let Some(live) = self.slots.get_mut(id) else { return false };
        live.set(flag::DATA);
        let kept = self.data.0.entry(id.slot).or_default();
        match kept.iter_mut().find_map(|kept| kept.downcast_mut::<T>()) {
            Some(kept) => *kept = data,
            None => kept.push(Box::new(data)),
        }
        true
    }

    /// The data of this type that a connection has. `None` for one that is gone.
    pub fn data<T: 'static>(&self, id: ConnectionId) -> Option<&T> {
        self.slots.get(id).filter(|live| live.has(flag::DATA))?;
        self.data.0.get(&id.slot)?.iter().find_map(|kept| kept.downcast_ref())
    }

    /// As [`Connections::data`], to change it.
    pub fn data_mut<T: 'static>(&mut self, id: ConnectionId) -> Option<&mut T> {
        self.slots.get(id).filter(|live| live.has(flag::DATA))?;
        self.data.0.get_mut(&id.slot)?.iter_mut().find_map(|kept| kept.downcast_mut())
    }

    /// Takes the data of this type from a connection.
    pub fn take_data<T: 'static>(&mut self, id: ConnectionId) -> Option<T> {
        self.slots.get(id).filter(|live| live.has(flag::DATA))?;
        let kept = self.data.0.get_mut(&id.slot)?;
        let place = kept.iter().position(|kept| kept.is::<T>())?;
        kept.swap_remove(place).downcast().ok().map(|data| *data)
    }
}
