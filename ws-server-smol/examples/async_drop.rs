//! Files from a phone to this computer and back, of any size. It is the example `drop` of `ws-server-mio`, with its page,
//! for async apps.
//!
//! ```text
//! cargo run --release -p ws-server-smol --example async_drop                       # this machine, a free port
//! cargo run --release -p ws-server-smol --example async_drop 8080 ~/Shared --lan   # everyone with the printed link
//! ```
//!
//! Each connection is one future that reads a body and writes it to a file, on the threads of `blocking`, so that a slow
//! disk slows down its own client only.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for the terminal

use blocking::unblock;
use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use ws_server_smol::http::{HeaderValue, StatusCode, header};
use ws_server_smol::web::{self, Assets, Found, Routes, Upload};
use ws_server_smol::{
    Bind, Folder, Frame, HttpConnection, Incoming, Request, Server, ServerConfig, Token, WebSocket, block_on,
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
    server: Server,
    routes: Routes<To>,
    page: Assets,
    path: PathBuf,
    folder: Folder,
}

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("async_drop: {error}");
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
            number if n == 0 => {
                port = number.parse().map_err(|_| "usage: async_drop [PORT [FOLDER]] [--lan]")?
            }
            folder => path = folder.into(),
        }
    }
    // A page among the files must not run as one of ours.
    let attachment = HeaderValue::from_static("attachment");
    let folder = Folder::new(&path)?.at("/files").header(header::CONTENT_DISPOSITION, attachment);
    Upload::remove_abandoned(&path, ABANDONED)?;
    let server = Server::bind(bind.port(port), config)?;
    println!("drop: {}", server.lan_http_url(&link).or(server.http_url(&link)).unwrap_or_default());
    io::stdout().flush()?;
    let app = App {
        server: server.clone(),
        routes: Routes::new()
            .get("/*", To::Page)
            .get("/files/:name", To::Download)
            .put("/files/:name", To::Upload),
        page: Assets::new().add("/index.html", ws_kit::drop::PAGE),
        path,
        folder,
    };
    // An error ends only its own connection.
    block_on(server.serve(async |http| app.connection(http).await));
    Ok(())
}

impl App {
    async fn connection(&self, mut http: HttpConnection) -> Result<(), Box<dyn Error>> {
        while let Some(incoming) = http.next().await {
            match incoming {
                Incoming::Request(request) => self.answer(&mut http, request).await?,
                Incoming::Upgrade(upgrade) => return self.page(http.accept(upgrade).await?).await,
            }
        }
        Ok(())
    }

    /// The socket of a page.
    async fn page(&self, mut ws: WebSocket) -> Result<(), Box<dyn Error>> {
        self.server.topics().subscribe(ws.id(), "files")?;
        ws.send(ws_kit::drop::files(&self.path).to_string()).await?;
        while let Some(message) = ws.next().await {
            message?;
        }
        Ok(())
    }

    async fn answer(&self, http: &mut HttpConnection, request: Request) -> Result<(), Box<dyn Error>> {
        let response = match self.routes.find(&request) {
            Found::Route(To::Page, _) => self.page.respond(&request).unwrap_or_else(web::not_found),
            Found::Route(To::Download, _) => return Ok(http.respond_file(request, &self.folder).await?),
            Found::Route(To::Upload, params) => {
                let name = params.get("name").unwrap_or_default().to_owned();
                match self.receive(http, &request, &name).await {
                    Ok(path) => {
                        let outcome = ws_kit::drop::stored(&name, &path);
                        self.tell(&outcome);
                        self.tell(&ws_kit::drop::files(&self.path));
                        web::json(StatusCode::CREATED, outcome.to_string())
                    }
                    Err(error) => {
                        self.tell(&ws_kit::drop::failed(&name, &error));
                        // It rejects the rest of the body; a peer that is gone needs no answer.
                        web::status(ws_kit::drop::status(&error))
                    }
                }
            }
            Found::Answer(response) => response,
        };
        Ok(http.respond(request, response).await?)
    }

    /// Writes a body to a file, which is removed if that fails; returns its path.
    async fn receive(&self, http: &mut HttpConnection, request: &Request, name: &str) -> io::Result<PathBuf> {
        let (path, wanted) = (self.path.clone(), name.to_owned());
        let mut file = unblock(move || Upload::create(path, &wanted)).await?;
        let mut told = Instant::now();
        let mut body = http.body(request);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| io::Error::new(io::ErrorKind::UnexpectedEof, error))?;
            file = unblock(move || file.write(&chunk).map(|()| file)).await?;
            if told.elapsed() >= INTERVAL {
                told = Instant::now();
                self.tell(&ws_kit::drop::progress(name, file.len(), request.body_len()));
            }
        }
        unblock(|| file.finish()).await
    }

    fn tell(&self, message: &serde_json::Value) {
        self.server.topics().publish("files", &Frame::text(message.to_string()));
    }
}
