//! Frames: what RFC 6455 §5 allows and forbids.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::sync::Arc;
use ws_kit::frames::*;
use ws_proto::{CloseCode, Config, Connection, Error, Event, Message, Moment, ProtocolError, Role, State};

fn texts(events: &[Event<'_>]) -> Vec<String> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Message(Message::Text(text)) => Some(text.to_string()),
            _ => None,
        })
        .collect()
}

/// The protocol error that a failed connection reports at its end.
fn fault(connection: &mut Connection, now: Moment) -> Option<ProtocolError> {
    match end(connection, now).pop() {
        Some(Event::Closed(closed)) => match closed.error {
            Some(Error::Protocol(error)) => Some(error),
            _ => None,
        },
        other => panic!("{other:?} is not the end"),
    }
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    // §5.7, in order: unmasked frames come from a server.
    let (mut client, now) = open(CLIENT, Config::client());
    assert_eq!(texts(&feed(&mut client, now, b"\x81\x05Hello")), ["Hello"]);
    assert_eq!(texts(&feed(&mut client, now, b"\x01\x03Hel\x80\x02lo")), ["Hello"]);
    for len in [256, 65536] {
        let mut bytes = header(false, FIN | BINARY, len);
        bytes.resize(bytes.len() + len as usize, 7);
        let events = feed(&mut client, now, &bytes);
        assert!(matches!(&events[..], [Event::Message(Message::Binary(data))] if data.len() as u64 == len));
    }
    let (mut server, now) = open(Role::Server, Config::server());
    let hello = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(texts(&feed(&mut server, now, hello)), ["Hello"]);
    feed(&mut server, now, b"\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert_eq!(take_output(&mut server, now), b"\x8a\x05Hello", "a ping is answered with its own payload");
}

#[test]
fn the_examples_of_the_rfc_are_written() {
    let (mut server, now) = open(Role::Server, Config::server());
    server.send("Hello").unwrap();
    assert_eq!(take_output(&mut server, now), b"\x81\x05Hello");
    for (len, start) in
        [(256, &b"\x82\x7e\x01\x00"[..]), (65536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00")]
    {
        server.send(vec![7; len]).unwrap();
        assert!(take_output(&mut server, now).starts_with(start));
    }
}

/// The state in which the two bytes arrive.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    Nothing,
    /// Just opened; a server has not emitted `Open` yet.
    Handshake,
    /// After a whole message.
    Message,
    /// After the first fragment of a text, of a binary message; an empty one; one followed by a ping.
    Text,
    Binary,
    Empty,
    PingInside,
    /// After our Close, between messages and inside one from the peer.
    OurClose,
    OurCloseInside,
    /// After the peer's Close.
    PeersClose,
    /// After a protocol error of the peer.
    Fault,
    /// After the end.
    End,
}

use Before::*;

impl Before {
    const ALL: [Self; 12] = [
        Nothing,
        Handshake,
        Message,
        Text,
        Binary,
        Empty,
        PingInside,
        OurClose,
        OurCloseInside,
        PeersClose,
        Fault,
        End,
    ];

    /// Whether a message is in progress.
    fn is_inside(self) -> bool {
        matches!(self, Text | Binary | Empty | PingInside | OurCloseInside)
    }

    /// Whether frames are still read.
    fn is_read(self) -> bool {
        !matches!(self, PeersClose | Fault | End)
    }

    /// A connection in this state, and its output on the way there.
    fn reach(self, role: Role, config: &Arc<Config>, now: Moment) -> (Connection, Vec<u8>) {
        let mut connection = match self {
            Handshake => return after_the_handshake(role, config, now),
            _ => Connection::upgraded(now, config.clone(), role),
        };
        let mut bytes = match self {
            Nothing | Handshake | OurClose | End => Vec::new(),
            Message => frame_to(role, FIN | BINARY, b"whole"),
            Text => frame_to(role, TEXT, b"a"),
            Binary | OurCloseInside => frame_to(role, BINARY, b"a"),
            Empty => frame_to(role, TEXT, b""),
            PingInside => [frame_to(role, TEXT, b"a"), frame_to(role, FIN | PING, b"?")].concat(),
            PeersClose => frame_to(role, FIN | CLOSE, &1000u16.to_be_bytes()),
            Fault => frame_to(role, 0xf0, b""),
        };
        let mut input = &mut bytes[..];
        while connection.handle_input(now, &mut input).is_some() {}
        if matches!(self, OurClose | OurCloseInside) {
            connection.close(now, CloseCode::NORMAL, "").unwrap();
        }
        if self == End {
            connection.abort(now, Error::Aborted);
            while connection.poll_event(now).is_some() {}
        }
        let output = take_output(&mut connection, now);
        (connection, output)
    }
}

fn after_the_handshake(role: Role, config: &Arc<Config>, now: Moment) -> (Connection, Vec<u8>) {
    let request = ws_proto::ClientRequest::new("ws://localhost").unwrap();
    let (seed, mut server) = ([7; 32], Connection::server(now, config.clone(), Default::default()));
    let mut client = Connection::client(now, config.clone(), request, seed);
    let mut request = take_output(&mut client, now);
    let Some(Event::Upgrade(upgrade)) = server.handle_input(now, &mut &mut request[..]) else {
        panic!("no upgrade")
    };
    server.accept(now, upgrade).unwrap();
    if role == Role::Server {
        take_output(&mut server, now);
        return (server, Vec::new());
    }
    let mut answered = take_output(&mut server, now);
    let mut input = &mut answered[..];
    let Some(Event::Open(_)) = client.handle_input(now, &mut input) else { panic!("not open") };
    (client, Vec::new())
}

/// What §5 and §7 require of a frame that starts with these two bytes, written from the text, not from the code.
fn is_good(role: Role, before: Before, first: u8, second: u8) -> bool {
    let (fin, rsv, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
    let (masked, len) = (second & 0x80 != 0, second & 0x7f);
    let control = opcode >= 8;
    let defined = matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10);
    let in_order = control || (opcode == 0) == before.is_inside();
    let close_is_good = opcode != 8 || len == 0; // a payload of 'a's holds no valid code
    rsv == 0
        && defined
        && masked == (role == Role::Server)
        && (!control || fin && len <= 125)
        && in_order
        && close_is_good
}

/// A frame that starts with these two bytes: the rest of the header, with an all-zero masking key, and a short frame's
/// payload.
fn begun(masked: bool, first: u8, second: u8) -> Vec<u8> {
    let mut bytes = vec![first, second];
    let len = match second & 0x7f {
        126 => {
            bytes.extend(128u16.to_be_bytes());
            0
        }
        127 => {
            bytes.extend(65536u64.to_be_bytes());
            0
        }
        len => usize::from(len),
    };
    if masked {
        bytes.extend([0; 4]);
    }
    bytes.resize(bytes.len() + len, b'a');
    bytes
}

/// Gives all bytes in two reads, cut at `cut`.
fn give(connection: &mut Connection, now: Moment, bytes: &mut [u8], cut: usize) {
    let (first, second) = bytes.split_at_mut(cut);
    for mut input in [first, second] {
        while connection.handle_input(now, &mut input).is_some() {}
        assert!(input.is_empty());
    }
}

/// Every first two bytes in every state, uncut or cut after the first or the second.
fn give_all(role: Role, config: Config) {
    let (now, config) = (Moment::default(), Arc::new(config));
    for before in Before::ALL {
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                let (mut connection, mut output) = before.reach(role, &config, now);
                let mut frame = begun(role == Role::Server, first, second);
                give(&mut connection, now, &mut frame, usize::from(first ^ second) % 3);
                output.extend(take_output(&mut connection, now));
                check(role, before, first, second, connection.state(), &output);
            }
        }
    }
}

