//! Application code that the crate calls or drops may use the crate itself, and never waits for its own caller.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use common::pipe::{End, pipe};
use common::{connected, run, websockets};
use futures_lite::future;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;
use ws_server_smol::{
    Bind, ClientConfig, CloseCode, Closed, Config, ConnectionId, Event, Extension, Frame, Message, Server,
    ServerConfig, Socket, WebSocket,
};

/// Runs the test on another thread, and fails if it hangs.
fn completes(test: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let test = thread::spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(test));
        let _ = done.send(());
        result.unwrap_or_else(|cause| resume_unwind(cause));
    });
    assert!(is_done.recv_timeout(Duration::from_secs(60)).is_ok(), "it hangs");
    test.join().unwrap_or_else(|cause| resume_unwind(cause));
}

fn server() -> Server {
    Server::bind(Bind::localhost(), ServerConfig::new()).unwrap()
}

/// Drops a WebSocket when a hook that owns it is dropped.
async fn owned(server: &Server) -> WebSocket<Socket> {
    connected(server, ClientConfig::new()).await.1
}

#[test]
fn a_hook_that_owns_a_websocket_may_be_replaced() {
    completes(|| {
        run(async {
            let server = server();
            let (one, two) = (owned(&server).await, owned(&server).await);
            server.before_stop(move |_| _ = one.id());
            server.on_accept_failed(move |_| _ = two.id());
            assert_eq!(server.count(), 2);
            server.before_stop(|_| {});
            server.on_accept_failed(|_| {});
            assert_eq!(server.count(), 0);
        });
    });
}

#[test]
fn a_hook_that_owns_a_websocket_may_set_the_next_hook() {
    completes(|| {
        run(async {
            let server = server();
            let one = owned(&server).await;
            server.before_stop(move |server| {
                let _ = one.id();
                server.before_stop(|_| {});
            });
            server.stop(Duration::ZERO).await;
            assert_eq!(server.count(), 0);
        });
    });
}

/// The calls, in order.
type Calls = Arc<Mutex<Vec<String>>>;

/// An extension that does something else once, in one of its callbacks.
struct Busy<F> {
    during: &'static str,
    act: Option<F>,
    calls: Calls,
}

impl<F: FnOnce(&Server) + Send> Busy<F> {
    fn call(&mut self, server: &Server, name: &str) {
        self.calls.lock().unwrap().push(name.to_owned());
        if name == self.during
            && let Some(act) = self.act.take()
        {
            act(server);
            self.calls.lock().unwrap().push(format!("{name} returns"));
        }
    }
}

