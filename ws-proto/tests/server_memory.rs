//! The memory that all connections of a server hold together.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use ws_host::server::ServerConfig;
use ws_kit::frames::*;
use ws_proto::{
    CloseCode, Closed, Config, Connection, Error, Event, Frame, Heartbeat, Initiator, Memory, Message,
    Moment, Opcode, Role, SendError, State,
};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Counted above 1000 bytes; sends above 2000 are rejected under memory pressure. The connections of this server do
/// not share memory.
fn plain() -> Config {
    Config::server().outbox(1000, 2000, 1 << 20).heartbeat(Heartbeat::off())
}

fn config(memory: &Memory) -> Config {
    plain().memory(memory.clone())
}

fn server_of(memory: &Memory) -> (Connection, Moment) {
    open(Role::Server, config(memory))
}

/// Queues `len` bytes, header included.
fn queue(server: &mut Connection, len: usize) {
    server.send(&vec![0; len - if len < 128 { 2 } else { 4 }][..]).unwrap();
}

fn closed_of(events: Vec<Event<'static>>) -> Closed {
    match events.into_iter().last() {
        Some(Event::Closed(closed)) => *closed,
        other => panic!("{other:?} is not the end"),
    }
}

fn is_idle(server: &Connection) -> bool {
    format!("{server:?}").contains("in_flight: None")
}

#[test]
fn a_connection_counts_above_its_low_mark() {
    for role in [Role::Server, CLIENT] {
        let memory = Memory::new(1 << 20);
        let (mut connection, now) = open(role, config(&memory));
        let header = if role == Role::Server { 4 } else { 8 };
        connection.send(&vec![0; 1000 - header][..]).unwrap();
        assert_eq!((connection.queued(), memory.held()), (1000, 0));
        connection.send_ping(now, b"").unwrap();
        assert_eq!(memory.held(), 0, "it may be written immediately");
        connection.handle_written(now, 0);
        assert_eq!(memory.held(), connection.queued());
        take_output(&mut connection, now);
        assert_eq!(memory.held(), 0);
        feed(&mut connection, now, b"");
    }
}

#[test]
fn reading_does_not_count_output_that_may_be_written_immediately() {
    let memory = Memory::new(1 << 20);
    let (mut server, now) = server_of(&memory);
    queue(&mut server, 1500);
    feed(&mut server, now, &frame(true, FIN | PONG, b"unsolicited."));
    assert_eq!(memory.held(), 0);
}

#[test]
fn the_low_mark_itself_does_not_count_and_a_byte_more_does() {
    for (len, held) in [(979, 0), (980, 1001)] {
        let memory = Memory::new(1 << 20);
        let (mut server, _) = server_of(&memory);
        server.send(Frame::raw(Opcode::Text, false, "begun").unwrap()).unwrap();
        server.send(Frame::binary(vec![0; len])).unwrap();
        assert_eq!(server.queued(), 21 + len);
        assert_eq!(memory.held(), held, "with {len} bytes queued");
    }
}

#[test]
fn drained_or_closed_connections_do_not_count() {
    let memory = Memory::new(1 << 20);
    let (mut server, now) = server_of(&memory);
    for round in 0..3 {
        for _ in 0..10 {
            queue(&mut server, 700);
            server.send(Frame::binary(vec![round; 3000])).unwrap();
        }
        assert_eq!(memory.held(), server.queued());
        take_output(&mut server, now);
        assert_eq!(memory.held(), 0);
        server.outbox().detach_buffer();
        assert!(is_idle(&server));
    }
    let ends: [fn(Connection, Moment); 4] = [
        |connection, _| drop(connection),
        |mut connection, now| connection.abort(now, Error::Stopped),
        |mut connection, now| connection.handle_eof(now),
        |mut connection, now| connection.write_failed(now, Error::Stopped),
    ];
    for end in ends {
        let (mut server, now) = server_of(&memory);
        server.send(Frame::binary(vec![0; 3000])).unwrap();
        queue(&mut server, 3000);
        feed(&mut server, now, &header(true, FIN | BINARY, 10_000));
        feed(&mut server, now, &[0; 5000]);
        assert!(memory.held() >= 11_000);
        end(server, now);
        assert_eq!(memory.held(), 0);
    }
}

