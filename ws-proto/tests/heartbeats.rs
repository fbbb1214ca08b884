//! Heartbeats detect dead peers, and only those.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::time::Duration;
use ws_host::client::ClientConfig;
use ws_host::client::Reconnect;
use ws_kit::frames::*;
use ws_proto::{
    Config, Connection, Delivery, Error, Event, Heartbeat, HeartbeatKind, Memory, Role, State, Timeout,
};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

fn frequent() -> Config {
    Config::server().heartbeat(Heartbeat::frequent())
}

fn is_dead(events: &[Event<'_>]) -> bool {
    let [Event::Closed(closed)] = events else { return false };
    matches!(closed.error, Some(Error::Timeout(Timeout::Heartbeat)))
}

/// The number of frames with this first byte in the output.
fn count(output: &[u8], opcode: u8) -> usize {
    parse(output).iter().filter(|frame| frame.first == FIN | opcode).count()
}

#[test]
fn a_dead_peer_is_detected_despite_our_sends() {
    for every in [1, 24, 25, 26, 60] {
        for role in [Role::Server, CLIENT] {
            let (mut connection, birth) = open(role, frequent());
            // It sends for a while, then vanishes; the kernel keeps taking everything sent to it.
            let mut dead = None;
            for second in 1..24 * 3600 {
                let now = birth + second * SECOND;
                if second % every == 0 {
                    connection.send("tick").unwrap();
                }
                if second < 650 && second % 10 == 0 {
                    feed(&mut connection, now, &frame_to(role, FIN | TEXT, b"alive"));
                }
                take_output(&mut connection, now);
                connection.handle_timeout(now);
                let pings = count(&take_output(&mut connection, now), PING);
                if second < 650 && pings > 0 {
                    feed(&mut connection, now, &frame_to(role, FIN | PONG, b""));
                }
                if is_dead(&poll(&mut connection, now)) {
                    dead = Some(second);
                    break;
                }
            }
            let dead = dead.expect("it is found within 24 h");
            assert!((640 + 45..=640 + 46).contains(&dead), "every {every} s: after {dead} s");
        }
    }
}

#[test]
fn a_ping_is_due_an_interval_after_the_last_byte_received() {
    let (mut server, now) = open(Role::Server, frequent());
    feed(&mut server, now + 10 * SECOND, &[FIN | TEXT]);
    server.send("written").unwrap();
    take_output(&mut server, now + 20 * SECOND);
    server.handle_timeout(now + 25 * SECOND);
    assert_eq!(server.poll_timeout(), Some(now + 35 * SECOND));
    server.handle_timeout(now + 35 * SECOND - MILLISECOND);
    assert_eq!(server.queued(), 0);
    server.handle_timeout(now + 35 * SECOND);
    assert_eq!(count(&take_output(&mut server, now + 35 * SECOND), PING), 1);
}

#[test]
fn a_peer_that_sends_continuously_is_pinged_after_four_intervals() {
    let (mut server, birth) = open(Role::Server, frequent());
    let mut pings = Vec::new();
    for second in 1..=1000 {
        let now = birth + second * SECOND;
        feed(&mut server, now, &frame(true, FIN | TEXT, b"x"));
        server.handle_timeout(now);
        if count(&take_output(&mut server, now), PING) > 0 {
            pings.push(second);
            assert_eq!(feed(&mut server, now + MILLISECOND, &frame(true, FIN | PONG, b"")).len(), 1);
            assert_eq!(server.latency(), Some(MILLISECOND));
        }
    }
    assert_eq!(pings, (1..=10).map(|k| k * 100).collect::<Vec<_>>());
}

#[test]
fn a_peer_that_sends_without_answering_pings_is_alive() {
    let (mut server, birth) = open(Role::Server, frequent());
    for second in 1..=1000 {
        let now = birth + second * SECOND;
        feed(&mut server, now, &frame(true, FIN | TEXT, b"x"));
        server.handle_timeout(now);
        take_output(&mut server, now);
    }
    assert_eq!(server.state(), State::Open);
}

#[test]
fn the_pong_timeout_starts_when_the_socket_takes_the_ping() {
    let (mut server, birth) = open(Role::Server, frequent());
    server.send(vec![0; 2_000_000]).unwrap();
    server.handle_written(birth + 20 * SECOND, 1000);
    let due = birth + 25 * SECOND;
    server.handle_timeout(due);
    // The frame before it takes ten writes, 15 s apart.
    let mut now = due;
    for _ in 0..10 {
        now += 15 * SECOND;
        server.handle_written(now, 199_000);
        server.handle_timeout(now + 19 * SECOND);
        assert_eq!(server.state(), State::Open);
    }
    // The last write took its rest, and all but ten bytes of the Ping.
    now += 15 * SECOND;
    let output = take_output(&mut server, now);
    assert!(output.ends_with(&[FIN | PING, 0]));
    server.send("more").unwrap();
    now += 19 * SECOND;
    take_output(&mut server, now);
    server.handle_timeout(now);
    assert_eq!(server.state(), State::Open);
    server.handle_timeout(now + SECOND);
    assert!(is_dead(&poll(&mut server, now + SECOND)), "later writes prove nothing");
}

#[test]
fn a_partly_written_ping_is_not_sent_yet() {
    let (mut server, birth) = open(Role::Server, frequent());
    server.handle_timeout(birth + 25 * SECOND);
    server.handle_written(birth + 25 * SECOND, 1);
    server.handle_written(birth + 44 * SECOND, 1);
    server.handle_timeout(birth + 63 * SECOND);
    assert_eq!(server.state(), State::Open);
    server.handle_timeout(birth + 64 * SECOND);
    assert!(is_dead(&poll(&mut server, birth + 64 * SECOND)));
}

#[test]
fn a_ping_that_the_socket_never_takes_times_out_too() {
    let (mut server, birth) = open(Role::Server, frequent());
    server.send(vec![0; 2000]).unwrap();
    server.handle_written(birth + 24 * SECOND, 0);
    server.handle_timeout(birth + 25 * SECOND);
    server.handle_timeout(birth + 45 * SECOND);
    assert!(is_dead(&poll(&mut server, birth + 45 * SECOND)));
}

/// Sends one message of 3 MiB from `sender` to `receiver` at 40 KB/s, both with `frequent`, over a pipe of this size.
fn one_large_message(sender: Role, receiver: Role, delivery: Delivery, kernel: usize) {
    let (mut sender, birth) = open(sender, frequent());
    let (mut receiver, _) = open(receiver, frequent().delivery(delivery));
    sender.send(vec![0; 3 << 20]).unwrap();
    let (mut pipe, mut is_there) = (std::collections::VecDeque::new(), false);
    for tick in 0..1000 {
        let now = birth + tick * 100 * MILLISECOND;
        let n = sender.outbox_len().min(kernel - pipe.len());
        pipe.extend(take_some(&mut sender, now, n));
        if sender.outbox_len() > 0 {
            sender.handle_written(now, 0);
        }
        let arrived: Vec<u8> = pipe.drain(..pipe.len().min(4000)).collect();
        for event in feed(&mut receiver, now, &arrived) {
            is_there |= match event {
                Event::Message(message) => message.as_bytes().len() == 3 << 20,
                Event::Fragment(fragment) => fragment.last,
                _ => false,
            };
        }
        receiver.handle_timeout(now);
        let answers = take_output(&mut receiver, now);
        feed(&mut sender, now, &answers);
        sender.handle_timeout(now);
        for connection in [&mut sender, &mut receiver] {
            assert!(poll(connection, now).is_empty());
            assert_eq!(connection.state(), State::Open, "after {:?}", now - birth);
        }
    }
    assert!(is_there);
    // Both are pinged, and answer, as usual.
    assert!(sender.latency().is_some());
}

trait Outbox {
    fn outbox_len(&mut self) -> usize;
}

impl Outbox for Connection {
    fn outbox_len(&mut self) -> usize {
        self.outbox().len()
    }
}

#[test]
fn three_mebibytes_in_one_message_at_40_kb_a_second_prove_life() {
    for kernel in [16 << 10, 128 << 10, 512 << 10] {
        for delivery in [Delivery::Whole, Delivery::Chunked { whole: 1000 }] {
            one_large_message(Role::Server, CLIENT, delivery, kernel);
            one_large_message(CLIENT, Role::Server, delivery, kernel);
        }
    }
}

#[test]
fn a_ping_due_while_reading_is_paused_is_written_once_and_does_not_time_out() {
    let (mut server, birth) = open(Role::Server, frequent());
    server.pause();
    let mut pings = 0;
    for second in 1..1000 {
        let now = birth + second * SECOND;
        server.handle_timeout(now);
        pings += count(&take_output(&mut server, now), PING);
        assert_eq!(server.state(), State::Open);
    }
    assert_eq!(pings, 1);
    let now = birth + 1000 * SECOND;
    server.resume(now);
    assert_eq!(server.poll_timeout(), Some(now + 20 * SECOND), "the answer has its full time again");
    server.handle_timeout(now + 20 * SECOND - MILLISECOND);
    assert_eq!(server.state(), State::Open);
    assert_eq!(feed(&mut server, now + 20 * SECOND - MILLISECOND, &frame(true, FIN | PONG, b"")).len(), 1);
    server.handle_timeout(now + 20 * SECOND);
    assert_eq!(server.state(), State::Open);
}

#[test]
fn no_pong_timeout_runs_while_reading_is_paused() {
    for answer in [Duration::ZERO, MILLISECOND, SECOND, Duration::MAX] {
        for pause in [Connection::pause, flood] {
            let heartbeat = Heartbeat::frequent().idle(MILLISECOND).pong_timeout(answer);
            let (mut server, birth) =
                open(Role::Server, Config::server().message_rate(Some(1)).heartbeat(heartbeat));
            pause(&mut server);
            let resumes = server.poll_timeout().unwrap().max(birth + SECOND);
            server.handle_timeout(birth + 4 * MILLISECOND);
            assert_eq!(count(&take_output(&mut server, birth + 4 * MILLISECOND), PING), 1);
            let mut timeouts = 0;
            while let Some(due) = server.poll_timeout().filter(|due| *due < resumes) {
                server.handle_timeout(due.max(birth + 4 * MILLISECOND));
                timeouts += 1;
                assert!(timeouts < 10, "a handled deadline is still due");
            }
            assert!(server.is_paused() && server.state() == State::Open);
            server.resume(resumes);
            if server.is_paused() {
                server.handle_timeout(resumes); // the next second begins
            }
            let answer = answer.max(MILLISECOND);
            assert_eq!(server.poll_timeout(), resumes.checked_add(answer), "its time starts over");
        }
    }
}

/// More input than is read within a second.
fn flood(server: &mut Connection) {
    let now = server.poll_timeout().unwrap() - MILLISECOND;
    feed(server, now, &frame(true, FIN | TEXT, b"the only one"));
    assert!(server.is_paused());
}

#[test]
fn the_output_deadline_applies_while_reading_is_paused() {
    let (mut server, birth) = open(Role::Server, frequent());
    server.pause();
    server.send("unread").unwrap();
    server.handle_written(birth, 0);
    for second in 1..=30 {
        assert_eq!(server.state(), State::Open);
        server.handle_timeout(birth + second * SECOND);
    }
    let [Event::Closed(closed)] = &poll(&mut server, birth + 30 * SECOND)[..] else { panic!("no end") };
    assert!(matches!(closed.error, Some(Error::Timeout(Timeout::Output))));
    assert!(closed.reading_paused);
}

#[test]
fn no_pong_timeout_runs_while_output_rate_or_memory_pauses_reading() {
    for (by, until) in [("output", 100), ("rate", 1000), ("memory", 100)] {
        let heartbeat = Heartbeat::frequent().idle(20 * MILLISECOND).pong_timeout(30 * MILLISECOND);
        let memory = Memory::new(0);
        let config = Config::server().heartbeat(heartbeat).outbox(10, 20, 1000);
        let config = match by {
            "rate" => config.message_rate(Some(1)),
            "memory" => config.memory(memory.clone()),
            _ => config,
        };
        let (mut server, birth) = open(Role::Server, config);
        let (mut other, _) = open(Role::Server, Config::server().memory(memory).outbox(0, 0, 99));
        if by == "memory" {
            // Another connection exceeds the shared memory limit.
            other.send(vec![0; 50]).unwrap();
            feed(&mut server, birth, &frame(true, FIN | TEXT, b"begun")[..8]);
        } else {
            let mut bytes = frame(true, FIN | TEXT, b"x");
            assert!(server.handle_input(birth, &mut &mut bytes[..]).is_some());
        }
        if by == "output" {
            server.send(vec![0; 990]).unwrap();
        }
        feed(&mut server, birth, b"");
        let mut output = Vec::new();
        let mut dead = None;
        for passed in 1..2000 {
            let now = birth + passed * MILLISECOND;
            server.handle_timeout(now);
            if is_dead(&poll(&mut server, now)) {
                dead = Some(passed);
                break;
            }
            assert_eq!(server.is_paused(), passed < until, "by {by}, after {passed} ms");
            // Output drains slowly at first.
            let n = if by == "output" && passed < until { 1 } else { server.outbox_len() };
            output.extend(take_some(&mut server, now, n));
        }
        assert_eq!(dead, Some(until + 30), "by {by}");
        assert_eq!(count(&output, PING), 1, "by {by}");
    }
}

#[test]
fn one_way_pongs_are_due_after_the_last_byte_written() {
    let heartbeat = Heartbeat::client().idle(10 * SECOND);
    let (mut client, birth) = open(CLIENT, Config::client().heartbeat(heartbeat));
    for second in 1..30 {
        let now = birth + second * SECOND;
        // Input does not count.
        feed(&mut client, now, &frame(false, FIN | TEXT, b"x"));
        client.handle_timeout(now);
        let pongs = count(&take_output(&mut client, now), PONG);
        assert_eq!(pongs, usize::from(second % 10 == 0), "after {second} s");
    }
    for second in 30..60 {
        let now = birth + second * SECOND;
        if second % 5 == 0 {
            client.send("written").unwrap();
            take_output(&mut client, now);
        }
        client.handle_timeout(now);
        assert_eq!(client.queued(), 0);
    }
}

#[test]
fn an_empty_write_does_not_delay_a_one_way_pong() {
    let heartbeat = Heartbeat::client().idle(10 * SECOND);
    let (mut client, now) = open(CLIENT, Config::client().heartbeat(heartbeat));
    client.handle_written(now + 9 * SECOND, 0);
    client.handle_timeout(now + 10 * SECOND);
    assert_eq!(count(&take_output(&mut client, now + 10 * SECOND), PONG), 1);
}

#[test]
fn one_way_heartbeats_ping_once_after_sleep() {
    let (mut client, now) = open(CLIENT, Config::client());
    client.handle_resume(now);
    client.handle_resume(now + SECOND);
    let output = take_output(&mut client, now + SECOND);
    assert_eq!((count(&output, PING), parse(&output).len()), (1, 1));
    feed(&mut client, now + 2 * SECOND, &frame(false, FIN | PONG, b""));
    client.handle_timeout(now + 31 * SECOND);
    assert_eq!(client.state(), State::Open);
    let output = take_output(&mut client, now + 31 * SECOND);
    assert_eq!((count(&output, PONG), parse(&output).len()), (1, 1), "and it continues as before");
    let (mut client, now) = open(CLIENT, Config::client());
    client.handle_resume(now);
    take_output(&mut client, now);
    client.handle_timeout(now + 30 * SECOND);
    assert!(is_dead(&poll(&mut client, now + 30 * SECOND)));
}

#[test]
fn reconnecting_clients_ping_unless_a_heartbeat_is_set() {
    let chosen = Heartbeat::client();
    for (mut client, reconnects, expected) in [
        (ClientConfig::new(), false, Heartbeat::client()),
        (ClientConfig::new(), true, Heartbeat::frequent()),
        (ClientConfig::new().heartbeat(chosen.clone()), false, chosen.clone()),
        (ClientConfig::new().heartbeat(chosen.clone()), true, chosen),
        (ClientConfig::new().heartbeat(Heartbeat::off()), true, Heartbeat::off()),
        (ClientConfig::new().heartbeat(Heartbeat::frequent().kind(HeartbeatKind::Pong)), true, {
            Heartbeat::frequent().kind(HeartbeatKind::Pong)
        }),
    ] {
        if reconnects {
            client = client.reconnect(Reconnect::default());
        }
        assert_eq!(*client.connection_config().get_heartbeat(), expected, "reconnects: {reconnects}");
    }
    let client = ClientConfig::default().reconnect(Reconnect::default());
    assert_eq!(*client.connection_config().get_heartbeat(), Heartbeat::frequent());
}

#[test]
fn an_answered_ping_leaves_no_memory_behind() {
    let (mut server, now) = open(Role::Server, frequent());
    server.handle_timeout(now + 25 * SECOND);
    take_output(&mut server, now + 25 * SECOND);
    feed(&mut server, now + 26 * SECOND, &frame(true, FIN | PONG, b""));
    assert!(format!("{server:?}").contains("in_flight: None"), "{server:?}");
}

#[test]
fn a_zero_interval_is_a_millisecond() {
    for kind in [HeartbeatKind::Ping, HeartbeatKind::Pong] {
        let config = Config::server().heartbeat(Heartbeat::frequent().kind(kind).idle(Duration::ZERO));
        let (mut server, now) = open(Role::Server, config);
        for sent in 1..100 {
            let due = server.poll_timeout().unwrap();
            assert_eq!(due, now + sent * MILLISECOND, "{kind:?}");
            server.handle_timeout(due);
            let pings = count(&take_output(&mut server, due), PING);
            assert!(server.poll_timeout().unwrap() > due, "{kind:?}: handled and still due");
            for _ in 0..pings {
                feed(&mut server, due, &frame(true, FIN | PONG, b""));
            }
        }
    }
}
