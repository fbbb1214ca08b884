//! One-shot timers.

use crate::connection::Connections;
use crate::timers::{Timer, TooManyTimers};
use std::time::Duration;

/// Timers.
impl Connections {
    /// Runs a job once, in the first turn after `duration`, which counts from the last time that the turn read the
    /// clock or, between turns, from [`Endpoint::connections`](crate::Endpoint::connections). It wakes the loop, counts
    /// in [`Endpoint::next_timeout`](crate::Endpoint::next_timeout) and runs within the turn's budget; no other work
    /// starves it. A timer that it sets runs in the next turn at the earliest.
    ///
    /// A timer does not keep a loop running: [`Endpoint::run`](crate::Endpoint::run) returns with the last server and
    /// client, and pending timers do not run.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ws_server_mio::{CloseCode, Connections, Event, Timer};
    ///
    /// fn handle(connections: &mut Connections, event: Event<'_>) {
    ///     match event {
    ///         // Close a peer that sends nothing within ten seconds.
    ///         Event::Open(id, _) => {
    ///             let close = move |connections: &mut Connections| {
    ///                 let _ = connections.close(id, CloseCode::POLICY, "say who you are");
    ///             };
    ///             if let Ok(timer) = connections.after(Duration::from_secs(10), close) {
    ///                 connections.set_data(id, timer);
    ///             }
    ///         }
    ///         Event::Message(id, _) => {
    ///             if let Some(timer) = connections.take_data::<Timer>(id) {
    ///                 timer.cancel(connections);
    ///             }
    ///         }
    ///         _ => {}
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TooManyTimers`]: [`Options::max_timers`](crate::Options::max_timers) timers are pending.
    pub fn after(
        &mut self,
        duration: Duration,
        job: impl FnOnce(&mut Connections) + Send + 'static,
    ) -> Result<Timer, TooManyTimers> {
        let at = self.now + duration;
        self.timers.set(at, Box::new(job))
    }
}

impl Timer {
    /// Cancels the timer and drops its closure; returns whether it was pending.
    pub fn cancel(self, connections: &mut Connections) -> bool {
        connections.timers.waiting.remove(&self).is_some()
    }

    /// Whether the timer is pending.
    pub fn is_set(self, connections: &Connections) -> bool {
        connections.timers.waiting.contains_key(&self)
    }
}
