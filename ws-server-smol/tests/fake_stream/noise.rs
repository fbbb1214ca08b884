//! Meaningless bytes, before the upgrade and behind it.

use crate::common::strict::Strict;
use crate::common::{Random, at_most};
use crate::sides::{ClientSide, ServerSide};
use crate::{Run, TIMERS, patient};
use futures_lite::future::zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::cell::Cell;
use std::rc::Rc;
use ws_kit::oracle::Events;
use ws_server_smol::Config;
use ws_server_smol::Incoming;

const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

pub(crate) fn run(seed: u64, client: impl ClientSide, server: impl ServerSide, run: &Run<'_>) {
    let mut random = Random::new(seed);
    let ended = Rc::new(Cell::new(false));
    let mut tasks = Strict::with_timers(seed, TIMERS);
    let over = ended.clone();
    tasks.spawn("server", async move {
        let mut http = server.http(patient(Config::server())).await;
        let mut events = Events::server();
        while let Some(incoming) = http.next().await {
            match incoming {
                Incoming::Request(request) => {
                    events.request(&request);
                    drop(http.respond(request, http::Response::default()).await);
                }
                Incoming::Upgrade(upgrade) => {
                    events.upgrade();
                    let Ok(mut ws) = http.accept(upgrade).await else { return over.set(true) };
                    events.open();
                    let mut faults = 0;
                    while let Some(message) = ws.next().await {
                        match message {
                            Ok(message) => {
                                events.message(&message);
                                drop(ws.try_send(message));
                            }
                            Err(closed) => {
                                events.close(&closed);
                                faults += 1;
                            }
                        }
                    }
                    let closed = ws.closed().unwrap();
                    assert_eq!(closed.clean, faults == 0, "{closed}");
                    if faults == 0 {
                        events.close(closed);
                    }
                    assert!(ws.get_ref().is_none(), "the stream is gone");
                    return over.set(true);
                }
            }
        }
        http.closed().into_iter().for_each(|closed| events.close(closed));
        events.must_be_over();
        assert!(http.get_ref().is_none(), "the stream is gone");
        over.set(true);
    });
    tasks.spawn("client", async move {
        let mut bytes = if random.below(3) > 0 { UPGRADE.to_vec() } else { Vec::new() };
        bytes.extend((0..random.below(3000)).map(|_| random.below(256) as u8));
        for _ in 0..random.below(3) {
            let at = random.below(bytes.len() + 1).min(bytes.len().saturating_sub(1));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.below(256) as u8;
            }
        }
        let (mut reads, mut writes) = futures_lite::io::split(client);
        let write = async {
            let _ = writes.write_all(&bytes).await;
            let _ = writes.close().await;
        };
        let read = async {
            let mut part = [0; 64];
            while matches!(reads.read(&mut part).await, Ok(1..)) {}
        };
        // Now and then it leaves in the middle.
        let polls = if random.below(3) == 0 { random.below(100) } else { usize::MAX };
        at_most(polls, zip(write, read)).await;
    });
    tasks.run();
    assert!(ended.get());
    run.total(|_| {});
}
