//! Writes the outbox to the stream: used by the task that polls the connection, and by senders that wait for room.

use crate::driver::pool;
use crate::driver::shared::Shared;
use bytes::Buf;
use futures_io::AsyncWrite;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use ws_proto::{Connection, Moment};

/// How many slices one write gathers.
const SLICES: usize = 64;

/// Which stream operation is pending besides reading and writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// All written bytes are flushed.
    Flushed,
    /// A stream with its own buffer may still hold bytes.
    Written,
    /// The write half is to be closed.
    Closing,
}

impl Output {
    /// A read may have left output, as that of TLS may: it is to be flushed. Returns whether that is new.
    #[inline]
    pub(crate) fn note_read(&mut self, shared: &Shared) -> bool {
        let must_flush = *self == Self::Flushed && shared.needs_flush();
        if must_flush {
            *self = Self::Written;
        }
        must_flush
    }
}

/// Writes the outbox, flushes, and closes the write half if that is due; returns whether anything changed.
pub(crate) fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    output: &mut Output,
    shared: &Shared,
    connection: &mut Connection,
    io: &mut Context<'_>,
    now: Moment,
) -> bool {
    let mut progressed = false;
    if shared.take_flush_due() && *output == Output::Flushed {
        *output = Output::Written;
    }
    while connection.outbox().has_remaining() {
        match write_once(stream, shared, connection, io) {
            Poll::Ready(Ok(n)) => {
                progressed = true;
                *output = Output::Written;
                connection.handle_written(now, n);
                if n == 0 {
                    shared.set_write_failed();
                    connection.write_failed(now, io::Error::from(io::ErrorKind::WriteZero).into());
                }
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Poll::Ready(Err(error)) => {
                progressed = true;
                shared.set_write_failed();
                connection.write_failed(now, error.into());
            }
            Poll::Pending => {
                // Nothing was written: start the output timeout.
                connection.handle_written(now, 0);
                return progressed;
            }
        }
    }
    // An empty outbox holds no memory.
    pool::detach_buffer(connection);
    let done = match output {
        Output::Flushed => return progressed,
        Output::Written => Pin::new(stream).poll_flush(io),
        Output::Closing => Pin::new(stream).poll_close(io),
    };
    match done {
        Poll::Pending => {}
        Poll::Ready(result) => {
            // If closing the half fails, the connection was reset, and reading will report it.
            if let (Output::Written, Err(error)) = (&output, result) {
                shared.set_write_failed();
                connection.write_failed(now, error.into());
            }
            *output = Output::Flushed;
            progressed = true;
        }
    }
    progressed
}

fn write_once<S: AsyncWrite + Unpin>(
    stream: &mut S,
    shared: &Shared,
    connection: &mut Connection,
    io: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if shared.holds_output() {
        return write_held(stream, connection, io);
    }
    let outbox = connection.outbox();
    let chunk = outbox.chunk();
    if chunk.len() == outbox.remaining() {
        return Pin::new(stream).poll_write(io, chunk);
    }
    let mut slices = [IoSlice::new(&[]); SLICES];
    let count = outbox.chunks_vectored(&mut slices);
    Pin::new(stream).poll_write_vectored(io, &slices[..count])
}

/// The same for a stream that may hold a copy of what it did not take.
#[cold]
fn write_held<S: AsyncWrite + Unpin>(
    stream: &mut S,
    connection: &mut Connection,
    io: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let count = connection.hand_on(&mut slices);
    Pin::new(stream).poll_write_vectored(io, &slices[..count])
}
