//! Empty frames and messages, and broken compressed messages, over real sockets.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::*;
use std::time::Duration;
use ws_server_mio::{ClientConfig, ConnectionId, Delivery, Options, ServerConfig};

const SECOND: Duration = Duration::from_secs(1);
const CONTINUATION: u8 = 0;
const FIN: u8 = 0x80;

fn options(clock: &Clock) -> Options {
    clock.on(Options::default())
}

fn both_ways() -> [ServerConfig; 2] {
    [ServerConfig::new(), ServerConfig::new().delivery(Delivery::Chunked { whole: 0 })]
}

/// An empty message, in one frame and in two.
fn nothing() -> [Vec<u8>; 2] {
    [frame(TEXT, b""), [frame(TEXT & !FIN, b""), frame(CONTINUATION | FIN, b"")].concat()]
}

/// The texts that the application received, fragments joined.
fn texts(rig: &Rig) -> Vec<String> {
    let (mut all, mut begun) = (Vec::new(), String::new());
    for seen in &rig.app.seen {
        match seen {
            Seen::Text(_, text) => all.push(text.clone()),
            Seen::Fragment(_, text, _, last) => {
                begun += text;
                if *last {
                    all.push(std::mem::take(&mut begun));
                }
            }
            _ => {}
        }
    }
    all
}

/// A frozen clock: everything arrives within one second.
fn open_in_one_second(clock: &Clock, config: ServerConfig) -> (Rig, Peer, ConnectionId) {
    let mut rig = Rig::with(options(clock), config);
    rig.app.silent = true;
    let (peer, id) = rig.open("/");
    (rig, peer, id)
}

#[test]
fn messages_with_an_empty_first_or_last_frame_are_not_delayed() {
    for config in both_ways() {
        let (mut rig, mut peer, _) = open_in_one_second(&Clock::default(), config);
        let tick = [frame(TEXT & !FIN, b"tick"), frame(CONTINUATION | FIN, b"")].concat();
        let tock = [frame(TEXT & !FIN, b""), frame(CONTINUATION | FIN, b"tock")].concat();
        peer.send(&[tick, tock].concat().repeat(1500));
        rig.until("all of them", |rig| {
            peer.flush();
            texts(rig).len() == 3000
        });
        assert_eq!(texts(&rig), ["tick", "tock"].repeat(1500));
        assert!(rig.app.closed().is_empty());
    }
}

#[test]
fn empty_messages_over_the_rate_wait_for_the_next_second_alone() {
    for config in both_ways() {
        for once in nothing() {
            let clock = Clock::default();
            let (mut rig, mut peer, _) = open_in_one_second(&clock, config.clone().frame_rate(Some(4)));
            let (mut calm, _) = rig.open("/");
            peer.send(&[once.repeat(5), frame(TEXT, b"x"), once.repeat(5)].concat());
            for expected in [4, 9, 11] {
                rig.until("the messages of this second", |rig| texts(rig).len() == expected);
                for _ in 0..5 {
                    rig.turn();
                }
                assert_eq!(texts(&rig).len(), expected);
                calm.send(&frame(PING, b"?"));
                assert_eq!(rig.frame(&mut calm), (PONG, b"?".to_vec()));
                clock.pass(SECOND);
            }
            assert_eq!(texts(&rig), ["", "", "", "", "", "x", "", "", "", "", ""]);
            peer.send(&frame(TEXT, b"y"));
            rig.until("what is sent next", |rig| texts(rig).len() == 12);
            assert!(rig.app.closed().is_empty());
        }
    }
}

#[test]
fn the_last_message_is_reported_before_the_close() {
    for once in nothing() {
        for end in [frame(CLOSE, &[0x03, 0xe8]), Vec::new()] {
            let clock = Clock::default();
            let (mut rig, mut peer, _) = open_in_one_second(&clock, ServerConfig::new().frame_rate(Some(2)));
            peer.send(&[once.repeat(3), end.clone()].concat());
            let is_closed = !end.is_empty();
            drop(peer);
            rig.until("those of this second", |rig| texts(rig).len() == 2);
            for _ in 0..5 {
                rig.turn();
            }
            assert!(texts(&rig).len() == 2 && rig.app.closed().is_empty());
            clock.pass(SECOND);
            rig.until("its end", |rig| rig.app.closed().len() == 1);
            assert_eq!(texts(&rig), ["", "", ""]);
            assert_eq!(rig.app.closed()[0].code, if is_closed { 1000 } else { 1006 }.into());
        }
    }
}

