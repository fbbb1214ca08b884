//! The first Close received is the one reported (RFC 6455 §7.1.5), regardless of later failures.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::io::ErrorKind;
use std::time::Duration;
use ws_host::client::Reconnect;
use ws_kit::frames::*;
use ws_proto::{
    CloseCode, Closed, Config, Connection, Error, Event, Heartbeat, Initiator, IoAction, Moment, Role, State,
    Timeout,
};

const SECOND: Duration = Duration::from_secs(1);
const RESET: Error = Error::Io(ErrorKind::ConnectionReset);
const ROLES: [Role; 2] = [Role::Server, CLIENT];

fn no_heartbeat() -> Config {
    Config::server().heartbeat(Heartbeat::off())
}

fn close(role: Role, code: u16, reason: &[u8]) -> Vec<u8> {
    frame_to(role, FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

fn closed_of(events: Vec<Event<'static>>) -> Closed {
    match events.into_iter().last() {
        Some(Event::Closed(closed)) => *closed,
        other => panic!("{other:?} is not the end"),
    }
}

#[track_caller]
fn assert_first_close(closed: &Closed, is_whole: bool) {
    assert_eq!((closed.code.get(), &closed.reason[..]), (4005, "gone"), "{closed}");
    assert_eq!((closed.clean, closed.error.is_none()), (is_whole, is_whole), "{closed}");
    assert_eq!(closed.initiator, Initiator::Remote);
}

#[test]
fn a_reset_before_the_echo_is_written_does_not_change_the_code() {
    for role in ROLES {
        for queued in [0, 100, 100_000] {
            let ends: [fn(&mut Connection, Moment); 3] = [
                |connection, now| connection.abort(now, RESET),
                |connection, now| connection.write_failed(now, RESET),
                // It never takes the pending output.
                |connection, now| connection.handle_timeout(now + 30 * SECOND),
            ];
            for end in ends {
                let (mut connection, now) = open(role, no_heartbeat());
                if queued > 0 {
                    connection.send(vec![0; queued]).unwrap();
                    connection.handle_written(now, queued / 2);
                }
                feed(&mut connection, now, &close(role, 4005, b"gone"));
                connection.handle_written(now, 1);
                end(&mut connection, now);
                assert_first_close(&closed_of(poll(&mut connection, now)), false);
                assert_eq!(connection.poll_io(), IoAction::Drop);
            }
        }
    }
}

#[test]
fn a_reset_after_the_echo_was_written_is_a_clean_end() {
    for role in ROLES {
        let (mut connection, now) = open(role, no_heartbeat());
        feed(&mut connection, now, &close(role, 4005, b"gone"));
        take_output(&mut connection, now);
        connection.abort(now, RESET);
        assert_first_close(&closed_of(poll(&mut connection, now)), true);
    }
}

#[test]
fn an_unread_close_is_read_after_a_write_fails() {
    for role in ROLES {
        let (mut connection, now) = open(role, no_heartbeat());
        connection.send(vec![0; 100_000]).unwrap();
        connection.write_failed(now, Error::Io(ErrorKind::BrokenPipe));
        assert_eq!((connection.state(), connection.queued()), (State::Closing, 0));
        assert_eq!(connection.poll_io(), IoAction::Read);
        assert!(poll(&mut connection, now).is_empty());
        let bytes = [
            frame_to(role, FIN | TEXT, b"sent before"),
            frame_to(role, FIN | PING, b""),
            close(role, 4005, b"gone"),
        ];
        let later = now + Duration::from_millis(999);
        let events = feed(&mut connection, later, &bytes.concat());
        assert!(matches!(events[0], Event::Message(_)), "{events:?}");
        assert_eq!(events.len(), 2);
        assert_first_close(&closed_of(events), false);
        assert_eq!((connection.queued(), connection.poll_io()), (0, IoAction::Drop));
    }
}

#[test]
fn a_close_held_back_by_a_pause_is_read_after_a_write_fails() {
    let (mut server, now) = open(Role::Server, no_heartbeat());
    server.pause();
    let mut bytes = close(Role::Server, 4005, b"gone");
    let mut input = &mut bytes[..];
    assert!(server.handle_input(now, &mut input).is_none() && !input.is_empty());
    server.write_failed(now, RESET);
    assert!(!server.is_paused());
    assert!(server.handle_input(now, &mut input).is_none());
    let closed = closed_of(poll(&mut server, now));
    assert_first_close(&closed, false);
    assert!(closed.reading_paused);
}

#[test]
fn a_failed_write_ends_the_connection_within_a_second() {
    for role in ROLES {
        let ends: [fn(&mut Connection, Moment, Role); 4] = [
            |connection, now, _| connection.handle_timeout(now + SECOND),
            |connection, now, _| connection.handle_eof(now),
            |connection, now, _| connection.abort(now, RESET),
            |connection, now, role| connection_fails(connection, now, role),
        ];
        for end in ends {
            let (mut connection, now) = open(role, no_heartbeat());
            connection.send("x").unwrap();
            connection.write_failed(now, Error::Io(ErrorKind::BrokenPipe));
            connection.write_failed(now + SECOND / 2, RESET);
            assert_eq!(connection.poll_timeout(), Some(now + SECOND));
            connection.handle_timeout(now + SECOND - Duration::from_nanos(1));
            assert_eq!(connection.state(), State::Closing);
            end(&mut connection, now, role);
            let closed = closed_of(poll(&mut connection, now));
            assert!(matches!(closed.error, Some(Error::Io(ErrorKind::BrokenPipe))), "{closed}");
            assert_eq!((closed.code, closed.clean), (CloseCode::ABNORMAL, false));
            assert_eq!(connection.poll_io(), IoAction::Drop);
        }
    }
}

/// The peer breaks the protocol.
fn connection_fails(connection: &mut Connection, now: Moment, role: Role) {
    let mut bytes = frame_to(role, 0xf0 | TEXT, b"");
    assert!(connection.handle_input(now, &mut &mut bytes[..]).is_none());
}

#[test]
fn a_failed_write_after_our_close_waits_for_the_peers() {
    for role in ROLES {
        let (mut connection, now) = open(role, no_heartbeat());
        connection.close(now, CloseCode::NORMAL, "").unwrap();
        connection.write_failed(now, RESET);
        let closed = closed_of(feed(&mut connection, now, &close(role, 4005, b"gone")));
        assert_eq!((closed.code.get(), closed.clean, closed.initiator), (4005, false, Initiator::Local));
    }
}

#[test]
fn a_second_close_is_ignored() {
    for role in ROLES {
        let (mut connection, now) = open(role, no_heartbeat());
        let both = [close(role, 4005, b"gone"), close(role, 1000, b"again")].concat();
        feed(&mut connection, now, &both);
        feed(&mut connection, now, &close(role, 1000, b"again"));
        assert_first_close(&closed_of(end(&mut connection, now)), true);
    }
}

#[test]
fn the_peers_code_decides_finality_despite_a_later_failure() {
    let policy = Reconnect::default();
    for (code, is_final) in [(1008, true), (1000, true), (1001, false), (1012, false)] {
        for broken in [true, false] {
            let (mut client, now) = open(CLIENT, no_heartbeat());
            client.send("queued").unwrap();
            feed(&mut client, now, &close(CLIENT, code, b""));
            if broken {
                client.write_failed(now, RESET);
            } else {
                take_output(&mut client, now);
                client.handle_eof(now);
            }
            let closed = closed_of(poll(&mut client, now));
            assert_eq!(closed.error.is_some(), broken);
            assert_eq!(policy.is_final(&closed), is_final, "{closed}");
        }
    }
}

#[test]
fn a_client_that_closed_does_not_reconnect() {
    let ends: [fn(&mut Connection, Moment); 4] = [
        |client, now| client.handle_eof(now),
        |client, now| client.abort(now, RESET),
        |client, now| client.write_failed(now, RESET),
        |_, _| {},
    ];
    for end in ends {
        let (mut client, now) = open(CLIENT, no_heartbeat());
        client.close(now, CloseCode::NORMAL, "").unwrap();
        end(&mut client, now);
        client.handle_timeout(now + 5 * SECOND);
        let closed = closed_of(poll(&mut client, now));
        assert!(Reconnect::default().is_final(&closed), "{closed}");
    }
    // A server's fault, or a dead server, is not final.
    let (mut client, now) = open(CLIENT, no_heartbeat());
    feed(&mut client, now, &frame_to(CLIENT, 0xf0 | TEXT, b""));
    assert!(!Reconnect::default().is_final(&closed_of(end(&mut client, now))));
    let (mut client, now) = open(CLIENT, Config::client().heartbeat(Heartbeat::frequent()));
    client.handle_timeout(now + 25 * SECOND);
    client.handle_timeout(now + 45 * SECOND);
    assert!(!Reconnect::default().is_final(&closed_of(poll(&mut client, now))));
}

#[test]
fn a_stop_is_reported_as_local() {
    let (mut server, now) = open(Role::Server, no_heartbeat());
    server.abort(now, Error::Stopped);
    let closed = closed_of(poll(&mut server, now));
    assert_eq!(closed.initiator, Initiator::Local, "{closed}");
}

#[test]
fn a_slow_peer_receives_1013_ahead_of_queued_output() {
    for role in ROLES {
        let (mut connection, now) = open(role, no_heartbeat());
        for _ in 0..100 {
            connection.send(vec![0; 10_000]).unwrap();
        }
        let mut output = take_some(&mut connection, now, 100);
        connection.handle_written(now, 0);
        output.extend(take_some(&mut connection, now + 29 * SECOND, 20_000));
        connection.handle_timeout(now + 30 * SECOND);
        assert_eq!(connection.state(), State::Closing);
        output.extend(take_output(&mut connection, now + 30 * SECOND));
        assert_eq!((close_code(&output), parse(&output).len()), (Some(1013), 4));
        let closed = closed_of(end(&mut connection, now + 31 * SECOND));
        assert!(matches!(closed.error, Some(Error::Timeout(Timeout::Output))), "{closed}");
        assert_eq!((closed.initiator, closed.sent), (Initiator::Local, Some(CloseCode::TRY_AGAIN_LATER)));
    }
}
