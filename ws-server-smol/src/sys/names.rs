//! Looks names up on threads of `blocking`, since the system's resolver blocks.
//!
//! At most eight of those threads look names up at a time, for all clients of the process: a name that never resolves
//! does not delay other names, and leaves the rest of the pool to file reads.

use atomic_waker::AtomicWaker;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use ws_host::client::ConnectError;
use ws_host::client::{Lookups, MAX_LOOKUPS};

type Addresses = Vec<SocketAddr>;
type Answer = Result<Addresses, ConnectError>;

/// Looks a name up; the ports of the result are ignored.
type Lookup = Box<dyn Fn(&str) -> io::Result<Addresses> + Send + Sync>;

/// The name resolver that all clients of a process share.
pub struct Resolver {
    names: Mutex<Lookups<Waiter>>,
    lookup: Lookup,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// Returns the system's resolver.
    pub(crate) fn system() -> Arc<Self> {
        static SYSTEM: LazyLock<Arc<Resolver>> =
            LazyLock::new(|| Resolver::new(|host| (host, 0).to_socket_addrs().map(Iterator::collect)));
        SYSTEM.clone()
    }

    /// Creates a resolver with this lookup function.
    pub fn new(lookup: impl Fn(&str) -> io::Result<Addresses> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { names: Mutex::new(Lookups::new(MAX_LOOKUPS)), lookup: Box::new(lookup) })
    }

    /// Returns the addresses of a host; ignore their ports.
    ///
    /// Cancel-safe. A lookup that has begun continues, and other clients of the same name share it meanwhile.
    pub(crate) async fn look_up(self: Arc<Self>, host: &str) -> Result<Addresses, ConnectError> {
        let waiter = Waiter::default();
        self.names().request(host, waiter.clone());
        self.start_pending();
        let query = PendingQuery { resolver: self, host, waiter };
        poll_fn(|cx| query.waiter.poll(cx)).await
    }

    /// Starts pending lookups, up to the limit.
    fn start_pending(self: &Arc<Self>) {
        loop {
            let Some(host) = self.names().start_next() else { return };
            let resolver = self.clone();
            blocking::unblock(move || {
                let answer = (resolver.lookup)(&host);
                resolver.finish(&host, &answer);
            })
            .detach();
        }
    }

    fn finish(self: &Arc<Self>, host: &str, answer: &io::Result<Addresses>) {
        let waiters = self.names().finish(host);
        for waiter in waiters {
            waiter.complete(answer.as_ref().cloned().map_err(|error| ConnectError::name(host, error)));
        }
        self.start_pending();
    }

    /// Returns how many lookups are running.
    pub fn running(&self) -> usize {
        self.names().running()
    }

    /// Returns how many names wait for a thread.
    pub fn waiting(&self) -> usize {
        self.names().waiting()
    }

    fn names(&self) -> MutexGuard<'_, Lookups<Waiter>> {
        // No application code runs under this lock.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pending query, cancelled on drop.
struct PendingQuery<'h> {
    resolver: Arc<Resolver>,
    host: &'h str,
    waiter: Waiter,
}

impl Drop for PendingQuery<'_> {
    fn drop(&mut self) {
        self.resolver.names().cancel(self.host, &self.waiter);
    }
}

/// A task that waits for a name.
#[derive(Clone, Default)]
struct Waiter(Arc<(AtomicWaker, Mutex<Option<Answer>>)>);

impl PartialEq for Waiter {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Waiter {
    fn answer(&self) -> MutexGuard<'_, Option<Answer>> {
        self.0.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complete(&self, answer: Answer) {
        *self.answer() = Some(answer);
        self.0.0.wake();
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Answer> {
        self.0.0.register(cx.waker());
        self.answer().take().map_or(Poll::Pending, Poll::Ready)
    }
}
