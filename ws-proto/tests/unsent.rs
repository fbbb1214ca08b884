//! Writing across an await: taking output leaves the connection free, and a cancelled write loses nothing and sends
//! nothing twice.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use bytes::{Buf, Bytes};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use ws_proto::{
    Config, Connection, Error, Event, Frame, IoAction, Message, Moment, Opcode, Role, SendError, State,
    Timeout, Transport, Unsent,
};

const NOW: Moment = Moment::from_nanos(0);

fn server() -> Connection {
    Connection::upgraded(NOW, Arc::new(Config::server()), Role::Server)
}

/// Writes up to `n` bytes of it.
fn write(unsent: &mut Unsent, n: usize) -> Vec<u8> {
    let n = n.min(unsent.remaining());
    unsent.copy_to_bytes(n).to_vec()
}

/// Writes all pending output.
fn flush(connection: &mut Connection) -> Vec<u8> {
    let mut sent = Vec::new();
    while let Some(mut unsent) = connection.unsent(NOW) {
        sent.extend(write(&mut unsent, usize::MAX));
    }
    assert_ne!(connection.poll_io(), IoAction::Write);
    sent
}

/// The messages that a peer reads in these bytes, and the number of Pings.
fn read(mut bytes: Vec<u8>) -> (Vec<Vec<u8>>, usize) {
    let role = Role::Client { seed: [7; 32] };
    let mut peer = Connection::upgraded(NOW, Arc::new(Config::client()), role);
    let (mut messages, mut input) = (Vec::new(), &mut bytes[..]);
    while let Some(event) = peer.handle_input(NOW, &mut input) {
        match event {
            Event::Message(message) => messages.push(message.as_bytes().to_vec()),
            other => panic!("{other:?}"),
        }
    }
    assert!(input.is_empty() && peer.poll_event(NOW).is_none());
    // Each Ping is answered with a frame of six bytes and its payload of one.
    (messages, peer.queued() / 7)
}

fn is_owned<T: Send + Sync + 'static>(_: &T) {}

#[test]
fn the_connection_is_free_while_its_output_is_written() {
    let mut connection = server();
    assert!(connection.unsent(NOW).is_none(), "nothing is pending");
    connection.send("one").unwrap();
    let mut unsent = connection.unsent(NOW).unwrap();
    is_owned(&unsent);
    connection.send("two").unwrap();
    assert!(connection.unsent(NOW).is_none(), "the first is not fully written");
    assert_eq!(write(&mut unsent, 9), b"\x81\x03one");
    let mut next = connection.unsent(NOW).unwrap();
    assert_eq!(connection.bytes_sent(), 5, "the first is accounted for");
    assert_eq!(write(&mut next, 9), b"\x81\x03two");
    next.restore(NOW, &mut connection);
    assert_eq!((connection.bytes_sent(), connection.queued(), connection.poll_io()), (10, 0, IoAction::Read));
    assert!(connection.unsent(NOW).is_none());
    drop(unsent);
}

#[test]
fn a_cancelled_write_loses_nothing_and_sends_nothing_twice() {
    for cut in 0..=16 {
        let mut connection = server();
        connection.send("first").unwrap();
        connection.send("second").unwrap();
        let mut sent = write(&mut connection.unsent(NOW).unwrap(), cut);
        assert_eq!(sent.len(), cut.min(15));
        connection.send("third").unwrap();
        sent.extend(flush(&mut connection));
        assert_eq!(sent, b"\x81\x05first\x81\x06second\x81\x05third", "cut at {cut}");
        assert_eq!(connection.bytes_sent(), 22);
    }
}

#[test]
fn large_payloads_are_not_copied() {
    let payload = Bytes::from(vec![b'x'; 1 << 20]);
    let mut connection = server();
    connection.send("small").unwrap();
    connection.send(payload.clone()).unwrap();
    let mut unsent = connection.unsent(NOW).unwrap();
    assert_eq!(unsent.remaining(), 7 + 10 + (1 << 20));
    let mut slices = [std::io::IoSlice::new(&[]); 4];
    assert_eq!(unsent.chunks_vectored(&mut slices), 2);
    assert_eq!(slices[1].as_ptr(), payload.as_ptr());
    unsent.advance(17);
    assert_eq!(unsent.chunk().as_ptr(), payload.as_ptr());
    unsent.restore(NOW, &mut connection);
    // Nor is the remainder when taken again.
    let mut unsent = connection.unsent(NOW).unwrap();
    unsent.advance(1000);
    drop(unsent);
    let unsent = connection.unsent(NOW).unwrap();
    assert_eq!((unsent.chunk().as_ptr(), unsent.remaining()), (payload[1000..].as_ptr(), (1 << 20) - 1000));
}

