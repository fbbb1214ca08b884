//! Pauses of reading by the application.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use ws_kit::frames::*;
use ws_kit::pair::Pair;
use ws_proto::{CloseCode, Config, Connection, Error, Event, Heartbeat, IoAction, Moment, Role, State};

const SECOND: Duration = Duration::from_secs(1);

fn no_heartbeat() -> Config {
    Config::server().heartbeat(Heartbeat::off())
}

fn closed_of(events: Vec<Event<'static>>) -> ws_proto::Closed {
    match events.into_iter().last() {
        Some(Event::Closed(closed)) => *closed,
        other => panic!("{other:?} is not the end"),
    }
}

#[test]
fn input_stays_with_the_caller_until_reading_resumes() {
    for role in [Role::Server, CLIENT] {
        let (mut connection, now) = open(role, no_heartbeat());
        let mut bytes = [frame_to(role, FIN | TEXT, b"1"), frame_to(role, FIN | TEXT, b"2")].concat();
        let mut input = &mut bytes[..];
        assert!(connection.handle_input(now, &mut input).is_some());
        let left = input.len();
        connection.pause();
        connection.pause();
        assert_eq!((connection.is_paused(), connection.poll_io()), (true, IoAction::Pause));
        assert!(connection.handle_input(now, &mut input).is_none());
        assert_eq!(input.len(), left);
        connection.send("sending continues").unwrap();
        assert_eq!(connection.poll_io(), IoAction::Write);
        take_output(&mut connection, now);
        connection.resume(now);
        connection.resume(now);
        assert_eq!((connection.is_paused(), connection.poll_io()), (false, IoAction::Read));
        assert!(connection.handle_input(now, &mut input).is_some());
        assert!(input.is_empty());
    }
}

#[test]
fn a_partial_message_continues_after_a_pause() {
    let (mut server, now) = open(Role::Server, no_heartbeat());
    let bytes = frame(true, FIN | TEXT, b"in two parts");
    feed(&mut server, now, &bytes[..10]);
    server.pause();
    let mut rest = bytes[10..].to_vec();
    let mut input = &mut rest[..];
    assert!(server.handle_input(now, &mut input).is_none());
    server.resume(now);
    let Some(Event::Message(message)) = server.handle_input(now, &mut input) else { panic!("no message") };
    assert_eq!(message.as_bytes(), b"in two parts");
}

#[test]
fn no_ping_is_answered_and_no_close_is_read_while_paused() {
    let (mut server, now) = open(Role::Server, no_heartbeat());
    server.pause();
    let mut bytes = [frame(true, FIN | PING, b""), frame(true, FIN | CLOSE, b"")].concat();
    let mut input = &mut bytes[..];
    assert!(server.handle_input(now, &mut input).is_none());
    assert_eq!((server.queued(), server.state()), (0, State::Open));
    server.resume(now);
    assert!(server.handle_input(now, &mut input).is_none());
    assert_eq!(server.state(), State::Closing);
}

#[test]
fn requests_are_paused_too() {
    let now = Moment::default();
    let mut server = Connection::server(now, Arc::new(Config::server()), Default::default());
    let mut bytes = *b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut input = &mut bytes[..];
    server.pause();
    assert!(server.handle_input(now, &mut input).is_none());
    assert!(server.is_paused() && !input.is_empty());
    server.resume(now);
    assert!(matches!(server.handle_input(now, &mut input), Some(Event::Request(_))));
}

#[test]
fn a_pause_before_open_holds_back_data_after_the_handshake() {
    for at_client in [true, false] {
        let mut pair = Pair::new(Config::client(), Config::server());
        let end = if at_client { &mut pair.client } else { &mut pair.server };
        if at_client {
            end.connection.pause();
        }
        pair.accept = false;
        pair.drive();
        if !at_client {
            pair.server.connection.pause();
        }
        let Some(Event::Upgrade(upgrade)) = pair.server.events.pop() else { panic!("no upgrade") };
        pair.server.connection.accept(pair.now, upgrade).unwrap();
        pair.drive();
        for end in [&pair.client, &pair.server] {
            assert!(matches!(end.events[..], [Event::Open(_)]), "{:?}", end.events);
        }
        let now = pair.now;
        let (from, to) = match at_client {
            true => (&mut pair.server, &mut pair.client),
            false => (&mut pair.client, &mut pair.server),
        };
        from.connection.send("held").unwrap();
        assert!(to.connection.is_paused());
        pair.drive();
        let to = if at_client { &mut pair.client } else { &mut pair.server };
        assert!(to.texts().is_empty());
        to.connection.resume(now);
        pair.drive();
        let to = if at_client { &mut pair.client } else { &mut pair.server };
        assert_eq!(to.texts(), ["held"]);
    }
}

