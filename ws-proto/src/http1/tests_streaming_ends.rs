//! Streaming requests whose connections end, pause or stop.

use super::tests_streaming::{CHUNKED, put, streaming};
use crate::connection::{Connection, IoAction};
use crate::error::{Error, RequestError};
use crate::event::{Event, RequestBody};
use crate::handshake::Request;
use crate::moment::Moment;
use ::http::Response;
use bytes::{Buf, Bytes};
use core::time::Duration;
use std::io::ErrorKind;
use std::sync::Arc;

fn connection(lines: &str) -> (Connection, Request) {
    let mut connection =
        Connection::server(Moment::default(), Arc::new(streaming(1 << 50)), Default::default());
    let mut bytes = put(lines).into_bytes();
    let event = connection.handle_input(Moment::default(), &mut &mut bytes[..]);
    let Some(Event::Request(request)) = event else { panic!("{event:?}") };
    assert!(connection.http().is_receiving_body(&request));
    (connection, request)
}

fn feed(connection: &mut Connection, bytes: &str) -> Option<Event<'static>> {
    let mut bytes = bytes.as_bytes().to_vec();
    connection.handle_input(Moment::default(), &mut &mut bytes[..]).map(Event::into_owned)
}

/// The next events are the end of the body, and the end of the connection.
fn assert_cut(connection: &mut Connection, is_cause: impl Fn(&Error) -> bool) {
    let now = Moment::default();
    let cut = connection.poll_event(now);
    assert!(matches!(&cut, Some(Event::Body(RequestBody::Incomplete(e))) if is_cause(e)), "{cut:?}");
    for _ in 0..9 {
        match connection.poll_io() {
            IoAction::Write => {
                let len = connection.outbox().remaining();
                connection.handle_written(now, len);
            }
            IoAction::Read => connection.handle_eof(now),
            _ => {}
        }
    }
    let closed = connection.poll_event(now);
    assert!(
        matches!(&closed, Some(Event::Closed(c)) if c.error.as_ref().is_some_and(&is_cause)),
        "{closed:?}"
    );
    assert!(connection.poll_event(now).is_none());
}

#[test]
fn a_body_that_is_cut_off_ends_incomplete_before_the_connection_does() {
    let now = Moment::default();
    type Cut = fn(&mut Connection, Moment);
    type Cause = fn(&Error) -> bool;
    let cuts: [(Cut, Cause); 6] = [
        (|c, now| c.handle_eof(now), |e| matches!(e, Error::RequestCutOff)),
        (
            |c, now| c.abort(now, Error::Io(ErrorKind::ConnectionReset)),
            |e| matches!(e, Error::Io(ErrorKind::ConnectionReset)),
        ),
        (|c, now| c.write_failed(now, Error::Io(ErrorKind::BrokenPipe)), |e| matches!(e, Error::Io(_))),
        (|c, now| c.close(now, 1000, "").unwrap(), |e| matches!(e, Error::Aborted)),
        (|c, now| c.abort(now, Error::Stopped), |e| matches!(e, Error::Stopped)),
        (
            |c, now| {
                let mut bytes = *b"!";
                assert!(matches!(
                    c.handle_input(now, &mut &mut bytes[..]),
                    Some(Event::Body(RequestBody::Incomplete(_)))
                ));
            },
            |e| matches!(e, Error::Request(RequestError::Malformed(_))),
        ),
    ];
    for (cut, is_cause) in &cuts[..5] {
        for lines in [CHUNKED, "Content-Length: 50\r\n"] {
            let (mut connection, request) = connection(lines);
            let data = if lines == CHUNKED { "5\r\nhello" } else { "hello" };
            assert!(matches!(feed(&mut connection, data), Some(Event::Body(RequestBody::Data(_)))));
            cut(&mut connection, now);
            assert_cut(&mut connection, is_cause);
            assert!(!connection.http().is_receiving_body(&request));
        }
    }
    // Found in the input.
    let (mut connection, _request) = connection(CHUNKED);
    cuts[5].0(&mut connection, now);
    assert!(!matches!(connection.poll_event(now), Some(Event::Body(_))), "told once");
}

#[test]
fn an_answered_or_dropped_request_does_not_learn_of_a_cut() {
    let now = Moment::default();
    for is_dropped in [false, true] {
        let (mut connection, request) = connection("Content-Length: 50\r\n");
        match is_dropped {
            true => drop(request),
            false => connection.respond(now, request, Response::default()).unwrap(),
        }
        connection.handle_eof(now);
        for _ in 0..4 {
            let event = connection.poll_event(now);
            assert!(matches!(event, None | Some(Event::Closed(_))), "{event:?}");
            let len = connection.outbox().remaining();
            connection.handle_written(now, len);
        }
    }
}

#[test]
fn a_whole_body_is_complete_even_if_the_peer_has_ended_its_stream() {
    let (mut connection, request) = connection("Content-Length: 5\r\n");
    let now = Moment::default();
    assert!(matches!(feed(&mut connection, "hello"), Some(Event::Body(RequestBody::Data(_)))));
    connection.handle_eof(now);
    assert!(matches!(connection.poll_event(now), Some(Event::Body(RequestBody::Complete))));
    connection.respond(now, request, Response::new(Bytes::from("stored"))).unwrap();
    assert!(connection.outbox().remaining() > 0);
}

#[test]
fn a_paused_body_waits_in_the_transport_without_a_deadline() {
    let (mut connection, _request) = connection("Content-Length: 50\r\n");
    let now = Moment::default();
    assert!(feed(&mut connection, "").is_none());
    assert_eq!(connection.poll_timeout(), Some(now + Duration::from_secs(30)));
    connection.pause();
    assert!(connection.is_paused() && connection.poll_timeout().is_none());
    let mut bytes = *b"hello";
    let mut input = &mut bytes[..];
    assert!(connection.handle_input(now, &mut input).is_none());
    assert_eq!(input.len(), 5);
    let later = now + Duration::from_secs(3600);
    connection.resume(later);
    assert_eq!(connection.poll_timeout(), Some(later + Duration::from_secs(30)));
    assert!(connection.handle_input(later, &mut input).is_some());
}

#[test]
fn a_stopping_server_receives_the_body_to_its_end() {
    let (mut connection, request) = connection("Content-Length: 5\r\n");
    let now = Moment::default();
    connection.go_away(now, 1001, "").unwrap();
    assert!(matches!(feed(&mut connection, "hello"), Some(Event::Body(RequestBody::Data(_)))));
    assert!(matches!(connection.poll_event(now), Some(Event::Body(RequestBody::Complete))));
    connection.respond(now, request, Response::default()).unwrap();
    let len = connection.outbox().remaining();
    let output = connection.outbox().copy_to_bytes(len);
    assert!(output.windows(17).any(|text| text == b"Connection: close"));
}
