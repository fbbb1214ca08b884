//! Relays between two WebSockets: what one receives, the other sends.
//!
//! ```text
//!   peer ──▶ a ──message, fragment──▶ b ──▶ peer        a is read while b accepts output,
//!   peer ◀── a ◀──message, fragment── b ◀── peer        and vice versa
//! ```

use crate::clock;
use crate::connection::websocket::WebSocket;
use crate::driver::shared::{PauseOwner, Shared};
use futures_io::{AsyncRead, AsyncWrite};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use ws_proto::{CloseCode, Closed, Event, SendError, Sent};

/// Yield after this many rounds: two floods would never suspend it.
const ROUNDS: u32 = 64;

/// Forwards what each of two WebSockets receives to the other, until both are closed; returns what explains the end of
/// each. Both are closed then, and neither result is `None`.
///
/// Messages and fragments are relayed in order. Each leg is read only while the other accepts output: a connection
/// holds at most its high mark and one read, however slow its peer is. A leg that is not read for this reason is
/// [paused](crate::Sender::pause): if its peer resets the connection meanwhile, only the next write to it detects that,
/// whereas `ws-server-mio` detects it at once. Pings, heartbeats and compression belong to each leg. When one leg ends,
/// the other is closed with the same code and reason: without a code if there was none, and if there was no Close at
/// all, with 1001 towards a server and with 1011 towards a client. That includes a leg that was closed here because its
/// peer violated the protocol. [`Closed::relayed`] has the same rule for a relay written by hand.
///
/// The application sees none of the events meanwhile; [`Server`](crate::Server) and its [`Extension`](crate::Extension)
/// do, and an extension may consume a message, which is then not relayed. Fragments are relayed individually if the
/// leg's [`Config::delivery`](crate::Config::delivery) says so, and as whole messages otherwise. Messages over 16 MiB
/// need a larger [`Config::message_limit`](crate::Config::message_limit) on both legs, and
/// [`Delivery::Chunked`](crate::Delivery::Chunked), so that they are relayed as they arrive. If [`WebSocket::next`] was
/// dropped while it was joining the fragments of a message, that message cannot be relayed.
///
/// While the second leg is still connecting, do not poll the first one: what its peer sends waits in the kernel, and
/// nothing is lost. Only its heartbeat stops, so for a wait of minutes use
/// `or(connecting, async { first.pause(); first.next().await … })`.
///
/// Cancel-safe: if dropped, both stay as they are, and another call continues from there. Everything that one leg has
/// received is then queued on the other.
///
/// ```
/// use ws_server_smol::{ClientConfig, HttpConnection, Incoming, connect, couple};
///
/// async fn proxy(mut http: HttpConnection) -> Result<(), Box<dyn std::error::Error>> {
///     while let Some(incoming) = http.next().await {
///         let Incoming::Upgrade(upgrade) = incoming else { continue };
///         let mut upstream = connect("ws://127.0.0.1:8701/", ClientConfig::new()).await?;
///         let mut client = http.accept(upgrade).await?;
///         let (client, upstream) = couple(&mut client, &mut upstream).await;
///         for (leg, closed) in [("client", client), ("upstream", upstream)] {
///             if let Some(closed) = closed {
///                 println!("{leg}: {closed}");
///             }
///         }
///         break;
///     }
///     Ok(())
/// }
/// ```
pub async fn couple<'a, 'b, A, B>(
    a: &'a mut WebSocket<A>,
    b: &'b mut WebSocket<B>,
) -> (Option<&'a Closed>, Option<&'b Closed>)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let _resume = ResumeOnDrop([a.driver.shared.clone(), b.driver.shared.clone()]);
    poll_fn(|cx| {
        for _ in 0..ROUNDS {
            let (from_a, from_b) = (step(a, &b.driver.shared, cx), step(b, &a.driver.shared, cx));
            match (from_a, from_b) {
                (Step::Done, Step::Done) => return Poll::Ready(()),
                (Step::Progressed, _) | (_, Step::Progressed) => {}
                // A write on one leg may have made room for the other.
                _ if apply_backpressure(&a.driver.shared, &b.driver.shared)
                    | apply_backpressure(&b.driver.shared, &a.driver.shared) => {}
                _ => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    (a.closed(), b.closed())
}

/// Releases the pauses of this coupling.
struct ResumeOnDrop([Arc<Shared>; 2]);

impl Drop for ResumeOnDrop {
    fn drop(&mut self) {
        for shared in &self.0 {
            shared.resume(PauseOwner::Couple);
        }
    }
}

enum Step {
    Progressed,
    Pending,
    Done,
}

/// Handles one event of a leg.
fn step<S>(from: &mut WebSocket<S>, to: &Shared, cx: &mut Context<'_>) -> Step
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    apply_backpressure(&from.driver.shared, to);
    match from.poll_event(cx) {
        Poll::Ready(Some(event)) => {
            forward(event, &from.driver.shared, to);
            Step::Progressed
        }
        Poll::Ready(None) => {
            // It may have closed before the call; then the other leg's last output is still to be written.
            match from.closed() {
                Some(closed) if close(to, closed) => Step::Progressed,
                _ => Step::Done,
            }
        }
        Poll::Pending => Step::Pending,
    }
}

/// Reads from a leg only while the other accepts output; returns whether reading has resumed.
fn apply_backpressure(from: &Shared, to: &Shared) -> bool {
    if to.connection().is_congested() {
        from.pause(PauseOwner::Couple);
        return false;
    }
    from.resume(PauseOwner::Couple)
}

fn forward(event: Event<'static>, from: &Shared, to: &Shared) {
    let sent: Result<Sent, SendError> = match event {
        Event::Message(message) => to.connection().relay(message).inspect(|_| to.count_sent()),
        Event::Fragment(fragment) => {
            let ends_message = fragment.last;
            let mut connection = to.connection();
            let sent = connection.relay(fragment);
            if sent.is_ok() && ends_message {
                to.count_sent();
            }
            sent
        }
        Event::Closed(closed) => {
            close(to, &closed);
            return;
        }
        _ => return,
    };
    match sent {
        // The other leg is about to end, which then closes this one.
        Ok(_) | Err(SendError::NotOpen) => {}
        // The application has left its own message unfinished there.
        Err(_) => _ = from.connection().close(clock::now(), CloseCode::INTERNAL_ERROR, ""),
    }
}

/// Closes a leg because the other has ended; returns whether it was open until now.
fn close(to: &Shared, closed: &Closed) -> bool {
    let mut connection = to.connection();
    let (code, reason) = closed.relayed(connection.is_client());
    connection.close(clock::now(), code, reason).is_ok()
}