#[test]
fn a_shared_payload_counts_once() {
    let memory = Memory::new(1 << 20);
    let frame = Frame::binary(vec![0; 50_000]);
    let mut servers: Vec<_> = (0..100).map(|_| server_of(&memory)).collect();
    for (server, _) in &mut servers {
        server.send(&frame).unwrap();
        server.send(&frame).unwrap();
    }
    let headers = 100 * 2 * 4;
    assert_eq!(memory.held(), 50_000 + headers);
    for (k, (server, now)) in servers.iter_mut().enumerate() {
        let left = if k == 99 { 0 } else { 50_000 + (99 - k) * 8 };
        take_output(server, *now);
        assert_eq!(memory.held(), left, "after {k}");
    }
}

#[test]
fn slices_of_a_payload_sent_whole_leave_no_count() {
    let whole = Bytes::from(vec![0; 50_000]);
    let parts = [whole.slice(..2000), whole.clone(), whole.slice(..30_000), whole.slice(10_000..)];
    for first in 0..4 {
        for last in 0..4 {
            let memory = Memory::new(1 << 20);
            let mut servers: Vec<_> = (0..4).map(|_| server_of(&memory)).collect();
            for k in 0..4 {
                let (server, _) = &mut servers[(first + k) % 4];
                server.send(Frame::binary(parts[(first + k) % 4].clone())).unwrap();
                assert!(memory.held() <= 100_000, "{} bytes", memory.held());
            }
            for k in 0..4 {
                let (server, now) = &mut servers[(last + k) % 4];
                take_output(server, *now);
                assert!(memory.held() <= 100_000, "{} bytes", memory.held());
            }
            assert_eq!(memory.held(), 0);
        }
    }
}

#[test]
fn an_unfinished_message_counts_until_it_is_delivered() {
    for cut in [1, 3000, 4999] {
        let memory = Memory::new(1 << 20);
        let (mut server, now) = server_of(&memory);
        let bytes = frame(true, BINARY, &[7; 5000]);
        assert!(feed(&mut server, now, &bytes).is_empty());
        assert!(memory.held() >= 5000, "{} bytes", memory.held());
        let end = frame(true, FIN | CONTINUATION, &[7; 5000]);
        assert!(feed(&mut server, now, &end[..cut]).is_empty());
        assert_eq!(feed(&mut server, now, &end[cut..]).len(), 1);
        assert_eq!(memory.held(), 0);
        assert!(is_idle(&server));
    }
}

#[test]
fn a_delivered_message_stops_counting_even_if_reading_stops_there() {
    let memory = Memory::new(1 << 20);
    let (mut server, now) = server_of(&memory);
    feed(&mut server, now, &frame(true, BINARY, &[7; 5000]));
    let mut end = frame(true, FIN | CONTINUATION, &[7; 5000]);
    assert!(server.handle_input(now, &mut &mut end[..]).is_some());
    assert_eq!(memory.held(), 0);
}

#[test]
fn input_left_with_the_caller_counts_until_it_is_consumed() {
    for memory in [Some(Memory::new(1 << 20)), None] {
        let held = |expected: usize| {
            if let Some(memory) = &memory {
                assert_eq!(memory.held(), expected);
            }
        };
        let config = memory.as_ref().map_or_else(plain, config);
        for (len, times) in [(100, 100), (10_000, 1)] {
            let (mut server, now) = open(Role::Server, config.clone());
            let mut bytes = frame(true, FIN | BINARY, &vec![7; len]).repeat(times);
            let all = bytes.len();
            let mut input = &mut bytes[..];
            server.pause();
            assert!(server.handle_input(now, &mut input).is_none());
            held(all);
            server.resume(now);
            let mut events = 0;
            while server.handle_input(now, &mut input).is_some() {
                events += 1;
            }
            assert_eq!(events, times);
            held(0);
            assert!(is_idle(&server), "{server:?}");
        }
    }
}

