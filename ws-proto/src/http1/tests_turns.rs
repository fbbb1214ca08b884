//! Streaming responses that wait for their turn: what is read meanwhile, and which senders are notified of room.

use super::tests_stream::{GET, Rig};
use crate::{Config, Event, RespondError, ResponseBody, Sent};
use ::http::Response;
use bytes::Bytes;
use proptest::prelude::*;

#[test]
fn requests_wait_behind_a_stream_with_a_length() {
    let mut rig = Rig::new();
    let body = rig.begin(GET, Some(0));
    assert!(rig.conn.is_paused());
    let mut bytes = GET.as_bytes().to_vec();
    let mut input = &mut bytes[..];
    assert!(rig.conn.handle_input(rig.now, &mut input).is_none());
    assert_eq!(input.len(), GET.len(), "it stays with the caller");
    rig.conn.http().finish_body(rig.now, body).unwrap();
    assert!(!rig.conn.is_paused());
    assert!(matches!(rig.conn.handle_input(rig.now, &mut input), Some(Event::Request(_))));
}

#[test]
fn partly_received_request_is_completed_during_a_stream() {
    let post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n";
    for cut in [&post[..20], post, &format!("{post}bo")] {
        let mut rig = Rig::new();
        let first = rig.request(GET);
        assert!(rig.conn.handle_input(rig.now, &mut &mut cut.as_bytes().to_vec()[..]).is_none());
        let body = rig.conn.http().respond_streaming(rig.now, first, Response::new(()), None).unwrap();
        assert!(!rig.conn.is_paused(), "its time runs");
        let rest = format!("{post}body").split_off(cut.len());
        assert_eq!(rig.request(&rest).body(), "body");
        assert!(
            rig.conn.handle_input(rig.now, &mut &mut GET.as_bytes().to_vec()[..]).is_none(),
            "the next waits"
        );
        rig.conn.http().finish_body(rig.now, body).unwrap();
    }
}

#[test]
fn queued_chunks_do_not_block_the_current_answer() {
    let mut rig = Rig::with(Config::server().outbox(1000, 10_000, 50_000));
    let (first, second) = (rig.request(GET), rig.request(GET));
    let begin = |rig: &mut Rig, request| {
        rig.conn.http().respond_streaming(rig.now, request, Response::new(()), None).unwrap()
    };
    let (first, second) = (begin(&mut rig, first), begin(&mut rig, second));
    assert!(rig.conn.http().is_its_turn(&first) && !rig.conn.http().is_its_turn(&second));
    let chunk = Bytes::from(vec![b'x'; 8000]);
    assert_eq!(rig.conn.http().send_body(&second, chunk.clone()), Ok(Sent::Queued));
    while rig.conn.http().send_body(&second, chunk.clone()) == Ok(Sent::Congested) {}
    assert_eq!(rig.conn.http().send_body(&second, chunk.clone()), Err(RespondError::Full));
    rig.output();
    assert!(rig.conn.poll_event(rig.now).is_none(), "there is no room for the second yet");
    assert_eq!(rig.conn.http().send_body(&first, chunk.clone()), Ok(Sent::Queued));
    assert_eq!(rig.conn.http().send_body(&first, chunk.clone()), Ok(Sent::Congested));
    rig.output();
    assert!(matches!(rig.conn.poll_event(rig.now), Some(Event::Drained)), "for the first");
    rig.conn.http().finish_body(rig.now, first).unwrap();
    assert!(rig.conn.http().is_its_turn(&second));
    rig.output();
    assert!(matches!(rig.conn.poll_event(rig.now), Some(Event::Drained)), "for the second");
    rig.conn.http().finish_body(rig.now, second).unwrap();
}

#[test]
fn sender_rejected_before_its_turn_receives_drained() {
    let mut rig = Rig::with(Config::server().outbox(1000, 50_000, 50_000));
    let (first, second) = (rig.request(GET), rig.request(GET));
    let body = rig.conn.http().respond_streaming(rig.now, second, Response::new(()), None).unwrap();
    rig.conn.http().send_body(&body, vec![0; 20_000]).unwrap();
    assert_eq!(rig.conn.http().send_body(&body, vec![0; 40_000]), Err(RespondError::Full));
    rig.conn.respond(rig.now, first, Response::new(Bytes::new())).unwrap();
    rig.take(usize::MAX);
    assert!(matches!(rig.conn.poll_event(rig.now), Some(Event::Drained)));
    rig.conn.http().send_body(&body, vec![0; 40_000]).unwrap();
    rig.conn.http().finish_body(rig.now, body).unwrap();
}

