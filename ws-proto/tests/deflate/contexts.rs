//! When contexts are created, how long they are kept, and how they are shared.

use super::bits::{Stream, Token};
use super::reader::Reader;
use std::sync::Arc;
use std::time::Duration;
use ws_kit::deflate::*;
use ws_kit::frames::*;
use ws_kit::pair::Pair;
use ws_proto::deflate::{Deflate, Direction, Terms};
use ws_proto::{Config, Connection, Frame, Heartbeat, Moment, Opcode, ProtocolError, Role};

const SECOND: Duration = Duration::from_secs(1);
const RELEASE_AFTER: Duration = Duration::from_secs(30);

/// A connection with no other deadline.
fn idle(ours: Direction, theirs: Direction) -> (Connection, Moment) {
    open_by(Role::Server, config(deflate()).heartbeat(Heartbeat::off()), ours, theirs)
}

fn fragment(opcode: Opcode, fin: bool, data: &[u8]) -> Frame {
    Frame::raw(opcode, fin, data.to_vec()).unwrap()
}

/// The pooled contexts: inflaters and deflaters.
fn pooled(config: &Config) -> (usize, usize) {
    let shown = format!("{:?}", config.get_deflate());
    let count = |what: &str| {
        let before = shown.split(what).next().unwrap();
        before.rsplit(['(', ' ']).find(|word| !word.is_empty()).unwrap().parse().unwrap()
    };
    (count(" inflaters"), count(" deflaters"))
}

#[test]
fn a_connection_that_compresses_nothing_has_no_deadline_for_it() {
    let (mut server, now) = idle(FULL, FULL);
    assert_eq!(server.poll_timeout(), None);
    server.send(Frame::text("not compressed").without_compression()).unwrap();
    take_output(&mut server, now);
    feed(&mut server, now, &frame(true, FIN | TEXT, b"nor this"));
    assert_eq!((server.poll_timeout(), pooled(server.config())), (None, (0, 0)));
}

#[test]
fn contexts_are_released_after_the_idle_time_and_not_before() {
    for by_us in [true, false] {
        let (mut server, birth) = idle(FULL, FULL);
        let (mut zip, mut reader) = (Zip::new(FULL), Reader::new(FULL));
        let mut active = |server: &mut Connection, now| {
            if by_us {
                server.send("compressed").unwrap();
                assert_eq!(reader.data(&take_output(server, now)), [b"compressed"]);
            } else {
                let bytes = compressed(Role::Server, TEXT, &zip.message(b"compressed"));
                assert_eq!(messages(&feed(server, now, &bytes)), [b"compressed"]);
            }
        };
        for round in 0..3 {
            let now = birth + round * 100 * SECOND;
            active(&mut server, now);
            assert!(server.take_timeout_changed(), "an adapter must rearm its timer");
            assert_eq!(server.poll_timeout(), Some(now + RELEASE_AFTER));
            // Activity extends it.
            active(&mut server, now + 20 * SECOND);
            server.handle_timeout(now + RELEASE_AFTER);
            assert_eq!(server.poll_timeout(), Some(now + 20 * SECOND + RELEASE_AFTER));
            assert_eq!(pooled(server.config()), (0, 0));
            server.handle_timeout(now + 20 * SECOND + RELEASE_AFTER - Duration::from_nanos(1));
            assert_eq!(pooled(server.config()), (0, 0));
            server.handle_timeout(now + 20 * SECOND + RELEASE_AFTER);
            assert_eq!(pooled(server.config()), (usize::from(!by_us), usize::from(by_us)));
            assert_eq!(server.poll_timeout(), None, "there is nothing more to release");
        }
    }
}

#[test]
fn traffic_does_not_move_a_known_release_deadline() {
    let config = config(deflate()).heartbeat(Heartbeat::frequent());
    let (mut server, now) = open_by(Role::Server, config, FULL, FULL);
    let mut zip = Zip::new(FULL);
    let mut due = None;
    for second in 0..20 {
        let at = now + second * SECOND;
        server.send("compressed").unwrap();
        take_output(&mut server, at);
        let bytes = compressed(Role::Server, TEXT, &zip.message(b"compressed"));
        assert_eq!(messages(&feed(&mut server, at, &bytes)), [b"compressed"]);
        assert_eq!(server.poll_timeout(), *due.get_or_insert(server.poll_timeout()), "second {second}");
    }
    assert!(due.is_some_and(|due| due.is_some_and(|due| due <= now + RELEASE_AFTER)));
}

