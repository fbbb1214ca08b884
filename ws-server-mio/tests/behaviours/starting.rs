//! Servers: start, stop, one thread, addresses.

use super::common::*;
use super::{Clock, Log, SECOND, Witness, serving};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;
use ws_server_mio::http::Uri;
use ws_server_mio::{Bind, Event, ListenError, Options, Sent, ServerConfig};

/// The address of this machine at which a server is reachable.
fn here(rig: &mut Rig) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, rig.address().port()))
}

fn answers(rig: &mut Rig, address: SocketAddr) {
    let mut peer = Peer::connect(address);
    peer.send(&get(address, "/"));
    assert_eq!(rig.response(&mut peer).0, 200);
}

#[test]
fn row_01_start_finds_a_free_port_above_1024_and_a_failed_start_can_be_retried() {
    // One call each; the default is every interface.
    for (bind, this_machine_only) in
        [(Bind::default(), false), (Bind::any(), false), (Bind::lan(), false), (Bind::localhost(), true)]
    {
        for bind in [bind.clone(), bind.port(0)] {
            let mut rig = serving(bind, ServerConfig::new());
            let address = rig.address();
            assert!(address.port() > 1024, "{address}");
            assert_eq!(address.ip().is_loopback(), this_machine_only);
            assert_eq!(address.ip().is_unspecified(), !this_machine_only);
            let here = here(&mut rig);
            answers(&mut rig, here);
        }
    }

    // A port in use is reported, with what was tried and what helps; of a range, the next one is used.
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = taken.local_addr().unwrap();
    let mut rig = serving(Bind::localhost(), ServerConfig::new());
    let exact = Bind::localhost().port(at.port());
    for _ in 0..2 {
        let error = rig.endpoint.connections().listen(exact.clone(), ServerConfig::new()).unwrap_err();
        assert!(matches!(&error, ListenError::InUse { tried } if tried[..] == [at]), "{error:?}");
        assert!(error.to_string().contains(&at.to_string()), "{error}");
    }
    let range = Bind::localhost().port_range(at.port()..=at.port().saturating_add(50));
    let next = rig.endpoint.connections().listen(range, ServerConfig::new()).unwrap();
    let port = rig.endpoint.connections().server(next).local_addr().unwrap().port();
    assert!(port > at.port() && port <= at.port().saturating_add(50));
    let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
    let error = rig.endpoint.connections().listen(elsewhere, ServerConfig::new()).unwrap_err();
    assert!(
        matches!(&error, ListenError::AddressNotAvailable { tried } if tried[..] == [elsewhere]),
        "{error:?}"
    );

    // A failed start is retried, on the same endpoint, once there is room.
    drop(taken);
    rig.server = rig.endpoint.connections().listen(exact, ServerConfig::new()).unwrap();
    assert_eq!(rig.address(), at);
    answers(&mut rig, at);
}

#[test]
fn row_02_stop_calls_extension_and_application_sends_1001_within_a_deadline_and_can_start_again() {
    let clock = Clock::new();
    let mut rig = Rig::with(clock.options(), ServerConfig::new().close_timeout(60 * SECOND));
    let log = Log::default();
    rig.endpoint.connections().set_extension(Witness(log.clone())).unwrap();
    let (mut polite, _) = rig.open("/polite");
    let (mut silent, _) = rig.open("/silent");
    let (old, address) = (rig.server, rig.address());

    // Before it stops, clients are open: a last message is still possible.
    let application = log.clone();
    rig.app.also = Some(Box::new(move |connections, event| {
        application.note("application", event);
        if let Event::Stopping(_) = event {
            for id in connections.ids().collect::<Vec<_>>() {
                assert_eq!(connections.send(id, "so long"), Ok(Sent::Queued));
            }
        }
    }));
    log.take();
    let connections = rig.endpoint.connections();
    connections.server(old).stop(2 * SECOND);
    connections.server(old).stop(60 * SECOND);
    for peer in [&mut polite, &mut silent] {
        assert_eq!(rig.frame(peer), (TEXT, b"so long".to_vec()));
        let (first, payload) = rig.frame(peer);
        assert_eq!((first, close_code(&payload)), (CLOSE, 1001));
    }

    // A peer that answers closes at once, any other is cut at the earlier deadline.
    polite.send(&frame(CLOSE, &1001u16.to_be_bytes()));
    rig.end(&mut polite);
    drop(polite);
    rig.until("the polite peer's close", |rig| rig.app.closed().len() == 1);
    assert!(rig.app.closed()[0].clean);
    clock.pass(SECOND);
    rig.turn();
    assert_eq!(rig.app.closed().len(), 1, "before the deadline");
    clock.pass(SECOND);
    rig.until("its end", |rig| matches!(rig.app.seen.last(), Some(Seen::Stopped(server)) if *server == old));
    rig.end(&mut silent);
    let order = ["stopping", "closed", "closed", "stopped"];
    let expected: Vec<_> = order
        .iter()
        .flat_map(|what| [format!("extension: {what}"), format!("application: {what}")])
        .collect();
    assert_eq!(log.take(), expected);

    // A second call is harmless, and the same endpoint starts again, on the same port.
    rig.endpoint.connections().server(old).stop(Duration::ZERO);
    rig.turn();
    assert_eq!(log.take(), [""; 0]);
    let again = Bind::localhost().port(address.port());
    rig.server = rig.endpoint.connections().listen(again, ServerConfig::new()).unwrap();
    assert_ne!(rig.server, old);
    rig.open("/again");
}

