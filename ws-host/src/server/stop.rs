//! How a server stops.

use core::time::Duration;
use std::string::String;
use ws_proto::CloseCode;

/// How a server stops: what its WebSockets are told, and over what time.
///
/// ```
/// use std::time::Duration;
/// use ws_proto::CloseCode;
/// use ws_host::server::Stop;
///
/// // A restart, of which a thousand clients hear within ten seconds rather than at once.
/// let stop = Stop::within(Duration::from_secs(5))
///     .code(CloseCode::SERVICE_RESTART)
///     .reason("back in a moment")
///     .spread(Duration::from_secs(10));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    deadline: Duration,
    code: CloseCode,
    reason: String,
    spread: Duration,
}

impl Stop {
    /// Tells 1001 to all at once, and cuts what is left when this time has passed, counted from the end of the
    /// [spread](Self::spread): at once with zero, and never with what no clock can show.
    pub fn within(deadline: Duration) -> Self {
        Self { deadline, code: CloseCode::GOING_AWAY, reason: String::new(), spread: Duration::ZERO }
    }

    /// Sets the close code; one that must not be sent (RFC 6455 §7.4) stays 1001. 1001.
    #[must_use]
    pub fn code(mut self, code: CloseCode) -> Self {
        if code.is_sendable() {
            self.code = code;
        }
        self
    }

    /// Sets the reason; a Close frame has room for 123 bytes, and what is over is cut off. Empty.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        while self.reason.len() > 123 {
            self.reason.pop();
        }
        self
    }

    /// Sets over what time the connections are told, one after the other: clients that reconnect at once then do not all
    /// meet. Those that are not told yet are served as ever. The first is told at once, however long that is. Zero.
    #[must_use]
    pub fn spread(mut self, time: Duration) -> Self {
        self.spread = time;
        self
    }

    /// How long what is left may take.
    pub fn get_deadline(&self) -> Duration {
        self.deadline
    }

    /// The close code.
    pub fn get_code(&self) -> CloseCode {
        self.code
    }

    /// The reason.
    pub fn get_reason(&self) -> &str {
        &self.reason
    }

    /// Over what time the connections are told.
    pub fn get_spread(&self) -> Duration {
        self.spread
    }

    /// How many of `count` connections are told when so much of the spread has passed.
    pub fn told(&self, count: usize, elapsed: Duration) -> usize {
        if elapsed >= self.spread {
            return count;
        }
        let part = elapsed.as_nanos().saturating_mul(count as u128) / self.spread.as_nanos().max(1);
        // The first is told at once.
        usize::try_from(part).unwrap_or(count).saturating_add(1).min(count)
    }

    /// When the next is told, counted from the beginning, where so many of `count` have been.
    pub fn next_at(&self, count: usize, told: usize) -> Duration {
        let part = self.spread.as_nanos().saturating_mul(told as u128).div_ceil((count as u128).max(1));
        u64::try_from(part).map_or(Duration::MAX, Duration::from_nanos).min(self.spread)
    }
}
