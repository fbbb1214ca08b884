//! skeleton
#![allow(missing_docs, unused_variables)]
use crate::*;
use core::time::Duration;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

#[derive(Debug)]
pub struct Connection {
    outbox: Outbox,
}
/// Which end a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role { Server, Client { seed: [u8; 32] } }
/// Where a connection stands, as in the browsers' `readyState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State { Connecting, Open, Closing, Closed }
/// What the transport should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read, and give what came to `receive`.
    Read,
    /// The outbox holds bytes: write them.
    Write,
    /// Neither: wait for the application or for the deadline.
    Pause,
    /// Half-close: `shutdown(Write)`, told once; then read on until the end.
    Shutdown,
    /// Close the transport and forget the connection.
    Drop,
}
/// How a send went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent { Queued, Congested }

impl Connection {
    pub fn server(now: Instant, config: Arc<Config>) -> Self { todo!() }
    pub fn client(now: Instant, config: Arc<Config>, request: ClientRequest, seed: [u8; 32]) -> Self { todo!() }
    pub fn upgraded(now: Instant, config: Arc<Config>, role: Role) -> Self { todo!() }
    pub fn receive<'a>(&mut self, now: Instant, input: &mut &'a mut [u8]) -> Option<Event<'a>> { todo!() }
    pub fn receive_eof(&mut self, now: Instant) { todo!() }
    pub fn abort(&mut self, now: Instant, cause: Cause) { todo!() }
    pub fn poll_timeout(&self) -> Option<Instant> { todo!() }
    pub fn handle_timeout(&mut self, now: Instant) { todo!() }
    pub fn poll_event(&mut self, now: Instant) -> Option<Event<'static>> { todo!() }
    pub fn outbox(&mut self) -> &mut Outbox { &mut self.outbox }
    pub fn wrote(&mut self, now: Instant, n: usize) { todo!() }
    pub fn next_io(&mut self) -> Next { todo!() }
    /// Whether input should not be read now: too many unanswered requests, an undecided upgrade, or output over the high mark.
    pub fn is_paused(&self) -> bool { todo!() }
    /// Gives the outbox memory to write into, if it has none.
    pub fn lend(&mut self, storage: Storage) { todo!() }
    /// Takes the outbox's memory back once it is empty.
    pub fn reclaim(&mut self) -> Option<Storage> { todo!() }
    pub fn accept(&mut self, now: Instant, upgrade: Upgrade) -> Result<(), SendError> { todo!() }
    pub fn respond(&mut self, now: Instant, request: impl Into<Request>, response: ::http::Response<bytes::Bytes>) -> Result<(), SendError> { todo!() }
    pub fn send(&mut self, frame: &Frame) -> Result<Sent, SendError> { todo!() }
    pub fn send_text<'t>(&mut self, text: impl Into<Cow<'t, str>>) -> Result<Sent, SendError> { todo!() }
    pub fn send_binary<'t>(&mut self, data: impl Into<Cow<'t, [u8]>>) -> Result<Sent, SendError> { todo!() }
    pub fn send_message(&mut self, message: Message<'_>) -> Result<Sent, SendError> { todo!() }
    pub fn send_ping(&mut self, now: Instant, payload: &[u8]) -> Result<Sent, SendError> { todo!() }
    pub fn close(&mut self, now: Instant, code: CloseCode, reason: &str) -> Result<(), SendError> { todo!() }
    pub fn state(&self) -> State { todo!() }
    pub fn latency(&self) -> Option<Duration> { todo!() }
    /// Bytes that wait in the outbox.
    pub fn queued(&self) -> usize { self.outbox.len() }
    pub fn config(&self) -> &Arc<Config> { todo!() }
}
