//! Names: each is looked up on a thread of its own, since the system's resolver blocks.
//!
//! ```text
//!  a client asks ─▶ Names ──begin, at most 8──▶ thread "ws-names" ──Remote::run──▶ Connections::resolved
//!                     ▲                                                               │ all its clients go on
//!                     └───────────────────────── the next name ◀──────────────────────┘
//! ```

use crate::client::list::{ClientId, Phase};
use crate::connection::Connections;
use crate::endpoint::options::Lookup;
use crate::endpoint::remote::Remote;
use std::io;
use std::net::SocketAddr;
use std::thread;
use ws_host::client::ConnectFailure;
use ws_host::client::in_turn;
use ws_host::client::{LOOKUPS, Names};

#[cfg(test)]
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// A client, and which of its attempts waits.
type Waiter = (ClientId, u32);

/// Looks names up. A thread lives for one name, so that there is none without one. A thread that is at work when the
/// endpoint goes ends with its answer.
pub(crate) struct Resolver {
    remote: Remote,
    names: Names<Waiter>,
    lookup: Lookup,
    /// The test answers in the system's place.
    #[cfg(test)]
    asked: Option<SyncSender<String>>,
}

impl Resolver {
    pub(crate) fn new(remote: Remote, lookup: Lookup) -> Self {
        Self {
            remote,
            names: Names::new(LOOKUPS),
            lookup,
            #[cfg(test)]
            asked: None,
        }
    }

    /// A resolver whose names the test looks up; the channel to it has this capacity.
    #[cfg(test)]
    pub(crate) fn asking(remote: Remote, queue: usize) -> (Self, Receiver<String>) {
        let (asked, names) = sync_channel(queue);
        (Self { asked: Some(asked), ..Self::new(remote, Lookup::default()) }, names)
    }

    /// Starts the lookup of a name; its answer comes by [`Connections::resolved`].
    fn start(&self, host: String) -> io::Result<()> {
        #[cfg(test)]
        if let Some(asked) = &self.asked {
            return asked.try_send(host).map_err(|_| io::ErrorKind::WouldBlock.into());
        }
        let (lookup, remote) = (self.lookup.clone(), self.remote.clone());
        let work = move || {
            let answer = lookup.look_up(&host);
            // Without an endpoint there is nothing left to tell.
            let _ = remote.run(move |connections| connections.resolved(&host, answer));
        };
        thread::Builder::new().name("ws-names".into()).spawn(work).map(drop)
    }
}

impl Connections {
    /// Adds a client that waits for its name. Where no thread can be had, its attempt fails.
    pub(crate) fn ask_name(&mut self, host: &str, client: ClientId, attempt: u32) {
        match &mut self.resolver {
            Some(resolver) => {
                resolver.names.ask(host, (client, attempt));
                self.begin_lookups();
            }
            None => self.tell_answer(host, vec![(client, attempt)], Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// A client no longer waits for its name, if it did.
    pub(crate) fn leave_name(&mut self, index: u32) {
        let Some(id) = self.clients.id_at(index) else { return };
        let Some(client) = self.clients.get(id) else { return };
        if let (Phase::Resolving(attempt), Some(resolver)) = (&client.phase, &mut self.resolver) {
            resolver.names.leave(attempt.request.host(), &(id, client.attempts));
        }
    }

    /// A name was looked up.
    pub(crate) fn resolved(&mut self, host: &str, answer: io::Result<Vec<SocketAddr>>) {
        let Some(resolver) = &mut self.resolver else { return };
        let waiters = resolver.names.answered(host);
        self.tell_answer(host, waiters, answer);
        self.begin_lookups();
    }

    fn begin_lookups(&mut self) {
        while let Some(resolver) = &mut self.resolver
            && let Some(host) = resolver.names.begin()
        {
            if let Err(error) = resolver.start(host.clone()) {
                let waiters = resolver.names.answered(&host);
                self.tell_answer(&host, waiters, Err(error));
            }
        }
    }

    /// The clients that waited for a name go on.
    fn tell_answer(&mut self, host: &str, waiters: Vec<Waiter>, answer: io::Result<Vec<SocketAddr>>) {
        for (id, attempts) in waiters {
            let client = self.clients.get(id).filter(|client| client.attempts == attempts);
            let Some(Phase::Resolving(attempt)) = client.map(|client| &client.phase) else { continue };
            match &answer {
                Ok(addresses) => {
                    let port = attempt.request.port();
                    let addresses = addresses.iter().map(|address| with_port(*address, port));
                    self.race(id.index, attempt.clone(), in_turn(addresses));
                }
                Err(error) => self.fail(id.index, ConnectFailure::name(host, error), None),
            }
        }
    }
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}
