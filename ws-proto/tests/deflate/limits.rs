//! The size and cost limits of a compressed message: exact to the byte, in any form.

use super::bits::Stream;
use ws_kit::deflate::*;
use ws_kit::frames::*;

use std::sync::Arc;
use std::time::Duration;
use ws_proto::deflate::{Deflate, Terms};
use ws_proto::{
    Config, Connection, Delivery, Event, Frame, IoAction, Moment, Opcode, ProtocolError, Role, State,
};

const SECOND: Duration = Duration::from_secs(1);
const MEBI: usize = 1 << 20;

/// The outcome of a message with these frames: its data, or the delivered part of it, and the fault.
fn outcome(config: Config, frames: &[u8]) -> (Vec<u8>, bool, Option<ProtocolError>) {
    let (mut server, now) = open_by(Role::Server, config, FULL, FULL);
    let (mut data, mut is_whole) = (Vec::new(), false);
    for event in feed(&mut server, now, frames) {
        match event {
            Event::Message(message) => {
                is_whole = true;
                data.extend(message.as_bytes());
            }
            Event::Fragment(fragment) => {
                is_whole = fragment.last;
                data.extend(fragment.data.as_bytes());
            }
            other => panic!("{other:?}"),
        }
    }
    let fault = fault(&end(&mut server, now));
    (data, is_whole, fault)
}

/// A message in one frame, in several, and in one per byte.
fn framings(message: &[u8], flushed: &[Vec<u8>]) -> Vec<Vec<u8>> {
    vec![
        compressed(Role::Server, BINARY, message),
        in_frames(
            Role::Server,
            RSV1 | BINARY,
            &[b"", &message[..message.len() / 2], &message[message.len() / 2..]],
        ),
        in_frames(Role::Server, RSV1 | BINARY, &message.chunks(1).collect::<Vec<_>>()),
        in_frames(Role::Server, RSV1 | BINARY, flushed),
    ]
}

#[test]
fn a_message_at_the_limit_passes_and_a_byte_more_fails() {
    for limit in [0, 1, 2, 100, 8191, 8192, 8193, 16_384, 100_000] {
        for data in [noise(1, limit + 1), vec![0; limit + 1], [vec![0; limit], vec![1]].concat()] {
            for delivery in [Delivery::Whole, Delivery::Chunked { whole: 0 }] {
                let config = config(deflate()).message_limit(limit as u64).delivery(delivery);
                let zipped = |data: &[u8]| {
                    let flushed =
                        Zip::new(FULL).fragments(&[&data[..data.len() / 2], &data[data.len() / 2..]]);
                    framings(&Zip::new(FULL).message(data), &flushed)
                };
                for frames in zipped(&data[..limit]) {
                    let (delivered, is_whole, _) = outcome(config.clone(), &frames);
                    assert!(
                        is_whole && delivered == data[..limit],
                        "{limit}, {delivery:?}: {} were delivered",
                        delivered.len()
                    );
                }
                for frames in zipped(&data) {
                    let (delivered, is_whole, fault) = outcome(config.clone(), &frames);
                    let too_big = Some(ProtocolError::MessageTooBig { limit: limit as u64 });
                    assert_eq!((is_whole, fault), (false, too_big), "{limit}, {delivery:?}");
                    assert!(delivered == data[..delivered.len()], "{limit}, {delivery:?}");
                    // In chunks, everything within the limit is delivered first; nothing beyond it was even inflated.
                    let expected = if delivery == Delivery::Whole { 0 } else { limit };
                    assert_eq!(delivered.len(), expected, "{limit}, {delivery:?}");
                }
            }
        }
    }
}

