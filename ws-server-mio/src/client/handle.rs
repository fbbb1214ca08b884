//! A client of an endpoint: what it does, and where it stands.

use crate::client::list::{Phase, Then};
use crate::connection::Connections;
use crate::ids::{ClientId, ConnectionId};
use std::sync::Arc;
use ws_host::client::{ClientConfig, ClientState, ConnectError, InvalidTarget};
use ws_proto::ClientRequest;

/// One client of an endpoint, as [`Connections::client`] gives it.
///
/// Once the client was removed, nothing is found there: it is [`Idle`](ClientState::Idle), has no connection, and verbs do
/// nothing.
#[derive(Debug)]
pub struct ClientHandle<'c> {
    connections: &'c mut Connections,
    id: ClientId,
}

impl Connections {
    /// A client: to part, to connect again, to look where it stands. The id of one that was removed is no error.
    pub fn client(&mut self, id: ClientId) -> ClientHandle<'_> {
        ClientHandle { connections: self, id }
    }
}

/// Where it stands.
impl ClientHandle<'_> {
    /// Which client this is.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Where it stands.
    pub fn state(&self) -> ClientState {
        self.connections.client_state(self.id)
    }

    /// Its connection, while that is open or closing.
    pub fn connection(&self) -> Option<ConnectionId> {
        self.connections.connection_of(self.id)
    }
}

/// What it does, and from which attempt on it does it otherwise.
impl ClientHandle<'_> {
    /// Connects anew, whatever the policy says, and says whether there is such a client: now, or once the present
    /// connection is closed, with 1000. A client that is connecting goes on with that.
    pub fn reconnect(&mut self) -> bool {
        let id = self.id;
        let Some(at) = self.connections.clients.get_mut(id) else { return false };
        at.backoff.reset();
        match at.phase {
            Phase::Idle | Phase::Waiting { .. } => self.connections.begin(id.index),
            Phase::Resolving(_) | Phase::Connecting(_) => at.then = Then::Policy,
            Phase::Open { slot, .. } => {
                at.then = Then::Again;
                self.connections.close_slot(slot);
            }
        }
        true
    }

    /// Parts: closes the client's connection with 1000, or stops trying to get one, and rests. An attempt that
    /// is under way ends with [`ConnectError::Cancelled`]. [`reconnect`](Self::reconnect) starts again.
    pub fn disconnect(&mut self) {
        let id = self.id;
        let Some(at) = self.connections.clients.get_mut(id) else { return };
        match at.phase {
            Phase::Idle => {}
            Phase::Waiting { .. } => {
                self.connections.clients.rest(id.index);
                self.connections.give_up_leg(id);
                self.connections.clients.forget_rested(id);
            }
            Phase::Resolving(_) | Phase::Connecting(_) => {
                at.then = Then::Rest;
                self.connections.fail(id.index, ConnectError::Cancelled, None);
            }
            Phase::Open { slot, .. } => {
                at.then = Then::Rest;
                self.connections.close_slot(slot);
            }
        }
    }

    /// Disconnects, and forgets the client: its id finds nobody from now on. Of a connection that was open,
    /// `Closed` still comes.
    pub fn remove(&mut self) {
        let id = self.id;
        if self.connections.clients.get(id).is_none() {
            return;
        }
        self.connections.leave_name(id.index);
        let Some(at) = self.connections.clients.get_mut(id) else { return };
        at.then = Then::Rest;
        let slots = at.slots();
        let open = matches!(at.phase, Phase::Open { .. });
        self.connections.clients.remove(id);
        self.connections.give_up_leg(id);
        for slot in slots {
            match open {
                true => self.connections.close_slot(slot),
                false => self.connections.remove_slot(slot),
            }
        }
    }

    /// Sets what the client asks for from its next attempt on: another address, or a token that was renewed. A
    /// good place is [`Event::Reconnecting`](crate::Event::Reconnecting), which comes when the wait begins. After a
    /// refusal with 401 it comes only where
    /// [`Reconnect::retry_status`](ws_host::client::Reconnect::retry_status) says that this may change.
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

    /// Sets how the client behaves from its next attempt on; the policy for connecting again, from now on.
    ///
    /// # Errors
    /// As [`set_request`](Self::set_request).
    pub fn set_config(&mut self, config: ClientConfig) -> Result<(), InvalidTarget> {
        let id = self.id;
        let at = self.connections.clients.get(id).ok_or(InvalidTarget::NoClient)?;
        self.connections.check_request(&at.request, &config)?;
        if let Some(at) = self.connections.clients.get_mut(id) {
            at.rules = Arc::new(config.connection_config());
            at.config = config;
        }
        Ok(())
    }
}
