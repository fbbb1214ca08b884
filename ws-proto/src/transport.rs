//! What a server's connection stands on, as only the owner of its socket knows.

/// What a connection to a server stands on: told to [`Connection::server`](crate::Connection::server) by the owner of
/// the socket.
///
/// ```
/// use ws_proto::Transport;
///
/// let tcp = Transport::default();
/// let unix = Transport::unix();
/// assert!(unix.unix && !tcp.unix);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transport {
    /// This server itself speaks TLS on the connection. `false`.
    pub secure: bool,
    /// The connection came over a Unix socket, which no browser can open. `false`.
    pub unix: bool,
    /// The port on which this server listens at both `127.0.0.1` and `::1`, if it does: there `localhost`, `127.0.0.1`
    /// and `[::1]` are one host for the rule of origins. `None`.
    pub loopback_port: Option<u16>,
}

impl Transport {
    /// A Unix socket.
    pub fn unix() -> Self {
        Self { unix: true, ..Self::default() }
    }

    /// Sets whether this server itself speaks TLS on the connection.
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Sets the port on which this server listens at both `127.0.0.1` and `::1`.
    #[must_use]
    pub fn loopback_port(mut self, port: Option<u16>) -> Self {
        self.loopback_port = port;
        self
    }
}