#[test]
fn debug_shows_contexts_without_their_content() {
    let (mut server, now) = open_full(Role::Server);
    let data = noise(1, 20_000);
    server.send(data.clone()).unwrap();
    take_output(&mut server, now);
    drop(server.outbox().detach_buffer());
    let bytes = compressed(Role::Server, BINARY, &Zip::new(FULL).message(&data));
    assert_eq!(messages(&feed(&mut server, now, &bytes)), [data]);
    let shown = format!("{server:?}");
    assert!(shown.contains("Deflater {") && shown.contains("Inflater {"), "{shown}");
    assert!(shown.len() < 5000, "{shown}");
}

#[test]
fn reading_message_by_message_keeps_the_context_from_its_last_use() {
    let (mut server, birth) = idle(FULL, FULL);
    let mut zip = Zip::new(FULL);
    for at in [birth, birth + 20 * SECOND] {
        let mut bytes = compressed(Role::Server, TEXT, &zip.message(b"compressed"));
        assert!(server.handle_input(at, &mut &mut bytes[..]).is_some());
    }
    server.handle_timeout(birth + RELEASE_AFTER);
    assert_eq!(pooled(server.config()), (0, 0));
    assert_eq!(server.poll_timeout(), Some(birth + 20 * SECOND + RELEASE_AFTER));
}

#[test]
fn plain_messages_keep_no_context() {
    let (mut server, birth) = idle(FULL, FULL);
    feed(&mut server, birth, &compressed(Role::Server, TEXT, &Zip::new(FULL).message(b"compressed")));
    feed(&mut server, birth + 20 * SECOND, &frame(true, FIN | TEXT, b"not compressed"));
    server.handle_timeout(birth + RELEASE_AFTER);
    assert_eq!(pooled(server.config()), (1, 0));
}

#[test]
fn heartbeats_keep_no_context() {
    for (role, heartbeat) in [(CLIENT, Heartbeat::client()), (Role::Server, Heartbeat::frequent())] {
        let (mut end, birth) = open_by(role, config(deflate()).heartbeat(heartbeat), FULL, FULL);
        end.send("compressed").unwrap();
        take_output(&mut end, birth);
        feed(&mut end, birth, &compressed(role, TEXT, &Zip::new(FULL).message(b"compressed")));
        while let Some(now) = end.poll_timeout().filter(|now| *now <= birth + 2 * RELEASE_AFTER) {
            end.handle_timeout(now);
            for written in parse(&take_output(&mut end, now)) {
                if written.first & 0xf == PING {
                    feed(&mut end, now, &frame_to(role, FIN | PONG, &written.payload));
                }
            }
        }
        assert_eq!(pooled(end.config()), (1, 1), "{role:?}");
    }
}

#[test]
fn a_failure_of_one_peer_is_not_charged_to_another() {
    let config = Arc::new(config(deflate()).heartbeat(Heartbeat::off()));
    let now = Moment::default();
    let open = || {
        let mut connection = Connection::upgraded(now, config.clone(), Role::Server);
        connection.compress_by(Terms { ours: FULL, theirs: FULL });
        connection
    };
    // Each has a window, for which its context is rebuilt, and then fails at the first byte.
    let hostile = |_| {
        let mut connection = open();
        let wire = compressed(Role::Server, BINARY, &Zip::new(FULL).message(&noise(1, 40_000)));
        assert_eq!(feed(&mut connection, now, &wire).len(), 1);
        connection.handle_timeout(now + RELEASE_AFTER);
        connection
    };
    for mut connection in (0..40).map(hostile).collect::<Vec<_>>() {
        feed(&mut connection, now + RELEASE_AFTER, &compressed(Role::Server, BINARY, &[7]));
    }
    let wire = compressed(Role::Server, TEXT, &Zip::new(FULL).message(b"hello"));
    assert_eq!(messages(&feed(&mut open(), now + RELEASE_AFTER, &wire)), [b"hello"]);
}

