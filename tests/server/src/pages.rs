//! A server's responses to plain HTTP, and the paths of its sockets.

use std::time::Duration;
use ws_host::web::{self, Assets, Found, Routes};
use ws_proto::Request;
use ws_proto::handshake::upgrade_required;
use ws_server_mio::Bytes;
use ws_server_mio::http::{Response, StatusCode};

/// `/ws` echoes; `/push` sends whenever there is room.
pub const SOCKETS: [&str; 2] = ["/ws", "/push"];
/// The delay of delayed responses.
pub const LATER: Duration = Duration::from_millis(50);
/// The chunks of `/stream`.
pub const CHUNKS: [&str; 3] = ["one ", "two ", "three"];

/// How a request is answered.
pub enum Answer {
    Now(Response<Bytes>),
    Later,
    Never,
    Stream,
    Counts,
}

#[derive(Clone, Copy)]
enum Target {
    Page,
    Large,
    Nothing,
    Echo,
    Fields,
    Client,
    Socket,
    Later,
    Never,
    Stream,
    Counts,
}

pub struct Pages {
    routes: Routes<Target>,
    assets: Assets,
}

impl Default for Pages {
    fn default() -> Self {
        let routes = Routes::new()
            .get("/", Target::Page)
            .get("/large", Target::Large)
            .get("/nothing", Target::Nothing)
            .post("/echo", Target::Echo)
            .post("/fields", Target::Fields)
            .get("/client", Target::Client)
            .get("/ws", Target::Socket)
            .get("/push", Target::Socket)
            .get("/later", Target::Later)
            .get("/never", Target::Never)
            .get("/stream", Target::Stream)
            .get("/counts", Target::Counts);
        let assets = Assets::new().add("/index.html", "<!doctype html><title>test</title>\n");
        Self { routes, assets }
    }
}

impl Pages {
    pub fn answer(&self, request: &Request) -> Answer {
        let target = match self.routes.find(request) {
            Found::Route(target, _) => target,
            Found::Answer(response) => return Answer::Now(response), // 404, 405, OPTIONS
        };
        Answer::Now(match target {
            Target::Page => self.assets.respond(request).unwrap_or_else(web::not_found),
            Target::Large => web::text(vec![b'x'; 1 << 20]),
            Target::Nothing => {
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            Target::Echo => web::text(request.body().clone()),
            Target::Fields => {
                let names: Vec<_> = request.headers().keys().map(|name| name.as_str()).collect();
                web::text(names.join("\n"))
            }
            Target::Client => {
                let client = request.peer_addr().map_or("-".to_owned(), |client| client.ip().to_string());
                web::text(format!("{client} {}\n", request.url().unwrap_or_default()))
            }
            Target::Socket => upgrade_required(),
            Target::Later => return Answer::Later,
            Target::Never => return Answer::Never,
            Target::Stream => return Answer::Stream,
            Target::Counts => return Answer::Counts,
        })
    }
}
