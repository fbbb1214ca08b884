//! How the application takes a server's connections: one at a time, or all with one handler.

use crate::clock::{Check, until_check};
use crate::connection::http::HttpConnection;
use crate::server::Server;
use crate::server::accept::Admitted;
use crate::sys::socket::Socket;
use event_listener::listener;
use futures_core::Stream;
use futures_util::stream::FuturesUnordered;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

impl Server {
    /// Returns the next connection, or `None` if the server does not listen. Spawn a task for it: a connection makes
    /// progress only while it is polled.
    ///
    /// Several tasks may accept. Cancel-safe: unaccepted connections wait in the kernel.
    ///
    /// A handler that closes must await [`WebSocket::close`](crate::WebSocket::close) before it returns: unlike in
    /// [`serve`](Self::serve), nothing else polls a WebSocket that is dropped, and what the socket does not take at
    /// once is lost.
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
        let Admitted { driver, membership, rule } = self.admit().await?;
        Some(HttpConnection::of(driver, Some(membership), rule))
    }

    /// Accepts connections and runs the handler for each, all within this one future. It completes once the server has
    /// stopped and the last handler has returned; a [`stop`](Self::stop) whose future is dropped continues here. A
    /// WebSocket that its handler drops during a closing handshake is polled to its end, so that what is queued before
    /// the Close arrives. Neither handlers nor what they hold need be `Send` or `'static`: they may borrow the
    /// application's state from the caller.
    ///
    /// The return value of a handler is dropped: an error ends only its own connection. Log it in the handler to see
    /// it.
    ///
    /// A handler that waits delays no other; one that computes does. To use several threads, [`accept`](Self::accept)
    /// connections and spawn tasks.
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
    /// If a handler panics: this future ends, and every connection that runs in it closes with 1001. The server itself
    /// stays, and may be served again. A handler that catches its own panics affects no other connection; neither does
    /// a handler in a separate task, with [`accept`](Self::accept).
    pub async fn serve<T>(&self, handler: impl AsyncFn(HttpConnection<Socket>) -> T) {
        let lingering = self.linger();
        let mut handlers = pin!(FuturesUnordered::new());
        let mut accepting = pin!(self.accept());
        let mut listening = true;
        let mut rounds = 0;
        loop {
            listener!(lingering.event() => ended);
            // A stop whose future was dropped continues.
            let next_check = self.drive_stop(&mut rounds).unwrap_or(Check::At(None));
            let mut is_done = false;
            let turn = poll_fn(|cx| {
                lingering.poll(cx);
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
                        Poll::Ready(None) if !listening && !self.is_closing_clients() => {
                            is_done = true;
                            return Poll::Ready(());
                        }
                        Poll::Ready(None) | Poll::Pending => break,
                    }
                }
                Pin::new(&mut ended).poll(cx)
            });
            until_check(turn, next_check).await;
            if is_done {
                return;
            }
        }
    }
}