#[test]
fn messages_flow_after_contexts_are_released_and_the_peers_may_refer_back() {
    for bits in 9..=15 {
        let both = direction(true, bits);
        let (mut server, mut now) = idle(both, both);
        let (mut zip, mut reader) = (Zip::new(both), Reader::new(both));
        let data = [noise(0, (1 << bits) - 470), noise(1, 200)].concat();
        let mut lens = Vec::new();
        for round in 0..6 {
            let message = zip.message(&data);
            assert!(round == 0 || message.len() < data.len() / 2, "{bits}: it refers to earlier data");
            assert!(
                messages(&feed(&mut server, now, &compressed(Role::Server, BINARY, &message))) == [&data[..]]
            );
            server.send(&data[data.len() - 200..]).unwrap();
            let read = reader.read(&take_output(&mut server, now)).remove(0);
            assert_eq!(read.data, &data[data.len() - 200..]);
            lens.push(read.wire_len);
            if round % 2 == 1 {
                now += RELEASE_AFTER;
                server.handle_timeout(now);
                assert_eq!(pooled(server.config()), (1, 1), "they are released");
            }
        }
        let whole: Vec<bool> = lens.iter().map(|len| *len >= 200).collect();
        assert_eq!(whole, [true, false, true, false, true, false], "ours start over: {lens:?}");
    }
}

#[test]
fn a_last_block_around_a_release_keeps_the_window() {
    let (mut server, mut now) = idle(FULL, FULL);
    let hello = Stream::new().text(true, "Hello").cut_here();
    let again = Stream::new().fixed(true, &[Token::Match(5, 5)]).cut_here();
    for message in [hello, again.clone(), again.clone(), again] {
        assert_eq!(messages(&feed(&mut server, now, &compressed(Role::Server, TEXT, &message))), [b"Hello"]);
        now += RELEASE_AFTER;
        server.handle_timeout(now);
        assert_eq!(pooled(server.config()).0, 1);
    }
    let too_far = Stream::new().fixed(true, &[Token::Match(5, 21)]).cut_here();
    feed(&mut server, now, &compressed(Role::Server, TEXT, &too_far));
    assert_eq!(fault(&end(&mut server, now)), Some(ProtocolError::DeflateInvalid));
}

#[test]
fn an_unfinished_message_keeps_its_context() {
    let data = noise(1, 300);
    for ours_is_unfinished in [true, false] {
        for empty_first in [true, false] {
            let (mut server, mut now) = idle(FULL, FULL);
            let (mut zip, mut reader) = (Zip::new(FULL), Reader::new(FULL));
            let first = if empty_first { &[][..] } else { &data };
            // In the other direction, a message ends.
            if ours_is_unfinished {
                server.send(fragment(Opcode::Binary, false, first)).unwrap();
                feed(&mut server, now, &compressed(Role::Server, BINARY, &zip.message(&data)));
            } else {
                server.send(&data[..]).unwrap();
                let begun =
                    if empty_first { Vec::new() } else { zip.part(first, zlib_rs::DeflateFlush::SyncFlush) };
                feed(&mut server, now, &frame(true, RSV1 | BINARY, &begun));
            }
            let mut read = reader.read(&take_output(&mut server, now));
            for _ in 0..3 {
                now += 2 * RELEASE_AFTER;
                server.handle_timeout(now);
                let pooled = pooled(server.config());
                let kept = if ours_is_unfinished { pooled.1 } else { pooled.0 };
                assert!(kept == 0 || empty_first, "{pooled:?}");
                assert!(server.poll_timeout().is_none_or(|due| due > now));
            }
            // Both messages and those after them arrive whole.
            if ours_is_unfinished {
                server.send(fragment(Opcode::Continuation, true, &data)).unwrap();
                server.send(&data[..]).unwrap();
                read.extend(reader.read(&take_output(&mut server, now)));
                let read: Vec<_> = read.into_iter().map(|read| read.data).collect();
                assert_eq!(read, [[first, &data].concat(), data.clone()]);
            }
            let mut wire = Vec::new();
            let mut want = vec![data.clone()];
            if !ours_is_unfinished {
                wire.extend(frame(true, FIN | CONTINUATION, &zip.message(&data)));
                want.insert(0, [first, &data].concat());
            }
            wire.extend(compressed(Role::Server, BINARY, &zip.message(&data)));
            assert_eq!(messages(&feed(&mut server, now, &wire)), want);
            assert_eq!(server.poll_timeout(), Some(now + RELEASE_AFTER), "now they may be released");
        }
    }
}

