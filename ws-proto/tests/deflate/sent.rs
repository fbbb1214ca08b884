//! The engine's output, checked independently: what is compressed, in which frames, and how far back it refers.

use super::reader::Reader;
use ws_kit::deflate::*;
use ws_kit::frames::*;
use ws_kit::pair::Pair;
use ws_proto::deflate::{Deflate, Direction, Terms};
use ws_proto::{Config, Frame, Opcode, Role, SendError};

fn first(data: &[u8]) -> Frame {
    Frame::raw(Opcode::Binary, false, data.to_vec()).unwrap()
}

fn next(data: &[u8], fin: bool) -> Frame {
    Frame::raw(Opcode::Continuation, fin, data.to_vec()).unwrap()
}

fn directions() -> impl Iterator<Item = Direction> {
    (9..=15).flat_map(|bits| [true, false].map(|takeover| direction(takeover, bits)))
}

#[test]
fn every_size_level_and_window_is_readable_and_references_stay_within_the_window() {
    // Repeats beyond any window, and slightly within each.
    let mut data = noise(1, 100_000);
    for bits in 9..=15 {
        data.extend(noise(2, 300));
        data.extend(noise(bits, (1_usize << bits).saturating_sub(700)));
        data.extend(noise(2, 300));
    }
    let text = b"much that repeats itself, much that repeats itself; ".repeat(1400);
    let zeros = vec![0; 70 * 1024];
    for role in ROLES {
        for (n, ours) in directions().enumerate() {
            let level = n as u8 % 9 + 1;
            let deflate = deflate().level(level).memory_level(level);
            let (mut connection, now) = open_by(role, config(deflate), ours, FULL);
            let mut reader = Reader::new(ours);
            let sizes = (0..20).chain([63, 64, 65, 1024, 1025, 8192, 65_536, 70 * 1024]);
            for (source, len) in sizes.flat_map(|len| [(&data, len), (&text, len), (&zeros, len)]) {
                connection.send(&source[..len]).unwrap();
                let read = reader.read(&take_output(&mut connection, now));
                assert_eq!((read.len(), read[0].compressed), (1, true), "{ours:?} {level} {len}");
                assert!(read[0].data == source[..len], "{ours:?} {level} {len}");
            }
            connection.send(&data[..]).unwrap();
            assert!(reader.data(&take_output(&mut connection, now)) == [&data[..]], "{ours:?} {level}");
        }
    }
}

#[test]
fn a_rejected_message_is_not_compressed_and_never_referred_to() {
    for role in ROLES {
        let (mut connection, now) = open_by(role, config(deflate()).outbox(0, 0, 5000), FULL, FULL);
        let mut reader = Reader::new(FULL);
        for seed in 0..3 {
            // In one frame, for this connection and for many.
            let [before, message] = [noise(4 * seed, 4000), noise(4 * seed + 1, 3000)];
            let whole = Frame::binary(message.clone());
            connection.send(&before[..]).unwrap();
            assert_eq!(connection.send(&message[..]), Err(SendError::Full));
            assert_eq!(connection.send(&whole), Err(SendError::Full));
            assert_eq!(connection.send_shared(&whole), Err(SendError::Full));
            assert_eq!(connection.send(first(&message)), Err(SendError::Full));
            assert!(reader.data(&take_output(&mut connection, now)) == [&before[..]], "{role:?}");
            connection.send(&whole).unwrap();
            assert!(reader.data(&take_output(&mut connection, now)) == [&message[..]], "{role:?}");

            // In fragments.
            let [before, message] = [noise(4 * seed + 2, 4000), noise(4 * seed + 3, 3000)];
            connection.send(first(&before)).unwrap();
            assert_eq!(connection.send(next(&message, true)), Err(SendError::Full));
            let mut output = take_output(&mut connection, now);
            connection.send(next(&message, true)).unwrap();
            output.extend(take_output(&mut connection, now));
            assert!(reader.data(&output) == [[before, message].concat()], "{role:?}");
        }
    }
}

