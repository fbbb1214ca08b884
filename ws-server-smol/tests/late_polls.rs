//! A socket whose task is polled long after it was woken: what has come is read all the same.

#![allow(clippy::unwrap_used, clippy::panic)] // that is how a test fails

mod common;
use common::{open_pair, run};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_task_that_is_polled_long_after_it_was_woken_reads_what_woke_it() {
    let (mut client, mut server) = run(open_pair());
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(flag.clone());
    for n in 0..20 {
        let text = format!("message {n}");
        let mut next = pin!(server.next());
        // All was read before: the kernel is asked to say when there is more.
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        client.try_send(text.as_str()).unwrap();
        run(client.flush()).unwrap();
        // It may be woken once or twice for other reasons.
        let told = (0..5).find_map(|_| {
            while !flag.0.swap(false, SeqCst) {
                thread::yield_now();
            }
            // The thread that waits for the kernel waits again by now.
            thread::sleep(Duration::from_millis(5));
            match next.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(told) => told,
                Poll::Pending => None,
            }
        });
        assert_eq!(told.expect("it waits").unwrap().as_text(), Some(&*text));
    }
}
