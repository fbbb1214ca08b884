//! Options of a loop, and the outcome of a turn.

use crate::files::CHUNK;
use crate::sys::names::Lookup;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use ws_proto::Moment;

/// The default limit of pending timers: as many as connections.
const MAX_TIMERS: usize = 10_000;

/// How an [`Endpoint`](crate::Endpoint) behaves.
///
/// ```
/// use std::time::Duration;
/// use ws_server_mio::{Budget, Options};
///
/// let options = Options::ui().budget(Budget::ui().time(Duration::from_micros(500)));
/// ```
#[derive(Debug)]
pub struct Options {
    pub(crate) budget: Budget,
    pub(crate) max_timers: usize,
    pub(crate) resolve_names: bool,
    pub(crate) lookup: Lookup,
    pub(crate) clock: Clock,
    pub(crate) wall_clock: WallClock,
}

impl Options {
    /// For a dedicated thread: turns without a time budget. The default.
    pub fn server() -> Self {
        Self {
            budget: Budget::server(),
            max_timers: MAX_TIMERS,
            resolve_names: false,
            lookup: Lookup::default(),
            clock: Clock::default(),
            wall_clock: WallClock::default(),
        }
    }

    /// For a thread that also draws: turns of 1 ms, 16 KiB a visit, 16 accepts.
    pub fn ui() -> Self {
        Self { budget: Budget::ui(), ..Self::server() }
    }

    /// Sets how much one turn may do (default [`Budget::server`]).
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// How much one turn may do.
    pub fn get_budget(&self) -> &Budget {
        &self.budget
    }

    /// Sets how many timers of [`Connections::after`](crate::Connections::after) may be pending (default 10,000).
    #[must_use]
    pub fn max_timers(mut self, timers: usize) -> Self {
        self.max_timers = timers;
        self
    }

    /// The limit of pending timers.
    pub fn get_max_timers(&self) -> usize {
        self.max_timers
    }

    /// Lets clients connect to host names. The system resolver blocks for seconds if no name server answers, so
    /// each name gets its own thread, `ws-names`, which ends with the answer. The endpoint spawns no other threads
    /// unless you opt in. At most 8 run at a time, and none while no name is looked up. Address literals and
    /// `localhost` need none.
    ///
    /// Clients that connect to the same name share one lookup. A ninth name waits until one of the eight is answered,
    /// and is dropped when its clients give up first. A client whose name is not resolved within its
    /// [`handshake_timeout`](crate::ClientConfig::handshake_timeout) fails with
    /// [`ConnectError::Name`](crate::ConnectError::Name).
    #[must_use]
    pub fn resolve_names(mut self) -> Self {
        self.resolve_names = true;
        self
    }

    /// Replaces the system's resolver, for tests. It is called on the `ws-names` threads.
    #[doc(hidden)]
    #[must_use]
    pub fn look_up_with(
        mut self,
        lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        self.lookup = Lookup(Some(Arc::new(lookup)));
        self
    }

    /// Replaces `Instant::now`, for tests. Waits in the kernel still use the system's clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> Instant + Send + 'static) -> Self {
        self.clock.custom = Some(Box::new(clock));
        self
    }

    /// Replaces `SystemTime::now`, for tests: the `Date` of responses follows it. If it runs ahead of the other clock,
    /// the machine slept: [`Event::Resumed`](crate::Event::Resumed).
    #[must_use]
    pub fn wall_clock(mut self, clock: impl Fn() -> SystemTime + Send + 'static) -> Self {
        self.wall_clock = WallClock(Some(Box::new(clock)));
        self
    }

    /// Whether clients may connect to host names.
    pub fn get_resolve_names(&self) -> bool {
        self.resolve_names
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::server()
    }
}

const MAX_BYTES_PER_VISIT: usize = 4 << 20;
/// The most bytes of one connection, in each direction, in a turn with a time limit.
const MAX_BYTES_PER_TURN: usize = MAX_BYTES_PER_VISIT;

/// How much one turn may do.
///
/// A turn visits each connection that has input once, and reads 64 KiB of each file that is being sent. With a
/// [time limit](Self::time) it continues, round after round, until all input is read and as much output is written as
/// peers take, files included, or until the time is spent; the rest waits for the next turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    pub(crate) time: Option<Duration>,
    pub(crate) bytes_per_visit: usize,
    pub(crate) accepts: usize,
    pub(crate) handshakes: usize,
}

impl Budget {
    /// For a dedicated thread: no time limit, 256 KiB a visit, 1,024 accepts. The default.
    pub fn server() -> Self {
        Self { time: None, bytes_per_visit: 256 << 10, accepts: 1024, handshakes: 64 }
    }

    /// For a thread that also draws: 1 ms, 16 KiB a visit, 16 accepts.
    pub fn ui() -> Self {
        Self { time: Some(Duration::from_millis(1)), bytes_per_visit: 16 << 10, accepts: 16, handshakes: 4 }
    }

