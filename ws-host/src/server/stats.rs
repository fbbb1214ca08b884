//! Statistics of a server.

use ws_proto::Connection;

/// What a server has done since it was created, or all servers of an endpoint together since the endpoint was created.
/// Only connections that a server accepted count: none of the application's own clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that were accepted, plain HTTP included.
    pub accepted: u64,
    /// Connections that were rejected at a limit of [`ServerConfig`](super::ServerConfig), and requests through trusted
    /// proxies that were answered 429 at [`max_per_address`](super::ServerConfig::max_per_address).
    pub rejected: u64,
    /// Connections that ended because TLS failed, in the handshake or later, or because only the client or only the
    /// server speaks TLS.
    pub tls_failed: u64,
    /// Connections that ended because the PROXY header that a [trusted proxy](super::ServerConfig::trust_proxy) must send
    /// was missing or invalid.
    pub proxy_header_failed: u64,
    /// Connections that are open now: plain HTTP and closing ones included.
    pub open: usize,
    /// Messages that were received; a fragmented one counts once.
    pub messages_in: u64,
    /// Messages that were queued to be sent; one to each of a hundred connections counts a hundred times.
    pub messages_out: u64,
    /// Bytes from peers, HTTP included.
    pub bytes_in: u64,
    /// Bytes written to sockets, HTTP included.
    pub bytes_out: u64,
}

impl Stats {
    /// Adds the bytes of a connection, and a failure of its TLS or its PROXY header: call it for each that ends, and for the open ones in a
    /// snapshot.
    ///
    /// ```
    /// # use ws_host::server::Stats;
    /// # use ws_proto::Connection;
    /// /// `ended` holds the counts, with the bytes of connections that have ended.
    /// fn stats<'c>(ended: &Stats, open: impl Iterator<Item = &'c Connection>) -> Stats {
    ///     let mut stats = *ended;
    ///     for connection in open {
    ///         stats.open += 1;
    ///         stats.add_connection(connection);
    ///     }
    ///     stats
    /// }
    /// ```
    pub fn add_connection(&mut self, connection: &Connection) {
        self.bytes_in += connection.bytes_received();
        self.bytes_out += connection.bytes_sent();
        self.tls_failed += u64::from(connection.has_failed_by_tls());
        self.proxy_header_failed += u64::from(connection.has_failed_by_proxy_header());
    }
}
