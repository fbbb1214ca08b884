//! Two honest ends near each protective rule: neither is cut off, and nothing is lost. After each, the peer that the
//! rule cuts off.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::cell::Cell;
use std::time::Duration;
use ws_kit::frames::*;
use ws_kit::pair::Pair;
use ws_kit::pipes::{App, World};
use ws_proto::{
    CloseCode, Closed, Config, Connection, Error, Event, Frame, Heartbeat, Moment, Opcode, ProtocolError,
    Role, State, Timeout,
};

const SECOND: Duration = Duration::from_secs(1);
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Counts the bytes and the messages that it receives.
#[derive(Default)]
struct Tally {
    bytes: Cell<usize>,
    messages: Cell<usize>,
}

impl Tally {
    fn app(&self) -> App<'_> {
        Box::new(|_, _, event| {
            if let Event::Message(message) = event {
                self.bytes.set(self.bytes.get() + message.as_bytes().len());
                self.messages.set(self.messages.get() + 1);
            }
        })
    }
}

fn idle<'a>() -> App<'a> {
    Box::new(|_, _, _| {})
}

fn ended(world: &World<'_>) -> bool {
    world.client.closed.is_some() && world.server.closed.is_some()
}

// --- close_timeout, and output_timeout while output is pending

/// A server sends so many bytes and closes; the client reads at this rate. Returns the bytes that arrived, and the
/// server's report.
fn close_behind(bytes: usize, rate: u64) -> (usize, Option<Closed>, Closed) {
    let tally = Tally::default();
    let mut world = World::open(Config::client(), Config::server(), [tally.app(), idle()]);
    world.client.rate = Some(rate);
    for _ in 0..bytes / (100 * KIB) {
        world.server.connection.send(vec![7; 100 * KIB]).unwrap();
    }
    world.server.connection.close(world.now, CloseCode::NORMAL, "bye").unwrap();
    assert!(world.run_until(3600 * SECOND, |world| world.server.closed.is_some()));
    world.run_until(3600 * SECOND, |world| world.client.closed.is_some());
    let (client, server) = (world.client.closed.take(), world.server.closed.take().unwrap());
    drop(world);
    (tally.bytes.get(), client, server)
}

#[test]
fn a_slow_reader_receives_everything_before_the_close() {
    // The pipe takes 64 KiB; a reader that takes them within the close timeout also answers in time.
    for (bytes, rate, is_clean) in [(8 * MIB, 500_000, true), (MIB, 50_000, true), (200 * KIB, 1_100, false)]
    {
        let (received, client, server) = close_behind(bytes, rate);
        assert_eq!(received, bytes / (100 * KIB) * (100 * KIB), "at {rate} bytes a second");
        let client = client.unwrap();
        assert_eq!((client.code, &*client.reason), (CloseCode::NORMAL, "bye"));
        assert!(client.clean && server.clean == is_clean, "{client}; {server}");
        assert_eq!(server.sent, Some(CloseCode::NORMAL));
    }
}

#[test]
fn a_closing_reader_below_the_minimum_rate_is_cut_off() {
    let (received, _, server) = close_behind(200 * KIB, 900);
    assert!(received < 200 * KIB);
    assert!(matches!(server.error, Some(Error::Timeout(Timeout::Close))), "{server}");
    assert_eq!(server.sent, None, "our Close was never written");
    // The pipe took 64 KiB in the first period.
    assert_eq!(server.age.as_secs(), 60);
}

