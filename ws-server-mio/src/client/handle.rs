//! A handle to a client: its methods and its state.

use crate::client::list::{Intent, Phase};
use crate::connection::Connections;
use crate::ids::{ClientId, ConnectionId};
use std::sync::Arc;
use ws_host::client::{ClientConfig, ClientState, ConnectError, InvalidTarget};
use ws_proto::ClientRequest;

/// A client of an endpoint, from [`Connections::client`].
///
/// Once the client is removed, it is [`Idle`](ClientState::Idle), has no connection, and its other methods do
/// nothing.
#[derive(Debug)]
pub struct ClientHandle<'c> {
    connections: &'c mut Connections,
    id: ClientId,
}

impl Connections {
    /// A client: to disconnect, to reconnect, to query its state. The id of a removed client is not an error.
    pub fn client(&mut self, id: ClientId) -> ClientHandle<'_> {
        ClientHandle { connections: self, id }
    }
}

/// State.
impl ClientHandle<'_> {
    /// Which client this is.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Its state.
    pub fn state(&self) -> ClientState {
        self.connections.client_state(self.id)
    }

    /// Its connection, while that is open or closing.
    pub fn connection(&self) -> Option<ConnectionId> {
        self.connections.connection_of(self.id)
    }
}

/// Connecting, disconnecting, and settings for later attempts.
impl ClientHandle<'_> {
    /// Reconnects regardless of the policy: now, or once the current connection is closed, with 1000. A client that
    /// is connecting continues its attempt. Returns whether the client exists.
    pub fn reconnect(&mut self) -> bool {
        let id = self.id;
        let Some(at) = self.connections.clients.get_mut(id) else { return false };
        at.backoff.reset();
        match at.phase {
            Phase::Idle | Phase::Waiting { .. } => self.connections.begin(id.index),
            Phase::Resolving(_) | Phase::Connecting(_) => at.intent = Intent::Policy,
            Phase::Open { slot, .. } => {
                at.intent = Intent::Again;
                self.connections.close_slot(slot);
            }
        }
        true
    }

    /// Disconnects: closes the client's connection with 1000 or cancels its attempt, and makes it idle. A running
    /// attempt ends with [`ConnectError::Cancelled`]. [`reconnect`](Self::reconnect) starts again.
    ///
    /// [`Closed`](crate::Event::Closed) or [`ConnectFailed`](crate::Event::ConnectFailed) follows, unless the client
    /// was [`Waiting`](ClientState::Waiting) or idle: then it is idle at once, and no event follows. A slow server may
    /// delay it for as long as it may delay [`Connections::close`](crate::Connections::close).
    pub fn disconnect(&mut self) {
        let id = self.id;
        let Some(at) = self.connections.clients.get_mut(id) else { return };
        match at.phase {
            Phase::Idle => {}
            Phase::Waiting { .. } => {
                self.connections.clients.set_idle(id.index);
                self.connections.end_idle_leg(id);
                self.connections.clients.forget_idle(id);
            }
            Phase::Resolving(_) | Phase::Connecting(_) => {
                at.intent = Intent::Stop;
                self.connections.fail(id.index, ConnectError::Cancelled, None);
            }
            Phase::Open { slot, .. } => {
                at.intent = Intent::Stop;
                self.connections.close_slot(slot);
            }
        }
    }

    /// Disconnects and removes the client: its id is no longer valid. An open connection
    /// still emits `Closed`.
    pub fn remove(&mut self) {
        let id = self.id;
        if self.connections.clients.get(id).is_none() {
            return;
        }
        self.connections.cancel_lookup(id.index);
        let Some(at) = self.connections.clients.get_mut(id) else { return };
        at.intent = Intent::Stop;
        let slots = at.slots();
        let open = matches!(at.phase, Phase::Open { .. });
        self.connections.clients.remove(id);
        self.connections.end_idle_leg(id);
        for slot in slots {
            match open {
                true => self.connections.close_slot(slot),
                false => self.connections.remove_slot(slot),
            }
        }
    }

    /// Sets the client's request from its next attempt on: another address, or a renewed token. A good time is
    /// [`Event::Reconnecting`](crate::Event::Reconnecting), when the delay begins. After a rejection with 401, that
    /// event is emitted only if [`Reconnect::retry_status`](ws_host::client::Reconnect::retry_status) includes 401.
    ///
    /// # Errors
    /// As [`Connections::connect`], and [`InvalidTarget::NoClient`].
    pub fn set_request<R>(&mut self, request: R) -> Result<(), InvalidTarget>
    where
        R: TryInto<ClientRequest>,
        R::Error: Into<InvalidTarget>,
    {
        let id = self.id;
        let request = request.try_into().map_err(Into::into)?;
        let at = self.connections.clients.get(id).ok_or(InvalidTarget::NoClient)?;
        self.connections.check_request(&request, &at.config)?;
        if let Some(at) = self.connections.clients.get_mut(id) {
            at.request = request;
        }
        Ok(())
    }

    /// Sets the client's configuration from its next attempt on; the reconnect policy, from now on.
    ///
    /// # Errors
    /// As [`set_request`](Self::set_request).
    pub fn set_config(&mut self, config: ClientConfig) -> Result<(), InvalidTarget> {
        let id = self.id;
        let at = self.connections.clients.get(id).ok_or(InvalidTarget::NoClient)?;
        self.connections.check_request(&at.request, &config)?;
        if let Some(at) = self.connections.clients.get_mut(id) {
            at.rules = Arc::new(config.connection_config());
            at.config = Arc::new(config);
        }
        Ok(())
    }
}