#[test]
fn messages_refer_to_earlier_ones_only_with_takeover() {
    // Short enough for the smallest window, of which zlib keeps half free.
    let data = noise(1, 200);
    for role in ROLES {
        for ours in directions() {
            let (mut connection, now) = open_by(role, config(deflate()), ours, FULL);
            let mut reader = Reader::new(ours);
            let mut lens = Vec::new();
            for _ in 0..3 {
                connection.send(&data[..]).unwrap();
                let read = reader.read(&take_output(&mut connection, now));
                assert_eq!(read[0].data, data);
                lens.push(read[0].wire_len);
            }
            assert!(lens[0] > 200, "{ours:?}: {lens:?}");
            for later in &lens[1..] {
                assert_eq!(
                    (*later < 40, *later == lens[0]),
                    (ours.context_takeover, !ours.context_takeover),
                    "{ours:?}: {lens:?}"
                );
            }
        }
    }
}

#[test]
fn an_empty_message_is_one_byte() {
    for role in ROLES {
        let (mut connection, now) = open_full(role);
        for _ in 0..3 {
            connection.send("").unwrap();
            let frames = parse(&take_output(&mut connection, now));
            assert_eq!((frames[0].first, &frames[0].payload[..]), (FIN | RSV1 | TEXT, &[0][..]));
        }
    }
}

#[test]
fn fragments_are_one_stream_with_control_frames_and_plain_messages_around_them() {
    let (a, b, c) = (noise(1, 300), b"something else".repeat(30), noise(2, 300));
    for role in ROLES {
        for ours in directions() {
            let (mut connection, now) = open_by(role, config(deflate()), ours, FULL);
            let mut reader = Reader::new(ours);
            let mut want = Vec::new();
            for (parts, plain) in [
                (vec![&a[..], &b, &c], false),
                (vec![&a, b"", &a, b""], true),
                (vec![b"", b"", &c], false),
                (vec![b"", b""], false),
                (vec![&a[..1], &a[1..2], &a[2..3], &a[3..]], true),
            ] {
                for (n, part) in parts.iter().enumerate() {
                    let is_last = n + 1 == parts.len();
                    let frame = if n == 0 { first(part) } else { next(part, is_last) };
                    connection.send(&frame).unwrap();
                    connection.send_ping(now, b"between them").unwrap();
                }
                want.push((true, parts.len(), parts.concat()));
                if plain {
                    connection.send(Frame::binary(c.clone()).without_compression()).unwrap();
                    want.push((false, 1, c.clone()));
                }
                connection.send(&a[..]).unwrap();
                want.push((true, 1, a.clone()));
            }
            let read = reader.read(&take_output(&mut connection, now));
            let read: Vec<_> =
                read.into_iter().map(|read| (read.compressed, read.fragments, read.data)).collect();
            assert!(read == want, "{ours:?}");
            assert_eq!(reader.controls, 3 + 4 + 3 + 2 + 4);
        }
    }
}

#[test]
fn a_fragment_can_be_inflated_on_arrival() {
    let (mut server, now) = open_full(Role::Server);
    let mut inflate = zlib_rs::Inflate::new(false, 15);
    for n in 0..9 {
        let data = [noise(n, 50), b"and more, and more, and more".to_vec()].concat();
        server.send(&if n == 0 { first(&data) } else { next(&data, false) }).unwrap();
        let frames = parse(&take_output(&mut server, now));
        let (before, mut out) = (inflate.total_out(), vec![0; 1000]);
        inflate.decompress(&frames[0].payload, &mut out, zlib_rs::InflateFlush::NoFlush).unwrap();
        assert_eq!(out[..(inflate.total_out() - before) as usize], data);
    }
}

