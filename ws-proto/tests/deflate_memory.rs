//! The memory that compression allocates and holds for any peer; printed as a table by
//! `cargo test -p ws-proto --test deflate_memory -- --nocapture`.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails
#![allow(clippy::print_stdout)] // the table

use cap::Cap;
use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use ws_kit::deflate::*;
use ws_kit::frames::*;
use ws_proto::deflate::Deflate;
use ws_proto::{Config, Connection, Delivery, Event, Frame, Moment, Opcode, Role};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

const KIBI: usize = 1 << 10;
const MEBI: usize = 1 << 20;
const LIMIT: usize = 16 * MEBI;

/// The peak memory of `body`, above what was held before it.
fn peak(body: impl FnOnce()) -> usize {
    // The counter reports only the all-time peak, so everything held stays held while it runs.
    let before = HEAP.max_allocated();
    let ballast = black_box(Vec::<u8>::with_capacity(before.saturating_sub(HEAP.allocated())));
    let began = HEAP.allocated();
    body();
    let most = HEAP.max_allocated();
    drop(ballast);
    most.saturating_sub(began)
}

/// Gives bytes to a connection in reads of this size, and drops its events. Returns the total size of the events.
fn give(connection: &mut Connection, now: Moment, bytes: &mut [u8], read: usize) -> usize {
    let mut delivered = 0;
    for mut input in bytes.chunks_mut(read) {
        while let Some(event) = connection.handle_input(now, &mut input) {
            match black_box(event) {
                Event::Message(message) => delivered += message.as_bytes().len(),
                Event::Fragment(fragment) => delivered += fragment.data.as_bytes().len(),
                other => panic!("{other:?}"),
            }
        }
    }
    delivered
}

/// A connection with a context, and as large a window as it may have.
fn warm(config: Config) -> (Connection, Moment, Zip) {
    let (mut server, now) = open_by(Role::Server, config, FULL, FULL);
    let mut zip = Zip::with_level(FULL, 9);
    let mut wire = compressed(Role::Server, BINARY, &zip.message(&noise(1, MEBI)));
    assert_eq!(give(&mut server, now, &mut wire, usize::MAX), MEBI);
    (server, now, zip)
}

fn a_bomb_holds_no_more_than_the_limit() {
    let bomb = zeros(1024);
    assert!((MEBI..MEBI + 64 * KIBI).contains(&bomb.len()), "a gigabyte in a megabyte: {}", bomb.len());
    let config = || config(deflate());
    for opcode in [BINARY, TEXT] {
        for mut wire in [
            compressed(Role::Server, opcode, &bomb),
            in_frames(Role::Server, RSV1 | opcode, &bomb.chunks(1000).collect::<Vec<_>>()),
        ] {
            for read in [1000, 64 * KIBI, usize::MAX] {
                let before = wire.clone();
                let (mut server, now, _) = warm(config());
                let peak = peak(|| assert_eq!(give(&mut server, now, &mut wire, read), 0));
                assert!(peak <= LIMIT + 16 * KIBI, "reads of {read}: {peak} bytes");
                assert_eq!(close_code(&take_output(&mut server, now)), Some(1009));
                wire = before;
            }
        }
    }
    // Including the context it creates.
    let (mut server, now) = open_by(Role::Server, config(), FULL, FULL);
    let mut wire = compressed(Role::Server, BINARY, &bomb);
    let with_context = peak(|| assert_eq!(give(&mut server, now, &mut wire, usize::MAX), 0));
    assert!(with_context <= LIMIT + 112 * KIBI, "{with_context} bytes");
    // With a ratio limit, far less.
    let mut wire = compressed(Role::Server, BINARY, &bomb);
    let (mut server, now, _) = warm(ws_kit::deflate::config(deflate().ratio_limit(Some(200))));
    let peak = peak(|| assert_eq!(give(&mut server, now, &mut wire, usize::MAX), 0));
    assert!(peak <= 2 * MEBI + 64 * KIBI, "{peak} bytes");
}

