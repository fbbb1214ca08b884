//! When and for how long reading waits for output: the edge cases. Whole pairs of ends are in `duplex.rs`.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::time::Duration;
use ws_kit::frames::*;
use ws_kit::pair::Pair;
use ws_proto::{CloseCode, Config, Connection, Event, Heartbeat, Moment, Role, SendError, State};

const HALF: usize = 8000;
const DELAY: Duration = Duration::from_millis(100);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Marks of 1000 and 4000, and a cap of 16,000: reading may be delayed from 8001 bytes on.
fn config() -> Config {
    Config::server().outbox(1000, 4000, 2 * HALF).heartbeat(Heartbeat::off())
}

/// Queues `len` bytes, header included.
fn queue(server: &mut Connection, len: usize) {
    let before = server.queued();
    server.send(vec![0; len - if len < 128 { 2 } else { 4 }]).unwrap();
    assert_eq!(server.queued(), before + len);
}

/// An open connection with `len` bytes queued outside any event.
fn with_queued(len: usize) -> (Connection, Moment) {
    let (mut server, now) = open(Role::Server, config());
    queue(&mut server, len);
    (server, now)
}

/// Gives two messages, and handles the first. Returns whether the second is delivered too.
fn is_next_delivered(server: &mut Connection, now: Moment, handle: impl FnOnce(&mut Connection)) -> bool {
    let mut bytes = [frame(true, FIN | TEXT, b"1"), frame(true, FIN | TEXT, b"2")].concat();
    let mut input = &mut bytes[..];
    assert!(matches!(server.handle_input(now, &mut input), Some(Event::Message(_))));
    handle(server);
    let is_delivered = server.handle_input(now, &mut input).is_some();
    assert_eq!(server.is_paused(), !is_delivered);
    assert_eq!(input.is_empty(), is_delivered, "undelivered input stays with the caller");
    is_delivered
}

/// An event whose handler queues 1000 bytes, which delays the next event.
fn delay(server: &mut Connection, now: Moment) {
    assert!(!is_next_delivered(server, now, |server| queue(server, 1000)));
}

#[test]
fn half_the_cap_delays_nothing_and_a_byte_more_does() {
    for len in [1, 1000, 4001, HALF, HALF + 1] {
        let (mut server, now) = open(Role::Server, config());
        let is_delivered = is_next_delivered(&mut server, now, |server| queue(server, len.max(2)));
        assert_eq!(is_delivered, len <= HALF, "{len} bytes");
    }
}

#[test]
fn output_added_below_half_the_cap_delays_nothing() {
    let (mut server, now) = open(Role::Server, config());
    assert!(!is_next_delivered(&mut server, now, |server| queue(server, HALF + 10)));
    server.handle_written(now, 9);
    assert!(server.is_paused());
    server.handle_written(now, 1);
    assert!(!server.is_paused());
}

#[test]
fn an_event_without_output_delays_nothing() {
    let (mut server, now) = open(Role::Server, Config::server());
    assert!(is_next_delivered(&mut server, now, |_| {}));
    feed(&mut server, now, b"");
    for _ in 0..12 {
        server.send(vec![0; 1 << 20]).unwrap();
    }
    for _ in 0..10 {
        assert!(is_next_delivered(&mut server, now, |_| {}));
    }
    feed(&mut server, now, b"");
    server.send(vec![0; 1 << 20]).unwrap();
    assert!(is_next_delivered(&mut server, now, |_| {}), "it was queued between two reads");
}

#[test]
fn an_event_with_output_delays_the_next_until_as_much_is_taken() {
    let (mut server, now) = with_queued(12_000);
    delay(&mut server, now);
    server.handle_written(now, 999);
    assert!(server.is_paused());
    server.handle_written(now, 0);
    assert!(server.is_paused());
    server.handle_written(now, 1);
    assert!(!server.is_paused(), "although 12,000 bytes are still queued");
    delay(&mut server, now);
}

#[test]
fn a_delay_ends_below_half_the_cap() {
    let (mut server, now) = with_queued(HALF + 100);
    delay(&mut server, now);
    server.send_ping(now, b"").unwrap();
    take_output(&mut server, now);
    assert!(!server.is_paused());
    assert!(is_next_delivered(&mut server, now, |_| {}));
}

#[test]
fn a_delay_lasts_100_ms_and_doubles_while_nothing_is_taken() {
    for by_receive in [false, true] {
        let (mut server, mut now) = with_queued(10_000);
        for round in 0..5 {
            // As little as possible, to stay below the cap.
            assert!(!is_next_delivered(&mut server, now, |server| queue(server, 2)));
            let due = now + DELAY * (1 << round);
            assert_eq!(server.poll_timeout(), Some(due), "round {round}");
            assert!(server.take_timeout_changed());
            server.handle_timeout(due - MILLISECOND);
            assert!(feed(&mut server, due - MILLISECOND, &frame(true, FIN | TEXT, b"x")).is_empty());
            assert!(server.is_paused(), "round {round}");
            if by_receive {
                assert_eq!(feed(&mut server, due, &frame(true, FIN | TEXT, b"x")).len(), 1);
            } else {
                server.handle_timeout(due);
            }
            assert!(!server.is_paused(), "round {round}");
            now = due;
        }
    }
}

#[test]
fn a_byte_taken_during_a_delay_resets_it() {
    let (mut server, mut now) = with_queued(10_000);
    for expected in [1, 2, 4, 1, 2, 4, 1] {
        delay_of(&mut server, &mut now, expected, if expected == 4 { 1 } else { 0 });
    }
}

