//! Converts between instants and the engine's time.

use async_io::Timer;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Instant;
use ws_host::clock::of_process;
use ws_proto::Moment;

#[inline]
pub(crate) fn now() -> Moment {
    of_process().moment(Instant::now())
}

#[inline]
pub(crate) fn moment(instant: Instant) -> Moment {
    of_process().moment(instant)
}

/// Sets a timer; `None` means never.
pub(crate) fn set(timer: &mut Timer, at: Option<Moment>) {
    match at.and_then(|at| of_process().instant(at)) {
        Some(at) => timer.set_at(at),
        None => *timer = Timer::never(),
    }
}

/// Waits for an event, or until the deadline.
pub(crate) async fn until(event: impl Future<Output = ()>, deadline: Option<Instant>) {
    let mut event = pin!(event);
    let mut timer = deadline.map_or_else(Timer::never, Timer::at);
    poll_fn(|cx| {
        let done = event.as_mut().poll(cx).is_ready() || Pin::new(&mut timer).poll(cx).is_ready();
        if done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// When to check something again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// At this instant; `None` is never.
    At(Option<Instant>),
    /// Once other tasks have run.
    Soon,
}

/// Waits for an event, or until the check is due.
pub(crate) async fn until_check(event: impl Future<Output = ()>, check: Check) {
    match check {
        Check::At(deadline) => until(event, deadline).await,
        Check::Soon => {
            let (mut event, mut yielding) = (pin!(event), pin!(yield_now()));
            poll_fn(|cx| {
                let is_over = yielding.as_mut().poll(cx).is_ready();
                if event.as_mut().poll(cx).is_ready() || is_over { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    }
}

/// Yields to other tasks.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
