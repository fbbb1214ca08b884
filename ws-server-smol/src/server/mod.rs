//! Listening: start, addresses, what is set.

pub(crate) mod accept;
mod connections;
mod fanout;
pub(crate) mod membership;
mod stop;
mod stopping;
pub(crate) mod topics;

use crate::driver::shared::Shared;
use crate::driver::sleep::Sleep;
use crate::extension::{AlreadyExtended, Extension};
use crate::ids::ConnectionId;
use crate::server::stopping::Stopping;
use crate::sys::listener::{Accept, AsyncListener};
use crate::sys::socket::SocketHandle;
use event_listener::Event;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Wake;
use std::time::{Instant, SystemTime};
use ws_host::listen::{self, Scheme, lan_url, url};
use ws_host::listen::{AcceptFailures, Bind, ListenError, Listener};
use ws_host::server::{Admission, ServerConfig, Stats, UpgradeRule};
use ws_host::token::TokenRule;
use ws_host::topics::LatestByKey;
use ws_proto::{Config, Frame, Transport};

/// A server: it listens, counts and limits its connections, and reaches all of them. Clones are the same server.
///
/// Nothing is spawned. The task that awaits [`accept`](Self::accept) accepts, and the task that polls a connection drives
/// it; or [`serve`](Self::serve) does both in one future. It needs no other runtime than `async-io`'s reactor, and
/// neither handlers nor their futures need be `Send`.
///
/// ```no_run
/// use ws_server_smol::{Bind, HttpConnection, Server, ServerConfig, WebSocketError, block_on};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let server = Server::bind(Bind::localhost().port(8700), ServerConfig::new())?;
///     println!("{}", server.url("/").unwrap_or_default());
///     block_on(server.serve(echo));
///     Ok(())
/// }
///
/// async fn echo(http: HttpConnection) -> Result<(), WebSocketError> {
///     let Some(mut ws) = http.upgrade().await else { return Ok(()) };
///     while let Some(message) = ws.next().await {
///         ws.send(message?).await?;
///     }
///     Ok(())
/// }
/// ```
///
/// # Threads
///
/// Handlers, protocol and sockets stay on the threads that poll. `async-io` keeps one helper thread, which only waits.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    /// What is kept for peers that are slow.
    newest: Mutex<LatestByKey<ConnectionId, Frame>>,
    accept_notify: Arc<AcceptNotify>,
    /// A connection is gone, while the server stops.
    gone: Event,
    sleep: Arc<Sleep>,
    extension: OnceLock<Mutex<Box<dyn Extension>>>,
}

/// Notifies all tasks that wait for a connection: one may be there, or the server has changed.
///
/// Listeners are polled with this as their waker, so that several tasks may accept, and none that gave up takes a
/// wake-up with it.
#[derive(Default)]
struct AcceptNotify(Event);

impl Wake for AcceptNotify {
    fn wake(self: Arc<Self>) {
        self.0.notify(usize::MAX);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify(usize::MAX);
    }
}

type BeforeStop = Box<dyn FnMut(&Server) + Send>;
type AcceptFailed = Arc<dyn Fn(&io::Error) + Send + Sync>;

struct State {
    /// For the next start.
    config: ServerConfig,
    phase: Phase,
    members: BTreeMap<ConnectionId, Member>,
    admission: Admission,
    /// Those that asked for an upgrade, and are not open yet.
    upgrading: BTreeSet<ConnectionId>,
    /// Those that were opened.
    websockets: usize,
    topics: ws_host::topics::Topics<ConnectionId>,
    /// With what connections that are gone have received and sent.
    stats: Stats,
    before_stop: Option<BeforeStop>,
    accept_failed: Option<AcceptFailed>,
}

enum Phase {
    Idle,
    Serving(Run),
    Stopping(Stopping),
}

/// From one start to its stop.
struct Run {
    listeners: Vec<AsyncListener>,
    /// Accepting failed for want of something; not again before this.
    retry_at: Option<Instant>,
    /// Whose turn it is to accept.
    turn: usize,
    /// So many were accepted since others could run.
    burst: u32,
    address: Option<SocketAddr>,
    config: Arc<Config>,
    transport: Transport,
    token: Option<Arc<TokenRule>>,
    rule: UpgradeRule,
    failures: AcceptFailures,
}

/// A connection, as the server knows it.
struct Member {
    shared: Arc<Shared>,
    /// Reaches it where no task polls.
    socket: SocketHandle,
    /// It has asked nothing yet.
    new: bool,
    websocket: bool,
}

impl Server {
    /// A server that does not listen yet.
    pub fn new(config: ServerConfig) -> Self {
        Self::with(config, Sleep::new(None))
    }

