//! One connection attempt (name lookup, race of addresses, handshake), and what follows it.

use crate::client::list::{Attempt, Intent, Notice, Phase, Race};
use crate::connection::Connections;
use crate::connection::lists::{arm, mark_dirty, queue_read};
use crate::connection::slots::{Slot, flag, mark};
use crate::event::Event;
use crate::ids::NO_SERVER;
use crate::sys::Sys;
use crate::sys::layered::LayeredSocket;
use crate::sys::poller::Readiness;
use crate::sys::socket::Target;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use ws_host::client::NEXT_ADDRESS_AFTER;
use ws_host::client::addresses;
use ws_host::client::{ConnectError, ConnectStep};
use ws_host::socket::check_connected;
use ws_proto::{ClientRequest, Closed, Connection};

impl Connections {
    /// Begins an attempt.
    pub(crate) fn begin(&mut self, index: u32) {
        let now = self.now;
        let Some(client) = self.clients.at_mut(index) else { return };
        client.attempts = client.attempts.wrapping_add(1);
        client.intent = Intent::Policy;
        let attempt = Attempt {
            since: now,
            request: client.request.clone(),
            rules: client.rules.clone(),
            config: client.config.clone(),
        };
        self.pursue(index, attempt);
    }

    /// Connects for an attempt: its first request, or the one after a redirect.
    fn pursue(&mut self, index: u32, attempt: Attempt) {
        #[cfg(unix)]
        if let Some(path) = attempt.config.get_unix().map(std::path::Path::to_owned) {
            return self.connect_to_path(index, attempt, path);
        }
        let Some(id) = self.clients.id_at(index) else { return };
        let Some(client) = self.clients.at_mut(index) else { return };
        let attempts = client.attempts;
        let waits_for_roots = self.waits_for_roots(&attempt);
        match addresses(attempt.address()) {
            Ok(Some(addresses)) if !waits_for_roots => return self.race(index, attempt, addresses),
            Ok(_) => {}
            Err(failure) => return self.fail(index, attempt.failure(failure), None),
        }
        let host = attempt.address().host().to_owned();
        let Some(client) = self.clients.at_mut(index) else { return };
        client.phase = Phase::Resolving(attempt);
        self.clients.arm(index, None);
        self.look_up_name(&host, id, attempts);
    }

    /// Whether the attempt must wait for a lookup thread to read the roots of the system. If there are no such threads,
    /// the roots are read on this thread when TLS begins.
    #[cfg(feature = "tls-no-provider")]
    fn waits_for_roots(&mut self, attempt: &Attempt) -> bool {
        let unprepared = attempt.config.unprepared(&attempt.request);
        if unprepared.is_empty() {
            return false;
        }
        let Some(resolver) = &mut self.resolver else { return false };
        resolver.unprepared.extend(unprepared);
        true
    }

    #[cfg(not(feature = "tls-no-provider"))]
    fn waits_for_roots(&self, _: &Attempt) -> bool {
        false
    }

    pub(crate) fn race(&mut self, index: u32, attempt: Attempt, untried: VecDeque<SocketAddr>) {
        let Some(client) = self.clients.at_mut(index) else { return };
        client.phase = Phase::Connecting(Race::new(attempt, untried));
        self.try_next(index);
    }

    #[cfg(unix)]
    fn connect_to_path(&mut self, index: u32, attempt: Attempt, path: std::path::PathBuf) {
        let Some(client) = self.clients.at_mut(index) else { return };
        client.phase = Phase::Connecting(Race::new(attempt.clone(), VecDeque::new()));
        self.clients.arm(index, None);
        if let Err(error) = self.start_connection(index, &Target::Unix(path.clone())) {
            self.fail(index, attempt.failure(ConnectError::Unix { path, error }), None);
        }
    }

    /// Tries the next address, in parallel with those still pending.
    fn try_next(&mut self, index: u32) {
        loop {
            let Some(client) = self.clients.at_mut(index) else { return };
            let Phase::Connecting(race) = &mut client.phase else { return };
            let Some(address) = race.untried.pop_front() else { break };
            race.tried.push(address);
            let is_last = race.untried.is_empty();
            match self.start_connection(index, &Target::Tcp(address)) {
                Ok(()) => {
                    let more = self.now.checked_add(NEXT_ADDRESS_AFTER).filter(|_| !is_last);
                    return self.clients.arm(index, more);
                }
                Err(error) => self.record_error(index, error),
            }
        }
        let Some(client) = self.clients.at_mut(index) else { return };
        let Phase::Connecting(race) = &mut client.phase else { return };
        if race.slots.is_empty() {
            let tried = std::mem::take(&mut race.tried);
            let error = race.error.take().unwrap_or_else(|| io::ErrorKind::NotFound.into());
            let failure = race.attempt.failure(ConnectError::Unreachable { tried, error });
            self.fail(index, failure, None);
        }
    }