#[test]
fn the_limit_applies_per_message_not_per_connection() {
    let data = noise(1, 1000);
    let (mut server, now) = open_by(Role::Server, config(deflate()).message_limit(1000), FULL, FULL);
    let mut zip = Zip::new(FULL);
    for _ in 0..5 {
        let parts = zip.fragments(&[&data[..400], &data[400..]]);
        let mut wire = in_frames(Role::Server, RSV1 | BINARY, &parts);
        wire.extend(frame(true, FIN | BINARY, &data));
        wire.extend(compressed(Role::Server, BINARY, &zip.message(&data)));
        assert_eq!(messages(&feed(&mut server, now, &wire)), [&data[..], &data, &data]);
    }
    assert!(feed(&mut server, now, &frame(true, FIN | BINARY, &[0; 1001])).is_empty());
    assert_eq!(close_code(&take_output(&mut server, now)), Some(1009));
}

#[test]
fn a_message_fails_as_soon_as_it_exceeds_the_limit() {
    let bomb = zeros(8);
    for first in [RSV1 | BINARY, FIN | RSV1 | BINARY] {
        let (mut server, now) =
            open_by(Role::Server, config(deflate()).message_limit(MEBI as u64), FULL, FULL);
        let bytes = frame(true, first, &bomb);
        // A million zeros compress to about a thousand bytes.
        let events = feed(&mut server, now, &bytes[..1500]);
        assert!(events.is_empty() && server.state() == State::Closing, "{events:?}");
        assert_eq!(close_code(&take_output(&mut server, now)), Some(1009));
    }
}

#[test]
fn a_header_that_declares_far_too_much_fails_on_its_own() {
    let begun = Stream::new().stored(false, b"begun").cut_here();
    for len in [1 << 20, 1 << 32, 1 << 62, u64::MAX >> 1] {
        let (mut server, now) = open_by(Role::Server, config(deflate()).message_limit(10_000), FULL, FULL);
        assert!(feed(&mut server, now, &header(true, FIN | RSV1 | BINARY, len)).is_empty());
        assert_eq!(close_code(&take_output(&mut server, now)), Some(1009), "{len}");
        // The frames of one message add up.
        let (mut server, now) = open_by(Role::Server, config(deflate()).message_limit(10_000), FULL, FULL);
        assert!(feed(&mut server, now, &frame(true, RSV1 | BINARY, &begun)).is_empty());
        assert!(feed(&mut server, now, &header(true, CONTINUATION, len)).is_empty());
        assert_eq!(close_code(&take_output(&mut server, now)), Some(1009), "{len}");
    }
}

#[test]
fn a_message_over_a_mebibyte_is_held_to_the_ratio() {
    let ask = |deflate: Deflate, message: &[u8]| {
        let wire = compressed(Role::Server, BINARY, message);
        let (delivered, is_whole, fault) = outcome(config(deflate), &wire);
        (is_whole.then_some(delivered.len()), fault)
    };
    let over = |limit| (None, Some(ProtocolError::CompressionRatio { limit }));
    let mebi = Zip::with_level(FULL, 9).message(&vec![0; MEBI]);
    let more = Zip::with_level(FULL, 9).message(&vec![0; MEBI + 1]);
    let limited = || deflate().ratio_limit(Some(200));
    assert_eq!(ask(limited(), &mebi), (Some(MEBI), None));
    assert_eq!(ask(limited(), &more), over(200));
    let zeros_of_8 = zeros(8);
    // Some parts of it are slightly above.
    let ratio = (8 * MEBI / zeros_of_8.len()) as u32;
    assert_eq!(ask(deflate().ratio_limit(Some(ratio + 20)), &zeros_of_8), (Some(8 * MEBI), None));
    assert_eq!(ask(deflate().ratio_limit(Some(ratio)), &zeros_of_8), over(ratio));
    assert_eq!(ask(deflate().ratio_limit(None), &zeros(16)), (Some(16 * MEBI), None));
    assert_eq!(ask(deflate().ratio_limit(Some(1032)), &zeros(16)), (Some(16 * MEBI), None));
    // A message with a low overall ratio passes, regardless of its size and the ratios of its parts.
    let half = [noise(1, 8 * MEBI), vec![0; 8 * MEBI]].concat();
    assert_eq!(ask(deflate().ratio_limit(Some(3)), &Zip::new(FULL).message(&half)), (Some(16 * MEBI), None));
    // In fragments, too, the whole message counts.
    let wire = in_frames(Role::Server, RSV1 | BINARY, &more.chunks(100).collect::<Vec<_>>());
    let (delivered, _, fault) = outcome(config(limited()), &wire);
    assert_eq!((delivered.len(), fault), (0, over(200).1));
}

