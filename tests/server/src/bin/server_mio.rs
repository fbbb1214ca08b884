//! The server of the tests, on `ws-server-mio`.

use std::collections::HashMap;
use std::error::Error;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use test_server::counts::{Counts, add};
use test_server::pages::{Answer, LATER, PIECES, Pages, SOCKETS};
use test_server::{options, talk};
use ws_host::web;
use ws_server_mio::{ConnectionId, Connections, Endpoint, Event, Request, RespondError, Sent};

#[derive(Default)]
struct App {
    pages: Pages,
    counts: Counts,
    later: Vec<(Instant, ConnectionId, Request)>,
    waiting: HashMap<ConnectionId, u64>,
    /// Kept, and dropped after the turn: 503, while a request that is dropped at once gets an automatic 404.
    never: Vec<Request>,
    talking: HashMap<ConnectionId, bool>,
}

impl App {
    fn handle(&mut self, connections: &mut Connections, event: Event<'_>) -> Result<(), RespondError> {
        match event {
            Event::AcceptFailed { error, .. } => {
                println!("cannot accept: {error}");
                add(&self.counts.accept_failed);
                return Ok(());
            }
            Event::Request(id, request) => return self.answer(connections, id, request),
            Event::Open(id, _) => {
                self.talking.insert(id, connections.path(id) == Some("/talk"));
                add(&self.counts.opened);
                self.talk(connections, id);
            }
            Event::Message(id, message) => {
                add(&self.counts.messages);
                if connections.send(id, message).is_err() {
                    connections.terminate(id); // it requests more than it reads
                }
            }
            Event::Drained(id) => self.talk(connections, id),
            Event::Closed(id, closed) => {
                println!("{closed}");
                if closed.was_open {
                    add(&self.counts.ended);
                }
                self.talking.remove(&id);
                self.waiting.remove(&id);
            }
            _ => {}
        }
        Ok(())
    }

    fn talk(&mut self, connections: &mut Connections, id: ConnectionId) {
        if self.talking.get(&id) == Some(&true) {
            while connections.send(id, talk::word()) == Ok(Sent::Queued) {}
        }
    }

    fn answer(
        &mut self,
        connections: &mut Connections,
        id: ConnectionId,
        request: Request,
    ) -> Result<(), RespondError> {
        let response = match self.pages.answer(&request) {
            Answer::Now(response) => response,
            Answer::Never => {
                self.never.push(request);
                return Ok(());
            }
            Answer::Later => {
                let waiting = self.waiting.entry(id).or_default();
                *waiting += 1;
                self.counts.most_waiting.fetch_max(*waiting, Relaxed);
                self.later.push((Instant::now() + LATER, id, request));
                return Ok(());
            }
            Answer::Delivery => {
                let head = ws_server_mio::http::Response::new(());
                let body = connections.respond_streaming(id, request, head, None)?;
                for piece in PIECES {
                    connections.send_body(id, &body, piece)?;
                }
                return connections.finish_body(id, body);
            }
            Answer::Counts => {
                let stats = connections.stats();
                web::text(self.counts.page(stats.open, stats.accepted))
            }
        };
        connections.respond(id, request, response)
    }

    /// Sends due answers; returns how long to wait for the rest.
    fn answer_later(&mut self, endpoint: &mut Endpoint) -> Option<Duration> {
        self.never.clear();
        if self.later.is_empty() {
            return None; // without accessing the connections, which would make another turn due
        }
        let (now, connections) = (Instant::now(), endpoint.connections());
        for (_, id, request) in self.later.extract_if(.., |(due, ..)| *due <= now) {
            if let Some(waiting) = self.waiting.get_mut(&id) {
                *waiting -= 1;
            }
            let _ = connections.respond(id, request, web::text("later\n"));
        }
        Some(LATER / 10)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (bind, config) = options::server()?;
    let mut endpoint = Endpoint::new()?;
    let server = endpoint.connections().listen(bind, config.upgrade_paths(SOCKETS))?;
    println!("test: {}", endpoint.connections().server(server).http_url("/").unwrap_or_default());
    let mut app = App::default();
    let mut wait = None;
    loop {
        // A closed connection needs no answer.
        endpoint.poll(wait, |connections, event| drop(app.handle(connections, event)))?;
        add(&app.counts.turns);
        wait = app.answer_later(&mut endpoint);
    }
}
