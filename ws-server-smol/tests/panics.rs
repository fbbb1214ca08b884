//! Application code that panics, and is caught: everything else continues.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use async_executor::LocalExecutor;
use async_io::Async;
use common::{ask, connected, run, text, upgraded};
use futures_lite::future;
use futures_util::FutureExt;
use std::cell::{Cell, RefCell};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ws_server_smol::Event;
use ws_server_smol::{
    Bind, Client, ClientConfig, ClientEvent, ClientRequest, ClientState, CloseCode, Closed, ConnectError,
    ConnectionId, Delivery, Extension, Frame, HttpConnection, Incoming, Opcode, Reconnect, Server,
    ServerConfig, Socket, State, UiDriver, connect,
};

const CAUGHT: &str = "on purpose";

/// Panics without output.
fn fail() {
    resume_unwind(Box::new(CAUGHT));
}

/// The result of `act`, unless it panics on purpose.
fn catching<T>(act: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(done) => Some(done),
        Err(cause) if cause.downcast_ref() == Some(&CAUGHT) => None,
        Err(cause) => resume_unwind(cause),
    }
}

/// The same for a future.
async fn catching_in<T>(future: impl Future<Output = T>) -> Option<T> {
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(done) => Some(done),
        Err(cause) if cause.downcast_ref() == Some(&CAUGHT) => None,
        Err(cause) => resume_unwind(cause),
    }
}

fn server(config: ServerConfig) -> Server {
    Server::bind(Bind::localhost(), config).unwrap()
}

/// An echo that panics at "panic".
async fn echo(mut http: HttpConnection<Socket>) {
    while let Some(incoming) = http.next().await {
        let Incoming::Upgrade(upgrade) = incoming else { continue };
        let Ok(mut ws) = http.accept(upgrade).await else { return };
        while let Some(Ok(message)) = ws.next().await {
            if message.as_text() == Some("panic") {
                fail();
            }
            let _ = ws.try_send(message);
        }
        return;
    }
}

#[test]
fn a_caught_panic_in_a_handler_ends_its_connection_alone() {
    let server = server(ServerConfig::new());
    run(async {
        let serving = server.serve(async |http| _ = catching_in(echo(http)).await);
        let clients = async {
            let mut one = connect(server.url("/").unwrap(), ClientConfig::new()).await.unwrap();
            let mut two = connect(server.url("/").unwrap(), ClientConfig::new()).await.unwrap();
            assert_eq!(ask(&mut two, "hello").await, "hello");
            for message in ["before", "panic", "behind"] {
                one.try_send(message).unwrap();
            }
            assert_eq!(text(&mut one).await, "before");
            while one.next().await.is_some() {}
            assert_eq!(one.closed().unwrap().code, CloseCode::GOING_AWAY);
            assert_eq!(ask(&mut two, "still there").await, "still there");
            assert_eq!((server.count(), server.stats().open), (1, 1));
            two.close(CloseCode::NORMAL, "").await.unwrap();
            server.stop(Duration::from_secs(60)).await;
        };
        future::zip(serving, clients).await;
    });
}

#[test]
fn a_server_serves_again_after_serve_panicked() {
    let server = server(ServerConfig::new());
    run(async {
        let url = server.url("/").unwrap();
        let first = async {
            assert!(catching_in(server.serve(echo)).await.is_none());
        };
        let client = async {
            let mut ws = connect(url.as_str(), ClientConfig::new()).await.unwrap();
            ws.send("panic").await.unwrap();
            while ws.next().await.is_some() {}
        };
        future::zip(first, client).await;
        assert_eq!((server.count(), server.stats().open), (0, 0));
        let client = async {
            let mut ws = connect(url.as_str(), ClientConfig::new()).await.unwrap();
            assert_eq!(ask(&mut ws, "hello").await, "hello");
            ws.close(CloseCode::NORMAL, "").await.unwrap();
            server.stop(Duration::from_secs(60)).await;
        };
        future::zip(server.serve(echo), client).await;
    });
}

/// Panics on messages and fragments that contain "filter", at the chosen closes, and at a stop.
#[derive(Clone, Default)]
struct Fragile {
    closed: Arc<Mutex<usize>>,
    at_end: bool,
    at_stop: bool,
}