#[test]
fn a_ping_overtakes_only_output_not_yet_taken() {
    let mut connection = server();
    for _ in 0..100 {
        connection.send(vec![b'm'; 1000]).unwrap();
    }
    let mut unsent = connection.unsent(NOW).unwrap();
    let taken = unsent.remaining();
    assert!((64 << 10..66 << 10).contains(&taken), "{taken}");
    connection.send_ping(NOW, b"!").unwrap();
    let mut sent = write(&mut unsent, 10);
    drop(unsent);
    let rest = flush(&mut connection);
    sent.extend(&rest);
    let at = sent.windows(3).position(|three| three == b"\x89\x01!").unwrap();
    // At the end of the last frame that was taken.
    assert_eq!(at, taken.next_multiple_of(1004));
    let (messages, pings) = read(sent);
    assert_eq!((messages.len(), pings), (100, 1));

    // A Ping that is still queued is sent before everything else.
    connection.send("data").unwrap();
    connection.send_ping(NOW, b"!").unwrap();
    assert!(flush(&mut connection).starts_with(b"\x89\x01!\x81\x04data"));
}

#[test]
fn taking_output_starts_the_output_timeout() {
    let mut connection = server();
    connection.send("hello").unwrap();
    let unsent = connection.unsent(NOW).unwrap();
    let deadline = connection.poll_timeout().unwrap();
    assert_eq!(deadline, NOW + Duration::from_secs(30));
    connection.handle_timeout(deadline);
    let Some(Event::Closed(closed)) = connection.poll_event(deadline) else { panic!() };
    assert!(matches!(closed.error, Some(Error::Timeout(Timeout::Output))), "{closed:?}");
    drop(unsent);

    // If taken in time, only the heartbeat is due.
    let mut connection = server();
    let heartbeat = connection.poll_timeout();
    connection.send("hello").unwrap();
    let mut unsent = connection.unsent(NOW).unwrap();
    write(&mut unsent, usize::MAX);
    unsent.restore(NOW, &mut connection);
    connection.handle_timeout(deadline);
    assert_eq!((connection.poll_timeout(), connection.state()), (heartbeat, State::Open));
}

#[test]
fn output_that_outlives_the_connection_is_not_counted() {
    let mut connection = server();
    connection.send("hello").unwrap();
    let mut unsent = connection.unsent(NOW).unwrap();
    connection.abort(NOW, Error::Aborted);
    assert!(connection.unsent(NOW).is_none());
    assert_eq!(write(&mut unsent, 7).len(), 7);
    unsent.restore(NOW, &mut connection);
    assert_eq!((connection.bytes_sent(), connection.poll_io()), (0, IoAction::Drop));
    assert!(matches!(connection.send("late"), Err(SendError::NotOpen)));
}

#[test]
fn a_buffer_carries_no_count_to_another_connection() {
    let mut first = server();
    first.send("hello").unwrap();
    let mut stale = first.unsent(NOW).unwrap();
    first.handle_written(NOW, 7); // using both ways at once is a caller's error
    let mut second = server();
    second.outbox().attach_buffer(first.outbox().detach_buffer().unwrap());
    second.send("hello").unwrap();
    write(&mut stale, 7);
    let mut unsent = second.unsent(NOW).unwrap();
    assert_eq!((second.bytes_sent(), write(&mut unsent, 9)), (0, b"\x81\x05hello".to_vec()));
}

