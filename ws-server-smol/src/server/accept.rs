//! Who comes is accepted, within the limits.

use super::{Member, Membership, Phase, Run, Server, State};
use crate::clock;
use crate::connection::http::Acceptor;
use crate::connection::shared::until;
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
use ws_host::listen::{ACCEPT_RETRY, is_transient};
use ws_proto::Connection;

/// Who accepts lets others run after so many: a listener that is flooded never makes it wait.
pub(super) const BURST: u32 = 16;

/// What an attempt came to.
#[expect(clippy::large_enum_variant, reason = "it lives for one match")]
pub(super) enum Attempt {
    Accepted(Acceptor<Socket>),
    /// Somebody came and is gone again, or was turned away.
    Nobody,
    /// Others have not run for a while.
    Yield,
    /// Until the bell rings, or until then.
    Wait(Option<Instant>),
    Failed(io::Error),
    NotListening,
}

impl Server {
    /// The next connection; `None` when the server does not listen. Give it to a task of its own: its HTTP goes on
    /// while the [`Acceptor`] is polled.
    ///
    /// Several tasks may accept. Cancel-safe: who is not accepted waits in the kernel.
    ///
    /// ```
    /// # use ws_server_smol::{Acceptor, Server, Socket};
    /// # async fn handle(http: Acceptor<Socket>) {}
    /// async fn serve(server: Server, executor: &async_executor::LocalExecutor<'_>) {
    ///     while let Some(http) = server.accept().await {
    ///         executor.spawn(handle(http)).detach();
    ///     }
    /// }
    /// ```
    pub async fn accept(&self) -> Option<Acceptor<Socket>> {
        loop {
            listener!(self.inner.bell.0 => bell);
            match self.attempt() {
                Attempt::Accepted(acceptor) => return Some(acceptor),
                Attempt::NotListening => return None,
                Attempt::Nobody => {}
                Attempt::Yield => yield_now().await,
                Attempt::Wait(deadline) => until(bell, deadline).await,
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
    /// A handler that waits for something of its own keeps nobody else waiting. One that computes does; for many
    /// threads, [`accept`](Self::accept) and spawn.
    ///
    /// ```
    /// # use ws_server_smol::Server;
    /// # async fn f(server: Server) {
    /// let count = std::cell::Cell::new(0);
    /// server
    ///     .serve(async |mut http| {
    ///         count.set(count.get() + 1);
    ///         while let Some(_incoming) = http.next().await { /* respond, or accept */ }
    ///     })
    ///     .await;
    /// # }
    /// ```
    ///
    /// # Panics
    /// Where a handler does: its future ends, and every connection that runs in it goes with it, told 1001. The server
    /// itself stays, and may be served again. A handler that catches its own panics costs no other connection; nor does one
    /// that runs in a task of its own, with [`accept`](Self::accept).
    pub async fn serve(&self, handler: impl AsyncFn(Acceptor<Socket>)) {
        let mut handlers = pin!(FuturesUnordered::new());
        let mut accepting = pin!(self.accept());
        let mut listening = true;
        poll_fn(|cx| {
            loop {
                while listening && let Poll::Ready(accepted) = accepting.as_mut().poll(cx) {
                    match accepted {
                        Some(acceptor) => {
                            handlers.push(handler(acceptor));
                            accepting.set(self.accept());
                        }
                        None => listening = false,
                    }
                }
                match handlers.as_mut().poll_next(cx) {
                    Poll::Ready(Some(())) => {}
                    Poll::Ready(None) if !listening => return Poll::Ready(()),
                    Poll::Ready(None) | Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
    }

    pub(super) fn attempt(&self) -> Attempt {
        let mut state = self.inner.state();
        let State { phase, census, .. } = &mut *state;
        let Phase::Serving(run) = phase else { return Attempt::NotListening };
        if census.at_handshake_limit() {
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
        let bell = Waker::from(self.inner.bell.clone());
        let Poll::Ready(accepted) = run.poll_accept(&mut Context::from_waker(&bell)) else {
            run.burst = 0;
            return Attempt::Wait(None);
        };
        let socket = match accepted {
            Ok(socket) => socket,
            Err(error) if is_transient(&error) => return Attempt::Nobody,
            // No descriptor, no memory: asking again at once would spin. Who waits, waits in the kernel.
            Err(error) => {
                run.retry_at = Some(now + ACCEPT_RETRY);
                let told = std::mem::replace(&mut run.failing, true);
                return if told { Attempt::Nobody } else { Attempt::Failed(error) };
            }
        };
        run.burst += 1;
        run.failing = false;
        let peer = socket.peer_addr();
        if !census.try_admit(peer) {
            state.turned_away += 1;
            return Attempt::Nobody;
        }
        let connection = Connection::server(clock::moment(now), run.config.clone(), run.transport);
        let (token, sleep) = (run.token.clone(), Some(self.inner.sleep.clone()));
        let belongings = Belongings { token, socket: Some(socket.clone()), sleep };
        let driver = Driver::with(socket.clone(), connection, belongings);
        let shared = driver.shared.clone();
        let id = shared.id;
        state.accepted += 1;
        state.members.insert(id, Member { shared, socket, peer, new: true, websocket: false });
        drop(state);
        Attempt::Accepted(Acceptor::of(driver, Some(Membership::new(self.clone(), id))))
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
