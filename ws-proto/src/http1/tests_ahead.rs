//! Reading ahead during an answer without a length: its limit, the use of the bytes, and the detection of the peer's
//! end.

use super::tests_server::UPGRADE;
use super::tests_stream::{GET, Rig};
use crate::{Closed, Config, Error, Event, Initiator, IoAction, RespondError};
use ::http::Response;
use bytes::Bytes;
use proptest::prelude::*;

const CLOSE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody";
/// Masked with zeros: a whole Ping, and a text of one byte.
const FRAMES: &[u8] = b"\x89\x80\0\0\0\0\x81\x81\0\0\0\0x";

impl Rig {
    /// Passes these bytes, which are all taken without an event.
    fn feed_silently(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut input = &mut bytes[..];
        assert!(!self.conn.is_paused());
        assert!(self.conn.handle_input(self.now, &mut input).is_none());
        assert!(input.is_empty(), "{} bytes stay with the caller", input.len());
    }

    fn kept_request(&mut self) -> crate::Request {
        match self.conn.poll_event(self.now) {
            Some(Event::Request(request)) => request,
            other => panic!("no request but {other:?}"),
        }
    }
}

fn is_abandoned(closed: &Closed) -> bool {
    matches!(closed.error, Some(Error::Abandoned))
        && closed.initiator == Initiator::Remote
        && closed.to_string().contains("the peer ended the connection before its response was complete")
}

#[test]
fn peer_eof_ends_an_answer_without_length_whatever_precedes_it() {
    let upgrade = [UPGRADE.as_bytes(), FRAMES].concat();
    for head in [GET, CLOSE, "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"] {
        for behind in
            [&b""[..], b"\r\n", &GET.as_bytes()[..9], GET.as_bytes(), POST.as_bytes(), &upgrade, b"\x16\x03"]
        {
            for taken in [false, true] {
                let mut rig = Rig::new();
                let body = rig.begin(head, None);
                rig.conn.http().send_body(&body, "some").unwrap();
                if taken {
                    rig.output();
                }
                rig.feed_silently(behind);
                rig.conn.handle_eof(rig.now);
                let closed = rig.end();
                assert!(is_abandoned(&closed), "{closed}");
                assert_eq!(closed.bytes_received, (head.len() + behind.len()) as u64);
                let how = if head.contains("1.0") { IoAction::Reset } else { IoAction::Drop };
                assert_eq!(rig.conn.poll_io(), how);
                assert_eq!(rig.conn.http().send_body(&body, "more"), Err(RespondError::NotOpen));
                assert_eq!(rig.conn.http().finish_body(rig.now, body), Err(RespondError::NotOpen));
            }
        }
    }
}

#[test]
fn peer_eof_is_seen_over_the_high_mark_and_at_the_pipeline_limit() {
    let mut config = Config::server().outbox(0, 10, 1000);
    config.pipeline_limit = 1;
    let mut rig = Rig::with(config);
    let body = rig.begin(GET, None);
    rig.conn.http().send_body(&body, vec![b'x'; 50]).unwrap();
    assert!(rig.conn.is_congested());
    rig.feed_silently(GET.as_bytes());
    rig.conn.handle_eof(rig.now);
    assert!(is_abandoned(&rig.end()));
}

#[test]
fn peer_eof_ends_a_queued_stream_but_not_answers_before_it() {
    for length in [None, Some(4)] {
        let mut rig = Rig::new();
        let requests: Vec<_> = [GET; 3].map(|head| rig.request(head)).into();
        let [file, stream, late] = requests.try_into().unwrap();
        // A file, or a late answer: both are still sent to a peer that has ended its half.
        let (file, late_file) = match length {
            None => (None, Some(file)),
            Some(_) => {
                let body =
                    rig.conn.http().respond_streaming(rig.now, file, Response::new(()), length).unwrap();
                (Some(body), None)
            }
        };
        let stream = rig.conn.http().respond_streaming(rig.now, stream, Response::new(()), None).unwrap();
        rig.conn.http().send_body(&stream, "never seen").unwrap();
        rig.feed_silently(GET.as_bytes());
        rig.conn.handle_eof(rig.now);
        assert_eq!(rig.conn.http().send_body(&stream, "x"), Err(RespondError::NotOpen));
        assert_eq!(rig.conn.respond(rig.now, late, Response::new(Bytes::new())), Err(RespondError::NotOpen));
        if let Some(file) = file {
            rig.conn.http().send_body(&file, "file").unwrap();
            rig.conn.http().finish_body(rig.now, file).unwrap();
        }
        if let Some(late) = late_file {
            rig.conn.respond(rig.now, late, Response::new(Bytes::from("file"))).unwrap();
        }
        let output = rig.output();
        assert!(output.ends_with("\r\n\r\nfile") && output.matches("HTTP/1.1").count() == 1, "{output}");
        assert!(is_abandoned(&rig.end()));
    }
}

