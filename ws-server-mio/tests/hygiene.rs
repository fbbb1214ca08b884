//! A thousand starts and stops leak nothing, and start no thread but the one of a watch, and the one for names where
//! names are allowed.
//!
//! Runs without the test harness, which has threads and allocations.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is how a test fails

mod common;
use common::clients::*;
use common::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use ws_server_mio::{Bind, ClientConfig, Options, ServerConfig};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[cfg(target_os = "linux")]
fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

#[cfg(not(target_os = "linux"))]
fn count(_: &str) -> usize {
    1
}

fn main() {
    servers();
    clients();
    names();
}

/// Clients of literals and of localhost need no thread, and leak nothing either.
fn clients() {
    let mut rig = Both::new();
    let urls = [rig.url("/"), format!("ws://localhost:{}/", rig.server_address().port())];
    let mut ids = HashSet::new();
    let mut visits = |rig: &mut Both, times: usize| {
        for k in 0..times {
            let client = rig.connections().connect(urls[k % 2].as_str(), ClientConfig::new()).unwrap();
            assert!(ids.insert(client), "an id was used twice");
            // Some are removed before they connect.
            if k % 3 > 0 {
                let id = rig.opened(client);
                rig.connections().send(id, "hello").unwrap();
                assert_eq!(rig.text(id), "hello");
            }
            rig.connections().client(client).remove();
            rig.until("its end", |rig| rig.sockets() == 0);
            rig.events = Events::default();
        }
        assert_eq!(rig.endpoint.clients().count(), 0);
        // The bookkeeping of ids belongs to the test, not to the endpoint.
        ids.clear();
        ids.shrink_to_fit();
    };
    visits(&mut rig, 50);
    let (files, region) = (count("/proc/self/fd"), Region::new(ALLOCATOR));
    visits(&mut rig, 1000);
    let change = region.change();
    let held = change.bytes_allocated as i64 - change.bytes_deallocated as i64;
    assert!(held < 16 << 10, "{held} bytes leaked: {change:?}");
    assert_eq!(count("/proc/self/fd"), files, "descriptors leaked");
    assert_eq!(count("/proc/self/task"), 1, "threads");
    println!("1,000 clients: {held} bytes, no descriptor and no thread leaked");
}

/// A name needs a thread only while it is looked up.
fn names() {
    let bind = Bind::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let options = Options::default().resolve_names();
    let mut rig = Both::with(bind, options, ServerConfig::new().allow_host("127.1"));
    let port = rig.server_address().port();
    let url = rig.url("/");
    let client = rig.connections().connect(url, ClientConfig::new()).unwrap();
    rig.opened(client);
    assert_eq!(count("/proc/self/task"), 1, "no name, no thread");
    for _ in 0..3 {
        // A name, to us; the system's resolver needs no query for it.
        let client = rig.connections().connect(format!("ws://127.1:{port}/"), ClientConfig::new()).unwrap();
        rig.opened(client);
        // It may be about to end.
        let ended = (0..1_000_000).any(|_| {
            std::thread::yield_now();
            count("/proc/self/task") == 1
        });
        assert!(ended, "a thread for a name leaked");
    }
    println!("three names: no thread leaked");
}

fn servers() {
    let mut rig = Rig::new(ServerConfig::new());
    let keeps = rig.server;
    let starts = |rig: &mut Rig, times: usize| {
        let mut ids = HashSet::new();
        for _ in 0..times {
            let server = rig.endpoint.connections().listen(Bind::localhost(), ServerConfig::new()).unwrap();
            assert!(ids.insert(server), "an id was used twice");
            rig.server = server;
            let (mut peer, id) = rig.open("/");
            rig.endpoint.connections().topics().subscribe(id, "topic").unwrap();
            peer.send(&frame(TEXT, b"hello"));
            rig.frame(&mut peer);
            rig.endpoint.connections().server(server).stop(Duration::from_secs(60));
            assert_eq!(rig.frame(&mut peer).0, CLOSE);
            peer.send(&frame(CLOSE, &1001u16.to_be_bytes()));
            drop(peer);
            rig.until("its end", |rig| matches!(rig.app.seen.last(), Some(Seen::Stopped(_))));
            assert_eq!(rig.endpoint.connections().server(server).local_addr(), None);
            rig.app.seen = Vec::new();
        }
        assert_eq!(rig.endpoint.servers().collect::<Vec<_>>(), [keeps]);
        assert_eq!(rig.endpoint.connections().stats().open, 0);
    };
    // One-time allocations are done.
    starts(&mut rig, 50);
    let (files, region) = (count("/proc/self/fd"), Region::new(ALLOCATOR));
    starts(&mut rig, 1000);
    let change = region.change();
    let held = change.bytes_allocated as i64 - change.bytes_deallocated as i64;
    // Lists may have grown once more; a leak would be a thousandfold.
    assert!(held < 16 << 10, "{held} bytes leaked: {change:?}");
    assert_eq!(count("/proc/self/fd"), files, "descriptors leaked");
    assert_eq!(count("/proc/self/task"), 1, "threads");

    rig.server = keeps;
    rig.open("/still-here");

    for _ in 0..100 {
        let watch = rig.endpoint.watch(|| {}).unwrap();
        assert_eq!(count("/proc/self/task"), 1 + usize::from(cfg!(target_os = "linux")), "threads");
        starts(&mut rig, 1);
        drop(watch);
        // The system's list may still show it after it has ended.
        let start = Instant::now();
        while count("/proc/self/task") > 1 {
            assert!(start.elapsed() < Duration::from_secs(20), "the thread of the watch leaked");
        }
    }
    assert_eq!(count("/proc/self/fd"), files, "descriptors leaked");
    println!("1,000 starts and stops: {held} bytes, no descriptor and no thread leaked");
}
