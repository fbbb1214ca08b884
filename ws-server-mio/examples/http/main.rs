//! Plain HTTP: a page, a folder, JSON, a delayed response, and a clock over server-sent events.
//!
//! `cargo run -p ws-server-mio --example http -- 8700 path/of/a/folder`

#![allow(clippy::print_stdout)] // a program for the terminal

use std::time::{Duration, Instant};
use ws_server_mio::http::{Response, StatusCode};
use ws_server_mio::web::{self, Assets, Found, Routes, ServerSentEvent, sse};
use ws_server_mio::{
    Bind, Bytes, ConnectionId, Connections, Endpoint, Event, Folder, Request, RespondError, ResponseBody,
    ServerConfig,
};

/// The targets of routes: any type that a program can match on.
enum To {
    Page,
    Folder,
    Greeting,
    Sum,
    Later,
    Clock,
    Health,
}

struct App {
    routes: Routes<To>,
    /// The page as embedded in the program.
    assets: Assets,
    /// During development the page comes from the disk: reload to see changes.
    source: Option<Folder>,
    folder: Folder,
    /// Requests with a delayed response, and when it is due.
    later: Vec<(Instant, ConnectionId, Request)>,
    /// The event streams of the clock.
    clocks: Vec<(ConnectionId, ResponseBody)>,
}

impl App {
    fn answer(
        &mut self,
        connections: &mut Connections,
        id: ConnectionId,
        request: Request,
    ) -> Result<(), RespondError> {
        let (to, params) = match self.routes.find(&request) {
            Found::Route(to, params) => (to, params),
            Found::Answer(response) => return connections.respond(id, request, response), // 404, 405, OPTIONS
        };
        let response = match (to, &self.source) {
            (To::Page, Some(source)) => return connections.respond_file(id, request, source),
            (To::Page, None) => self.assets.respond(&request).unwrap_or_else(web::not_found),
            (To::Folder, _) => return connections.respond_file(id, request, &self.folder),
            (To::Greeting, _) => {
                let json = serde_json::json!({ "hello": params.get("name") });
                web::json(StatusCode::OK, json.to_string())
            }
            (To::Sum, _) => sum(&request),
            (To::Later, _) => {
                self.later.push((Instant::now() + Duration::from_secs(1), id, request));
                return Ok(());
            }
            (To::Clock, _) => {
                let stream = connections.respond_streaming(id, request, sse::head(), None)?;
                self.clocks.push((id, stream));
                return Ok(());
            }
            (To::Health, _) => web::text("ok\n"),
        };
        connections.respond(id, request, response)
    }

    fn tick(&mut self, connections: &mut Connections, seconds: u64) {
        let event = ServerSentEvent::new(seconds.to_string()).event("tick");
        // Forget a page that is gone or does not read; its stream ends, and it reconnects automatically.
        self.clocks.retain(|(id, stream)| connections.send_body(*id, stream, event.clone()).is_ok());
        let now = Instant::now();
        for (_, id, request) in self.later.extract_if(.., |(due, ..)| *due <= now) {
            let _ = connections.respond(id, request, web::text("better late than never\n"));
        }
    }
}

/// The sum of a list of numbers.
fn sum(request: &Request) -> Response<Bytes> {
    if !web::has_content_type(request, "application/json") {
        return web::unsupported_media_type("application/json");
    }
    match serde_json::from_slice::<Vec<f64>>(request.body()) {
        Ok(numbers) => web::json(StatusCode::OK, numbers.iter().sum::<f64>().to_string()),
        Err(error) => {
            let json = serde_json::json!({ "error": error.to_string() });
            web::json(StatusCode::BAD_REQUEST, json.to_string())
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let port = args.next().map_or(Ok(8700), |port| port.parse())?;
    let folder = args.next().unwrap_or_else(|| ".".to_owned());
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/http");

    let routes = Routes::new()
        .get("/*", To::Page)
        .get("/files/*", To::Folder)
        .get("/api/greet/:name", To::Greeting)
        .post("/api/sum", To::Sum)
        .get("/later", To::Later)
        .get("/clock", To::Clock)
        .get("/healthz", To::Health);
    let mut app = App {
        routes,
        assets: Assets::new().add("/index.html", include_str!("index.html")),
        source: cfg!(debug_assertions).then(|| Folder::new(source)).transpose()?,
        folder: Folder::new(folder)?.at("/files"),
        later: Vec::new(),
        clocks: Vec::new(),
    };

    let mut endpoint = Endpoint::new()?;
    let server = endpoint.connections().listen(Bind::localhost().port(port), ServerConfig::new())?;
    println!("http: {}", endpoint.connections().server(server).http_url("/").unwrap_or_default());
    let start = Instant::now();
    let mut ticks = 0;
    loop {
        endpoint.poll(Some(Duration::from_millis(100)), |connections, event| {
            if let Event::Request(id, request) = event {
                let _ = app.answer(connections, id, request); // a peer that has gone needs no response
            }
        })?;
        if start.elapsed().as_secs() > ticks {
            ticks = start.elapsed().as_secs();
            app.tick(endpoint.connections(), ticks);
        }
    }
}