#[test]
fn every_first_two_bytes_to_a_server_in_every_state() {
    give_all(Role::Server, Config::server());
}

#[test]
fn every_first_two_bytes_to_a_client_in_every_state() {
    give_all(CLIENT, Config::client());
}

/// Compares the connection's state and the code of its Close with what the RFC requires.
fn check(role: Role, before: Before, first: u8, second: u8, state: State, output: &[u8]) {
    let name = || format!("{role:?} {before:?} {first:#04x} {second:#04x}");
    let failed = before.is_read() && !is_good(role, before, first, second);
    let ends = failed || first == (FIN | CLOSE);
    let expected = match before {
        End => (State::Closed, None),
        Fault => (State::Closing, Some(1002)),
        OurClose | OurCloseInside | PeersClose => (State::Closing, Some(1000)),
        _ if failed => (State::Closing, Some(1002)),
        _ if ends => (State::Closing, Some(1005)),
        _ => (State::Open, None),
    };
    assert_eq!((state, close_code(output)), expected, "{}", name());
}

#[test]
fn the_declared_length_alone_rejects_an_impossible_message() {
    let limit = 1 << 20;
    let lengths = [
        125,
        126,
        127,
        65535,
        65536,
        limit,
        limit + 1,
        (1 << 31) - 1,
        1 << 31,
        (1 << 31) + 1,
        (1 << 32) - 1,
        1 << 32,
        (1 << 32) + 1,
        1 << 53,
        (1 << 63) - 1,
        1 << 63,
        (1 << 63) + 1,
        u64::MAX - 4,
        u64::MAX - 3,
        u64::MAX - 2,
        u64::MAX - 1,
        u64::MAX,
    ];
    for len in lengths {
        let (mut server, now) = open(Role::Server, Config::server().message_limit(limit));
        feed(&mut server, now, &header(true, FIN | BINARY, len));
        let expected = match len {
            _ if len >= 1 << 63 => Some(1002),
            _ if len > limit => Some(1009),
            _ => None,
        };
        assert_eq!(close_code(&take_output(&mut server, now)), expected, "{len}");
    }
}

