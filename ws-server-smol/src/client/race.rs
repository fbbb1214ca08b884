//! The sockets of an address race.

use crate::sys::socket::Socket;
use async_io::{Async, Timer};
use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::pin::Pin;
use std::task::{Context, Poll};
use ws_host::client::{ConnectError, Race, RaceStep};
use ws_host::socket::check_connected;

type Connecting = Pin<Box<dyn Future<Output = io::Result<Async<TcpStream>>> + Send>>;

/// Sockets that connect in parallel, until one succeeds.
pub(super) struct Sockets {
    connecting: Vec<Connecting>,
    /// When to ask the race for the next address, while others connect.
    next: Timer,
}

impl Sockets {
    pub(super) fn new() -> Self {
        Self { connecting: Vec::new(), next: Timer::never() }
    }

    pub(super) fn poll(
        &mut self,
        race: &mut Race,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Socket, ConnectError>> {
        loop {
            let mut due = self.connecting.is_empty();
            let mut k = 0;
            while let Some(connecting) = self.connecting.get_mut(k) {
                match connecting.as_mut().poll(cx).map(|connected| connected.and_then(checked)) {
                    Poll::Pending => k += 1,
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream.into())),
                    Poll::Ready(Err(error)) => {
                        race.failed(error);
                        drop(self.connecting.remove(k));
                        due = true;
                    }
                }
            }
            if !due && Pin::new(&mut self.next).poll(cx).is_pending() {
                return Poll::Pending;
            }
            match race.next() {
                RaceStep::Connect { address, next_after } => {
                    self.connecting.push(Box::pin(Async::<TcpStream>::connect(address)));
                    self.next = next_after.map_or_else(Timer::never, Timer::after);
                }
                RaceStep::Wait => {
                    self.next = Timer::never();
                    return Poll::Pending;
                }
                RaceStep::Lost => return Poll::Ready(Err(race.unreachable())),
            }
        }
    }
}

fn checked(stream: Async<TcpStream>) -> io::Result<Async<TcpStream>> {
    check_connected(stream.get_ref().local_addr(), stream.get_ref().peer_addr())?;
    Ok(stream)
}
