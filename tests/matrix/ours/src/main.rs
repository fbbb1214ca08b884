//! Our end of each exchange of the matrix. It leads the exchange with a third-party peer.
//!
//! `matrix-ours mio|smol server [deflate] [exercise|idle|end]` listens and prints its URL;
//! `matrix-ours mio|smol client URL [deflate]` connects.
//!
//! Each line of the output is the result of one step: its name, `ok`, `one way` or `failed`, and details, with tabs
//! between them. `README.md` beside this package specifies a peer.

mod exercise;
mod mio;
mod smol;

use std::process::ExitCode;
use std::time::Duration;
use ws_server_mio::Upgrade;
use ws_server_mio::{Bytes, CloseCode, Deflate, Frame, Heartbeat, http};
use ws_server_smol::{Config, Event};

/// After this time a step counts as hung.
const GUARD: Duration = Duration::from_secs(30);
/// A server's timeout for its first peer, which may visit other servers first.
const FIRST_PEER_TIMEOUT: Duration = Duration::from_secs(600);
const SUBPROTOCOL: &str = "matrix";
/// The heartbeat interval that keeps an idle connection open: well below the timeout of the tested proxies.
const BEAT: Duration = Duration::from_secs(1);

/// One adapter in one role, with one connection at a time. Every call blocks.
trait Ours {
    /// Waits for the next connection; returns the 101 that opened it.
    fn open(&mut self) -> Result<http::Response<()>, String>;
    fn next(&mut self) -> Result<Event<'static>, String>;
    fn send(&mut self, frame: &Frame) -> Result<(), String>;
    /// Sends a ping whose answer is reported.
    fn ping(&mut self, payload: &str) -> Result<(), String>;
    fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), String>;
}

fn report(step: &str, outcome: &str, detail: &str) {
    println!("{step}\t{outcome}\t{}", detail.replace(['\n', '\t'], " "));
}

fn text<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

fn hung(guard: Duration) -> String {
    format!("nothing received for {} s", guard.as_secs())
}

/// Selects the subprotocol, and reports the header fields that the peer or a proxy sent.
fn prepare(mut upgrade: Upgrade) -> Upgrade {
    for (name, value) in upgrade.headers() {
        report("header", name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
    }
    if upgrade.subprotocols().any(|name| name == SUBPROTOCOL) {
        let _ = upgrade.select_subprotocol(SUBPROTOCOL);
    }
    upgrade
}

/// The page that makes a browser a peer.
fn page(path: &str) -> http::Response<Bytes> {
    let (kind, body) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("../page/page.html")),
        "/web.mjs" => ("text/javascript; charset=utf-8", include_str!("../page/web.mjs")),
        _ => ("text/plain", ""),
    };
    let mut response = http::Response::new(Bytes::from_static(body.as_bytes()));
    if body.is_empty() {
        *response.status_mut() = http::StatusCode::NOT_FOUND;
    }
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

fn run(arguments: &[&str]) -> Result<(), String> {
    const USAGE: &str = "usage: matrix-ours mio|smol server|client [URL] [deflate] [exercise|idle|end]";
    let has = |word| arguments.contains(&word);
    let server = has("server");
    let mut config = if server { Config::server() } else { Config::client() };
    // Fragments are reported as they arrive, to be counted.
    config = config.delivery(ws_server_mio::Delivery::Chunked { whole: u64::MAX });
    if has("deflate") {
        config = config.deflate(Deflate::new());
    }
    config = match () {
        () if has("idle") => config.heartbeat(Heartbeat::frequent().idle(BEAT)),
        () if has("end") => config.heartbeat(Heartbeat::off()),
        () => config,
    };
    let url = arguments.iter().find(|word| word.starts_with("ws://"));
    let mut ours: Box<dyn Ours> = match (arguments.first(), url) {
        (Some(&"mio"), url) if server == url.is_none() => Box::new(mio::Mio::new(url.copied(), config)?),
        (Some(&"smol"), url) if server == url.is_none() => Box::new(smol::Smol::new(url.copied(), config)?),
        _ => return Err(USAGE.to_owned()),
    };
    match () {
        () if has("idle") => exercise::idle(&mut *ours),
        () if has("end") => exercise::end(&mut *ours),
        () => exercise::whole(&mut *ours, has("deflate")),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
