//! What a connection allocates and holds, for any peer that declares, drips or repeats.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::hint::black_box;
use ws_kit::frames::*;
use ws_proto::{Config, Connection, Event, Frame, Moment, Opcode, OutboxBuffer, Role, State};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The heap effect of `body`: blocks allocated, and bytes held at the end.
fn measure(mut body: impl FnMut()) -> (usize, isize) {
    let region = Region::new(ALLOCATOR);
    body();
    let change = region.change();
    let held = change.bytes_allocated as isize - change.bytes_deallocated as isize;
    (change.allocations + change.reallocations, held)
}

/// Gives bytes to a connection, and drops its events.
fn give(connection: &mut Connection, now: Moment, bytes: &mut [u8]) {
    let mut input = bytes;
    while let Some(event) = connection.handle_input(now, &mut input) {
        black_box(&event);
    }
}

/// A temporary activity of a connection, and how to trigger it.
type Activity = (&'static str, fn(&mut Connection, Moment));

/// Temporary activities, run to completion except for pending output.
fn busy_for_a_while() -> [Activity; 6] {
    [
        ("a message in fragments", |server, _| {
            server.send(Frame::raw(Opcode::Text, false, "be").unwrap()).unwrap();
            server.send(Frame::raw(Opcode::Continuation, true, "gun").unwrap()).unwrap();
        }),
        ("a message that waits behind a fragment", |server, _| {
            server.send(Frame::raw(Opcode::Text, false, "be").unwrap()).unwrap();
            server.send("waits").unwrap();
            server.send(Frame::raw(Opcode::Continuation, true, "gun").unwrap()).unwrap();
        }),
        ("an answered ping", |server, now| {
            server.send_ping(now, b"there?").unwrap();
            take_output(server, now);
            give(server, now, &mut frame(true, FIN | PONG, b"there?"));
        }),
        ("a peer that stops reading", |server, now| {
            server.send("some").unwrap();
            server.handle_written(now, 2);
            server.handle_written(now, 0);
        }),
        ("more pings than are answered", |server, now| {
            for n in 0..40 {
                give(server, now, &mut frame(true, FIN | PING, &[n]));
            }
        }),
        ("an outbox over its mark", |server, now| {
            server.send(vec![0; 2 << 20]).unwrap();
            server.send("more").unwrap();
            give(server, now, &mut frame(true, FIN | TEXT, b"answered"));
            server.send("answer").unwrap();
            give(server, now, &mut frame(true, FIN | TEXT, b"delayed"));
        }),
    ]
}

// A single test, because the counter spans all threads.
#[test]
fn memory_is_proportional_to_received_bytes() {
    let config = || Config::server().message_limit(64 << 20).frame_rate(None);

    let (mut server, now) = open(Role::Server, config());
    let mut bytes = header(true, FIN | BINARY, 64 << 20);
    bytes.extend([0; 10]);
    let (_, held) = measure(|| give(&mut server, now, &mut bytes));
    assert!(held < 4096, "64 MiB declared, ten bytes received: {held} bytes are held");

    for shift in 7..=63 {
        for len in [(1 << shift) - 1, 1 << shift, (1 << shift) + 1, u64::MAX - shift] {
            let (mut server, now) = open(Role::Server, config());
            let mut bytes = header(true, FIN | BINARY, len);
            let (_, held) = measure(|| give(&mut server, now, &mut bytes));
            assert!(held < 4096, "{len} bytes declared, none received: {held} bytes are held");
        }
    }

    let (mut server, now) = open(Role::Server, config());
    give(&mut server, now, &mut frame(true, BINARY, b"begun"));
    let empty = frame(true, CONTINUATION, b"");
    let mut many = empty.repeat(1000);
    let (_, held) = measure(|| {
        for _ in 0..1000 {
            many.copy_from_slice(&empty.repeat(1000));
            give(&mut server, now, &mut many);
        }
    });
    assert!(held < 4096, "a million empty fragments: {held} bytes are held");

    let (mut server, now) = open(Role::Server, config());
    give(&mut server, now, &mut frame(true, TEXT, b""));
    let (_, held) = measure(|| {
        for _ in 0..200_000 {
            give(&mut server, now, &mut frame(true, CONTINUATION, b"x"));
        }
    });
    assert!(held < 2 * 200_000 + 4096, "200,000 fragments of a byte: {held} bytes are held");

    let (mut server, now) = open(Role::Server, Config::server());
    let (_, held) = measure(|| {
        give(&mut server, now, &mut frame(true, FIN | TEXT, b"hello"));
        let parts = frame(true, FIN | TEXT, b"hello");
        parts.chunks(1).for_each(|part| give(&mut server, now, &mut part.to_vec()));
        give(&mut server, now, &mut frame(true, FIN | PING, b"ping"));
        take_output(&mut server, now);
        drop(server.outbox().detach_buffer());
    });
    assert_eq!(held, 0, "an idle connection holds no heap");

    for (what, act) in busy_for_a_while() {
        let (mut server, now) = open(Role::Server, Config::server());
        let (blocks, held) = measure(|| {
            act(&mut server, now);
            take_output(&mut server, now);
            drop(server.outbox().detach_buffer());
        });
        assert!(blocks > 0, "{what} allocates");
        assert_eq!(held, 0, "{what} has ended, and the connection is idle again");
        assert_eq!(server.state(), State::Open, "{what}");
    }

    let (mut server, now) = open(Role::Server, Config::server());
    let large = [7; 60_000];
    let wire = frame(false, FIN | BINARY, &large);
    let (_, held) = measure(|| {
        for _ in 0..150 {
            server.send(&large[..]).unwrap();
        }
    });
    let queued = server.outbox().len();
    assert_eq!(queued, 150 * wire.len());
    assert!((held as usize) < queued + (2 << 20), "{queued} bytes are queued: {held} are held");
    assert!(take_output(&mut server, now) == wire.repeat(150), "all of them are written, in order");

    let (mut server, now) = open(Role::Server, Config::server());
    let messages = [frame(true, FIN | TEXT, &[b'x'; 100]), frame(true, FIN | BINARY, &[1; 60_000])].concat();
    let mut bytes = messages.clone();
    let mut storage = Some(OutboxBuffer::default());
    let mut echo = || {
        bytes.copy_from_slice(&messages);
        server.outbox().attach_buffer(storage.take().unwrap());
        let mut input = &mut bytes[..];
        while let Some(event) = server.handle_input(now, &mut input) {
            let Event::Message(message) = event else { panic!("{event:?}") };
            server.send(message).unwrap();
        }
        let n = server.outbox().len();
        server.handle_written(now, n);
        storage = server.outbox().detach_buffer();
    };
    echo();
    let (blocks, _) = measure(|| (0..100).for_each(|_| echo()));
    assert_eq!(blocks, 0, "with an attached buffer, echoing a whole message allocates nothing");
    assert_eq!(server.state(), State::Open);
}
