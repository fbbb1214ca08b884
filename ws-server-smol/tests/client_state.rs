//! What a client says about itself.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use async_io::Async;
use common::{accept, at_most, listener, run};
use futures_lite::future;
use std::net::TcpListener;
use std::time::Duration;
use ws_server_smol::{Client, ClientConfig, ClientEvent, ClientState, CloseCode, Reconnect};

fn reconnecting() -> ClientConfig {
    let millisecond = Duration::from_millis(1);
    ClientConfig::new().reconnect(Reconnect::default().wait(millisecond, millisecond))
}

/// Accepts connections, and closes each with the next code; the last one stays open.
async fn close_with(listener: &Async<TcpListener>, codes: &[u16]) {
    for &code in codes {
        accept(listener).await.close(code.into(), "").await.unwrap();
    }
    accept(listener).await.next().await;
}

#[test]
fn the_end_of_the_last_open_connection_is_kept_until_the_next_one_ends() {
    run(async {
        let (listener, address) = listener();
        let mut client = Client::new(format!("ws://{address}/"), reconnecting()).unwrap();
        let serve = close_with(&listener, &[1001, 1012]);
        let ask = async {
            assert!(client.closed().is_none());
            let mut codes = Vec::new();
            for _ in 0..3 {
                assert!(client.next_connection().await.is_some());
                codes.push(client.closed().map(|closed| closed.code.get()));
                if codes.len() < 3 {
                    while client.websocket().unwrap().next().await.is_some() {}
                }
            }
            assert_eq!(codes, [None, Some(1001), Some(1012)]);
            client.disconnect().await;
            assert_eq!(client.closed().unwrap().code, CloseCode::NORMAL);
        };
        future::zip(serve, ask).await;
        // A failed attempt changes nothing.
        drop(listener);
        assert!(client.connect().await.is_err());
        assert_eq!(client.closed().unwrap().code, CloseCode::NORMAL);
    });
}

#[test]
fn a_client_is_idle_until_it_is_polled() {
    run(async {
        let (_listener, address) = listener();
        let mut client = Client::new(format!("ws://{address}/"), reconnecting()).unwrap();
        assert_eq!(client.state(), ClientState::Idle);
        // A future that is not polled begins nothing.
        drop(client.next_connection());
        drop(client.connect());
        assert_eq!(client.state(), ClientState::Idle);
        assert!(matches!(client.next_event().await, Some(ClientEvent::Connecting)));
        assert_eq!(client.state(), ClientState::Connecting);
        assert!(at_most(1, client.next_event()).await.is_none());
        assert_eq!(client.state(), ClientState::Connecting);

        let mut other = Client::new(format!("ws://{address}/"), reconnecting()).unwrap();
        assert!(at_most(1, other.connect()).await.is_none());
        assert_eq!(other.state(), ClientState::Connecting);
        other.disconnect().await;
        assert_eq!(other.state(), ClientState::Idle);
    });
}

#[test]
fn a_client_whose_connection_has_ended_is_idle_until_it_requests_the_next() {
    run(async {
        let (listener, address) = listener();
        let mut client = Client::new(format!("ws://{address}/"), reconnecting()).unwrap();
        let serve = close_with(&listener, &[1001]);
        let ask = async {
            let ws = client.next_connection().await.unwrap();
            while ws.next().await.is_some() {}
            assert_eq!(client.state(), ClientState::Idle);
            assert!(client.next_connection().await.is_some());
            assert_eq!(client.state(), ClientState::Open);
            client.websocket().unwrap().start_close(CloseCode::NORMAL, "").unwrap();
            assert_eq!(client.state(), ClientState::Closing);
            client.disconnect().await;
            assert_eq!(client.state(), ClientState::Idle);
        };
        future::zip(serve, ask).await;
    });
}
