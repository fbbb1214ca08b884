//! How a server stops.

use core::time::Duration;
use std::string::String;
use ws_proto::CloseCode;

/// How a server stops: the Close it sends, and over what time.
///
/// ```
/// use std::time::Duration;
/// use ws_proto::CloseCode;
/// use ws_host::server::Stop;
///
/// // A restart, spread over ten seconds for a thousand clients.
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
    /// Closes all at once with 1001, and cuts the rest at this deadline, counted from the end of the
    /// [spread](Self::spread): never with a time beyond the clock's range, and at once with zero. Even then, each
    /// WebSocket gets its Close, if it can be written without waiting.
    pub fn within(deadline: Duration) -> Self {
        Self { deadline, code: CloseCode::GOING_AWAY, reason: String::new(), spread: Duration::ZERO }
    }

    /// Sets the close code; a code that must not be sent (RFC 6455 §7.4) becomes 1001. 1001.
    #[must_use]
    pub fn code(mut self, code: CloseCode) -> Self {
        if code.is_sendable() {
            self.code = code;
        }
        self
    }

    /// Sets the reason, truncated to the 123 bytes of a Close frame. Empty.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        while self.reason.len() > 123 {
            self.reason.pop();
        }
        self
    }

    /// Spreads the closes over this time, one connection after the other, so that reconnecting clients do not all
    /// arrive together. Until its close, a connection is served as usual. The first close is immediate, however long
    /// the spread. Zero.
    pub fn spread(mut self, time: Duration) -> Self {
        self.spread = time;
        self
    }

    /// The deadline, counted from the end of the [spread](Self::spread).
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

    /// The time over which connections are closed.
    pub fn get_spread(&self) -> Duration {
        self.spread
    }

    /// How many of `count` connections are due to be closed when this much of the spread has passed.
    pub fn due(&self, count: usize, elapsed: Duration) -> usize {
        if elapsed >= self.spread {
            return count;
        }
        let part = elapsed.as_nanos().saturating_mul(count as u128) / self.spread.as_nanos().max(1);
        // The first close is immediate.
        usize::try_from(part).unwrap_or(count).saturating_add(1).min(count)
    }

    /// When the next close is due, counted from the beginning, after `closed` of `count`.
    pub fn next_at(&self, count: usize, closed: usize) -> Duration {
        let part = self.spread.as_nanos().saturating_mul(closed as u128).div_ceil((count as u128).max(1));
        u64::try_from(part).map_or(Duration::MAX, Duration::from_nanos).min(self.spread)
    }
}
