//! Two coupled connections.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

#[path = "../common/mod.rs"]
mod common;
mod ends;
mod flow;
mod proxy;

use common::*;
use proxy::{Proxy, plain};
use std::time::Duration;
use ws_server_mio::{
    ClientConfig, CloseCode, Connections, CoupleError, Delivery, Event, Extension, Frame, Leg, Sent,
    ServerConfig, inspect,
};

#[test]
fn messages_cross_in_order_both_ways_past_the_application() {
    let mut proxy = Proxy::new();
    let (mut client, mut host) = proxy.pair();
    let texts: Vec<_> = (0..100).map(|k: i32| k.to_string()).collect();
    client.send(&texts.iter().flat_map(|text| frame(TEXT, text.as_bytes())).collect::<Vec<_>>());
    host.send(&texts.iter().flat_map(|text| plain(BINARY, text.as_bytes())).collect::<Vec<_>>());
    for text in &texts {
        assert_eq!(proxy.frame(&mut host), (TEXT, text.clone().into_bytes()));
        assert_eq!(proxy.frame(&mut client), (BINARY, text.clone().into_bytes()));
    }
    assert_eq!(proxy.app.events, ["front open", "back open"]);
    let stats = proxy.connections().stats();
    assert_eq!((stats.messages_in, stats.messages_out), (100, 100), "our own client does not count");
}

#[test]
fn chunked_messages_cross_while_they_arrive() {
    let chunked = Delivery::Chunked { whole: 0 };
    let client = ClientConfig::new().delivery(chunked);
    let mut proxy = Proxy::with(ServerConfig::new().delivery(chunked), client);
    let (mut client, mut host) = proxy.pair();
    // The first arrives before the last is sent, and a ping in between does not cross.
    client.send(&frame(0x01, b"one "));
    assert_eq!(proxy.frame(&mut host), (0x01, b"one ".to_vec()));
    client.send(&[frame(PING, b"?"), frame(0x00, b"two "), frame(0x80, b"three")].concat());
    assert_eq!(proxy.frame(&mut host), (0x00, b"two ".to_vec()));
    assert_eq!(proxy.frame(&mut host), (0x80, b"three".to_vec()));
    assert_eq!(proxy.frame(&mut client), (PONG, b"?".to_vec()));
    host.send(&plain(0x02, b"four"));
    assert_eq!(proxy.frame(&mut client), (0x02, b"four".to_vec()));
    host.send(&plain(0x80, b""));
    assert_eq!(proxy.frame(&mut client), (0x80, b"".to_vec()));
    assert_eq!(proxy.app.events, ["front open", "back open"]);
}

#[test]
fn a_message_joined_on_one_leg_crosses_whole() {
    let client = ClientConfig::new().delivery(Delivery::Chunked { whole: 0 });
    let mut proxy = Proxy::with(ServerConfig::new(), client);
    let (mut client, mut host) = proxy.pair();
    client.send(&[frame(0x01, b"one "), frame(0x80, b"two")].concat());
    assert_eq!(proxy.frame(&mut host), (TEXT, b"one two".to_vec()));
    host.send(&plain(0x01, b"three "));
    assert_eq!(proxy.frame(&mut client), (0x01, b"three ".to_vec()));
    host.send(&plain(0x80, b"four"));
    assert_eq!(proxy.frame(&mut client), (0x80, b"four".to_vec()));
}

#[test]
fn pings_and_pongs_stay_on_their_leg() {
    let mut proxy = Proxy::new();
    let (mut client, mut host) = proxy.pair();
    let front = proxy.app.front[0];
    assert_eq!(proxy.connections().send_ping(front, b"you?"), Ok(Sent::Queued));
    assert_eq!(proxy.frame(&mut client), (PING, b"you?".to_vec()));
    client.send(&[frame(PONG, b"you?"), frame(TEXT, b"after")].concat());
    assert_eq!(proxy.frame(&mut host), (TEXT, b"after".to_vec()), "nothing precedes it");
    host.send(&plain(PING, b"and you?"));
    assert_eq!(proxy.frame(&mut host), (PONG, b"and you?".to_vec()));
    assert_eq!(proxy.app.events, ["front open", "back open", "front pong"]);
}

