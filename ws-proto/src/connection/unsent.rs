//! Writing across an await.

use super::{Connection, Moment};
use crate::outbox::Unsent;

impl Connection {
    /// The bytes for the socket, as an owned value: for writers that await, while the connection is free for other
    /// calls. `None` where nothing is pending, and while an earlier one lives that is not fully written: drop it first.
    ///
    /// Advancing an [`Unsent`] marks bytes as written, without [`handle_written`](Self::handle_written): the connection
    /// accounts for them when this is called again, or at once with [`give_back`](Unsent::give_back). From here on the
    /// peer must take output in time, as after a `handle_written` of 0. Output queued meanwhile follows, Pings and
    /// Pongs directly after the last frame taken. Write either this way or from the [outbox](Self::outbox), not both at
    /// once.
    ///
    /// A loop for streams that can do both at once, here with the traits of `futures-lite`; Tokio's `select!` works as
    /// well in place of `or`:
    ///
    /// ```
    /// use std::{future::pending, io};
    /// use bytes::Buf;
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt, future::or};
    /// use futures_lite::io::{AsyncRead, AsyncWrite, split};
    /// use ws_proto::{Connection, Event, Moment, IoAction};
    ///
    /// async fn drive(
    ///     conn: &mut Connection,
    ///     socket: impl AsyncRead + AsyncWrite + Unpin,
    ///     now: impl Fn() -> Moment,
    ///     sleep_until: impl AsyncFn(Moment),
    ///     mut handle: impl FnMut(&mut Connection, Event<'_>),
    /// ) -> io::Result<()> {
    ///     enum Done { Read(usize), Written, Late }
    ///     let (mut reader, mut writer) = split(socket);
    ///     let mut buffer = [0; 4096];
    ///     let mut unread = 0..0; // what a paused connection left in the buffer
    ///     let mut is_ended = false; // the peer has ended its stream
    ///     loop {
    ///         while let Some(event) = conn.poll_event(now()) {
    ///             handle(conn, event);
    ///         }
    ///         match conn.poll_io() {
    ///             IoAction::Drop | IoAction::Reset => return Ok(()),
    ///             IoAction::Shutdown => writer.close().await?,
    ///             IoAction::Read | IoAction::Write | IoAction::Pause => {}
    ///         }
    ///         let (mut unsent, deadline) = (conn.unsent(now()), conn.poll_timeout());
    ///         let is_reading = !is_ended && unread.is_empty() && !conn.is_paused();
    ///         let write = async {
    ///             let Some(unsent) = &mut unsent else { return pending().await };
    ///             while unsent.has_remaining() {
    ///                 let n = writer.write(unsent.chunk()).await?;
    ///                 unsent.advance(n);
    ///             }
    ///             Ok(Done::Written)
    ///         };
    ///         let read = async {
    ///             if is_reading { reader.read(&mut buffer).await.map(Done::Read) } else { pending().await }
    ///         };
    ///         let sleep = async {
    ///             match deadline {
    ///                 Some(deadline) => sleep_until(deadline).await,
    ///                 None => pending().await,
    ///             }
    ///             Ok(Done::Late)
    ///         };
    ///         // The first to finish wins; the rest are dropped, and what was written is known.
    ///         let done = or(sleep, or(write, read)).await;
    ///         if let Some(unsent) = unsent {
    ///             unsent.give_back(now(), conn);
    ///         }
    ///         match done {
    ///             Ok(Done::Read(0)) => {
    ///                 is_ended = true;
    ///                 conn.handle_eof(now());
    ///             }
    ///             Ok(Done::Read(n)) => unread = 0..n,
    ///             Ok(Done::Written) => {}
    ///             Ok(Done::Late) => conn.handle_timeout(now()),
    ///             Err(error) => conn.abort(now(), error.into()),
    ///         }
    ///         let mut input = &mut buffer[unread.clone()];
    ///         while let Some(event) = conn.handle_input(now(), &mut input) {
    ///             handle(conn, event);
    ///         }
    ///         unread.start = unread.end - input.len();
    ///     }
    /// }
    /// # use std::{pin::Pin, task::{Context, Poll}};
    /// # struct Socket<'a>(&'a mut Vec<u8>); // its peer reads everything, and leaves
    /// # impl AsyncRead for Socket<'_> {
    /// #     fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
    /// #         if self.0.is_empty() { Poll::Pending } else { Poll::Ready(Ok(0)) }
    /// #     }
    /// # }
    /// # impl AsyncWrite for Socket<'_> {
    /// #     fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
    /// #         self.get_mut().0.extend_from_slice(data);
    /// #         Poll::Ready(Ok(data.len()))
    /// #     }
    /// #     fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> { Poll::Ready(Ok(())) }
    /// #     fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> { Poll::Ready(Ok(())) }
    /// # }
    /// # let mut conn = Connection::upgraded(
    /// #     Moment::default(), std::sync::Arc::new(ws_proto::Config::server()), ws_proto::Role::Server,
    /// # );
    /// # conn.send("hello")?;
    /// # let mut closed = false;
    /// # let mut sent = Vec::new();
    /// # let socket = Socket(&mut sent);
    /// # let handle = |_: &mut Connection, event: Event<'_>| closed |= matches!(event, Event::Closed(_));
    /// # futures_lite::future::block_on(drive(&mut conn, socket, Moment::default, async |_| pending().await, handle))?;
    /// # assert_eq!(sent, b"\x81\x05hello");
    /// # assert!(closed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unsent(&mut self, now: Moment) -> Option<Unsent> {
        self.account_for_unsent(now);
        let framed = self.is_framed();
        let unsent = self.outbox.take_unsent(framed)?;
        if !self.backpressure.stalled {
            self.begin_stall(now);
        }
        Some(unsent)
    }

    fn account_for_unsent(&mut self, now: Moment) {
        let written = self.outbox.take_written();
        if written > 0 {
            self.handle_written(now, written);
        }
    }
}

impl Unsent {
    /// Returns it: what it was advanced by is written, and the rest waits for the next one.
    pub fn give_back(self, now: Moment, connection: &mut Connection) {
        drop(self);
        connection.account_for_unsent(now);
    }
}
