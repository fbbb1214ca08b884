//! Extreme settings: whatever an application sets, tasks make progress, and are idle when nothing is due.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::{connected, once, run, text};
use futures_lite::future;
use std::cell::Cell;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::mpsc;
use std::time::Duration;
use ws_server_smol::{
    Bind, Client, ClientConfig, ClientEvent, CloseCode, Frame, Heartbeat, HttpConnection, Incoming,
    Reconnect, Server, ServerConfig, Socket, Stop, TopicError, UiDriver, connect,
};

const MAX: Duration = Duration::MAX;

/// More steps than anything here needs; a task that spins uses all of them.
const STEPS: usize = 5_000;

fn config() -> ServerConfig {
    ServerConfig::new().heartbeat(Heartbeat::off())
}

fn server(config: ServerConfig) -> Server {
    Server::bind(Bind::localhost(), config).unwrap()
}

/// Runs turns of one step until nothing is woken; returns how many steps.
fn steps_until_idle(ui: &mut UiDriver<'_>, what: &str) -> usize {
    let mut steps = 0;
    while steps < STEPS {
        let turn = ui.turn(Duration::ZERO);
        assert!(turn.steps <= 1);
        steps += turn.steps as usize;
        if !turn.more {
            return steps;
        }
    }
    panic!("{what}: a turn is due after {STEPS}");
}

async fn echo(mut http: HttpConnection<Socket>) {
    while let Some(incoming) = http.next().await {
        let Incoming::Upgrade(upgrade) = incoming else { continue };
        let Ok(mut ws) = http.accept(upgrade).await else { return };
        while let Some(Ok(message)) = ws.next().await {
            let _ = ws.try_send(message);
        }
        return;
    }
}

/// Serves in turns of one step beside what a client does, and goes idle after that.
fn serve(server: &Server, what: &str, client: impl Future<Output = ()>) {
    let (wake, woken) = mpsc::channel();
    let mut ui = UiDriver::new(server.serve(echo), move || _ = wake.send(()));
    let mut client = pin!(client);
    run(async {
        while once(client.as_mut()).await.is_pending() {
            steps_until_idle(&mut ui, what);
            // The reactor runs in between.
            async_io::Timer::after(Duration::from_micros(100)).await;
        }
    });
    steps_until_idle(&mut ui, what);
    drop(woken);
}

#[test]
fn limits_of_zero_reject_all_or_act_as_one_and_nothing_spins() {
    let none = server(config().max_connections(0));
    serve(&none, "max_connections 0", async {
        for _ in 0..3 {
            connect(none.url("/").unwrap(), ClientConfig::new()).await.unwrap_err();
        }
    });
    assert_eq!((none.rejected(), none.stats().open), (3, 0));

    let one = server(config().max_handshakes(0));
    serve(&one, "max_handshakes 0", async {
        let silent = std::net::TcpStream::connect(one.local_addr().unwrap()).unwrap();
        while one.http_count() == 0 {
            future::yield_now().await;
        }
        let mut waits = pin!(connect(one.url("/").unwrap(), ClientConfig::new()));
        for _ in 0..20 {
            assert!(once(waits.as_mut()).await.is_pending());
        }
        assert_eq!(one.http_count(), 1);
        drop(silent);
        waits.await.unwrap();
    });

    let most = usize::MAX;
    for config in [config().memory_limit(Some(0)), config().max_connections(most).max_handshakes(most)] {
        let server = server(config.max_per_address(Some(0)));
        serve(&server, "no memory, or no limit", async {
            let mut ws = connect(server.url("/").unwrap(), ClientConfig::new()).await.unwrap();
            ws.send(vec![7; 300]).await.unwrap();
            assert_eq!(ws.next().await.unwrap().unwrap().as_bytes(), [7; 300]);
        });
    }
}