#[test]
fn a_byte_taken_between_two_delays_resets_them() {
    let (mut server, mut now) = with_queued(10_000);
    for expected in [1, 2, 4] {
        delay_of(&mut server, &mut now, expected, 0);
    }
    server.handle_written(now, 1);
    delay_of(&mut server, &mut now, 1, 0);
}

/// A delay of `expected` times the shortest, during which the peer takes `taken` bytes.
fn delay_of(server: &mut Connection, now: &mut Moment, expected: u32, taken: usize) {
    assert!(!is_next_delivered(server, *now, |server| queue(server, 10)));
    server.handle_written(*now + MILLISECOND, taken);
    *now += DELAY * expected;
    server.handle_timeout(*now - MILLISECOND);
    assert!(server.is_paused(), "shorter than {expected} × 100 ms");
    server.handle_timeout(*now);
    assert!(!server.is_paused(), "longer than {expected} × 100 ms");
}

#[test]
fn draining_completely_ends_a_series_of_delays() {
    let (mut server, mut now) = with_queued(10_000);
    for expected in [1, 2, 4] {
        delay_of(&mut server, &mut now, expected, 0);
    }
    delay(&mut server, now);
    server.handle_written(now, 1000);
    delay_of(&mut server, &mut now, 1, 0);
}

#[test]
fn drained_counts_as_an_event() {
    let (mut server, now) = with_queued(5000);
    take_output(&mut server, now);
    assert!(matches!(server.poll_event(now), Some(Event::Drained)));
    queue(&mut server, HALF + 5);
    assert!(poll(&mut server, now).is_empty());
    assert!(server.is_paused());
    server.handle_written(now, 5);
    assert!(!server.is_paused());
}

#[test]
fn open_counts_as_an_event() {
    let mut pair = Pair::new(Config::client(), config());
    pair.accept = false;
    pair.drive();
    let Some(Event::Upgrade(upgrade)) = pair.server.events.pop() else { panic!("no upgrade") };
    let (server, now) = (&mut pair.server.connection, pair.now);
    server.accept(now, upgrade).unwrap();
    assert!(matches!(server.poll_event(now), Some(Event::Open(_))));
    queue(server, HALF + 5);
    assert!(poll(server, now).is_empty());
    assert!(server.is_paused());
    take_output(server, now);
    assert!(!server.is_paused());
}

#[test]
fn rejected_sends_add_nothing() {
    let (mut server, now) = with_queued(12_000);
    for _ in 0..3 {
        assert!(is_next_delivered(&mut server, now, |server| {
            assert_eq!(server.send(vec![0; 4000]), Err(SendError::Full));
        }));
    }
}

#[test]
fn a_low_mark_above_half_the_cap_changes_nothing() {
    for low in [HALF - 1, HALF, HALF + 1, 2 * HALF] {
        let config = config().outbox(low, 2 * HALF, 2 * HALF);
        let (mut server, now) = open(Role::Server, config);
        assert!(is_next_delivered(&mut server, now, |server| queue(server, HALF)), "{low}");
        assert!(!is_next_delivered(&mut server, now, |server| queue(server, 2)), "{low}");
        take_output(&mut server, now);
        assert!(is_next_delivered(&mut server, now, |_| {}), "{low}");
    }
}

#[test]
fn an_unlimited_cap_delays_nothing_and_a_zero_cap_delays_each_answer() {
    let config = config().outbox(usize::MAX, usize::MAX, usize::MAX);
    let (mut server, now) = open(Role::Server, config);
    for _ in 0..100 {
        assert!(is_next_delivered(&mut server, now, |server| queue(server, 60_000)));
    }
    let (mut server, now) = open(Role::Server, self::config().outbox(0, 0, 0));
    for _ in 0..100 {
        assert!(is_next_delivered(&mut server, now, |_| {}));
        assert!(!is_next_delivered(&mut server, now, |server| queue(server, 2000)));
        server.handle_written(now, 1999);
        assert!(server.is_paused());
        server.handle_written(now, 1);
        assert!(!server.is_paused());
    }
}

#[test]
fn closing_ends_a_delay() {
    let (mut server, now) = with_queued(12_000);
    delay(&mut server, now);
    server.close(now, CloseCode::NORMAL, "").unwrap();
    assert!(!server.is_paused());
    assert_eq!(feed(&mut server, now, &frame(true, FIN | TEXT, b"x")).len(), 1, "data before its Close");
    feed(&mut server, now, &frame(true, FIN | CLOSE, &[3, 232]));
    assert_eq!(server.state(), State::Closing);
    let [Event::Closed(closed)] = &end(&mut server, now)[..] else { panic!("no end") };
    assert!(closed.clean && !closed.reading_paused, "{closed}");
}

#[test]
fn a_client_delays_by_the_same_rule() {
    for len in [HALF, HALF + 1] {
        let (mut client, now) = open(CLIENT, config());
        let mut bytes = [frame(false, FIN | TEXT, b"1"), frame(false, FIN | TEXT, b"2")].concat();
        let mut input = &mut bytes[..];
        assert!(client.handle_input(now, &mut input).is_some());
        client.send(vec![0; len - 8]).unwrap();
        assert_eq!(client.handle_input(now, &mut input).is_some(), len == HALF);
    }
}

#[test]
fn a_connection_that_has_drained_holds_no_memory() {
    let (mut server, now) = with_queued(12_000);
    delay(&mut server, now);
    server.handle_timeout(now + DELAY);
    delay(&mut server, now + DELAY);
    take_output(&mut server, now + 2 * DELAY);
    feed(&mut server, now + 2 * DELAY, b"");
    server.outbox().detach_buffer().unwrap();
    assert!(!server.outbox().has_buffer());
    assert!(format!("{server:?}").contains("in_flight: None"), "{server:?}");
}