    fn record_error(&mut self, index: u32, error: io::Error) {
        if let Some(client) = self.clients.at_mut(index)
            && let Phase::Connecting(race) = &mut client.phase
        {
            race.error = Some(error);
        }
    }

    fn start_connection(&mut self, index: u32, target: &Target) -> io::Result<()> {
        let mut seed = [0; 32];
        self.sys.random(&mut seed)?;
        let Some(id) = self.clients.id_at(index) else { return Ok(()) };
        let slot = self.slots.next().ok_or(io::ErrorKind::OutOfMemory)?;
        let mut socket = self.sys.connect(target)?;
        self.sys.register(&mut socket, slot)?;
        let Some(client) = self.clients.at_mut(index) else { return Ok(()) };
        let Phase::Connecting(race) = &mut client.phase else { return Ok(()) };
        let Attempt { since, request, rules, .. } = race.attempt.clone();
        let mut connection = Connection::client(since, rules, request, seed);
        connection.shares().begin();
        race.slots.push(slot);
        let mut live = Slot::new(connection, self.sockets.keep(slot, socket), NO_SERVER);
        live.set(flag::CONNECTING);
        live.mark(mark::CLIENT);
        // It is writable only once connected.
        live.clear(flag::WRITABLE);
        arm(slot, &mut live, &mut self.deadlines);
        self.slots.put(live, target.address());
        self.clients.bind(slot, id);
        Ok(())
    }

    /// The kernel reports readiness of a connecting socket.
    #[cold]
    pub(crate) fn connect_ready(&mut self, slot: u32, readiness: Readiness) {
        let Self { slots, sockets, dirty, readable, .. } = self;
        let Some(live) = slots.at_mut(slot) else { return };
        let socket = sockets.socket(slot, &live.stream);
        let connected = match socket.take_error() {
            Ok(Some(error)) | Err(error) => Err(error),
            // A Unix socket has no address to query, and connects at once.
            Ok(None) if live.has(flag::NO_PEER) => Ok(()),
            Ok(None) => check_connected(socket.local_addr(), socket.peer_addr()),
        };
        match connected {
            Ok(()) => {
                live.clear(flag::CONNECTING);
                live.set(flag::WRITABLE);
                if !live.has(flag::NO_PEER) {
                    sockets.socket(slot, &live.stream).prepare();
                }
                if readiness.read_closed || readiness.error {
                    live.set(flag::READ_CLOSED);
                }
                if readiness.readable || readiness.read_closed || readiness.error {
                    live.set(flag::READABLE);
                    queue_read(slot, live, readable);
                }
                mark_dirty(slot, live, dirty);
                self.race_won(slot);
                self.begin_layers(slot);
            }
            // Still connecting, after a stale event of an earlier socket; the real edge follows.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
            Err(error) => {
                let client = self.clients.of_slot(slot);
                self.remove_slot(slot);
                let Some(id) = client else { return };
                if let Some(client) = self.clients.get_mut(id)
                    && let Phase::Connecting(race) = &mut client.phase
                {
                    race.slots.retain(|other| *other != slot);
                    race.error = Some(error);
                    self.try_next(id.index);
                }
            }
        }
    }

    /// The race has a winner: removes the other sockets.
    fn race_won(&mut self, winner: u32) {
        let Some(id) = self.clients.of_slot(winner) else { return };
        let Some(client) = self.clients.get_mut(id) else { return };
        let Phase::Connecting(race) = &mut client.phase else { return };
        race.untried.clear();
        let losers = std::mem::replace(&mut race.slots, vec![winner]);
        for slot in losers.into_iter().filter(|slot| *slot != winner) {
            self.remove_slot(slot);
        }
        self.clients.arm(id.index, None);
    }

    /// Starts the tunnel through a proxy, and TLS for a `wss://` address, on the winner.
    fn begin_layers(&mut self, slot: u32) {
        let Self { clients, slots, sockets, now, .. } = self;
        let Some(client) = clients.of_slot(slot).and_then(|id| clients.get(id)) else { return };
        let Phase::Connecting(race) = &client.phase else { return };
        let Attempt { request, rules, config, .. } = &race.attempt;
        let layer = config.layer(request, rules);
        let Some(live) = slots.at_mut(slot) else { return };
        match layer {
            Ok(Some(layer)) => {
                sockets.wrap(slot, &mut live.stream, |inner| Box::new(LayeredSocket::new(inner, layer)));
            }
            Ok(None) => {}
            Err(error) => live.connection.abort(*now, error),
        }
    }

    /// A client's deadline has passed.
    pub(crate) fn client_due(&mut self, index: u32) {
        let Some(client) = self.clients.at_mut(index) else { return };
        match &client.phase {
            Phase::Resolving(attempt) => {
                let failure = ConnectError::name_timed_out(attempt.address().host());
                let failure = attempt.failure(failure);
                self.fail(index, failure, None);
            }
            Phase::Connecting(_) => self.try_next(index),
            Phase::Waiting { .. } => self.begin(index),
            Phase::Idle | Phase::Open { .. } => {}
        }
    }

