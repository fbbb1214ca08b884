//! A task polled long after its socket woke it still reads the available input.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

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
fn a_late_poll_reads_the_input_that_woke_it() {
    let (mut client, mut server) = run(open_pair());
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(flag.clone());
    for n in 0..20 {
        let text = format!("message {n}");
        let mut next = pin!(server.next());
        // Everything was read before: the kernel reports when there is more.
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        client.try_send(text.as_str()).unwrap();
        run(client.flush()).unwrap();
        // Spurious wake-ups may happen once or twice.
        let polled = (0..5).find_map(|_| {
            while !flag.0.swap(false, SeqCst) {
                thread::yield_now();
            }
            // The thread that waits for the kernel waits again by now.
            thread::sleep(Duration::from_millis(5));
            match next.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(polled) => polled,
                Poll::Pending => None,
            }
        });
        assert_eq!(polled.expect("it waits").unwrap().as_text(), Some(&*text));
    }
}
