//! The state of a connection, and its next I/O step.

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

/// The state of a connection, in the terms of the browsers' `readyState`.
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
    /// Read, and pass the bytes to [`Connection::handle_input`](crate::Connection::handle_input); an error goes to
    /// [`abort`](crate::Connection::abort).
    Read,
    /// Write from the [outbox](crate::Connection::outbox), and report to
    /// [`Connection::handle_written`](crate::Connection::handle_written) how much; 0 where the socket would block.
    /// An error goes to [`write_failed`](crate::Connection::write_failed).
    Write,
    /// Neither: wait for the application, or for the deadline.
    Pause,
    /// Half-close: `shutdown(Write)`. Returned once; reading continues. It fails if the peer has already left: an
    /// error goes to [`write_failed`](crate::Connection::write_failed), and the end is reported all the same.
    Shutdown,
    /// Close the transport; nothing more follows.
    Drop,
    /// Close the transport with a reset (`SO_LINGER` of zero) rather than a FIN: an answer was cut off that only the
    /// end of the connection delimits, as in HTTP/1.0 without a length.
    Reset,
}

/// The result of a send. The message was accepted in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Queued.
    Queued,
    /// Queued, and the outbox is over its high mark: wait for [`Event::Drained`](crate::Event::Drained) before sending
    /// more.
    Congested,
}