#[test]
fn messages_waiting_behind_an_unfinished_one_count() {
    let memory = Memory::new(1 << 20);
    let (mut server, now) = server_of(&memory);
    server.send(Frame::raw(Opcode::Text, false, "begun").unwrap()).unwrap();
    for _ in 0..10 {
        queue(&mut server, 1000);
    }
    assert!(memory.held() >= 10_000, "{}", memory.held());
    server.send(Frame::raw(Opcode::Continuation, true, "").unwrap()).unwrap();
    assert_eq!(memory.held(), server.queued());
    take_output(&mut server, now);
    assert_eq!(memory.held(), 0);
}

#[test]
fn memory_pressure_rejects_sends_above_the_high_mark() {
    let memory = Memory::new(10_000);
    let (mut one, now) = server_of(&memory);
    let (mut other, _) = server_of(&memory);
    queue(&mut one, 2001);
    queue(&mut other, 7999);
    assert_eq!(memory.held(), 10_000);
    queue(&mut one, 500);
    assert_eq!(one.send(&[0][..]), Err(SendError::Full));
    let (mut third, _) = server_of(&memory);
    queue(&mut third, 2000);
    queue(&mut third, 10);
    assert_eq!(third.send("x"), Err(SendError::Full), "above the high mark");
    take_output(&mut other, now);
    assert!(one.send(&[0][..]).is_ok());
    take_output(&mut one, now);
    assert!(matches!(poll(&mut one, now)[..], [Event::Drained]), "a rejected sender receives Drained");
}

#[test]
fn memory_pressure_pauses_unfinished_messages() {
    let memory = Memory::new(10_000);
    let (mut hoarder, _) = server_of(&memory);
    let (mut server, now) = server_of(&memory);
    let bytes = frame(true, FIN | BINARY, &[7; 500]);
    feed(&mut server, now, &bytes[..100]);
    queue(&mut hoarder, 10_001);
    let mut rest = bytes[100..].to_vec();
    let mut input = &mut rest[..];
    for round in 0..5 {
        let at = now + round * 100 * MILLISECOND;
        assert!(server.handle_input(at, &mut input).is_none());
        assert!(server.is_paused() && input.len() == bytes.len() - 100);
        assert_eq!(server.poll_timeout().map(|due| due - at), Some(100 * MILLISECOND), "round {round}");
        server.handle_timeout(at + 100 * MILLISECOND);
        assert!(!server.is_paused());
    }
    assert!(server.handle_input(now + SECOND / 2, &mut input).is_none());
    take_output(&mut hoarder, now);
    server.handle_timeout(now + SECOND);
    assert!(server.handle_input(now + SECOND, &mut input).is_some(), "reading continues");
    // Whole messages are always read.
    queue(&mut hoarder, 10_001);
    assert_eq!(feed(&mut server, now + SECOND, &frame(true, FIN | TEXT, b"whole")).len(), 1);
}

