use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{Html, Response};
use axum::routing::get;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::sync::Arc;
use tokio_util::compat::TokioAsyncReadCompatExt;
use ws_proto::{Config, Role, handshake};
use ws_server_smol::{ServerConfig, WebSocket, WebSocketError};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Arc::new(ServerConfig::new().connection_config());
    let app = Router::new()
        .route("/", get(async || Html("<h1>hello</h1>")))
        .route("/ws", get(upgrade))
        .with_state(config);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("ws://{}/ws", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn upgrade(State(config): State<Arc<Config>>, mut request: Request) -> Response {
    let mut answer = match handshake::answer(&request, &config) {
        Ok(answer) => answer,
        Err(rejection) => return rejection.into_response().map(Body::from),
    };
    answer.choose_subprotocol(&["chat.v2", "chat.v1"]);
    let (response, _opening) = answer.into_parts();
    let stream = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(stream) = stream.await else { return };
        let stream = TokioIo::new(stream).compat();
        if let Err(error) = echo(WebSocket::upgraded(stream, config, Role::Server)).await {
            eprintln!("{error}");
        }
    });
    response.map(|()| Body::empty())
}

type Stream = tokio_util::compat::Compat<TokioIo<hyper::upgrade::Upgraded>>;

async fn echo(mut ws: WebSocket<Stream>) -> Result<(), WebSocketError> {
    while let Some(message) = ws.next().await {
        ws.send(message?).await?;
    }
    Ok(())
}
