//! Peers that leave while much is sent to them: with a Close, and without one.

use crate::common::Random;
use crate::common::strict::Strict;
use crate::sides::{ClientSide, ServerSide};
use crate::{Run, TIMERS, accept, patient, users};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use ws_kit::oracle::Events;
use ws_server_smol::Incoming;
use ws_server_smol::{CloseCode, Closed, Config, Event};

/// A client sends a Close and vanishes, while the server keeps sending.
pub(crate) fn with_a_close(seed: u64, client: impl ClientSide, server: impl ServerSide, run: &Run<'_>) {
    let mut random = Random::new(seed);
    let config = users(patient(Config::server()), &mut random);
    let of_client = users(patient(Config::client()), &mut random);
    let (len, first) = (random.pick(&[10, 1000, 9000]), random.below(20));
    let end = Rc::new(RefCell::new(None::<Closed>));
    let said = Rc::new(Cell::new(false));
    let mut tasks = Strict::with_timers(seed, TIMERS);
    let (server_end, client_said) = (end.clone(), said.clone());
    tasks.spawn("server", async move {
        let Some(mut ws) = accept(server, config).await else { return };
        for _ in 0..first {
            let _ = ws.try_send(vec![b'x'; len]);
        }
        let mut events = Events::server().upgraded();
        while let Some(event) = ws.next_event().await {
            events.record(&event);
            if let Event::Drained = event {
                let _ = ws.try_send(vec![b'x'; len]);
            }
        }
        events.must_be_over();
        *server_end.borrow_mut() = ws.closed().cloned();
    });
    tasks.spawn("client", async move {
        let Ok(mut ws) = client.open(of_client).await else { return };
        for _ in 0..random.below(3) {
            let _ = futures_lite::future::poll_once(ws.next()).await;
        }
        ws.start_close(CloseCode::from(4005), "gone").unwrap();
        client_said.set(ws.flush().await.is_ok());
    });
    tasks.run();
    let end = end.borrow();
    if said.get() && run.healthy {
        let closed = end.as_ref().unwrap();
        assert_eq!((closed.code.get(), &*closed.reason), (4005, "gone"), "{closed}");
    }
    run.total(|total| total.messages += usize::from(end.is_some()));
}

/// A client reads an endless response for a while, and leaves.
pub(crate) fn a_stream(seed: u64, mut client: impl ClientSide, server: impl ServerSide, run: &Run<'_>) {
    let mut random = Random::new(seed);
    let config = users(patient(Config::server()), &mut random);
    let (feeds, behind, by_reset) = (random.below(2) == 0, random.pick(&[0, 1, 100]), random.below(2) == 0);
    let end = Rc::new(RefCell::new(None::<Closed>));
    let server_end = end.clone();
    let mut tasks = Strict::with_timers(seed, TIMERS);
    tasks.spawn("server", async move {
        let mut http = server.http(config).await;
        let (mut bodies, mut events) = (Vec::new(), Events::server());
        while let Some(incoming) = http.next().await {
            let Incoming::Request(request) = incoming else { panic!("{incoming:?}") };
            events.request(&request);
            let head =
                http::Response::builder().header("content-type", "text/event-stream").body(()).unwrap();
            let body = http.respond_streaming(request, head, None).unwrap();
            if feeds {
                for _ in 0..20 {
                    let _ = body.try_send("data: something\n\n");
                }
            }
            bodies.push(body);
        }
        http.closed().into_iter().for_each(|closed| events.close(closed));
        events.must_be_over();
        *server_end.borrow_mut() = http.closed().cloned();
    });
    tasks.spawn("client", async move {
        let mut request = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
        // A request behind it does not hide the end.
        request.resize(request.len() + behind, b'x');
        if client.write_all(&request).await.is_err() || client.flush().await.is_err() {
            return;
        }
        let mut part = [0; 64];
        if !matches!(client.read(&mut part).await, Ok(1..)) {
            return;
        }
        if by_reset {
            return client.reset();
        }
        let _ = client.close().await;
        // Few peers read after their close; this one does.
        while matches!(client.read(&mut part).await, Ok(1..)) {}
    });
    tasks.run();
    if run.healthy {
        let end = end.borrow();
        let closed = end.as_ref().unwrap();
        assert!(closed.error.is_some(), "it was truncated without an error: {closed}");
    }
    run.total(|total| total.answers += 1);
}
