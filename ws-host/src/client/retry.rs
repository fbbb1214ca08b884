//! What follows a failed attempt or an ended connection: another attempt after a wait, or none.

use super::{Backoff, Reconnect};
use core::time::Duration;
use ws_proto::{Closed, Error, ProxyError, ResponseError, fields};

/// The longest `Retry-After` that is honoured.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The delay that the server or its proxy requested with `Retry-After` when it rejected the client (RFC 9110 §10.2.3),
/// clamped to an hour. A date counts from the `Date` of the same answer, and is ignored without one.
pub fn retry_after(closed: &Closed) -> Option<Duration> {
    let wait = match &closed.error {
        Some(Error::Response(ResponseError::Rejected(response))) => fields::retry_after(response.headers()),
        Some(Error::Proxy(ProxyError::Rejected { retry_after, .. })) => *retry_after,
        _ => None,
    };
    wait.map(|wait| wait.min(LONGEST_RETRY_AFTER))
}

impl Backoff {
    /// The wait before the next attempt, once an attempt has failed or a connection has ended (described by `closed`).
    /// `None` when the client becomes idle: it has no policy, the policy treats this close as
    /// [final](Reconnect::is_final), or the attempts are used up.
    ///
    /// A `Retry-After` of the server or its proxy [extends the wait](retry_after). `random` is a uniformly distributed number;
    /// if the system has none, `u32::MAX` waits the longest.
    pub fn schedule_next(
        &mut self,
        policy: Option<&Reconnect>,
        closed: Option<&Closed>,
        random: impl FnOnce() -> u32,
    ) -> Option<Duration> {
        let policy = policy?;
        if closed.is_some_and(|closed| policy.is_final(closed)) {
            return None;
        }
        let least = closed.and_then(retry_after).unwrap_or_default();
        self.next(policy, random()).map(|wait| wait.max(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::Response;
    use ws_proto::CloseCode;

    fn closed(code: CloseCode) -> Closed {
        let mut closed = Closed::default();
        closed.code = code;
        closed
    }

    fn failed(error: impl Into<Error>) -> Closed {
        let mut closed = closed(CloseCode::ABNORMAL);
        closed.error = Some(error.into());
        closed
    }

    fn rejected(status: u16, retry_after: &str) -> Closed {
        let response = Response::builder().status(status).header("retry-after", retry_after);
        failed(ResponseError::Rejected(Box::new(response.body(Bytes::new()).unwrap())))
    }

    #[test]
    fn without_a_policy_or_after_a_final_close_the_client_stays_idle() {
        let policy = Reconnect::default();
        let mut backoff = Backoff::default();
        let never = || panic!("no random number is needed");
        assert_eq!(backoff.schedule_next(None, None, never), None);
        assert_eq!(backoff.schedule_next(Some(&policy), Some(&closed(CloseCode::NORMAL)), never), None);
        assert_eq!(backoff.attempt(), 0);
    }

    #[test]
    fn retry_after_lengthens_the_wait_and_never_shortens_it() {
        let policy = Reconnect::default().attempts(4);
        let mut backoff = Backoff::default();
        let mut wait = |closed: Option<&Closed>| {
            backoff.schedule_next(Some(&policy), closed, || u32::MAX).map(|wait| wait.as_millis())
        };
        assert_eq!(wait(None), Some(500));
        assert_eq!(wait(Some(&rejected(503, "0"))), Some(1000));
        assert_eq!(wait(Some(&rejected(503, "60"))), Some(60_000));
        assert_eq!(wait(Some(&closed(CloseCode::GOING_AWAY))), Some(4000));
        assert_eq!(wait(None), None, "the attempts are used up");
    }

    #[test]
    fn retry_after_is_honoured_up_to_an_hour() {
        assert_eq!(retry_after(&rejected(503, "120")), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(&rejected(429, "0")), Some(Duration::ZERO));
        for many in ["3600", "3601", "99999999999", "99999999999999999999999"] {
            assert_eq!(retry_after(&rejected(503, many)), Some(Duration::from_secs(3600)), "{many}");
        }
        for nothing in ["", "-1", "+1", "1.5", "1 s", "soon"] {
            assert_eq!(retry_after(&rejected(503, nothing)), None, "{nothing}");
        }
        assert_eq!(retry_after(&closed(CloseCode::GOING_AWAY)), None);
    }

    #[test]
    fn a_proxy_gets_the_delay_that_it_requests_up_to_an_hour() {
        let rejects = |seconds: Option<u64>| {
            let (status, retry_after) =
                (http::StatusCode::SERVICE_UNAVAILABLE, seconds.map(Duration::from_secs));
            failed(ProxyError::Rejected { status, reason: "".into(), retry_after })
        };
        assert_eq!(retry_after(&rejects(None)), None);
        assert_eq!(retry_after(&rejects(Some(120))), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(&rejects(Some(u64::MAX))), Some(Duration::from_secs(3600)));
    }

    #[test]
    fn a_retry_date_counts_from_the_date_of_its_answer() {
        const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        let wait = |status, date: &str, retry_after: &str| {
            let head = Response::builder().status(status).header("date", date);
            let response = head.header("retry-after", retry_after).body(Bytes::new()).unwrap();
            let error = ResponseError::Rejected(Box::new(response));
            super::retry_after(&failed(error))
        };
        for (date, retry_after, seconds) in [
            (DATE, "Sun, 06 Nov 1994 08:49:38 GMT", Some(1)),
            (DATE, "Sunday, 06-Nov-94 08:51:37 GMT", Some(120)),
            (DATE, "Sun Nov  6 08:51:37 1994", Some(120)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:40 1994", Some(3)),
            ("Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:40 GMT", Some(3)),
            (DATE, "Sun, 06 Nov 1994 09:49:37 GMT", Some(3600)),
            (DATE, "Mon, 07 Nov 1994 08:49:37 GMT", Some(3600)),
            // Not later, not a date, and no `Date` to count from.
            (DATE, DATE, None),
            (DATE, "Sun, 06 Nov 1994 08:49:36 GMT", None),
            (DATE, "Sun, 06 Nov 1994", None),
            ("", "Sun, 06 Nov 1994 08:51:37 GMT", None),
            ("now", "Sun, 06 Nov 1994 08:51:37 GMT", None),
            // Seconds count from the answer's arrival, regardless of its date.
            (DATE, "5", Some(5)),
        ] {
            let expected = seconds.map(Duration::from_secs);
            for status in [429, 503] {
                assert_eq!(wait(status, date, retry_after), expected, "{date:?} {retry_after:?}");
            }
        }
        // Nor does it count from our own clock.
        assert_eq!(retry_after(&rejected(503, "Fri, 31 Dec 9999 23:59:59 GMT")), None);
    }
}