impl Extension for Fragile {
    fn filter(&mut self, _: &Server, _: ConnectionId, event: Event<'static>) -> Option<Event<'static>> {
        let data = match &event {
            Event::Message(message) => message.as_bytes(),
            Event::Fragment(fragment) => fragment.data.as_bytes(),
            _ => b"",
        };
        if data == b"filter" {
            fail();
        }
        Some(event)
    }

    fn closed(&mut self, _: &Server, _: ConnectionId, _: &Closed) {
        *self.closed.lock().unwrap() += 1;
        if self.at_end {
            fail();
        }
    }

    fn stopping(&mut self, _: &Server) {
        if self.at_stop {
            fail();
        }
    }
}

#[test]
fn an_extension_that_panics_on_an_event_loses_that_connection_alone() {
    for chunked in [false, true] {
        let mut config = ServerConfig::new();
        if chunked {
            config = config.delivery(Delivery::Chunked { whole: 0 });
        }
        let server = server(config);
        let extension = Fragile::default();
        server.set_extension(extension.clone()).unwrap();
        run(async {
            let (mut client, mut ws) = connected(&server, ClientConfig::new()).await;
            let (mut other_client, mut other) = connected(&server, ClientConfig::new()).await;
            if chunked {
                let parts = [
                    (Opcode::Text, "one"),
                    (Opcode::Continuation, "filter"),
                    (Opcode::Continuation, "three"),
                ];
                for (k, (opcode, part)) in parts.into_iter().enumerate() {
                    client.try_send(Frame::raw(opcode, k == 2, part).unwrap()).unwrap();
                }
            } else {
                client.try_send("filter").unwrap();
                client.try_send("behind").unwrap();
            }
            client.flush().await.unwrap();
            assert!(catching_in(ws.next()).await.is_none());
            // No message with a hole, and nothing behind it: the close.
            let end = ws.next().await.unwrap().unwrap_err();
            assert!(!end.clean);
            assert!(ws.next().await.is_none());
            let closed = client.next().await.unwrap().unwrap_err();
            assert_eq!(closed.code, CloseCode::INTERNAL_ERROR);
            assert_eq!(*extension.closed.lock().unwrap(), 1);
            // The other one has the extension, and continues.
            other_client.send("hello").await.unwrap();
            assert_eq!(text(&mut other).await, "hello");
            drop(other);
            assert_eq!(*extension.closed.lock().unwrap(), 2);
        });
    }
}

#[test]
fn an_extension_that_panics_at_a_close_leaves_the_server_consistent() {
    let server = server(ServerConfig::new());
    let extension = Fragile { at_end: true, ..Fragile::default() };
    server.set_extension(extension.clone()).unwrap();
    run(async {
        let (client, mut ws) = connected(&server, ClientConfig::new()).await;
        server.topics().subscribe(ws.id(), "topic").unwrap();
        client.sender().terminate();
        drop(client);
        assert!(catching_in(ws.next()).await.is_none());
        assert!(ws.closed().is_some() && ws.next().await.is_none());
        assert_eq!(
            (server.count(), server.stats().open, server.topics().subscribers("topic").len()),
            (0, 0, 0)
        );
        let id = ws.id();
        drop(ws);
        assert_eq!(server.topics().of(id), [""; 0]);
        // A dropped WebSocket is reported to the extension, too.
        let (_client, ws) = connected(&server, ClientConfig::new()).await;
        assert!(catching(|| drop(ws)).is_none());
        assert_eq!((server.count(), server.stats().open), (0, 0));
        assert_eq!(*extension.closed.lock().unwrap(), 2);
    });
}

#[test]
fn a_stop_continues_after_its_hook_panics_and_keeps_the_hook() {
    // The extension's hook, or the application's.
    for at_stop in [true, false] {
        let server = server(ServerConfig::new());
        server.set_extension(Fragile { at_stop, ..Fragile::default() }).unwrap();
        let called = Arc::new(Mutex::new(0));
        let calls = called.clone();
        server.before_stop(move |_| {
            *calls.lock().unwrap() += 1;
            fail();
        });
        run(async {
            let (mut client, mut ws) = connected(&server, ClientConfig::new()).await;
            assert!(catching_in(server.stop(Duration::from_secs(60))).await.is_none());
            assert_eq!(*called.lock().unwrap(), i32::from(!at_stop));
            assert!(!server.is_running());
            // Another call notifies the clients, at once.
            let both = async {
                let one = async { while client.next().await.is_some() {} };
                future::zip(one, async { while ws.next().await.is_some() {} }).await;
                drop((client, ws));
            };
            future::zip(server.stop(Duration::from_secs(60)), both).await;
            assert_eq!(server.stats().open, 0);
            // It starts again, and the hook is called at the next stop.
            server.listen(Bind::localhost()).unwrap();
            let before = *called.lock().unwrap();
            let stop = catching_in(server.stop(Duration::ZERO)).await;
            assert!(stop.is_none());
            assert_eq!(*called.lock().unwrap(), before + i32::from(!at_stop));
        });
    }
}

#[test]
fn a_filter_that_panics_in_a_broadcast_leaves_no_lock_behind() {
    let server = server(ServerConfig::new());
    run(async {
        let (mut client, ws) = connected(&server, ClientConfig::new()).await;
        let sent = catching(|| {
            server.broadcast_where(&Frame::text("never"), |_| {
                fail();
                true
            })
        });
        assert_eq!(sent, None);
        assert_eq!(server.broadcast(&Frame::text("hello")), 1);
        let mut ws = ws;
        let (received, _) = future::zip(text(&mut client), ws.flush()).await;
        assert_eq!(received, "hello");
        assert_eq!(ws.state(), State::Open);
    });
}

#[test]
fn tasks_of_a_window_survive_a_panic_in_another() {
    let executor = Rc::new(LocalExecutor::new());
    let (wake, woken) = mpsc::channel();
    let ticking = executor.clone();
    let mut ui = UiDriver::ticking(
        async move || ticking.tick().await,
        move || {
            let _ = wake.send(());
        },
    );
    let count = Rc::new(Cell::new(0));
    let counts = count.clone();
    executor
        .spawn(async move {
            loop {
                counts.set(counts.get() + 1);
                future::yield_now().await;
            }
        })
        .detach();
    let turn = |ui: &mut UiDriver<'_>| catching(|| ui.turn(Duration::ZERO));
    while turn(&mut ui).is_some() && count.get() < 3 {}
    executor.spawn(async { fail() }).detach();
    for _ in 0..10 {
        assert!(turn(&mut ui).unwrap().more);
    }
    let before = count.get();
    for _ in 0..10 {
        assert!(turn(&mut ui).unwrap().more);
    }
    assert!(count.get() > before);
    assert_eq!(woken.try_iter().count(), 0, "it knows that more is due");
}

#[test]
fn a_panicking_future_of_a_window_is_done() {
    let (wake, woken) = mpsc::channel();
    let dropped = Rc::new(RefCell::new(false));
    struct Witness(Rc<RefCell<bool>>);
    impl Drop for Witness {
        fn drop(&mut self) {
            *self.0.borrow_mut() = true;
        }
    }
    let witness = Witness(dropped.clone());
    let future = async move {
        let _witness = witness;
        future::yield_now().await;
        fail();
    };
    let mut ui = UiDriver::new(future, move || {
        let _ = wake.send(());
    });
    while catching(|| ui.turn(Duration::ZERO)).is_some() {}
    assert_eq!(woken.try_iter().count(), 1);
    let turn = ui.turn(Duration::ZERO);
    assert!(turn.finished && !turn.more && turn.steps == 0);
    assert!(*dropped.borrow());
}

/// Where a connector panics.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fails {
    WhenCalled,
    WhenPolled,
    LaterOn,
}