proptest! {
    /// Applications that wait for room when they must, in whichever order they begin, all finish.
    #[test]
    fn every_sender_that_waits_for_room_finishes(
        begin in Just([0, 1, 2]).prop_shuffle(),
        chunks in proptest::array::uniform3(proptest::collection::vec(1..3000_usize, 0..12)),
        takes in proptest::collection::vec(100..4000_usize, 1..8),
        marks in (0..2000_usize, 0..3000_usize, 0..6000_usize),
    ) {
        let mut rig = Rig::with(Config::server().outbox(marks.0, marks.1, marks.2));
        let mut requests: Vec<_> = (0..3).map(|_| Some(rig.request(GET))).collect();
        let mut left = chunks.clone().map(std::collections::VecDeque::from);
        let mut bodies: [Option<ResponseBody>; 3] = [None, None, None];
        let mut waits = [false; 3];
        let mut taken = Vec::new();
        let mut order = begin.iter();
        for step in 0..2000 {
            if let Some(at) = order.next() {
                let request = requests[*at].take().unwrap();
                bodies[*at] = Some(rig.conn.http().respond_streaming(rig.now, request, Response::new(()), None).unwrap());
            }
            for at in 0..3 {
                while !waits[at] && let Some(body) = &bodies[at] {
                    let Some(len) = left[at].front().copied() else {
                        let body = bodies[at].take().unwrap();
                        rig.conn.http().finish_body(rig.now, body).unwrap();
                        break;
                    };
                    let sent = rig.conn.http().send_body(body, vec![b'a' + at as u8; len]);
                    waits[at] = sent != Ok(Sent::Queued);
                    if sent.is_ok() {
                        left[at].pop_front();
                    } else {
                        prop_assert_eq!(sent, Err(RespondError::Full));
                    }
                }
            }
            taken.extend(rig.take(takes[step % takes.len()]));
            while let Some(event) = rig.conn.poll_event(rig.now) {
                prop_assert!(matches!(event, Event::Drained));
                waits = [false; 3];
            }
        }
        let want: Vec<Vec<u8>> =
            chunks.iter().zip(b'a'..).map(|(lens, byte)| vec![byte; lens.iter().sum()]).collect();
        prop_assert_eq!(super::tests_stream::bodies(&taken), want);
    }
}

#[test]
fn close_delimited_answer_stops_further_requests() {
    const OLD: &str = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    for is_known_late in [true, false] {
        let mut rig = Rig::new();
        let (first, second) = (rig.request(GET), rig.request(OLD));
        let third = is_known_late.then(|| rig.request(GET));
        let body = rig.conn.http().respond_streaming(rig.now, second, Response::new(()), None).unwrap();
        if let Some(third) = third {
            let result = rig.conn.respond(rig.now, third, Response::new(Bytes::from("never")));
            assert_eq!(result, Err(RespondError::NotOpen), "its application is notified");
        }
        rig.conn.http().send_body(&body, "last").unwrap();
        rig.conn.http().finish_body(rig.now, body).unwrap();
        assert!(rig.conn.handle_input(rig.now, &mut &mut GET.as_bytes().to_vec()[..]).is_none());
        assert!(rig.conn.poll_event(rig.now).is_none() && rig.output().is_empty());
        rig.conn.respond(rig.now, first, Response::new(Bytes::from("first"))).unwrap();
        let output = rig.output();
        assert!(
            output.ends_with("\r\n\r\nfirstHTTP/1.1 200 OK\r\nConnection: close\r\n\r\nlast"),
            "{output}"
        );
    }
}

#[test]
fn answer_dropped_applies_only_to_a_dropped_request() {
    let missing = || Response::builder().status(404).body(Bytes::from_static(b"none")).unwrap();
    let mut rig = Rig::new();
    drop(rig.request(GET));
    assert!(rig.conn.http().answer_dropped(rig.now, missing));
    assert!(rig.output().starts_with("HTTP/1.1 404 "));
    assert!(!rig.conn.http().answer_dropped(rig.now, || panic!("nothing was requested")));

    let kept = rig.request(GET);
    assert!(!rig.conn.http().answer_dropped(rig.now, || panic!("the application has it")));
    rig.conn.respond(rig.now, kept, Response::new(Bytes::new())).unwrap();
    assert!(!rig.conn.http().answer_dropped(rig.now, || panic!("it is answered")));
    assert!(rig.output().starts_with("HTTP/1.1 200 "));

    drop(rig.request(GET));
    let broken = || Response::builder().header("connection", "x").body(Bytes::new()).unwrap();
    assert!(rig.conn.http().answer_dropped(rig.now, broken));
    assert!(rig.output().starts_with("HTTP/1.1 503 "));
}
