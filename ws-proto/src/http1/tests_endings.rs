//! Deadlines that stop while we hold reading back, accurate errors, and visible ends.

use super::tests_server::UPGRADE;
use super::tests_stream::{GET, Rig};
use crate::{CloseCode, Config, Error, Event, Initiator, IoAction, RespondError, Timeout};
use ::http::Response;
use bytes::Bytes;
use std::time::Duration;

const POST: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n";

/// Allows a slow peer.
fn slow() -> Config {
    Config::server().outbox(1000, 10_000, 50_000).min_output_rate(0)
}

impl Rig {
    /// Passes the remaining input, and returns the request.
    fn give(&mut self, rest: &mut Vec<u8>) -> Option<crate::Request> {
        let mut input = &mut rest[..];
        let event = self.conn.handle_input(self.now, &mut input).map(Event::into_owned);
        *rest = input.to_vec();
        match event {
            Some(Event::Request(request)) => Some(request),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    fn give_text(&mut self, text: &str) {
        assert!(self.give(&mut text.as_bytes().to_vec()).is_none());
    }

    /// Time passes; the peer takes `takes` bytes each second.
    fn pass(&mut self, seconds: u64, takes: usize) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            self.take(takes);
            if !self.conn.outbox().is_empty() {
                self.conn.handle_written(self.now, 0);
            }
            self.conn.handle_timeout(self.now);
        }
    }

    fn ends_after(&mut self, time: Duration) {
        let due = self.conn.poll_timeout().expect("a deadline");
        assert_eq!(due - self.now, time);
        self.now = due - Duration::from_millis(1);
        self.conn.handle_timeout(self.now);
        assert_eq!(self.conn.state(), crate::State::Connecting, "too early");
        self.now = due;
        self.conn.handle_timeout(self.now);
        assert_ne!(self.conn.state(), crate::State::Connecting);
    }

    fn answer(&mut self, request: crate::Request, len: usize) {
        self.conn.respond(self.now, request, Response::new(Bytes::from(vec![b'x'; len]))).unwrap();
    }
}

#[test]
fn request_behind_a_slow_reader_is_served() {
    // A whole one, and parts of one: all after 100 seconds of an answer.
    for second in [GET, &GET[..1], &GET[..20], &POST[..20], POST] {
        let mut rig = Rig::with(slow());
        let mut rest = [GET, second].concat().into_bytes();
        let first = rig.give(&mut rest).unwrap();
        rig.answer(first, 100_000);
        assert!(rig.conn.is_paused() && rig.give(&mut rest).is_none());
        assert_eq!(rest.len(), second.len());
        rig.pass(100, 1000);
        rig.pass(1, 10_000);
        assert!(rig.conn.outbox().is_empty() && !rig.conn.is_paused());
        let request = rig.give(&mut rest);
        assert_eq!(request.is_some(), second == GET, "{second}");
        assert!(rest.is_empty());
        if request.is_none() {
            let whole = if second == POST { 5 } else { 10 };
            rig.ends_after(Duration::from_secs(whole));
            assert!(rig.output().contains(" 408 "));
        }
    }
}

#[test]
fn deadline_restarts_when_reading_resumes() {
    for (begun, time) in [(&GET[..9], 10), (POST, 5)] {
        let mut rig = Rig::with(slow());
        let first = rig.request(GET);
        rig.give_text(begun);
        rig.now += Duration::from_secs(time - 1);
        rig.answer(first, 100_000);
        rig.pass(99, 1000);
        assert!(rig.conn.is_paused());
        rig.pass(1, 1000);
        assert!(!rig.conn.is_paused());
        rig.output();
        rig.ends_after(Duration::from_secs(time));
        assert!(rig.output().contains(" 408 "));
    }
}

#[test]
fn deadline_restarts_after_a_stream_over_the_mark() {
    let mut rig = Rig::with(slow());
    let first = rig.request(GET);
    rig.give_text(&GET[..9]);
    let body = rig.conn.http().respond_streaming(rig.now, first, Response::new(()), Some(1 << 20)).unwrap();
    rig.conn.http().send_body(&body, vec![0; 40_000]).unwrap();
    rig.pass(39, 1000);
    assert!(rig.conn.is_paused());
    rig.pass(1, 1000);
    assert!(!rig.conn.is_paused());
    rig.now += Duration::from_secs(9);
    rig.conn.handle_timeout(rig.now);
    drop(rig.request(&GET[9..]));
}

#[test]
fn deadlines_stop_while_paused() {
    for (begun, time) in [("", 10), (&GET[..9], 10), (POST, 5)] {
        let mut rig = Rig::new();
        rig.give_text(begun);
        rig.conn.pause();
        rig.pass(100, 0);
        rig.conn.resume(rig.now);
        rig.ends_after(Duration::from_secs(time));
    }
}

