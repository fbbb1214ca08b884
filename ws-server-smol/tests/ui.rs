//! Futures inside a foreign event loop.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use async_executor::LocalExecutor;
use futures_lite::future;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use ws_server_smol::UiDriver;

const MILLISECOND: Duration = Duration::from_millis(1);

/// Counts how often the host is notified.
#[derive(Clone, Default)]
struct Notices(Arc<AtomicUsize>);

impl Notices {
    fn notify(&self) -> impl Fn() + Send + 'static + use<> {
        let count = self.0.clone();
        move || {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A clock that moves only when set.
#[derive(Clone)]
struct Clock(Rc<Cell<Instant>>);

impl Clock {
    fn new() -> Self {
        Self(Rc::new(Cell::new(Instant::now())))
    }

    fn pass(&self, time: Duration) {
        self.0.set(self.0.get() + time);
    }

    fn reader(&self) -> impl FnMut() -> Instant + 'static {
        let clock = self.0.clone();
        move || clock.get()
    }
}

#[test]
fn a_turn_ends_with_its_budget_however_many_tasks_are_busy() {
    let (clock, notices) = (Clock::new(), Notices::default());
    let executor = Rc::new(LocalExecutor::new());
    let runs = Rc::new(RefCell::new(vec![0; 300]));
    for task in 0..300 {
        let (runs, clock) = (runs.clone(), clock.clone());
        let flood = async move {
            loop {
                runs.borrow_mut()[task] += 1;
                clock.pass(MILLISECOND * 3 / 10);
                future::yield_now().await;
            }
        };
        executor.spawn(flood).detach();
    }
    let mut ui =
        UiDriver::ticking(async move || executor.tick().await, notices.notify()).clock(clock.reader());
    for _ in 0..150 {
        let turn = ui.turn(MILLISECOND);
        assert_eq!((turn.steps, turn.more, turn.finished), (4, true, false));
        assert_eq!(turn.elapsed, MILLISECOND * 12 / 10);
    }
    assert_eq!(ui.turn(Duration::ZERO).steps, 1);
    let runs = runs.borrow();
    assert!(runs.iter().all(|runs| (1..=3).contains(runs)), "each has its turn: {runs:?}");
    assert_eq!(notices.count(), 0, "the host takes the next turn without a notification");
}

#[test]
fn many_wake_ups_notify_once_until_a_turn_goes_idle() {
    let notices = Notices::default();
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    let polls = Rc::new(Cell::new(0));
    let (shown, counted) = (waker.clone(), polls.clone());
    let future = future::poll_fn(move |cx| {
        *shown.borrow_mut() = Some(cx.waker().clone());
        counted.set(counted.get() + 1);
        Poll::<()>::Pending
    });
    let mut ui = UiDriver::new(future, notices.notify());
    let wake = || waker.borrow().as_ref().unwrap().wake_by_ref();

    let first = ui.turn(MILLISECOND);
    assert_eq!((first.steps, first.more), (1, false), "without a notification");
    assert_eq!(ui.turn(MILLISECOND).steps, 0, "an idle task is not polled");
    for round in 1..=3 {
        for _ in 0..1000 {
            wake();
        }
        assert_eq!(notices.count(), round);
        assert_eq!((ui.turn(MILLISECOND).steps, polls.get()), (1, round + 1));
    }
}

#[test]
fn a_task_that_wakes_itself_is_polled_again_and_no_wake_up_is_lost() {
    let notices = Notices::default();
    let mut left = 10;
    let future = future::poll_fn(move |cx| {
        left -= 1;
        if left == 0 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    });
    let mut ui = UiDriver::new(future, notices.notify());
    assert_eq!(ui.turn(Duration::ZERO).steps, 1);
    let turn = ui.turn(Duration::MAX);
    assert_eq!((turn.steps, turn.more, turn.finished), (9, false, true));
    let over = ui.turn(MILLISECOND);
    assert_eq!((over.steps, over.more, over.finished, notices.count()), (0, false, true, 0));
}

#[test]
fn a_task_woken_by_a_thread_or_a_timer_gets_its_turn() {
    let executor = Rc::new(LocalExecutor::new());
    let handled = Rc::new(Cell::new(0));
    let (notify_tx, notify_rx) = std::sync::mpsc::channel();
    let event = Arc::new(event_listener::Event::new());
    let (listened, counted) = (event.clone(), handled.clone());
    let waiting = async move {
        for _ in 0..100 {
            listened.listen().await;
            counted.set(counted.get() + 1);
        }
        async_io::Timer::after(Duration::from_millis(2)).await;
        counted.set(counted.get() + 1);
    };
    executor.spawn(waiting).detach();
    let mut ui = UiDriver::ticking(
        async move || executor.tick().await,
        move || {
            let _ = notify_tx.send(());
        },
    );
    assert!(!ui.turn(Duration::MAX).more);
    for round in 1..=100 {
        let event = event.clone();
        std::thread::spawn(move || event.notify(1)).join().unwrap();
        notify_rx.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(!ui.turn(Duration::MAX).more);
        assert_eq!(handled.get(), round);
    }
    while handled.get() == 100 {
        notify_rx.recv_timeout(Duration::from_secs(20)).unwrap();
        ui.turn(Duration::MAX);
    }
}
