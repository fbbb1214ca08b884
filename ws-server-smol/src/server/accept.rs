//! Accepts connections, within the limits; `serve.rs` turns them into HTTP connections.

use crate::clock::{self, until, yield_now};
use crate::driver::peer::lock;
use crate::driver::{Driver, DriverOptions};
use crate::server::membership::Membership;
use crate::server::{Member, Phase, Run, Server};
use crate::sys::layered::Layers;
use crate::sys::socket::Socket;
use event_listener::listener;
use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use ws_host::layer::Layer;
use ws_host::listen::AfterFailure;
use ws_host::server::UpgradeRule;
#[cfg(feature = "tls-no-provider")]
use ws_host::tls::TlsLayer;
use ws_proto::Connection;

/// Accepting yields after this many connections: a flooded listener is always ready.
const BURST: u32 = 16;

/// A connection that the server has accepted and counted.
pub(crate) struct Admitted {
    pub(crate) driver: Driver<Socket>,
    pub(crate) membership: Membership<Socket>,
    /// Decides which upgrades become a WebSocket.
    pub(crate) rule: UpgradeRule,
}

/// The result of one attempt to accept.
#[expect(clippy::large_enum_variant, reason = "it lives for one match")]
enum Attempt {
    Admitted(Admitted),
    /// The peer has left, or was rejected.
    NoConnection,
    /// Other tasks have not run for a while.
    Yield,
    /// Wait until `AcceptNotify` notifies, or until this instant.
    Wait(Option<Instant>),
    Failed(io::Error),
    NotListening,
}

impl Run {
    /// TLS of a new connection, if the server speaks it.
    fn tls_layer(&self) -> Option<Layer> {
        #[cfg(feature = "tls-no-provider")]
        let layer = self.tls.as_ref().map(|tls| TlsLayer::server(tls.clone()).into());
        #[cfg(not(feature = "tls-no-provider"))]
        let layer = None;
        layer
    }
}

impl Server {
    /// Returns the next connection, or `None` if the server does not listen.
    pub(crate) async fn admit(&self) -> Option<Admitted> {
        loop {
            listener!(self.inner.accept_notify.event => notified);
            match self.attempt() {
                Attempt::Admitted(admitted) => return Some(admitted),
                Attempt::NotListening => return None,
                Attempt::NoConnection => {}
                Attempt::Yield => yield_now().await,
                Attempt::Wait(deadline) => until(notified, deadline).await,
                Attempt::Failed(error) => {
                    let hook = self.inner.state().accept_failed.clone();
                    if let Some(hook) = hook {
                        hook(&error);
                    }
                }
            }
        }
    }

    fn attempt(&self) -> Attempt {
        let _held = self.inner.accept_notify.hold();
        let mut state = self.inner.state();
        let shared_admission = state.admission.clone();
        let mut admission = lock(&shared_admission);
        let Phase::Serving(run) = &mut state.phase else { return Attempt::NotListening };
        if admission.at_handshake_limit() {
            return Attempt::Wait(None);
        }
        let now = Instant::now();
        if let Some(at) = run.retry_at.filter(|at| now < *at) {
            return Attempt::Wait(Some(at));
        }
        run.retry_at = None;
        if run.burst == BURST {
            run.burst = 0;
            return Attempt::Yield;
        }
        let waker = Waker::from(self.inner.accept_notify.clone());
        let Poll::Ready(accepted) = run.poll_accept(&mut Context::from_waker(&waker)) else {
            run.burst = 0;
            return Attempt::Wait(None);
        };
        let socket = match accepted {
            Ok(socket) => socket,
            Err(error) => match run.failures.failed(&error) {
                AfterFailure::Continue => return Attempt::NoConnection,
                AfterFailure::Wait { delay, report } => {
                    run.retry_at = Some(now + delay);
                    return if report { Attempt::Failed(error) } else { Attempt::NoConnection };
                }
            },
        };
        run.burst += 1;
        run.failures.accepted();
        let peer = socket.peer_addr();
        if !admission.try_admit(peer) {
            return Attempt::NoConnection;
        }
        let transport = run.transport.peer(peer);
        let layers = match admission.proxy_header_limit(transport) {
            Some(limit) => {
                let layer = run.tls_layer().unwrap_or_default().after_proxy_header(limit);
                Some(Layers::new(layer).counted_by(shared_admission.clone()))
            }
            None => run.tls_layer().map(Layers::new),
        };
        drop(admission);
        let socket = match layers {
            Some(layers) => socket.with_layers(layers),
            None => socket,
        };
        let connection = Connection::server(clock::moment(now), run.config.clone(), transport);
        let (sleep, rule) = (Some(self.inner.sleep.clone()), run.rule.clone());
        let handle = socket.handle();
        let options = DriverOptions { socket: Some(handle.clone()), peer, sleep };
        let driver = Driver::with(socket, connection, options);
        let shared = driver.shared.clone();
        let id = shared.id;
        state.stats.accepted += 1;
        state.members.insert(id, Member { shared, socket: handle, new: true, websocket: false });
        drop(state);
        Attempt::Admitted(Admitted { driver, membership: Membership::new(self.clone(), id), rule })
    }
}

impl Run {
    /// Polls the listeners in turn, so that a flooded one does not starve the rest.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Socket>> {
        let count = self.listeners.len();
        for _ in 0..count {
            self.turn = (self.turn + 1) % count;
            if let Poll::Ready(accepted) = self.listeners[self.turn].poll_accept(cx) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}