#[cfg(feature = "deflate")]
#[test]
fn each_leg_negotiates_its_own_compression() {
    use ws_server_mio::Deflate;
    // The client offers none; the host is one of our servers, which agrees.
    let mut proxy =
        Proxy::with(ServerConfig::new().deflate(Deflate::new()), ClientConfig::new().deflate(Deflate::new()));
    let mut other = Rig::new(ServerConfig::new().deflate(Deflate::new()));
    proxy.app.upstream = format!("ws://{}/", other.address());
    let mut client = proxy.client();
    let text = "again and again ".repeat(1000);
    client.send(&frame(TEXT, text.as_bytes()));
    let mut echo = None;
    proxy.until("the echo", |_| {
        other.turn();
        echo = client.take_frame();
        echo.is_some()
    });
    assert_eq!(echo.unwrap(), (TEXT, text.clone().into_bytes()));
    let (front, back) = (proxy.app.front[0], proxy.app.back[0]);
    assert!(proxy.connections().negotiated(front).compression.is_none());
    assert!(proxy.connections().negotiated(back).compression.is_some());
    let mut bytes = 0;
    inspect::each_slot(proxy.connections(), |live| bytes += live.connection.bytes_sent());
    assert!(bytes < text.len() as u64 + 2000, "{bytes}: it crossed compressed");
}

#[test]
fn a_connecting_leg_holds_the_other_and_loses_nothing() {
    let mut proxy = Proxy::new();
    let mut client = proxy.client();
    let (mut host, key) = proxy.upstream_request();
    client.send(&[frame(TEXT, b"early"), frame(TEXT, b"too")].concat());
    proxy.turns(20);
    assert_eq!(proxy.app.events, ["front open"], "it is not read yet");
    proxy.answer(&mut host, &key);
    assert_eq!(proxy.frame(&mut host), (TEXT, b"early".to_vec()));
    assert_eq!(proxy.frame(&mut host), (TEXT, b"too".to_vec()));
    assert_eq!(proxy.app.events, ["front open", "back open"]);
}

#[test]
fn early_data_of_the_host_waits_for_a_client_accepted_later() {
    let mut proxy = Proxy::new();
    proxy.app.couples = false;
    let upstream = proxy.app.upstream.clone();
    let upstream = proxy.connections().connect(upstream.as_str(), ClientConfig::new()).unwrap();
    let (mut host, key) = proxy.upstream_request();
    proxy.answer(&mut host, &key);
    // Its upgrade is still undecided when the two are coupled.
    proxy.app.holds = true;
    let mut client = Peer::connect(proxy.address);
    client.send(&handshake(proxy.address, "/"));
    proxy.until("an upgrade", |proxy| !proxy.app.upgrades.is_empty());
    let (front, upgrade) = proxy.app.upgrades.pop().unwrap();
    proxy.connections().couple(upstream, front).unwrap();
    host.send(&plain(TEXT, b"welcome"));
    proxy.turns(20);
    proxy.connections().accept(front, upgrade).unwrap();
    proxy.until("the switch", |_| client.take_head().is_some());
    assert_eq!(proxy.frame(&mut client), (TEXT, b"welcome".to_vec()));
    assert_eq!(proxy.app.events, ["back open", "front open"]);
}

