//! Accepting connections, within the limits.

use super::{Member, Membership, Phase, Run, Server, State};
use crate::clock::{self, until};
use crate::connection::http::HttpConnection;
use crate::driver::{Belongings, Driver};
use crate::sys::socket::Socket;
use event_listener::listener;
use futures_core::Stream;
use futures_util::stream::FuturesUnordered;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use ws_host::listen::AfterFailure;
use ws_proto::Connection;

/// Accepting yields after so many: a flooded listener is always ready.
pub(super) const BURST: u32 = 16;

/// What an attempt came to.
#[expect(clippy::large_enum_variant, reason = "it lives for one match")]
pub(super) enum Attempt {
    Accepted(HttpConnection<Socket>),
    /// A peer left again, or was rejected.
    Nobody,
    /// Others have not run for a while.
    Yield,
    /// Until `AcceptNotify` notifies, or until then.
    Wait(Option<Instant>),
    Failed(io::Error),
    NotListening,
}

impl Server {
    /// The next connection; `None` when the server does not listen. Give it to a task of its own: its HTTP goes on
    /// while the [`HttpConnection`] is polled.
    ///
    /// Several tasks may accept. Cancel-safe: connections that are not accepted wait in the kernel.
    ///
    /// ```
    /// # use ws_server_smol::{HttpConnection, Server};
    /// # async fn handle(http: HttpConnection) {}
    /// async fn serve(server: Server, executor: &async_executor::LocalExecutor<'_>) {
    ///     while let Some(http) = server.accept().await {
    ///         executor.spawn(handle(http)).detach();
    ///     }
    /// }
    /// ```
    pub async fn accept(&self) -> Option<HttpConnection<Socket>> {
        loop {
            listener!(self.inner.accept_notify.0 => notified);
            match self.attempt() {
                Attempt::Accepted(http) => return Some(http),
                Attempt::NotListening => return None,
                Attempt::Nobody => {}
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

    /// Accepts, and runs the handler for each connection, all within this one future; it ends once the server has
    /// stopped and the last handler has returned. Neither handlers nor what they hold need be `Send` or `'static`:
    /// they may borrow the application's state from around the call.
    ///
    /// What a handler returns is dropped: an error ends its own connection alone. Log it in the handler to see it.
    ///
    /// A handler that waits for something of its own keeps no other waiting. One that computes does; for many
    /// threads, [`accept`](Self::accept) and spawn.
    ///
    /// ```
    /// # use ws_server_smol::Server;
    /// # async fn f(server: Server) {
    /// let count = std::cell::Cell::new(0);
    /// server
    ///     .serve(async |http| {
    ///         let Some(mut ws) = http.upgrade().await else { return };
    ///         count.set(count.get() + 1);
    ///         while let Some(Ok(message)) = ws.next().await { /* … */ }
    ///     })
    ///     .await;
    /// # }
    /// ```
    ///
    /// # Panics
    /// Where a handler does: its future ends, and every connection that runs in it closes with 1001. The server
    /// itself stays, and may be served again. A handler that catches its own panics costs no other connection; nor does
    /// one that runs in a task of its own, with [`accept`](Self::accept).
    pub async fn serve<T>(&self, handler: impl AsyncFn(HttpConnection<Socket>) -> T) {
        let mut handlers = pin!(FuturesUnordered::new());
        let mut accepting = pin!(self.accept());
        let mut listening = true;
        poll_fn(|cx| {
            loop {
                while listening && let Poll::Ready(accepted) = accepting.as_mut().poll(cx) {
                    match accepted {
                        Some(http) => {
                            handlers.push(handler(http));
                            accepting.set(self.accept());
                        }
                        None => listening = false,
                    }
                }
                match handlers.as_mut().poll_next(cx) {
                    Poll::Ready(Some(_)) => {}
                    Poll::Ready(None) if !listening => return Poll::Ready(()),
                    Poll::Ready(None) | Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
    }

    pub(super) fn attempt(&self) -> Attempt {
        let mut state = self.inner.state();
        let State { phase, admission, .. } = &mut *state;
        let Phase::Serving(run) = phase else { return Attempt::NotListening };
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
                AfterFailure::Continue => return Attempt::Nobody,
                AfterFailure::Wait { delay, report } => {
                    run.retry_at = Some(now + delay);
                    return if report { Attempt::Failed(error) } else { Attempt::Nobody };
                }
            },
        };
        run.burst += 1;
        run.failures.accepted();
        let peer = socket.peer_addr();
        if !admission.try_admit(peer) {
            state.stats.rejected += 1;
            return Attempt::Nobody;
        }
        let connection = Connection::server(clock::moment(now), run.config.clone(), run.transport);
        let (token, sleep, rule) = (run.token.clone(), Some(self.inner.sleep.clone()), run.rule.clone());
        let handle = socket.handle();
        let belongings = Belongings { token, socket: Some(handle.clone()), peer, sleep };
        let driver = Driver::with(socket, connection, belongings);
        let shared = driver.shared.clone();
        let id = shared.id;
        state.stats.accepted += 1;
        state.members.insert(id, Member { shared, socket: handle, new: true, websocket: false });
        drop(state);
        Attempt::Accepted(HttpConnection::of(driver, Some(Membership::new(self.clone(), id)), rule))
    }
}

impl Run {
    /// Listeners take turns, so that a flooded one keeps no other away.
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

/// Lets others run.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
