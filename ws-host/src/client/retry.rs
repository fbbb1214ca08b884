//! What follows a failed attempt or an ended connection: another attempt after a wait, or none.

use super::{Backoff, Reconnect, retry_after};
use core::time::Duration;
use ws_proto::Closed;

impl Backoff {
    /// The wait before the next attempt, once an attempt has failed or a connection has ended (described by `closed`).
    /// `None` when the client becomes idle: it has no policy, the policy treats this close as
    /// [final](Reconnect::is_final), or the attempts are used up.
    ///
    /// A server's `Retry-After` [extends the wait](retry_after). `random` is a uniformly distributed number;
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
    use ws_proto::{CloseCode, ResponseError};

    fn closed(code: CloseCode) -> Closed {
        let mut closed = Closed::default();
        closed.code = code;
        closed
    }

    fn rejected(retry_after: &str) -> Closed {
        let response = http::Response::builder().status(503).header("retry-after", retry_after);
        let mut closed = closed(CloseCode::from(1006));
        closed.error = Some(ResponseError::Rejected(Box::new(response.body(Bytes::new()).unwrap())).into());
        closed
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
        assert_eq!(wait(Some(&rejected("0"))), Some(1000));
        assert_eq!(wait(Some(&rejected("60"))), Some(60_000));
        assert_eq!(wait(Some(&closed(CloseCode::GOING_AWAY))), Some(4000));
        assert_eq!(wait(None), None, "the attempts are used up");
    }
}
