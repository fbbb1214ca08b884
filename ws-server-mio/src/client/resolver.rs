//! Names: each is looked up on a thread of its own, since the system's resolver blocks.
//!
//! ```text
//!  a client asks ─▶ Names ──begin, at most 8──▶ thread "ws-names" ──Remote::run──▶ Connections::resolved
//!                     ▲                                                               │ all its clients go on
//!                     └───────────────────────── the next name ◀──────────────────────┘
//! ```

use crate::endpoint::options::Lookup;
use crate::endpoint::remote::Remote;
use crate::ids::ClientId;
use std::io;
use std::thread;
use ws_host::client::{LOOKUPS, Names};

#[cfg(test)]
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// A client, and which of its attempts waits.
pub(crate) type Waiter = (ClientId, u32);

/// Looks names up. A thread lives for one name, so that there is none without one. A thread that is at work when the
/// endpoint goes ends with its answer.
pub(crate) struct Resolver {
    remote: Remote,
    pub(crate) names: Names<Waiter>,
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
    pub(crate) fn start(&self, host: String) -> io::Result<()> {
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
