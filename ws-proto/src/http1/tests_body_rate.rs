//! The rate at which a streaming body must arrive.

use super::Io;
use super::server::Incoming;
use super::tests_server::{GET, Rig};
use super::tests_streaming::{CHUNKED, put};
use crate::access::head_rule::{HeadRule, RequestHead};
use crate::config::Config;
use crate::error::{Error, RequestError, Timeout};
use crate::event::RequestBody;
use core::time::Duration;
use std::sync::Arc;

/// Bodies are streaming, and must arrive at this rate.
#[derive(Debug)]
struct Rate(Option<u32>);

impl HeadRule for Rate {
    fn check(&self, _: &RequestHead<'_>) -> Result<(), RequestError> {
        Ok(())
    }

    fn stream_body(&self, head: &RequestHead<'_>) -> Option<u64> {
        head.path().starts_with("/files/").then_some(1 << 50)
    }

    fn min_body_rate(&self, head: &RequestHead<'_>) -> Option<u32> {
        assert!(head.path().starts_with("/files/"), "it is asked about streaming bodies only");
        self.0
    }
}

fn rig(rate: Option<u32>) -> Rig {
    Rig::with(Config::server().head_rule(Arc::new(Rate(rate))))
}

fn receive(rig: &mut Rig, bytes: &str) {
    let event = rig.feed(bytes);
    assert!(matches!(event, Some(Incoming::Body(RequestBody::Data(_)))), "{event:?}");
    assert!(rig.feed("").is_none());
}

fn deadline(rig: &Rig) -> Option<Duration> {
    rig.http.deadline(&rig.config, &rig.out).map(|deadline| deadline.since(rig.now))
}

#[test]
fn a_body_must_arrive_at_the_rate_of_its_rule() {
    for (rate, enough) in [(None, 30 << 10), (Some(1), 30), (Some(2048), 60 << 10)] {
        for (len, is_enough) in [(enough, true), (enough - 1, false)] {
            let mut rig = rig(rate);
            let _request = rig.request(put("Content-Length: 3000000000000\r\n"));
            for _ in 0..3 {
                receive(&mut rig, &"x".repeat(enough));
                assert_eq!(rig.time_out(), Duration::from_secs(30));
                assert!(!rig.is_ending());
            }
            receive(&mut rig, &"x".repeat(len));
            rig.time_out();
            assert_eq!(rig.is_ending(), !is_enough, "{rate:?}: {len}");
        }
    }
}

#[test]
fn at_a_rate_of_0_a_client_may_pause_for_as_long_as_it_likes() {
    for (lines, data, rest) in
        [("Content-Length: 10\r\n", "hello", "world"), (CHUNKED, "5\r\nhello", "\r\n5\r\nworld\r\n0\r\n\r\n")]
    {
        let mut rig = rig(Some(0));
        let request = rig.request(put(lines));
        assert!(rig.feed("").is_none());
        for bytes in [data, rest] {
            assert_eq!(deadline(&rig), None);
            rig.now += Duration::from_secs(90_000);
            assert!(matches!(rig.feed(bytes), Some(Incoming::Body(RequestBody::Data(_)))));
            let end = rig.feed("");
            assert_eq!(matches!(end, Some(Incoming::Body(RequestBody::Complete))), bytes == rest, "{end:?}");
        }
        rig.ok(request, "stored");
        let request = rig.request(GET);
        rig.ok(request, "two");
        assert_eq!(rig.statuses(), [200, 200]);
    }
}

#[test]
fn a_client_that_may_pause_holds_no_connection_for_a_rest_that_is_not_awaited() {
    let mut rig = rig(Some(0));
    let request = rig.request(put("Content-Length: 10\r\n"));
    assert!(rig.feed("").is_none());
    rig.now += Duration::from_secs(90_000);
    receive(&mut rig, "hello");
    rig.ok(request, "no");
    // From now on, at the usual rate.
    let mut io = Io { now: rig.now, config: &rig.config, out: &mut rig.out };
    rig.http.handle_timeout(&mut io);
    assert!(!rig.is_ending());
    assert_eq!(rig.time_out(), Duration::from_secs(30));
    assert!(matches!(rig.cause(), Some(Error::Timeout(Timeout::Body))));
    assert_eq!(rig.statuses(), [200]);
}