#[test]
fn a_stop_of_any_length_notifies_the_first_and_does_not_end_early() {
    let far = Duration::from_secs(u64::MAX / 2);
    for (deadline, spread) in
        [(MAX, MAX), (MAX, Duration::ZERO), (Duration::ZERO, MAX), (far, far), (far, MAX)]
    {
        let server = server(config());
        run(async {
            let (mut client, ws) = connected(&server, ClientConfig::new()).await;
            let (other_client, other) = connected(&server, ClientConfig::new()).await;
            let mut ws = ws;
            let stop = Stop::within(deadline).spread(spread);
            let mut stopping = pin!(server.stop_with(stop.clone()));
            assert!(once(stopping.as_mut()).await.is_pending(), "{deadline:?} over {spread:?}");
            let mut again = pin!(server.stop_with(stop));
            assert!(once(again.as_mut()).await.is_pending());
            let (closed, _) = future::zip(client.next(), async { while ws.next().await.is_some() {} }).await;
            assert!(closed.is_none());
            assert_eq!(client.closed().unwrap().code, CloseCode::GOING_AWAY);
            // A second call with a finite deadline ends it.
            server.stop(Duration::ZERO).await;
            stopping.await;
            again.await;
            assert_eq!(server.stats().open, 0);
            drop((other_client, other));
        });
    }
}

#[test]
fn an_immediate_failure_waits_under_any_policy() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", free.local_addr().unwrap());
    drop(free);
    for (min, max) in
        [(Duration::ZERO, Duration::ZERO), (Duration::ZERO, MAX), (MAX, MAX), (MAX, Duration::ZERO)]
    {
        let policy = Reconnect::default().wait(min, max).reset_after(Duration::ZERO);
        let config = ClientConfig::new().reconnect(policy);
        let mut client = Client::new(url.as_str(), config).unwrap();
        run(async {
            let waits = Cell::new(0);
            while waits.get() < 3 {
                match client.next_event().await.unwrap() {
                    ClientEvent::Reconnecting { delay, .. } => {
                        assert!(delay >= Duration::from_micros(500), "{delay:?}");
                        waits.set(waits.get() + 1);
                        if delay > Duration::from_secs(3600) {
                            // It waits forever, without a panic.
                            assert!(once(pin!(client.next_event())).await.is_pending());
                            return;
                        }
                    }
                    ClientEvent::Connecting | ClientEvent::ConnectFailed(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        });
    }
}

#[test]
fn a_zero_timeout_fails_and_an_infinite_one_connects() {
    let server = server(config());
    serve(&server, "a client", async {
        let url = server.url("/").unwrap();
        connect(url.as_str(), ClientConfig::new().handshake_timeout(Duration::ZERO)).await.unwrap_err();
        let mut ws = connect(url.as_str(), ClientConfig::new().handshake_timeout(MAX)).await.unwrap();
        ws.send("hello").await.unwrap();
        assert_eq!(text(&mut ws).await, "hello");
    });
}

#[test]
fn topic_limits_of_zero_reject_every_topic_and_name() {
    let server = server(config());
    run(async {
        let (_client, ws) = connected(&server, ClientConfig::new()).await;
        let id = ws.id();
        server.topics().subscribe(id, "kept").unwrap();
        server.topics().set_limits(0, usize::MAX);
        assert_eq!(server.topics().subscribe(id, "more"), Err(TopicError::TooMany { limit: 0 }));
        assert_eq!(server.topics().publish("kept", &Frame::text("existing topics stay")), 1);
        server.topics().set_limits(usize::MAX, 0);
        assert_eq!(server.topics().subscribe(id, "x"), Err(TopicError::NameTooLong { limit: 0 }));
        assert_eq!(server.topics().subscribe(id, ""), Ok(true));
    });
}

#[test]
fn a_zero_budget_runs_one_step_and_an_unlimited_one_all() {
    let count = Cell::new(0);
    let future = async {
        while count.get() < 10 {
            count.set(count.get() + 1);
            future::yield_now().await;
        }
        future::pending().await
    };
    let mut ui = UiDriver::new(future, || {});
    let turn = ui.turn(Duration::ZERO);
    assert_eq!((turn.steps, turn.more, count.get()), (1, true, 1));
    let turn = ui.turn(MAX);
    assert_eq!((turn.steps, turn.more, count.get()), (10, false, 10));
    assert_eq!(ui.turn(MAX).steps, 0);
}
