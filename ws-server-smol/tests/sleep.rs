//! The machine slept: the first connection to notice has every peer pinged once, however frequent its heartbeat.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::{connected, once, run};
use futures_lite::future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use ws_server_smol::Event;
use ws_server_smol::{Bind, ClientConfig, Heartbeat, Server, ServerConfig, Socket, WebSocket};

const SECOND: Duration = Duration::from_secs(1);

/// Both clocks.
#[derive(Clone)]
struct Clocks(Arc<Mutex<(Instant, SystemTime)>>);

impl Clocks {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), SystemTime::now()))))
    }

    fn pass(&self, awake: Duration, asleep: Duration) {
        let mut clocks = self.0.lock().unwrap();
        clocks.0 += awake;
        clocks.1 += awake + asleep;
    }

    fn read(&self) -> impl Fn() -> (Instant, SystemTime) + Send + Sync + 'static {
        let clocks = self.0.clone();
        move || *clocks.lock().unwrap()
    }
}

/// How many Pings the peer of a WebSocket has answered, once all are idle.
async fn answers(ws: &mut WebSocket<Socket>, others: &mut [&mut WebSocket<Socket>]) -> usize {
    let mut answers = 0;
    for _ in 0..200 {
        for other in others.iter_mut() {
            let _ = once(pin!(other.next_event())).await;
        }
        while let std::task::Poll::Ready(Some(event)) = once(pin!(ws.next_event())).await {
            answers += usize::from(matches!(event, Event::Pong(_)));
        }
        async_io::Timer::after(Duration::from_micros(100)).await;
    }
    answers
}

#[test]
fn the_first_connection_to_notice_sleep_pings_all_clients_once() {
    let clocks = Clocks::new();
    let server = ws_server_smol::server_with_clocks(ServerConfig::new(), clocks.read());
    server.listen(Bind::localhost()).unwrap();
    run(async {
        let (mut one, mut a) = connected(&server, ClientConfig::new()).await;
        let (mut other, mut b) = connected(&server, ClientConfig::new()).await;
        assert_eq!(answers(&mut a, &mut [&mut one, &mut b, &mut other]).await, 0);
        // It was awake, and the wall clock was corrected.
        clocks.pass(10 * SECOND, 2 * SECOND);
        assert_eq!(answers(&mut a, &mut [&mut one, &mut b, &mut other]).await, 0);

        clocks.pass(10 * SECOND, 60 * SECOND);
        // The second one's task waits, and is woken by the first one, which is polled.
        let mut pings = 0;
        let waiting = async {
            while !matches!(b.next_event().await, Some(Event::Pong(_))) {}
            pings += 1;
        };
        let polling = async {
            assert_eq!(answers(&mut a, &mut [&mut one, &mut other]).await, 1);
        };
        future::zip(waiting, polling).await;
        assert_eq!(pings, 1);
        assert_eq!(answers(&mut b, &mut [&mut a, &mut one, &mut other]).await, 0, "once");
    });
}

#[test]
fn a_client_pings_even_if_its_heartbeat_is_one_way() {
    for (heartbeat, expected) in [(Heartbeat::client(), 1), (Heartbeat::frequent(), 1), (Heartbeat::off(), 0)]
    {
        let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
        run(async {
            let (mut client, mut ws) =
                connected(&server, ClientConfig::new().heartbeat(heartbeat.clone())).await;
            let clocks = Clocks::new();
            client.set_clocks(clocks.read());
            assert_eq!(answers(&mut client, &mut [&mut ws]).await, 0);
            clocks.pass(2 * SECOND, 60 * SECOND);
            assert_eq!(answers(&mut client, &mut [&mut ws]).await, expected, "{heartbeat:?}");
        });
    }
}