impl<F: FnOnce(&Server) + Send> Extension for Busy<F> {
    fn filter(&mut self, server: &Server, _: ConnectionId, event: Event<'static>) -> Option<Event<'static>> {
        self.call(server, "filter");
        Some(event)
    }

    fn opened(&mut self, server: &Server, _: ConnectionId) {
        self.call(server, "opened");
    }

    fn closed(&mut self, server: &Server, id: ConnectionId, _: &Closed) {
        let topics = server.topics().of(id).join(" ");
        self.call(server, &format!("closed {topics}"));
    }

    fn stopping(&mut self, server: &Server) {
        self.call(server, "stopping");
    }
}

/// Provokes a callback, during which an extension acts on another WebSocket with the topic "other". Returns the calls.
fn during(callback: &'static str, act: impl FnOnce(WebSocket<Socket>) + Send + 'static) -> Vec<String> {
    let (result, received) = mpsc::channel();
    completes(move || {
        let server = server();
        let calls = Calls::default();
        let victim = Arc::new(Mutex::new(None));
        let taken = victim.clone();
        let act = move |_: &Server| {
            let victim = taken.lock().unwrap().take();
            if let Some(victim) = victim {
                act(victim);
            }
        };
        run(async {
            let (mut client, other) = connected(&server, ClientConfig::new()).await;
            client.send("unread").await.unwrap();
            let (_client, id) = (client, other.id());
            server.topics().subscribe(id, "other").unwrap();
            *victim.lock().unwrap() = Some(other);
            let extension = Busy { during: callback, act: Some(act), calls: calls.clone() };
            server.set_extension(extension).unwrap();
            let (mut client, mut ws) = connected(&server, ClientConfig::new()).await;
            client.send("hello").await.unwrap();
            assert_eq!(ws.next().await.unwrap().unwrap(), Message::from("hello"));
            drop(client);
            while ws.next().await.is_some() {}
            drop(ws);
            server.stop(Duration::ZERO).await;
            assert_eq!(server.topics().of(id), [""; 0]);
        });
        let calls = std::mem::take(&mut *calls.lock().unwrap());
        result.send(calls).unwrap();
    });
    received.recv().unwrap()
}

#[test]
fn an_extension_may_drop_another_websocket_in_each_callback() {
    for (callback, expected) in BTreeMap::from([
        ("opened", ["opened", "opened returns", "closed other", "filter", "closed ", "stopping"]),
        ("filter", ["opened", "filter", "filter returns", "closed other", "closed ", "stopping"]),
        ("closed ", ["opened", "filter", "closed ", "closed  returns", "closed other", "stopping"]),
        ("stopping", ["opened", "filter", "closed ", "stopping", "stopping returns", "closed other"]),
    ]) {
        assert_eq!(during(callback, drop), expected, "{callback}");
    }
}

#[test]
fn a_websocket_dropped_on_another_thread_never_waits_for_the_extension() {
    let elsewhere = |other| thread::spawn(move || drop(other)).join().unwrap();
    let calls = during("filter", elsewhere);
    assert_eq!(calls, ["opened", "filter", "filter returns", "closed other", "closed ", "stopping"]);
}

#[test]
fn a_websocket_that_its_own_extension_polls_ends() {
    let polled = Arc::new(Mutex::new(None));
    let end = polled.clone();
    let calls = during("filter", move |mut other| {
        *end.lock().unwrap() = Some(run(async { other.next().await.unwrap().unwrap_err() }));
    });
    assert_eq!(calls, ["opened", "filter", "filter returns", "closed other", "closed ", "stopping"]);
    assert!(!polled.lock().unwrap().take().unwrap().clean);
}

/// An extension that panics in the callbacks with these numbers.
struct Fragile {
    victim: Option<WebSocket<Socket>>,
    calls: Arc<AtomicUsize>,
    panics: [bool; 2],
}

impl Fragile {
    fn call(&mut self) {
        let call = self.calls.fetch_add(1, SeqCst);
        drop(self.victim.take());
        if self.panics.get(call) == Some(&true) {
            resume_unwind(Box::new("on purpose"));
        }
    }
}

impl Extension for Fragile {
    fn filter(&mut self, _: &Server, _: ConnectionId, event: Event<'static>) -> Option<Event<'static>> {
        self.call();
        Some(event)
    }

    fn closed(&mut self, _: &Server, _: ConnectionId, _: &Closed) {
        self.call();
    }
}

#[test]
fn a_caught_panic_of_an_extension_skips_none_of_its_calls() {
    for panics in [[false, true], [true, false], [true, true]] {
        completes(move || {
            run(async {
                let server = server();
                let (_client, other) = connected(&server, ClientConfig::new()).await;
                let (mut client, mut ws) = connected(&server, ClientConfig::new()).await;
                let calls = Arc::new(AtomicUsize::new(0));
                let extension = Fragile { victim: Some(other), calls: calls.clone(), panics };
                server.set_extension(extension).unwrap();
                client.send("hello").await.unwrap();
                let panicked = catch_unwind(AssertUnwindSafe(|| run(ws.next())));
                assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"on purpose"));
                assert_eq!(calls.load(SeqCst), 2, "an event and an end");
                assert!(!ws.next().await.unwrap().unwrap_err().clean);
                assert_eq!(calls.load(SeqCst), 3, "the end of this one");
            });
        });
    }
}

/// An extension that records whether two calls overlap.
struct Alone(Arc<AtomicBool>, Arc<AtomicUsize>);

