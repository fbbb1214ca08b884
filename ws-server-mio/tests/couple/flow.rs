//! A fast sender, a slow reader, and a proxy between them.

use crate::common::*;
use crate::proxy::{Proxy, plain};

const MESSAGE: usize = 64 << 10;
const COUNT: usize = (64 << 20) / MESSAGE;
/// Where the engine stops taking from the other leg, and what one message adds.
const HELD: usize = (1 << 20) + MESSAGE + 64;

/// What the endpoint holds for both legs.
fn queued(proxy: &mut Proxy) -> usize {
    let ids: Vec<_> = proxy.app.front.iter().chain(&proxy.app.back).copied().collect();
    ids.into_iter().map(|id| proxy.connections().queued(id)).sum()
}

/// Sends as far as it goes, and says how many messages are on their way.
fn feed(peer: &mut Peer, message: &[u8], sent: &mut usize) {
    while *sent < COUNT && peer.flush() {
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
        // Nobody reads at the other end, until nothing moves any more.
        while still < 100 {
            let before = (sent, from.unsent.len());
            feed(&mut from, &message, &mut sent);
            proxy.turn();
            assert!(queued(&mut proxy) <= HELD, "{}", queued(&mut proxy));
            still = if before == (sent, from.unsent.len()) { still + 1 } else { 0 };
        }
        assert!(sent < COUNT, "the kernel holds it all: this shows nothing");
        assert!(queued(&mut proxy) > 1 << 20);
        let mut got = 0;
        proxy.until("everything", |proxy| {
            feed(&mut from, &message, &mut sent);
            assert!(queued(proxy) <= HELD);
            while let Some((first, data)) = to.take_frame() {
                assert_eq!((first, data.len()), (BINARY, MESSAGE));
                got += 1;
            }
            got == COUNT
        });
        assert_eq!(proxy.app.told, ["front open", "back open"]);
    }
}

#[test]
fn a_reset_is_found_while_a_leg_is_held() {
    let mut proxy = Proxy::new();
    let (mut client, host) = proxy.pair();
    let message = frame(BINARY, &vec![7; MESSAGE]);
    let (mut sent, mut still) = (0, 0);
    while still < 100 {
        let before = (sent, client.unsent.len());
        feed(&mut client, &message, &mut sent);
        proxy.turn();
        still = if before == (sent, client.unsent.len()) { still + 1 } else { 0 };
    }
    socket2::SockRef::from(&client.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(client);
    proxy.until("its end", |proxy| proxy.app.count("front closed 1006") == 1);
    drop(host);
}

#[test]
fn both_ways_at_once_nothing_waits_for_the_other() {
    let mut proxy = Proxy::new();
    let (mut client, mut host) = proxy.pair();
    let payload = vec![7; MESSAGE];
    let (up, down) = (frame(BINARY, &payload), plain(BINARY, &payload));
    let (mut sent_up, mut sent_down, mut got_up, mut got_down) = (0, 0, 0, 0);
    proxy.until("everything", |proxy| {
        feed(&mut client, &up, &mut sent_up);
        feed(&mut host, &down, &mut sent_down);
        got_up += std::iter::from_fn(|| host.take_frame()).count();
        got_down += std::iter::from_fn(|| client.take_frame()).count();
        assert!(queued(proxy) <= 2 * HELD);
        (got_up, got_down) == (COUNT, COUNT)
    });
}
