//! When a client reconnects: how long it backs off, and when it gives up.
//!
//! Pure: it decides what follows an end, and the owner of the socket does it.
//!
//! ```
//! use std::time::Duration;
//! use ws_host::client::{Backoff, Reconnect};
//!
//! let policy = Reconnect::default().attempts(2);
//! let mut backoff = Backoff::default();
//! let random = 0x8000_0000; // from the system
//! assert_eq!(backoff.next(&policy, random), Some(Duration::from_millis(375)));
//! assert_eq!(backoff.next(&policy, random), Some(Duration::from_millis(750)));
//! assert_eq!(backoff.next(&policy, random), None);
//! ```

use super::tls_failure::is_final_tls;
use ::http::StatusCode;
use core::time::Duration;
use ws_proto::CloseCode;
use ws_proto::{Closed, Initiator};
use ws_proto::{Error, ProxyError, ResponseError, SocksReply, Timeout};

const SHORTEST: Duration = Duration::from_millis(1);

/// When a client reconnects after its connection ended, or could not be opened.
///
/// Each [wait](Self::wait) is twice as long as the one before, up to the longest, and is randomized between half and
/// the whole, so that the clients of a restarting server do not all reconnect at once (RFC 6455 §7.2.3). A
/// server or a proxy that rejects with `Retry-After` gets at least the delay it requests, up to an hour: [`retry_after`](super::retry_after).
///
/// Everything is retried except what [`is_final`](Self::is_final) lists as final; even an answer of 200 or 503, or a 101
/// with a wrong `Sec-WebSocket-Accept`: the next answer may come from the right program.
///
/// ```
/// use std::time::Duration;
/// use ws_proto::CloseCode;
/// use ws_host::client::Reconnect;
///
/// let policy = Reconnect::default()
///     .wait(Duration::from_secs(1), Duration::from_secs(60))
///     .no_retry_code(CloseCode::from(4001));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconnect {
    min: Duration,
    max: Duration,
    reset_after: Duration,
    attempts: Option<u32>,
    no_retry_codes: Vec<CloseCode>,
    retry_statuses: Vec<StatusCode>,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(500),
            max: Duration::from_secs(30),
            reset_after: Duration::from_secs(10),
            attempts: None,
            no_retry_codes: vec![
                CloseCode::NORMAL,
                CloseCode::UNSUPPORTED,
                CloseCode::POLICY,
                CloseCode::EXTENSION_REQUIRED,
            ],
            retry_statuses: vec![
                StatusCode::REQUEST_TIMEOUT,
                StatusCode::TOO_EARLY,
                StatusCode::TOO_MANY_REQUESTS,
            ],
        }
    }
}

impl Reconnect {
    /// The defaults: it retries forever.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the first and the longest wait, each clamped: the first to a millisecond at least, so that immediate
    /// failures do not spin; a longest beyond the clock's range is unlimited. 0.5 s and 30 s.
    #[must_use]
    pub fn wait(mut self, min: Duration, max: Duration) -> Self {
        self.min = min;
        self.max = max.max(min);
        self
    }

    /// The first and the longest wait.
    pub fn get_wait(&self) -> (Duration, Duration) {
        (self.min, self.max)
    }

    /// Sets how long a connection must have been open to count as a success, which resets the wait. 10 s.
    #[must_use]
    pub fn reset_after(mut self, time: Duration) -> Self {
        self.reset_after = time;
        self
    }

    /// Limits the attempts in a row after a failed one or an ended connection; a connection resets the count
    /// once it was open for [`reset_after`](Self::reset_after). No limit.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// The most attempts in a row.
    pub fn get_attempts(&self) -> Option<u32> {
        self.attempts
    }

    /// How long a connection must have been open to count as a success.
    pub fn get_reset_after(&self) -> Duration {
        self.reset_after
    }

    /// Adds a close code of the peer that ends retries: the peer is done, or would do the same again. 1000, 1003, 1008
    /// and 1010.
    #[must_use]
    pub fn no_retry_code(mut self, code: CloseCode) -> Self {
        self.no_retry_codes.push(code);
        self
    }