#[test]
fn memory_pressure_pauses_request_bodies() {
    let memory = Memory::new(10_000);
    let (mut hoarder, now) = server_of(&memory);
    let mut server = Connection::server(now, Arc::new(config(&memory)), Default::default());
    let head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n";
    feed(&mut server, now, &[&head[..], &[b'x'; 100]].concat());
    queue(&mut hoarder, 10_001);
    let mut rest = [b'x'; 400];
    let mut input = &mut rest[..];
    // Longer than the body timeout, which does not run.
    for round in 0..100 {
        let at = now + round * 100 * MILLISECOND;
        assert!(server.handle_input(at, &mut input).is_none());
        assert!(server.is_paused() && input.len() == 400);
        assert_eq!(server.poll_timeout().map(|due| due - at), Some(100 * MILLISECOND), "round {round}");
        server.handle_timeout(at + 100 * MILLISECOND);
        assert!(!server.is_paused());
    }
    take_output(&mut hoarder, now);
    let at = now + 10 * SECOND;
    assert!(matches!(server.handle_input(at, &mut input), Some(Event::Request(_))), "reading continues");
    // Requests without a body are always accepted.
    let mut other = Connection::server(now, Arc::new(config(&memory)), Default::default());
    queue(&mut hoarder, 10_001);
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert!(matches!(feed(&mut other, at, request)[..], [Event::Request(_)]));
}

/// A connection, the bytes it takes per 50 ms, and when and how it ended.
type Member = (Connection, usize, Option<(Duration, Closed)>);

/// Many connections, some of which take bytes every 50 ms.
struct Crowd {
    members: Vec<Member>,
    birth: Moment,
    now: Moment,
}

impl Crowd {
    fn new() -> Self {
        let now = Moment::default();
        Self { members: Vec::new(), birth: now, now }
    }

    /// Adds a connection that takes `takes` bytes per 50 ms.
    fn add(&mut self, memory: &Memory, takes: usize) -> &mut Connection {
        let server = Connection::upgraded(self.now, Arc::new(config(memory)), Role::Server);
        self.members.push((server, takes, None));
        &mut self.members.last_mut().unwrap().0
    }

    /// Each connection takes its bytes, and sends as many again.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += 50 * MILLISECOND;
            for (server, takes, closed) in &mut self.members {
                if server.state() == State::Open && *takes > 0 {
                    let n = server.queued().min(*takes);
                    server.handle_written(self.now, n);
                    let data = vec![0; n.saturating_sub(4)];
                    server.relay(Message::Binary(data.into())).unwrap();
                }
                if server.poll_timeout().is_some_and(|due| due <= self.now) {
                    server.handle_timeout(self.now);
                }
                if server.state() == State::Closing {
                    take_output(server, self.now);
                    server.handle_eof(self.now);
                }
                if let Some(Event::Closed(end)) = server.poll_event(self.now) {
                    *closed = Some((self.now - self.birth, *end));
                }
            }
        }
    }

    fn closed(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|k| self.members[*k].2.is_some()).collect()
    }
}

#[test]
fn after_a_second_the_least_active_are_closed_largest_first() {
    let memory = Memory::new(100_000);
    let mut crowd = Crowd::new();
    queue(crowd.add(&memory, 0), 40_000);
    queue(crowd.add(&memory, 0), 60_000);
    queue(crowd.add(&memory, 100), 9000);
    crowd.run(950 * MILLISECOND);
    assert!(crowd.closed().is_empty(), "it may recover");
    crowd.run(10 * SECOND);
    assert_eq!(crowd.closed(), [1]);
    let (age, closed) = crowd.members[1].2.as_ref().unwrap();
    assert!(*age <= 1500 * MILLISECOND, "after {age:?}");
    assert_eq!((closed.sent, closed.initiator), (Some(CloseCode::TRY_AGAIN_LATER), Initiator::Local));
    assert!(matches!(closed.error, Some(Error::Memory { held, limit: 100_000 }) if held > 100_000));
    let sentence = closed.to_string();
    assert!(sentence.contains("over the limit of 100000") && sentence.contains("memory_limit"), "{sentence}");
}

#[test]
fn without_any_time_to_close_the_least_active_are_still_offered_their_close() {
    let memory = Memory::new(100_000);
    let (mut server, now) = open(Role::Server, config(&memory).close_timeout(Duration::ZERO));
    queue(&mut server, 101_000);
    server.handle_written(now, 0);
    let mut at = now;
    while server.state() == State::Open {
        at = server.poll_timeout().unwrap();
        assert!(at <= now + 10 * SECOND, "it is over the limit");
        server.handle_timeout(at);
    }
    assert_eq!((server.state(), memory.held() < 101_000), (State::Closing, true));
    let output = take_output(&mut server, at);
    assert_eq!(close_code(&output[..]), Some(1013));
}