#[test]
fn a_reader_whose_kernel_shows_progress_in_steps_receives_everything_before_the_close() {
    for rate in [8_000, 10_000] {
        // From the fourth on, the kernel is full when the close begins, at various times before its next step.
        for seconds_before_the_close in [0, 1, 10, 40, 45, 50, 55] {
            let tally = Tally::default();
            let mut world = World::open(Config::client(), Config::server(), [tally.app(), idle()]);
            (world.client.rate, world.client.capacity, world.client.step) = (Some(rate), 400_000, 200_000);
            for _ in 0..20 {
                world.server.connection.send(vec![7; 100 * KIB]).unwrap();
            }
            world.run_until(SECOND * seconds_before_the_close, |_| false);
            world.server.connection.close(world.now, CloseCode::NORMAL, "bye").unwrap();
            assert!(world.run_until(3600 * SECOND, |world| world.client.closed.is_some()));
            let client = world.client.closed.take().unwrap();
            let server = world.server.closed.take().unwrap();
            assert!(client.clean && client.reason == "bye", "{rate} bytes a second: {client}");
            assert_eq!(server.sent, Some(CloseCode::NORMAL), "{server}");
            drop(world);
            assert_eq!(tally.bytes.get(), 20 * 100 * KIB);
        }
    }
}

/// A server that has sent more than the socket takes.
fn stalled(config: Config) -> (Connection, Moment) {
    let (mut server, now) = open(Role::Server, config.heartbeat(Heartbeat::off()));
    server.send(vec![0; MIB]).unwrap();
    server.handle_written(now, 1000);
    (server, now)
}

/// Asserts that the closing server ends at this time and no earlier, because the peer takes too little.
fn assert_cut_off_at(server: &mut Connection, at: Moment) {
    let before = at - Duration::from_millis(1);
    server.handle_timeout(before);
    assert_eq!(server.state(), State::Closing, "before {at:?}: {server:?}");
    server.handle_timeout(at);
    assert_eq!((server.state(), server.poll_timeout()), (State::Closed, None));
    let Some(Event::Closed(closed)) = poll(server, at).pop() else { panic!("no end") };
    assert!(matches!(closed.error, Some(Error::Timeout(Timeout::Close))), "{closed}");
    assert_eq!(closed.sent, None);
}

#[test]
fn a_closing_peer_that_takes_nothing_keeps_its_output_timeout_and_at_least_the_close_timeout() {
    // Before the close, it took the last byte this many seconds ago.
    for (silent, rest) in [(0, 30), (10, 20), (24, 6), (25, 5), (29, 5)] {
        let (mut server, now) = stalled(Config::server());
        let at = now + silent * SECOND;
        server.close(at, CloseCode::NORMAL, "").unwrap();
        server.handle_written(at, 0);
        assert_cut_off_at(&mut server, at + rest * SECOND);
    }
    for (close, output, rest) in [(5, 5, 5), (5, 3, 5), (60, 30, 60), (0, 30, 30), (5, 0, 5)] {
        let config = Config::server().close_timeout(close * SECOND).output_timeout(output * SECOND);
        let (mut server, now) = stalled(config);
        server.close(now, CloseCode::NORMAL, "").unwrap();
        assert_cut_off_at(&mut server, now + rest * SECOND);
    }
}

#[test]
fn a_closing_peer_that_stops_reading_is_cut_off_one_timeout_after_the_last_byte_it_took() {
    let (mut server, now) = stalled(Config::server());
    server.close(now, CloseCode::NORMAL, "").unwrap();
    server.handle_written(now + 7 * SECOND, 200_000);
    server.handle_timeout(now + 30 * SECOND);
    assert_cut_off_at(&mut server, now + 37 * SECOND);
}

#[test]
fn a_closing_peer_must_take_the_minimum_rate_over_the_output_timeout() {
    for (rate, enough) in [(1024, 30 * 1024), (0, 1), (1, 30)] {
        for taken in [enough, enough - 1] {
            let (mut server, now) = stalled(Config::server().min_output_rate(rate));
            server.close(now, CloseCode::NORMAL, "").unwrap();
            for round in 1..10 {
                let at = now + round * 30 * SECOND;
                server.handle_written(at - SECOND, if round < 9 { enough } else { taken });
                server.handle_timeout(at);
                let is_closing = taken == enough || round < 9;
                assert_eq!(server.state() == State::Closing, is_closing, "{rate}: round {round}");
            }
        }
    }
}

