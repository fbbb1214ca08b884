//! The test server on `ws-server-mio`.

use std::collections::HashMap;
use std::error::Error;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use test_server::counts::{Counts, add};
use test_server::pages::{Answer, CHUNKS, LATER, Pages, SOCKETS};
use test_server::{options, talk};
use ws_host::web;
use ws_server_mio::{ConnectionId, Connections, Endpoint, Event, Request, RespondError, Sent};

#[derive(Default)]
struct App {
    pages: Pages,
    counts: Counts,
    later: Vec<(Instant, ConnectionId, Request)>,
    pending: HashMap<ConnectionId, u64>,
    /// Requests kept until after the turn, so that they get 503; one dropped at once gets an automatic 404.
    never: Vec<Request>,
    pushing: HashMap<ConnectionId, bool>,
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
                self.pushing.insert(id, connections.path(id) == Some("/push"));
                add(&self.counts.opened);
                self.push(connections, id);
            }
            Event::Message(id, message) => {
                add(&self.counts.messages);
                if connections.send(id, message).is_err() {
                    connections.terminate(id); // the peer requests more than it reads
                }
            }
            Event::Drained(id) => self.push(connections, id),
            Event::Closed(id, closed) => {
                println!("{closed}");
                if closed.was_open {
                    add(&self.counts.ended);
                }
                self.pushing.remove(&id);
                self.pending.remove(&id);
            }
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, connections: &mut Connections, id: ConnectionId) {
        if self.pushing.get(&id) == Some(&true) {
            while connections.send(id, talk::pushed()) == Ok(Sent::Queued) {}
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
                let pending = self.pending.entry(id).or_default();
                *pending += 1;
                self.counts.max_pending.fetch_max(*pending, Relaxed);
                self.later.push((Instant::now() + LATER, id, request));
                return Ok(());
            }
            Answer::Stream => {
                let head = ws_server_mio::http::Response::new(());
                let body = connections.respond_streaming(id, request, head, None)?;
                for chunk in CHUNKS {
                    connections.send_body(id, &body, chunk)?;
                }
                return connections.finish_body(id, body);
            }
            Answer::Counts => web::text(self.counts.page(&connections.stats())),
        };
        connections.respond(id, request, response)
    }

    /// Sends the responses that are due; returns how long to wait for the rest.
    fn answer_later(&mut self, endpoint: &mut Endpoint) -> Option<Duration> {
        self.never.clear();
        if self.later.is_empty() {
            return None; // `connections()` would make another turn due
        }
        let (now, connections) = (Instant::now(), endpoint.connections());
        for (_, id, request) in self.later.extract_if(.., |(due, ..)| *due <= now) {
            if let Some(pending) = self.pending.get_mut(&id) {
                *pending -= 1;
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
        // A closed connection needs no response.
        endpoint.poll(wait, |connections, event| drop(app.handle(connections, event)))?;
        add(&app.counts.turns);
        wait = app.answer_later(&mut endpoint);
    }
}
