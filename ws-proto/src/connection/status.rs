//! Where a connection stands, and what is to be done with it.

/// Which end of a connection is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The server, which does not mask.
    Server,
    /// The client, which masks with keys from a stream of this seed: 32 unpredictable bytes, never used twice.
    Client {
        /// From the system's source of randomness.
        seed: [u8; 32],
    },
}

/// Where a connection stands, in the words of the browsers' `readyState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// HTTP, up to the end of the opening handshake.
    Connecting,
    /// Messages may be sent.
    Open,
    /// A Close was sent or received, or the connection failed.
    Closing,
    /// Over.
    Closed,
}

/// What the transport should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoAction {
    /// Read, and give what came to [`Connection::handle_input`](crate::Connection::handle_input).
    Read,
    /// Write from the [outbox](crate::Connection::outbox), and tell
    /// [`Connection::handle_written`](crate::Connection::handle_written) how much; 0 where the socket would block.
    Write,
    /// Neither: wait for the application, or for the deadline.
    Pause,
    /// Half-close: `shutdown(Write)`. Told once; reading goes on.
    Shutdown,
    /// Close the transport; nothing more will come of it.
    Drop,
    /// Close the transport by a reset (`SO_LINGER` of zero) rather than a FIN, since an answer was cut off whose end only
    /// the end of the connection tells, as in HTTP/1.0 without a length.
    Reset,
}

/// How a send went. Either way the message was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Queued.
    Queued,
    /// Queued, and the outbox is over its high mark: better wait for [`Event::Drained`](crate::Event::Drained).
    Congested,
}
