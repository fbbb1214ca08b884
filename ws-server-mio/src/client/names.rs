//! Clients that wait for a name.

use crate::client::list::Phase;
use crate::client::resolver::Waiter;
use crate::connection::Connections;
use crate::ids::ClientId;
#[cfg(feature = "tls-no-provider")]
use crate::sys::Answer;
use std::io;
use std::net::SocketAddr;
use ws_host::client::ConnectError;
use ws_host::client::{addresses, interleaved};
#[cfg(feature = "tls-no-provider")]
use ws_host::tls::TlsClient;

impl Connections {
    /// Adds a client that waits for its name. If no thread can be spawned, its attempt fails.
    pub(crate) fn look_up_name(&mut self, host: &str, client: ClientId, attempt: u32) {
        match &mut self.resolver {
            Some(resolver) => {
                resolver.names.request(host, (client, attempt));
                self.begin_lookups();
            }
            None => {
                self.resume_waiters(host, vec![(client, attempt)], Err(io::ErrorKind::Unsupported.into()))
            }
        }
    }

    /// Ends a client's wait for its name, if it waits.
    pub(crate) fn cancel_lookup(&mut self, index: u32) {
        let Some(id) = self.clients.id_at(index) else { return };
        let Some(client) = self.clients.get(id) else { return };
        if let (Phase::Resolving(attempt), Some(resolver)) = (&client.phase, &mut self.resolver) {
            resolver.names.cancel(attempt.address().host(), &(id, client.attempts));
        }
    }

    /// A name was looked up.
    pub(crate) fn resolved(&mut self, host: &str, answer: io::Result<Vec<SocketAddr>>) {
        let Some(resolver) = &mut self.resolver else { return };
        let waiters = resolver.names.finish(host);
        self.resume_waiters(host, waiters, answer);
        self.begin_lookups();
    }

    fn begin_lookups(&mut self) {
        while let Some(resolver) = &mut self.resolver
            && let Some(host) = resolver.names.start_next()
        {
            let answer = (resolver.answer)(host.clone());
            #[cfg(feature = "tls-no-provider")]
            let answer = prepared(std::mem::take(&mut resolver.unprepared), answer);
            if let Err(error) = self.sys.look_up(&host, answer) {
                let waiters = resolver.names.finish(&host);
                self.resume_waiters(&host, waiters, Err(error));
            }
        }
    }

    /// Resumes the clients that waited for a name.
    fn resume_waiters(&mut self, host: &str, waiters: Vec<Waiter>, answer: io::Result<Vec<SocketAddr>>) {
        for (id, attempts) in waiters {
            let client = self.clients.get(id).filter(|client| client.attempts == attempts);
            let Some(Phase::Resolving(attempt)) = client.map(|client| &client.phase) else { continue };
            if let Ok(Some(addresses)) = addresses(attempt.address()) {
                // The host is an address: the client waited only for the roots of the system.
                self.race(id.index, attempt.clone(), addresses);
                continue;
            }
            match &answer {
                Ok(addresses) => {
                    let addresses = interleaved(addresses.iter().copied(), attempt.address().port());
                    self.race(id.index, attempt.clone(), addresses);
                }
                Err(error) => {
                    let failure = attempt.failure(ConnectError::name(host, error));
                    self.fail(id.index, failure, None);
                }
            }
        }
    }
}

/// Reads the roots of the system on the thread of the lookup. If there are none, the attempt fails with that error.
#[cfg(feature = "tls-no-provider")]
fn prepared(unprepared: Vec<TlsClient>, answer: Answer) -> Answer {
    if unprepared.is_empty() {
        return answer;
    }
    Box::new(move |addresses| {
        for tls in &unprepared {
            let _ = tls.prepare();
        }
        answer(addresses);
    })
}
