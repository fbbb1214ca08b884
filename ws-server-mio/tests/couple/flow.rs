//! A fast sender, a slow reader, and a proxy between them.

use crate::common::*;
use crate::proxy::{Proxy, plain};
use std::io::Read;

const MESSAGE: usize = 64 << 10;
const COUNT: usize = (64 << 20) / MESSAGE;
/// Where the engine stops reading from the other leg, and what one message adds.
const HELD: usize = (1 << 20) + MESSAGE + 64;

/// What the endpoint holds for both legs.
fn queued(proxy: &mut Proxy) -> usize {
    let ids: Vec<_> = proxy.app.front.iter().chain(&proxy.app.back).copied().collect();
    ids.into_iter().map(|id| proxy.connections().queued(id)).sum()
}

/// Reads what is available, up to a bound; returns how many messages ended with it.
fn take(peer: &mut Peer) -> usize {
    let mut buffer = vec![0; 4 * MESSAGE];
    while peer.got.len() < 4 * MESSAGE {
        match (&peer.stream).read(&mut buffer) {
            Ok(n) if n > 0 => peer.got.extend_from_slice(&buffer[..n]),
            _ => break,
        }
    }
    let (mut at, mut messages) = (0, 0);
    // All have one length: 10 bytes of header, and 4 of a mask.
    while let Some(second) = peer.got.get(at + 1) {
        let len = 10 + 4 * usize::from(second >> 7) + MESSAGE;
        if peer.got.len() < at + len {
            break;
        }
        assert_eq!((peer.got[at], second & 0x7f), (BINARY, 127));
        at += len;
        messages += 1;
    }
    peer.got.drain(..at);
    messages
}

/// Sends as far as possible; returns how many messages are in flight.
fn feed(peer: &mut Peer, message: &[u8], sent: &mut usize, count: usize) {
    // The rest of the last message has to leave, too.
    while peer.flush() && *sent < count {
        peer.send(message);
        *sent += 1;
    }
}

#[test]
fn a_slow_reader_slows_the_sender_and_the_proxy_holds_little() {
    for from_client in [true, false] {
        let mut proxy = Proxy::new();
        let (client, host) = proxy.pair();
        let (mut from, mut to) = if from_client { (client, host) } else { (host, client) };
        let payload = vec![7; MESSAGE];
        let message = if from_client { frame(BINARY, &payload) } else { plain(BINARY, &payload) };
        let (mut sent, mut still) = (0, 0);
        // The other end does not read, until all progress stops.
        while still < 100 {
            let before = (sent, from.unsent.len());
            feed(&mut from, &message, &mut sent, COUNT);
            proxy.turn();
            assert!(queued(&mut proxy) <= HELD, "{}", queued(&mut proxy));
            still = if before == (sent, from.unsent.len()) { still + 1 } else { 0 };
        }
        assert!(sent < COUNT, "the kernel holds it all: this proves nothing");
        assert!(queued(&mut proxy) > 64 << 10, "it waits until that has drained");
        let mut got = 0;
        proxy.until("everything", |proxy| {
            feed(&mut from, &message, &mut sent, COUNT);
            assert!(queued(proxy) <= HELD);
            got += take(&mut to);
            got == COUNT
        });
        assert_eq!(proxy.app.events, ["front open", "back open"]);
    }
}

#[test]
fn a_reset_is_noticed_while_a_leg_is_held() {
    let mut proxy = Proxy::new();
    let (mut client, host) = proxy.pair();
    let message = frame(BINARY, &vec![7; MESSAGE]);
    let (mut sent, mut still) = (0, 0);
    while still < 100 {
        let before = (sent, client.unsent.len());
        feed(&mut client, &message, &mut sent, COUNT);
        proxy.turn();
        still = if before == (sent, client.unsent.len()) { still + 1 } else { 0 };
    }
    socket2::SockRef::from(&client.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(client);
    proxy.until("its end", |proxy| proxy.app.count("front closed 1006") == 1);
    drop(host);
}

#[test]
fn both_directions_at_once_do_not_deadlock() {
    let mut proxy = Proxy::new();
    let (mut client, mut host) = proxy.pair();
    let payload = vec![7; MESSAGE];
    let (up, down) = (frame(BINARY, &payload), plain(BINARY, &payload));
    let (mut sent_up, mut sent_down, mut got_up, mut got_down) = (0, 0, 0, 0);
    proxy.until("everything", |proxy| {
        feed(&mut client, &up, &mut sent_up, COUNT / 4);
        feed(&mut host, &down, &mut sent_down, COUNT / 4);
        got_up += take(&mut host);
        got_down += take(&mut client);
        assert!(queued(proxy) <= 2 * HELD);
        (got_up, got_down) == (COUNT / 4, COUNT / 4)
    });
}
