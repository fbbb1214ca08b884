//! Empty frames and messages, and broken compressed messages, over real sockets.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use common::{pair, run};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::sync::Arc;
use ws_kit::frames::{CONTINUATION, FIN, TEXT, frame_to as frame};
use ws_server_smol::{CloseCode, Closed, Config, Delivery, Socket, WebSocket};
use ws_server_smol::{Event, Role};

const ROLES: [Role; 2] = [Role::Server, Role::Client { seed: [7; 32] }];

/// An empty message, in one frame and in two.
fn nothing(to: Role) -> [Vec<u8>; 2] {
    [frame(to, FIN | TEXT, b""), [frame(to, TEXT, b""), frame(to, FIN | CONTINUATION, b"")].concat()]
}

fn both_ways() -> [Config; 2] {
    [Config::server(), Config::server().delivery(Delivery::Chunked { whole: 0 })]
}

/// Everything that a connection reports of these bytes, its whole input: the texts, fragments joined, and the close.
fn reported(role: Role, config: Config, bytes: &[u8]) -> (Vec<String>, Closed) {
    run(async {
        let (mut peer, stream) = pair().await;
        let mut ws = WebSocket::upgraded(stream, Arc::new(config), role);
        let sending = async {
            // It may be closed before it has read all.
            let _ = peer.write_all(bytes).await;
            let _ = peer.close().await;
            read_to_the_end(&mut peer).await;
        };
        let receiving = async {
            let (mut all, mut begun) = (Vec::new(), String::new());
            loop {
                match ws.next_event().await.unwrap() {
                    Event::Message(message) => all.push(message.as_text().unwrap().to_owned()),
                    Event::Fragment(fragment) => {
                        begun += fragment.data.as_text().unwrap();
                        if fragment.last {
                            all.push(std::mem::take(&mut begun));
                        }
                    }
                    Event::Closed(closed) => return (all, *closed),
                    other => panic!("{other:?}"),
                }
            }
        };
        future::zip(sending, receiving).await.1
    })
}

async fn read_to_the_end(peer: &mut Socket) {
    let mut buffer = [0; 1024];
    while peer.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
}

#[test]
fn messages_with_an_empty_first_or_last_frame_are_not_delayed() {
    for role in ROLES {
        for config in both_ways() {
            let tick = [frame(role, TEXT, b"tick"), frame(role, FIN | CONTINUATION, b"")].concat();
            let tock = [frame(role, TEXT, b""), frame(role, FIN | CONTINUATION, b"tock")].concat();
            let close = frame(role, FIN | 8, &1000_u16.to_be_bytes());
            let (texts, closed) =
                reported(role, config, &[[tick, tock].concat().repeat(1500), close].concat());
            assert_eq!(texts, ["tick", "tock"].repeat(1500));
            assert_eq!(closed.code, CloseCode::NORMAL);
        }
    }
}

#[test]
fn empty_messages_over_the_rate_arrive_in_order_before_the_close() {
    // Each takes two seconds: run them concurrently.
    std::thread::scope(|scope| {
        for role in ROLES {
            for config in both_ways() {
                for once in nothing(role) {
                    for end in [frame(role, FIN | 8, &1000_u16.to_be_bytes()), Vec::new()] {
                        let config = config.clone().frame_rate(Some(2));
                        let once = once.clone();
                        scope.spawn(move || {
                            let x = frame(role, FIN | TEXT, b"x");
                            // The very last one has to wait.
                            let bytes = [once.repeat(3), x, once.repeat(2), end.clone()].concat();
                            let (texts, closed) = reported(role, config, &bytes);
                            assert_eq!(texts, ["", "", "", "x", "", ""]);
                            assert_eq!(closed.code, if end.is_empty() { 1006 } else { 1000 }.into());
                        });
                    }
                }
            }
        }
    });
}

#[test]
fn a_close_behind_pings_at_the_rate_still_closes() {
    for role in ROLES {
        for rate in [0, 10] {
            let close = frame(role, FIN | 8, &1000_u16.to_be_bytes());
            let bytes = [frame(role, FIN | 9, b"").repeat(rate as usize), close].concat();
            let (_, closed) = reported(role, Config::server().frame_rate(Some(rate)), &bytes);
            assert!(closed.clean && closed.code == CloseCode::NORMAL, "{closed}");
        }
    }
}

#[test]
fn empty_frames_amid_a_message_end_the_connection_over_the_rate() {
    for role in ROLES {
        let flood = frame(role, CONTINUATION, b"").repeat(1000);
        let bytes = [frame(role, TEXT, b"a"), flood, frame(role, FIN | CONTINUATION, b"z")].concat();
        // However slowly they arrive, they take less than a thousand seconds.
        let (texts, closed) = reported(role, Config::server().frame_rate(Some(1)), &bytes);
        assert!(texts.is_empty());
        assert_eq!(closed.sent, Some(CloseCode::POLICY));
        let (texts, _) = reported(role, Config::server().frame_rate(Some(1000)), &bytes);
        assert_eq!(texts, ["az"]);
    }
}

/// "good, and plain" in a stored block, and then an invalid block.
#[cfg(feature = "deflate")]
const BROKEN: &[u8] = b"\x00\x0f\x00\xf0\xffgood, and plain\x06\x01\x02\x03";

#[cfg(feature = "deflate")]
#[test]
fn the_valid_part_of_a_broken_compressed_message_is_reported_first_however_it_is_read() {
    use ws_server_smol::{Deflate, HttpConnection, Incoming};

    const REQUEST: &[u8] =
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let config = Config::server().deflate(Deflate::new()).delivery(Delivery::Chunked { whole: 0 });
    let config = Arc::new(config);
    let bytes = [frame(Role::Server, FIN | 0x40 | TEXT, BROKEN), frame(Role::Server, FIN | TEXT, b"behind")];
    let bytes = bytes.concat();
    for cut in 0..bytes.len() {
        run(async {
            let (mut peer, stream) = pair().await;
            let mut http = HttpConnection::new(stream, config.clone());
            peer.write_all(REQUEST).await.unwrap();
            let Some(Incoming::Upgrade(upgrade)) = http.next().await else { panic!("no upgrade") };
            let mut ws = http.accept(upgrade).await.unwrap();
            let (front, back) = bytes.split_at(cut);
            let sending = async {
                peer.write_all(front).await.unwrap();
                future::yield_now().await;
                let _ = peer.write_all(back).await;
                read_to_the_end(&mut peer).await;
                let _ = peer.close().await;
            };
            let receiving = async {
                let mut received = String::new();
                loop {
                    match ws.next_event().await.unwrap() {
                        Event::Fragment(fragment) => received += fragment.data.as_text().unwrap(),
                        Event::Closed(closed) => return (received, closed.sent),
                        other => panic!("{other:?}"),
                    }
                }
            };
            let (received, sent) = future::zip(sending, receiving).await.1;
            assert_eq!((&*received, sent), ("good, and plain", Some(CloseCode::from(1007))), "cut at {cut}");
        });
    }
}
