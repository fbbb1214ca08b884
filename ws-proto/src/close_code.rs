//! Close codes (RFC 6455 §7.4).

use core::fmt;

/// A status code of RFC 6455 §7.4: why a connection is being closed.
///
/// ```
/// use ws_proto::CloseCode;
/// assert_eq!(CloseCode::NORMAL, CloseCode::from(1000));
/// assert!(CloseCode::from(4001).is_sendable());
/// assert!(!CloseCode::ABNORMAL.is_sendable());
/// assert_eq!(CloseCode::GOING_AWAY.to_string(), "1001 going away");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: a server stops, or the user leaves a page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the other side broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data that cannot be accepted, such as binary where only text is supported.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1005: the peer's Close carried no code. Never sent (§7.4.1).
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection ended without a Close frame. Never sent (§7.4.1).
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: data that does not fit its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a policy of the endpoint was violated, and nothing more specific fits.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message that is too big to process.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the client requires an extension that the server did not negotiate.
    pub const EXTENSION_REQUIRED: Self = Self(1010);
    /// 1011: the server met an unexpected condition.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts; reconnect later.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got an invalid response from upstream.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: the TLS handshake failed. Never sent (§7.4.1).
    pub const TLS_FAILURE: Self = Self(1015);

    /// The number itself.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether a Close frame may carry this code: 1000 to 1003, 1007 to 1014 and 3000 to 4999 (§7.4.2
    /// and the IANA registry).
    pub const fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    const fn meaning(self) -> &'static str {
        match self.0 {
            1000 => "normal closure",
            1001 => "going away",
            1002 => "protocol error",
            1003 => "unsupported data",
            1005 => "no status received",
            1006 => "abnormal closure",
            1007 => "invalid payload",
            1008 => "policy violation",
            1009 => "message too big",
            1010 => "extension required",
            1011 => "internal error",
            1012 => "service restart",
            1013 => "try again later",
            1014 => "bad gateway",
            1015 => "TLS failure",
            3000..=3999 => "registered by a library or framework",
            4000..=4999 => "private to the application",
            _ => "unassigned",
        }
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.meaning())
    }
}
