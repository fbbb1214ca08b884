//! How connections end (RFC 6455 §5.5.1, §7).
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use bytes::Buf;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use ws_kit::frames::*;
use ws_kit::pair::Pair;
use ws_proto::{
    ClientRequest, CloseCode, Config, Connection, Error, Event, Frame, Heartbeat, Initiator, IoAction,
    Moment, Opcode, ProtocolError, ResponseError, Role, SendError, State, Timeout,
};

fn close_body(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

#[test]
fn both_sides_report_the_others_code_and_reason() {
    let mut pair = Pair::open();
    pair.client.connection.close(pair.now, CloseCode::from(4001), "so long").unwrap();
    pair.drive();
    let closed = pair.server.closed();
    assert_eq!((closed.code.get(), &closed.reason[..]), (4001, "so long"));
    assert!(closed.clean && closed.initiator == Initiator::Remote && closed.error.is_none());
    let closed = pair.client.closed();
    assert_eq!((closed.code.get(), &closed.reason[..]), (4001, ""), "the code is echoed, the reason is not");
    assert!(closed.clean && closed.initiator == Initiator::Local && closed.error.is_none());
    assert!(pair.client.dropped && pair.server.dropped);
}

#[test]
fn received_codes_are_accepted_or_rejected_per_the_registry() {
    for code in 0..=u16::MAX {
        let (mut server, now) = open(Role::Server, Config::server());
        feed(&mut server, now, &frame(true, FIN | CLOSE, &close_body(code, b"")));
        let good = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        assert_eq!(close_code(&take_output(&mut server, now)), Some(if good { code } else { 1002 }));
        assert_eq!(CloseCode::from(code).is_sendable(), good);
    }
}

#[test]
fn a_close_body_of_one_byte_or_with_a_bad_reason_fails() {
    for (body, code, fault) in [
        (&b"\x03"[..], 1002, ProtocolError::CloseTooShort),
        (b"\x03\xe8\xff", 1007, ProtocolError::CloseReasonNotUtf8),
        (b"\x03\xe7", 1002, ProtocolError::CloseCodeInvalid(999)),
    ] {
        let (mut server, now) = open(Role::Server, Config::server());
        feed(&mut server, now, &frame(true, FIN | CLOSE, body));
        assert_eq!(close_code(&take_output(&mut server, now)), Some(code));
        let Some(Event::Closed(closed)) = end(&mut server, now).pop() else { panic!("no end") };
        assert!(matches!(closed.error, Some(Error::Protocol(error)) if error == fault));
        assert_eq!((closed.code, closed.clean), (CloseCode::ABNORMAL, false));
    }
}

#[test]
fn forbidden_codes_are_rejected_and_the_connection_continues() {
    let (mut server, now) = open(Role::Server, Config::server());
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
        let code = CloseCode::from(code);
        assert_eq!(server.close(now, code, "x"), Err(SendError::CloseCodeInvalid(code)));
    }
    let long = "x".repeat(124);
    assert_eq!(server.close(now, CloseCode::NORMAL, &long), Err(SendError::CloseReasonTooLong(124)));
    assert_eq!((server.state(), server.queued()), (State::Open, 0));
    server.close(now, CloseCode::NORMAL, &long[..123]).unwrap();
}

#[test]
fn a_close_without_a_body_is_reported_as_1005_and_empty_on_the_wire() {
    let mut pair = Pair::open();
    pair.client.connection.close(pair.now, CloseCode::NO_STATUS, "").unwrap();
    pair.drive();
    assert_eq!(pair.server.closed().code, CloseCode::NO_STATUS);
    assert!(pair.server.closed().clean && pair.client.closed().clean);
    let (mut server, now) = open(Role::Server, Config::server());
    feed(&mut server, now, &frame(true, FIN | CLOSE, b""));
    assert_eq!(take_output(&mut server, now), b"\x88\x00");
}

