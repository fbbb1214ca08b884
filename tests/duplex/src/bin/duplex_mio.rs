//! An end on `ws-server-mio`.

#![allow(clippy::print_stdout)] // output for the parent program

use duplex::{Arguments, Exchange, KEPT, Scenario, Step, ours};
use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;
use ws_host::web::{self, sse};
use ws_server_mio::{
    Bind, CloseCode, ConnectionId, Connections, Endpoint, Event, Request, RespondError, ResponseBody,
    SendError, Sent,
};

struct App {
    arguments: Arguments,
    exchanges: HashMap<ConnectionId, Exchange>,
    streams: HashMap<ConnectionId, ResponseBody>,
}

impl App {
    fn handle(&mut self, connections: &mut Connections, event: Event<'_>) {
        match event {
            Event::ConnectFailed { error, .. } => {
                let mut exchange = Exchange::new(&self.arguments);
                exchange.fail(error);
                exchange.end(1006, "", "");
                connections.exit()
            }
            Event::Request(id, request) => {
                let answered = self.answer(connections, id, request);
                debug_assert!(answered.is_ok(), "{answered:?}");
            }
            Event::Open(id, _) => {
                self.exchanges.insert(id, Exchange::new(&self.arguments));
                self.send_pending(connections, id);
            }
            Event::Drained(id) => self.send_pending(connections, id),
            Event::Message(id, message) => {
                let Some(exchange) = self.exchanges.get_mut(&id) else { return };
                let result = match exchange.receive(message.as_bytes()) {
                    Step::Nothing => Ok(Sent::Queued),
                    Step::Send(text) => connections.send(id, text),
                    Step::Echo => connections.send(id, message),
                    Step::Close => connections.close(id, CloseCode::NORMAL, "").map(|()| Sent::Queued),
                };
                if let Err(error) = result {
                    exchange.fail(error);
                }
            }
            Event::Closed(id, closed) => {
                self.streams.remove(&id);
                if let Some(exchange) = self.exchanges.remove(&id) {
                    exchange.end(closed.code.into(), &closed.reason, &closed);
                }
                if self.arguments.url.is_some() {
                    connections.exit();
                }
            }
            _ => {}
        }
    }

    /// Sends the scenario's pending messages now.
    fn send_pending(&mut self, connections: &mut Connections, id: ConnectionId) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        while let Some(message) = exchange.next_message() {
            if exchange.scenario == Scenario::Kept && connections.queued(id) >= KEPT {
                break;
            }
            let sent = match connections.send(id, message) {
                Ok(sent) => sent,
                Err(SendError::Full) if exchange.scenario == Scenario::Full => break,
                Err(SendError::NotOpen) => break, // `Closed` explains it
                Err(error) => return exchange.fail(error),
            };
            exchange.record_sent();
            if sent == Sent::Congested && matches!(exchange.scenario, Scenario::Paced | Scenario::Congested) {
                break;
            }
        }
    }

    fn answer(
        &mut self,
        connections: &mut Connections,
        id: ConnectionId,
        request: Request,
    ) -> Result<(), RespondError> {
        if request.path() == "/events" {
            let stream = connections.respond_streaming(id, request, sse::head(), None)?;
            self.streams.insert(id, stream);
            return Ok(());
        }
        connections.respond(id, request, web::text("served\n"))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read()?;
    let mut endpoint = Endpoint::new()?;
    match &arguments.url {
        Some(url) => drop(endpoint.connections().connect(url.as_str(), ours::client(&arguments))?),
        None => {
            let (connections, config) = (endpoint.connections(), ours::server(&arguments));
            let server = match arguments.scenario {
                Scenario::Kept => connections.listen_on(ours::narrow_listener()?, config)?,
                _ => connections.listen(Bind::localhost(), config)?,
            };
            println!("{}", connections.server(server).url("/").unwrap_or_default());
        }
    }
    let kept = arguments.scenario == Scenario::Kept;
    let mut app = App { arguments, exchanges: HashMap::new(), streams: HashMap::new() };
    if !kept {
        return Ok(endpoint.run(|connections, event| app.handle(connections, event))?);
    }
    loop {
        endpoint.poll(Some(Duration::from_millis(5)), |connections, event| app.handle(connections, event))?;
        for id in app.exchanges.keys().copied().collect::<Vec<_>>() {
            app.send_pending(endpoint.connections(), id);
        }
    }
}