#[test]
fn http_is_written_across_an_await_too() {
    let config = Arc::new(Config::server());
    let mut connection = Connection::server(NOW, config, Transport::default());
    let mut input = *b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\nGET /b HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut input = &mut input[..];
    let mut sent = Vec::new();
    while let Some(Event::Request(request)) = connection.handle_input(NOW, &mut input) {
        let body = Bytes::from(request.path().repeat(50_000));
        connection.respond(NOW, request, http::Response::new(body)).unwrap();
        sent.extend(write(&mut connection.unsent(NOW).unwrap(), 100));
    }
    sent.extend(flush(&mut connection));
    let sent = String::from_utf8(sent).unwrap();
    let answers: Vec<_> = sent.split("HTTP/1.1 200 OK\r\n").skip(1).collect();
    assert_eq!(answers.len(), 2);
    for (answer, path) in answers.iter().zip(["/a", "/b"]) {
        assert_eq!(answer.split_once("\r\n\r\n").unwrap().1, path.repeat(50_000));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Message(usize),
    Shared(usize),
    Fragments(usize),
    Ping,
    Take,
    Write(usize),
    Drop,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3000usize).prop_map(Step::Message),
        2 => (1025..100_000usize).prop_map(Step::Shared),
        1 => (1..2000usize).prop_map(Step::Fragments),
        3 => Just(Step::Ping),
        6 => Just(Step::Take),
        4 => prop_oneof![0..20usize, 0..150_000usize].prop_map(Step::Write),
        2 => Just(Step::Drop),
    ];
    prop::collection::vec(step, 1..80)
}

/// What an application does, and what its peer must read.
struct App {
    connection: Connection,
    expected: Vec<Vec<u8>>,
    pings: usize,
}

impl App {
    fn new() -> Self {
        let config = Config::server().outbox(1 << 30, 1 << 30, 1 << 30);
        let connection = Connection::upgraded(NOW, Arc::new(config), Role::Server);
        Self { connection, expected: Vec::new(), pings: 0 }
    }

    /// Does what the step says, if it is the application's.
    fn act(&mut self, at: usize, step: &Step) {
        let fill = |len: usize| vec![at as u8; len];
        let Self { connection, expected, pings } = self;
        match *step {
            Step::Message(len) => {
                connection.send(&fill(len)[..]).unwrap();
                expected.push(fill(len));
            }
            Step::Shared(len) => {
                connection.send(Message::Binary(fill(len).into())).unwrap();
                expected.push(fill(len));
            }
            Step::Fragments(len) => {
                connection.send(Frame::raw(Opcode::Binary, false, fill(len)).unwrap()).unwrap();
                connection.send_ping(NOW, &[1]).unwrap();
                connection.send(Frame::raw(Opcode::Continuation, true, fill(len)).unwrap()).unwrap();
                *pings += 1;
                expected.push(fill(2 * len));
            }
            Step::Ping => {
                connection.send_ping(NOW, &[1]).unwrap();
                *pings += 1;
            }
            Step::Take | Step::Write(_) | Step::Drop => {}
        }
    }

    /// The peer reads each message once, in order, and all Pings.
    fn verify(&self, sent: Vec<u8>) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.connection.bytes_sent(), sent.len() as u64);
        let (messages, answered) = read_many(sent);
        prop_assert!(messages == self.expected, "{} messages of {}", messages.len(), self.expected.len());
        prop_assert_eq!(answered, self.pings);
        Ok(())
    }
}

/// A layer below, such as TLS: it has copies of what it has not written, of which the connection knows.
#[derive(Default)]
struct Layer {
    held: Vec<u8>,
    sent: Vec<u8>,
}

impl Layer {
    /// Takes copies of as much as `n` more bytes; what it holds must come first.
    fn take(&mut self, connection: &mut Connection, n: usize) {
        let mut slices = [std::io::IoSlice::new(&[]); 8];
        let count = connection.hand_on(&mut slices);
        let offered: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
        let len = self.held.len();
        assert_eq!(offered[..len], self.held, "it is first and unchanged");
        self.held.extend(offered[len..].iter().take(n));
    }

