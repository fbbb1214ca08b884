//! Fair inflating among the connections of one thread: none gets more while others wait for their share.

use super::Connection;
use super::backpressure::Held;
use crate::moment::Moment;

/// How much of its peer's messages a connection may inflate before the other connections take their turn: see
/// [`begin`](Self::begin). [`Connection::shares`] returns it.
#[derive(Debug)]
pub struct Shares<'a> {
    connection: &'a mut Connection,
}

impl Connection {
    /// The inflate share of this connection.
    #[inline]
    pub fn shares(&mut self) -> Shares<'_> {
        Shares { connection: self }
    }

    /// From now on, compressed input is inflated by shares, if the owner has requested that.
    pub(super) fn begin_shares(&mut self) {
        if self.input.shares
            && let Some(compression) = self.stage.compression_mut()
        {
            compression.share();
        }
    }

    /// Leftover input without an event waits for the next share, unless something else holds it back.
    pub(super) fn check_share(&mut self, left: usize) {
        let Some(compression) = self.stage.compression_mut() else { return };
        if left == 0 {
            compression.finish_share();
        } else if compression.has_used_share() {
            self.input.held.set(Held::SHARE, true);
        }
    }
}

impl Shares<'_> {
    /// Inflates by shares from now on, so that one peer's compressed messages do not hold up the others of its thread.
    /// Without this, one [`handle_input`](Connection::handle_input) inflates all its input, and a few KiB of it may
    /// become megabytes.
    ///
    /// Call it wherever connections share a thread and [`Config::deflate`](crate::Config::deflate) is set: in an event
    /// loop, and also with one task per connection, since no other task of the executor's thread runs meanwhile. With
    /// one thread per connection, or without compression, it is not needed.
    ///
    /// The first share is 16 KiB of inflated bytes, and each further one 64 KiB, or less where many connections want
    /// more: an equal part of 4 MiB, at least 16 KiB. (All connections of one [`Deflate`](crate::Deflate) and its clones
    /// count.) When a share runs out before the input does, the connection [is paused](Connection::is_paused), even
    /// within a message, and [has used its share](Self::is_used): `handle_input` leaves the rest of the input with the
    /// caller until the [next share](Self::next). A task yields to its executor and then calls `next`; an event loop
    /// serves its other connections first, in an order of its choice, for example by what each has [inflated
    /// lately](Self::recently_inflated). Uncompressed messages are not limited, except by what is ahead of them.
    ///
    /// ```
    /// # #[cfg(feature = "deflate")] {
    /// use std::sync::Arc;
    /// use ws_proto::{Config, Connection, Deflate, Event, Frame, Moment, Role};
    /// # use bytes::Buf;
    /// # let (now, config) = (Moment::default(), Arc::new(Config::server().deflate(Deflate::new())));
    /// # let terms = Deflate::new().accept(&[(http::header::SEC_WEBSOCKET_EXTENSIONS, Deflate::new().offer())].into_iter().collect()).unwrap().0;
    /// # let mut client = Connection::upgraded(now, config.clone(), Role::Client { seed: [0; 32] });
    /// # client.compress_by(terms);
    /// # client.send(&Frame::binary(vec![0; 1 << 20])).unwrap();
    /// # let mut received = client.outbox().chunk().to_vec(); // a mebibyte of zeros, in about a kibibyte
    ///
    /// let mut server = Connection::upgraded(now, config, Role::Server);
    /// # server.compress_by(terms);
    /// server.shares().begin();
    /// let mut input = &mut received[..];
    /// let message = loop {
    ///     match server.handle_input(now, &mut input) {
    ///         Some(Event::Message(message)) => break message,
    ///         None if server.shares().is_used() => { /* others first, then: */ server.shares().next(now) }
    ///         other => panic!("{other:?}"),
    ///     }
    /// };
    /// assert_eq!(message.as_bytes().len(), 1 << 20);
    /// # }
    /// ```
    pub fn begin(self) {
        self.connection.input.shares = true;
        self.connection.begin_shares();
    }

    /// Whether bytes of the peer wait for the [next share](Self::next). They may be with the caller, or kept here from
    /// before the connection was open.
    #[inline]
    pub fn is_used(&self) -> bool {
        self.connection.input.held.has(Held::SHARE)
    }

    /// Grants the next share: reading resumes. Harmless if none is awaited.
    pub fn next(self, now: Moment) {
        if !self.is_used() {
            return;
        }
        let Self { connection } = self;
        if let Some(compression) = connection.stage.compression_mut() {
            compression.next_share();
        }
        connection.input.held.set(Held::SHARE, false);
        connection.resume_reading(now);
    }

    /// How many bytes the peer's messages inflated to recently: in this second, and half as many of each second before.
    /// Restarting a stream costs work, which counts too. 0 where nothing is compressed.
    pub fn recently_inflated(&self) -> u64 {
        self.connection.stage.compression().map_or(0, |compression| compression.recently_inflated().into())
    }
}
