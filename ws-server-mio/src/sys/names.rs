//! Name lookups, each on its own thread: the system's resolver blocks.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;

/// Receives the addresses of a name; their ports are ignored.
pub type Answer = Box<dyn Fn(io::Result<Vec<SocketAddr>>) + Send>;

/// Looks up names.
#[derive(Clone, Default)]
pub(crate) struct Lookup(pub(crate) Option<Arc<LookupFn>>);

type LookupFn = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

impl Lookup {
    fn look_up(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        match &self.0 {
            None => (host, 0).to_socket_addrs().map(Iterator::collect),
            Some(lookup) => lookup(host),
        }
    }

    /// Spawns a thread for this name. If it outlives the endpoint, it ends with its answer.
    pub(crate) fn start(&self, host: String, answer: Answer) -> io::Result<()> {
        let lookup = self.clone();
        let work = move || answer(lookup.look_up(&host));
        thread::Builder::new().name("ws-names".into()).spawn(work).map(drop)
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Lookup(custom)" } else { "Lookup(system)" })
    }
}