#[test]
fn slow_connections_relative_to_their_memory_are_closed_first() {
    let memory = Memory::new(70_000);
    let mut crowd = Crowd::new();
    queue(crowd.add(&memory, 1000), 10_000);
    queue(crowd.add(&memory, 10), 60_000);
    queue(crowd.add(&memory, 1000), 8000);
    crowd.run(10 * SECOND);
    assert_eq!(crowd.closed(), [1]);
}

#[test]
fn more_are_closed_until_memory_suffices() {
    let memory = Memory::new(220_000);
    let mut crowd = Crowd::new();
    for _ in 0..10 {
        queue(crowd.add(&memory, 0), 50_000);
    }
    queue(crowd.add(&memory, 1000), 5000);
    crowd.run(10 * SECOND);
    assert_eq!(crowd.closed().len(), 6, "{:?}", crowd.closed());
    assert!(!crowd.closed().contains(&10));
    assert!(memory.held() <= 220_000);
}

#[test]
fn a_new_connection_is_not_considered_inactive() {
    let memory = Memory::new(65_000);
    let mut crowd = Crowd::new();
    queue(crowd.add(&memory, 10), 60_000);
    crowd.run(3 * SECOND);
    // This exceeds the limit; when it is enforced, the newest connections have counted for less than a second.
    queue(crowd.add(&memory, 1000), 9000);
    crowd.run(500 * MILLISECOND);
    queue(crowd.add(&memory, 1000), 9000);
    for _ in 0..10 {
        crowd.run(100 * MILLISECOND);
    }
    crowd.run(5 * SECOND);
    assert_eq!(crowd.closed(), [0]);
}

#[test]
fn an_unfinished_message_under_memory_pressure_closes_with_1009() {
    let memory = Memory::new(20_000);
    let mut crowd = Crowd::new();
    let now = crowd.now;
    for (server, first) in [(0, 5000), (1, 30_000)] {
        let connection = crowd.add(&memory, 0);
        feed(connection, now, &frame(true, BINARY, &vec![7; first]));
        assert_eq!(connection.state(), State::Open, "{server}");
    }
    crowd.run(10 * SECOND);
    assert_eq!(crowd.closed(), [1]);
    let (_, closed) = crowd.members[1].2.as_ref().unwrap();
    assert_eq!(closed.sent, Some(CloseCode::TOO_BIG), "{closed}");
}

#[test]
fn the_close_under_memory_pressure_precedes_queued_output() {
    let memory = Memory::new(1000);
    let (mut server, now) = server_of(&memory);
    for _ in 0..10 {
        server.send(Frame::binary(vec![0; 5000])).unwrap_or(ws_proto::Sent::Queued);
    }
    server.handle_written(now, 10);
    for round in 0..=4 {
        assert_eq!(server.state(), State::Open);
        server.handle_timeout(now + round * 250 * MILLISECOND);
    }
    assert_eq!(server.state(), State::Closing);
    assert!(server.queued() < 5100, "{} bytes", server.queued());
    let mut output = vec![FIN | BINARY, 126, 19, 136, 0, 0, 0, 0, 0, 0];
    output.extend(take_output(&mut server, now + 3 * SECOND));
    assert_eq!(close_code(&output), Some(1013));
    assert_eq!(memory.held(), 0);
}