#[test]
fn crossing_closes_complete_on_both_sides() {
    let mut pair = Pair::open();
    pair.client.connection.close(pair.now, CloseCode::from(4000), "").unwrap();
    pair.server.connection.close(pair.now, CloseCode::from(4001), "").unwrap();
    pair.drive();
    assert_eq!((pair.server.closed().code.get(), pair.client.closed().code.get()), (4000, 4001));
    assert!(pair.server.closed().clean && pair.client.closed().clean);
}

#[test]
fn data_before_the_peers_close_is_delivered_after_ours() {
    let mut pair = Pair::open();
    pair.server.connection.close(pair.now, CloseCode::GOING_AWAY, "").unwrap();
    pair.client.connection.send("on its way").unwrap();
    pair.drive();
    assert_eq!(pair.server.texts(), ["on its way"]);
    assert!(pair.server.closed().clean);
}

#[test]
fn after_our_close_a_ping_is_not_answered() {
    let (mut server, now) = open(Role::Server, Config::server());
    server.close(now, CloseCode::NORMAL, "").unwrap();
    feed(&mut server, now, &frame(true, FIN | PING, b""));
    assert_eq!(close_code(&take_output(&mut server, now)), Some(1000));
}

#[test]
fn nothing_is_sent_after_our_close() {
    let heartbeat =
        Heartbeat::frequent().idle(Duration::from_millis(10)).pong_timeout(Duration::from_secs(60));
    let (mut server, now) = open(Role::Server, Config::server().heartbeat(heartbeat));
    server.close(now, CloseCode::NORMAL, "").unwrap();
    assert_eq!(close_code(&take_output(&mut server, now)), Some(1000));
    for tenth in 1..50 {
        let now = now + Duration::from_millis(100 * tenth);
        server.handle_timeout(now);
        assert_eq!(server.send("late"), Err(SendError::NotOpen));
        assert_eq!(server.send_ping(now, b""), Err(SendError::NotOpen));
        assert_eq!(server.close(now, CloseCode::NORMAL, ""), Err(SendError::NotOpen));
        assert!(feed(&mut server, now, &frame(true, FIN | PING, b"?")).is_empty());
        assert!(take_output(&mut server, now).is_empty());
    }
    assert_eq!(server.state(), State::Closing);
}

#[test]
fn a_close_drops_messages_queued_behind_an_unfinished_one() {
    let (mut server, now) = open(Role::Server, Config::server());
    server.send(Frame::raw(Opcode::Text, false, "begun").unwrap()).unwrap();
    for _ in 0..10 {
        server.send("waits").unwrap();
    }
    server.close(now, CloseCode::NORMAL, "").unwrap();
    let queued = server.queued();
    let output = take_output(&mut server, now);
    assert_eq!((queued, parse(&output).len()), (output.len(), 2), "the fragment and the Close");
    assert_eq!(server.queued(), 0);
}

/// Control frames go between frames, including one that the socket has partly taken.
#[test]
fn queued_frames_are_sent_whole_and_in_order_before_the_close() {
    for pace in [1, 7, 100, 5000] {
        let (mut server, now) = open(Role::Server, Config::server());
        let mut written = Vec::new();
        let mut take = |server: &mut Connection, most: usize| {
            let outbox = server.outbox();
            let n = outbox.chunk().len().min(most);
            written.extend_from_slice(&outbox.chunk()[..n]);
            server.handle_written(now, n);
        };
        let mut expected = Vec::new();
        for n in 0..100usize {
            // Large payloads are not copied into the outbox.
            expected.push(vec![n as u8; n * 50 % 3000]);
            server.send(Frame::binary(expected[n].clone())).unwrap();
            take(&mut server, pace);
            feed(&mut server, now, &frame(true, FIN | PING, &[n as u8]));
            take(&mut server, pace);
        }
        server.close(now, CloseCode::from(4000), "enough").unwrap();
        feed(&mut server, now, &frame(true, FIN | CLOSE, &close_body(4001, b"")));
        while server.outbox().has_remaining() {
            take(&mut server, pace);
        }
        let frames = parse(&written);
        let messages: Vec<_> = frames
            .iter()
            .filter(|frame| frame.first == FIN | BINARY)
            .map(|frame| frame.payload.clone())
            .collect();
        assert_eq!(messages, expected, "at {pace} bytes");
        assert_eq!(close_code(&written), Some(4000), "exactly one Close, at the end");
        let Some(Event::Closed(closed)) = end(&mut server, now).pop() else { panic!("no end") };
        assert!(closed.clean && closed.code == CloseCode::from(4001));
    }
}