fn a_message_at_the_limit_holds_no_more_and_leaves_nothing() {
    let (mut server, now, mut zip) = warm(config(deflate().ratio_limit(None).inflate_rate(None)));
    let million = vec![0; MEBI];
    let mut message: Vec<u8> =
        (0..16).flat_map(|_| zip.part(&million, zlib_rs::DeflateFlush::SyncFlush)).collect();
    message.truncate(message.len() - TAIL.len());
    let wire = compressed(Role::Server, BINARY, &message);
    let mut copies = [wire.clone(), wire.clone(), wire.clone()];
    assert_eq!(give(&mut server, now, &mut { wire }, 4 * KIBI), LIMIT);
    let held = HEAP.allocated();
    let peak = peak(|| {
        for copy in &mut copies {
            assert_eq!(give(&mut server, now, copy, 4 * KIBI), LIMIT);
        }
    });
    assert!(peak <= LIMIT + 64 * KIBI, "{peak} bytes");
    assert_eq!(HEAP.allocated(), held, "delivered events are freed");
}

fn chunked_delivery_holds_one_chunk() {
    let (mut server, now, _) =
        warm(config(deflate().ratio_limit(None)).delivery(Delivery::Chunked { whole: 0 }));
    let mut wire = compressed(Role::Server, BINARY, &zeros(16)[..]);
    let peak = peak(|| assert_eq!(give(&mut server, now, &mut wire, 4 * KIBI), LIMIT));
    assert!(peak <= 24 * KIBI, "{peak} bytes");
}

fn a_window_holds_at_most_half_more_than_its_size() {
    let config = config(deflate().ratio_limit(None).inflate_rate(None));
    let (mut server, now) = open_by(Role::Server, config, FULL, FULL);
    let mut zip = Zip::new(FULL);
    let mut receive = |len: usize| {
        let mut wire = compressed(Role::Server, BINARY, &zip.message(&noise(len as u64, len)));
        assert_eq!(give(&mut server, now, &mut wire, usize::MAX), len);
        drop(wire);
        HEAP.allocated()
    };
    let small = receive(1);
    for round in 0..30 {
        for len in [3001, 5000, 20_011] {
            let more = receive(len).saturating_sub(small);
            assert!(more <= 48 * KIBI, "round {round}: {more} bytes for a window of 32 KiB");
        }
    }
}

fn sent_messages_leave_little() {
    // A client masks its output, so it keeps the memory that it compresses into.
    for ours in [FULL, ALONE] {
        for shared in [false, true] {
            let (mut client, now) = open_by(CLIENT, config(deflate()).outbox(0, 1, 64 * MEBI), ours, FULL);
            client.send(&b"warm"[..]).unwrap();
            take_output(&mut client, now);
            drop(client.outbox().detach_buffer());
            let held = HEAP.allocated();
            let frame = Frame::binary(noise(1, 8 * MEBI));
            let sent = if shared { client.send_shared(&frame) } else { client.send(&frame) };
            sent.unwrap();
            let waits = client.outbox().len();
            client.handle_written(now, waits);
            drop(frame);
            drop(client.outbox().detach_buffer());
            let more = HEAP.allocated().saturating_sub(held);
            assert!(more <= 1024 * KIBI, "{ours:?}, {shared}: {more} more bytes are held");
        }
    }
}

fn queued_output_holds_about_its_own_length() {
    // 4 MiB that compress to slightly more than 16 KiB.
    let document = |seed| [noise(seed, 16 * KIBI), vec![0; 4 * MEBI - 16 * KIBI]].concat();
    let (mut server, _) = open_by(Role::Server, config(deflate()), FULL, FULL);
    server.send(document(0)).unwrap();
    let (held, queued) = (HEAP.allocated(), server.queued());
    for seed in 1..50 {
        server.send(document(seed)).unwrap();
    }
    let (held, queued) = (HEAP.allocated() - held, server.queued() - queued);
    assert!(held < 2 * queued, "{queued} bytes are queued, and {held} are held");
}

/// The number of connections of a kind measured together.
const MANY: usize = 10;

type Connections = Vec<(Connection, Moment)>;

/// The memory of each connection, and what remains held after they are dropped.
fn weigh(connections: Connections) -> (usize, usize) {
    let with = HEAP.allocated();
    drop(connections);
    let without = HEAP.allocated();
    ((with - without) / MANY - size_of::<(Connection, Moment)>(), without)
}