impl Extension for Alone {
    fn filter(&mut self, _: &Server, _: ConnectionId, event: Event<'static>) -> Option<Event<'static>> {
        assert!(!self.0.swap(true, SeqCst));
        thread::yield_now();
        self.0.store(false, SeqCst);
        self.1.fetch_add(1, SeqCst);
        Some(event)
    }
}

#[test]
fn calls_from_several_threads_never_overlap_and_none_is_skipped() {
    completes(|| {
        let server = server();
        let calls = Arc::new(AtomicUsize::new(0));
        server.set_extension(Alone(Arc::default(), calls.clone())).unwrap();
        let pairs: Vec<_> = (0..4).map(|_| run(connected(&server, ClientConfig::new()))).collect();
        let threads: Vec<_> = pairs
            .into_iter()
            .map(|(mut client, mut ws)| {
                thread::spawn(move || {
                    run(async {
                        for _ in 0..500 {
                            client.try_send("hello").unwrap();
                        }
                        client.start_close(CloseCode::NORMAL, "").unwrap();
                        let receives = async {
                            let mut count = 0;
                            while let Some(message) = ws.next().await {
                                message.unwrap();
                                count += 1;
                            }
                            assert_eq!(count, 500);
                        };
                        future::zip(receives, async { while client.next().await.is_some() {} }).await;
                    });
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(calls.load(SeqCst), 4 * 500);
    });
}

/// A waker that does something, and counts its calls.
struct Act<F>(F, AtomicUsize);

impl<F: Fn() + Send + Sync + 'static> Act<F> {
    fn new(act: F) -> (Waker, Arc<Self>) {
        let this = Arc::new(Self(act, AtomicUsize::new(0)));
        (this.clone().into(), this)
    }

    fn count(&self) -> usize {
        self.1.load(SeqCst)
    }
}

impl<F: Fn() + Send + Sync + 'static> Wake for Act<F> {
    fn wake(self: Arc<Self>) {
        self.0();
        self.1.fetch_add(1, SeqCst);
    }
}

/// A client whose outbox is congested from 8 KiB on, and a server, over a pipe.
fn over_pipe(capacity: usize) -> (WebSocket<End>, WebSocket<End>) {
    let (client, server) = pipe(capacity, 1);
    let small = Config::client().outbox(1 << 10, 8 << 10, 1 << 20);
    websockets(client.straight(), server.straight(), small, Config::server())
}

fn is_pending<T>(future: impl Future<Output = T>, waker: &Waker) -> bool {
    pin!(future).poll(&mut Context::from_waker(waker)).is_pending()
}

#[test]
fn a_task_woken_by_a_broadcast_may_call_the_server() {
    completes(|| {
        let server = server();
        let (_client, mut ws) = run(connected(&server, ClientConfig::new()));
        let (_other_client, other) = run(connected(&server, ClientConfig::new()));
        let (calling, other) = (server.clone(), Mutex::new(Some(other)));
        let (waker, woken) = Act::new(move || {
            // An executor may drop a task instead of polling it.
            let other = other.lock().unwrap().take();
            drop(other);
            assert_eq!(calling.broadcast(&Frame::text("nested")), 1);
        });
        // The socket also wakes it, while it is polled and later.
        while woken.count() < 10 {
            let _ = is_pending(ws.next(), &waker);
            server.broadcast(&Frame::text("all"));
        }
    });
}

#[test]
fn a_task_woken_by_a_resume_may_call_its_connection() {
    completes(|| {
        let (mut client, _server) = over_pipe(4 << 10);
        let (sender, calling) = (client.sender(), client.sender());
        let (waker, woken) = Act::new(move || assert_eq!(calling.queued(), 0));
        sender.pause();
        assert!(is_pending(client.next(), &waker));
        sender.resume();
        assert_eq!(woken.count(), 1);
    });
}

#[test]
fn a_task_that_yields_may_call_its_connection_as_it_is_woken() {
    completes(|| {
        let (mut client, mut server) = over_pipe(1 << 20);
        for _ in 0..200 {
            client.try_send(vec![0; 1000]).unwrap();
        }
        run(client.flush()).unwrap();
        let calling = server.sender();
        let (waker, woken) = Act::new(move || assert_eq!(calling.queued(), 0));
        let mut received = 0;
        while received < 200 {
            received += usize::from(!is_pending(server.next(), &waker));
        }
        assert!(woken.count() >= 3, "one for each 64 KiB");
    });
}

#[test]
fn a_task_woken_because_there_is_room_may_call_its_connection() {
    completes(|| {
        let (mut client, mut server) = over_pipe(1 << 10);
        client.try_send(vec![0; 9 << 10]).unwrap();
        let (sender, calling) = (client.sender(), client.sender());
        let (waker, woken) = Act::new(move || _ = calling.queued());
        let mut send = pin!(sender.send("more"));
        while is_pending(send.as_mut(), &waker) {
            assert!(is_pending(client.next(), Waker::noop()));
            let _ = is_pending(server.next(), Waker::noop());
        }
        assert!(woken.count() > 0);
    });
}
