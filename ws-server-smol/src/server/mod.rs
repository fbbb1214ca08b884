//! Listening: start, addresses, settings.

pub(crate) mod accept;
mod connections;
mod extending;
mod fanout;
mod lingering;
pub(crate) mod membership;
mod slot;
mod stop;
mod stopping;
pub(crate) mod topics;

use crate::driver::shared::Shared;
use crate::driver::sleep::Sleep;
use crate::extension::{AlreadyExtended, Extension};
use crate::gate::Gate;
use crate::ids::ConnectionId;
use crate::server::lingering::Lingering;
use crate::server::slot::Slot;
use crate::server::stopping::Stopping;
use crate::sys::listener::{Accept, AsyncListener};
use crate::sys::socket::SocketHandle;
use event_listener::Event;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Wake;
use std::time::{Instant, SystemTime};
use ws_host::listen::{self, Scheme, lan_url, url};
use ws_host::listen::{AcceptFailures, Bind, ListenError, Listener};
use ws_host::server::{Admission, ServerConfig, Stats, UpgradeRule};
#[cfg(feature = "tls-no-provider")]
use ws_host::tls::ServerTls;
use ws_host::token::{Bearers, TokenRule};
use ws_host::topics::LatestByKey;
use ws_proto::{Config, Frame, Transport};

/// A server: it listens, counts and limits its connections, and can reach each of them. Clones share the same server.
///
/// Nothing is spawned. The task that awaits [`accept`](Self::accept) accepts, and the task that polls a connection
/// drives it; or [`serve`](Self::serve) does both in one future. It needs no runtime except `async-io`'s reactor, and
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
    /// Frames kept for slow peers.
    latest: Mutex<LatestByKey<ConnectionId, Frame>>,
    accept_notify: Arc<AcceptNotify>,
    /// Notified when a connection is gone while the server stops.
    ended: Event,
    sleep: Arc<Sleep>,
    extension: OnceLock<Slot>,
}

/// Notifies all tasks that wait for a connection: one may be ready, or the server has changed.
///
/// Listeners are polled with this as their waker, so several tasks may accept, and a cancelled task loses no wake-up.
#[derive(Default)]
struct AcceptNotify {
    event: Event,
    /// Held while the server is locked and its listeners are polled.
    gate: Gate,
}

impl AcceptNotify {
    fn notify(&self) {
        if self.gate.passes(1) {
            self.event.notify(usize::MAX);
        }
    }

    /// Holds notifications back until the server is unlocked: declare it first.
    fn hold(&self) -> impl Drop {
        self.gate.hold(|_| _ = self.event.notify(usize::MAX))
    }
}

impl Wake for AcceptNotify {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}

type BeforeStop = Box<dyn FnMut(&Server) + Send>;
type AcceptFailed = Arc<dyn Fn(&io::Error) + Send + Sync>;

struct State {
    /// For the next start.
    config: ServerConfig,
    phase: Phase,
    members: BTreeMap<ConnectionId, Member>,
    admission: Arc<Mutex<Admission>>,
    /// Connections that requested an upgrade and are not open yet.
    upgrading: BTreeSet<ConnectionId>,
    /// How many are open.
    websockets: usize,
    topics: ws_host::topics::Topics<ConnectionId>,
    /// The rule of the connections that are accepted now.
    token: Option<Arc<TokenRule>>,
    bearers: Bearers<ConnectionId>,
    /// Includes the traffic of closed connections.
    stats: Stats,
    before_stop: Option<BeforeStop>,
    accept_failed: Option<AcceptFailed>,
    /// Exists as long as a stop or `serve` polls it.
    lingering: Weak<Lingering>,
}

enum Phase {
    Idle,
    Serving(Run),
    Stopping(Stopping),
}

/// From one start to its stop.
struct Run {
    listeners: Vec<AsyncListener>,
    /// Accepting failed for lack of a resource; do not retry before this.
    retry_at: Option<Instant>,
    /// Which listener accepts next.
    turn: usize,
    /// Connections accepted since the last yield.
    burst: u32,
    address: Option<SocketAddr>,
    is_tls: bool,
    #[cfg(feature = "tls-no-provider")]
    tls: Option<ServerTls>,
    config: Arc<Config>,
    transport: Transport,
    rule: UpgradeRule,
    failures: AcceptFailures,
}

/// What the server knows about a connection.
struct Member {
    shared: Arc<Shared>,
    /// Reaches the connection even if no task polls it.
    socket: SocketHandle,
    /// It has sent no request yet.
    new: bool,
    websocket: bool,
}

