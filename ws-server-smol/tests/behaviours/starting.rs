//! Servers: how they start and stop, their one thread, and their addresses.

use super::common::{once, run};
use super::peer::*;
use super::transport::{peer_of, scheme, server_config};
use super::{App, LONG, Witness, beside, hello, local, open, opened, until};
use async_executor::LocalExecutor;
use http::Uri;
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};
use ws_server_smol::{Bind, ListenError, Sent, Server, UiDriver};

/// The address of this machine at which a server is reachable.
fn here(server: &Server) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, server.local_addr().unwrap().port()))
}

async fn answers(server: &Server) {
    let address = here(server);
    let mut peer = peer_of(address);
    peer.send(&get(address, "/"));
    assert_eq!(beside(server, hello, peer.response()).await.0, 200);
}

#[test]
fn row_01_start_finds_a_free_port_above_1024_and_a_failed_start_can_be_retried() {
    run(async {
        // One call each; the default is every interface.
        for (bind, this_machine_only) in
            [(Bind::default(), false), (Bind::any(), false), (Bind::lan(), false), (Bind::localhost(), true)]
        {
            for bind in [bind.clone(), bind.port(0)] {
                let server = Server::bind(bind, server_config()).unwrap();
                let address = server.local_addr().unwrap();
                assert!(address.port() > 1024, "{address}");
                assert_eq!(address.ip().is_loopback(), this_machine_only);
                assert_eq!(address.ip().is_unspecified(), !this_machine_only);
                answers(&server).await;
            }
        }

        // A port in use is reported, with what was tried and what helps; of a range, the next one is used.
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = taken.local_addr().unwrap();
        let server = Server::new(server_config());
        let exact = Bind::localhost().port(at.port());
        for _ in 0..2 {
            let error = server.listen(exact.clone()).unwrap_err();
            assert!(matches!(&error, ListenError::InUse { tried } if tried[..] == [at]), "{error:?}");
            assert!(error.to_string().contains(&at.to_string()), "{error}");
            assert!(!server.is_running());
        }
        let range = Bind::localhost().port_range(at.port()..=at.port().saturating_add(50));
        let next = Server::bind(range, server_config()).unwrap();
        let port = next.local_addr().unwrap().port();
        assert!(port > at.port() && port <= at.port().saturating_add(50));
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
        let error = server.listen(elsewhere).unwrap_err();
        assert!(
            matches!(&error, ListenError::AddressNotAvailable { tried } if tried[..] == [elsewhere]),
            "{error:?}"
        );

        // A failed start is retried, with the same server, once there is room.
        drop(taken);
        server.listen(exact).unwrap();
        assert_eq!(server.local_addr(), Some(at));
        answers(&server).await;
    });
}

#[test]
fn row_02_stop_calls_extension_and_application_sends_1001_within_a_deadline_and_can_start_again() {
    let server = local(server_config().close_timeout(LONG));
    let app = App::default();
    let log = app.log.clone();
    server.set_extension(Witness(log.clone())).unwrap();
    // When the stop begins, connections are open: a last message is still possible.
    server.before_stop({
        let log = log.clone();
        move |server| {
            log.note("application: stopping");
            for id in server.ids() {
                assert_eq!(server.send(id, "so long"), Ok(Sent::Queued));
            }
        }
    });
    run(beside(&server, async |http| app.handle(http).await, async {
        let (mut polite, _) = open(&server, "/polite").await;
        let (mut silent, _) = open(&server, "/silent").await;
        let address = server.local_addr().unwrap();
        log.take();
        let mut stopping = pin!(server.stop(LONG));
        assert!(once(stopping.as_mut()).await.is_pending());
        for peer in [&mut polite, &mut silent] {
            assert_eq!(peer.frame().await, (TEXT, b"so long".to_vec()));
            let (first, payload) = peer.frame().await;
            assert_eq!((first, close_code(&payload)), (CLOSE, 1001));
        }

        // A peer that answers closes at once; any other is aborted at the earlier deadline, whichever call waits.
        polite.send(&frame(CLOSE, &1001u16.to_be_bytes()));
        polite.end().await;
        drop(polite);
        until(|| app.ends() == 1).await;
        assert!(once(stopping.as_mut()).await.is_pending(), "one is left, before the deadline");
        server.stop(Duration::ZERO).await;
        assert_eq!(once(stopping).await, Poll::Ready(()));
        silent.end().await;
        until(|| app.ends() == 2).await;
        let mut expected = vec!["extension: stopping", "application: stopping"];
        expected.extend(["extension: closed", "application: closed"].repeat(2));
        assert_eq!(log.take(), expected);

        // A second call is harmless, and the same server starts again, on the same port.
        server.stop(Duration::ZERO).await;
        assert_eq!(log.take(), [""; 0]);
        server.listen(Bind::localhost().port(address.port())).unwrap();
        assert_eq!(server.local_addr(), Some(address));
        open(&server, "/again").await;
    }));
}

