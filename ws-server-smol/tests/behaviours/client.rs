//! Clients connect, close, reconnect, and keep their heartbeat.

use super::common::run;
use super::peer::*;
use super::transport::{client_config, host_of, scheme, server_config};
use super::{DYING, LONG, SOON, beating, beside, got, until};
use futures_lite::future;
use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;
use ws_kit::ports::kept;
use ws_server_smol::Reconnect;
use ws_server_smol::handshake::accept_key;
use ws_server_smol::{
    Bind, Client, ClientEvent, ClientState, CloseCode, ConnectError, Heartbeat, HeartbeatKind, Incoming,
    InvalidTarget, Message, Server, Socket, WebSocket,
};
use ws_server_smol::{Error, Initiator, Timeout};

#[test]
fn row_21_a_client_reconnects_as_the_same_object_at_once_or_by_policy() {
    let (_kept, port) = kept();
    let server = Server::bind(Bind::any().port(port), server_config()).unwrap();
    let url = server.url("/chat?room=7").unwrap();
    assert!(url.starts_with(&format!("{}://localhost:", scheme("ws"))), "a name that needs no lookup: {url}");
    let keys = RefCell::new(Vec::new());
    let handler = async |mut http: ws_server_smol::HttpConnection<_>| {
        let Some(Incoming::Upgrade(upgrade)) = http.next().await else { return };
        assert_eq!((upgrade.path(), upgrade.query()), ("/chat", Some("room=7")));
        keys.borrow_mut().push(upgrade.headers()["sec-websocket-key"].clone());
        let Ok(mut ws) = http.accept(upgrade).await else { return };
        while let Some(Ok(message)) = ws.next().await {
            ws.try_send(message).unwrap();
        }
    };
    run(beside(&server, handler, async {
        // Connect; server and client share the thread.
        let mut client = Client::new(url.as_str(), client_config()).unwrap();
        let ws = client.connect().await.unwrap();
        ws.send("hello").await.unwrap();
        assert_eq!(ws.next().await.unwrap().unwrap(), Message::Text("hello".into()));
        let first = ws.id();
        assert_eq!((client.state(), server.count()), (ClientState::Open, 1));
        assert!(!server.ids().contains(&first), "the server's end has another id");

        // It closes and reconnects, once more while open: the same object, another connection, a new key.
        client.disconnect().await;
        assert_eq!(client.state(), ClientState::Idle);
        let closed = client.closed().unwrap();
        assert!(
            closed.clean && closed.initiator == Initiator::Local && closed.sent == Some(CloseCode::NORMAL)
        );
        assert!(client.next_connection().await.is_none(), "it is idle");
        let second = client.connect().await.unwrap().id();
        let third = client.connect().await.unwrap().id();
        assert!(client.closed().unwrap().clean && first != second && second != third);
        until(|| server.count() == 1).await;

        // It reconnects by policy when the server stops: each wait doubles, up to the longest, with random jitter.
        let millisecond = Duration::from_millis(1);
        let policy = Reconnect::default().wait(20 * millisecond, 80 * millisecond);
        client.set_config(client_config().reconnect(policy));
        let ws = client.websocket().unwrap();
        future::zip(server.stop(LONG), async { while ws.next().await.is_some() {} }).await;
        assert_eq!(client.closed().unwrap().code, CloseCode::GOING_AWAY);
        for (k, whole) in [20, 40, 80, 80, 80].into_iter().enumerate() {
            match client.next_event().await {
                Some(ClientEvent::Reconnecting { attempt, delay }) => {
                    assert_eq!(attempt, k as u32 + 1);
                    assert!(delay >= whole * millisecond / 2 && delay <= whole * millisecond, "{delay:?}");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(client.state(), ClientState::Waiting);
            if k == 4 {
                server.listen(Bind::any().port(port)).unwrap();
            }
            assert!(matches!(client.next_event().await, Some(ClientEvent::Connecting)));
            match client.next_event().await {
                Some(ClientEvent::ConnectFailed(ConnectError::Unreachable { tried, .. })) if k < 4 => {
                    assert!(tried.iter().all(|address| address.port() == port) && !tried.is_empty());
                }
                Some(ClientEvent::Connected(ws)) if k == 4 => assert_ne!(ws.id(), third),
                other => panic!("{k}: {other:?}"),
            }
        }
        assert_eq!(client.state(), ClientState::Open);
        let keys = keys.take();
        assert_eq!(keys.len(), 4);
        assert!((1..4).all(|k| !keys[..k].contains(&keys[k])), "a fresh key for each attempt");

        // Invalid targets fail at once, and nothing secret is sent in the clear.
        let cannot = |url: &str| Client::new(url, client_config()).unwrap_err();
        let is_built_in = cfg!(feature = "tls-no-provider");
        assert!(is_built_in || cannot("wss://localhost/") == InvalidTarget::TlsUnsupported);
        assert!(matches!(cannot("http://localhost/"), InvalidTarget::Request(_)));
        drop(client);
        until(|| server.count() == 0).await;
    }));
}

/// A scripted server that shows what a client sends.
struct Host(TcpListener);

impl Host {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Accepts the next client, and answers its handshake.
    async fn accept(&self) -> Peer {
        let mut peer = host_of(got(|| self.0.accept().ok()).await.0);
        let head = peer.head().await;
        let key = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("sec-websocket-key").then_some(value)
        });
        let accept = accept_key(key.unwrap());
        peer.send(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            )
            .as_bytes(),
        );
        peer
    }
}