#[test]
fn zeros_may_fill_the_message_limit_and_no_byte_more() {
    let limit = 16 * MEBI;
    for (len, want) in
        [(limit, None), (limit + 1, Some(ProtocolError::MessageTooBig { limit: limit as u64 }))]
    {
        let mut zip = Zip::with_level(FULL, 9);
        let zeros = vec![0; len];
        let message = zip.message(&zeros);
        assert!(message.len() * 1_000 < len, "{}", message.len());
        for role in ROLES {
            // With the defaults of both roles.
            let settings = if role == Role::Server { Config::server() } else { Config::client() };
            for delivery in [Delivery::Whole, Delivery::Chunked { whole: 0 }] {
                let settings = settings.clone().deflate(Deflate::new().inflate_rate(None)).delivery(delivery);
                let (mut end_of_it, now) = open_by(role, settings, FULL, FULL);
                let wire = compressed(role, BINARY, &message);
                let (mut delivered, mut is_whole) = (0, false);
                for event in feed(&mut end_of_it, now, &wire) {
                    match event {
                        Event::Message(message) => (delivered, is_whole) = (message.as_bytes().len(), true),
                        Event::Fragment(fragment) => {
                            (delivered, is_whole) =
                                (delivered + fragment.data.as_bytes().len(), fragment.last)
                        }
                        other => panic!("{other:?}"),
                    }
                }
                assert_eq!(is_whole, want.is_none());
                match want {
                    None => assert_eq!(delivered, limit),
                    Some(_) => assert_eq!(fault(&end(&mut end_of_it, now)), want),
                }
            }
        }
    }
}

#[test]
fn a_message_at_the_ratio_passes_and_a_byte_more_fails() {
    let zeros = |len: usize| Zip::with_level(FULL, 9).message(&vec![0; len]);
    // Slightly more than a mebibyte of zeros, a multiple of their compressed size.
    let about = zeros(MEBI + 4000).len();
    let (len, compressed_len) = (about - 4..about + 4)
        .flat_map(|compressed_len| {
            (1..8).map(move |k| ((MEBI / compressed_len + k) * compressed_len, compressed_len))
        })
        .find(|(len, compressed_len)| {
            zeros(*len).len() == *compressed_len && zeros(*len + 1).len() == *compressed_len
        })
        .unwrap();
    let ratio = (len / compressed_len) as u32;
    let ask = |message: &[u8]| {
        let wire = compressed(Role::Server, BINARY, message);
        let (delivered, _, fault) = outcome(config(deflate().ratio_limit(Some(ratio))), &wire);
        (delivered.len(), fault)
    };
    assert_eq!(ask(&zeros(len)), (len, None));
    assert_eq!(ask(&zeros(len + 1)), (0, Some(ProtocolError::CompressionRatio { limit: ratio })));
}

/// A server that may inflate a mebibyte a second, and messages to it.
struct Paced {
    server: Connection,
    birth: Moment,
}

impl Paced {
    fn new(rate: Option<u64>) -> Self {
        let deflate = deflate().inflate_rate(rate).ratio_limit(None);
        let config = config(deflate).heartbeat(ws_proto::Heartbeat::off());
        let (server, birth) = open_by(Role::Server, config, FULL, FULL);
        Self { server, birth }
    }

