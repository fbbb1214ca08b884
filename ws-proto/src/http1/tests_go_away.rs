//! A stopping server: what it finishes, what continues, and what is finally cut off.

use super::tests_server::UPGRADE;
use super::tests_stream::{GET, Rig};
use crate::{CloseCode, Closed, Error, Event, IoAction, RespondError, ResponseBody, SendError};
use ::http::Response;
use bytes::Bytes;

const POST: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody";
const GET_10: &str = "GET / HTTP/1.0\r\n\r\n";

impl Rig {
    fn go_away(&mut self) {
        for _ in 0..2 {
            self.conn.go_away(self.now, CloseCode::GOING_AWAY, "").unwrap_or_else(|error| {
                assert_eq!(error, SendError::NotOpen, "it is ending");
            });
        }
    }

    fn begin_as(&mut self, text: &str, media_type: &str, length: Option<u64>) -> ResponseBody {
        let request = self.request(text);
        self.stream(request, media_type, length)
    }

    fn stream(&mut self, request: crate::Request, media_type: &str, length: Option<u64>) -> ResponseBody {
        let head = Response::builder().header("Content-Type", media_type).body(()).unwrap();
        self.conn.http().respond_streaming(self.now, request, head, length).unwrap()
    }

    fn ok(&mut self, request: crate::Request) {
        self.conn.respond(self.now, request, Response::new(Bytes::from("ok"))).unwrap();
    }

    /// Nothing more is read or answered, and nothing is lost.
    fn ends_well(&mut self) {
        assert_eq!(self.conn.poll_io(), IoAction::Shutdown);
        self.conn.handle_eof(self.now);
        let closed = self.end();
        assert!(closed.error.is_none() && self.conn.poll_io() != IoAction::Reset, "{closed}");
    }

    fn stop(&mut self) -> Closed {
        self.conn.abort(self.now, Error::Stopped);
        assert!(!self.conn.outbox().chunk_is_there());
        self.end()
    }
}

impl crate::Outbox {
    fn chunk_is_there(&self) -> bool {
        bytes::Buf::has_remaining(self)
    }
}

#[test]
fn event_streams_are_finished_at_once() {
    for media_type in [
        "text/event-stream",
        "text/event-stream; charset=utf-8",
        "Text/Event-Stream ;x=y",
        "TEXT/EVENT-STREAM",
    ] {
        for (head, last) in [(GET, "data\r\n0\r\n\r\n"), (GET_10, "data")] {
            let mut rig = Rig::new();
            let body = rig.begin_as(head, media_type, None);
            rig.conn.http().send_body(&body, "data").unwrap();
            rig.go_away();
            assert_eq!(rig.conn.http().send_body(&body, "more"), Err(RespondError::NotOpen));
            assert_eq!(rig.conn.http().finish_body(rig.now, body), Err(RespondError::NotOpen));
            assert!(rig.output().ends_with(last));
            rig.ends_well();
        }
    }
}

#[test]
fn queued_and_later_event_streams_are_finished_too() {
    let mut rig = Rig::new();
    let (first, second, third) = (rig.request(GET), rig.request(GET), rig.request(GET));
    let second = rig.stream(second, "text/event-stream", None);
    rig.conn.http().send_body(&second, "held").unwrap();
    rig.go_away();
    assert_eq!(rig.conn.http().send_body(&second, "more"), Err(RespondError::NotOpen));
    let third = rig.stream(third, "text/event-stream", None);
    assert_eq!(rig.conn.http().send_body(&third, "more"), Err(RespondError::NotOpen));
    rig.ok(first);
    let output = rig.output();
    assert!(output.contains("4\r\nheld\r\n0\r\n\r\nHTTP/1.1 200 OK"), "{output}");
    assert!(output.ends_with("Connection: close\r\n\r\n0\r\n\r\n"), "{output}");
    assert_eq!(output.matches("Connection: close").count(), 1);
    rig.ends_well();
}

#[test]
fn other_answers_continue_to_their_end() {
    for (head, media_type, length) in [
        (GET, "text/plain", None),
        (GET, "text/event-stream-of-mine", None),
        (GET, "application/x-ndjson", None),
        (GET, "text/event-stream", Some(4)),
        (GET, "text/plain", Some(4)),
        (GET_10, "text/plain", None),
    ] {
        let mut rig = Rig::new();
        let body = rig.begin_as(head, media_type, length);
        rig.go_away();
        rig.conn.http().send_body(&body, "rest").unwrap();
        rig.conn.http().finish_body(rig.now, body).unwrap();
        assert!(rig.output().contains("rest"));
        rig.ends_well();
        // Later answers declare that they are the last.
        let mut rig = Rig::new();
        let request = rig.request(head);
        rig.go_away();
        let body = rig.stream(request, media_type, length);
        rig.conn.http().send_body(&body, "rest").unwrap();
        rig.conn.http().finish_body(rig.now, body).unwrap();
        let output = rig.output();
        assert!(output.contains("\r\nConnection: close\r\n") && output.contains("rest"), "{output}");
        rig.ends_well();
    }
}

#[test]
fn late_answers_are_sent_and_the_last_closes() {
    let mut rig = Rig::new();
    let (first, second) = (rig.request(GET), rig.request(GET));
    rig.go_away();
    rig.ok(second);
    rig.ok(first);
    let output = rig.output();
    assert!(output.ends_with("Connection: close\r\n\r\nok") && output.matches("ok").count() == 2, "{output}");
    assert_eq!(output.matches("Connection: close").count(), 1);
    rig.ends_well();
}