#[test]
fn a_client_is_usable_again_after_its_connector_panicked() {
    let server = server(ServerConfig::new());
    let addr = server.local_addr().unwrap();
    for fails in [Fails::WhenCalled, Fails::WhenPolled, Fails::LaterOn] {
        // The first two attempts panic.
        let connector = |mut left: u32| {
            move |_: ClientRequest| {
                let panics = left > 0;
                left = left.saturating_sub(1);
                if panics && fails == Fails::WhenCalled {
                    fail();
                }
                async move {
                    if panics && fails == Fails::LaterOn {
                        future::yield_now().await;
                    }
                    if panics {
                        fail();
                    }
                    Ok(Socket::from(Async::<TcpStream>::connect(addr).await?))
                }
            }
        };
        let new = |config| Client::with_connector(server.url("/").unwrap(), config, connector(2)).unwrap();
        run(async {
            // Without a policy, there is one attempt, and each connect() is another.
            let mut client = new(ClientConfig::new());
            for _ in 0..2 {
                assert!(catching_in(client.connect()).await.is_none(), "{fails:?}");
                assert_eq!(client.state(), ClientState::Idle);
                assert!(matches!(client.failure(), Some(ConnectError::Unreachable { .. })));
                assert!(client.next_connection().await.is_none());
            }
            let (ws, _) = future::zip(client.connect(), upgraded(&server)).await;
            assert_eq!(ws.unwrap().state(), State::Open);
            assert!(client.failure().is_none());

            // With one, the next attempt follows as after any failure.
            let wait = Duration::from_millis(1);
            let policy = Reconnect::default().wait(wait, wait);
            let mut client = new(ClientConfig::new().reconnect(policy));
            for attempt in 1..=2 {
                assert!(catching_in(client.next_connection()).await.is_none(), "{fails:?}");
                assert_eq!(client.state(), ClientState::Waiting);
                let event = client.next_event().await.unwrap();
                assert!(matches!(event, ClientEvent::Reconnecting { attempt: n, .. } if n == attempt));
            }
            let (ws, _) = future::zip(client.next_connection(), upgraded(&server)).await;
            assert_eq!(ws.unwrap().state(), State::Open);
        });
    }
}