#[test]
fn closing_ends_a_pause() {
    for role in [Role::Server, CLIENT] {
        let (mut connection, now) = open(role, no_heartbeat());
        connection.pause();
        connection.close(now, CloseCode::NORMAL, "").unwrap();
        assert!(!connection.is_paused());
        connection.pause();
        assert!(!connection.is_paused(), "reading ends it");
        let bytes = [frame_to(role, FIN | TEXT, b"x"), frame_to(role, FIN | CLOSE, &[3, 232])].concat();
        assert_eq!(feed(&mut connection, now, &bytes).len(), 1);
        let closed = closed_of(end(&mut connection, now));
        assert!(closed.clean && closed.code == CloseCode::NORMAL && closed.reading_paused, "{closed}");
    }
}

#[test]
fn an_end_while_paused_reports_the_pause() {
    let ends: [fn(&mut Connection, Moment); 4] = [
        |server, now| server.abort(now, Error::Io(ErrorKind::ConnectionReset)),
        |server, now| server.handle_eof(now),
        |server, now| {
            server.write_failed(now, Error::Io(ErrorKind::BrokenPipe));
            server.handle_timeout(now + SECOND);
        },
        |server, now| {
            server.send("x").unwrap();
            server.handle_written(now, 0);
            server.handle_timeout(now + 30 * SECOND);
        },
    ];
    for (number, end) in ends.into_iter().enumerate() {
        for paused in [true, false] {
            let (mut server, now) = open(Role::Server, no_heartbeat());
            if paused {
                server.pause();
            }
            end(&mut server, now);
            let closed = closed_of(poll(&mut server, now));
            assert_eq!(closed.reading_paused, paused, "end {number}");
            let is_reported = closed.to_string().contains("reading was paused on this side");
            assert_eq!(is_reported, paused, "{closed}");
        }
    }
}

#[test]
fn http_closed_while_paused_reports_the_pause() {
    let now = Moment::default();
    let mut server =
        Connection::server(now, Arc::new(no_heartbeat().report_all_closes(true)), Default::default());
    server.pause();
    server.close(now, CloseCode::NORMAL, "").unwrap();
    assert_eq!(server.poll_io(), IoAction::Shutdown, "it reads until the peer closes");
    assert!(!server.is_paused());
    server.handle_eof(now);
    assert!(closed_of(poll(&mut server, now)).reading_paused);
}

#[test]
fn an_end_after_a_pause_does_not_report_it() {
    let (mut server, now) = open(Role::Server, no_heartbeat());
    server.pause();
    server.resume(now);
    server.handle_eof(now);
    assert!(!closed_of(poll(&mut server, now)).reading_paused);
}

#[test]
fn an_application_pause_outlasts_other_pauses() {
    let (mut server, now) = open(Role::Server, no_heartbeat().outbox(10, 20, 30));
    let mut bytes = frame(true, FIN | TEXT, b"x");
    assert!(server.handle_input(now, &mut &mut bytes[..]).is_some());
    server.send(vec![0; 1000]).unwrap();
    server.pause();
    assert!(feed(&mut server, now, b"").is_empty());
    take_output(&mut server, now);
    assert!(server.is_paused());
    server.handle_timeout(now + SECOND);
    assert!(server.is_paused());
    server.resume(now + SECOND);
    assert!(!server.is_paused());

    let (mut server, now) = open(Role::Server, no_heartbeat().message_rate(Some(1)));
    assert_eq!(feed(&mut server, now, &frame(true, FIN | TEXT, b"x")).len(), 1);
    server.pause();
    server.resume(now);
    assert!(server.is_paused(), "the rate still holds it");
}
