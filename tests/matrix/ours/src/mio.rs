//! The end of `ws-server-mio`.

use crate::{FIRST_PEER_TIMEOUT, GUARD, Ours, SUBPROTOCOL, hung, page, prepare, report, text};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use ws_server_mio::Config;
use ws_server_mio::{
    Bind, ClientConfig, ClientRequest, CloseCode, ConnectionId, Endpoint, Event, Frame, ServerConfig, http,
};

pub(crate) struct Mio {
    endpoint: Endpoint,
    /// The target of a client.
    client: Option<(ClientRequest, ClientConfig)>,
    /// The connection under test.
    id: Option<ConnectionId>,
    /// Events of every connection, including those that a browser opens for the page.
    inbox: VecDeque<Event<'static>>,
    /// Why a connection attempt failed.
    failed: Option<String>,
}

impl Mio {
    pub(crate) fn new(url: Option<&str>, config: Config) -> Result<Self, String> {
        let mut endpoint = Endpoint::new().map_err(text)?;
        let client = match url {
            Some(url) => {
                let request = ClientRequest::new(url).and_then(|request| request.subprotocol(SUBPROTOCOL));
                Some((request.map_err(text)?, ClientConfig::new().connection(config)))
            }
            None => {
                let connections = endpoint.connections();
                let server = connections
                    .listen(Bind::localhost(), ServerConfig::new().connection(config).decide_upgrades(true))
                    .map_err(text)?;
                report("listening", "ok", &connections.server(server).url("/").unwrap_or_default());
                None
            }
        };
        Ok(Self { endpoint, client, id: None, inbox: VecDeque::new(), failed: None })
    }

    /// Waits for a matching event. All others stay queued: a peer may reconnect before its last connection has ended.
    fn wait(
        &mut self,
        guard: Duration,
        wanted: impl Fn(&Event<'static>) -> bool,
    ) -> Result<Event<'static>, String> {
        let deadline = Instant::now() + guard;
        loop {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if let Some(found) = self.inbox.iter().position(&wanted).and_then(|at| self.inbox.remove(at)) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(hung(guard));
            }
            let (inbox, failed) = (&mut self.inbox, &mut self.failed);
            let turn = self.endpoint.poll(Some(left), |connections, event| match event {
                Event::Request(id, request) => {
                    let answer = page(request.path());
                    let _ = connections.respond(id, request, answer);
                }
                Event::Upgrade(id, upgrade) => {
                    let _ = connections.accept(id, prepare(upgrade));
                }
                Event::ConnectFailed { error, .. } => *failed = Some(text(error)),
                event if event.connection().is_some() => inbox.push_back(event.into_owned()),
                _ => {}
            });
            turn.map_err(text)?;
        }
    }

    fn id(&self) -> Result<ConnectionId, String> {
        self.id.ok_or_else(|| "there is no connection".to_owned())
    }
}

impl Ours for Mio {
    fn open(&mut self) -> Result<http::Response<()>, String> {
        if let Some((request, config)) = &self.client {
            self.endpoint.connections().connect(request.clone(), config.clone()).map_err(text)?;
        }
        let guard = if self.client.is_none() && self.id.is_none() { FIRST_PEER_TIMEOUT } else { GUARD };
        match self.wait(guard, |event| matches!(event, Event::Open(..)))? {
            Event::Open(id, response) => {
                self.id = Some(id);
                Ok(*response)
            }
            other => Err(format!("{other:?}")),
        }
    }

    fn next(&mut self) -> Result<ws_server_smol::Event<'static>, String> {
        let current = self.id()?;
        match self.wait(GUARD, |event| event.connection() == Some(current))? {
            Event::Message(_, message) => Ok(ws_server_smol::Event::Message(message)),
            Event::Fragment(_, fragment) => Ok(ws_server_smol::Event::Fragment(fragment)),
            Event::Pong(_, pong) => Ok(ws_server_smol::Event::Pong(pong)),
            Event::Drained(_) => Ok(ws_server_smol::Event::Drained),
            Event::Closed(_, closed) => Ok(ws_server_smol::Event::Closed(closed)),
            other => Err(format!("{other:?}")),
        }
    }

    fn send(&mut self, frame: &Frame) -> Result<(), String> {
        let id = self.id()?;
        self.endpoint.connections().send(id, frame).map(drop).map_err(text)
    }

    fn ping(&mut self, payload: &str) -> Result<(), String> {
        let id = self.id()?;
        self.endpoint.connections().send_ping(id, payload.as_bytes()).map(drop).map_err(text)
    }

    fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), String> {
        let id = self.id()?;
        self.endpoint.connections().close(id, code, reason).map_err(text)
    }
}
