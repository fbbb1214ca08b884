//! Something that is to be done later, once.

use crate::alarms::{Timer, TooManyTimers};
use crate::connection::Connections;
use std::time::Duration;

/// Timers.
impl Connections {
    /// Runs this once, in the first turn after that time: counted from the beginning of the present turn, or, between turns,
    /// from [`Endpoint::connections`](crate::Endpoint::connections). It wakes the loop, is counted in
    /// [`Endpoint::next_timeout`](crate::Endpoint::next_timeout) and runs within the turn's budget, at least one in each
    /// turn; one that it sets itself runs in the next turn at the earliest.
    ///
    /// A timer keeps no loop alive: [`Endpoint::run`](crate::Endpoint::run) ends with the last server and client, and what
    /// waits then runs no more.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ws_server_mio::{CloseCode, Connections, Event, Timer};
    ///
    /// fn handle(connections: &mut Connections, event: Event<'_>) {
    ///     match event {
    ///         // A peer that says nothing within ten seconds is closed.
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
    /// [`TooManyTimers`]: as many wait as [`Options::max_timers`](crate::Options::max_timers) allows.
    pub fn after(
        &mut self,
        duration: Duration,
        job: impl FnOnce(&mut Connections) + Send + 'static,
    ) -> Result<Timer, TooManyTimers> {
        let at = self.now + duration;
        self.alarms.set(at, Box::new(job))
    }
}

impl Timer {
    /// Cancels it; says whether it was still to run. What it holds is dropped.
    pub fn cancel(self, connections: &mut Connections) -> bool {
        connections.alarms.waiting.remove(&self).is_some()
    }

    /// Whether it is still to run.
    pub fn is_set(self, connections: &Connections) -> bool {
        connections.alarms.waiting.contains_key(&self)
    }
}