#[test]
fn input_after_the_peers_close_is_discarded() {
    let (mut server, now) = open(Role::Server, Config::server());
    let mut bytes = frame(true, FIN | CLOSE, &close_body(1000, b""));
    bytes.extend(frame(true, FIN | TEXT, b"late"));
    bytes.extend(b"\xff\xff garbage");
    assert!(feed(&mut server, now, &bytes).is_empty());
    assert!(feed(&mut server, now, b"more garbage").is_empty());
    assert_eq!(close_code(&take_output(&mut server, now)), Some(1000));
    let Some(Event::Closed(closed)) = end(&mut server, now).pop() else { panic!("no end") };
    assert!(closed.clean && closed.error.is_none() && closed.code == CloseCode::NORMAL);
}

#[test]
fn the_server_half_closes_first_and_the_client_waits_for_it() {
    let mut pair = Pair::open();
    pair.client.connection.close(pair.now, CloseCode::NORMAL, "").unwrap();
    pair.drive();
    assert!(pair.server.has_half_closed() && !pair.client.has_half_closed());

    // If a server keeps TCP open, the client drops it after the timeout.
    let (mut client, now) = open(CLIENT, Config::client());
    client.close(now, CloseCode::NORMAL, "").unwrap();
    take_output(&mut client, now);
    assert!(feed(&mut client, now, &frame(false, FIN | CLOSE, &close_body(1000, b""))).is_empty());
    assert_eq!(client.poll_io(), IoAction::Read);
    client.handle_timeout(now + Duration::from_secs(5));
    assert!(matches!(&poll(&mut client, now)[..], [Event::Closed(closed)] if closed.clean));
    assert_eq!(client.poll_io(), IoAction::Drop);
}

#[test]
fn a_failed_connection_drains_so_that_no_reset_destroys_the_close() {
    let (mut server, now) = open(Role::Server, Config::server().message_limit(10));
    feed(&mut server, now, &header(true, FIN | BINARY, 1 << 20));
    assert_eq!(close_code(&take_output(&mut server, now)), Some(1009));
    assert_eq!(server.poll_io(), IoAction::Shutdown, "the Close, then our FIN");
    for _ in 0..16 {
        assert_eq!(server.poll_io(), IoAction::Read, "input in flight is read");
        assert!(feed(&mut server, now, &vec![0; 64 << 10]).is_empty());
    }
    server.handle_eof(now);
    assert_eq!(poll(&mut server, now).len(), 1);
    assert_eq!(server.poll_io(), IoAction::Drop);
}

#[test]
fn draining_has_a_limit_in_bytes_and_in_time() {
    let mut config = Config::server();
    config = config.drain_limit(1000);
    let (mut server, now) = open(Role::Server, config);
    feed(&mut server, now, b"\xff");
    take_output(&mut server, now);
    assert!(feed(&mut server, now, &[0; 999]).is_empty(), "with the bad byte, exactly the limit");
    assert!(matches!(feed(&mut server, now, &[0; 1])[..], [Event::Closed(_)]));

    let (mut server, now) = open(Role::Server, Config::server());
    feed(&mut server, now, b"\xff");
    assert_eq!(server.poll_timeout(), Some(now + Duration::from_secs(5)));
    server.handle_timeout(now + Duration::from_secs(5));
    assert!(matches!(poll(&mut server, now)[..], [Event::Closed(_)]), "flushed or not");
    assert_eq!(server.poll_io(), IoAction::Drop);
}

