//! Coupling two connections, and relaying between them.

use crate::connection::Connections;
use crate::connection::couple::{CoupleError, Leg};
use crate::connection::slots::mark;
use crate::event::Event;
use crate::ids::{ClientId, ConnectionId};
use ws_host::client::ClientState;
use ws_proto::{CloseCode, SendError, Sent, State};

/// Proxies.
impl Connections {
    /// Couples two connections: from now on each relays what its peer sends to the other, as long as both last. It
    /// reads from one only what the other can send, so that a proxy between a fast sender and a slow reader holds about
    /// the [high mark](crate::ServerConfig::outbox) of bytes and one message.
    ///
    /// - **Messages** are relayed in order, and with [`ServerConfig::delivery`](crate::ServerConfig::delivery) as
    ///   fragments as they arrive. An [`Extension`](crate::Extension) still filters each of them first; it sends a
    ///   changed message itself.
    /// - **Messages over 16 MiB** need a larger [`ServerConfig::message_limit`](crate::ServerConfig::message_limit) on
    ///   both legs, and [`Delivery::Chunked`](crate::Delivery::Chunked), so that they are relayed as they arrive.
    /// - **Pings**, heartbeats and compression belong to each leg.
    /// - **The end** is relayed: the code and the reason of the peer's Close. A Close without a code is relayed without
    ///   one; a lost connection becomes 1001 towards a server and 1011 towards a client, and so does a leg that was
    ///   closed here because its peer violated the protocol. [`Closed::relayed`](ws_proto::Closed::relayed) has the
    ///   same rule for a relay written by hand. The end is relayed after the leg's `Closed`, which a peer that keeps
    ///   its socket open delays by up to [`ServerConfig::close_timeout`](crate::ServerConfig::close_timeout).
    /// - **A leg that is not open yet** holds the other one until it is. A [`Leg::Client`] may retry as its policy
    ///   allows; if it becomes idle without a connection, the other leg is closed with 1011. If the other leg ends
    ///   first, the client is [disconnected](crate::ClientHandle::disconnect).
    ///
    /// The application still sees `Open`, `Pong` and `Closed` of both, and the events of a client; it does not see
    /// messages, fragments and `Drained`. It may send messages between those of the other leg, but not a message in
    /// fragments.
    ///
    /// A coupling ends with either connection: a client that reconnects is not coupled. To couple the remaining leg
    /// with another partner, do so during `Closed` of the first; otherwise it is closed right after that.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ws_server_mio::{Bind, ClientConfig, CloseCode, Connections, ConnectionId, Endpoint, Event, ServerConfig};
    ///
    /// fn forward(connections: &mut Connections, id: ConnectionId) -> Result<(), Box<dyn std::error::Error>> {
    ///     let url = format!("ws://127.0.0.1:9000{}", connections.path(id).unwrap_or("/"));
    ///     let upstream = connections.connect(url.as_str(), ClientConfig::new())?;
    ///     Ok(connections.couple(id, upstream)?)
    /// }
    ///
    /// let mut endpoint = Endpoint::new()?;
    /// endpoint.connections().listen(Bind::localhost().port(8700), ServerConfig::new())?;
    /// endpoint.run(|connections, event| match event {
    ///     Event::Open(id, _) if connections.server_of(id).is_some() => {
    ///         if let Err(error) = forward(connections, id) {
    ///             println!("{id}: {error}");
    ///             let _ = connections.close(id, CloseCode::INTERNAL_ERROR, "");
    ///         }
    ///     }
    ///     Event::Closed(id, closed) => {
    ///         println!("{id}: {closed}");
    ///         if let Some(client) = connections.client_of(id) {
    ///             connections.client(client).remove();
    ///         }
    ///     }
    ///     Event::ConnectFailed { client, error } => {
    ///         println!("{error}");
    ///         connections.client(client).remove(); // closes the other leg with 1011
    ///     }
    ///     _ => {}
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CoupleError`]; then nothing has changed.
    pub fn couple(&mut self, a: impl Into<Leg>, b: impl Into<Leg>) -> Result<(), CoupleError> {
        let (a, b) = (self.leg(a.into())?, self.leg(b.into())?);
        if a == b {
            return Err(CoupleError::Itself);
        }
        if let Some(leg) = [a, b].into_iter().find(|leg| self.couples.of(*leg).is_some()) {
            return Err(CoupleError::Coupled(leg));
        }
        self.couples.put(a, b);
        self.link_leg(a, b);
        self.link_leg(b, a);
        Ok(())
    }

    /// Resolves a leg: a client becomes its connection, if it has one.
    fn leg(&self, leg: Leg) -> Result<Leg, CoupleError> {
        let id = match leg {
            Leg::Connection(id) => id,
            Leg::Client(client) => match self.connection_of(client) {
                Some(id) => id,
                None if self.is_trying(client) => return Ok(leg),
                None => return Err(CoupleError::Gone(leg)),
            },
        };
        match self.state(id) {
            State::Connecting | State::Open => Ok(Leg::Connection(id)),
            State::Closing | State::Closed => Err(CoupleError::Gone(leg)),
        }
    }

    /// Whether a client may still get a connection, or its failure is not reported yet.
    fn is_trying(&self, client: ClientId) -> bool {
        self.client_state(client) != ClientState::Idle || self.clients.has_notice(client)
    }

    fn link_leg(&mut self, leg: Leg, other: Leg) {
        let Leg::Connection(id) = leg else { return };
        if let Some(live) = self.slots.get_mut(id) {
            live.mark(mark::COUPLED);
        }
        match self.accepts_output(other) {
            true => self.release(id, mark::HELD),
            false => self.hold(id, mark::HELD),
        }
    }

    fn accepts_output(&self, leg: Leg) -> bool {
        let Leg::Connection(id) = leg else { return false };
        let live = self.slots.get(id).map(|live| &live.connection);
        live.is_some_and(|connection| connection.state() == State::Open && !connection.is_congested())
    }

    /// A connection has opened: resumes its partner.
    pub(crate) fn leg_opened(&mut self, slot: u32) {
        let Some(id) = self.slots.at(slot).map(|live| live.id(slot)) else { return };
        let leg = Leg::Connection(id);
        if let Some(client) = self.clients.of_slot(slot)
            && let Some(other) = self.couples.take(Leg::Client(client))
        {
            self.couples.put(leg, other);
            self.link_leg(leg, other);
        }
        if let Some(other) = self.couples.of(leg) {
            self.link_leg(other, leg);
        }
    }

    /// Relays an event of one leg to the other, or resumes the other.
    pub(crate) fn relay(&mut self, id: ConnectionId, event: Event<'_>) {
        // The other leg has ended or is ending: the event is dropped.
        let Some(Leg::Connection(other)) = self.couples.of(Leg::Connection(id)) else { return };
        let (sent, messages) = match event {
            Event::Drained(_) => return self.release(other, mark::HELD),
            Event::Message(_, message) => (self.with(other, |to, _| to.relay(message)), 1),
            Event::Fragment(_, fragment) => {
                let messages = u64::from(fragment.last);
                (self.with(other, |to, _| to.relay(fragment)), messages)
            }
            _ => return,
        };
        match sent {
            Ok(Sent::Queued) => self.count_sent(other, messages),
            Ok(Sent::Congested) => {
                self.count_sent(other, messages);
                self.hold(id, mark::HELD);
            }
            // The other leg is ending, and accepts nothing until it has ended.
            Err(SendError::NotOpen) => self.hold(id, mark::HELD),
            // The application has sent a fragment of its own in between.
            Err(error) => drop(self.close(id, CloseCode::INTERNAL_ERROR, &error.to_string())),
        }
    }

    /// A leg has ended: closes its partner, unless that has a new one.
    fn end_leg(&mut self, leg: Leg, end: impl FnOnce(bool) -> (CloseCode, String)) {
        if self.couples.of(leg).is_some() {
            return;
        }
        match leg {
            Leg::Client(client) => self.client(client).disconnect(),
            Leg::Connection(id) => {
                let to_server = self.slots.get(id).is_some_and(|live| live.is_marked(mark::CLIENT));
                let (code, reason) = end(to_server);
                // A closing connection sends no second Close.
                let _ = self.close(id, code, &reason);
            }
        }
    }

    /// Ends the partners of the legs whose end was reported.
    pub(crate) fn end_legs(&mut self) {
        while let Some((leg, ends)) = self.couples.ending.pop() {
            let [to_client, to_server] = ends;
            self.end_leg(leg, |is_server| if is_server { to_server } else { to_client });
        }
    }

    /// A client is idle or gone without a connection: ends the other leg, unless the client retries.
    pub(crate) fn end_idle_leg(&mut self, client: ClientId) {
        if self.couples.is_empty() || self.is_trying(client) {
            return;
        }
        if let Some(other) = self.couples.take(Leg::Client(client)) {
            self.end_leg(other, |_| {
                (CloseCode::INTERNAL_ERROR, "the other side cannot be reached".to_owned())
            });
        }
    }

    /// A connection is removed without having emitted its end.
    #[cold]
    pub(crate) fn leg_removed(&mut self, id: ConnectionId) {
        if let Some(other) = self.couples.take(Leg::Connection(id)) {
            self.end_leg(other, |to_server| {
                let code = if to_server { CloseCode::GOING_AWAY } else { CloseCode::INTERNAL_ERROR };
                (code, String::new())
            });
        }
    }
}