/// As [`Server::new`], with the two clocks that detect system sleep; the `Date` of responses follows them. For tests.
#[doc(hidden)]
pub fn server_with_clocks(
    config: ServerConfig,
    clocks: impl Fn() -> (Instant, SystemTime) + Send + Sync + 'static,
) -> Server {
    Server::with(config, Sleep::new(Some(Arc::new(clocks))))
}

/// As [`Server::listen_on`], on fake listeners. For tests.
///
/// # Errors
/// As [`Server::listen_on`].
#[doc(hidden)]
pub fn listen_on_fakes(server: &Server, listeners: Vec<Box<dyn Accept>>) -> Result<(), ListenError> {
    let listeners = listeners.into_iter().map(AsyncListener::Other).collect();
    server.start_on(listeners, Transport::tcp([]))
}

impl Server {
    /// Creates a server that does not listen yet.
    pub fn new(config: ServerConfig) -> Self {
        Self::with(config, Sleep::new(None))
    }

    fn with(config: ServerConfig, sleep: Sleep) -> Self {
        let state = State {
            admission: Arc::new(Mutex::new(Admission::new(&config))),
            config,
            phase: Phase::Idle,
            members: BTreeMap::new(),
            upgrading: BTreeSet::new(),
            websockets: 0,
            topics: ws_host::topics::Topics::new(),
            token: None,
            bearers: Bearers::default(),
            stats: Stats::default(),
            before_stop: None,
            accept_failed: None,
            lingering: Weak::new(),
        };
        let inner = Arc::new(Inner {
            state: Mutex::new(state),
            latest: Mutex::default(),
            accept_notify: Arc::default(),
            ended: Event::new(),
            sleep: Arc::new(sleep),
            extension: OnceLock::new(),
        });
        let weak = Arc::downgrade(&inner);
        inner.sleep.set_alarm(move || {
            if let Some(inner) = weak.upgrade() {
                // A woken task may call the server, so release the lock first.
                let all: Vec<_> =
                    inner.state().members.values().map(|member| member.shared.clone()).collect();
                all.iter().for_each(|shared| shared.wakers.wake_driver());
            }
        });
        Self { inner }
    }

    /// Creates a server and listens. This does not block; [`accept`](Self::accept) or [`serve`](Self::serve) accepts
    /// connections.
    ///
    /// A client configuration does not compile:
    ///
    /// ```compile_fail,E0308
    /// # use ws_server_smol::{Bind, ClientConfig, Server};
    /// let _ = Server::bind(Bind::localhost(), ClientConfig::new());
    /// ```
    ///
    /// # Errors
    /// [`ListenError`] says what was tried, or which part of the configuration is invalid. Nothing is left behind, and
    /// you may retry.
    pub fn bind(bind: impl Into<Bind>, config: ServerConfig) -> Result<Self, ListenError> {
        let server = Self::new(config);
        server.listen(bind)?;
        Ok(server)
    }

    /// Listens: for the first time, again after [`stop`](Self::stop), or, on a running server, at the new address
    /// instead of the old one; its connections stay.
    ///
    /// # Errors
    /// [`ListenError`] says what was tried, or which part of the configuration is invalid; nothing has changed, and you
    /// may retry. While the server is stopping, [`ResourceBusy`](io::ErrorKind::ResourceBusy).
    pub fn listen(&self, bind: impl Into<Bind>) -> Result<(), ListenError> {
        self.inner.state().config.check()?;
        self.start(listen::open(&bind.into())?)
    }

