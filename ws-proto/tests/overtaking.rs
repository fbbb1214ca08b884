//! Pings and Pongs overtake queued data; a Close does so only after a failure (RFC 6455 §5.4, §5.5).
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use bytes::{Buf, Bytes};
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;
use ws_kit::frames::*;
use ws_kit::pair::Pair;
use ws_kit::random::Xorshift;
use ws_proto::{
    ClientRequest, CloseCode, Config, Connection, Event, Fragment, Frame, Heartbeat, Moment, Opcode, Role,
    State,
};

/// One masks and one does not; payloads are copied or shared accordingly.
const ROLES: [Role; 2] = [Role::Server, CLIENT];

fn no_heartbeat() -> Config {
    Config::server().heartbeat(Heartbeat::off()).frame_rate(None)
}

/// Takes up to `n` bytes, from the chunk or through a vectored write.
fn take(connection: &mut Connection, now: Moment, n: usize, vectored: bool) -> Vec<u8> {
    if !vectored {
        return take_some(connection, now, n);
    }
    let mut taken = Vec::new();
    let mut slices = [IoSlice::new(&[]); 5];
    let outbox = connection.outbox();
    let filled = outbox.chunks_vectored(&mut slices);
    slices[..filled].iter().for_each(|slice| taken.extend_from_slice(slice));
    taken.truncate(n);
    connection.handle_written(now, taken.len());
    taken
}

/// The frames of an output, with their start and end offsets.
fn placed(output: &[u8]) -> Vec<(usize, usize, Written)> {
    let mut at = 0;
    let place = |frame: Written| {
        let header = match frame.payload.len() {
            0..=125 => 2,
            126..=0xffff => 4,
            _ => 10,
        } + if frame.key.is_some() { 4 } else { 0 };
        let begin = at;
        at += header + frame.payload.len();
        (begin, at, frame)
    };
    parse(output).into_iter().map(place).collect()
}

struct Random(Xorshift);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        (self.0.next() % n as u64) as usize
    }
}

#[derive(Default)]
struct Model {
    data: Vec<Vec<u8>>,
    /// Each control frame, and the number of bytes written when it was queued.
    controls: Vec<(u8, Vec<u8>, usize)>,
}

fn data_of(random: &mut Random, number: u32) -> Vec<u8> {
    let len = match random.below(5) {
        0 => random.below(10),
        1 => random.below(200),
        2 => 1000 + random.below(50),
        3 => 1025 + random.below(3000),
        _ => 65_000 + random.below(2000),
    };
    number.to_be_bytes().into_iter().chain((0..len).map(|k| k as u8)).collect()
}

/// Messages, fragments, Pings and Pongs, with writes cut anywhere.
fn random_run(role: Role, seed: u64) {
    let mut random = Random(Xorshift(seed * 2 + 1));
    let (mut connection, now) = open(role, no_heartbeat());
    let (mut model, mut output, mut open_message) = (Model::default(), Vec::new(), false);
    for number in 0..200_u32 {
        match random.below(8) {
            0 => {
                let payload = number.to_be_bytes();
                connection.send_ping(now, &payload).unwrap();
                model.controls.push((FIN | PING, payload.to_vec(), output.len()));
            }
            1 => {
                // Beyond sixteen only the newest is kept; stay below that.
                let payload = number.to_be_bytes();
                let waiting = model.controls.iter().filter(|control| control.0 == FIN | PONG).count();
                let written = placed_pongs(&output);
                if waiting - written < 16 {
                    assert!(feed(&mut connection, now, &frame_to(role, FIN | PING, &payload)).is_empty());
                    model.controls.push((FIN | PONG, payload.to_vec(), output.len()));
                }
            }
            2 | 3 => {
                let data = data_of(&mut random, number);
                let (first, fin) = (!open_message, random.below(2) == 0);
                let opcode = if first { Opcode::Binary } else { Opcode::Continuation };
                connection.send(Frame::raw(opcode, fin, data.clone()).unwrap()).unwrap();
                open_message = !fin;
                model.data.push(data);
            }
            4 if !open_message => {
                let data = data_of(&mut random, number);
                connection.send(&data[..]).unwrap();
                model.data.push(data);
            }
            _ => {
                let n = match random.below(4) {
                    0 => 1,
                    1 => 1 + random.below(20),
                    2 => 1 + random.below(3000),
                    _ => 1 + random.below(80_000),
                };
                let vectored = random.below(2) == 0;
                output.extend(take(&mut connection, now, n, vectored));
            }
        }
        let slices_len: usize = {
            let mut slices = [IoSlice::new(&[]); 512];
            let outbox = connection.outbox();
            let filled = outbox.chunks_vectored(&mut slices);
            slices[..filled].iter().map(|slice| slice.len()).sum()
        };
        assert_eq!(slices_len, connection.outbox().remaining());
    }
    output.extend(take_output(&mut connection, now));
    check(&model, &output);
}