#[test]
fn closed_identical_and_already_coupled_legs_are_rejected_without_effect() {
    let mut proxy = Proxy::new();
    let (mut client, mut host) = proxy.pair();
    let (front, back, connecting) = (proxy.app.front[0], proxy.app.back[0], proxy.app.clients[0]);
    let connections = proxy.connections();
    assert_eq!(connections.couple(front, front), Err(CoupleError::Itself));
    assert_eq!(connections.couple(back, connecting), Err(CoupleError::Itself), "the client's connection");
    assert_eq!(connections.couple(front, back), Err(CoupleError::Coupled(Leg::Connection(front))));
    client.send(&frame(TEXT, b"still"));
    assert_eq!(proxy.frame(&mut host), (TEXT, b"still".to_vec()));

    proxy.app.couples = false;
    let mut alone = proxy.client();
    let third = proxy.app.front[1];
    let connections = proxy.connections();
    assert_eq!(connections.couple(third, back), Err(CoupleError::Coupled(Leg::Connection(back))));
    connections.close(front, CloseCode::NORMAL, "").unwrap();
    assert_eq!(connections.couple(third, front), Err(CoupleError::Gone(Leg::Connection(front))));
    proxy.frame(&mut client);
    client.send(&frame(CLOSE, b"\x03\xe8"));
    proxy.end(&mut client);
    drop(client);
    proxy.until("the end", |proxy| proxy.app.count("front closed 1000") == 1);
    let connections = proxy.connections();
    assert_eq!(connections.couple(third, front), Err(CoupleError::Gone(Leg::Connection(front))));
    assert_eq!(connections.couple(third, connecting), Err(CoupleError::Gone(Leg::Client(connecting))));
    alone.send(&frame(TEXT, b"mine"));
    proxy.until("a message", |proxy| proxy.app.events.iter().any(|event| event.starts_with("front message")));
}

/// Keeps messages that begin with "!", and records all.
struct Filter;

impl Extension for Filter {
    fn filter<'a>(&mut self, connections: &mut Connections, event: Event<'a>) -> Option<Event<'a>> {
        if let Event::Message(id, message) = &event
            && message.as_bytes().starts_with(b"!")
        {
            connections.send(*id, "kept").unwrap();
            return None;
        }
        Some(event)
    }
}

#[test]
fn an_extension_filters_each_message_first() {
    let mut proxy = Proxy::new();
    proxy.connections().set_extension(Filter).unwrap();
    let (mut client, mut host) = proxy.pair();
    client.send(&[frame(TEXT, b"!mine"), frame(TEXT, b"yours")].concat());
    assert_eq!(proxy.frame(&mut host), (TEXT, b"yours".to_vec()));
    assert_eq!(proxy.frame(&mut client), (TEXT, b"kept".to_vec()));
    host.send(&plain(TEXT, b"!back"));
    assert_eq!(proxy.frame(&mut host), (TEXT, b"kept".to_vec()));
    assert_eq!(proxy.app.events, ["front open", "back open"]);
}

#[test]
fn application_messages_interleave_with_coupled_messages() {
    let mut proxy = Proxy::new();
    let (mut client, mut host) = proxy.pair();
    let back = proxy.app.back[0];
    proxy.connections().send(back, Frame::text("of the proxy")).unwrap();
    client.send(&frame(TEXT, b"of the client"));
    assert_eq!(proxy.frame(&mut host), (TEXT, b"of the proxy".to_vec()));
    assert_eq!(proxy.frame(&mut host), (TEXT, b"of the client".to_vec()));
}

#[test]
fn an_application_pause_outlasts_the_coupling() {
    let mut proxy = Proxy::new();
    let mut client = proxy.client();
    let front = proxy.app.front[0];
    proxy.connections().pause(front);
    let (mut host, key) = proxy.upstream_request();
    proxy.answer(&mut host, &key);
    client.send(&frame(TEXT, b"later"));
    std::thread::sleep(Duration::from_millis(5));
    proxy.turns(20);
    assert_eq!(host.take_frame(), None);
    proxy.connections().resume(front);
    assert_eq!(proxy.frame(&mut host), (TEXT, b"later".to_vec()));
}