#[test]
fn a_closing_peer_inside_a_frame_must_still_take_pending_output() {
    for (taken, state) in [(30 * KIB, State::Closing), (30 * KIB - 1, State::Closed)] {
        let (mut server, now) = stalled(Config::server());
        server.close(now, CloseCode::NORMAL, "").unwrap();
        feed(&mut server, now, &header(true, FIN | BINARY, MIB as u64));
        server.handle_written(now + SECOND, taken);
        feed(&mut server, now + SECOND, &[0; 100 * KIB]);
        server.handle_timeout(now + 30 * SECOND);
        assert_eq!(server.state(), state, "it has taken {taken} bytes");
    }
}

#[test]
fn a_close_lasts_no_longer_than_its_output_and_one_frame_at_the_minimum_rate() {
    // The slowest peer: it takes MIB bytes at 1 KiB a second, and then sends as much.
    let (mut server, now) = stalled(Config::server());
    server.close(now, CloseCode::NORMAL, "").unwrap();
    let (mut at, step) = (now, |bytes: usize| SECOND * (bytes / KIB) as u32);
    let frame = frame(true, FIN | BINARY, &vec![0; MIB]);
    while server.queued() > 0 {
        at += step(30 * KIB);
        let taken = server.queued().min(30 * KIB);
        server.handle_written(at, taken);
        // Frames sent meanwhile do not extend the deadline.
        feed(&mut server, at, &frame);
        server.handle_timeout(at);
        assert_eq!(server.state(), State::Closing);
    }
    assert!(at - now <= step(MIB + 30 * KIB + KIB), "{:?}", at - now);
    let begin = at;
    feed(&mut server, at, &frame[..20]);
    let mut rest = frame[20..].chunks(5 * KIB);
    while server.state() == State::Closing {
        at += 5 * SECOND;
        feed(&mut server, at, rest.next().unwrap_or_default());
        server.handle_timeout(at);
    }
    assert!(rest.next().is_none() && at - begin <= step(MIB) + 10 * SECOND, "{:?}", at - begin);
}

#[test]
fn the_answer_to_a_close_has_the_close_timeout_once_the_close_is_written() {
    let (mut server, now) = stalled(Config::server());
    server.close(now, CloseCode::NORMAL, "").unwrap();
    let written = now + 29 * SECOND;
    take_output(&mut server, written);
    assert_eq!(server.poll_timeout(), Some(written + 5 * SECOND));
    server.handle_timeout(written + 5 * SECOND);
    let Some(Event::Closed(closed)) = poll(&mut server, written).pop() else { panic!("no end") };
    assert_eq!(closed.sent, Some(CloseCode::NORMAL));
}

#[test]
fn a_peer_inside_a_long_frame_can_finish_it_and_answer_the_close() {
    let tally = Tally::default();
    let mut world = World::open(Config::client(), Config::server(), [idle(), tally.app()]);
    world.server.rate = Some(500_000);
    world.client.connection.send(vec![1; 8 * MIB]).unwrap();
    world.run_until(2 * SECOND, |_| false);
    world.server.connection.close(world.now, CloseCode::GOING_AWAY, "").unwrap();
    assert!(world.run_until(60 * SECOND, ended));
    for closed in [&world.client.closed, &world.server.closed] {
        assert!(closed.as_ref().is_some_and(|closed| closed.clean), "{closed:?}");
    }
    drop(world);
    assert_eq!(tally.bytes.get(), 8 * MIB);
}

#[test]
fn a_peer_that_goes_on_with_other_frames_after_our_close_is_cut_off() {
    // It is inside a frame at each check, never in the same one.
    let (mut server, mut now) = open(Role::Server, Config::server());
    server.close(now, CloseCode::NORMAL, "").unwrap();
    take_output(&mut server, now);
    let begin = now;
    let message = frame(true, FIN | BINARY, &[0; 6000]);
    let mut events = feed(&mut server, now, &message[..10]);
    while server.poll_timeout().is_some() {
        assert!(now - begin <= 10 * SECOND, "{server:?}");
        now += SECOND;
        server.handle_timeout(now);
        events = poll(&mut server, now);
        events.extend(feed(&mut server, now, &[&message[10..], &message[..10]].concat()));
    }
    let Some(Event::Closed(closed)) = events.pop() else { panic!("no end") };
    assert!(matches!(closed.error, Some(Error::Timeout(Timeout::Close))), "{closed}");
}