    /// Writes some of what it holds.
    fn write(&mut self, connection: &mut Connection, n: usize) {
        let n = n.min(self.held.len());
        self.sent.extend(self.held.drain(..n));
        connection.handle_written(NOW, n);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_peer_reads_each_message_once_despite_cancelled_writes(steps in steps()) {
        let (mut app, mut sent) = (App::new(), Vec::new());
        let mut held: VecDeque<Unsent> = VecDeque::new();
        for (at, step) in steps.into_iter().enumerate() {
            app.act(at, &step);
            match step {
                Step::Take => match app.connection.unsent(NOW) {
                    Some(unsent) => {
                        prop_assert!(held.is_empty());
                        held.push_back(unsent);
                    }
                    None => prop_assert!(!held.is_empty() || app.connection.queued() == 0),
                },
                Step::Write(n) => if let Some(mut unsent) = held.pop_front() {
                    sent.extend(write(&mut unsent, n));
                    if unsent.has_remaining() {
                        held.push_back(unsent);
                    }
                },
                Step::Drop => if let Some(unsent) = held.pop_front()
                    && at % 2 == 0 {
                        unsent.restore(NOW, &mut app.connection);
                    },
                _ => {}
            }
        }
        held.clear();
        sent.extend(flush(&mut app.connection));
        app.verify(sent)?;
    }

    #[test]
    fn what_is_handed_on_stays_first_and_unchanged_until_it_is_written(steps in steps()) {
        let (mut app, mut layer) = (App::new(), Layer::default());
        for (at, step) in steps.into_iter().enumerate() {
            app.act(at, &step);
            match step {
                Step::Take => layer.take(&mut app.connection, 1 + at * 97),
                Step::Drop => layer.take(&mut app.connection, usize::MAX),
                Step::Write(n) => layer.write(&mut app.connection, n),
                _ => {}
            }
            prop_assert!(app.connection.queued() >= layer.held.len());
        }
        while app.connection.queued() > 0 {
            layer.take(&mut app.connection, usize::MAX);
            layer.write(&mut app.connection, usize::MAX);
        }
        app.verify(layer.sent)?;
    }
}

#[test]
fn the_copy_of_what_is_handed_on_counts_as_memory_until_it_is_written() {
    let memory = ws_proto::Memory::new(1 << 30);
    let config = Config::server().memory(memory.clone());
    let mut connection = Connection::upgraded(NOW, Arc::new(config), Role::Server);
    connection.send(&[7; 1 << 20][..]).unwrap();
    let alone = memory.held();
    assert!(alone >= 1 << 20, "{alone}");
    let mut layer = Layer::default();
    layer.take(&mut connection, usize::MAX);
    connection.handle_written(NOW, 0);
    assert_eq!((layer.held.len(), memory.held()), (64 << 10, alone + (64 << 10)));
    layer.write(&mut connection, 10_000);
    assert_eq!(memory.held(), alone + (64 << 10) - 10_000);
    layer.write(&mut connection, usize::MAX);
    assert!(memory.held() <= alone, "{}", memory.held());
}

#[test]
fn a_failure_drops_nothing_that_was_handed_on() {
    let mut connection = server();
    for _ in 0..200 {
        connection.send(vec![b'm'; 1000]).unwrap();
    }
    let mut layer = Layer::default();
    layer.take(&mut connection, usize::MAX);
    connection.handle_written(NOW, 0);
    // The peer breaks the protocol: the Close overtakes what was not handed on.
    assert!(connection.handle_input(NOW, &mut &mut b"\xff\x80\0\0\0\0".to_vec()[..]).is_none());
    connection.handle_written(NOW, 0);
    while !connection.outbox().is_empty() {
        layer.take(&mut connection, usize::MAX);
        layer.write(&mut connection, usize::MAX);
    }
    let whole = (64usize << 10).div_ceil(1004);
    assert_eq!(layer.sent[whole * 1004..], *b"\x88\x12\x03\xeareserved bit set");
}

/// Like [`read`], but with a peer that answers any number of Pings.
fn read_many(mut bytes: Vec<u8>) -> (Vec<Vec<u8>>, usize) {
    let config = Config::client().frame_rate(None);
    let mut peer = Connection::upgraded(NOW, Arc::new(config), Role::Client { seed: [7; 32] });
    let (mut messages, mut pongs, mut input) = (Vec::new(), 0, &mut bytes[..]);
    while !input.is_empty() {
        // One frame at a time, so that each Pong is sent.
        let len = input.len().min(3);
        let (mut first, rest) = std::mem::take(&mut input).split_at_mut(len);
        input = rest;
        while let Some(event) = peer.handle_input(NOW, &mut first) {
            match event {
                Event::Message(message) => messages.push(message.as_bytes().to_vec()),
                other => panic!("{other:?}"),
            }
        }
        pongs += peer.queued() / 7;
        let len = peer.queued();
        peer.handle_written(NOW, len);
        assert!(peer.poll_event(NOW).is_none());
    }
    (messages, pongs)
}