#[test]
fn releasing_contexts_at_any_time_breaks_nothing() {
    let deflate = |idle| deflate().release_after(idle);
    for [ours, theirs] in [[0, 5000], [5000, 0], [1, 1], [700, 1100], [0, 0]] {
        let client = Config::client().deflate(deflate(Duration::from_millis(ours)));
        let server = Config::server().deflate(deflate(Duration::from_millis(theirs)));
        let mut pair =
            Pair::open_with(client.heartbeat(Heartbeat::frequent()), server.heartbeat(Heartbeat::off()));
        let mut want = Vec::new();
        for n in 0..60 {
            let data = [noise(n % 3, 300), noise(n, 100)].concat();
            for end in [&mut pair.client, &mut pair.server] {
                let frame = match n % 5 {
                    0 => fragment(Opcode::Binary, false, &data),
                    1 | 2 => fragment(Opcode::Continuation, n % 5 == 2, &data),
                    _ => Frame::binary(data.clone()),
                };
                end.connection.send(&frame).unwrap();
            }
            match n % 5 {
                0 | 3 | 4 => want.push(data),
                _ => want.last_mut().unwrap().extend(data),
            }
            // `Pair` asserts that no deadline is in the past, and none is still due once handled.
            pair.advance(Duration::from_millis([0, 400, 900, 3000][n as usize % 4]));
        }
        for end in [&pair.client, &pair.server] {
            assert!(messages(&end.events) == want, "{ours} ms and {theirs} ms");
        }
    }
}

#[test]
fn a_release_due_during_system_sleep_happens_on_wake() {
    let (mut server, birth) = idle(FULL, FULL);
    let mut reader = Reader::new(FULL);
    server.send("compressed").unwrap();
    assert_eq!(reader.data(&take_output(&mut server, birth)), [b"compressed"]);
    server.send("compressed, and not yet written").unwrap();
    let now = birth + 100 * SECOND;
    server.handle_resume(now);
    server.handle_timeout(now);
    assert_eq!((server.poll_timeout(), pooled(server.config())), (None, (0, 1)));
    server.send("compressed").unwrap();
    let output = take_output(&mut server, now);
    assert_eq!(reader.data(&output), [&b"compressed, and not yet written"[..], b"compressed"]);
    assert_eq!(server.poll_timeout(), Some(now + RELEASE_AFTER));
}

#[test]
fn without_takeover_one_context_serves_every_connection() {
    let config = Arc::new(config(deflate()));
    let mut ends: Vec<_> = (0..20)
        .map(|_| {
            let now = Moment::default();
            let mut connection = Connection::upgraded(now, config.clone(), Role::Server);
            connection.compress_by(Terms { ours: ALONE, theirs: ALONE });
            (connection, now, Zip::new(ALONE), Reader::new(ALONE))
        })
        .collect();
    for round in 0..3 {
        for (n, (connection, now, zip, reader)) in ends.iter_mut().enumerate() {
            let data = noise(n as u64 + round, 500);
            connection.send(&data[..]).unwrap();
            assert_eq!(reader.data(&take_output(connection, *now)), [&data[..]]);
            let bytes = compressed(Role::Server, BINARY, &zip.message(&data));
            assert_eq!(messages(&feed(connection, *now, &bytes)), [&data[..]]);
            assert_eq!(pooled(&config), (1, 1), "round {round}, connection {n}");
        }
    }
    // Each message in progress has its own context.
    for (n, (connection, now, zip, reader)) in ends.iter_mut().enumerate() {
        let data = noise(n as u64, 500);
        connection.send(fragment(Opcode::Binary, false, &data)).unwrap();
        let parts = zip.fragments(&[&data, &data]);
        feed(connection, *now, &frame(true, RSV1 | BINARY, &parts[0]));
        assert!(reader.data(&take_output(connection, *now)).is_empty());
        assert_eq!(pooled(&config), (0, 0));
        connection.send(fragment(Opcode::Continuation, n % 2 == 0, &data)).unwrap();
        let events = feed(connection, *now, &frame(true, FIN | CONTINUATION, &parts[1]));
        assert_eq!(messages(&events), [[&data[..], &data].concat()]);
        if n % 2 == 1 {
            connection.send(fragment(Opcode::Continuation, true, b"")).unwrap();
        }
        assert_eq!(reader.data(&take_output(connection, *now)), [[&data[..], &data].concat()]);
    }
    assert_eq!(pooled(&config), (1, 1));
}