#[test]
fn a_peer_that_trickles_a_frame_after_our_close_is_cut_off() {
    let (mut server, now) = open(Role::Server, Config::server());
    server.close(now, CloseCode::NORMAL, "").unwrap();
    take_output(&mut server, now);
    feed(&mut server, now, &header(true, FIN | BINARY, MIB as u64));
    feed(&mut server, now + 4 * SECOND, &[0; 4 * KIB]);
    server.handle_timeout(now + 5 * SECOND);
    let Some(Event::Closed(closed)) = poll(&mut server, now + 5 * SECOND).pop() else { panic!("no end") };
    assert!(matches!(closed.error, Some(Error::Timeout(Timeout::Close))), "{closed}");
}

// --- frame_rate

#[test]
fn pings_that_waited_while_we_did_not_read_are_not_a_flood() {
    let mut pair = Pair::open();
    pair.server.connection.pause();
    for _ in 0..20 * 60 {
        pair.client.connection.send_ping(pair.now, b"x").unwrap();
        pair.advance(SECOND / 60);
    }
    pair.server.connection.resume(pair.now);
    pair.advance(SECOND);
    assert!(!pair.server.is_closed() && !pair.client.is_closed());
}

#[test]
fn empty_fragments_that_the_network_held_back_are_not_a_flood() {
    let mut pair = Pair::open();
    pair.cut = true;
    pair.client.connection.send(Frame::raw(Opcode::Text, false, "a").unwrap()).unwrap();
    for _ in 0..15 * 100 {
        pair.client.connection.send(Frame::raw(Opcode::Continuation, false, "").unwrap()).unwrap();
        pair.advance(SECOND / 100);
    }
    pair.cut = false;
    pair.advance(SECOND);
    assert!(!pair.server.is_closed() && !pair.client.is_closed());
}

/// Feeds Pings at this age; returns how many the server accepts before it reports a flood.
fn flood(seconds: u32) -> usize {
    let (mut server, now) = open(Role::Server, Config::server().heartbeat(Heartbeat::off()));
    let now = now + SECOND * seconds;
    let ping = frame(true, FIN | PING, b"");
    let mut count = 0;
    while server.state() == State::Open {
        feed(&mut server, now, &ping);
        take_output(&mut server, now);
        count += 1;
    }
    let Some(Event::Closed(closed)) = end(&mut server, now).pop() else { panic!("no end") };
    assert!(matches!(closed.error, Some(Error::Protocol(ProtocolError::Flood { .. }))), "{closed}");
    count - 1
}

#[test]
fn the_allowance_of_frames_grows_with_the_time_up_to_a_minute() {
    for (seconds, allowed) in
        [(0, 1_000), (1, 2_000), (20, 21_000), (59, 60_000), (60, 60_000), (3600, 60_000)]
    {
        assert_eq!(flood(seconds), allowed, "after {seconds} s");
    }
}

/// A connection of this age with this limit, and frames of one kind that carry nothing.
fn at_age(seconds: u32, limit: u32, first: u8) -> (Connection, impl FnMut(&mut Connection, u32)) {
    let (mut server, birth) =
        open(Role::Server, Config::server().heartbeat(Heartbeat::off()).frame_rate(Some(limit)));
    let now = birth + SECOND * seconds;
    feed(&mut server, now, &frame(true, TEXT, b"a message, unfinished"));
    let once = frame(true, first, b"");
    let send = move |server: &mut Connection, count: u32| {
        for part in 0..=count / 1000 {
            feed(server, now, &once.repeat(1000.min(count - part * 1000) as usize));
        }
    };
    (server, send)
}

