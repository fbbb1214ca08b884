//! The race of several addresses: each has a head start over the next (RFC 8305).

use crate::sys::socket::Socket;
use async_io::{Async, Timer};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};
use ws_host::client::NEXT_ADDRESS_AFTER;

type Connecting = Pin<Box<dyn Future<Output = io::Result<Async<TcpStream>>> + Send>>;

/// Several addresses beside each other, until one takes the connection.
pub(super) struct Race<'a> {
    untried: VecDeque<SocketAddr>,
    tried: &'a mut Vec<SocketAddr>,
    running: Vec<Connecting>,
    /// When the next is tried beside those that run.
    next: Timer,
    /// What the last one that failed said.
    error: Option<io::Error>,
}

impl<'a> Race<'a> {
    /// What is tried is added to `tried`.
    pub(super) fn new(addresses: VecDeque<SocketAddr>, tried: &'a mut Vec<SocketAddr>) -> Self {
        Self { untried: addresses, tried, running: Vec::new(), next: Timer::never(), error: None }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Socket>> {
        loop {
            let mut due = self.running.is_empty();
            let mut k = 0;
            while let Some(connecting) = self.running.get_mut(k) {
                match connecting.as_mut().poll(cx).map(|connected| connected.and_then(met_another)) {
                    Poll::Pending => k += 1,
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream.into())),
                    Poll::Ready(Err(error)) => {
                        self.error = Some(error);
                        drop(self.running.remove(k));
                        due = true;
                    }
                }
            }
            if !due && Pin::new(&mut self.next).poll(cx).is_pending() {
                return Poll::Pending;
            }
            match self.untried.pop_front() {
                Some(address) => {
                    self.tried.push(address);
                    self.running.push(Box::pin(Async::<TcpStream>::connect(address)));
                    self.next = Timer::after(NEXT_ADDRESS_AFTER);
                }
                None if self.running.is_empty() => {
                    let error = self.error.take();
                    return Poll::Ready(Err(error.unwrap_or_else(|| io::ErrorKind::NotFound.into())));
                }
                None => {
                    self.next = Timer::never();
                    return Poll::Pending;
                }
            }
        }
    }
}

/// Where nobody listens on a port that the system gives to who connects, a connection can meet itself.
fn met_another(stream: Async<TcpStream>) -> io::Result<Async<TcpStream>> {
    let peer = stream.get_ref().peer_addr()?;
    if stream.get_ref().local_addr().is_ok_and(|own| own == peer) {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}
