//! permessage-deflate on this connection (RFC 7692): the agreed terms, which messages are compressed, and when contexts
//! are released.

use super::send::write_bytes;
use super::{Connection, Moment, Sent, Side, Stage};
use crate::deflate::{CompressionHint, PerMessage, Terms};
use crate::error::SendError;
use crate::frame::COPY_UP_TO;
use crate::frame::{self, Frame, RSV1, first_byte};

impl Stage {
    /// The state that inflates the peer's messages and compresses ours.
    #[inline]
    pub(super) fn compression(&self) -> Option<&PerMessage> {
        match self {
            Self::Open(compression) => compression.as_deref(),
            Self::Opened(opened) => opened.compression.as_deref(),
            Self::Closing(closing) => closing.compression.as_deref(),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn compression_mut(&mut self) -> Option<&mut PerMessage> {
        match self {
            Self::Open(compression) => compression.as_deref_mut(),
            Self::Opened(opened) => opened.compression.as_deref_mut(),
            Self::Closing(closing) => closing.compression.as_deref_mut(),
            _ => None,
        }
    }
}

impl Connection {
    /// Compresses and inflates from now on, by the terms of an opening handshake that was done elsewhere, with the
    /// [`Config::deflate`](crate::Config::deflate) of this connection; without that it does nothing.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use ws_proto::{Config, Connection, Deflate, Moment, Role};
    /// # let request = http::Request::new(());
    ///
    /// let config = Config::server().deflate(Deflate::new());
    /// let agreed = config.get_deflate().and_then(|deflate| deflate.accept(request.headers()));
    /// let mut server = Connection::upgraded(Moment::default(), Arc::new(config), Role::Server);
    /// if let Some((terms, answer)) = agreed {
    ///     // … the 101 has `answer` as its Sec-WebSocket-Extensions …
    ///     server.compress_by(terms);
    /// }
    /// ```
    #[cfg(feature = "deflate")]
    pub fn compress_by(&mut self, terms: Terms) {
        self.agree_on(terms);
    }

    /// The same for handshakes that the engine answered.
    pub(super) fn agree_on(&mut self, terms: Terms) {
        if let Stage::Open(compression) = &mut self.stage {
            *compression = PerMessage::new(self.config.deflate.as_ref(), terms);
            self.begin_shares();
        }
    }

    /// The agreed compression terms, if any.
    #[cfg(feature = "deflate")]
    pub fn compression(&self) -> Option<Terms> {
        self.stage.compression().map(|compression| compression.terms())
    }

    /// Sends a frame that is sent to many connections: where messages are compressed, it is compressed once,
    /// independently, for all connections with the same window, rather than for each in its own context.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[inline]
    pub fn send_shared(&mut self, frame: &Frame) -> Result<Sent, SendError> {
        if self.stage.compression().is_none() {
            return self.send(frame);
        }
        self.send_compressed_for_all(frame)
    }

    #[inline(never)]
    fn send_compressed_for_all(&mut self, frame: &Frame) -> Result<Sent, SendError> {
        let waits = self.in_flight.as_ref().is_some_and(|in_flight| in_flight.outgoing.is_some());
        // Only a whole message has a shared form: control frames are never compressed (RFC 7692 §6), and a fragment
        // depends on the one before.
        let Some(shared) = &frame.shared else { return self.send(frame) };
        if waits || !self.compresses(frame.compression, frame.payload.len()) {
            return self.send(frame);
        }
        self.check_open()?;
        self.check_room(frame.payload.len())?;
        if let Some(compression) = self.stage.compression_mut() {
            let compressed = compression.compress_shared(shared, &frame.payload);
            self.write_shared(first_byte(true, frame.opcode) | RSV1, &compressed);
        }
        Ok(self.check_marks())
    }

    /// Whether to compress a message of this length.
    pub(super) fn compresses(&self, hint: CompressionHint, len: usize) -> bool {
        self.stage.compression().is_some_and(|compression| compression.compresses(hint, len))
    }

    /// Appends a frame of a compressed message.
    pub(super) fn write_compressed(&mut self, first: u8, payload: &[u8], fin: bool) {
        let Self { stage, side, outbox, .. } = self;
        let Some(compression) = stage.compression_mut() else { return };
        let compressed = compression.compress(payload, fin);
        let len = compressed.len();
        if len <= COPY_UP_TO || matches!(side, Side::Client(_)) {
            write_bytes(side, outbox.buffer(), first, compressed);
        } else {
            frame::write_header(outbox.buffer(), first, len, None);
            outbox.push_shared(compression.take_compressed(len));
        }
        compression.compressed();
    }

    /// When to release unused contexts, which the deadline now includes.
    pub(super) fn arm_release(&mut self) -> Option<Moment> {
        let due = self.release_due();
        if let Some(compression) = self.stage.compression_mut() {
            *compression.release_is_due() = due.is_some();
        }
        due
    }

    /// Releases contexts that were unused for long enough.
    pub(super) fn release_unused(&mut self, now: Moment) {
        if self.release_due().is_some_and(|due| now >= due)
            && let Some(compression) = self.stage.compression_mut()
        {
            compression.release();
        }
    }

    /// When to release unused contexts. Heartbeats do not use them.
    fn release_due(&self) -> Option<Moment> {
        let compression = self.stage.compression()?;
        let last_use = Moment::from_nanos(compression.last_use(self.last_received.max(self.beat).as_nanos()));
        compression.can_release().then(|| last_use + compression.release_after())
    }

    /// Includes newly created contexts in the deadline.
    #[inline]
    pub(super) fn arm_contexts(&mut self, now: Moment) {
        if let Some(compression) = self.stage.compression_mut() {
            compression.record_use(now.as_nanos());
            if compression.can_release() && !*compression.release_is_due() {
                self.arm();
            }
        }
    }

    /// Ends compression and inflation.
    pub(super) fn release_contexts(&mut self) {
        if let Some(compression) = self.stage.compression_mut() {
            compression.release_all();
        }
    }
}