#[test]
fn the_limit_holds_in_a_second_and_with_a_minute_of_allowance_for_every_rate() {
    for first in [FIN | PONG, CONTINUATION] {
        for limit in [0, 1, 1_000, 1_092, 1_093, 10_000, 65_534] {
            for (age, seconds) in [(0, 1), (3600, 60)] {
                let (mut server, mut send) = at_age(age, limit, first);
                send(&mut server, limit * seconds);
                assert_eq!(server.state(), State::Open, "{limit} a second for {seconds} s are allowed");
                send(&mut server, 1);
                assert_eq!(server.state(), State::Closing, "{limit} a second for {seconds} s are all");
            }
        }
        for limit in [65_535, 65_536, u32::MAX] {
            let (mut server, mut send) = at_age(0, limit, first);
            send(&mut server, 200_000);
            assert_eq!(server.state(), State::Open, "{limit} is no limit");
        }
    }
}

#[test]
fn seconds_that_a_burst_has_used_are_not_saved() {
    for limit in [1, 1_000, 1_093, 65_534] {
        let (mut server, birth) = open(Role::Server, Config::server().frame_rate(Some(limit)));
        let pongs = |count: u32| frame(true, FIN | PONG, b"").repeat(count as usize);
        // Of three seconds it uses two and a frame: all three.
        feed(&mut server, birth + 2 * SECOND, &pongs(2 * limit));
        feed(&mut server, birth + 2 * SECOND, &pongs(1));
        let later = birth + 4 * SECOND;
        feed(&mut server, later, &pongs(2 * limit));
        assert_eq!(server.state(), State::Open, "{limit} a second, for the fourth and the fifth");
        feed(&mut server, later, &pongs(1));
        assert_eq!(server.state(), State::Closing, "{limit} a second");
    }
}

#[test]
fn pings_use_no_allowance_of_empty_fragments() {
    let (mut server, mut pongs) = at_age(59, 1_000, FIN | PONG);
    let (_, mut fragments) = at_age(59, 1_000, CONTINUATION);
    pongs(&mut server, 60_000);
    fragments(&mut server, 60_000);
    assert_eq!(server.state(), State::Open);
    fragments(&mut server, 1);
    assert_eq!(server.state(), State::Closing);
}

#[test]
fn frames_over_the_rate_fail_once_the_allowance_is_used() {
    let (mut server, now) = open(Role::Server, Config::server().heartbeat(Heartbeat::off()));
    let pings = frame(true, FIN | PING, b"").repeat(1_500);
    feed(&mut server, now + SECOND, &pings);
    assert_eq!(server.state(), State::Open, "the first two seconds allow 2,000");
    feed(&mut server, now + SECOND * 2, &pings);
    assert_eq!(server.state(), State::Closing, "the third allows 1,000, whatever part of a second was left");
}

// --- reading held back, and the peer's heartbeat

#[test]
fn a_peer_with_a_heartbeat_survives_while_we_do_not_read() {
    for idle in [Heartbeat::server(), Heartbeat::client(), Heartbeat::frequent()] {
        let client = Config::client().heartbeat(Heartbeat::frequent());
        let mut pair = Pair::open_with(client, Config::server().heartbeat(idle));
        pair.server.connection.pause();
        pair.advance(600 * SECOND);
        assert!(!pair.client.is_closed(), "{}", pair.client.closed());
        pair.server.connection.resume(pair.now);
        pair.advance(60 * SECOND);
        assert!(!pair.client.is_closed() && !pair.server.is_closed());
    }
}

#[test]
fn a_throttled_sender_with_a_heartbeat_loses_nothing() {
    let tally = Tally::default();
    let client = Config::client().heartbeat(Heartbeat::frequent());
    let mut world = World::open(client, Config::server().message_rate(Some(10)), [idle(), tally.app()]);
    for _ in 0..600 {
        world.client.connection.send("hello").unwrap();
    }
    world.run_until(120 * SECOND, |world| world.client.closed.is_some());
    assert!(world.client.closed.is_none() && world.server.closed.is_none(), "{:?}", world.client.closed);
    drop(world);
    assert_eq!(tally.messages.get(), 600);
}

