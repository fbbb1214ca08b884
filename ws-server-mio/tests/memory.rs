//! The steady state allocates nothing.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::io::{Read, Write};
use std::time::Duration;
use ws_server_mio::{Connections, Event, Frame, ServerConfig};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn handler(connections: &mut Connections, event: Event<'_>) {
    if let Event::Message(id, message) = event {
        if message.as_bytes() == b"all" {
            let frame = Frame::text(message.as_text().unwrap());
            connections.broadcast(&frame);
        } else {
            connections.send(id, message).unwrap();
        }
    }
}

/// Sends a frame, and runs turns until that many bytes have come back.
fn exchange(rig: &mut Rig, peer: &mut Peer, message: &[u8], reply: &mut [u8]) {
    peer.stream.write_all(message).unwrap();
    let mut got = 0;
    while got < reply.len() {
        rig.endpoint.poll(Some(Duration::ZERO), handler).unwrap();
        match peer.stream.read(&mut reply[got..]) {
            Ok(n) => got += n,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
}

// One test, because the count covers all threads.
#[test]
fn a_steady_echo_allocates_nothing_and_an_idle_connection_holds_nothing() {
    let mut rig = Rig::new(ServerConfig::new());
    let mut peers: Vec<_> = (0..50).map(|_| rig.open("/").0).collect();
    for size in [16, 512, 16_000] {
        let message = frame(TEXT, &vec![b'x'; size]);
        let mut reply = vec![0; size + if size < 126 { 2 } else { 4 }];
        for _ in 0..20 {
            for peer in &mut peers {
                exchange(&mut rig, peer, &message, &mut reply);
            }
        }
        let region = Region::new(ALLOCATOR);
        for _ in 0..20 {
            for peer in &mut peers {
                exchange(&mut rig, peer, &message, &mut reply);
            }
        }
        let change = region.change();
        assert_eq!((change.allocations, change.reallocations), (0, 0), "{size} bytes: {change:?}");
    }

    // Held beyond the earlier total: their share of the slab and of the timers.
    let region = Region::new(ALLOCATOR);
    let mut more: Vec<_> = (0..512).map(|_| rig.open("/").0).collect();
    for peer in &mut more {
        peer.got = Vec::new();
        peer.unsent = Vec::new();
    }
    rig.app.seen = Vec::new();
    for _ in 0..5 {
        rig.turn();
    }
    let change = region.change();
    let held = change.bytes_allocated as i64 - change.bytes_deallocated as i64;
    let blocks = change.allocations as i64 - change.deallocations as i64;
    let each = held / 512;
    // On Windows, mio itself holds two blocks for each socket.
    let (of_mio, most) = if cfg!(windows) { (2 * 512, 500) } else { (0, 300) };
    assert!(blocks < of_mio + 20, "{blocks} blocks, {each} bytes each: {change:?}");
    assert!(each < most, "{each} bytes each: {change:?}");
}
