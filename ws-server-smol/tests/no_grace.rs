//! Deadlines that have passed before there was time for the work that they limit: each peer still gets what it takes
//! without waiting.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::{connected, once, run};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::cell::RefCell;
use std::pin::pin;
use std::thread;
use std::time::Duration;
use ws_server_smol::{
    Bind, ClientConfig, CloseCode, Closed, Error, Event, HttpConnection, Server, ServerConfig, Socket, State,
    Stop, WebSocket, connect,
};

const MILLI: Duration = Duration::from_millis(1);

fn local() -> Server {
    Server::bind(Bind::localhost(), ServerConfig::new()).unwrap()
}

/// The code and the reason that end this client's connection.
async fn end(ws: &mut WebSocket) -> (CloseCode, String) {
    while let Some(Ok(_)) = ws.next().await {}
    let closed = ws.closed().unwrap();
    (closed.code, closed.reason.clone())
}

async fn closed(mut ws: WebSocket) -> Closed {
    loop {
        if let Event::Closed(closed) = ws.next_event().await.unwrap() {
            return *closed;
        }
    }
}

async fn until_closed(http: HttpConnection<Socket>) {
    let Some(mut ws) = http.upgrade().await else { return };
    while let Some(Ok(_)) = ws.next().await {}
}

#[test]
fn a_stop_without_grace_sends_its_close_whether_or_not_a_task_polls() {
    let server = local();
    run(async {
        // More than are aborted at once.
        let mut open = Vec::new();
        for _ in 0..20 {
            open.push(connected(&server, ClientConfig::new()).await);
        }
        let script = async {
            let mut polled = Vec::new();
            for _ in 0..20 {
                polled.push(connect(server.url("/").unwrap(), ClientConfig::new()).await.unwrap());
            }
            while server.count() < 40 {
                future::yield_now().await;
            }
            let restart = Stop::within(Duration::ZERO).code(CloseCode::SERVICE_RESTART).reason("back soon");
            server.stop_with(restart).await;
            assert_eq!(server.count(), 0);
            let expected = (CloseCode::SERVICE_RESTART, "back soon".to_owned());
            for ws in &mut polled {
                assert_eq!(end(ws).await, expected);
            }
            for (mut client, ours) in open {
                let closed = closed(ours).await;
                assert!(matches!(closed.error, Some(Error::Stopped)) && !closed.clean, "{closed}");
                assert_eq!((closed.sent, closed.code), (Some(expected.0), CloseCode::ABNORMAL));
                assert_eq!(end(&mut client).await, expected);
            }
        };
        future::zip(server.serve(until_closed), script).await;
    });
}

#[test]
fn a_stop_aborts_sixteen_connections_between_two_turns_of_other_tasks() {
    let server = local();
    run(async {
        let mut open = Vec::new();
        for _ in 0..40 {
            open.push(connected(&server, ClientConfig::new()).await);
        }
        let mut stopping = pin!(server.stop(Duration::ZERO));
        let mut before = 40;
        while once(stopping.as_mut()).await.is_pending() {
            assert!(server.count() + 16 >= before);
            before = server.count();
        }
        assert!(before <= 16 && server.count() == 0, "{before}");
    });
}

#[test]
fn a_deadline_that_passes_while_the_thread_is_busy_still_sends_each_close() {
    for stop in [Stop::within(MILLI), Stop::within(MILLI).spread(5 * MILLI)] {
        let server = local();
        run(async {
            let mut open = Vec::new();
            for _ in 0..4 {
                open.push(connected(&server, ClientConfig::new()).await);
            }
            let mut stopping = pin!(server.stop_with(stop));
            let _ = once(stopping.as_mut()).await;
            thread::sleep(10 * MILLI);
            stopping.await;
            for (mut client, _ours) in open {
                assert_eq!(end(&mut client).await.0, CloseCode::GOING_AWAY);
            }
        });
    }
}