#[test]
fn the_first_cause_is_reported() {
    let (mut server, now) = open(Role::Server, Config::server());
    feed(&mut server, now, b"\xff");
    server.abort(now, Error::Io(ErrorKind::ConnectionReset));
    let Some(Event::Closed(closed)) = poll(&mut server, now).pop() else { panic!("no end") };
    assert!(matches!(closed.error, Some(Error::Protocol(ProtocolError::ReservedBits))));

    // A clean end stays clean, regardless of later transport errors.
    let (mut server, now) = open(Role::Server, Config::server());
    feed(&mut server, now, &frame(true, FIN | CLOSE, &close_body(1000, b"")));
    take_output(&mut server, now);
    server.abort(now, Error::Io(ErrorKind::ConnectionReset));
    assert!(matches!(&poll(&mut server, now)[..], [Event::Closed(closed)] if closed.clean));
}

#[test]
fn the_whole_closing_phase_has_one_deadline() {
    let (mut server, now) = open(Role::Server, Config::server());
    server.close(now, CloseCode::NORMAL, "").unwrap();
    let due = Some(now + Duration::from_secs(5));
    assert_eq!(server.poll_timeout(), due);
    let later = now + Duration::from_secs(3);
    feed(&mut server, later, &frame(true, FIN | TEXT, b"still talking"));
    server.handle_timeout(later);
    assert_eq!(server.poll_timeout(), due);
    server.handle_timeout(now + Duration::from_secs(5));
    let Some(Event::Closed(closed)) = poll(&mut server, later).pop() else { panic!("no end") };
    assert!(matches!(closed.error, Some(Error::Timeout(Timeout::Close))));
    assert_eq!(closed.sent, None, "our Close was never written");
}

#[test]
fn a_close_inside_a_fragmented_message_is_valid() {
    let mut pair = Pair::open();
    pair.client.connection.send(Frame::raw(Opcode::Text, false, "half a ").unwrap()).unwrap();
    pair.client.connection.close(pair.now, CloseCode::NORMAL, "").unwrap();
    pair.drive();
    assert!(pair.server.texts().is_empty());
    assert!(pair.server.closed().clean && pair.client.closed().clean);
}

#[test]
fn eof_without_a_close_is_1006_immediately() {
    let (mut server, now) = open(Role::Server, Config::server());
    server.send("unsent").unwrap();
    server.handle_eof(now);
    let Some(Event::Closed(closed)) = poll(&mut server, now).pop() else { panic!("no end") };
    assert!(matches!(closed.error, Some(Error::Eof)));
    assert_eq!((closed.code, closed.initiator), (CloseCode::ABNORMAL, Initiator::Remote));
    assert_eq!((server.poll_io(), server.queued()), (IoAction::Drop, 0));
}

#[test]
fn a_pending_pong_is_dropped_when_the_peer_closes() {
    let (mut server, now) = open(Role::Server, Config::server());
    for n in 0..20u8 {
        feed(&mut server, now, &frame(true, FIN | PING, &[n]));
    }
    feed(&mut server, now, &frame(true, FIN | CLOSE, b""));
    let written = parse(&take_output(&mut server, now));
    assert_eq!(written.len(), 17, "sixteen pongs were queued before the Close; the newest is dropped");
    assert_eq!(written[16].first, FIN | CLOSE);
}