    /// Updates the client for an event of its connection, before the handler sees it. Returns whether the handler
    /// sees it: a failed attempt is reported as `ConnectFailed` instead.
    #[cold]
    pub(crate) fn on_client_event(&mut self, slot: u32, event: &Event<'_>) -> bool {
        let now = self.now;
        let Some(id) = self.clients.of_slot(slot) else { return true };
        let Some(client) = self.clients.get_mut(id) else { return true };
        match event {
            Event::Open(..) => {
                client.phase = Phase::Open { slot, since: now };
                self.clients.arm(id.index, None);
                true
            }
            Event::Closed(_, closed) if closed.was_open => {
                if let (Phase::Open { since, .. }, Some(policy)) =
                    (&client.phase, client.config.get_reconnect())
                {
                    client.backoff.connection_lasted(policy, now.since(*since));
                }
                self.schedule_next(id.index, Some(closed));
                true
            }
            Event::Closed(_, closed) if self.follow_redirect(id.index, slot, closed) => false,
            Event::Closed(_, closed) => {
                let Some(client) = self.clients.get_mut(id) else { return true };
                let is_connecting = self.slots.at(slot).is_some_and(|live| live.has(flag::CONNECTING));
                let step = if is_connecting { ConnectStep::Connect } else { self.sockets.step(slot) };
                let failure = match &mut client.phase {
                    Phase::Connecting(race) => {
                        race.slots.retain(|other| *other != slot);
                        let tried = std::mem::take(&mut race.tried);
                        race.attempt.failure(ConnectError::of(closed, tried, step))
                    }
                    _ => ConnectError::of(closed, Vec::new(), step),
                };
                self.fail(id.index, failure, Some(closed));
                false
            }
            _ => true,
        }
    }

    /// Follows the redirect with which an attempt's connection ended, if it did; or fails, if that is not allowed.
    fn follow_redirect(&mut self, index: u32, slot: u32, closed: &Closed) -> bool {
        let Some(client) = self.clients.at_mut(index) else { return false };
        let Phase::Connecting(race) = &mut client.phase else { return false };
        let attempt = race.attempt.clone();
        let check = |request: ClientRequest| self.check_request(&request, &attempt.config).map(|()| request);
        let Some(next) = attempt.config.redirected(&attempt.request, closed, check) else { return false };
        if let Some(client) = self.clients.at_mut(index)
            && let Phase::Connecting(race) = &mut client.phase
        {
            race.slots.retain(|other| *other != slot);
        }
        match next {
            Ok(request) => self.pursue(index, Attempt { request, ..attempt }),
            Err(error) => {
                let closed = Some(closed).filter(|_| !error.is_timed_out());
                self.fail(index, error, closed);
            }
        }
        true
    }

    /// An attempt failed.
    pub(crate) fn fail(&mut self, index: u32, error: ConnectError, closed: Option<&Closed>) {
        self.cancel_lookup(index);
        let Some(client) = self.clients.id_at(index) else { return };
        let slots = self.clients.get(client).map(|at| at.slots()).unwrap_or_default();
        for slot in slots {
            self.remove_slot(slot);
        }
        self.clients.push_notice(Notice::Failed { client, error });
        self.schedule_next(index, closed);
    }

    /// An attempt or a connection has ended: decides what follows.
    fn schedule_next(&mut self, index: u32, closed: Option<&Closed>) {
        let Self { clients, sys, now, .. } = self;
        let Some(id) = clients.id_at(index) else { return };
        let Some(client) = clients.at_mut(index) else { return };
        let wait = match client.intent {
            Intent::Again => Some(Duration::ZERO),
            Intent::Policy => {
                client.backoff.schedule_next(client.config.get_reconnect(), closed, || random(sys))
            }
            Intent::Stop => None,
        };
        let Some(delay) = wait else { return self.clients.set_idle(index) };
        let until = now.checked_add(delay);
        if client.intent == Intent::Policy {
            client.phase = Phase::Waiting { until: None };
            let (client, attempts, attempt) = (id, client.attempts, client.backoff.attempt());
            let notice = Notice::Reconnecting { client, attempts, attempt, delay, until };
            self.clients.push_notice(notice);
        } else {
            client.phase = Phase::Waiting { until };
        }
        self.clients.arm(index, None);
    }

    /// The machine slept: waiting clients retry at once, since the network may have changed.
    pub(crate) fn resume_clients(&mut self) {
        let now = self.now;
        for index in self.clients.ids().map(|id| id.index).collect::<Vec<_>>() {
            let Some(client) = self.clients.at_mut(index) else { continue };
            client.backoff.reset();
            if let Phase::Waiting { until } = &mut client.phase {
                *until = Some(now);
                self.clients.arm(index, None);
            }
        }
    }
}

/// A random number. If the system provides none, all clients wait the longest.
fn random(sys: &mut Sys) -> u32 {
    let mut bytes = [0; 4];
    sys.random(&mut bytes).map_or(u32::MAX, |()| u32::from_ne_bytes(bytes))
}