fn placed_pongs(output: &[u8]) -> usize {
    // Whole frames only: the last one may be cut.
    let mut count = 0;
    let mut rest = output;
    while let Some(len) = whole_len(rest) {
        count += usize::from(rest[0] == FIN | PONG);
        rest = &rest[len..];
    }
    count
}

fn whole_len(bytes: &[u8]) -> Option<usize> {
    let second = *bytes.get(1)?;
    let key = if second & 0x80 != 0 { 4 } else { 0 };
    let (header, len) = match second & 0x7f {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()).into()),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap())),
        len => (2, u64::from(len)),
    };
    let all = header + key + len as usize;
    (bytes.len() >= all).then_some(all)
}

fn check(model: &Model, output: &[u8]) {
    let frames = placed(output);
    let is_control = |frame: &Written| frame.first & 8 != 0;
    let data: Vec<_> =
        frames.iter().filter(|frame| !is_control(&frame.2)).map(|frame| &frame.2.payload).collect();
    assert!(data.iter().copied().eq(&model.data), "data is whole and in order");
    let controls: Vec<_> = frames.iter().filter(|frame| is_control(&frame.2)).collect();
    assert_eq!(controls.len(), model.controls.len());
    for ((begin, _, frame), (first, payload, arrived)) in controls.into_iter().zip(&model.controls) {
        assert_eq!((frame.first, &frame.payload), (*first, payload), "controls are in order");
        let between =
            frames.iter().filter(|other| !is_control(&other.2) && other.1 > *arrived && other.0 < *begin);
        for (other, _, _) in between {
            assert!(other < arrived, "an unstarted frame precedes it");
        }
    }
}

#[test]
fn controls_overtake_data_under_writes_cut_anywhere() {
    for role in ROLES {
        for seed in 0..40 {
            random_run(role, seed);
        }
    }
}

#[test]
fn a_pong_waits_for_at_most_one_frame_of_sixteen_mebibytes() {
    for role in ROLES {
        let (mut connection, now) = open(role, no_heartbeat());
        for _ in 0..255 {
            connection.send(vec![0; 64 << 10]).unwrap();
        }
        let mut output = take(&mut connection, now, 100, false);
        feed(&mut connection, now, &frame_to(role, FIN | PING, b"?"));
        output.extend(take_output(&mut connection, now));
        let frames = parse(&output);
        assert_eq!((frames[1].first, &frames[1].payload[..], frames.len()), (FIN | PONG, &b"?"[..], 256));
    }
}

#[test]
fn of_many_pings_sixteen_and_the_newest_are_answered() {
    for role in ROLES {
        let (mut connection, now) = open(role, no_heartbeat());
        connection.send(vec![0; 3000]).unwrap();
        connection.handle_written(now, 1);
        for k in 0..100_u8 {
            feed(&mut connection, now, &frame_to(role, FIN | PING, &[k]));
        }
        let header = if role == Role::Server { 4 } else { 8 };
        let mut output = take(&mut connection, now, header - 1 + 3000, false);
        output.truncate(0);
        output.extend(take_output(&mut connection, now));
        let expected: Vec<u8> = (0..16).chain([99]).collect();
        let answered: Vec<u8> = parse(&output).iter().map(|frame| frame.payload[0]).collect();
        assert_eq!(answered, expected);
        feed(&mut connection, now, &frame_to(role, FIN | PING, b"x"));
        assert_eq!(parse(&take_output(&mut connection, now)).len(), 1, "and it continues");
    }
}

