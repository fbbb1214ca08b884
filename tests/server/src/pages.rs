//! A server's answers to plain HTTP, and the paths of its sockets.

use std::time::Duration;
use ws_host::web::{self, Assets, Found, Routes};
use ws_proto::handshake::upgrade_required;
use ws_server_mio::Bytes;
use ws_server_mio::http::{Request, Response, StatusCode};

/// `/ws` echoes; `/talk` sends whenever there is room.
pub const SOCKETS: [&str; 2] = ["/ws", "/talk"];
/// The delay of late answers.
pub const LATER: Duration = Duration::from_millis(50);
/// The chunks of `/pieces`.
pub const PIECES: [&str; 3] = ["one ", "two ", "three"];

/// How a request is answered.
pub enum Answer {
    Now(Response<Bytes>),
    Later,
    Never,
    Delivery,
    Counts,
}

#[derive(Clone, Copy)]
enum To {
    Page,
    Large,
    Nothing,
    Echo,
    Fields,
    Socket,
    Later,
    Never,
    Delivery,
    Counts,
}

pub struct Pages {
    routes: Routes<To>,
    assets: Assets,
}

impl Default for Pages {
    fn default() -> Self {
        let routes = Routes::new()
            .get("/", To::Page)
            .get("/large", To::Large)
            .get("/nothing", To::Nothing)
            .post("/echo", To::Echo)
            .post("/fields", To::Fields)
            .get("/ws", To::Socket)
            .get("/talk", To::Socket)
            .get("/later", To::Later)
            .get("/never", To::Never)
            .get("/pieces", To::Delivery)
            .get("/counts", To::Counts);
        let assets = Assets::new().add("/index.html", "<!doctype html><title>test</title>\n");
        Self { routes, assets }
    }
}

impl Pages {
    pub fn answer(&self, request: &Request<Bytes>) -> Answer {
        let to = match self.routes.find(request) {
            Found::Route(to, _) => to,
            Found::Answer(response) => return Answer::Now(response), // 404, 405, OPTIONS
        };
        Answer::Now(match to {
            To::Page => self.assets.respond(request).unwrap_or_else(web::not_found),
            To::Large => web::text(vec![b'x'; 1 << 20]),
            To::Nothing => {
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            To::Echo => web::text(request.body().clone()),
            To::Fields => {
                let names: Vec<_> = request.headers().keys().map(|name| name.as_str()).collect();
                web::text(names.join("\n"))
            }
            To::Socket => upgrade_required(),
            To::Later => return Answer::Later,
            To::Never => return Answer::Never,
            To::Delivery => return Answer::Delivery,
            To::Counts => return Answer::Counts,
        })
    }
}