#[test]
fn a_length_in_a_longer_form_than_it_needs_fails() {
    for (form, lengths) in [(126u8, vec![0u64, 1, 125]), (127, vec![0, 125, 126, 65535])] {
        for len in lengths {
            let (mut server, now) = open(Role::Server, Config::server());
            let mut bytes = vec![FIN | BINARY, 0x80 | form];
            bytes.extend(&len.to_be_bytes()[if form == 126 { 6 } else { 0 }..]);
            bytes.extend([0; 4]);
            feed(&mut server, now, &bytes);
            assert_eq!(close_code(&take_output(&mut server, now)), Some(1002), "{form} {len}");
            assert_eq!(fault(&mut server, now), Some(ProtocolError::LengthNotMinimal));
        }
    }
}

#[test]
fn valid_frames_are_delivered_before_a_fault_is_reported() {
    let (mut server, now) = open(Role::Server, Config::server());
    let mut bytes = frame(true, FIN | TEXT, b"one");
    bytes.extend(frame(true, FIN | TEXT, b"two"));
    bytes.extend(frame(true, 0x83, b"bad"));
    bytes.extend(frame(true, FIN | TEXT, b"never"));
    assert_eq!(texts(&feed(&mut server, now, &bytes)), ["one", "two"]);
    assert_eq!(fault(&mut server, now), Some(ProtocolError::ReservedOpcode(3)));
}

#[test]
fn a_pending_echo_is_sent_before_the_close() {
    let (mut server, now) = open(Role::Server, Config::server());
    let mut bytes = frame(true, FIN | TEXT, b"one");
    bytes.extend(frame(true, 0xb1, b"bad"));
    let mut input = &mut bytes[..];
    while let Some(event) = server.handle_input(now, &mut input) {
        if let Event::Message(message) = event {
            server.send(message).unwrap();
        }
    }
    let written = parse(&take_output(&mut server, now));
    assert_eq!((written[0].first, &written[0].payload[..]), (FIN | TEXT, &b"one"[..]));
    assert_eq!(written[1].first, FIN | CLOSE);
}

#[test]
fn control_frames_between_fragments_are_valid() {
    let (mut server, now) = open(Role::Server, Config::server());
    let mut bytes = frame(true, TEXT, b"one ");
    bytes.extend(frame(true, FIN | PING, b"p"));
    bytes.extend(frame(true, CONTINUATION, b""));
    bytes.extend(frame(true, FIN | PONG, b"unsolicited"));
    bytes.extend(frame(true, FIN | CONTINUATION, b"two"));
    assert_eq!(texts(&feed(&mut server, now, &bytes)), ["one two"]);
    assert_eq!(parse(&take_output(&mut server, now)).len(), 1, "one pong, and no answer to a pong");
}

