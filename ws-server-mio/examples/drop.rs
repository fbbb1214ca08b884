//! Files from a phone to this computer and back, of any size: a page with progress, and a folder.
//!
//! ```text
//! cargo run --release -p ws-server-mio --example drop                       # this machine, a free port
//! cargo run --release -p ws-server-mio --example drop 8080 ~/Shared --lan   # everyone with the printed link
//! ```
//!
//! An upload is written as it arrives, so its size takes no memory; until it is whole it has a hidden name. Every page
//! shows the progress of every upload. One that is cut off leaves nothing behind, and the pages say so. No file is
//! overwritten. Ctrl-C ends the program.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for the terminal

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use ws_server_mio::http::{HeaderValue, StatusCode, header};
use ws_server_mio::web::{self, Assets, Found, Routes, Upload};
use ws_server_mio::{
    Bind, ConnectionId, Connections, Endpoint, Event, Folder, Frame, Request, RequestBody, ServerConfig,
    Token,
};

/// The largest file.
const LIMIT: u64 = 1 << 40;
/// How often the pages learn of an upload's progress.
const INTERVAL: Duration = Duration::from_millis(100);
/// Unfinished files that are older were left by a program that was killed.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

enum To {
    Page,
    Download,
    Upload,
}

struct App {
    routes: Routes<To>,
    page: Assets,
    path: PathBuf,
    folder: Folder,
    uploads: HashMap<ConnectionId, Incoming>,
}

/// A file that is arriving.
struct Incoming {
    request: Request,
    /// As the page calls it; the file's own name is safe.
    name: String,
    file: Upload,
    told: Instant,
}

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("drop: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), Box<dyn Error>> {
    let (mut bind, mut port, mut path, mut link) = (Bind::localhost(), 0, PathBuf::from("."), "/".to_owned());
    let mut config = ServerConfig::new().upgrade_paths(["/ws"]).stream_bodies("/files/", LIMIT);
    for (n, argument) in std::env::args().skip(1).enumerate() {
        match argument.as_str() {
            "--lan" => {
                let mut random = [0; 16];
                getrandom::fill(&mut random)?;
                let token = Token::from_random(random);
                link = format!("/?token={}", token.as_str());
                (bind, config) = (Bind::lan(), config.require_token(token));
            }
            number if n == 0 => port = number.parse().map_err(|_| "usage: drop [PORT [FOLDER]] [--lan]")?,
            folder => path = folder.into(),
        }
    }
    // A page among the files must not run as one of ours.
    let attachment = HeaderValue::from_static("attachment");
    let folder = Folder::new(&path)?.at("/files").header(header::CONTENT_DISPOSITION, attachment);
    Upload::remove_abandoned(&path, ABANDONED)?;
    let mut app = App {
        routes: Routes::new()
            .get("/*", To::Page)
            .get("/files/:name", To::Download)
            .put("/files/:name", To::Upload),
        page: Assets::new().add("/index.html", ws_kit::drop::PAGE),
        path,
        folder,
        uploads: HashMap::new(),
    };

    let mut endpoint = Endpoint::new()?;
    let server = endpoint.connections().listen(bind.port(port), config)?;
    let server = endpoint.connections().server(server);
    println!("drop: {}", server.lan_http_url(&link).or(server.http_url(&link)).unwrap_or_default());
    io::stdout().flush()?;
    Ok(endpoint.run(|connections, event| app.handle(connections, event))?)
}

impl App {
    /// A failed answer needs no handling: its peer is gone.
    fn handle(&mut self, connections: &mut Connections, event: Event<'_>) {
        match event {
            Event::Request(id, request) => self.answer(connections, id, request),
            Event::Body(id, part) => self.receive(connections, id, part),
            Event::Open(id, _) => {
                let _ = connections.topics().subscribe(id, "files");
                let _ = connections.send(id, ws_kit::drop::files(&self.path).to_string());
            }
            _ => {}
        }
    }

    fn answer(&mut self, connections: &mut Connections, id: ConnectionId, request: Request) {
        let (to, params) = match self.routes.find(&request) {
            Found::Route(to, params) => (to, params),
            Found::Answer(response) => return drop(connections.respond(id, request, response)),
        };
        let response = match to {
            To::Page => self.page.respond(&request).unwrap_or_else(web::not_found),
            To::Download => return drop(connections.respond_file(id, request, &self.folder)),
            To::Upload if !request.is_streaming() => web::not_found(),
            To::Upload => {
                let name = params.get("name").unwrap_or_default().to_owned();
                match Upload::create(&self.path, &name) {
                    Ok(file) => {
                        self.uploads.insert(id, Incoming { request, name, file, told: Instant::now() });
                        return;
                    }
                    Err(error) => web::status(ws_kit::drop::status(&error)),
                }
            }
        };
        let _ = connections.respond(id, request, response);
    }

    /// The next part of the file that this connection sends.
    fn receive(&mut self, connections: &mut Connections, id: ConnectionId, part: RequestBody<'_>) {
        let Some(mut upload) = self.uploads.remove(&id) else { return };
        let (name, length) = (upload.name.clone(), upload.request.body_len());
        let stored = match part {
            RequestBody::Data(data) => match upload.file.write(&data) {
                Ok(()) => {
                    if upload.told.elapsed() >= INTERVAL {
                        upload.told = Instant::now();
                        tell(connections, &ws_kit::drop::progress(&name, upload.file.len(), length));
                    }
                    self.uploads.insert(id, upload);
                    return;
                }
                Err(error) => Err(error),
            },
            RequestBody::Complete => upload.file.finish(),
            // The file is removed with `upload`.
            RequestBody::Incomplete(error) => {
                return tell(connections, &ws_kit::drop::failed(&name, &error));
            }
        };
        let (response, outcome) = match stored {
            Ok(path) => {
                let outcome = ws_kit::drop::stored(&name, &path);
                (web::json(StatusCode::CREATED, outcome.to_string()), outcome)
            }
            // An answer before the end rejects the rest.
            Err(error) => (web::status(ws_kit::drop::status(&error)), ws_kit::drop::failed(&name, &error)),
        };
        let _ = connections.respond(id, upload.request, response);
        tell(connections, &outcome);
        tell(connections, &ws_kit::drop::files(&self.path));
    }
}

fn tell(connections: &mut Connections, message: &serde_json::Value) {
    connections.topics().publish("files", &Frame::text(message.to_string()));
}