#[test]
fn messages_queued_behind_a_fragmented_one_are_compressed_after_it() {
    let data = noise(1, 300);
    for role in ROLES {
        let (mut connection, now) = open_full(role);
        let mut reader = Reader::new(FULL);
        connection.send(first(&data)).unwrap();
        connection.send(&data[..]).unwrap();
        connection.send(Frame::binary(data.clone())).unwrap();
        connection.send_shared(&Frame::binary(data.clone())).unwrap();
        connection.send(Frame::binary(data.clone()).without_compression()).unwrap();
        connection.send("and this").unwrap();
        assert!(reader.read(&take_output(&mut connection, now)).is_empty());
        connection.send(next(&data, true)).unwrap();
        connection.send(&data[..]).unwrap();
        let read = reader.read(&take_output(&mut connection, now));
        let data = &data[..];
        let (long, text) = ([data, data].concat(), &b"and this"[..]);
        let want = [
            (true, &long[..]),
            (true, data),
            (true, data),
            (true, data),
            (false, data),
            (true, text),
            (true, data),
        ];
        let read: Vec<_> = read.iter().map(|read| (read.compressed, &read.data[..])).collect();
        assert_eq!(read, want);
    }
}

#[test]
fn short_messages_are_compressed_only_on_request() {
    for role in ROLES {
        let (mut connection, now) = open_by(role, config(Deflate::new().threshold(100)), FULL, FULL);
        let mut reader = Reader::new(FULL);
        let mut is_compressed = |frame: &Frame| {
            connection.send(frame).unwrap();
            let sent = reader.read(&take_output(&mut connection, now)).remove(0);
            assert_eq!(sent.data, frame.payload()[..]);
            connection.send_shared(frame).unwrap();
            let shared = reader.read(&take_output(&mut connection, now)).remove(0);
            assert_eq!((&shared.data, shared.compressed), (&sent.data, sent.compressed));
            // The same, set explicitly on the frame.
            match frame.opcode() {
                _ if *frame != Frame::binary(frame.payload().clone()) => {}
                _ => {
                    connection.send(&frame.payload()[..]).unwrap();
                    connection.send(frame.payload().to_vec()).unwrap();
                    for other in reader.read(&take_output(&mut connection, now)) {
                        assert_eq!((&other.data, other.compressed), (&sent.data, sent.compressed));
                    }
                }
            }
            sent.compressed
        };
        for len in [0, 1, 99, 100, 101, 5000] {
            let data = || vec![b'x'; len];
            assert_eq!(is_compressed(&Frame::binary(data())), len >= 100, "{len}");
            assert!(is_compressed(&Frame::binary(data()).with_compression()), "{len}");
            assert!(!is_compressed(&Frame::binary(data()).without_compression()), "{len}");
            let text = String::from_utf8(data()).unwrap();
            assert_eq!(is_compressed(&Frame::text(text.clone())), len >= 100, "{len}");
            assert!(!is_compressed(&Frame::text(text).with_compression().without_compression()), "{len}");
        }
    }
}

#[test]
fn the_first_fragment_decides_compression() {
    let without = |frame: Frame| frame.without_compression();
    let (mut server, now) = open_by(Role::Server, config(Deflate::new()), FULL, FULL);
    let mut reader = Reader::new(FULL);
    for (frames, compressed) in [
        ([first(b"a"), next(b"b", false), next(b"c", true)], true),
        ([without(first(b"a")), next(b"b", false), next(b"c", true)], false),
        ([without(first(b"a")), next(b"b", false).with_compression(), next(b"c", true)], false),
        ([first(b"a"), without(next(b"b", false)), without(next(b"c", true))], true),
    ] {
        for frame in &frames {
            server.send(frame).unwrap();
        }
        let read = reader.read(&take_output(&mut server, now));
        assert_eq!((read[0].compressed, &read[0].data[..]), (compressed, &b"abc"[..]));
    }
}