#[test]
fn a_server_without_a_heartbeat_sends_none_while_it_does_not_read() {
    let (mut server, now) = open(Role::Server, Config::server().heartbeat(Heartbeat::off()));
    server.pause();
    assert_eq!(server.poll_timeout(), None);
    server.handle_timeout(now + 3600 * SECOND);
    assert!(take_output(&mut server, now).is_empty());
}

// --- drain_limit

/// A client sends one message, over the message limit of the server, at a megabyte a second. Returns the reports of
/// both ends.
fn send_too_much(len: usize, drain_limit: u64) -> [Closed; 2] {
    let config = Config::server().message_limit(MIB as u64).drain_limit(drain_limit);
    let mut world = World::open(Config::client(), config, [idle(), idle()]);
    world.server.rate = Some(1_000_000);
    world.client.connection.send(vec![7; len]).unwrap();
    let over = world.run_until(60 * SECOND, ended);
    assert!(
        over,
        "{len} {drain_limit} {:?} {:?} {:?}",
        world.client.closed, world.server.closed, world.client.connection
    );
    [world.client.closed.take().unwrap(), world.server.closed.take().unwrap()]
}

#[test]
fn a_client_with_megabytes_in_flight_receives_the_reason() {
    for (len, drain_limit) in
        [(MIB + 1, 16 << 20), (4 * MIB, 16 << 20), (12 * MIB, 16 << 20), (12 * MIB, 4 << 20)]
    {
        let [client, server] = send_too_much(len, drain_limit);
        assert_eq!(client.code, CloseCode::TOO_BIG, "{len} bytes: {client}");
        assert!(matches!(server.error, Some(Error::Protocol(_))), "{server}");
        assert_eq!(server.sent, Some(CloseCode::TOO_BIG));
    }
}

#[test]
fn everything_in_flight_arrives_when_the_other_end_closes() {
    // More than the drain limit: that applies after a failure, not to an orderly close.
    let tally = Tally::default();
    let config = Config::server().drain_limit(MIB as u64);
    let mut world = World::open(Config::client(), config, [idle(), tally.app()]);
    world.server.rate = Some(10_000_000);
    for _ in 0..15 {
        world.client.connection.send(vec![1; MIB]).unwrap();
    }
    world.run_until(SECOND / 10, |_| false);
    world.server.connection.close(world.now, CloseCode::GOING_AWAY, "").unwrap();
    assert!(world.run_until(60 * SECOND, ended));
    let clean = world.client.closed.as_ref().is_some_and(|closed| closed.clean);
    assert!(clean && world.server.closed.as_ref().is_some_and(|closed| closed.clean));
    drop(world);
    assert_eq!(tally.messages.get(), 15);
}

// --- pending Pongs

/// Pings arrive in one read. Returns the payloads of the Pongs.
fn pongs_to(pings: u16) -> Vec<u16> {
    let (mut server, now) = open(Role::Server, Config::server());
    let input: Vec<u8> = (0..pings).flat_map(|n| frame(true, FIN | PING, &n.to_be_bytes())).collect();
    feed(&mut server, now, &input);
    let output = parse(&take_output(&mut server, now));
    output.iter().map(|pong| u16::from_be_bytes([pong.payload[0], pong.payload[1]])).collect()
}

#[test]
fn a_peer_that_matches_each_pong_may_have_seventeen_pings_in_flight() {
    for pings in [1, 2, 16, 17] {
        assert_eq!(pongs_to(pings), (0..pings).collect::<Vec<_>>());
    }
}

#[test]
fn a_peer_that_waits_for_its_newest_ping_is_answered_whatever_the_number() {
    for pings in [18, 100, 999] {
        let pongs = pongs_to(pings);
        assert_eq!(pongs.last(), Some(&(pings - 1)));
        assert!(pongs.is_sorted() && pongs.len() == 17);
    }
}
