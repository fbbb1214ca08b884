//! Sending from tasks other than the one that polls: waits for room, and writes directly if it can.

use crate::clock::{self, until, yield_now};
use crate::driver::output::{Output, write};
use crate::driver::shared::Shared;
use event_listener::listener;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;
use std::time::Instant;
use ws_proto::{Sent, State};

impl Shared {
    /// Sends as soon as there is room below the high mark, and writes directly if it can. On the error `full` it keeps
    /// waiting, with `not_polled` it gives up.
    ///
    /// If it cannot write, the owner must: the owner is woken, and if it does not poll within the output timeout, no
    /// task will.
    pub(crate) async fn send_when_room<E: PartialEq>(
        &self,
        (full, not_polled): (E, E),
        try_send: impl Fn() -> Result<Sent, E>,
    ) -> Result<(), E> {
        let mut polls = self.polls.load(Relaxed);
        let mut deadline = self.output_deadline();
        let waiting = self.wakers.register_room();
        let mut is_late = false;
        loop {
            listener!(waiting.event() => room);
            if self.has_room() {
                match try_send() {
                    // The message is larger than the room that is left: wait for more.
                    Err(error) if error == full => {}
                    result => return result.map(drop),
                }
            }
            if self.write() {
                // A peer that takes everything would never suspend a task that only sends.
                yield_now().await;
                continue;
            }
            if is_late {
                return Err(not_polled);
            }
            self.wakers.wake_writers();
            until(room, deadline).await;
            let polls_now = self.polls.load(Relaxed);
            if polls_now != polls {
                (polls, deadline) = (polls_now, self.output_deadline());
            } else {
                // There may be room all the same, if this task had to wait for its thread.
                is_late = deadline.is_some_and(|deadline| deadline <= Instant::now());
            }
        }
    }

    fn output_deadline(&self) -> Option<Instant> {
        Instant::now().checked_add(self.connection().config().get_output_timeout())
    }

    /// Whether a send may be tried. After the end, the send itself reports it.
    fn has_room(&self) -> bool {
        let connection = self.connection();
        matches!(connection.state(), State::Closing | State::Closed) || !connection.is_congested()
    }

    /// Writes what the socket takes; returns whether it took anything.
    fn write(&self) -> bool {
        let _held = self.wakers.hold();
        let mut connection = self.connection();
        let Some(socket) = &mut *self.socket() else { return false };
        let mut io = Context::from_waker(&self.waker);
        let mut output = Output::Flushed;
        let progressed = write(socket, &mut output, self, &mut connection, &mut io, clock::now());
        if output == Output::Written {
            // TLS holds some of it. The owner flushes.
            self.set_flush_due();
            self.wakers.wake_writers();
        }
        if self.has_write_failed() {
            // The owner reads what the peer sent last.
            self.wakers.wake_driver();
        }
        progressed
    }
}
