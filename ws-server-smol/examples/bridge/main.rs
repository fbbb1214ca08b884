//! Functions of a program that its page can call, and functions of the page that the program can call: JSON-RPC 2.0
//! over a WebSocket, in both directions.
//!
//! ```text
//! cargo run -p ws-server-smol --example bridge                 # serves a page, on a free port
//! cargo run -p ws-server-smol --example bridge -- 8080         # on this one
//! cargo run -p ws-server-smol --example bridge -- --connect ws://127.0.0.1:8080/rpc
//! ```
//!
//! The last command starts a second process: it calls functions of the first, which calls it like a page. Stop the
//! first one and restart it: pages and processes reconnect automatically.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program for the terminal

mod rpc;

use futures_lite::future;
use futures_util::future::join_all;
use rpc::{Answer, INVALID_PARAMS, METHOD_NOT_FOUND, Peer, Problem, talk};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use ws_server_smol::{
    Bind, Client, ClientConfig, ClientEvent, ConnectionId, Heartbeat, HttpConnection, Reconnect, Request,
    Server, ServerConfig, block_on, web,
};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["--connect", url] => block_on(visit(url, |line| println!("{line}"))),
        [] => serve(0),
        [port] => port.parse().map_err(Into::into).and_then(serve),
        _ => Err("usage: bridge [PORT | --connect URL]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bridge: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(port: u16) -> Result<(), Box<dyn Error>> {
    let server = Server::bind(Bind::localhost().port(port), config())?;
    println!("bridge: {}", server.http_url("/").unwrap_or_default());
    println!("        {}", server.url("/rpc").unwrap_or_default());
    block_on(Bridge::default().serve(&server));
    Ok(())
}

pub(crate) fn config() -> ServerConfig {
    ServerConfig::new().upgrade_paths(["/rpc"]).heartbeat(Heartbeat::frequent())
}

/// The program: its functions and its connected peers.
#[derive(Default)]
pub(crate) struct Bridge {
    peers: RefCell<BTreeMap<ConnectionId, Peer>>,
}

impl Bridge {
    pub(crate) async fn serve(&self, server: &Server) {
        server.serve(async |http| self.connection(http).await).await;
    }

    async fn connection(&self, http: HttpConnection) {
        let page =
            async |request: &Request| (request.path() == "/").then(|| web::html(include_str!("page.html")));
        let Some(mut ws) = http.upgrade_or(page).await else { return };
        let (id, peer) = (ws.id(), Peer::new(ws.sender()));
        self.peers.borrow_mut().insert(id, peer.clone());
        self.notify_peer_count();
        talk(&mut ws, &peer, async |method, params| self.function(id, &method, params).await).await;
        self.peers.borrow_mut().remove(&id);
        self.notify_peer_count();
    }

    async fn function(&self, caller: ConnectionId, method: &str, params: Value) -> Answer {
        match method {
            "add" => add(params),
            "survey" => self.survey(caller, params).await,
            _ => Err(Problem::new(METHOD_NOT_FOUND, format!("there is no function {method:?}"))),
        }
    }

    /// Asks all other peers concurrently, and returns their answers.
    async fn survey(&self, caller: ConnectionId, question: Value) -> Answer {
        let peers = self.peers.borrow().clone();
        let others = peers.iter().filter(|(id, _)| **id != caller);
        let answers = join_all(others.map(|(_, peer)| peer.call("ask", question.clone()))).await;
        Ok(answers.into_iter().flatten().collect())
    }

    fn notify_peer_count(&self) {
        let peers = self.peers.borrow();
        for peer in peers.values() {
            peer.notify("here", json!([peers.len()]));
        }
    }
}

fn add(params: Value) -> Answer {
    let (a, b): (f64, f64) =
        serde_json::from_value(params).map_err(|error| Problem::new(INVALID_PARAMS, error))?;
    Ok(json!(a + b))
}

/// The second process: it connects, calls and is called, and reconnects automatically.
pub(crate) async fn visit(url: &str, say: impl Fn(String)) -> Result<(), Box<dyn Error>> {
    let policy = Reconnect::default().wait(Duration::from_millis(100), Duration::from_secs(5));
    let config = ClientConfig::new().heartbeat(Heartbeat::frequent()).reconnect(policy);
    let mut client = Client::new(url, config)?;
    while let Some(event) = client.next_event().await {
        match event {
            ClientEvent::Connected(ws) => {
                let peer = Peer::new(ws.sender());
                let asks = async {
                    match peer.call("add", json!([2, 3])).await {
                        Ok(sum) => say(format!("2 + 3 = {sum}")),
                        Err(problem) => say(problem.to_string()),
                    }
                    future::pending().await
                };
                let functions = async |method: String, params: Value| match method.as_str() {
                    "ask" => Ok(json!(format!("process {} has heard {params}", std::process::id()))),
                    "here" => {
                        say(format!("{params} are here"));
                        Ok(Value::Null)
                    }
                    _ => Err(Problem::new(METHOD_NOT_FOUND, format!("there is no function {method:?}"))),
                };
                future::or(talk(ws, &peer, functions), asks).await;
            }
            ClientEvent::ConnectFailed(error) => say(error.to_string()),
            ClientEvent::Reconnecting { delay, .. } => say(format!("again in {delay:.1?}")),
            _ => {}
        }
    }
    // The policy has given up: the end was final.
    Ok(())
}