#[test]
fn nothing_is_closed_without_a_limit_or_below_the_low_marks() {
    let memory = Memory::new(usize::MAX);
    let mut crowd = Crowd::new();
    for _ in 0..10 {
        queue(crowd.add(&memory, 0), 1 << 16);
    }
    crowd.run(10 * SECOND);
    assert!(crowd.closed().is_empty());
    let memory = Memory::new(0);
    let mut crowd = Crowd::new();
    for _ in 0..10 {
        queue(crowd.add(&memory, 0), 1000);
    }
    crowd.run(10 * SECOND);
    assert!(crowd.closed().is_empty(), "none is above its low mark");
}

#[test]
fn a_zero_limit_closes_connections_that_hold_anything_for_long() {
    let memory = Memory::new(0);
    let mut crowd = Crowd::new();
    queue(crowd.add(&memory, 0), 2001);
    crowd.run(3 * SECOND);
    assert_eq!(crowd.closed(), [0]);
    assert_eq!(memory.held(), 0);
}

#[test]
fn answers_to_requests_count_too() {
    let memory = Memory::new(20_000);
    let now = Moment::default();
    let mut server = Connection::server(now, Arc::new(config(&memory)), Default::default());
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let Some(Event::Request(request)) = feed(&mut server, now, request).pop() else { panic!("no request") };
    server.respond(now, request, http::Response::new(Bytes::from(vec![0; 30_000]))).unwrap();
    assert!(memory.held() >= 30_000);
    server.handle_written(now, 10);
    for round in 0..10 {
        server.handle_timeout(now + round * 250 * MILLISECOND);
    }
    let closed = closed_of(poll(&mut server, now + 3 * SECOND));
    assert!(matches!(closed.error, Some(Error::Memory { .. })), "{closed}");
    assert_eq!((closed.initiator, closed.was_open), (Initiator::Local, false));
    assert_eq!(memory.held(), 0);
}

#[test]
fn connections_share_memory_within_a_server_and_not_across_servers() {
    let config = ServerConfig::new();
    let (one, other) = (config.connection_config(), config.connection_config());
    let memory = |config: &Config| config.get_memory().cloned().unwrap();
    assert_eq!((memory(&one).limit(), memory(&other).limit()), (1 << 30, 1 << 30));
    let (mut server, now) = open(Role::Server, one.clone());
    server.send(vec![0; 100_000]).unwrap();
    server.handle_written(now, 0);
    assert_eq!((memory(&one).held() > 0, memory(&other).held()), (true, 0));
}

#[test]
fn readers_that_free_enough_memory_within_a_second_stay() {
    for (takes, closed) in [(1100, 0), (500, 1)] {
        // Two readers hold 40,000 bytes in all. At 1,100 bytes in 50 ms each, a second suffices.
        let memory = Memory::new(10_000);
        let config = Arc::new(config(&memory));
        let mut now = Moment::default();
        let mut readers = [0; 2].map(|_| Connection::upgraded(now, config.clone(), Role::Server));
        for reader in &mut readers {
            queue(reader, 20_000);
        }
        for _ in 0..60 {
            now += 50 * MILLISECOND;
            for reader in &mut readers {
                if reader.poll_timeout().is_some_and(|due| due <= now) {
                    reader.handle_timeout(now);
                }
                take_some(reader, now, takes);
            }
        }
        let gone = readers.iter().filter(|reader| reader.state() != State::Open).count();
        assert_eq!(gone.min(1), closed, "at {takes} bytes in 50 ms");
    }
}

#[test]
fn uploads_held_back_by_others_output_are_not_closed_for_lack_of_progress() {
    let memory = Memory::new(100_000);
    let mut crowd = Crowd::new();
    let now = crowd.now;
    for _ in 0..2 {
        let upload = crowd.add(&memory, 0);
        feed(upload, now, &header(true, FIN | BINARY, 20_000));
        feed(upload, now, &[0; 10_000]);
    }
    queue(crowd.add(&memory, 0), 60_000);
    queue(crowd.add(&memory, 0), 60_000);
    crowd.run(10 * SECOND);
    assert!(crowd.closed().iter().all(|member| *member >= 2), "{:?}", crowd.closed());
}
