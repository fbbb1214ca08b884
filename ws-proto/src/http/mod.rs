//! stub
#![allow(unused)]
use crate::*;
use bytes::Bytes;
use std::time::Instant;
pub(crate) enum Incoming {
    Request(Request),
    Upgrade(Upgrade),
}
#[derive(Debug)]
pub(crate) struct ServerHttp {}
pub(crate) struct Ending;
impl Ending {
    pub(crate) fn error(&self) -> Option<Error> {
        None
    }
}
impl ServerHttp {
    pub(crate) fn new(now: Instant) -> Self {
        Self {}
    }
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        config: &Config,
        out: &mut Outbox,
        input: &mut &mut [u8],
    ) -> Option<Incoming> {
        todo!()
    }
    pub(crate) fn receive_eof(&mut self, now: Instant) {}
    pub(crate) fn peer_ended(&self) -> bool {
        false
    }
    pub(crate) fn respond(
        &mut self,
        now: Instant,
        config: &Config,
        out: &mut Outbox,
        request: Request,
        response: ::http::Response<Bytes>,
    ) -> Result<(), SendError> {
        todo!()
    }
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        config: &Config,
        out: &mut Outbox,
        upgrade: Upgrade,
    ) -> Result<(), SendError> {
        todo!()
    }
    pub(crate) fn take_opened(&mut self) -> Option<::http::Response<()>> {
        todo!()
    }
    pub(crate) fn is_paused(&self, config: &Config) -> bool {
        todo!()
    }
    pub(crate) fn deadline(&self, config: &Config) -> Option<Instant> {
        None
    }
    pub(crate) fn handle_timeout(&mut self, now: Instant, config: &Config, out: &mut Outbox) {}
    pub(crate) fn sweep(&mut self, now: Instant, config: &Config, out: &mut Outbox) {}
    pub(crate) fn ending(&self) -> Option<&Ending> {
        None
    }
    pub(crate) fn announced(&self) -> bool {
        false
    }
}
#[derive(Debug)]
pub(crate) struct ClientHttp {}
impl ClientHttp {
    pub(crate) fn new(request: &ClientRequest, key: [u8; 16], out: &mut Outbox) -> Self {
        Self {}
    }
    pub(crate) fn receive(
        &mut self,
        config: &Config,
        input: &mut &mut [u8],
    ) -> Option<Result<::http::Response<()>, HandshakeError>> {
        todo!()
    }
    pub(crate) fn receive_eof(&mut self) -> HandshakeError {
        todo!()
    }
}
