//! An executor that polls a task only after the waker of its last poll was called, in an order that a seed decides.

use super::Random;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Default)]
struct Task {
    woken: AtomicBool,
    polls: AtomicUsize,
}

/// The waker of one poll. Wakers of earlier polls do nothing: a future that relies on one is wrong.
struct OfPoll {
    task: Arc<Task>,
    poll: usize,
}

impl Wake for OfPoll {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.task.polls.load(Ordering::SeqCst) == self.poll {
            self.task.woken.store(true, Ordering::SeqCst);
        }
    }
}

type Future<'a> = Pin<Box<dyn std::future::Future<Output = ()> + 'a>>;

/// Only tasks can wake each other: if none is woken, all wait forever.
pub struct Strict<'a> {
    tasks: Vec<(&'static str, Future<'a>, Arc<Task>)>,
    random: Random,
    seed: u64,
    /// How long a timer may take to wake a task.
    timers: Duration,
}

impl<'a> Strict<'a> {
    pub fn new(seed: u64) -> Self {
        Self { tasks: Vec::new(), random: Random::new(seed), seed, timers: Duration::ZERO }
    }

    /// Timers may wake tasks, too: if none is woken, the executor waits at most this long.
    pub fn with_timers(seed: u64, timers: Duration) -> Self {
        Self { timers, ..Self::new(seed) }
    }

    fn woken(&self) -> Vec<usize> {
        (0..self.tasks.len()).filter(|k| self.tasks[*k].2.woken.load(Ordering::SeqCst)).collect()
    }

    pub fn spawn(&mut self, name: &'static str, future: impl std::future::Future<Output = ()> + 'a) {
        let task = Task { woken: AtomicBool::new(true), polls: AtomicUsize::new(0) };
        self.tasks.push((name, Box::pin(future), Arc::new(task)));
    }

    /// Runs all tasks to completion.
    pub fn run(mut self) {
        while !self.tasks.is_empty() {
            let mut woken = self.woken();
            let since = Instant::now();
            while woken.is_empty() && since.elapsed() < self.timers {
                thread::sleep(Duration::from_millis(1));
                woken = self.woken();
            }
            if woken.is_empty() {
                let names: Vec<_> = self.tasks.iter().map(|(name, ..)| *name).collect();
                panic!("nothing will ever wake {names:?}; seed {}", self.seed);
            }
            let k = woken[self.random.below(woken.len())];
            let (_, future, task) = &mut self.tasks[k];
            task.woken.store(false, Ordering::SeqCst);
            let poll = task.polls.fetch_add(1, Ordering::SeqCst) + 1;
            let waker = Waker::from(Arc::new(OfPoll { task: task.clone(), poll }));
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                drop(self.tasks.swap_remove(k));
            }
        }
    }
}
