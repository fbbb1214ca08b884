//! What connections hold, and what a poll allocates.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use async_executor::LocalExecutor;
use common::pipe::pipe;
use common::{accept, listener, run, websockets};
use futures_lite::future;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::future::Future;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::pin::pin;
use std::thread;
use ws_server_smol::ClientConfig;
use ws_server_smol::connect;
use ws_server_smol::{CloseCode, Config, Frame};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many connections, each with two ends here; fewer where the system limits descriptors.
fn connections() -> usize {
    // Under Wine, a Windows program sees Linux's files too.
    let limits = cfg!(target_os = "linux").then(|| std::fs::read_to_string("/proc/self/limits"));
    let limits = limits.and_then(Result::ok).unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let most = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).unwrap_or(256);
    2000.min((most - 50) / 2)
}

// One test, because the count covers all threads.
#[test]
fn a_poll_allocates_only_the_message_and_an_idle_connection_keeps_no_buffers() {
    a_poll_allocates_the_message_alone();
    an_echo_over_a_socket_allocates_the_message_alone();
    an_idle_connection_keeps_nothing_of_what_it_carried();
}

fn a_poll_allocates_the_message_alone() {
    run(async {
        let (client, server) = pipe(1 << 20, 1);
        let (mut client, mut server) =
            websockets(client.straight(), server.straight(), Config::client(), Config::server());
        // There and back: the two received messages.
        for size in [10, 1000, 50_000] {
            // A large payload that the server shares with its frame has a counter too; the client masks a copy.
            let counters = if size > 1024 { 1 } else { 0 };
            let mut exact = 0;
            for round in 0..40 {
                let (there, back) = (Frame::binary(vec![7; size]), Frame::binary(vec![8; size]));
                let region = Region::new(ALLOCATOR);
                client.send(&there).await.unwrap();
                let received = server.next().await.unwrap().unwrap();
                server.send(&back).await.unwrap();
                let answer = client.next().await.unwrap().unwrap();
                for _ in 0..10 {
                    assert!(future::poll_once(server.next()).await.is_none());
                    assert!(future::poll_once(client.next()).await.is_none());
                    client.flush().await.unwrap();
                }
                let change = region.change();
                assert_eq!((received.as_bytes().len(), answer.as_bytes().len()), (size, size));
                let is_exact = (change.allocations, change.reallocations) == (2 + counters, 0)
                    && change.bytes_allocated <= 2 * size + counters * 32;
                exact += usize::from(round >= 20 && is_exact);
            }
            // The count covers all threads, and sometimes another one allocates.
            assert!(exact >= 15, "{size} bytes: {exact} of 20");
        }
    });
}

/// What the handler's own polls allocate; the reactor's allocations between them do not count.
fn an_echo_over_a_socket_allocates_the_message_alone() {
    const ROUNDS: usize = 100;
    let sizes = [16_usize, 512, 16_000];
    let (listener, address) = listener();
    let client = thread::spawn(move || {
        let mut socket = TcpStream::connect(address).unwrap();
        let upgrade = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        socket.write_all(upgrade).unwrap();
        socket.read_exact(&mut [0; 129]).unwrap();
        for size in sizes {
            // Masked with zeros; the echo has no mask.
            let mut request = vec![0x82, 0xfe, (size >> 8) as u8, size as u8];
            if size < 126 {
                request = vec![0x82, 0x80 | size as u8];
            }
            let mut reply = vec![0; request.len() + size];
            request.resize(request.len() + 4 + size, 0);
            for _ in 0..2 * ROUNDS {
                socket.write_all(&request).unwrap();
                socket.read_exact(&mut reply).unwrap();
            }
        }
    });
    run(async {
        let mut ws = accept(&listener).await;
        for size in sizes {
            let mut exact = 0;
            for round in 0..2 * ROUNDS {
                let (mut blocks, mut bytes) = (0, 0);
                let message = future::poll_fn(|cx| {
                    let region = Region::new(ALLOCATOR);
                    let message = pin!(ws.next()).poll(cx);
                    let change = region.change();
                    blocks += change.allocations + change.reallocations;
                    bytes += change.bytes_allocated;
                    message
                });
                let message = message.await.unwrap().unwrap();
                assert_eq!(message.as_bytes().len(), size);
                let region = Region::new(ALLOCATOR);
                ws.try_send(message).unwrap();
                let change = region.change();
                blocks += change.allocations + change.reallocations;
                exact += usize::from(round >= ROUNDS && blocks == 1 && bytes == size);
            }
            // The count covers all threads, and sometimes another one allocates: on Windows often that of the reactor.
            assert!(exact > ROUNDS / 2, "{size} bytes: {exact} of {ROUNDS}");
        }
        drop(ws);
    });
    client.join().unwrap();
}

fn an_idle_connection_keeps_nothing_of_what_it_carried() {
    let executor = LocalExecutor::new();
    run(executor.run(async {
        let (listener, address) = listener();
        let count = connections();
        let (mut clients, mut tasks) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let region = Region::new(ALLOCATOR);
        // What each end holds, including its task and its share of the reactor.
        let held = || {
            let change = region.change();
            (change.bytes_allocated as i64 - change.bytes_deallocated as i64) / count as i64 / 2
        };
        for _ in 0..count {
            let url = format!("ws://{address}/");
            let (client, mut server) =
                future::zip(connect(url, ClientConfig::new()), accept(&listener)).await;
            clients.push(client.unwrap());
            tasks.push(executor.spawn(async move {
                while let Some(message) = server.next().await {
                    server.send(message.unwrap()).await.unwrap();
                }
                assert!(server.closed().unwrap().clean);
            }));
        }
        let idle = held();
        assert!(idle < 3000, "{idle} bytes");
        for client in &mut clients {
            client.try_send(vec![1; 3000]).unwrap();
        }
        for client in &mut clients {
            assert_eq!(client.next().await.unwrap().unwrap().as_bytes().len(), 3000);
        }
        let carried = held();
        // The pools and the executor's queue have grown.
        assert!(carried < idle + 400, "{idle} bytes, then {carried}");
        for mut client in clients {
            assert!(client.close(CloseCode::NORMAL, "").await.unwrap().clean);
        }
        for task in tasks {
            task.await;
        }
        let after_close = held();
        assert!(after_close < 400, "{after_close} bytes of each leaked");
    }));
}
