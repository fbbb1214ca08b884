//! A thousand starts and stops leave nothing behind, and no thread is made but the one of a watch.
//!
//! Without the test harness, which has threads and allocations of its own.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is how a test fails

mod common;
use common::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::collections::HashSet;
use std::time::{Duration, Instant};
use ws_server_mio::{Bind, Config};

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
    let mut rig = Rig::new(Config::server());
    let keeps = rig.server;
    let starts = |rig: &mut Rig, times: usize| {
        let mut ids = HashSet::new();
        for _ in 0..times {
            let server = rig.endpoint.connections().listen(Bind::localhost(), Config::server()).unwrap();
            assert!(ids.insert(server), "an id was used twice");
            rig.server = server;
            let (mut peer, id) = rig.open("/");
            rig.endpoint.connections().subscribe(id, "topic").unwrap();
            peer.send(&frame(TEXT, b"hello"));
            rig.frame(&mut peer);
            rig.endpoint.connections().stop(server, Duration::from_secs(60));
            assert_eq!(rig.frame(&mut peer).0, CLOSE);
            peer.send(&frame(CLOSE, &1001u16.to_be_bytes()));
            drop(peer);
            rig.until("its end", |rig| matches!(rig.app.seen.last(), Some(Seen::Stopped(_))));
            assert_eq!(rig.endpoint.connections().local_addr(server), None);
            rig.app.seen = Vec::new();
        }
        assert_eq!(rig.endpoint.connections().servers().collect::<Vec<_>>(), [keeps]);
        assert_eq!(rig.endpoint.connections().stats().open, 0);
    };
    // What is made once, is made.
    starts(&mut rig, 50);
    let (files, region) = (count("/proc/self/fd"), Region::new(ALLOCATOR));
    starts(&mut rig, 1000);
    let change = region.change();
    let held = change.bytes_allocated as i64 - change.bytes_deallocated as i64;
    // Lists may have grown once more; a leak would be of a thousand things.
    assert!(held < 16 << 10, "{held} bytes are left: {change:?}");
    assert_eq!(count("/proc/self/fd"), files, "descriptors are left");
    assert_eq!(count("/proc/self/task"), 1, "threads");

    rig.server = keeps;
    rig.open("/still-here");

    for _ in 0..100 {
        let watch = rig.endpoint.watch(|| {}).unwrap();
        assert_eq!(count("/proc/self/task"), 1 + usize::from(cfg!(target_os = "linux")), "threads");
        starts(&mut rig, 1);
        drop(watch);
        // The system's list may still have it when it has ended.
        let start = Instant::now();
        while count("/proc/self/task") > 1 {
            assert!(start.elapsed() < Duration::from_secs(20), "the thread of the watch is left");
        }
    }
    assert_eq!(count("/proc/self/fd"), files, "descriptors are left");
    println!("1,000 starts and stops: {held} bytes, no descriptor and no thread more");
}