    /// Adds a status of a rejected handshake that is retried although it is a permanent redirect or 4xx: 401, if the
    /// application renews its token before the next attempt. 403 also counts for a proxy. 408, 425 and 429.
    #[must_use]
    pub fn retry_status(mut self, status: StatusCode) -> Self {
        self.retry_statuses.push(status);
        self
    }

    /// Whether such an end is not retried. An answer that may come from something between client and server, such as the
    /// login page of a hotel's network (a captive portal), does not stop a client for good.
    ///
    /// | the end | |
    /// |---|---|
    /// | the application closed or aborted the connection itself, whether or not the peer answered | final |
    /// | the peer closed with a [no-retry code](Self::no_retry_code), regardless of later failures | final |
    /// | the server answered with 4xx or a permanent redirect (301, 308), except for [some](Self::retry_status) | final |
    /// | the server speaks TLS, but the URL begins with `ws://` | final |
    /// | the proxy answered 407, 401 or 403, rejected the credentials, or speaks TLS at an `http://` URL | final |
    /// | a SOCKS proxy replied 2 (not allowed), 7 or 8 (not supported), or cannot be used for the server | final |
    /// | TLS failed for a reason that stays: trust, names, keys, versions; with the server, or with the proxy | final |
    /// | a temporary redirect (302, 303, 307) that is not followed, 2xx, 5xx, a malformed answer | retried |
    /// | any other answer of a proxy to CONNECT, such as 302, 400, 404, 429, 502 or 511 | retried |
    /// | TLS failed for a reason that may pass: an expired certificate, a clock that is wrong, a cut | retried |
    /// | a name, an address or a proxy is unreachable, a deadline passed, the connection was lost | retried |
    pub fn is_final(&self, closed: &Closed) -> bool {
        match &closed.error {
            Some(Error::Aborted) => true,
            // Our Close, answered or not.
            None | Some(Error::Eof | Error::Io(_) | Error::Stopped | Error::Timeout(Timeout::Close))
                if closed.initiator == Initiator::Local =>
            {
                true
            }
            Some(Error::Tls(error)) => is_final_tls(error),
            Some(Error::Proxy(error)) => self.is_final_proxy(error),
            Some(Error::Response(ResponseError::Rejected(response))) => {
                self.is_final_status(response.status())
            }
            Some(Error::Response(ResponseError::TlsRequired)) => true,
            // The peer's code decides, regardless of later failures (RFC 6455 §7.1.5).
            _ => self.no_retry_codes.contains(&closed.code),
        }
    }

    fn is_final_status(&self, status: StatusCode) -> bool {
        // The original address is still the one to use after a temporary redirect (RFC 9110 §15.4).
        let is_temporary = matches!(status.as_u16(), 302 | 303 | 307);
        (status.is_redirection() && !is_temporary || status.is_client_error())
            && !self.retry_statuses.contains(&status)
    }

    /// A proxy may be restarted, reach the server later, or be hidden by a captive portal; its rules and its users do not
    /// change by themselves.
    fn is_final_proxy(&self, error: &ProxyError) -> bool {
        match error {
            ProxyError::AuthenticationRequired { .. }
            | ProxyError::CredentialsRejected { .. }
            | ProxyError::TlsRequired
            | ProxyError::Target(_) => true,
            ProxyError::Rejected { status, .. } => {
                *status == StatusCode::FORBIDDEN && self.is_final_status(*status)
            }
            // Not allowed, and what the proxy does not support.
            ProxyError::Socks(SocksReply(reply)) => matches!(reply, 2 | 7 | 8),
            ProxyError::Tls(error) => is_final_tls(error),
            _ => false,
        }
    }
}

/// A client's progress through its attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    attempt: u32,
}

