//! What connections hold, and what a poll allocates.

#![allow(clippy::unwrap_used, clippy::panic)] // that is how a test fails

mod common;
use async_executor::LocalExecutor;
use common::pipe::pipe;
use common::{accept, listener, run, websockets};
use futures_lite::future;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use ws_server_smol::connect;
use ws_server_smol::ws_proto::{CloseCode, Config, Frame};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// So many connections, each with two ends here; fewer where the system allows no more descriptors.
fn connections() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let most = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).unwrap_or(256);
    2000.min((most - 50) / 2)
}

// One test, since the count is of all threads.
#[test]
fn a_poll_allocates_the_message_alone_and_an_idle_connection_keeps_nothing_of_what_it_carried() {
    a_poll_allocates_the_message_alone();
    an_idle_connection_keeps_nothing_of_what_it_carried();
}

fn a_poll_allocates_the_message_alone() {
    run(async {
        let (client, server) = pipe(1 << 20, 1);
        let (mut client, mut server) =
            websockets(client.straight(), server.straight(), Config::client(), Config::server());
        // There, and back: the two messages that are received.
        for size in [10, 1000, 50_000] {
            for round in 0..30 {
                let (there, back) = (Frame::binary(vec![7; size]), Frame::binary(vec![8; size]));
                let region = Region::new(ALLOCATOR);
                client.send(&there).await.unwrap();
                let heard = server.next().await.unwrap().unwrap();
                server.send(&back).await.unwrap();
                let answer = client.next().await.unwrap().unwrap();
                for _ in 0..10 {
                    assert!(future::poll_once(server.next()).await.is_none());
                    assert!(future::poll_once(client.next()).await.is_none());
                    client.flush().await.unwrap();
                }
                let change = region.change();
                assert_eq!((heard.as_bytes().len(), answer.as_bytes().len()), (size, size));
                // A large payload that is shared with the frame has a counter too.
                let counters = if size > 1024 { 2 } else { 0 };
                if round >= 20 {
                    assert_eq!(
                        (change.allocations, change.reallocations),
                        (2 + counters, 0),
                        "{size} bytes: {change:?}"
                    );
                    assert!(change.bytes_allocated <= 2 * size + counters * 32, "{size} bytes: {change:?}");
                }
            }
        }
    });
}

fn an_idle_connection_keeps_nothing_of_what_it_carried() {
    let executor = LocalExecutor::new();
    run(executor.run(async {
        let (listener, address) = listener();
        let count = connections();
        let (mut clients, mut tasks) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let region = Region::new(ALLOCATOR);
        // What each end holds, its task and its share of the reactor included.
        let held = || {
            let change = region.change();
            (change.bytes_allocated as i64 - change.bytes_deallocated as i64) / count as i64 / 2
        };
        for _ in 0..count {
            let url = format!("ws://{address}/");
            let (client, mut server) = future::zip(connect(url, Config::client()), accept(&listener)).await;
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
        let gone = held();
        assert!(gone < 400, "{gone} bytes of each are left");
    }));
}