#[test]
fn a_close_behind_pings_at_the_rate_still_closes() {
    let (mut rig, mut peer, _) = open_in_one_second(&Clock::default(), ServerConfig::new());
    peer.send(&[frame(PING, b"").repeat(1000), frame(CLOSE, &1000_u16.to_be_bytes())].concat());
    let answer = std::iter::repeat_with(|| rig.frame(&mut peer)).find(|(first, _)| *first != PONG);
    assert_eq!(answer, Some((CLOSE, 1000_u16.to_be_bytes().to_vec())));
}

#[test]
fn empty_frames_amid_messages_end_the_connection_over_the_rate() {
    for config in both_ways() {
        let (mut rig, mut peer, _) = open_in_one_second(&Clock::default(), config);
        peer.send(&[frame(TEXT & !FIN, b"a"), frame(CONTINUATION, b"").repeat(1000)].concat());
        peer.send(&[frame(CONTINUATION | FIN, b"z"), frame(PING, b"?")].concat());
        assert_eq!(rig.frame(&mut peer), (PONG, b"?".to_vec()));
        assert_eq!(texts(&rig), ["az"]);
        peer.send(&[frame(TEXT & !FIN, b"b"), frame(CONTINUATION, b"")].concat());
        let (first, payload) = rig.frame(&mut peer);
        assert_eq!((first, close_code(&payload)), (CLOSE, 1008));
    }
}

/// "good, and plain" in a stored block, and then an invalid block.
#[cfg(feature = "deflate")]
const BROKEN: &[u8] = b"\x00\x0f\x00\xf0\xffgood, and plain\x06\x01\x02\x03";

#[cfg(feature = "deflate")]
#[test]
fn the_valid_part_of_a_broken_compressed_message_is_reported_first_however_it_is_read() {
    let config = ServerConfig::new().deflate(ws_server_mio::Deflate::new());
    let mut rig = Rig::new(config.delivery(Delivery::Chunked { whole: 0 }));
    let address = rig.address();
    let bytes = [frame(TEXT | 0x40, BROKEN), frame(TEXT, b"behind it")].concat();
    for cut in 0..bytes.len() {
        rig.app.seen.clear();
        let mut peer = rig.peer();
        peer.send(&with_fields(handshake(address, "/"), "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
        assert!(rig.head(&mut peer).contains("permessage-deflate"));
        let (front, back) = bytes.split_at(cut);
        peer.send(front);
        for _ in 0..3 {
            rig.turn();
        }
        peer.send(back);
        let (first, payload) = rig.frame(&mut peer);
        assert_eq!((first, close_code(&payload)), (CLOSE, 1007), "cut at {cut}");
        drop(peer);
        rig.until("its end", |rig| rig.app.closed().len() == 1);
        let received: String = rig.app.seen.iter().filter_map(|seen| fragment(seen)).collect();
        assert_eq!(received, "good, and plain", "cut at {cut}");
    }
}

#[cfg(feature = "deflate")]
fn fragment(seen: &Seen) -> Option<&str> {
    if let Seen::Fragment(_, text, _, _) = seen { Some(text) } else { None }
}

#[test]
fn our_client_treats_empty_messages_the_same_way() {
    let clock = Clock::default();
    let mut rig = Rig::with(options(&clock), ServerConfig::new());
    let config = ClientConfig::new().frame_rate(Some(2));
    let url = format!("ws://{}/", rig.address());
    rig.endpoint.connections().connect(url, config).unwrap();
    rig.until("both ends", |rig| rig.app.open_ids().len() == 2);
    let ids = rig.app.open_ids();
    let connections = rig.endpoint.connections();
    let server = *ids.iter().find(|id| connections.server_of(**id).is_some()).unwrap();
    for text in ["", "", "", "x"] {
        connections.send(server, text).unwrap();
    }
    rig.until("those of this second", |rig| texts(rig).len() == 2);
    for _ in 0..5 {
        rig.turn();
    }
    assert_eq!(texts(&rig).len(), 2);
    clock.pass(SECOND);
    rig.until("the rest", |rig| texts(rig).len() == 4);
    assert_eq!(texts(&rig), ["", "", "", "x"]);
}
