//! The test server on `ws-server-smol`.

use async_io::Timer;
use futures_lite::future::{or, poll_fn};
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use test_server::counts::{Counts, add};
use test_server::pages::{Answer, CHUNKS, LATER, Pages, SOCKETS};
use test_server::{options, talk};
use ws_host::web;
use ws_proto::Event;
use ws_server_smol::{
    Closed, ConnectionId, Extension, Frame, HttpConnection, Incoming, Request, RespondError, Server, Socket,
    WebSocket, http,
};

struct App {
    server: Server,
    pages: Pages,
    counts: Arc<Counts>,
}

/// Counts every close, including connections that their handler has dropped.
struct CloseCounter(Arc<Counts>);

impl Extension for CloseCounter {
    fn closed(&mut self, _: &Server, _: ConnectionId, closed: &Closed) {
        println!("{closed}");
        add(&self.0.ended);
    }
}

impl App {
    async fn connection(&self, mut http: HttpConnection<Socket>) -> Result<(), Box<dyn Error>> {
        let mut later: Vec<(Instant, Request)> = Vec::new();
        loop {
            let request = match or(async { Some(http.next().await) }, first_due(&later)).await {
                Some(Some(Incoming::Request(request))) => request,
                Some(Some(Incoming::Upgrade(upgrade))) if SOCKETS.contains(&upgrade.path()) => {
                    // It opens after the responses to earlier requests.
                    while !later.is_empty() {
                        first_due::<()>(&later).await;
                        answer_due(&http, &mut later)?;
                    }
                    let pushes = upgrade.path() == "/push";
                    let ws = http.accept(upgrade).await?;
                    add(&self.counts.opened);
                    return if pushes { push_to(ws).await } else { self.echo(ws).await };
                }
                Some(Some(Incoming::Upgrade(upgrade))) => {
                    http.respond(upgrade, web::not_found()).await?;
                    continue;
                }
                Some(None) => return Ok(()),
                None => {
                    answer_due(&http, &mut later)?;
                    continue;
                }
            };
            match self.pages.answer(&request) {
                // Does not wait for the write: delayed responses are due meanwhile.
                Answer::Now(response) => http.responder().respond(request, response)?,
                Answer::Never => {}
                Answer::Later => {
                    later.push((Instant::now() + LATER, request));
                    self.counts.max_pending.fetch_max(later.len() as u64, Relaxed);
                }
                Answer::Stream => {
                    let body = http.respond_streaming(request, http::Response::new(()), None)?;
                    for chunk in CHUNKS {
                        body.try_send(chunk)?;
                    }
                    body.finish()?;
                }
                Answer::Counts => {
                    let page = self.counts.page(&self.server.stats());
                    http.responder().respond(request, web::text(page))?;
                }
            }
        }
    }

    async fn echo(&self, mut ws: WebSocket<Socket>) -> Result<(), Box<dyn Error>> {
        while let Some(message) = ws.next().await {
            let message = message?;
            add(&self.counts.messages);
            ws.try_send(message)?; // a peer that requests more than it reads is dropped
        }
        Ok(())
    }
}

/// Waits until the first of them is due.
async fn first_due<T>(later: &[(Instant, Request)]) -> Option<T> {
    match later.iter().map(|(due, _)| *due).min() {
        Some(due) => drop(Timer::at(due).await),
        None => std::future::pending().await,
    }
    None
}

fn answer_due(
    http: &HttpConnection<Socket>,
    later: &mut Vec<(Instant, Request)>,
) -> Result<(), RespondError> {
    let now = Instant::now();
    let responder = http.responder();
    for (_, request) in later.extract_if(.., |(due, _)| *due <= now) {
        responder.respond(request, web::text("later\n"))?;
    }
    Ok(())
}

async fn push_to(mut ws: WebSocket<Socket>) -> Result<(), Box<dyn Error>> {
    let sender = ws.sender();
    let push = async { while sender.send(Frame::binary(talk::pushed())).await.is_ok() {} };
    let receive = async { while !matches!(ws.next_event().await, None | Some(Event::Closed(_))) {} };
    or(push, receive).await;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let (bind, config) = options::server()?;
    let server = Server::bind(bind, config)?;
    let counts = Arc::new(Counts::default());
    server.set_extension(CloseCounter(counts.clone()))?;
    let failures = counts.clone();
    server.on_accept_failed(move |error| {
        println!("cannot accept: {error}");
        add(&failures.accept_failed);
    });
    println!("test: {}", server.http_url("/").unwrap_or_default());
    let app = App { server: server.clone(), pages: Pages::default(), counts };
    let mut serving = pin!(server.serve(async |http| drop(app.connection(http).await)));
    async_io::block_on(poll_fn(|cx| {
        add(&app.counts.turns);
        serving.as_mut().poll(cx)
    }));
    Ok(())
}