    /// One with both clocks that are compared to find out whether the machine slept; the `Date` of answers follows them.
    /// For tests.
    #[doc(hidden)]
    pub fn with_clocks(
        config: ServerConfig,
        clocks: impl Fn() -> (Instant, SystemTime) + Send + Sync + 'static,
    ) -> Self {
        Self::with(config, Sleep::new(Some(Arc::new(clocks))))
    }

    fn with(config: ServerConfig, sleep: Sleep) -> Self {
        let state = State {
            admission: Admission::new(&config),
            config,
            phase: Phase::Idle,
            members: BTreeMap::new(),
            upgrading: BTreeSet::new(),
            websockets: 0,
            topics: ws_host::topics::Topics::new(),
            stats: Stats::default(),
            before_stop: None,
            accept_failed: None,
        };
        let inner = Arc::new(Inner {
            state: Mutex::new(state),
            newest: Mutex::default(),
            accept_notify: Arc::default(),
            gone: Event::new(),
            sleep: Arc::new(sleep),
            extension: OnceLock::new(),
        });
        let weak = Arc::downgrade(&inner);
        inner.sleep.set_alarm(move || {
            if let Some(inner) = weak.upgrade() {
                // What is woken may ask the server.
                let all: Vec<_> =
                    inner.state().members.values().map(|member| member.shared.clone()).collect();
                all.iter().for_each(|shared| shared.wakers.driver.wake());
            }
        });
        Self { inner }
    }

    /// A server that listens. Nothing waits here; [`accept`](Self::accept) or [`serve`](Self::serve) take the
    /// connections.
    ///
    /// What is for clients does not compile:
    ///
    /// ```compile_fail,E0308
    /// # use ws_server_smol::{Bind, ClientConfig, Server};
    /// let _ = Server::bind(Bind::localhost(), ClientConfig::new());
    /// ```
    ///
    /// # Errors
    /// [`ListenError`] says what was tried, or which part of the configuration is invalid. Nothing is left behind,
    /// and trying again is fine.
    pub fn bind(bind: impl Into<Bind>, config: ServerConfig) -> Result<Self, ListenError> {
        let server = Self::new(config);
        server.listen(bind)?;
        Ok(server)
    }

    /// Listens: for the first time, again after [`stop`](Self::stop), or, while it runs, there instead of where it
    /// did; its clients stay.
    ///
    /// # Errors
    /// [`ListenError`] says what was tried, or which part of the configuration is invalid; nothing has changed, and
    /// trying again is fine. While the server is about to stop, [`ResourceBusy`](io::ErrorKind::ResourceBusy).
    pub fn listen(&self, bind: impl Into<Bind>) -> Result<(), ListenError> {
        self.inner.state().config.check()?;
        self.start(listen::open(&bind.into())?)
    }

    /// Listens on a listener that was opened elsewhere, TCP or (on unix) a Unix socket: by systemd, say, or by a
    /// parent process. As [`listen`](Self::listen) otherwise; the file of such a Unix socket is left to who made it.
    ///
    /// # Errors
    /// [`ListenError::Io`], when the system refuses to watch it; [`ListenError::Config`], when the configuration is invalid.
    pub fn listen_on(&self, listener: impl Into<Listener>) -> Result<(), ListenError> {
        self.start(vec![listener.into()])
    }

    /// As [`listen_on`](Self::listen_on), on several that accept as they like: for tests.
    ///
    /// # Errors
    /// As [`listen_on`](Self::listen_on).
    #[doc(hidden)]
    pub fn listen_on_fakes(&self, listeners: Vec<Box<dyn Accept>>) -> Result<(), ListenError> {
        let listeners = listeners.into_iter().map(AsyncListener::Other).collect();
        self.start_on(listeners, Transport::tcp([]))
    }

    fn start(&self, listeners: Vec<Listener>) -> Result<(), ListenError> {
        let transport = listen::transport(&listeners);
        let watched = listeners.into_iter().map(AsyncListener::new).collect::<io::Result<_>>();
        self.start_on(watched.map_err(failed)?, transport)
    }

    fn start_on(&self, listeners: Vec<AsyncListener>, transport: Transport) -> Result<(), ListenError> {
        let address = listeners.first().and_then(AsyncListener::local_addr);
        let mut state = self.inner.state();
        state.config.check()?;
        match &state.phase {
            Phase::Stopping(_) if !state.members.is_empty() => {
                return Err(failed(io::ErrorKind::ResourceBusy.into()));
            }
            Phase::Serving(_) => {}
            Phase::Idle | Phase::Stopping(_) => state.admission = Admission::new(&state.config),
        }
        let config = state.config.connection_config();
        if let Some(clock) = config.get_wall_clock() {
            self.inner.sleep.keep(clock);
        }
        let token = state.config.token_rule(address).map(Arc::new);
        let rule = state.config.upgrade_rule();
        state.phase = Phase::Serving(Run {
            listeners,
            retry_at: None,
            turn: 0,
            burst: 0,
            address,
            config: Arc::new(config),
            transport,
            token,
            rule,
            failures: AcceptFailures::default(),
        });
        drop(state);
        self.inner.accept_notify.0.notify(usize::MAX);
        self.inner.gone.notify(usize::MAX);
        Ok(())
    }