#[test]
fn partly_received_request_is_read_and_answered() {
    for cut in 1..POST.len() {
        let mut rig = Rig::new();
        assert!(rig.conn.handle_input(rig.now, &mut &mut POST.as_bytes()[..cut].to_vec()[..]).is_none());
        rig.go_away();
        let mut rest = [&POST[cut..], GET].concat().into_bytes();
        let mut input = &mut rest[..];
        let Some(Event::Request(request)) = rig.conn.handle_input(rig.now, &mut input) else {
            panic!("cut at {cut}")
        };
        assert_eq!(request.body(), "body");
        assert!(rig.conn.handle_input(rig.now, &mut input).is_none());
        assert_eq!(input.len(), GET.len(), "a further one is not taken");
        rig.ok(request);
        assert!(rig.output().ends_with("Connection: close\r\n\r\nok"));
        rig.ends_well();
    }
}

#[test]
fn no_further_request_is_taken() {
    // A request that the engine keeps during a stream is like one still in the kernel.
    for (length, kept) in [(None, 0), (Some(0), GET.len())] {
        let mut rig = Rig::new();
        let body = rig.begin_as(GET, "text/plain", length);
        let mut behind = GET.as_bytes().to_vec();
        let mut input = &mut behind[..];
        assert!(rig.conn.handle_input(rig.now, &mut input).is_none());
        assert_eq!(input.len(), kept);
        rig.go_away();
        rig.conn.http().finish_body(rig.now, body).unwrap();
        assert!(rig.conn.handle_input(rig.now, &mut input).is_none());
        assert!(rig.conn.poll_event(rig.now).is_none());
        rig.output();
        rig.ends_well();
    }
}

#[test]
fn an_idle_connection_ends() {
    for silence in ["", "\r\n"] {
        let mut rig = Rig::new();
        let request = rig.request(GET);
        rig.ok(request);
        assert!(rig.conn.handle_input(rig.now, &mut &mut silence.as_bytes().to_vec()[..]).is_none());
        rig.go_away();
        assert!(rig.output().ends_with("ok"), "output in progress is sent");
        rig.ends_well();
        let mut rig = Rig::new();
        assert!(rig.conn.handle_input(rig.now, &mut &mut silence.as_bytes().to_vec()[..]).is_none());
        rig.go_away();
        assert_eq!(rig.conn.poll_io(), IoAction::Shutdown);
    }
}

#[test]
fn incomplete_upgrade_is_rejected() {
    for step in 0..3 {
        let mut rig = Rig::new();
        let first = rig.request(GET);
        let cut = if step == 0 { 20 } else { UPGRADE.len() };
        let mut upgrade =
            match rig.conn.handle_input(rig.now, &mut &mut UPGRADE.as_bytes()[..cut].to_vec()[..]) {
                Some(Event::Upgrade(upgrade)) => Some(upgrade),
                None => None,
                other => panic!("{other:?}"),
            };
        if step == 1 {
            rig.conn.accept(rig.now, upgrade.take().unwrap()).unwrap();
        }
        rig.go_away();
        assert!(rig.conn.handle_input(rig.now, &mut &mut UPGRADE.as_bytes()[cut..].to_vec()[..]).is_none());
        if let Some(upgrade) = upgrade {
            assert_eq!(rig.conn.accept(rig.now, upgrade), Err(RespondError::NotOpen));
        }
        rig.ok(first);
        let output = rig.output();
        assert!(output.contains("okHTTP/1.1 503 ") && output.contains("Connection: close"), "{output}");
        rig.ends_well();
    }
}

#[test]
fn truncated_answer_never_looks_whole() {
    for (head, length, reset) in
        [(GET, None, false), (GET, Some(9), false), (GET_10, None, true), (GET_10, Some(9), false)]
    {
        let mut rig = Rig::new();
        let body = rig.begin_as(head, "text/plain", length);
        rig.conn.http().send_body(&body, "half").unwrap();
        rig.go_away();
        assert!(!rig.output().ends_with("0\r\n\r\n"));
        rig.conn.http().send_body(&body, "more").unwrap();
        let closed = rig.stop();
        assert!(matches!(closed.error, Some(Error::Stopped)), "{closed}");
        assert_eq!(rig.conn.poll_io() == IoAction::Reset, reset);
        assert_eq!(rig.conn.http().finish_body(rig.now, body), Err(RespondError::NotOpen));
    }
    // A whole answer that is not yet written.
    let mut rig = Rig::new();
    let body = rig.begin_as(GET_10, "text/plain", None);
    rig.conn.http().send_body(&body, "whole").unwrap();
    rig.conn.http().finish_body(rig.now, body).unwrap();
    rig.take(9);
    assert!(rig.stop().error.is_some() && rig.conn.poll_io() == IoAction::Reset);
    // A request with a late answer.
    let mut rig = Rig::new();
    let request = rig.request(GET);
    rig.go_away();
    assert!(rig.stop().error.is_some());
    assert_eq!(rig.conn.respond(rig.now, request, Response::new(Bytes::new())), Err(RespondError::NotOpen));
}