/// The heap bytes that a server's connection holds: from the agreement on; after a message each way; in the middle of
/// one each way; when idle. And the pooled memory shared by all.
fn weights(deflate: Deflate, document: &[u8]) -> [usize; 5] {
    let headers = [(http::header::SEC_WEBSOCKET_EXTENSIONS, deflate.offer())].into_iter().collect();
    let config = Arc::new(Config::server().deflate(deflate.clone()));
    let terms = deflate.accept(&headers).unwrap().0;
    let open = || -> Connections {
        let now = Moment::default();
        let open = || {
            let mut connection = Connection::upgraded(now, config.clone(), Role::Server);
            connection.compress_by(terms);
            (connection, now)
        };
        (0..MANY).map(|_| open()).collect()
    };
    let message = Zip::new(terms.theirs).message(document);
    let after_messages = |fin: bool| {
        let fin_bit = if fin { FIN } else { 0 };
        let mut connections = open();
        for (connection, now) in &mut connections {
            let mut wire = frame(true, fin_bit | RSV1 | TEXT, &message);
            assert_eq!(give(connection, *now, &mut wire, usize::MAX), if fin { document.len() } else { 0 });
            let frame = Frame::raw(Opcode::Text, fin, document.to_vec()).unwrap().with_compression();
            connection.send(&frame).unwrap();
            let waits = connection.outbox().len();
            connection.handle_written(*now, waits);
            drop(connection.outbox().detach_buffer());
        }
        connections
    };
    let base = HEAP.allocated();
    let (agreed, nothing) = weigh(open());
    assert_eq!(nothing, base);
    let (active, _) = weigh(after_messages(true));
    let (in_a_message, _) = weigh(after_messages(false));
    let mut connections = after_messages(true);
    for (connection, now) in &mut connections {
        connection.handle_timeout(*now + Duration::from_secs(30));
    }
    let (quiet, shared) = weigh(connections);
    [agreed, active, in_a_message, quiet, shared - base]
}

/// A preset, and its limits in KiB for short and for long messages.
type Preset = (&'static str, fn() -> Deflate, [[usize; 5]; 2]);

fn each_preset_holds_its_documented_memory() {
    let line = "{'some': 'json', 'of': ['a', 'hundred', 'bytes'], 'and': {'a': 'few', 'more': 'of them'}}\n";
    let line = line.replace('\'', "\"").into_bytes();
    let (short, long) = (&line[..], line.repeat(1000));
    println!("heap bytes, messages of             agreed     active  in a message      quiet  for all");
    let presets: [Preset; 4] = [
        ("Deflate::new", Deflate::new, [[1, 470, 470, 1, 1900], [1, 520, 650, 33, 2100]]),
        ("Deflate::chat", Deflate::chat, [[1, 240, 240, 1, 950], [1, 250, 370, 9, 1000]]),
        ("Deflate::large_json", Deflate::large_json, [[1, 1, 470, 1, 470], [1, 1, 720, 1, 600]]),
        ("Deflate::many_idle", Deflate::many_idle, [[1, 1, 470, 1, 470], [1, 1, 650, 1, 530]]),
    ];
    for (name, deflate, most) in presets {
        for (document, most) in [short, &long].into_iter().zip(most) {
            let have = weights(deflate(), document);
            let [agreed, active, in_a_message, quiet, shared] = have;
            let len = document.len();
            println!("{name:20} {len:10} {agreed:10} {active:10} {in_a_message:13} {quiet:10} {shared:8}");
            for (have, most) in have.into_iter().zip(most) {
                assert!(have <= most * KIBI, "{name}, {len}: {have} bytes, more than {most} KiB");
            }
        }
    }
}

// A single test, because the counter spans all threads.
#[test]
fn memory_is_bounded_and_released() {
    a_bomb_holds_no_more_than_the_limit();
    a_message_at_the_limit_holds_no_more_and_leaves_nothing();
    chunked_delivery_holds_one_chunk();
    a_window_holds_at_most_half_more_than_its_size();
    sent_messages_leave_little();
    queued_output_holds_about_its_own_length();
    each_preset_holds_its_documented_memory();
}