#[test]
fn peer_eof_before_the_answer_ends_it() {
    let late = |head: &str, half_close, length| {
        let mut rig = Rig::with(Config::server().half_close(half_close));
        let request = rig.request(head);
        rig.conn.handle_eof(rig.now);
        let result = rig.conn.http().respond_streaming(rig.now, request, Response::new(()), length);
        (rig, result)
    };
    let (mut rig, result) = late(GET, false, None);
    assert_eq!(result.unwrap_err(), RespondError::NotOpen);
    assert!(is_abandoned(&rig.end()) && rig.output().is_empty());
    for (head, half_close, length) in [
        (GET, true, None),
        (GET, false, Some(0)),
        ("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n", false, None),
        ("HEAD / HTTP/1.0\r\n\r\n", false, None),
    ] {
        let (mut rig, result) = late(head, half_close, length);
        rig.conn.http().finish_body(rig.now, result.unwrap()).unwrap();
        assert!(rig.output().starts_with("HTTP/1.1 200 "));
        assert!(rig.end().error.is_none() && rig.conn.poll_io() != IoAction::Reset);
    }
}

#[test]
fn whole_answers_before_it_are_still_written() {
    let mut rig = Rig::new();
    let (first, second) = (rig.request(GET), rig.request(GET));
    rig.conn.respond(rig.now, first, Response::new(Bytes::from(vec![b'a'; 5000]))).unwrap();
    let body = rig.conn.http().respond_streaming(rig.now, second, Response::new(()), None).unwrap();
    rig.conn.http().send_body(&body, "b").unwrap();
    rig.take(100);
    rig.conn.handle_eof(rig.now);
    assert!(rig.conn.poll_event(rig.now).is_none(), "it is being written");
    assert!(rig.output().contains("aHTTP/1.1 200 OK"));
    assert!(is_abandoned(&rig.end()));
}

#[test]
fn read_ahead_stops_at_its_limit() {
    for limit in [0, 100] {
        let mut config = Config::server();
        config.head_limit = GET.len().max(limit);
        let mut rig = Rig::with(config.clone());
        let body = rig.begin(GET, None);
        let limit = config.head_limit;
        rig.feed_silently(&vec![b'x'; limit - 1]);
        rig.feed_silently(b"y");
        assert!(rig.conn.is_paused(), "the kernel holds the rest");
        let mut more = *b"zzz";
        let mut input = &mut more[..];
        assert!(rig.conn.handle_input(rig.now, &mut input).is_none());
        assert_eq!(input.len(), 3);
        // A peer that is detected in another way.
        rig.conn.handle_eof(rig.now);
        assert!(is_abandoned(&rig.end()));
        drop(body);
    }
}

#[test]
fn held_bytes_are_counted() {
    let mut rig =
        Rig::with(Config::server().memory(crate::memory::Memory::new(1 << 30)).outbox(100, 10_000, 50_000));
    let (first, second, third) = (rig.request(GET), rig.request(GET), rig.request(GET));
    let body = rig.conn.http().respond_streaming(rig.now, second, Response::new(()), None).unwrap();
    rig.conn.http().send_body(&body, vec![0; 1000]).unwrap();
    rig.conn.respond(rig.now, third, Response::new(Bytes::from(vec![0; 2000]))).unwrap();
    rig.feed_silently(&[b'x'; 4000]);
    assert_eq!(rig.conn.http_memory_len(), 7000);
    drop(first);
}

#[test]
fn read_ahead_requests_are_emitted_after_the_answer() {
    let mut rig = Rig::new();
    let body = rig.begin(GET, None);
    rig.feed_silently([GET, POST, &GET[..10]].concat().as_bytes());
    assert!(rig.conn.poll_event(rig.now).is_none());
    rig.conn.http().finish_body(rig.now, body).unwrap();
    let (first, second) = (rig.kept_request(), rig.kept_request());
    assert_eq!(second.body(), "body");
    assert!(rig.conn.poll_event(rig.now).is_none());
    rig.conn.respond(rig.now, first, Response::new(Bytes::from("1"))).unwrap();
    // The third, which has begun, is held back again by the stream of the second.
    let body = rig.conn.http().respond_streaming(rig.now, second, Response::new(()), None).unwrap();
    drop(rig.request(&GET[10..]));
    rig.feed_silently(GET.as_bytes());
    rig.conn.http().finish_body(rig.now, body).unwrap();
    drop(rig.kept_request());
    let total = 5 * GET.len() + POST.len() - GET.len();
    assert_eq!(rig.conn.bytes_received(), total as u64, "each byte counts once");
}

#[test]
fn half_close_answers_requests_before_the_eof() {
    let mut rig = Rig::with(Config::server().half_close(true));
    let body = rig.begin(GET, None);
    rig.feed_silently(GET.repeat(2).as_bytes());
    rig.conn.handle_eof(rig.now);
    rig.conn.http().send_body(&body, "x").unwrap();
    rig.conn.http().finish_body(rig.now, body).unwrap();
    for _ in 0..2 {
        let request = rig.kept_request();
        rig.conn.respond(rig.now, request, Response::new(Bytes::from("y"))).unwrap();
    }
    assert!(rig.conn.poll_event(rig.now).is_none());
    assert_eq!(rig.output().matches("\r\n\r\ny").count(), 2);
    assert!(rig.end().error.is_none());
}

