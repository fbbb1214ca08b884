//! HTTP beside the socket: an embedded page, a folder, JSON, an answer that comes later, and a clock by
//! server-sent events.
//!
//! `cargo run -p ws-server-mio --example http -- 8700 path/of/a/folder`

#![allow(clippy::print_stdout)] // a program for the terminal

use std::time::{Duration, Instant};
use ws_server_mio::http::StatusCode;
use ws_server_mio::ws_proto::Event::Request as Asked;
use ws_server_mio::ws_proto::web::{self, Assets, Found, Routes, ServerSentEvent, sse};
use ws_server_mio::{
    Bind, Config, ConnectionId, Connections, Endpoint, Event, Folder, Options, Request, ResponseBody,
    SendError,
};

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>HTTP</title>
<h1>Up for <output id="clock">0</output> s</h1>
<p><a href="/files/">The folder</a>, <a href="/api/greet/you">JSON</a>, <a href="/later">a slow answer</a></p>
<script>
  const clock = document.getElementById("clock");
  new EventSource("/clock").addEventListener("tick", event => clock.textContent = event.data);
</script>"#;

/// What routes lead to: anything that a program likes to match.
enum To {
    Page,
    Folder,
    Greeting,
    Later,
    Clock,
}

struct App {
    routes: Routes<To>,
    assets: Assets,
    folder: Folder,
    /// Requests that are answered later, and when.
    later: Vec<(Instant, ConnectionId, Request)>,
    /// Pages that watch the clock.
    clocks: Vec<(ConnectionId, ResponseBody)>,
}

impl App {
    fn answer(
        &mut self,
        connections: &mut Connections,
        id: ConnectionId,
        request: Request,
    ) -> Result<(), SendError> {
        let (to, params) = match self.routes.find(&request) {
            Found::Route(to, params) => (to, params),
            Found::Answer(response) => return connections.respond(id, request, response), // 404, 405, OPTIONS
        };
        match to {
            To::Page => {
                let response = self.assets.respond(&request).unwrap_or_else(web::not_found);
                connections.respond(id, request, response)?;
            }
            To::Folder => connections.respond_file(id, request, &self.folder)?,
            To::Greeting => {
                let json = serde_json::json!({ "hello": params.get("name") }).to_string();
                connections.respond(id, request, web::json(StatusCode::OK, json))?;
            }
            To::Later => self.later.push((Instant::now() + Duration::from_secs(1), id, request)),
            To::Clock => {
                let stream = connections.respond_streaming(id, request, sse::head(), None)?;
                self.clocks.push((id, stream));
            }
        }
        Ok(())
    }

    fn tick(&mut self, connections: &mut Connections, seconds: u64) {
        let event = ServerSentEvent::new(seconds.to_string()).event("tick");
        // A page that is gone is forgotten.
        self.clocks.retain(|(id, stream)| connections.send_body(*id, stream, event.clone()).is_ok());
        let now = Instant::now();
        for (_, id, request) in self.later.extract_if(.., |(due, ..)| *due <= now) {
            let _ = connections.respond(id, request, web::text("better late than never\n"));
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let port = args.next().map_or(Ok(8700), |port| port.parse())?;
    let folder = args.next().unwrap_or_else(|| ".".to_owned());

    let routes = Routes::new()
        .get("/*", To::Page)
        .get("/files/*", To::Folder)
        .get("/api/greet/:name", To::Greeting)
        .get("/later", To::Later)
        .get("/clock", To::Clock);
    let mut app = App {
        routes,
        assets: Assets::new().add("/index.html", PAGE),
        folder: Folder::new(folder)?.at("/files"),
        later: Vec::new(),
        clocks: Vec::new(),
    };

    let mut endpoint = Endpoint::new(Options::default())?;
    let server = endpoint.connections().listen(Bind::localhost().port(port), Config::server())?;
    println!("http: {}", endpoint.connections().http_url(server, "/").unwrap_or_default());
    let start = Instant::now();
    let mut ticks = 0;
    loop {
        endpoint.poll(Some(Duration::from_millis(100)), |connections, event| {
            if let Event::Connection(id, Asked(request)) = event {
                let _ = app.answer(connections, id, request); // whoever has gone needs no answer
            }
        })?;
        if start.elapsed().as_secs() > ticks {
            ticks = start.elapsed().as_secs();
            app.tick(endpoint.connections(), ticks);
        }
    }
}