#[test]
fn closed_is_emitted_once_and_last_from_every_stage_and_cause() {
    let now = Moment::default();
    let config = Arc::new(Config::server());
    let request = || ClientRequest::new("ws://localhost/").unwrap();
    let handshake = || Connection::client(now, config.clone(), request(), [0; 32]);
    let open = || Connection::upgraded(now, config.clone(), Role::Server);
    let closing = || {
        let mut connection = open();
        connection.close(now, CloseCode::NORMAL, "").unwrap();
        connection
    };
    let draining = || {
        let mut connection = open();
        feed(&mut connection, now, b"\xff");
        connection
    };
    let stages: [&dyn Fn() -> Connection; 4] = [&handshake, &open, &closing, &draining];
    for stage in stages {
        for cause in 0..3 {
            let mut connection = stage();
            match cause {
                0 => connection.abort(now, Error::Aborted),
                1 => {
                    take_output(&mut connection, now);
                    connection.handle_eof(now);
                }
                _ => {
                    // First a heartbeat, if there is one; then its answer is overdue.
                    connection.handle_timeout(now + Duration::from_secs(3600));
                    connection.handle_timeout(now + Duration::from_secs(7200));
                }
            }
            let events = poll(&mut connection, now);
            assert!(matches!(events[..], [Event::Closed(_)]), "{cause}: {events:?}");
            assert_eq!((connection.poll_io(), connection.poll_timeout()), (IoAction::Drop, None));
            connection.abort(now, Error::Aborted);
            connection.handle_eof(now);
            assert!(feed(&mut connection, now, b"\x81\x01a").is_empty(), "nothing after the end");
        }
    }
}

#[test]
fn a_connection_without_requests_ends_silently() {
    let now = Moment::default();
    for bytes in [&b""[..], b"GET / HT", b"garbage\r\n\r\n"] {
        let mut server = Connection::server(now, Arc::new(Config::server()), Default::default());
        assert!(feed(&mut server, now, bytes).is_empty());
        assert!(end(&mut server, now).is_empty());
    }
}

#[test]
fn closed_explains_itself_in_a_sentence() {
    let mut pair = Pair::open();
    pair.client.connection.close(pair.now, CloseCode::from(4001), "so long").unwrap();
    pair.drive();
    let sentence = pair.server.closed().to_string();
    assert!(
        sentence
            .starts_with("the peer closed the connection: 4001 private to the application (\"so long\"); ")
    );

    let (mut server, now) = open(Role::Server, Config::server().message_limit(10));
    feed(&mut server, now, &frame(true, FIN | TEXT, b"eleven byte"));
    let Some(Event::Closed(closed)) = end(&mut server, now).pop() else { panic!("no end") };
    let sentence = closed.to_string();
    assert!(sentence.contains("over the limit of 10 bytes; raise message_limit"), "{sentence}");
    assert!(sentence.contains("; sent close 1009; 17 bytes in, "), "{sentence}");

    let mut pair = Pair::new(Config::client(), Config::server());
    pair.accept = false;
    pair.drive();
    let Some(Event::Upgrade(upgrade)) = pair.server.events.pop() else { panic!("no upgrade") };
    let mut no = http::Response::new(bytes::Bytes::from_static(b"not you"));
    *no.status_mut() = http::StatusCode::FORBIDDEN;
    pair.server.connection.respond(pair.now, upgrade, no).unwrap();
    pair.drive();
    let closed = pair.client.closed();
    let Some(Error::Response(ResponseError::Rejected(response))) = &closed.error else { panic!("{closed}") };
    assert_eq!((response.status().as_u16(), &response.body()[..]), (403, &b"not you"[..]));
    assert!(closed.to_string().contains("the server answered 403 Forbidden"), "{closed}");
}

