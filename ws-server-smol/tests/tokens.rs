//! Servers with several tokens: they come, expire and go while it runs, and wrong ones are limited.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use common::peer::*;
use common::run;
use futures_lite::future::or;
use std::time::{Duration, SystemTime};
use ws_kit::claims::Claim;
use ws_server_smol::{Bind, HttpConnection, Incoming, Server, ServerConfig, Token, Tokens, Via, http};

fn token(n: u8) -> Token {
    Token::from_random([n; 16])
}

fn path(n: u8) -> String {
    format!("/?token={}", token(n).as_str())
}

async fn handle(mut http: HttpConnection) {
    while let Some(incoming) = http.next().await {
        match incoming {
            Incoming::Request(request) => {
                let _ = http.respond(request, http::Response::new("hello".into())).await;
            }
            Incoming::Upgrade(upgrade) => {
                let Ok(mut ws) = http.accept(upgrade).await else { return };
                while let Some(Ok(message)) = ws.next().await {
                    let _ = ws.send(message).await;
                }
                return;
            }
        }
    }
}

/// Runs a script beside a server.
fn beside(config: ServerConfig, script: impl AsyncFnOnce(&Server)) {
    let server = Server::bind(Bind::localhost(), config).unwrap();
    let serving = async {
        server.serve(handle).await;
        unreachable!("it serves until dropped")
    };
    run(or(async { script(&server).await }, serving));
}

async fn status(server: &Server, path: &str, fields: &str) -> (u16, String) {
    let address = server.local_addr().unwrap();
    let mut peer = Peer::connect(address);
    peer.send(&with_fields(get(address, path), fields));
    let head = peer.head().await.to_lowercase();
    (head[9..12].parse().unwrap(), head)
}

async fn open(server: &Server, path: &str) -> Peer {
    let address = server.local_addr().unwrap();
    let mut peer = Peer::connect(address);
    peer.send(&handshake(address, path));
    assert!(peer.head().await.starts_with("HTTP/1.1 101"));
    peer
}

#[test]
fn revoking_a_token_closes_on_request_the_websockets_that_came_by_it() {
    let tokens = Tokens::new();
    let (phone, tablet) = (tokens.add(token(1)), tokens.add(token(2)));
    beside(ServerConfig::new().require_tokens(tokens.clone()), async |server| {
        let mut first = open(server, &path(1)).await;
        let mut second = open(server, &path(1)).await;
        let mut other = open(server, &path(2)).await;
        until(|| server.ids().len() == 3).await;
        let of: Vec<_> = server.ids().into_iter().map(|id| server.token(id)).collect();
        assert_eq!(of, [Some(phone), Some(phone), Some(tablet)]);
        let first_id = server.ids()[0];
        assert_eq!(server.close_revoked(), 0);

        assert!(tokens.revoke(phone));
        assert_eq!(status(server, &path(1), "").await.0, 401);
        first.send(&frame(0x81, b"still"));
        assert_eq!(first.frame().await, (0x81, b"still".to_vec()), "open until it is closed");
        assert_eq!(server.close_revoked(), 2);
        for peer in [&mut first, &mut second] {
            let (first, payload) = peer.frame().await;
            assert_eq!((first, close_code(&payload), &payload[2..]), (CLOSE, 1008, &b"token revoked"[..]));
        }
        assert_eq!(server.close_revoked(), 0, "once");
        other.send(&frame(0x81, b"here"));
        assert_eq!(other.frame().await, (0x81, b"here".to_vec()));
        let new = tokens.add(token(3));
        assert_eq!((status(server, &path(3), "").await.0, tokens.revoke(new)), (200, true));
        drop((first, second));
        until(|| server.ids().len() == 1).await;
        assert_eq!(server.token(first_id), None);
    });
}

#[test]
fn an_upgrade_that_is_undecided_ends_with_its_token() {
    let tokens = Tokens::new();
    let phone = tokens.add(token(1));
    let config = ServerConfig::new().require_tokens(tokens.clone());
    let server = Server::bind(Bind::localhost(), config).unwrap();
    run(async {
        let address = server.local_addr().unwrap();
        let mut peer = Peer::connect(address);
        peer.send(&handshake(address, &path(1)));
        let mut http = server.accept().await.unwrap();
        let Some(Incoming::Upgrade(upgrade)) = http.next().await else { panic!("no upgrade") };
        assert!(tokens.revoke(phone));
        assert_eq!(server.close_revoked(), 1);
        assert!(http.accept(upgrade).await.is_err());
        assert_eq!(server.close_revoked(), 0, "once");
    });
}

#[test]
fn a_token_expires_by_the_time_of_day() {
    let tokens = Tokens::new();
    let hour = Duration::from_secs(3600);
    let now = SystemTime::now();
    let (valid, _) = (tokens.add_until(token(1), now + hour), tokens.add_until(token(2), now - hour));
    beside(ServerConfig::new().require_tokens(tokens.clone()), async |server| {
        let mut peer = open(server, &path(1)).await;
        assert_eq!(status(server, &path(2), "").await.0, 401);
        assert_eq!(server.close_revoked(), 0);
        assert_eq!((tokens.remove_expired(now), tokens.len()), (1, 1));
        assert!(tokens.revoke(valid));
        assert_eq!(server.close_revoked(), 1);
        assert_eq!(close_code(&peer.frame().await.1), 1008);
    });
}

#[test]
fn wrong_tokens_of_an_address_are_limited_and_right_ones_behind_it_pass() {
    let config = ServerConfig::new().require_token(token(1)).trust_proxy(["127.0.0.1"], Via::Forwarded);
    beside(config.allow_host("app.example"), async |server| {
        let nat = Claim::Forwarded.fields_of("192.0.2.1");
        for _ in 0..10 {
            assert_eq!(status(server, &path(2), &nat).await.0, 401);
        }
        let (code, head) = status(server, &path(2), &nat).await;
        assert!(code == 429 && head.contains("retry-after: "), "{head}");
        for _ in 0..20 {
            let (code, _) = status(server, &path(1), &nat).await;
            assert_eq!(code, 200, "another user behind the same address");
        }
        assert_eq!(status(server, "/", &nat).await.0, 401, "no token is no guess");
        assert_eq!(status(server, &path(2), &Claim::Forwarded.fields_of("192.0.2.2")).await.0, 401);
    });
}