/// Pongs may arrive at any time, twice, and with any payload (§5.5.3).
#[test]
fn unsolicited_pongs_change_nothing() {
    let pong = |payload: &[u8]| frame(true, FIN | PONG, payload);
    let (mut server, now) = open(Role::Server, Config::server());
    assert!(feed(&mut server, now, &[pong(b""), pong(b"ping-1")].concat()).is_empty());
    server.send_ping(now, b"ping-1").unwrap();
    assert!(feed(&mut server, now, &[pong(b""), pong(b"ping-"), pong(b"ping-1 ")].concat()).is_empty());
    assert!(matches!(feed(&mut server, now, &pong(b"ping-1"))[..], [Event::Pong(_)]));
    assert!(feed(&mut server, now, &pong(b"ping-1").repeat(2)).is_empty(), "once");
    // Nor while closing.
    server.close(now, CloseCode::NORMAL, "").unwrap();
    assert!(feed(&mut server, now, &pong(b"ping-1").repeat(2)).is_empty());
    assert_eq!(server.state(), State::Closing);
    let written = parse(&take_output(&mut server, now));
    assert_eq!(written.iter().map(|frame| frame.first).collect::<Vec<_>>(), [FIN | PING, FIN | CLOSE]);
}

#[test]
fn of_many_pings_sixteen_and_the_newest_are_answered() {
    let (mut server, now) = open(Role::Server, Config::server());
    for n in 0..500u16 {
        feed(&mut server, now, &frame(true, FIN | PING, &n.to_be_bytes()));
        assert!(server.queued() <= 16 * 4, "{} bytes are queued", server.queued());
    }
    let pongs: Vec<u16> = parse(&take_output(&mut server, now))
        .iter()
        .map(|frame| u16::from_be_bytes([frame.payload[0], frame.payload[1]]))
        .collect();
    assert_eq!(pongs, (0..16).chain([499]).collect::<Vec<_>>());
}

#[test]
fn floods_of_empty_frames_fail_the_connection() {
    for first in [FIN | PING, FIN | PONG, CONTINUATION] {
        let (mut server, now) = open(Role::Server, Config::server().frame_rate(Some(10)));
        feed(&mut server, now, &frame(true, TEXT, b""));
        for _ in 0..10 {
            feed(&mut server, now, &frame(true, first, b""));
        }
        assert_eq!(server.state(), State::Open, "exactly the limit is allowed");
        let later = now + std::time::Duration::from_secs(1);
        for _ in 0..10 {
            feed(&mut server, later, &frame(true, first, b""));
        }
        assert_eq!(server.state(), State::Open, "a new second");
        feed(&mut server, later, &frame(true, first, b""));
        assert_eq!(close_code(&take_output(&mut server, later)), Some(1008), "{first:#x}");
        assert_eq!(fault(&mut server, later), Some(ProtocolError::Flood { limit: 10 }));
    }
}

#[test]
fn a_close_after_pings_at_the_rate_is_processed() {
    for rate in [0, 10] {
        for role in [Role::Server, CLIENT] {
            let (mut connection, now) = open(role, Config::server().frame_rate(Some(rate)));
            for _ in 0..rate {
                feed(&mut connection, now, &frame_to(role, FIN | PING, b""));
            }
            feed(&mut connection, now, &frame_to(role, FIN | CLOSE, &1000_u16.to_be_bytes()));
            assert_eq!(close_code(&take_output(&mut connection, now)), Some(1000), "{rate}");
            assert_eq!(fault(&mut connection, now), None);
        }
    }
}

#[test]
fn a_message_with_content_is_not_a_flood() {
    let (mut server, now) = open(Role::Server, Config::server().frame_rate(Some(10)));
    for _ in 0..1000 {
        assert_eq!(feed(&mut server, now, &frame(true, FIN | TEXT, b"x")).len(), 1);
    }
}

#[test]
fn a_client_masks_every_frame_with_a_new_key() {
    let (mut client, now) = open(CLIENT, Config::client());
    for n in 0..100 {
        client.send(format!("message {n}")).unwrap();
    }
    client.send(vec![5; 100_000]).unwrap();
    feed(&mut client, now, &frame(false, FIN | PING, b"p"));
    client.close(now, CloseCode::NORMAL, "bye").unwrap();
    let written = parse(&take_output(&mut client, now));
    let keys: std::collections::HashSet<_> = written.iter().map(|frame| frame.key.unwrap()).collect();
    assert_eq!((written.len(), keys.len()), (103, 103));
    assert_eq!(written[0].payload, b"p", "it overtakes");
    assert_eq!(written[100].payload, b"message 99");
    assert_eq!(written[101].payload, vec![5; 100_000]);
}