    /// Sets the time of a turn: no event starts once the clock has passed this; `None` reads no clock. A turn exceeds
    /// it by the time of one handler call. Zero allows one step per turn; a time beyond the clock's range is unlimited.
    #[must_use]
    pub fn time(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.time = time.into();
        self
    }

    /// The time of a turn.
    pub fn get_time(&self) -> Option<Duration> {
        self.time
    }

    /// Sets the most bytes read from one connection before the next is visited, clamped to 1 B to 4 MiB. With a
    /// [time limit](Self::time), a connection that has more input is visited again after all others, in the same turn,
    /// until it has sent 4 MiB in it. Without one, it waits for the next turn, except for up to 4 MiB to finish a
    /// message.
    ///
    /// It is also the size of the loop's receive buffer, clamped to 4 KiB to 256 KiB.
    #[must_use]
    pub fn bytes_per_visit(mut self, bytes: usize) -> Self {
        self.bytes_per_visit = bytes;
        self
    }

    /// The most bytes read from one connection before the next is visited.
    pub fn get_bytes_per_visit(&self) -> usize {
        self.bytes_per_visit
    }

    /// Sets the most connections accepted in a turn; zero means one.
    #[must_use]
    pub fn accepts(mut self, connections: usize) -> Self {
        self.accepts = connections;
        self
    }

    /// Sets the most TLS handshakes that are answered in a turn; zero means one. Answering takes about 0.2 ms with a
    /// P-256 key and a millisecond with RSA, in one call: the time of a turn is checked after each. Handshakes beyond
    /// the limit wait in order. [`server`](Self::server) 64, [`ui`](Self::ui) 4.
    #[must_use]
    pub fn handshakes(mut self, connections: usize) -> Self {
        self.handshakes = connections;
        self
    }

    /// The most TLS handshakes that are answered in a turn.
    pub fn get_handshakes(&self) -> usize {
        self.handshakes
    }

    /// The most connections accepted in a turn.
    pub fn get_accepts(&self) -> usize {
        self.accepts
    }
}

impl Budget {
    /// Clamps: a turn without accepts would be due again immediately, forever, and an unlimited
    /// visit would never return from a peer that floods.
    pub(crate) fn clamped(self) -> Self {
        Self {
            time: self.time,
            bytes_per_visit: self.bytes_per_visit.clamp(1, MAX_BYTES_PER_VISIT),
            accepts: self.accepts.max(1),
            handshakes: self.handshakes.max(1),
        }
    }

    /// The most rounds in a turn with a time limit, so that a turn ends however long that is.
    pub(crate) fn rounds(&self) -> Rounds {
        Rounds { visits: MAX_BYTES_PER_TURN / self.bytes_per_visit, chunks: MAX_BYTES_PER_TURN / CHUNK }
    }
}

/// The most rounds in a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    /// Of visits to connections with input.
    pub(crate) visits: usize,
    /// Of chunks of files.
    pub(crate) chunks: usize,
}

impl Rounds {
    /// A turn without a time limit of its own.
    pub(crate) const ONE: Self = Self { visits: 1, chunks: 1 };
}

impl Default for Budget {
    fn default() -> Self {
        Self::server()
    }
}

/// The outcome of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// How many events the handler got.
    pub events: u32,
    /// Whether work is left that no descriptor signals: run another turn soon.
    pub more: bool,
    /// How long the turn took, waiting excluded. Zero without a time limit, from [`Budget::time`] or a deadline of
    /// [`Endpoint::poll_until`](crate::Endpoint::poll_until): no clock is read then.
    pub elapsed: Duration,
}

/// The source of time.
pub(crate) struct Clock {
    custom: Option<Box<dyn Fn() -> Instant + Send>>,
    moments: ws_proto::Clock,
}

impl Default for Clock {
    fn default() -> Self {
        Self { custom: None, moments: ws_host::clock::of_process() }
    }
}

impl Clock {
    /// The first reading; a custom clock counts from here.
    pub(crate) fn begin(&mut self) -> Moment {
        let now = self.instant();
        if self.custom.is_some() {
            self.moments = ws_proto::Clock::new(now);
        }
        self.moment(now)
    }

    #[inline]
    fn instant(&self) -> Instant {
        match &self.custom {
            None => Instant::now(),
            Some(clock) => clock(),
        }
    }

    #[inline]
    pub(crate) fn moment(&self, instant: Instant) -> Moment {
        self.moments.moment(instant)
    }

    #[inline]
    pub(crate) fn now(&self) -> Moment {
        self.moment(self.instant())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.custom.is_some() { "Clock(custom)" } else { "Clock(system)" })
    }
}

/// The source of the time of day.
#[derive(Default)]
pub(crate) struct WallClock(Option<Box<dyn Fn() -> SystemTime + Send>>);

impl WallClock {
    pub(crate) fn now(&self) -> SystemTime {
        match &self.0 {
            None => SystemTime::now(),
            Some(clock) => clock(),
        }
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "WallClock(custom)" } else { "WallClock(system)" })
    }
}