    /// Listens on an existing listener, TCP or (on unix) a Unix socket, from systemd or a parent process, say.
    /// Otherwise as [`listen`](Self::listen), but the server does not remove the file of such a Unix socket.
    ///
    /// # Errors
    /// [`ListenError::Io`] if the system cannot watch the listener; [`ListenError::Config`] if the configuration is
    /// invalid.
    pub fn listen_on(&self, listener: impl Into<Listener>) -> Result<(), ListenError> {
        self.start(vec![listener.into()])
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
            Phase::Idle | Phase::Stopping(_) => {
                let rejected = state.admission().rejected();
                state.stats.rejected += rejected;
                state.admission = Arc::new(Mutex::new(Admission::new(&state.config)));
            }
        }
        let trusted = state.admission().trusted_proxies().cloned();
        let config = state.config.clone().trusted_proxies(trusted).connection_config_at(address);
        if let Some(clock) = config.get_wall_clock() {
            self.inner.sleep.attach(clock);
        }
        state.token = state.config.token_rule(address, config.get_wall_clock()).map(Arc::new);
        let (rule, is_tls) = (state.config.upgrade_rule(), state.config.is_tls());
        #[cfg(feature = "tls-no-provider")]
        let tls = state.config.server_tls(&config);
        state.phase = Phase::Serving(Run {
            listeners,
            retry_at: None,
            turn: 0,
            burst: 0,
            address,
            is_tls,
            #[cfg(feature = "tls-no-provider")]
            tls,
            config: Arc::new(config),
            transport,
            rule,
            failures: AcceptFailures::default(),
        });
        drop(state);
        self.inner.accept_notify.notify();
        self.inner.ended.notify(usize::MAX);
        Ok(())
    }

    /// Sets the configuration from the next [`listen`](Self::listen) on: existing connections keep their rules, and the
    /// limits and the trusted proxies change once the server has stopped. If it is invalid, that `listen` fails.
    pub fn set_config(&self, config: ServerConfig) {
        self.inner.state().config = config;
    }

    /// Sets a hook that runs when the server begins to stop, after the extension and before any Close is sent: all
    /// connections are still open. It replaces the previous hook.
    pub fn before_stop(&self, hook: impl FnMut(&Server) + Send + 'static) {
        let _previous = self.inner.state().before_stop.replace(Box::new(hook));
    }

    /// Sets a hook that runs when a connection cannot be accepted, for lack of descriptors or memory, say. It runs
    /// once, and not again until a connection has been accepted; meanwhile accepting is retried ten times a second, and
    /// peers wait in the kernel.
    pub fn on_accept_failed(&self, hook: impl Fn(&io::Error) + Send + Sync + 'static) {
        let _previous = self.inner.state().accept_failed.replace(Arc::new(hook));
    }

    /// Sets the extension of this server, permanently.
    ///
    /// # Errors
    /// [`AlreadyExtended`]: the first one stays.
    pub fn set_extension(&self, extension: impl Extension + 'static) -> Result<(), AlreadyExtended> {
        self.inner.extension.set(Slot::new(Box::new(extension))).map_err(|_| AlreadyExtended)
    }

    /// Whether the server listens.
    pub fn is_running(&self) -> bool {
        self.inner.state().run().is_some()
    }

    /// Returns the address that the server listens on, with the port; on `localhost` the IPv4 address. `None` on a Unix
    /// socket, and while it does not listen.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.inner.state().run()?.address
    }

    /// Returns the URL to connect to from this machine: `ws://127.0.0.1:8700/path`, or `localhost` for a server on
    /// every interface. The leading slash of the path is optional; characters that are invalid in a URL are encoded.
    /// With TLS, the scheme is `wss`. `None` while it does not listen.
    pub fn url(&self, path: &str) -> Option<String> {
        let (scheme, address) = self.inner.state().run()?.at(Scheme::Ws)?;
        Some(url(scheme, address, path))
    }

    /// As [`url`](Self::url), with the scheme `http`, or `https` with TLS, for a browser.
    pub fn http_url(&self, path: &str) -> Option<String> {
        let (scheme, address) = self.inner.state().run()?.at(Scheme::Http)?;
        Some(url(scheme, address, path))
    }

    /// Returns the URL to connect to from the local network: for a server on every interface it has this machine's
    /// address on the default route, or without one a private address of its interfaces; otherwise the bound address.
    /// `None` if the network cannot reach it, or there is none.
    ///
    /// This asks the system for the route to a reserved address: it sends no packet, looks up no name and does not
    /// block.
    pub fn lan_url(&self, path: &str) -> Option<String> {
        let (scheme, address) = self.inner.state().run()?.at(Scheme::Ws)?;
        lan_url(scheme, address, path)
    }

    /// As [`lan_url`](Self::lan_url), with the scheme `http`, or `https` with TLS, for a QR code, say.
    pub fn lan_http_url(&self, path: &str) -> Option<String> {
        let (scheme, address) = self.inner.state().run()?.at(Scheme::Http)?;
        lan_url(scheme, address, path)
    }

    /// Returns all URLs: one for each listener, and last the one for the local network, if any.
    pub fn urls(&self, path: &str) -> Vec<String> {
        let state = self.inner.state();
        let Some(run) = state.run() else { return Vec::new() };
        let addresses = run.listeners.iter().filter_map(AsyncListener::local_addr);
        listen::urls(Scheme::Ws.secure(run.is_tls), addresses, path)
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
        // No application code runs under this lock, and no application value is dropped.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn latest(&self) -> MutexGuard<'_, LatestByKey<ConnectionId, Frame>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    /// The scheme that fits its TLS, and the address.
    fn at(&self, scheme: Scheme) -> Option<(Scheme, SocketAddr)> {
        Some((scheme.secure(self.is_tls), self.address?))
    }
}

impl State {
    fn run(&self) -> Option<&Run> {
        match &self.phase {
            Phase::Serving(run) => Some(run),
            Phase::Idle | Phase::Stopping(_) => None,
        }
    }
}