    /// Sets what holds from the next [`listen`](Self::listen) on: connections that are there keep their rules; the
    /// limits change once the server has stopped. An invalid one is the error of that `listen`.
    pub fn set_config(&self, config: ServerConfig) {
        self.inner.state().config = config;
    }

    /// Sets what is called when the server begins to stop, after the extension and before any client is told:
    /// all of them are still there. It replaces the one that was set before.
    pub fn before_stop(&self, hook: impl FnMut(&Server) + Send + 'static) {
        self.inner.state().before_stop = Some(Box::new(hook));
    }

    /// Sets what is called when a connection could not be accepted, for want of descriptors or memory, say. It is
    /// called once, until one is accepted again; meanwhile accepting is retried ten times a second, and peers wait in the
    /// kernel.
    pub fn on_accept_failed(&self, hook: impl Fn(&io::Error) + Send + Sync + 'static) {
        self.inner.state().accept_failed = Some(Arc::new(hook));
    }

    /// Sets the extension of this server, for good.
    ///
    /// # Errors
    /// [`AlreadyExtended`]: the first one stays.
    pub fn set_extension(&self, extension: impl Extension + 'static) -> Result<(), AlreadyExtended> {
        self.inner.extension.set(Mutex::new(Box::new(extension))).map_err(|_| AlreadyExtended)
    }

    /// Whether it listens.
    pub fn is_running(&self) -> bool {
        self.inner.state().run().is_some()
    }

    /// The address that it listens on, port included; the IPv4 one on `localhost`. `None` on a Unix socket, and
    /// while it does not listen.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.inner.state().run()?.address
    }

    /// The address to connect to from this machine: `ws://127.0.0.1:8700/path`, and `localhost` for a server on
    /// every interface. A slash in front of the path may be left out; what no URL contains is encoded. `None` while
    /// it does not listen.
    pub fn url(&self, path: &str) -> Option<String> {
        Some(url(Scheme::Ws, self.local_addr()?, path))
    }

    /// As [`url`](Self::url), with `http` in front: what to give to a browser.
    pub fn http_url(&self, path: &str) -> Option<String> {
        Some(url(Scheme::Http, self.local_addr()?, path))
    }

    /// The address to connect to from the local network: of a server on every interface this machine's address on
    /// its default route, otherwise the one that it is bound to. `None` where the network cannot reach it, or there
    /// is none.
    ///
    /// The system is asked for the route to a reserved address: no packet is sent, no name is looked up, and
    /// nothing is waited for.
    pub fn lan_url(&self, path: &str) -> Option<String> {
        lan_url(Scheme::Ws, self.local_addr()?, path)
    }

    /// As [`lan_url`](Self::lan_url), with `http` in front: what to show as a QR code, say.
    pub fn lan_http_url(&self, path: &str) -> Option<String> {
        lan_url(Scheme::Http, self.local_addr()?, path)
    }

    /// All of them: for each listener its address, and at last the one for the local network, where there is one.
    pub fn urls(&self, path: &str) -> Vec<String> {
        let state = self.inner.state();
        let Some(run) = state.run() else { return Vec::new() };
        listen::urls(run.listeners.iter().filter_map(AsyncListener::local_addr), path)
    }

    /// Calls the extension, where there is one.
    fn extend<T>(&self, call: impl FnOnce(&mut dyn Extension) -> T) -> Option<T> {
        let mut extension = self.inner.extension.get()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(call(&mut **extension))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("local_addr", &self.local_addr()).finish_non_exhaustive()
    }
}

fn failed(error: io::Error) -> ListenError {
    ListenError::Io { tried: Vec::new(), error }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code of the application runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn newest(&self) -> MutexGuard<'_, LatestByKey<ConnectionId, Frame>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn run(&self) -> Option<&Run> {
        match &self.phase {
            Phase::Serving(run) => Some(run),
            Phase::Idle | Phase::Stopping(_) => None,
        }
    }

    /// A connection is gone: what is counted and kept for it, but for the names of its topics.
    fn remove(&mut self, id: ConnectionId) -> Option<Member> {
        let member = self.members.remove(&id)?;
        self.upgrading.remove(&id);
        self.topics.leave(id);
        self.websockets -= usize::from(member.websocket);
        if member.new {
            self.admission.handshake_done();
        }
        self.admission.release(member.shared.peer);
        member.shared.add_to(&mut self.stats);
        Some(member)
    }
}
