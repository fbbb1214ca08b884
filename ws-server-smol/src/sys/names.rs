//! Names: looked up on threads of `blocking`, since the system's resolver blocks.
//!
//! At most eight of those threads look names up at a time, however many clients of this process ask: a name that is never
//! answered holds up no other one, and leaves the pool to the files.

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

/// Looks names up; the ports of the answer mean nothing.
type Lookup = Box<dyn Fn(&str) -> io::Result<Addresses> + Send + Sync>;

/// What the clients of a process share to look names up.
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
    /// The system's.
    pub(crate) fn system() -> Arc<Self> {
        static SYSTEM: LazyLock<Arc<Resolver>> =
            LazyLock::new(|| Resolver::new(|host| (host, 0).to_socket_addrs().map(Iterator::collect)));
        SYSTEM.clone()
    }

    /// One that looks names up by this.
    pub fn new(lookup: impl Fn(&str) -> io::Result<Addresses> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { names: Mutex::new(Lookups::new(MAX_LOOKUPS)), lookup: Box::new(lookup) })
    }

    /// The addresses of a host; their ports mean nothing.
    ///
    /// Cancel-safe: dropped, it waits no longer. A lookup that has begun goes on, and other clients of the same name
    /// share it meanwhile.
    pub(crate) async fn look_up(self: Arc<Self>, host: &str) -> Result<Addresses, ConnectError> {
        let waiter = Waiter::default();
        self.names().ask(host, waiter.clone());
        self.begin();
        let asking = Asking { resolver: self, host, waiter };
        poll_fn(|cx| asking.waiter.poll(cx)).await
    }

    /// Starts the lookups that a thread may be had for.
    fn begin(self: &Arc<Self>) {
        loop {
            let Some(host) = self.names().start_next() else { return };
            let resolver = self.clone();
            blocking::unblock(move || {
                let answer = (resolver.lookup)(&host);
                resolver.answered(&host, &answer);
            })
            .detach();
        }
    }

    fn answered(self: &Arc<Self>, host: &str, answer: &io::Result<Addresses>) {
        let waiters = self.names().finish(host);
        for waiter in waiters {
            waiter.tell(answer.as_ref().cloned().map_err(|error| ConnectError::name(host, error)));
        }
        self.begin();
    }

    /// How many names are being looked up.
    pub fn begun(&self) -> usize {
        self.names().running()
    }

    /// How many names wait for a thread.
    pub fn waiting(&self) -> usize {
        self.names().waiting()
    }

    fn names(&self) -> MutexGuard<'_, Lookups<Waiter>> {
        // No code of the application runs under it.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is asked as long as somebody waits for its answer.
struct Asking<'h> {
    resolver: Arc<Resolver>,
    host: &'h str,
    waiter: Waiter,
}

impl Drop for Asking<'_> {
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

    fn tell(&self, answer: Answer) {
        *self.answer() = Some(answer);
        self.0.0.wake();
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Answer> {
        self.0.0.register(cx.waker());
        self.answer().take().map_or(Poll::Pending, Poll::Ready)
    }
}
