//! The end of `ws-server-smol`.

use crate::{FIRST_PEER_TIMEOUT, GUARD, Ours, SUBPROTOCOL, hung, page, prepare, report, text};
use async_channel::{Receiver, Sender};
use async_executor::LocalExecutor;
use futures_lite::FutureExt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use ws_server_smol::{
    Bind, ClientConfig, ClientRequest, CloseCode, Config, Event, Frame, HttpConnection, Incoming, Server,
    ServerConfig, Socket, WebSocket, connect, http,
};

pub(crate) struct Smol {
    executor: Rc<LocalExecutor<'static>>,
    source: Source,
    /// The connection under test.
    websocket: Option<WebSocket<Socket>>,
}

/// Where connections come from.
enum Source {
    Client(Box<(ClientRequest, ClientConfig)>),
    Server(Receiver<WebSocket<Socket>>),
}

impl Smol {
    pub(crate) fn new(url: Option<&str>, config: Config) -> Result<Self, String> {
        let executor = Rc::new(LocalExecutor::new());
        let source = match url {
            Some(url) => {
                let request = ClientRequest::new(url).and_then(|request| request.subprotocol(SUBPROTOCOL));
                Source::Client(Box::new((request.map_err(text)?, ClientConfig::new().connection(config))))
            }
            None => {
                let server =
                    Server::bind(Bind::localhost(), ServerConfig::new().connection(config)).map_err(text)?;
                report("listening", "ok", &server.url("/").unwrap_or_default());
                let (opened, connections) = async_channel::unbounded();
                let spawner = Rc::downgrade(&executor);
                let listening = async move {
                    while let (Some(http), Some(executor)) = (server.accept().await, spawner.upgrade()) {
                        executor.spawn(serve(http, opened.clone())).detach();
                    }
                };
                executor.spawn(listening).detach();
                Source::Server(connections)
            }
        };
        Ok(Self { executor, source, websocket: None })
    }

    /// Runs the executor until this completes.
    fn block_on<T>(
        executor: &LocalExecutor<'_>,
        guard: Duration,
        future: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let hung = async {
            async_io::Timer::after(guard).await;
            Err(hung(guard))
        };
        async_io::block_on(executor.run(future.or(hung)))
    }

    fn websocket(&mut self) -> Result<&mut WebSocket<Socket>, String> {
        self.websocket.as_mut().ok_or_else(|| "there is no connection".to_owned())
    }
}

/// Passes opened WebSockets to the exercise, and answers all other requests with the page.
async fn serve(mut http: HttpConnection<Socket>, opened: Sender<WebSocket<Socket>>) {
    while let Some(incoming) = http.next().await {
        match incoming {
            Incoming::Request(request) => {
                let answer = page(request.path());
                let _ = http.respond(request, answer).await;
            }
            Incoming::Upgrade(upgrade) => {
                if let Ok(websocket) = http.accept(prepare(upgrade)).await {
                    let _ = opened.send(websocket).await;
                }
                return;
            }
        }
    }
}

impl Ours for Smol {
    fn open(&mut self) -> Result<http::Response<()>, String> {
        let source = &self.source;
        let first = self.websocket.is_none() && matches!(source, Source::Server(_));
        let guard = if first { FIRST_PEER_TIMEOUT } else { GUARD };
        let websocket = Self::block_on(&self.executor, guard, async {
            match source {
                Source::Client(target) => connect(target.0.clone(), target.1.clone()).await.map_err(text),
                Source::Server(connections) => connections.recv().await.map_err(text),
            }
        })?;
        let response = websocket.response().clone();
        self.websocket = Some(websocket);
        Ok(response)
    }

    fn next(&mut self) -> Result<Event<'static>, String> {
        let executor = Rc::clone(&self.executor);
        let websocket = self.websocket()?;
        Self::block_on(&executor, GUARD, async {
            websocket.next_event().await.ok_or_else(|| "the connection has ended".to_owned())
        })
    }

    fn send(&mut self, frame: &Frame) -> Result<(), String> {
        self.websocket()?.try_send(frame).map(drop).map_err(text)
    }

    fn ping(&mut self, payload: &str) -> Result<(), String> {
        self.websocket()?.sender().send_ping(payload.as_bytes()).map(drop).map_err(text)
    }

    fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), String> {
        self.websocket()?.start_close(code, reason).map_err(text)
    }
}