#[test]
fn a_reused_context_holds_nothing_of_its_previous_user() {
    let secret = b"the secret of another connection, which is long enough to be referred to".repeat(4);
    for takeover in [true, false] {
        let terms = direction(takeover, 15);
        let config = Arc::new(config(deflate()).heartbeat(Heartbeat::off()));
        let open = || {
            let now = Moment::default();
            let mut connection = Connection::upgraded(now, config.clone(), Role::Server);
            connection.compress_by(Terms { ours: terms, theirs: terms });
            (connection, now)
        };
        for how in ["released", "failed", "closed", "in the middle of a message", "aborted"] {
            let (mut a, now) = open();
            let mut zip = Zip::new(terms);
            a.send(&secret[..]).unwrap();
            take_output(&mut a, now);
            feed(&mut a, now, &compressed(Role::Server, BINARY, &zip.message(&secret)));
            match how {
                "released" => a.handle_timeout(now + RELEASE_AFTER),
                "failed" => drop(feed(&mut a, now, &compressed(Role::Server, BINARY, &[7; 9]))),
                "closed" => drop(feed(&mut a, now, &frame(true, FIN | CLOSE, b""))),
                "in the middle of a message" => {
                    a.send(fragment(Opcode::Binary, false, &secret)).unwrap();
                    let begun = Stream::new().stored(false, &secret).bits(2, 3).cut_here();
                    feed(&mut a, now, &frame(true, RSV1 | BINARY, &begun));
                    feed(&mut a, now, &frame(true, FIN | CLOSE, b""));
                }
                _ => a.abort(now, ws_proto::Error::Aborted),
            }
            assert_eq!(pooled(&config), (1, 1), "{how}");
            let (mut b, now) = open();
            let mut reader = Reader::new(terms);
            // Messages to and from `b` may refer only to its own data.
            b.send(&secret[..]).unwrap();
            assert_eq!(reader.data(&take_output(&mut b, now)), [&secret[..]], "{how}");
            for distance in [1, 9, secret.len() as u16, 32_768] {
                let (mut b, now) = open();
                let thief = Stream::new().fixed(false, &[Token::Match(9, distance)]).message();
                assert!(feed(&mut b, now, &compressed(Role::Server, BINARY, &thief)).is_empty());
                assert_eq!(
                    fault(&end(&mut b, now)),
                    Some(ProtocolError::DeflateInvalid),
                    "{how}, {distance}"
                );
            }
            drop(b);
            drop(a);
        }
    }
}

#[test]
fn each_connection_keeps_its_own_settings() {
    // One pool, several windows and levels.
    let settings = Deflate::new().threshold(0);
    let data = [noise(1, 2000), vec![b'a'; 2000], noise(1, 2000)].concat();
    for round in 0..3 {
        for bits in 9..=15 {
            for level in [1, 9] {
                let ours = direction(false, bits);
                let (mut server, now) =
                    open_by(Role::Server, config(settings.clone().level(level)), ours, FULL);
                server.send(&data[..]).unwrap();
                let read = Reader::new(ours).read(&take_output(&mut server, now)).remove(0);
                assert!(read.data == data, "{round} {bits}");
                assert_eq!(read.wire_len < 2600, bits >= 13, "{bits}: {}", read.wire_len);
            }
        }
    }
}