#[test]
fn read_ahead_frames_behind_an_upgrade_reach_the_websocket() {
    for cut in 0..=FRAMES.len() {
        let mut rig = Rig::new();
        let body = rig.begin(GET, None);
        rig.feed_silently(&[UPGRADE.as_bytes(), &FRAMES[..cut]].concat());
        rig.conn.http().finish_body(rig.now, body).unwrap();
        let Some(Event::Upgrade(upgrade)) = rig.conn.poll_event(rig.now) else { panic!("no upgrade") };
        assert!(rig.conn.is_paused() && rig.conn.poll_event(rig.now).is_none());
        rig.conn.accept(rig.now, upgrade).unwrap();
        assert!(matches!(rig.conn.poll_event(rig.now), Some(Event::Open(_))));
        let mut rest = FRAMES[cut..].to_vec();
        let mut input = &mut rest[..];
        // Either call may be the first.
        let event = rig
            .conn
            .poll_event(rig.now)
            .or_else(|| Some(rig.conn.handle_input(rig.now, &mut input)?.into_owned()));
        assert!(
            matches!(event, Some(Event::Message(message)) if message.as_text() == Some("x")),
            "cut at {cut}"
        );
        assert!(rig.take(usize::MAX).ends_with(b"\x8a\0"), "the ping is answered");
        let total = GET.len() + UPGRADE.len() + FRAMES.len();
        assert_eq!(rig.conn.bytes_received(), total as u64);
    }
}

/// The requests and the output, in order.
fn run(bytes: &[u8], sizes: &[usize], begins: usize, limit: usize) -> (Vec<String>, Vec<u8>) {
    let mut config = Config::server();
    config.head_limit = limit;
    let mut rig = Rig::with(config);
    let mut body = None;
    let (mut events, mut output) = (Vec::new(), Vec::new());
    let mut sizes = sizes.iter().copied().cycle();
    let mut rest = Vec::new();
    let mut left = bytes;
    let mut step = 0;
    while !left.is_empty() || body.is_some() || step < begins {
        let (part, more) =
            left.split_at(sizes.next().unwrap_or(left.len()).clamp(1, left.len().max(1)).min(left.len()));
        left = more;
        step += 1;
        rest.extend_from_slice(part);
        if (step == begins || left.is_empty())
            && let Some(body) = body.take()
        {
            rig.conn.http().finish_body(rig.now, body).unwrap();
        }
        loop {
            let mut all = std::mem::take(&mut rest);
            let mut input = &mut all[..];
            let event = rig.conn.handle_input(rig.now, &mut input).map(Event::into_owned);
            rest = input.to_vec();
            let Some(event) = event.or_else(|| rig.conn.poll_event(rig.now)) else { break };
            match event {
                Event::Request(request) => {
                    events.push(format!("{:?}", request.http()));
                    // The first gets a stream, which ends some time later.
                    if events.len() == 1 && step < begins && !left.is_empty() {
                        body = Some(
                            rig.conn
                                .http()
                                .respond_streaming(rig.now, request, Response::new(()), None)
                                .unwrap(),
                        );
                    } else if events.len() == 1 {
                        let body = rig
                            .conn
                            .http()
                            .respond_streaming(rig.now, request, Response::new(()), None)
                            .unwrap();
                        rig.conn.http().finish_body(rig.now, body).unwrap();
                    } else {
                        rig.conn.respond(rig.now, request, Response::new(Bytes::from("x"))).unwrap();
                    }
                }
                Event::Upgrade(upgrade) => {
                    events.push(format!("{:?}", upgrade.http()));
                    rig.conn.accept(rig.now, upgrade).unwrap();
                }
                event => events.push(format!("{event:?}")),
            }
        }
        output.extend(rig.take(usize::MAX));
    }
    (events, output)
}

proptest! {
    #[test]
    fn read_ahead_is_independent_of_cuts(
        parts in proptest::collection::vec(prop_oneof![
            4 => Just(GET.as_bytes().to_vec()),
            4 => Just(POST.as_bytes().to_vec()),
            1 => Just(CLOSE.as_bytes().to_vec()),
            1 => Just(b"\r\n".to_vec()),
            1 => Just(b"broken\r\n".to_vec()),
            2 => Just([UPGRADE.as_bytes(), FRAMES, FRAMES].concat()),
        ], 0..6),
        sizes in proptest::collection::vec(1..200_usize, 1..8),
        begins in 0..20_usize,
        limit in 200..600_usize,
    ) {
        let bytes = [GET.as_bytes(), &parts.concat()].concat();
        let (whole, cut) = (run(&bytes, &[], 0, limit), run(&bytes, &sizes, begins, limit));
        prop_assert_eq!(whole.0, cut.0);
        prop_assert_eq!(String::from_utf8_lossy(&whole.1), String::from_utf8_lossy(&cut.1));
    }
}
