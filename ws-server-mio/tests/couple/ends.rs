//! How the end of one leg ends the other leg.

use crate::common::*;
use crate::proxy::{Proxy, plain};
use socket2::SockRef;
use std::net::TcpListener;
use std::time::Duration;
use ws_server_mio::{ClientConfig, CloseCode, CoupleError, Leg, Reconnect, ServerConfig, State};

/// The payload of a Close.
fn close(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

#[test]
fn code_and_reason_cross_in_both_directions() {
    for (payload, expected) in [
        (close(4005, "gone"), "closed 4005 gone"),
        (close(1000, ""), "closed 1000"),
        (close(1012, "back soon"), "closed 1012 back soon"),
        (Vec::new(), "closed 1005"),
    ] {
        let mut proxy = Proxy::new();
        let (mut client, mut host) = proxy.pair();
        client.send(&[frame(TEXT, b"last"), frame(CLOSE, &payload)].concat());
        assert_eq!(proxy.frame(&mut host), (TEXT, b"last".to_vec()));
        proxy.end(&mut client);
        drop(client);
        assert_eq!(proxy.frame(&mut host), (CLOSE, payload.clone()));
        host.send(&plain(CLOSE, &payload));
        drop(host);
        proxy.until("both ends", |proxy| proxy.app.events.len() == 4);
        assert_eq!(proxy.app.events[2..], [format!("front {expected}"), format!("back {expected}")]);

        let mut proxy = Proxy::new();
        let (mut client, mut host) = proxy.pair();
        host.send(&[plain(TEXT, b"last"), plain(CLOSE, &payload)].concat());
        assert_eq!(proxy.frame(&mut client), (TEXT, b"last".to_vec()));
        assert_eq!(proxy.frame(&mut host).0, CLOSE);
        drop(host);
        assert_eq!(proxy.frame(&mut client), (CLOSE, payload.clone()));
        client.send(&frame(CLOSE, &payload));
        proxy.end(&mut client);
        drop(client);
        proxy.until("both ends", |proxy| proxy.app.events.len() == 4);
        assert_eq!(proxy.app.events[2..], [format!("back {expected}"), format!("front {expected}")]);
    }
}

#[test]
fn a_lost_leg_is_1001_to_a_server_and_1011_to_a_client() {
    for reset in [false, true] {
        let lose = |peer: Peer| {
            if reset {
                SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
            drop(peer);
        };
        let mut proxy = Proxy::new();
        let (client, mut host) = proxy.pair();
        lose(client);
        assert_eq!(proxy.frame(&mut host), (CLOSE, close(1001, "")));

        let mut proxy = Proxy::new();
        let (mut client, host) = proxy.pair();
        lose(host);
        assert_eq!(proxy.frame(&mut client), (CLOSE, close(1011, "")));
    }
}

#[test]
fn a_client_that_cannot_connect_ends_the_other_side_with_1011() {
    for forgets in [true, false] {
        let mut proxy = Proxy::new();
        proxy.app.forgets = forgets;
        // A port without a listener.
        let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        proxy.app.upstream = format!("ws://{unused}/");
        let mut client = proxy.client();
        let (first, payload) = proxy.frame(&mut client);
        assert_eq!((first, close_code(&payload)), (CLOSE, 1011));
        client.send(&frame(CLOSE, &payload));
        proxy.end(&mut client);
        drop(client);
        proxy.until("the end", |proxy| proxy.app.events.len() == 3);
        assert_eq!(proxy.app.events[..2], ["front open", "failed"]);
    }
}

#[test]
fn a_host_that_rejects_ends_the_other_side_with_1011() {
    let mut proxy = Proxy::new();
    let mut client = proxy.client();
    let (mut host, _) = proxy.upstream_request();
    host.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    let (first, payload) = proxy.frame(&mut client);
    assert_eq!((first, close_code(&payload)), (CLOSE, 1011));
}

#[test]
fn a_client_with_a_policy_may_retry_before_the_other_side_closes() {
    let policy = || Reconnect::default().wait(Duration::from_millis(1), Duration::from_millis(2));
    let mut proxy = Proxy::with(ServerConfig::new(), ClientConfig::default().reconnect(policy()));
    let mut client = proxy.client();
    let (mut host, _) = proxy.upstream_request();
    client.send(&frame(TEXT, b"for the next host"));
    host.send(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    // The application removes failing clients, unless the test says otherwise.
    proxy.app.forgets = false;
    let (mut host, key) = proxy.upstream_request();
    proxy.answer(&mut host, &key);
    assert_eq!(proxy.frame(&mut host), (TEXT, b"for the next host".to_vec()));
    assert_eq!(proxy.app.count("failed"), 1);

    // The coupling ends with the connection; the client reconnects alone.
    host.send(&plain(CLOSE, &close(1012, "")));
    assert_eq!(proxy.frame(&mut host).0, CLOSE);
    drop(host);
    assert_eq!(proxy.frame(&mut client), (CLOSE, close(1012, "")));
    let (mut host, key) = proxy.upstream_request();
    proxy.answer(&mut host, &key);
    host.send(&plain(TEXT, b"hello again"));
    proxy.until("a message", |proxy| proxy.app.events.iter().any(|event| event.starts_with("back message")));
}

#[test]
fn a_client_that_stops_retrying_ends_the_other_side() {
    // Once while it connects, and once while it waits for its next attempt.
    for waits in [false, true] {
        let policy = Reconnect::default().wait(Duration::from_secs(600), Duration::from_secs(600));
        let mut proxy = Proxy::with(ServerConfig::new(), ClientConfig::default().reconnect(policy));
        proxy.app.forgets = false;
        let mut client = proxy.client();
        let (mut host, _) = proxy.upstream_request();
        if waits {
            host.send(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
            proxy.until("the wait", |proxy| proxy.app.count("reconnecting") == 1);
        }
        assert_eq!(client.take_frame(), None);
        let trying = proxy.app.clients[0];
        proxy.connections().client(trying).disconnect();
        let (first, payload) = proxy.frame(&mut client);
        assert_eq!((first, close_code(&payload)), (CLOSE, 1011));
    }
}

#[test]
fn a_connecting_client_whose_partner_is_gone_is_disconnected() {
    let mut proxy = Proxy::new();
    proxy.app.forgets = false;
    let client = proxy.client();
    let (mut host, _) = proxy.upstream_request();
    let front = proxy.app.front[0];
    // The leg is held: only a reset is seen.
    SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    proxy.until("its end", |proxy| proxy.app.count("failed") == 1);
    assert_eq!(proxy.app.events, ["front open", "front closed 1006", "failed"]);
    proxy.until("the end of the attempt", |_| {
        host.read();
        host.ended.is_some()
    });
    assert_eq!(proxy.connections().state(front), State::Closed);
}

#[test]
fn a_remaining_leg_may_get_another_partner() {
    let mut proxy = Proxy::new();
    let (mut client, first) = proxy.pair();
    let front = proxy.app.front[0];
    proxy.app.couples = false;
    let upstream = proxy.app.upstream.clone();
    let second = proxy.connections().connect(upstream.as_str(), ClientConfig::new()).unwrap();
    assert_eq!(proxy.connections().couple(front, second), Err(CoupleError::Coupled(Leg::Connection(front))));
    proxy.app.next = Some((front, second));
    drop(first);
    let (mut host, key) = proxy.upstream_request();
    client.send(&frame(TEXT, b"who is there?"));
    proxy.answer(&mut host, &key);
    assert_eq!(proxy.frame(&mut host), (TEXT, b"who is there?".to_vec()));
    assert_eq!(client.take_frame(), None, "it is still open");
}

#[test]
fn a_close_by_the_application_crosses_with_the_peers_answer() {
    let mut proxy = Proxy::new();
    let (mut client, mut host) = proxy.pair();
    let front = proxy.app.front[0];
    proxy.connections().close(front, CloseCode::from(4001), "enough").unwrap();
    assert_eq!(proxy.frame(&mut client), (CLOSE, close(4001, "enough")));
    // Data before the answer belongs to the other leg alone.
    client.send(&[frame(TEXT, b"one more"), frame(CLOSE, &close(4001, ""))].concat());
    assert_eq!(proxy.frame(&mut host), (TEXT, b"one more".to_vec()));
    proxy.end(&mut client);
    drop(client);
    assert_eq!(proxy.frame(&mut host), (CLOSE, close(4001, "")));
    assert!(proxy.app.events.iter().all(|event| !event.contains("message")));
}
