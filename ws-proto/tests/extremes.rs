//! Zero and maximal settings, and clocks out of range: nothing overflows, no deadline recurs endlessly, and everything
//! that the setting does not forbid works.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::sync::Arc;
use std::time::Duration;
use ws_host::client::Backoff;
use ws_host::client::Reconnect;
use ws_kit::frames::*;
use ws_kit::pair::Pair;
use ws_proto::{
    Config, Connection, Delivery, Event, Frame, Heartbeat, HeartbeatKind, Memory, Moment, Opcode, Role, Sent,
    State,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const EVER: Duration = Duration::MAX;
const NONE: Duration = Duration::ZERO;
/// The most wakeups of two ends in a minute, heartbeats aside: output, memory and rate limits have the shortest pauses,
/// 100 ms.
const WAKES: usize = 1300;

/// A setting and its name.
type Setting = (String, Box<dyn Fn(Config) -> Config>);

fn setting(name: impl Into<String>, set: impl Fn(Config) -> Config + 'static) -> Setting {
    (name.into(), Box::new(set))
}

fn settings() -> Vec<Setting> {
    let mut all = Vec::new();
    const MOST: usize = usize::MAX;
    for marks @ (low, high, cap) in [(MOST, MOST, MOST), (0, MOST, MOST), (0, 0, MOST), (0, 0, 0), (0, 0, 1)]
    {
        all.push(setting(format!("outbox {marks:?}"), move |config| config.outbox(low, high, cap)));
    }
    for marks @ (low, high, cap) in [(MOST, 0, 0), (MOST, MOST, 0), (0, MOST, 1), (MOST, 0, MOST)] {
        all.push(setting(format!("contradictory marks {marks:?}"), move |config| {
            config.outbox(low, high, cap)
        }));
    }
    all.push(setting("message_limit", |config| config.message_limit(u64::MAX)));
    all.push(setting("limits of HTTP", |config| {
        config.head_limit(MOST).header_limit(MOST).target_limit(MOST).body_limit(MOST)
    }));
    for most in [0, u32::MAX] {
        all.push(setting(format!("requests {most}"), move |config| {
            config.pipeline_limit(most as usize).request_limit(most)
        }));
        all.push(setting(format!("drain_limit {most}"), move |config| {
            config.drain_limit(if most == 0 { 0 } else { u64::MAX })
        }));
        all.push(setting(format!("frame_rate {most}"), move |config| config.frame_rate(Some(most))));
        all.push(setting(format!("message_rate {most}"), move |config| {
            config.message_rate(Some(most as u16))
        }));
        all.push(setting(format!("memory {most}"), move |config| {
            config.memory(Memory::new(if most == 0 { 0 } else { MOST }))
        }));
        for time in [NONE, EVER] {
            all.push(setting(format!("{most} bytes a second over {time:?}"), move |config| {
                config.min_output_rate(most).output_timeout(time)
            }));
        }
    }
    for time in [NONE, EVER] {
        all.push(setting(format!("handshake_timeout {time:?}"), move |config| {
            config.handshake_timeout(time)
        }));
        all.push(setting(format!("keep_alive {time:?}"), move |config| config.keep_alive(time)));
        all.push(setting(format!("answer_timeout {time:?}"), move |config| config.answer_timeout(time)));
        all.push(setting(format!("close_timeout {time:?}"), move |config| config.close_timeout(time)));
        all.push(setting(format!("all times {time:?}"), move |config| {
            let config = config.handshake_timeout(time).keep_alive(time).answer_timeout(time);
            config.close_timeout(time).output_timeout(time)
        }));
    }
    for whole in [0, u64::MAX] {
        all.push(setting(format!("chunks over {whole}"), move |config| {
            config.delivery(Delivery::Chunked { whole })
        }));
    }
    all.extend(compressed());
    all
}

#[cfg(feature = "deflate")]
fn compressed() -> Vec<Setting> {
    use ws_proto::Deflate;
    let mut all = Vec::new();
    for time in [NONE, EVER] {
        all.push(setting(format!("release_after {time:?}"), move |config| {
            config.deflate(Deflate::new().threshold(0).release_after(time))
        }));
    }
    for most in [0, u64::MAX] {
        all.push(setting(format!("inflate_rate {most}"), move |config| {
            config.deflate(Deflate::new().threshold(0).inflate_rate(Some(most)))
        }));
        all.push(setting(format!("ratio, level and threshold {most}"), move |config| {
            let deflate = Deflate::new().level(most as u8).memory_level(most as u8).threshold(most as usize);
            let deflate = deflate.window_bits(most as u8).peer_window_bits(most as u8);
            config.deflate(deflate.ratio_limit(Some(most as u32)).inflate_rate(None))
        }));
    }
    all
}

#[cfg(not(feature = "deflate"))]
fn compressed() -> Vec<Setting> {
    Vec::new()
}

fn open_by(name: &str, client: Config, server: Config) -> Pair {
    let mut pair = Pair::new(client, server);
    pair.drive();
    for end in [&mut pair.client, &mut pair.server] {
        assert!(matches!(end.events.first(), Some(Event::Open(_))), "{name}: {:?}", end.events);
        end.events.clear();
    }
    pair
}

/// Advances the clock, and counts the wakeups.
fn wakes(pair: &mut Pair, time: Duration) -> usize {
    let end = pair.now + time;
    let mut wakes = 0;
    loop {
        let due = [&pair.client, &pair.server].map(|end| end.connection.poll_timeout());
        let Some(due) = due.into_iter().flatten().min().filter(|due| *due <= end) else { break };
        // `advance` asserts that handled deadlines are no longer due.
        pair.advance(due.since(pair.now));
        wakes += 1;
        assert!(wakes <= 1_000_000, "it spins");
    }
    pair.advance(end - pair.now);
    wakes
}

/// The messages exchanged: short, long, in fragments, and empty.
fn exchange(pair: &mut Pair) {
    let long = "long, ".repeat(5000);
    for _ in 0..2 {
        for text in ["short", &long, ""] {
            for end in [&mut pair.client, &mut pair.server] {
                assert!(end.connection.send(text).is_ok(), "{end:?}", end = end.connection);
            }
            pair.drive();
        }
        for (opcode, fin, text) in [
            (Opcode::Text, false, ""),
            (Opcode::Continuation, false, "in two"),
            (Opcode::Continuation, true, ""),
        ] {
            for end in [&mut pair.client, &mut pair.server] {
                assert!(end.connection.send(Frame::raw(opcode, fin, text).unwrap()).is_ok());
            }
            pair.drive();
        }
    }
}

/// The text that an end received, chunks joined.
fn texts(events: &[Event<'_>]) -> Vec<String> {
    let (mut all, mut begun) = (Vec::new(), String::new());
    for event in events {
        match event {
            Event::Message(message) => all.push(message.as_text().unwrap().to_owned()),
            Event::Fragment(fragment) => {
                begun += fragment.data.as_text().unwrap();
                if fragment.last {
                    all.push(std::mem::take(&mut begun));
                }
            }
            _ => {}
        }
    }
    all
}

fn is_complete(texts: &[String]) -> bool {
    let long = "long, ".repeat(5000);
    texts == [["short", &long, "", "in two"]; 2].concat()
}

#[test]
fn every_setting_allows_an_honest_exchange_without_spinning() {
    for (name, set) in settings() {
        for (of_client, of_server) in [(true, false), (false, true), (true, true)] {
            let client = if of_client { set(Config::client()) } else { Config::client() };
            let server = if of_server { set(Config::server()) } else { Config::server() };
            let mut pair = open_by(&name, client, server);
            exchange(&mut pair);
            let count = wakes(&mut pair, MINUTE);
            assert!(count <= WAKES, "{name}: {count} wakes");
            for end in [&pair.client, &pair.server] {
                let texts = texts(&end.events);
                assert!(is_complete(&texts), "{name}: {} of 8: {:?}", texts.len(), end.events.last());
            }
        }
    }
}

#[test]
fn a_peer_that_reads_nothing_causes_no_spinning() {
    for (name, set) in settings() {
        let mut pair = open_by(&name, set(Config::client()), set(Config::server()));
        pair.cut = true;
        for end in [&mut pair.client, &mut pair.server] {
            for _ in 0..50 {
                let sent = end.connection.send(vec![7; 100_000]);
                assert!(
                    matches!(sent, Ok(Sent::Queued | Sent::Congested) | Err(ws_proto::SendError::Full)),
                    "{name}"
                );
            }
            let _ = end.connection.send_ping(pair.now, b"?");
        }
        pair.drive();
        let count = wakes(&mut pair, MINUTE);
        assert!(count <= WAKES, "{name}: {count} wakes");
        // Then it takes some, or closes.
        pair.cut = false;
        let _ = pair.server.connection.close(pair.now, ws_proto::CloseCode::NORMAL, "");
        let count = wakes(&mut pair, MINUTE);
        assert!(count <= WAKES, "{name}: {count} wakes");
    }
}

#[test]
fn heartbeats_are_at_least_a_millisecond_apart() {
    for kind in [HeartbeatKind::Ping, HeartbeatKind::Pong] {
        for interval in [NONE, Duration::from_nanos(1), EVER] {
            for answer in [NONE, SECOND, EVER] {
                let beat = || Heartbeat::frequent().kind(kind).idle(interval).pong_timeout(answer);
                let config = |config: Config| config.heartbeat(beat()).frame_rate(None);
                let name = format!("{kind:?} {interval:?} {answer:?}");
                let mut pair = open_by(&name, config(Config::client()), config(Config::server()));
                exchange(&mut pair);
                let count = wakes(&mut pair, SECOND);
                let most = if interval == EVER { 0 } else { 2000 };
                assert!(count <= most, "{kind:?} {interval:?} {answer:?}: {count} wakes");
                assert!(is_complete(&texts(&pair.server.events)));
                assert_eq!(pair.server.connection.state(), State::Open, "an answer in time keeps it open");
            }
        }
    }
}

/// Answers that are delayed, sent, and never finished.
#[test]
fn every_setting_allows_requests_without_spinning() {
    for (name, set) in settings() {
        for how in ["at once", "streamed", "never", "idle"] {
            let mut now = Moment::from_nanos(1 << 60);
            let mut server = Connection::server(now, Arc::new(set(Config::server())), Default::default());
            let request = if how == "idle" { &b""[..] } else { b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" };
            let (mut kept, mut output) = (Vec::new(), Vec::new());
            for event in feed(&mut server, now, request) {
                let Event::Request(request) = event else { panic!("{name}: {event:?}") };
                match how {
                    "at once" => server.respond(now, request, http::Response::default()).unwrap(),
                    "streamed" => {
                        let body = server
                            .http()
                            .respond_streaming(now, request, http::Response::new(()), None)
                            .unwrap();
                        output.extend(take_output(&mut server, now));
                        server.http().send_body(&body, "begun").unwrap();
                        kept.push((Some(body), None));
                    }
                    _ => kept.push((None, Some(request))),
                }
            }
            output.extend(take_output(&mut server, now));
            let end = now + MINUTE;
            let mut wakes = 0;
            while let Some(due) = server.poll_timeout().filter(|due| *due <= end) {
                now = now.max(due);
                server.handle_timeout(now);
                assert!(server.poll_timeout().is_none_or(|due| due > now), "{name}, {how}: due again");
                output.extend(take_output(&mut server, now));
                while server.poll_event(now).is_some() {}
                let _ = server.poll_io();
                wakes += 1;
            }
            assert!(wakes <= 61, "{name}, {how}: {wakes} wakes");
            if how != "never" && how != "idle" {
                assert!(output.starts_with(b"HTTP/1.1 200"), "{name}, {how}: {}", output.escape_ascii());
            }
            if how == "streamed" {
                let (Some(body), _) = kept.pop().unwrap() else { panic!() };
                server.http().send_body(&body, "and ended").unwrap();
                server.http().finish_body(now, body).unwrap();
                assert!(take_output(&mut server, now).ends_with(b"0\r\n\r\n"));
            }
        }
    }
}

/// Centuries ahead, the end of what 64-bit nanoseconds can represent, and beyond it.
fn far() -> Vec<Duration> {
    let last = Duration::from_nanos(u64::MAX);
    let year = SECOND * 365 * 24 * 3600;
    vec![
        SECOND * (1 << 16),
        SECOND * u32::MAX,
        year * 100,
        year * 500,
        last - SECOND * 2,
        last - SECOND / 2,
        last - Duration::from_nanos(1),
        last,
        last + Duration::from_nanos(1),
        last + SECOND,
        year * 10_000,
        SECOND * u32::MAX * 100,
    ]
}

/// Gives bytes as an adapter does, waiting out each pause of the connection.
fn give(server: &mut Connection, now: &mut Moment, bytes: &[u8]) -> Vec<Event<'static>> {
    let mut bytes = bytes.to_vec();
    let mut input = &mut bytes[..];
    let mut events = Vec::new();
    for wakes in 0.. {
        assert!(wakes < 1000, "it spins: {server:?}");
        while let Some(event) = server.handle_input(*now, &mut input) {
            events.push(event.into_owned());
        }
        events.extend(poll(server, *now));
        take_output(server, *now);
        if input.is_empty() && !server.is_paused() {
            break;
        }
        let due = server.poll_timeout().unwrap();
        assert!(due > *now, "the deadline is in the past");
        *now = due;
        server.handle_timeout(*now);
        assert!(server.poll_timeout().is_none_or(|due| due > *now), "due again");
    }
    events
}

#[test]
fn any_clock_value_works() {
    let configs: [(&str, Config); 6] = [
        ("the defaults", Config::server()),
        ("paced", Config::server().message_rate(Some(1))),
        ("throttled to nothing", Config::server().message_rate(Some(0))),
        ("empty messages", Config::server().frame_rate(Some(1))),
        (
            "heartbeats",
            Config::server()
                .heartbeat(Heartbeat::frequent().idle(NONE).pong_timeout(EVER))
                .message_rate(Some(2)),
        ),
        ("a small outbox", Config::server().outbox(0, 0, 0).message_rate(Some(1))),
    ];
    for (name, config) in configs {
        for ahead in far() {
            let (mut server, birth) = open(Role::Server, config.clone());
            let Some(later) = birth.checked_add(ahead) else { continue };
            let wire = [frame(true, FIN | TEXT, b"x"), frame(true, FIN | TEXT, b"")].concat().repeat(3);
            let is_message = |event: &&Event<'_>| matches!(event, Event::Message(_));
            // Forwards in time, and back again.
            for mut now in [birth, later, later + SECOND, birth + SECOND] {
                if server.poll_timeout().is_some_and(|due| due <= now) {
                    server.handle_timeout(now);
                    assert!(
                        server.poll_timeout().is_none_or(|due| due > now),
                        "{name}, {ahead:?}: due again"
                    );
                }
                let events = give(&mut server, &mut now, &wire);
                assert_eq!(events.iter().filter(is_message).count(), 6, "{name}, {ahead:?}: {events:?}");
                server.send("answer").unwrap();
                take_output(&mut server, now);
            }
        }
    }
}

#[test]
fn a_backward_clock_only_delays() {
    let before = Moment::from_nanos(1 << 60);
    let birth = before + MINUTE;
    let config = Config::server().message_rate(Some(1)).heartbeat(Heartbeat::frequent());
    let mut server = Connection::upgraded(birth, Arc::new(config), Role::Server);
    let mut now = before;
    assert_eq!(give(&mut server, &mut now, &frame(true, FIN | TEXT, b"x").repeat(3)).len(), 3);
    server.handle_timeout(before);
    server.handle_resume(before);
    server.send("x").unwrap();
    server.handle_written(before, 0);
    server.handle_written(birth, 1);
    server.handle_written(before, usize::MAX);
    assert_eq!((server.state(), server.queued()), (State::Open, 0));
}

#[test]
fn reconnect_delays_saturate() {
    for min in [NONE, SECOND, EVER] {
        for max in [NONE, SECOND, EVER] {
            let policy = Reconnect::default().wait(min, max);
            for random in [0, 1, u32::MAX / 2, u32::MAX] {
                let mut backoff = Backoff::default();
                for _ in 0..100 {
                    let wait = backoff.next(&policy, random).unwrap();
                    assert!(wait > NONE, "{min:?} {max:?}");
                    let longest = policy.get_wait().1.max(Duration::from_millis(1));
                    assert!(wait <= longest, "{min:?} {max:?}: {wait:?}");
                }
            }
        }
    }
}
