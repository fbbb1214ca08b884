//! The end of `ws-server-mio`.

use crate::{GUARD, Ours, SUBPROTOCOL, chosen, page, say, text};
use std::collections::VecDeque;
use std::time::Instant;
use ws_server_mio::ws_proto::{ClientRequest, Event as Ws};
use ws_server_mio::{Bind, CloseCode, Config, ConnectionId, Endpoint, Event, Frame, Options, http};

pub(crate) struct Mio {
    endpoint: Endpoint,
    /// Whom to connect to, of a client.
    client: Option<(ClientRequest, Config)>,
    /// The connection that is exercised.
    id: Option<ConnectionId>,
    /// What happened, on every connection, a browser's for its page too.
    inbox: VecDeque<Result<(ConnectionId, Ws<'static>), String>>,
}

impl Mio {
    pub(crate) fn new(url: Option<&str>, config: Config) -> Result<Self, String> {
        let mut endpoint = Endpoint::new(Options::default()).map_err(text)?;
        let client = match url {
            Some(url) => {
                let request = ClientRequest::new(url).and_then(|request| request.subprotocol(SUBPROTOCOL));
                Some((request.map_err(text)?, config))
            }
            None => {
                let connections = endpoint.connections();
                let server = connections.listen(Bind::localhost(), config).map_err(text)?;
                say("listening", "ok", &connections.url(server, "/").unwrap_or_default());
                None
            }
        };
        Ok(Self { endpoint, client, id: None, inbox: VecDeque::new() })
    }

    /// The next event of any connection.
    fn any(&mut self) -> Result<(ConnectionId, Ws<'static>), String> {
        let deadline = Instant::now() + GUARD;
        while self.inbox.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("nothing came for {} s", GUARD.as_secs()));
            }
            let inbox = &mut self.inbox;
            let turn = self.endpoint.poll(Some(left), |connections, event| match event {
                Event::Connection(id, Ws::Request(request)) => {
                    let answer = page(request.path());
                    let _ = connections.respond(id, request, answer);
                }
                Event::Connection(id, Ws::Upgrade(upgrade)) => {
                    let _ = connections.accept(id, chosen(upgrade));
                }
                Event::Connection(id, event) => inbox.push_back(Ok((id, event.into_owned()))),
                Event::ConnectFailed { error, .. } => inbox.push_back(Err(text(error))),
                _ => {}
            });
            turn.map_err(text)?;
        }
        self.inbox.pop_front().unwrap_or_else(|| Err("nothing came".to_owned()))
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
        loop {
            if let (id, Ws::Open(response)) = self.any()? {
                self.id = Some(id);
                return Ok(*response);
            }
        }
    }

    fn next(&mut self) -> Result<Ws<'static>, String> {
        loop {
            let (id, event) = self.any()?;
            if Some(id) == self.id {
                return Ok(event);
            }
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