#[test]
fn every_application_pong_is_sent() {
    let (mut server, now) = open(Role::Server, no_heartbeat());
    server.handle_written(now, 0);
    for _ in 0..1000 {
        server.send(Frame::pong("").unwrap()).unwrap();
    }
    feed(&mut server, now, &frame(true, FIN | PING, b"?"));
    let frames = parse(&take_output(&mut server, now));
    assert_eq!(frames.len(), 1001);
    assert_eq!(&frames[1000].payload[..], b"?");
}

#[test]
fn a_pong_is_sent_even_if_the_outbox_never_drains() {
    let (mut server, now) = open(Role::Server, no_heartbeat());
    let mut output = Vec::new();
    for round in 0..200_u8 {
        while server.queued() < 512 << 10 {
            server.send(vec![0; 64 << 10]).unwrap();
        }
        feed(&mut server, now, &frame(true, FIN | PING, &[round]));
        output.extend(take(&mut server, now, 70_000, round % 2 == 0));
    }
    output.extend(take_output(&mut server, now));
    let pongs: Vec<u8> = parse(&output)
        .iter()
        .filter(|frame| frame.first == FIN | PONG)
        .map(|frame| frame.payload[0])
        .collect();
    assert!(pongs.into_iter().eq(0..200));
}

#[test]
fn nothing_overtakes_the_101() {
    for cut in 0..200 {
        let mut pair = Pair::new(Config::client(), no_heartbeat());
        pair.accept = false;
        pair.drive();
        let Some(Event::Upgrade(upgrade)) = pair.server.events.pop() else { panic!("no upgrade") };
        let (server, now) = (&mut pair.server.connection, pair.now);
        server.accept(now, upgrade).unwrap();
        let len = server.queued();
        server.send("first").unwrap();
        let mut output = take(server, now, cut, false);
        server.send_ping(now, b"?").unwrap();
        output.extend(take_output(server, now));
        assert!(output.starts_with(b"HTTP/1.1 101 ") && output[..len].ends_with(b"\r\n\r\n"), "cut at {cut}");
        let kinds: Vec<u8> = parse(&output[len..]).iter().map(|frame| frame.first & 15).collect();
        let overtakes = cut <= len;
        assert_eq!(kinds, if overtakes { [PING, TEXT] } else { [TEXT, PING] }, "cut at {cut}");
    }
}

#[test]
fn nothing_overtakes_the_request_of_a_client() {
    let mut answered = Pair::new(Config::client(), Config::server());
    let now = answered.now;
    let request = take_output(&mut answered.client.connection, now);
    feed_and_accept(&mut answered.server.connection, now, &request);
    let answer = take_output(&mut answered.server.connection, now);
    for cut in 0..=request.len() {
        let wanted = ClientRequest::new("ws://localhost/chat").unwrap();
        let mut client = Connection::client(now, Arc::new(no_heartbeat()), wanted, [1; 32]);
        let mut output = take(&mut client, now, cut, false);
        // A server that answers before it has read everything.
        assert!(matches!(feed(&mut client, now, &answer)[..], [Event::Open(_)]));
        client.send("first").unwrap();
        client.send_ping(now, b"?").unwrap();
        output.extend(take_output(&mut client, now));
        assert_eq!(output[..request.len()], request, "cut at {cut}");
        let kinds: Vec<u8> = parse(&output[request.len()..]).iter().map(|frame| frame.first & 15).collect();
        assert_eq!(kinds, [PING, TEXT]);
    }
}

fn feed_and_accept(server: &mut Connection, now: Moment, bytes: &[u8]) {
    for event in feed(server, now, bytes) {
        if let Event::Upgrade(upgrade) = event {
            server.accept(now, upgrade).unwrap();
        }
    }
}

#[test]
fn a_close_never_overtakes_data() {
    for role in ROLES {
        for by_peer in [false, true] {
            let (mut connection, now) = open(role, no_heartbeat());
            for _ in 0..5 {
                connection.send(vec![0; 2000]).unwrap();
            }
            let mut output = take(&mut connection, now, 100, false);
            if by_peer {
                feed(&mut connection, now, &frame_to(role, FIN | CLOSE, &[3, 232]));
            } else {
                connection.close(now, CloseCode::NORMAL, "").unwrap();
            }
            for _ in 0..10 {
                output.extend(take(&mut connection, now, 7, true));
                connection.handle_written(now, 0);
            }
            output.extend(take_output(&mut connection, now));
            assert_eq!(close_code(&output), Some(1000));
            assert_eq!(parse(&output).len(), 6);
        }
    }
}