#[test]
fn a_rejection_is_reported_even_if_the_server_stalls_or_resets() {
    let now = Moment::default();
    let head = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\n\r\nnot you";
    let rejected = || {
        let request = ClientRequest::new("ws://localhost/").unwrap();
        let mut client = Connection::client(now, Arc::new(Config::client()), request, [1; 32]);
        assert!(client.handle_input(now, &mut &mut head.to_vec()[..]).is_none());
        client
    };
    for reset in [false, true] {
        let mut client = rejected();
        match reset {
            true => client.abort(now, Error::Io(ErrorKind::ConnectionReset)),
            false => client.handle_timeout(client.poll_timeout().unwrap()),
        }
        let Some(Event::Closed(closed)) = client.poll_event(now) else { panic!("no end") };
        let Some(Error::Response(ResponseError::Rejected(response))) = &closed.error else {
            panic!("{closed}")
        };
        assert_eq!((response.status().as_u16(), &response.body()[..]), (401, &b"not you"[..]));
        assert_eq!(closed.initiator, Initiator::Remote);
    }
    // A close of our own is reported as local.
    let mut client = rejected();
    client.abort(now, Error::Aborted);
    let Some(Event::Closed(closed)) = client.poll_event(now) else { panic!("no end") };
    assert!(matches!(closed.error, Some(Error::Aborted)), "{closed}");
}

#[test]
fn an_end_is_not_clean_when_our_close_never_left() {
    for cut in [false, true] {
        let (mut server, now) = open(Role::Server, Config::server());
        server.send("in the way").unwrap();
        server.handle_written(now, 3);
        feed(&mut server, now, &frame(true, FIN | CLOSE, &close_body(1000, b"")));
        if cut {
            server.abort(now, Error::Io(ErrorKind::ConnectionReset));
        } else {
            server.handle_timeout(now + Duration::from_secs(30));
        }
        let Some(Event::Closed(closed)) = poll(&mut server, now).pop() else { panic!("no end") };
        assert!(!closed.clean && closed.error.is_some(), "{closed}");
    }
}

/// Accepted and closed immediately: `Open` is emitted before the end, and input received in between after it.
#[test]
fn a_close_before_open_is_emitted_reports_both() {
    for closes in [true, false] {
        let mut pair = Pair::new(Config::client(), Config::server());
        pair.accept = false;
        pair.drive();
        let Some(Event::Upgrade(upgrade)) = pair.server.events.pop() else { panic!("no upgrade") };
        let server = &mut pair.server;
        server.connection.accept(pair.now, upgrade).unwrap();
        if closes {
            server.connection.close(pair.now, CloseCode::GOING_AWAY, "").unwrap();
            let mut message = frame(true, FIN | TEXT, b"sent meanwhile");
            let mut input = &mut message[..];
            assert!(matches!(server.handle_input(pair.now, &mut input), Some(Event::Open(_))));
            assert!(matches!(server.handle_input(pair.now, &mut input), Some(Event::Message(_))));
        } else {
            server.connection.abort(pair.now, Error::Aborted);
            assert!(matches!(server.poll_event(pair.now), Some(Event::Open(_))));
        }
        pair.drive();
        assert!(pair.server.closed().was_open && pair.server.events.len() == 1);
    }
}

#[test]
fn the_end_without_requests_is_reported_only_with_report_all_closes() {
    let ends: [fn(&mut Connection, Moment); 4] = [
        |server, now| server.handle_eof(now),
        |server, now| server.abort(now, Error::Io(ErrorKind::ConnectionReset)),
        |server, now| server.handle_timeout(now + Duration::from_secs(10)),
        |server, now| drop(feed(server, now, b"NONSENSE\r\n\r\n")),
    ];
    for (k, how) in ends.into_iter().enumerate() {
        for (config, expected) in [(Config::server(), 0), (Config::server().report_all_closes(true), 1)] {
            let now = Moment::default();
            let mut server = Connection::server(now, Arc::new(config), Default::default());
            how(&mut server, now);
            take_output(&mut server, now);
            let events = end(&mut server, now + Duration::from_secs(10));
            assert_eq!(events.len(), expected, "end {k}: {events:?}");
            assert!(events.iter().all(|event| matches!(event, Event::Closed(closed) if !closed.was_open)));
            assert!(poll(&mut server, now).is_empty(), "once");
        }
    }
}