/// Runs a script beside a client's connection.
async fn driven(ws: &mut WebSocket<Socket>, script: impl Future<Output = ()>) {
    let driving = async {
        while ws.next_event().await.is_some() {}
        future::pending().await
    };
    future::or(driving, script).await;
}

/// The same row of `ws-server-mio` proves the default of half a minute.
#[test]
fn row_22_a_clients_heartbeat_is_a_pong_or_a_ping_as_set_at_the_last_connect() {
    let host = Host::new();
    let url = format!("{}://{}/", scheme("ws"), host.address());
    run(async {
        // By default it is an empty Pong, repeated, which needs no answer.
        let config = |heartbeat: Heartbeat| client_config().heartbeat(heartbeat);
        let mut client = Client::new(url.as_str(), config(Heartbeat::client().idle(SOON))).unwrap();
        let (ws, mut peer) = future::zip(client.connect(), host.accept()).await;
        let pongs = async |peer: &mut Peer| {
            for _ in 0..3 {
                assert_eq!(peer.frame().await, (PONG, Vec::new()));
            }
        };
        driven(ws.unwrap(), pongs(&mut peer)).await;

        // A change takes effect at the next connect.
        let ping = Heartbeat::client().kind(HeartbeatKind::Ping).idle(SOON).payload("there?");
        client.set_config(config(ping.clone()));
        driven(client.websocket().unwrap(), pongs(&mut peer)).await;
        let hosting = async {
            while peer.frame().await != (CLOSE, b"\x03\xe8".to_vec()) {}
            peer.send(b"\x88\x02\x03\xe8");
            drop(peer);
            host.accept().await
        };
        let (ws, mut peer) = future::zip(client.connect(), hosting).await;
        driven(ws.unwrap(), async {
            for _ in 0..3 {
                assert_eq!(peer.frame().await, (PING, b"there?".to_vec()));
                peer.send(b"\x8a\x06there?");
            }
        })
        .await;
        assert_eq!(client.state(), ClientState::Open);
        drop(peer);

        // A server that does not answer a Ping is dead.
        client.set_config(config(ping.pong_timeout(DYING)));
        let (ws, _peer) = future::zip(client.connect(), host.accept()).await;
        let ws = ws.unwrap();
        while ws.next_event().await.is_some() {}
        assert!(matches!(client.closed().unwrap().error, Some(Error::Timeout(Timeout::Heartbeat))));

        // Some servers tolerate no heartbeat at all: nothing arrives, while another client sends a hundred.
        client.set_config(config(Heartbeat::off()));
        let (ws, mut peer) = future::zip(client.connect(), host.accept()).await;
        let mut other = Client::new(url.as_str(), config(beating().kind(HeartbeatKind::Pong))).unwrap();
        driven(ws.unwrap(), async {
            let (ws, mut beats) = future::zip(other.connect(), host.accept()).await;
            driven(ws.unwrap(), async {
                for _ in 0..100 {
                    beats.frame().await;
                }
            })
            .await;
        })
        .await;
        peer.read();
        assert!(peer.got.is_empty());
        assert_eq!(client.state(), ClientState::Open);
    });
}