/// A connection that owes two echoes, the first partly written, and whose peer broke the protocol.
fn failed(role: Role) -> (Connection, Moment, Vec<u8>) {
    let (mut connection, now) = open(role, no_heartbeat());
    connection.send(Frame::binary(Bytes::from(vec![1; 2000]))).unwrap();
    connection.send(Frame::binary(Bytes::from(vec![2; 2000]))).unwrap();
    let output = take(&mut connection, now, 100, false);
    feed(&mut connection, now, &frame_to(role, 0xf0 | TEXT, b"?"));
    assert_eq!(connection.state(), State::Closing);
    (connection, now, output)
}

#[test]
fn the_close_of_a_failed_connection_follows_accepted_output() {
    for role in ROLES {
        let (mut connection, now, mut output) = failed(role);
        output.extend(take_output(&mut connection, now));
        assert_eq!(parse(&output).len(), 3, "pending echoes are sent first");
        assert_eq!(close_code(&output), Some(1002));
    }
}

#[test]
fn the_close_of_a_failed_connection_overtakes_once_the_socket_stalls() {
    for role in ROLES {
        for cut in 0..2100 {
            let (mut connection, now, mut output) = failed(role);
            output.extend(take(&mut connection, now, cut, false));
            connection.handle_written(now, 0);
            let whole = connection.queued();
            output.extend(take_output(&mut connection, now));
            let frames = parse(&output);
            assert!((2..=3).contains(&frames.len()), "{} frames, cut at {cut}", frames.len());
            assert_eq!(close_code(&output), Some(1002));
            assert!(whole < 2100, "{whole} bytes remain, cut at {cut}");
        }
    }
}

#[test]
fn a_partly_written_close_is_written_once() {
    for role in ROLES {
        let (mut connection, now) = open(role, no_heartbeat());
        feed(&mut connection, now, &frame_to(role, 0xf0 | TEXT, b"?"));
        let mut output = Vec::new();
        while connection.outbox().has_remaining() {
            output.extend(take(&mut connection, now, 1, false));
            connection.handle_written(now, 0);
        }
        assert_eq!(close_code(&output), Some(1002));
        assert_eq!(parse(&output).len(), 1);
    }
}

#[test]
fn a_close_that_overtakes_stays_behind_control_frames_that_overtook() {
    for role in ROLES {
        let (mut connection, now) = open(role, no_heartbeat());
        connection.send(vec![1; 2000]).unwrap();
        connection.send(vec![2; 2000]).unwrap();
        let mut output = take(&mut connection, now, 100, false);
        connection.send_ping(now, b"?").unwrap();
        feed(&mut connection, now, &frame_to(role, 0xf0 | TEXT, b"?"));
        connection.handle_written(now, 0);
        output.extend(take_output(&mut connection, now));
        let kinds: Vec<u8> = parse(&output).iter().map(|frame| frame.first & 15).collect();
        assert_eq!(kinds, [BINARY, PING, CLOSE]);
    }
}

#[test]
fn control_frames_overtake_between_relayed_fragments() {
    let (mut server, now) = open(Role::Server, no_heartbeat());
    let fragment =
        |first, last| Fragment { data: ws_proto::Message::Binary(vec![0; 3000].into()), first, last };
    server.relay(fragment(true, false)).unwrap();
    server.relay(fragment(false, false)).unwrap();
    server.relay(fragment(false, true)).unwrap();
    server.handle_written(now + Duration::from_millis(1), 10);
    feed(&mut server, now, &frame(true, FIN | PING, b""));
    let mut output = vec![BINARY, 126, 11, 184];
    output.resize(10, 0);
    output.extend(take_output(&mut server, now));
    let kinds: Vec<u8> = parse(&output).iter().map(|frame| frame.first).collect();
    assert_eq!(kinds, [BINARY, FIN | PONG, CONTINUATION, FIN | CONTINUATION]);
}