    /// The number of these messages it takes at a time.
    fn take(&mut self, at: Duration, input: &mut &mut [u8]) -> usize {
        std::iter::from_fn(|| {
            let event = self.server.handle_input(self.birth + at, input)?;
            assert!(matches!(event, Event::Message(_)), "{event:?}");
            Some(())
        })
        .count()
    }
}

#[test]
fn a_peer_over_the_inflate_rate_is_not_read_until_the_next_second() {
    let mut zip = Zip::new(FULL);
    let mut wire: Vec<u8> =
        (0..9).flat_map(|_| compressed(Role::Server, BINARY, &zip.message(&vec![0; 600 * 1024]))).collect();
    let mut paced = Paced::new(Some(MEBI as u64));
    let mut input = &mut wire[..];
    for second in 0..5 {
        let at = second * SECOND + Duration::from_millis(if second == 0 { 700 } else { 0 });
        assert_eq!(paced.take(at, &mut input), if second < 4 { 2 } else { 1 }, "in second {second}");
        if second < 4 {
            assert!(paced.server.is_paused() && paced.server.poll_io() == IoAction::Pause);
            let next_second = paced.birth + (second + 1) * SECOND;
            assert_eq!(paced.server.poll_timeout(), Some(next_second));
            paced.server.handle_timeout(paced.birth + at);
            assert!(paced.server.is_paused(), "an early timer changes nothing");
            paced.server.handle_timeout(next_second);
        }
        assert!(!paced.server.is_paused());
    }
    assert!(input.is_empty());
}

#[test]
fn each_second_has_the_same_rate_and_its_first_message_counts() {
    let mut zip = Zip::new(FULL);
    let mut wire: Vec<u8> =
        (0..8).flat_map(|_| compressed(Role::Server, BINARY, &zip.message(&vec![0; MEBI + 1]))).collect();
    let mut paced = Paced::new(Some(MEBI as u64));
    let mut input = &mut wire[..];
    for second in 0..8 {
        // Time alone ends the pause, with or without a timer.
        assert_eq!(paced.take(second * SECOND, &mut input), 1, "in second {second}");
        assert_eq!(paced.take(second * SECOND + SECOND / 2, &mut input), 0, "in second {second}");
    }
    assert!(input.is_empty());
}

#[test]
fn a_peer_below_the_inflate_rate_or_without_one_is_never_paused() {
    let message = |zip: &mut Zip, len| compressed(Role::Server, BINARY, &zip.message(&vec![0; len]));
    let (mut zip, mut paced) = (Zip::new(FULL), Paced::new(Some(MEBI as u64)));
    for second in 0..20 {
        for _ in 0..3 {
            assert_eq!(paced.take(second * SECOND, &mut &mut message(&mut zip, 300 * 1024)[..]), 1);
            assert!(!paced.server.is_paused());
        }
    }
    let (mut zip, mut paced) = (Zip::new(FULL), Paced::new(None));
    for _ in 0..5 {
        assert_eq!(paced.take(SECOND, &mut &mut message(&mut zip, 16 * MEBI)[..]), 1);
        assert!(!paced.server.is_paused());
    }
    // Uncompressed messages do not count.
    let mut paced = Paced::new(Some(1));
    let mut plain = frame(true, FIN | BINARY, &[0; 9000]).repeat(20);
    assert_eq!(paced.take(SECOND, &mut &mut plain[..]), 20);
}

#[test]
fn a_message_below_the_limit_passes_even_if_each_byte_of_it_is_a_fragment() {
    // Each fragment costs the sender a flush: compressed, the message is several times larger.
    let data = noise(1, 1000);
    let now = Moment::default();
    let mut client = Connection::upgraded(now, Arc::new(config(deflate())), CLIENT);
    client.compress_by(Terms { ours: FULL, theirs: FULL });
    for (n, byte) in data.chunks(1).enumerate() {
        let opcode = if n == 0 { Opcode::Binary } else { Opcode::Continuation };
        client.send(Frame::raw(opcode, n + 1 == data.len(), byte.to_vec()).unwrap()).unwrap();
    }
    let wire = take_output(&mut client, now);
    for delivery in [Delivery::Whole, Delivery::Chunked { whole: 0 }] {
        let config = config(deflate()).message_limit(1000).delivery(delivery);
        let (delivered, is_whole, fault) = outcome(config, &wire);
        assert_eq!((is_whole, fault), (true, None), "{delivery:?}, {} delivered", delivered.len());
        assert!(delivered == data);
    }
}

