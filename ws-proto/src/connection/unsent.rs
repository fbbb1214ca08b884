//! Writing across an await.

use super::{Connection, Moment};
use crate::outbox::Unsent;
use std::io::IoSlice;

impl Connection {
    /// The bytes for the socket, as an owned value: for writers that await, while the connection is free for other
    /// calls. `None` where nothing is pending, and while an earlier one lives that is not fully written: drop it first.
    ///
    /// Advancing an [`Unsent`] marks bytes as written, without [`handle_written`](Self::handle_written): the connection
    /// accounts for them when this is called again, or at once with [`restore`](Unsent::restore). From here on the
    /// peer must take output in time, as after a `handle_written` of 0. Output queued meanwhile follows, Pings and
    /// Pongs directly after the last frame taken. Write either this way or from the [outbox](Self::outbox), not both at
    /// once.
    ///
    /// A loop for streams that can do both at once, here with the traits of `futures-lite`. The guide "tokio, axum and
    /// hyper" has a whole program for Tokio.
    ///
    /// `close` on the writer must half-close: a peer that waits for the end of TCP, as a client does after both Closes,
    /// otherwise waits for [`close_timeout`](crate::Config::close_timeout). It does so on Unix sockets and TCP of most
    /// runtimes, but not on `async_io::Async<TcpStream>`, whose `close` sends no FIN: pass `&socket` there, and call
    /// `socket.get_ref().shutdown(Shutdown::Write)` in its place.
    ///
    /// ```
    /// use std::{future::pending, io};
    /// use bytes::Buf;
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt, future::or};
    /// use futures_lite::io::{AsyncRead, AsyncWrite, split};
    /// use ws_proto::{Connection, Event, Moment, IoAction};
    ///
    /// /// Returns after `Closed`, whatever the socket did. If this is `Reset`, set SO_LINGER to zero before the drop.
    /// async fn drive(
    ///     conn: &mut Connection,
    ///     socket: impl AsyncRead + AsyncWrite + Unpin,
    ///     now: impl Fn() -> Moment,
    ///     sleep_until: impl AsyncFn(Moment),
    ///     mut handle: impl FnMut(&mut Connection, Event<'_>),
    /// ) -> IoAction {
    ///     enum Done { Read(io::Result<usize>), Written(io::Result<()>), Late }
    ///     let (mut reader, mut writer) = split(socket);
    ///     let mut buffer = [0; 4096];
    ///     let mut unread = 0..0; // what a paused connection left in the buffer
    ///     let mut is_ended = false; // the peer has ended its stream
    ///     let mut half_closes = false;
    ///     loop {
    ///         while let Some(event) = conn.poll_event(now()) {
    ///             handle(conn, event);
    ///         }
    ///         match conn.poll_io() {
    ///             end @ (IoAction::Drop | IoAction::Reset) => return end,
    ///             IoAction::Shutdown => half_closes = true,
    ///             IoAction::Read | IoAction::Write | IoAction::Pause => {}
    ///         }
    ///         let (mut unsent, deadline) = (conn.unsent(now()), conn.poll_timeout());
    ///         let is_reading = !is_ended && unread.is_empty() && !conn.is_paused();
    ///         let write = async {
    ///             match &mut unsent {
    ///                 Some(unsent) => while unsent.has_remaining() {
    ///                     let n = writer.write(unsent.chunk()).await?;
    ///                     unsent.advance(n);
    ///                 },
    ///                 None if half_closes => writer.close().await?, // see above
    ///                 None => pending().await,
    ///             }
    ///             Ok(())
    ///         };
    ///         let write = async { Done::Written(write.await) };
    ///         let read = async {
    ///             if is_reading { Done::Read(reader.read(&mut buffer).await) } else { pending().await }
    ///         };
    ///         let sleep = async {
    ///             match deadline {
    ///                 Some(deadline) => sleep_until(deadline).await,
    ///                 None => pending().await,
    ///             }
    ///             Done::Late
    ///         };
    ///         // The first to finish wins; the rest are dropped, and what was written is known.
    ///         let done = or(sleep, or(write, read)).await;
    ///         if let Some(unsent) = unsent {
    ///             unsent.restore(now(), conn);
    ///         }
    ///         match done {
    ///             Done::Read(Ok(0)) => {
    ///                 is_ended = true;
    ///                 conn.handle_eof(now());
    ///             }
    ///             Done::Read(Ok(n)) => unread = 0..n,
    ///             Done::Read(Err(error)) => conn.abort(now(), error.into()),
    ///             Done::Written(Ok(())) => half_closes = false,
    ///             // A half-close fails if the peer has already left. The peer's Close may be unread.
    ///             Done::Written(Err(error)) => conn.write_failed(now(), error.into()),
    ///             Done::Late => conn.handle_timeout(now()),
    ///         }
    ///         let mut input = &mut buffer[unread.clone()];
    ///         while let Some(event) = conn.handle_input(now(), &mut input) {
    ///             handle(conn, event);
    ///         }
    ///         unread.start = unread.end - input.len();
    ///     }
    /// }
    /// # use std::{pin::Pin, task::{Context, Poll}};
    /// # use io::ErrorKind::{BrokenPipe, NotConnected};
    /// # use ws_proto::{CloseCode, Error};
    /// # struct Socket<'a> { // its peer reads, answers with this, and leaves
    /// #     sent: &'a mut Vec<u8>,
    /// #     is_written: bool,
    /// #     answer: &'static [u8],
    /// #     write_fails: bool,
    /// #     close_fails: bool,
    /// # }
    /// # impl AsyncRead for Socket<'_> {
    /// #     fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
    /// #         let this = self.get_mut();
    /// #         if this.is_written { Poll::Ready(io::Read::read(&mut this.answer, to)) } else { Poll::Pending }
    /// #     }
    /// # }
    /// # impl AsyncWrite for Socket<'_> {
    /// #     fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
    /// #         let this = self.get_mut();
    /// #         this.is_written = true;
    /// #         if this.write_fails { return Poll::Ready(Err(BrokenPipe.into())) }
    /// #         this.sent.extend_from_slice(data);
    /// #         Poll::Ready(Ok(data.len()))
    /// #     }
    /// #     fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> { Poll::Ready(Ok(())) }
    /// #     fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
    /// #         Poll::Ready(if self.close_fails { Err(NotConnected.into()) } else { Ok(()) })
    /// #     }
    /// # }
    /// # let drive_to_end = |answer, write_fails, close_fails| -> Result<_, ws_proto::SendError> {
    /// #     let mut conn = Connection::upgraded(
    /// #         Moment::default(), std::sync::Arc::new(ws_proto::Config::server()), ws_proto::Role::Server,
    /// #     );
    /// #     conn.send("hello")?;
    /// #     let (mut sent, mut closes) = (Vec::new(), Vec::new());
    /// #     let socket = Socket { sent: &mut sent, is_written: false, answer, write_fails, close_fails };
    /// #     let handle = |_: &mut Connection, event: Event<'_>| match event {
    /// #         Event::Closed(closed) => closes.push(closed),
    /// #         other => panic!("{other:?}"),
    /// #     };
    /// #     let driven = drive(&mut conn, socket, Moment::default, async |_| pending().await, handle);
    /// #     assert_eq!(futures_lite::future::block_on(driven), IoAction::Drop);
    /// #     assert_eq!(closes.len(), 1, "Closed is reported once");
    /// #     Ok((sent, closes.remove(0)))
    /// # };
    /// # for close_fails in [false, true] {
    /// #     // The peer ends its stream.
    /// #     let (sent, closed) = drive_to_end(b"", false, close_fails)?;
    /// #     assert!(sent == b"\x81\x05hello" && matches!(closed.error, Some(Error::Eof)), "{closed}");
    /// #     // It closes, and leaves.
    /// #     let (_, closed) = drive_to_end(b"\x88\x82\0\0\0\0\x03\xe8", false, close_fails)?;
    /// #     assert!(closed.clean && closed.code == CloseCode::NORMAL);
    /// #     // It breaks the protocol, and leaves.
    /// #     let (_, closed) = drive_to_end(b"\xff\x80\0\0\0\0", false, close_fails)?;
    /// #     assert!(closed.sent == Some(CloseCode::PROTOCOL_ERROR) && matches!(closed.error, Some(Error::Protocol(_))));
    /// # }
    /// # // A failed write does not hide the peer's Close.
    /// # let (_, closed) = drive_to_end(b"\x88\x82\0\0\0\0\x03\xe8", true, false)?;
    /// # assert!(closed.code == CloseCode::NORMAL && matches!(closed.error, Some(Error::Io(BrokenPipe))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unsent(&mut self, now: Moment) -> Option<Unsent> {
        self.account_for_unsent(now);
        let framed = self.is_framed();
        let unsent = self.outbox.take_unsent(framed)?;
        if !self.is_stalled() {
            self.begin_stall(now);
        }
        Some(unsent)
    }

    /// Hands output on to a layer that may hold what it takes, such as TLS: what is in these slices stays first in the
    /// outbox, unchanged, until it is [written](Self::handle_written) to the socket. Until then it is pending, for
    /// every limit and deadline, and the copy that the layer holds counts as memory. Returns how many slices it filled.
    /// For adapters, exempt from semver.
    #[doc(hidden)]
    pub fn hand_on<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        let framed = self.is_framed();
        self.outbox.hand_on(framed, slices)
    }

    fn account_for_unsent(&mut self, now: Moment) {
        let written = self.outbox.take_written();
        if written > 0 {
            self.handle_written(now, written);
        }
    }
}

impl Unsent {
    /// Returns it: what it was advanced past counts as written; the next one has the rest.
    pub fn restore(self, now: Moment, connection: &mut Connection) {
        drop(self);
        connection.account_for_unsent(now);
    }
}