impl Backoff {
    /// The wait before the next attempt; `None` at the limit of attempts. `random` is a uniformly
    /// distributed number.
    pub fn next(&mut self, policy: &Reconnect, random: u32) -> Option<Duration> {
        if policy.attempts.is_some_and(|most| self.attempt >= most) {
            return None;
        }
        let doubled = 1_u32.checked_shl(self.attempt).unwrap_or(u32::MAX);
        let wait = policy.min.max(SHORTEST).saturating_mul(doubled).min(policy.max.max(SHORTEST));
        self.attempt = self.attempt.saturating_add(1);
        let half = wait / 2;
        // Rounding such a large number must not lengthen the wait.
        Some(half.saturating_add(half.mul_f64(f64::from(random) / f64::from(u32::MAX))).min(wait))
    }

    /// How many attempts were made since the last success.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Records how long a connection was open before it ended.
    pub fn connection_lasted(&mut self, policy: &Reconnect, time: Duration) {
        if time >= policy.reset_after {
            self.reset();
        }
    }

    /// Makes the next attempt the first: the application requested it, or the machine slept.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::Response;
    use bytes::Bytes;
    use ws_proto::TlsError;

    fn closed(code: u16, initiator: Initiator, error: Option<Error>) -> Closed {
        let mut closed = Closed::default();
        closed.code = CloseCode::from(code);
        closed.clean = error.is_none();
        closed.initiator = initiator;
        closed.error = error;
        closed.was_open = true;
        closed
    }

    fn rejected(status: u16, retry_after: &str) -> Closed {
        let response = Response::builder().status(status).header("retry-after", retry_after);
        let error = ResponseError::Rejected(Box::new(response.body(Bytes::new()).unwrap()));
        closed(1006, Initiator::Remote, Some(error.into()))
    }

