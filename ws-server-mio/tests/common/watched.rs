//! A host that runs turns when woken.

use super::{Peer, Rig};
use std::cell::Cell;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};
use ws_server_mio::{Budget, Options, Turn, Watch};

pub const HANG: Duration = Duration::from_secs(20);

/// A rig whose wake-ups arrive through a channel.
pub struct Watched {
    pub rig: Rig,
    pub watch: Watch,
    pub woken: Receiver<()>,
}

impl Watched {
    pub fn new(rig: Rig) -> Self {
        let mut watched = Self::begin(rig);
        watched.settle();
        watched
    }

    pub fn begin(mut rig: Rig) -> Self {
        let (wake, woken) = mpsc::channel();
        let watch = rig.endpoint.watch(move || {
            let _ = wake.send(());
        });
        Self { rig, watch: watch.unwrap(), woken }
    }

    /// Waits until the kernel has reported everything: a job's wake-up follows it.
    pub fn settle(&mut self) {
        let (sender, receiver) = mpsc::channel();
        self.rig.endpoint.remote().run(move |_| sender.send(()).unwrap()).unwrap();
        self.until("everything reported", |_| receiver.try_recv().is_ok());
        assert_eq!(self.woken.try_recv(), Err(TryRecvError::Empty));
    }

    pub fn turn(&mut self) -> Turn {
        let Rig { endpoint, app, .. } = &mut self.rig;
        endpoint.poll(Some(Duration::ZERO), |connections, event| app.handle(connections, event)).unwrap()
    }

    pub fn drain(&mut self) {
        while self.turn().more {}
    }

    pub fn next_wake(&self) {
        self.woken.recv_timeout(HANG).unwrap();
    }

    /// Runs turns only after wake-ups, until the condition holds.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < HANG, "timed out waiting for {what}; seen: {:?}", self.rig.app.seen);
            match self.woken.recv_timeout(Duration::from_millis(1)) {
                Ok(()) => self.drain(),
                Err(end) => assert_eq!(end, RecvTimeoutError::Timeout, "the watch has ended"),
            }
        }
    }

    pub fn frame(&mut self, peer: &mut Peer) -> (u8, Vec<u8>) {
        let mut frame = None;
        self.until("a frame", |_| {
            frame = frame.take().or_else(|| peer.take_frame());
            frame.is_some()
        });
        frame.unwrap()
    }
}

/// Turns of four events, by a clock that moves only with each reading.
pub fn short_turns() -> Options {
    let (start, readings) = (Instant::now(), Cell::new(0));
    let budget = Budget::ui().time(Duration::from_micros(4));
    Options::default().budget(budget).clock(move || {
        readings.set(readings.get() + 1);
        start + Duration::from_micros(readings.get())
    })
}