#[test]
fn a_window_of_8_bits_disables_compression() {
    let data = vec![0; 1000];
    let (mut client, now) = open_by(CLIENT, config(deflate()), direction(true, 8), FULL);
    client.send(&data[..]).unwrap();
    client.send_shared(&Frame::binary(data.clone())).unwrap();
    client.send(Frame::binary(data.clone()).with_compression()).unwrap();
    client.send(first(&data)).unwrap();
    client.send(next(b"", true)).unwrap();
    let read = Reader::new(FULL).read(&take_output(&mut client, now));
    assert_eq!(read.len(), 4);
    assert!(read.iter().all(|read| !read.compressed && read.data == data), "{read:?}");
    assert_eq!(messages(&feed(&mut client, now, b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00")), [b"Hello"]);
}

#[test]
fn out_of_range_terms_are_harmless() {
    for bits in (0..=7).chain([16, 17, 31, 32, 63, 64, 128, 255]) {
        let (mut server, now) =
            open_by(Role::Server, config(deflate()), direction(true, bits), direction(true, bits));
        server.send(&[0; 500][..]).unwrap();
        assert_eq!(Reader::new(FULL).data(&take_output(&mut server, now)), [[0; 500]]);
        let hello = compressed(Role::Server, TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
        assert_eq!(messages(&feed(&mut server, now, &hello)), [b"Hello"]);
    }
}

#[test]
fn a_rejected_fragment_changes_nothing() {
    for role in ROLES {
        let (mut connection, now) = open_full(role);
        let mut reader = Reader::new(FULL);
        let text = |fin, part: &[u8]| Frame::raw(Opcode::Text, fin, part.to_vec()).unwrap();
        let rejected = [first(b"x"), text(false, b"x"), next(&[0xff], true), next(b"", true)];
        assert_eq!(connection.send(next(b"x", true)), Err(SendError::FragmentOrder));
        connection.send(text(false, &"水".as_bytes()[..2])).unwrap();
        rejected.iter().for_each(|frame| assert!(connection.send(frame).is_err(), "{frame:?}"));
        connection.send(next(&"水".as_bytes()[2..], true)).unwrap();
        connection.send("水").unwrap();
        assert_eq!(reader.data(&take_output(&mut connection, now)), ["水".as_bytes(), "水".as_bytes()]);
    }
}

#[test]
fn agreed_terms_work_in_reads_of_any_size() {
    let settings = |bits: u8, takeover: bool| {
        deflate()
            .window_bits(bits.max(9))
            .peer_window_bits(bits)
            .context_takeover(takeover)
            .peer_context_takeover(!takeover)
    };
    for bits in 8..=15 {
        for takeover in [true, false] {
            let server = Config::server().deflate(settings(15, takeover));
            let mut pair = Pair::open_with(Config::client().deflate(settings(bits, takeover)), server);
            let agreed = pair.client.connection.compression();
            assert_eq!(agreed.is_some(), bits > 8, "a server cannot compress with a window of 8 bits");
            let mirrored = agreed.map(|terms| Terms { ours: terms.theirs, theirs: terms.ours });
            assert_eq!(pair.server.connection.compression(), mirrored);
            for chunk in [1, 2, 7, 100, 4096] {
                pair.chunk = chunk;
                let mut want = Vec::new();
                for n in 0..6 {
                    let data = [noise(n % 2, 200), noise(n, 100 * n as usize), noise(n % 3, 300)].concat();
                    for end in [&mut pair.client, &mut pair.server] {
                        end.connection.send(&data[..]).unwrap();
                        end.connection.send("short, in between").unwrap();
                        end.connection.send(first(&data)).unwrap();
                        end.connection.send(next(&data, true)).unwrap();
                    }
                    pair.drive();
                    want.extend([data.clone(), b"short, in between".to_vec(), [&data[..], &data].concat()]);
                }
                for end in [&mut pair.client, &mut pair.server] {
                    assert!(messages(&end.events) == want, "{bits} {takeover} {chunk}");
                    end.events.clear();
                }
            }
        }
    }
}