/// The test `threads` proves which threads exist: it counts in a separate process.
#[test]
fn row_03_one_thread_where_a_turn_has_a_budget_and_never_blocks() {
    const MILLISECOND: Duration = Duration::from_millis(1);
    let now = Rc::new(Cell::new(Instant::now()));
    let (handled, me) = (Rc::new(Cell::new(0)), thread::current().id());
    let server = local(server_config());

    // A handler that computes: 300 µs on the virtual clock, so a turn of 1 ms has four, the last one begun in time; in
    // real time, as long as a connection may before it yields.
    let handler = {
        let (handled, now) = (handled.clone(), now.clone());
        async move |http| {
            let mut ws = opened(http).await.unwrap();
            while let Some(Ok(message)) = ws.next().await {
                assert_eq!(thread::current().id(), me);
                ws.try_send(message).unwrap();
                handled.set(handled.get() + 1);
                now.set(now.get() + MILLISECOND * 3 / 10);
                let start = Instant::now();
                while start.elapsed() < MILLISECOND * 6 / 10 {}
            }
        }
    };
    let executor = Rc::new(LocalExecutor::new());
    let accepting = {
        let (server, executor, handler) = (server.clone(), executor.clone(), Rc::new(handler));
        async move {
            while let Some(http) = server.accept().await {
                let handler = handler.clone();
                executor.spawn(async move { handler(http).await }).detach();
            }
        }
    };
    executor.spawn(accepting).detach();

    // The window's loop: a turn when notified, or when the last one left something.
    let (notify, notified) = mpsc::channel();
    let tick = async move || executor.tick().await;
    let mut ui = UiDriver::ticking(tick, move || notify.send(()).unwrap()).clock(move || now.get());
    let (mut full, mut more) = (0, true);
    let mut turn = || {
        if !more {
            notified.recv_timeout(Duration::from_secs(20)).unwrap();
        }
        let before = handled.get();
        let turn = ui.turn(MILLISECOND);
        assert!(handled.get() - before <= 4 && turn.elapsed <= MILLISECOND * 12 / 10);
        more = turn.more;
        if handled.get() - before == 4 {
            full += 1;
            assert!(more, "the rest waits");
        }
        handled.get()
    };
    let address = server.local_addr().unwrap();
    let mut peer = peer_of(address);
    peer.send(&handshake(address, "/"));
    while peer.take_head().is_none() {
        turn();
    }
    peer.send(&(0..40).flat_map(|_| frame(TEXT, b"x")).collect::<Vec<_>>());
    while turn() < 40 {}
    for _ in 0..40 {
        let echo = loop {
            match peer.take_frame() {
                Some(echo) => break echo,
                None => turn(),
            };
        };
        assert_eq!(echo, (TEXT, b"x".to_vec()), "nothing is lost");
    }
    assert!(full >= 9, "{full}");
}

#[test]
fn row_19_bound_address_and_urls_can_be_opened_and_are_none_once_it_stops() {
    let authority = |url: &str| -> (String, u16) {
        let uri: Uri = url.parse().unwrap();
        (uri.host().unwrap().to_owned(), uri.port_u16().unwrap())
    };
    for (bind, host) in [
        (Bind::localhost(), "127.0.0.1"),
        (Bind::any(), "localhost"),
        (Bind::from((Ipv4Addr::UNSPECIFIED.into(), 0)), "localhost"),
    ] {
        let server = Server::bind(bind, server_config()).unwrap();
        let port = server.local_addr().unwrap().port();
        for path in ["chat", "/chat", r"\chat"] {
            assert_eq!(server.url(path), Some(format!("{}://{host}:{port}/chat", scheme("ws"))));
            assert_eq!(server.http_url(path), Some(format!("{}://{host}:{port}/chat", scheme("http"))));
        }
        assert_eq!(server.url(""), Some(format!("{}://{host}:{port}/", scheme("ws"))));

        // The address of this machine in the network, on request, if it has one and the server listens there.
        let lan = server.lan_url("chat");
        assert_eq!(server.lan_http_url("chat"), lan.as_ref().map(|url| url.replacen("ws", "http", 1)));
        let mut urls = server.url("chat").into_iter().collect::<Vec<_>>();
        match lan {
            Some(url) => {
                let (lan_host, lan_port) = authority(&url);
                assert!(host == "localhost" && lan_host != host && lan_port == port, "{url}");
                assert!(server.urls("chat").contains(&url));
                urls.push(url);
            }
            None => assert!(server.urls("chat").iter().all(|url| url.ends_with("/chat"))),
        }
        run(beside(&server, hello, async {
            for url in urls {
                let (host, port) = authority(&url);
                let host = if host == "localhost" { "127.0.0.1" } else { &host };
                let address = SocketAddr::new(host.parse().unwrap(), port);
                let mut peer = peer_of(address);
                peer.send(&handshake(address, "/chat"));
                assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
            }
            server.stop(Duration::ZERO).await;
        }));
        assert_eq!((server.url("/"), server.http_url("/")), (None, None));
        assert_eq!((server.lan_url("/"), server.urls("/")), (None, Vec::new()));
        assert_eq!(server.local_addr(), None);
    }
}