    #[test]
    fn waits_double_up_to_the_longest_with_random_halves() {
        let policy = Reconnect::default();
        let waits = |random| {
            let mut backoff = Backoff::default();
            (0..70).map(|_| backoff.next(&policy, random).unwrap().as_millis()).collect::<Vec<_>>()
        };
        assert_eq!(waits(u32::MAX)[..8], [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert_eq!(waits(0)[..8], [250, 500, 1000, 2000, 4000, 8000, 15000, 15000]);
        assert_eq!(waits(0)[69], 15000);
        let never = Reconnect::default().wait(Duration::ZERO, Duration::ZERO);
        assert_eq!(Backoff::default().next(&never, u32::MAX), Some(Duration::from_millis(1)));
        assert_eq!(Backoff::default().next(&never, 0), Some(Duration::from_micros(500)));
    }

    #[test]
    fn the_longest_wait_does_not_overflow() {
        for seconds in [1 << 62, (1 << 62) + 1, u64::MAX - 1, u64::MAX] {
            let longest = Duration::new(seconds, 999_999_999);
            let policy = Reconnect::default().wait(longest, longest);
            let mut backoff = Backoff::default();
            for random in [u32::MAX, u32::MAX - 1, 0] {
                let wait = backoff.next(&policy, random).unwrap();
                assert!(longest / 2 <= wait && wait <= longest, "{wait:?}");
            }
        }
    }

    #[test]
    fn a_lasting_connection_resets_the_count_and_attempts_are_limited() {
        let policy = Reconnect::default().attempts(2);
        let mut backoff = Backoff::default();
        assert!(backoff.next(&policy, 0).is_some() && backoff.next(&policy, 0).is_some());
        backoff.connection_lasted(&policy, Duration::from_secs(9));
        assert_eq!((backoff.next(&policy, 0), backoff.attempt()), (None, 2));
        backoff.connection_lasted(&policy, Duration::from_secs(10));
        assert_eq!(backoff.next(&policy, 0), Some(Duration::from_millis(250)));
    }

    #[test]
    fn final_ends_are_not_retried() {
        let policy = Reconnect::default().no_retry_code(CloseCode::from(4001));
        let reset = Error::Io(std::io::ErrorKind::ConnectionReset);
        for (end, is_final) in [
            (closed(1000, Initiator::Remote, None), true),
            (closed(1001, Initiator::Remote, None), false),
            (closed(1008, Initiator::Remote, None), true),
            (closed(1012, Initiator::Remote, None), false),
            (closed(4001, Initiator::Remote, None), true),
            (closed(1001, Initiator::Local, None), true),
            (closed(1006, Initiator::Local, Some(Error::Aborted)), true),
            (closed(1006, Initiator::Remote, Some(Error::Eof)), false),
            (closed(1008, Initiator::Remote, Some(reset.clone())), true),
            (closed(1012, Initiator::Remote, Some(reset.clone())), false),
            (closed(1006, Initiator::Remote, Some(reset)), false),
            (closed(1006, Initiator::Local, Some(Error::Timeout(Timeout::Close))), true),
            (closed(1006, Initiator::Local, Some(Error::Timeout(Timeout::Heartbeat))), false),
            (closed(1006, Initiator::Local, Some(Error::Timeout(Timeout::Output))), false),
            (rejected(200, "0"), false),
            (
                closed(
                    1006,
                    Initiator::Local,
                    Some(ResponseError::AcceptInvalid("Sec-WebSocket-Accept").into()),
                ),
                false,
            ),
            (closed(1006, Initiator::Local, Some(ResponseError::Eof.into())), false),
            (closed(1006, Initiator::Local, Some(ResponseError::TlsRequired.into())), true),
            (rejected(301, "0"), true),
            (rejected(302, "0"), false),
            (rejected(303, "0"), false),
            (rejected(304, "0"), true),
            (rejected(307, "0"), false),
            (rejected(308, "0"), true),
            (rejected(401, "0"), true),
            (rejected(404, "0"), true),
            (rejected(429, "0"), false),
            (rejected(503, "0"), false),
        ] {
            assert_eq!(policy.is_final(&end), is_final, "{end}");
        }
        assert!(!policy.retry_status(StatusCode::UNAUTHORIZED).is_final(&rejected(401, "0")));
    }

    #[test]
    fn rejections_of_a_proxy_are_final_and_its_failures_are_not() {
        let policy = Reconnect::default();
        let status = |status| ProxyError::Rejected {
            status: StatusCode::from_u16(status).unwrap(),
            reason: "".into(),
            retry_after: None,
        };
        let offered = || "Basic".into();
        for (error, is_final) in [
            (ProxyError::AuthenticationRequired { offered: offered() }, true),
            (ProxyError::CredentialsRejected { offered: offered() }, true),
            (ProxyError::TlsRequired, true),
            (ProxyError::Target("no"), true),
            (status(302), false),
            (status(308), false),
            (status(400), false),
            (status(403), true),
            (status(404), false),
            (status(405), false),
            (status(501), false),
            (status(511), false),
            (status(429), false),
            (status(502), false),
            (status(503), false),
            (status(504), false),
            (ProxyError::Socks(SocksReply(1)), false),
            (ProxyError::Socks(SocksReply(2)), true),
            (ProxyError::Socks(SocksReply(3)), false),
            (ProxyError::Socks(SocksReply(4)), false),
            (ProxyError::Socks(SocksReply(5)), false),
            (ProxyError::Socks(SocksReply(6)), false),
            (ProxyError::Socks(SocksReply(7)), true),
            (ProxyError::Socks(SocksReply(8)), true),
            (ProxyError::Socks(SocksReply(9)), false),
            (ProxyError::HeadTooLarge, false),
            (ProxyError::Malformed("x"), false),
            (ProxyError::Eof, false),
            (ProxyError::Io(std::io::ErrorKind::ConnectionReset), false),
            (ProxyError::Tls(TlsError::PlainHttp), true),
            (ProxyError::Tls(TlsError::Truncated), false),
        ] {
            let end = closed(1006, Initiator::Local, Some(error.into()));
            assert_eq!(policy.is_final(&end), is_final, "{end}");
        }
    }
}