#[test]
fn a_stop_without_grace_sends_what_is_queued_and_then_its_close() {
    let server = local();
    run(async {
        let (mut client, ours) = connected(&server, ClientConfig::new()).await;
        let last = ours.sender();
        server.before_stop(move |_| assert!(last.try_send("the last message").is_ok()));
        ours.sender().try_send("one").unwrap();
        server.stop(Duration::ZERO).await;
        for expected in ["one", "the last message"] {
            assert_eq!(client.next().await.unwrap().unwrap().as_text(), Some(expected));
        }
        assert_eq!(end(&mut client).await.0, CloseCode::GOING_AWAY);
    });
}

#[test]
fn an_answer_that_arrived_before_the_deadline_counts_although_the_thread_was_busy() {
    let server = local();
    run(async {
        let ends = RefCell::new(Vec::new());
        let serving = server.serve(async |http| {
            let Some(mut ws) = http.upgrade().await else { return };
            while let Some(Ok(_)) = ws.next().await {}
            ends.borrow_mut().extend(ws.closed().cloned());
        });
        let mut serving = pin!(serving);
        let mut client = {
            let connecting = connect(server.url("/").unwrap(), ClientConfig::new());
            let mut connecting = pin!(connecting);
            future::poll_fn(|cx| {
                let _ = serving.as_mut().poll(cx);
                connecting.as_mut().poll(cx)
            })
            .await
            .unwrap()
        };
        let mut stopping = pin!(server.stop(200 * MILLI));
        // Until the client has the Close, and has answered it.
        while client.state() == State::Open {
            let _ = (once(stopping.as_mut()).await, once(serving.as_mut()).await);
            let _ = once(pin!(client.next())).await;
            future::yield_now().await;
        }
        thread::sleep(300 * MILLI);
        // The stop is polled first.
        future::zip(stopping, serving).await;
        let ends = ends.borrow();
        assert!(ends[0].clean, "{}", ends[0]);
    });
}

#[test]
fn a_stop_without_grace_breaks_no_frame_and_aborts_http() {
    let limits = ServerConfig::new().outbox(1 << 20, 32 << 20, 64 << 20);
    let server = Server::bind(Bind::localhost(), limits).unwrap();
    run(async {
        let (mut client, ours) = connected(&server, ClientConfig::new().message_limit(64 << 20)).await;
        let address = server.local_addr().unwrap();
        let mut idle: Socket = async_io::Async::<std::net::TcpStream>::connect(address).await.unwrap().into();
        idle.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut http = server.accept().await.unwrap();
        let request = http.next().await.unwrap();
        // More than the kernels hold.
        ours.sender().try_send(vec![7; 30 << 20]).unwrap();
        server.stop(Duration::ZERO).await;
        let closed = closed(ours).await;
        assert_eq!(closed.sent, None, "{closed}");
        // It is inside the frame, and finds nothing wrong.
        let closed = client.next().await.unwrap().unwrap_err();
        assert!(
            closed.bytes_received > 1 << 10 && !matches!(closed.error, Some(Error::Protocol(_))),
            "{closed}"
        );
        let mut answer = Vec::new();
        let _ = idle.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{answer:?}");
        drop(request);
    });
}

#[test]
fn a_send_that_waited_for_its_thread_rather_than_for_room_is_sent() {
    let timeout = 500 * MILLI;
    let config = ServerConfig::new().outbox(1 << 10, 64 << 10, 64 << 20).output_timeout(timeout);
    let server = Server::bind(Bind::localhost(), config).unwrap();
    run(async {
        // Nothing polls the server's end.
        let (mut client, ours) = connected(&server, ClientConfig::new()).await;
        let sender = ours.sender();
        let mut sending;
        loop {
            sending = Box::pin(sender.send(vec![7; 64 << 10]));
            let mut queued = usize::MAX;
            let mut polled = once(sending.as_mut()).await;
            while polled.is_pending() && sender.queued() != queued {
                queued = sender.queued();
                polled = once(sending.as_mut()).await;
            }
            if polled.is_pending() {
                break;
            }
        }
        // The kernel is full. Now the client reads what is there, while the sending task waits for this thread.
        let nothing_comes = async {
            async_io::Timer::after(50 * MILLI).await;
            None
        };
        let mut nothing_comes = pin!(nothing_comes);
        while future::or(client.next(), nothing_comes.as_mut()).await.is_some() {}
        thread::sleep(timeout + 100 * MILLI);
        assert_eq!(sending.await, Ok(()));
    });
}