#[test]
fn dripping_head_or_body_times_out() {
    for (text, drips, time) in [(GET, &GET[..30], 10), (POST, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", 5)] {
        let mut rig = Rig::new();
        let request = rig.request(GET);
        rig.answer(request, 2);
        rig.output();
        let begin = if text == POST { POST } else { &text[..1] };
        let drips = if text == POST { drips } else { &drips[1..] };
        rig.give_text(begin);
        for drip in drips.as_bytes()[..time * 2 - 1].chunks(1) {
            rig.now += Duration::from_millis(500);
            rig.conn.handle_timeout(rig.now);
            rig.give_text(std::str::from_utf8(drip).unwrap());
        }
        // Nine bytes of a body are worth eight milliseconds.
        rig.ends_after(Duration::from_millis(if text == POST { 508 } else { 500 }));
        assert!(rig.output().contains(" 408 "));
    }
}

#[test]
fn keep_alive_counts_from_the_flush() {
    for len in [1000, 2_000_000] {
        let mut rig = Rig::new();
        let request = rig.request(GET);
        rig.answer(request, len);
        rig.pass(20, len / 30);
        assert_eq!(rig.conn.state(), crate::State::Connecting);
        rig.output();
        rig.ends_after(Duration::from_secs(15));
        assert_eq!(rig.conn.poll_io(), IoAction::Shutdown);
    }
}

#[test]
fn truncated_answer_that_would_look_whole_is_reset() {
    type Cut = fn(&mut Rig, crate::ResponseBody);
    let cuts: [(&str, Cut); 5] = [
        ("dropped", |rig, body| {
            drop(body);
            drop(rig.conn.poll_event(rig.now));
        }),
        ("closed", |rig, _body| rig.conn.close(rig.now, CloseCode::NORMAL, "").unwrap()),
        ("aborted", |rig, _body| rig.conn.abort(rig.now, Error::Aborted)),
        ("timed out", |rig, _body| {
            rig.conn.handle_written(rig.now, 0);
            rig.now += Duration::from_secs(60);
            rig.conn.handle_timeout(rig.now);
        }),
        ("left", |rig, _body| rig.conn.handle_eof(rig.now)),
    ];
    for (how, cut) in cuts {
        for (head, length) in [
            ("GET / HTTP/1.0\r\n\r\n", None),
            ("GET / HTTP/1.0\r\n\r\n", Some(9)),
            (GET, None),
            (GET, Some(9)),
        ] {
            let mut rig = Rig::new();
            let body = rig.begin(head, length);
            rig.conn.http().send_body(&body, "half").unwrap();
            assert!(rig.conn.poll_io() != IoAction::Reset);
            cut(&mut rig, body);
            let looks_whole = length.is_none() && head.contains("1.0");
            let is_reset = rig.conn.poll_io() == IoAction::Reset;
            assert_eq!(is_reset, looks_whole, "{how}: {head}: a FIN would be the end of the body");
        }
    }
}

#[test]
fn a_whole_answer_ends_with_a_fin() {
    let mut rig = Rig::new();
    let body = rig.begin("GET / HTTP/1.0\r\n\r\n", None);
    rig.conn.http().send_body(&body, "whole").unwrap();
    rig.conn.http().finish_body(rig.now, body).unwrap();
    rig.output();
    assert_eq!(rig.conn.poll_io(), IoAction::Shutdown);
    rig.now += Duration::from_secs(5);
    rig.conn.handle_timeout(rig.now);
    assert!(rig.end().error.is_none() && rig.conn.poll_io() != IoAction::Reset);
}

#[test]
fn close_during_an_answer_is_reported() {
    for answered in [false, true] {
        let mut rig = Rig::new();
        let request = rig.request(GET);
        if answered {
            rig.answer(request, 2);
        } else {
            drop(rig.conn.close(rig.now, CloseCode::NORMAL, ""));
            assert_eq!(
                rig.conn.respond(rig.now, request, Response::new(Bytes::new())),
                Err(RespondError::NotOpen)
            );
        }
        let _ = rig.conn.close(rig.now, CloseCode::NORMAL, "");
        rig.output();
        assert_eq!(rig.conn.poll_io(), IoAction::Shutdown);
        rig.conn.handle_eof(rig.now);
        let closed = rig.end();
        assert_eq!(closed.error.is_none(), answered, "{closed}");
        assert_eq!(closed.initiator, Initiator::Local);
    }
}

#[test]
fn unsent_answer_is_an_error() {
    for due in [false, true] {
        let mut rig = Rig::new();
        let request = rig.request("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        rig.answer(request, 5000);
        rig.take(1000);
        if due {
            rig.conn.handle_written(rig.now, 0);
            rig.now += Duration::from_secs(60);
            rig.conn.handle_timeout(rig.now);
            assert!(matches!(rig.end().error, Some(Error::Timeout(Timeout::Output))));
        } else {
            rig.conn.abort(rig.now, Error::Io(std::io::ErrorKind::ConnectionReset));
            assert!(matches!(rig.end().error, Some(Error::Io(_))));
        }
    }
}

#[test]
fn answer_after_the_end_returns_not_open() {
    let ends: [fn(&mut Rig); 3] = [
        |rig| rig.conn.abort(rig.now, Error::Stopped),
        |rig| rig.conn.close(rig.now, CloseCode::NORMAL, "").unwrap(),
        |rig| rig.conn.abort(rig.now, Error::Io(std::io::ErrorKind::ConnectionReset)),
    ];
    for end in ends {
        let mut rig = Rig::new();
        let (first, second) = (rig.request(GET), rig.request(GET));
        let body = rig.begin(GET, Some(1));
        let mut upgrade = UPGRADE.as_bytes().to_vec();
        let mut other = Rig::new();
        let Some(Event::Upgrade(upgrade)) = other.conn.handle_input(other.now, &mut &mut upgrade[..]) else {
            panic!("no upgrade");
        };
        end(&mut rig);
        let now = rig.now;
        assert_eq!(rig.conn.respond(now, first, Response::new(Bytes::new())), Err(RespondError::NotOpen));
        let streamed = rig.conn.http().respond_streaming(now, second, Response::new(()), None);
        assert_eq!(streamed.unwrap_err(), RespondError::NotOpen);
        assert_eq!(rig.conn.http().send_body(&body, "x"), Err(RespondError::NotOpen));
        assert_eq!(rig.conn.http().finish_body(now, body), Err(RespondError::NotOpen));
        assert_eq!(rig.conn.accept(now, upgrade), Err(RespondError::NotOpen));
    }
}