/// The test `hygiene` proves that no thread is started: it counts in a separate process.
#[test]
fn row_03_one_thread_where_a_turn_has_a_budget_and_never_blocks() {
    let clock = Clock::new();
    let mut rig = Rig::with(clock.on(Options::ui()), ServerConfig::new());
    let (mut peer, _) = rig.open("/");
    let nothing = rig.endpoint.poll(Some(Duration::ZERO), |_, _| panic!("nothing happens")).unwrap();
    assert_eq!((nothing.events, nothing.more), (0, false), "it did not wait");

    // Each call of the handler takes 300 µs; a turn of 1 ms has four, the last one begun in time.
    let all: Vec<u8> = (0..40).flat_map(|_| frame(TEXT, b"x")).collect();
    peer.send(&all);
    let (me, mut handled, mut full) = (thread::current().id(), 0, 0);
    while handled < 40 {
        let turn = rig.endpoint.poll(Some(Duration::ZERO), |connections, event| {
            if let Event::Message(id, message) = event {
                assert_eq!(thread::current().id(), me);
                connections.send(id, message).unwrap();
                clock.pass(Duration::from_micros(300));
                handled += 1;
            }
        });
        let turn = turn.unwrap();
        assert!(turn.events <= 4 && turn.elapsed <= Duration::from_micros(1200));
        if turn.events == 4 {
            full += 1;
            assert!(turn.more && rig.endpoint.next_timeout() == Some(Duration::ZERO), "the rest waits");
        }
    }
    assert!(full >= 9);
    for _ in 0..40 {
        assert_eq!(rig.frame(&mut peer), (TEXT, b"x".to_vec()), "nothing is lost");
    }
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
        let mut rig = serving(bind, ServerConfig::new());
        let (server, port) = (rig.server, rig.address().port());
        let connections = rig.endpoint.connections();
        for path in ["chat", "/chat", r"\chat"] {
            assert_eq!(connections.server(server).url(path), Some(format!("ws://{host}:{port}/chat")));
            assert_eq!(connections.server(server).http_url(path), Some(format!("http://{host}:{port}/chat")));
        }
        assert_eq!(connections.server(server).url(""), Some(format!("ws://{host}:{port}/")));

        // The address of this machine in the network, on request, if it has one and the server listens there.
        let lan = connections.server(server).lan_url("chat");
        assert_eq!(
            connections.server(server).lan_http_url("chat"),
            lan.as_ref().map(|url| url.replace("ws:", "http:"))
        );
        let mut urls = connections.server(server).url("chat").into_iter().collect::<Vec<_>>();
        match lan {
            Some(url) => {
                let (lan_host, lan_port) = authority(&url);
                assert!(host == "localhost" && lan_host != host && lan_port == port, "{url}");
                assert!(connections.server(server).urls("chat").contains(&url));
                urls.push(url);
            }
            None => assert!(connections.server(server).urls("chat").iter().all(|url| url.ends_with("/chat"))),
        }
        for url in urls {
            let (host, port) = authority(&url);
            let host = if host == "localhost" { "127.0.0.1" } else { &host };
            let mut peer = Peer::connect(SocketAddr::new(host.parse().unwrap(), port));
            peer.send(&handshake(SocketAddr::new(host.parse().unwrap(), port), "/chat"));
            assert!(rig.head(&mut peer).starts_with("HTTP/1.1 101 "));
        }

        rig.endpoint.connections().server(server).stop(Duration::ZERO);
        for _ in 0..2 {
            let connections = rig.endpoint.connections();
            assert_eq!(
                (connections.server(server).url("/"), connections.server(server).http_url("/")),
                (None, None)
            );
            assert_eq!(
                (connections.server(server).lan_url("/"), connections.server(server).urls("/")),
                (None, Vec::new())
            );
            rig.until("its end", |rig| matches!(rig.app.seen.last(), Some(Seen::Stopped(_))));
        }
        assert_eq!(rig.endpoint.connections().server(server).local_addr(), None);
    }
}