#[test]
fn consecutive_small_last_blocks_count_as_work() {
    // Each starts a new stream, with a 32 KiB window to refer to, for two bytes from the peer.
    let blocks = |n: usize| {
        let mut stream = Stream::new().stored(false, &noise(1, 32 * 1024)).cut_here();
        (0..n).for_each(|_| stream.extend(Stream::new().fixed(true, &[]).cut_here()));
        stream
    };
    let few = outcome(config(deflate()), &compressed(Role::Server, BINARY, &[blocks(30), vec![0]].concat()));
    assert_eq!((few.0.len(), few.1), (32 * 1024, true));
    // Enough output that the ratio would be low at the end.
    let rest = Stream::new().stored(false, &noise(2, 12 * MEBI)).message();
    let many = compressed(Role::Server, BINARY, &[blocks(50_000), rest].concat());
    for ratio in [Some(200), Some(1032), None] {
        let (_, is_whole, fault) = outcome(config(deflate().ratio_limit(ratio)), &many);
        assert!(
            !is_whole && matches!(fault, Some(ProtocolError::CompressionRatio { .. })),
            "{ratio:?}: {fault:?}"
        );
    }
}

#[test]
fn the_cost_of_last_blocks_counts_toward_the_rate() {
    let mut zip = Zip::new(FULL);
    let mut paced = Paced::new(Some(100_000));
    let last_blocks = Stream::new().fixed(true, &[]).fixed(true, &[]).fixed(true, &[]).message();
    let mut wire = compressed(Role::Server, BINARY, &zip.message(&noise(1, 40_000)));
    wire.extend(compressed(Role::Server, BINARY, &last_blocks).repeat(4));
    // Three windows: the first one exceeds it.
    assert_eq!(paced.take(SECOND, &mut &mut wire[..]), 2);
    assert!(paced.server.is_paused());
}

#[test]
fn the_rate_holds_within_a_message_too() {
    // Streams that start over, each copying the window: 32 MiB of work, and nothing to deliver.
    let mut message = Stream::new().stored(false, &noise(1, 32 * 1024)).cut_here();
    for _ in 0..1000 {
        let blocks = (0..36).fold(Stream::new(), |stream, _| stream.stored(false, b""));
        message.extend(blocks.fixed(true, &[]).cut_here());
    }
    message.push(0);
    for delivery in [Delivery::Whole, Delivery::Chunked { whole: 0 }] {
        let config = config(deflate().ratio_limit(None).inflate_rate(Some(MEBI as u64))).delivery(delivery);
        let (mut server, birth) = open_by(Role::Server, config, FULL, FULL);
        let mut wire = compressed(Role::Server, BINARY, &message);
        let (mut now, mut delivered, mut seconds) = (birth, 0, 0);
        for mut read in wire.chunks_mut(4096) {
            loop {
                while let Some(event) = server.handle_input(now, &mut read) {
                    match event {
                        Event::Message(message) => delivered += message.as_bytes().len(),
                        Event::Fragment(fragment) => delivered += fragment.data.as_bytes().len(),
                        other => panic!("{other:?}"),
                    }
                }
                if !server.is_paused() {
                    break;
                }
                now = server.poll_timeout().unwrap();
                server.handle_timeout(now);
                seconds += 1;
            }
            assert!(read.is_empty());
        }
        assert_eq!(delivered, 32 * 1024, "{delivery:?}");
        assert!((16..=32).contains(&seconds), "{delivery:?}: {seconds} seconds for 32 MiB");
    }
}
