//! Starting and stopping servers, and their addresses.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use ws_server_mio::{Bind, Endpoint, ListenError, ServerConfig};

fn endpoint() -> Endpoint {
    Endpoint::new().unwrap()
}

#[test]
fn a_server_starts_stops_and_starts_again_on_its_port() {
    let mut rig = Rig::new(ServerConfig::new());
    let address = rig.address();
    let (mut peer, id) = rig.open("/");
    let old = rig.server;
    rig.endpoint.connections().server(old).stop(Duration::from_secs(60));
    rig.endpoint.connections().server(old).stop(Duration::from_secs(60));

    assert_eq!(rig.frame(&mut peer).0, CLOSE);
    peer.send(&frame(CLOSE, &1001u16.to_be_bytes()));
    drop(peer);
    rig.until("the stop of the server", |rig| matches!(rig.app.seen.last(), Some(Seen::Stopped(_))));
    let order: Vec<_> = rig
        .app
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Stopping(server) if *server == old => Some("stopping"),
            Seen::Closed(closed, _) if *closed == id => Some("closed"),
            Seen::Stopped(server) if *server == old => Some("stopped"),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["stopping", "closed", "stopped"]);
    assert_eq!(rig.endpoint.connections().server(old).local_addr(), None);
    rig.endpoint.connections().server(old).stop(Duration::ZERO);

    let again =
        rig.endpoint.connections().listen(Bind::localhost().port(address.port()), ServerConfig::new());
    rig.server = again.unwrap();
    assert_ne!(rig.server, old);
    rig.open("/again");
    assert_eq!(rig.endpoint.connections().server(rig.server).count(), 1);
}

#[test]
fn a_stop_cuts_remaining_connections_at_the_deadline() {
    let mut rig = Rig::new(ServerConfig::new());
    let (_silent, id) = rig.open("/");
    let mut idle = rig.peer();
    rig.until("the idle one", |rig| rig.endpoint.connections().server(rig.server).http_count() == 1);
    rig.endpoint.connections().server(rig.server).stop(Duration::from_millis(20));
    rig.until("the end", |rig| matches!(rig.app.seen.last(), Some(Seen::Stopped(_))));
    assert_eq!(rig.app.closed().len(), 1, "a silent connection is not reported");
    assert!(!rig.app.closed()[0].clean);
    assert_eq!(rig.endpoint.connections().state(id), ws_server_mio::State::Closed);
    rig.end(&mut idle);
}

#[test]
fn run_ends_with_the_last_server() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.endpoint.connections().server(rig.server).stop(Duration::ZERO);
    let Rig { endpoint, app, .. } = &mut rig;
    endpoint.run(|connections, event| app.handle(connections, event)).unwrap();
    assert!(matches!(app.seen[..], [Seen::Stopping(_), Seen::Stopped(_)]));
}

#[test]
fn run_ends_on_request() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.endpoint.remote().run(|connections| connections.exit()).unwrap();
    rig.endpoint.run(|_, _| {}).unwrap();
    assert!(rig.endpoint.connections().server(rig.server).local_addr().is_some());
}

#[test]
fn a_failed_start_says_what_was_tried_and_can_be_retried() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut endpoint = endpoint();
    let bind = Bind::localhost().port(port);
    for _ in 0..2 {
        match endpoint.connections().listen(bind.clone(), ServerConfig::new()) {
            Err(error @ ListenError::InUse { .. }) => {
                let text = error.to_string();
                assert!(text.contains(&format!("127.0.0.1:{port}")) && text.contains("port_range"), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
    drop(taken);
    endpoint.connections().listen(bind, ServerConfig::new()).unwrap();
}

#[test]
fn an_address_of_another_machine_is_reported_as_such() {
    let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
    let result = endpoint().connections().listen(elsewhere, ServerConfig::new());
    assert!(matches!(result, Err(ListenError::AddressNotAvailable { .. })), "{result:?}");
}

#[test]
fn a_range_uses_its_first_free_port() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let first = taken.local_addr().unwrap().port();
    let mut endpoint = endpoint();
    let bind = Bind::localhost().port_range(first..=first.saturating_add(50));
    let server = endpoint.connections().listen(bind, ServerConfig::new()).unwrap();
    assert!(endpoint.connections().server(server).local_addr().unwrap().port() > first);
    #[expect(clippy::reversed_empty_ranges)]
    let empty = Bind::localhost().port_range(2..=1);
    let result = endpoint.connections().listen(empty, ServerConfig::new());
    assert!(matches!(result, Err(ListenError::NoPort)));
}

#[test]
fn localhost_is_both_families_on_one_port() {
    let mut rig = Rig::new(ServerConfig::new());
    let port = rig.address().port();
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return; // a machine without IPv6
    }
    let v6 = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
    let v4 = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    rig.until("both", |rig| rig.endpoint.connections().server(rig.server).http_count() == 2);
    drop((v4, v6));
}

#[test]
fn a_peer_has_its_own_address_on_dual_stack_too() {
    let mut endpoint = endpoint();
    let server = endpoint.connections().listen(Bind::any(), ServerConfig::new()).unwrap();
    let port = endpoint.connections().server(server).local_addr().unwrap().port();
    let mut rig = Rig { endpoint, server, app: App::default() };
    for ip in ["127.0.0.1", "::1"] {
        if ip == "::1" && TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
            continue;
        }
        let to = SocketAddr::new(ip.parse().unwrap(), port);
        let mut peer = Peer::connect(to);
        let before = rig.app.open_ids().len();
        peer.send(&handshake(to, "/"));
        rig.until("open", |rig| rig.app.open_ids().len() > before);
        let id = rig.app.open_ids()[before];
        let connections = rig.endpoint.connections();
        assert_eq!(connections.peer_addr(id), Some(peer.stream.local_addr().unwrap()));
        assert_eq!(connections.local_addr(id), Some(to));
        assert_eq!(connections.server_of(id), Some(server));
    }
}

#[test]
fn a_url_names_a_reachable_host() {
    let mut endpoint = endpoint();
    let connections = endpoint.connections();
    let local = connections.listen(Bind::localhost(), ServerConfig::new()).unwrap();
    let port = connections.server(local).local_addr().unwrap().port();
    assert_eq!(connections.server(local).url("chat").unwrap(), format!("ws://127.0.0.1:{port}/chat"));
    assert_eq!(connections.server(local).http_url(r"\a\b").unwrap(), format!("http://127.0.0.1:{port}/a/b"));
    let any = connections.listen(Bind::lan(), ServerConfig::new()).unwrap();
    let port = connections.server(any).local_addr().unwrap().port();
    assert_eq!(connections.server(any).url("/").unwrap(), format!("ws://localhost:{port}/"));
    connections.server(any).stop(Duration::ZERO);
    run_until_stopped(&mut endpoint);
    assert_eq!(endpoint.connections().server(any).url("/"), None);
    assert_eq!(endpoint.servers().collect::<Vec<_>>(), [local]);
}

fn run_until_stopped(endpoint: &mut Endpoint) {
    let mut stopped = false;
    while !stopped {
        let note = |_: &mut _, event: ws_server_mio::Event<'_>| {
            stopped |= matches!(event, ws_server_mio::Event::Stopped(_));
        };
        endpoint.poll(Some(Duration::ZERO), note).unwrap();
    }
}

#[test]
fn over_max_connections_is_rejected_and_counted() {
    let mut rig = Rig::new(ServerConfig::default().max_connections(1));
    let (first, _) = rig.open("/");
    let mut second = rig.peer();
    rig.end(&mut second);
    assert_eq!(rig.endpoint.connections().server(rig.server).rejected(), 1);
    drop(first);
    rig.until("room", |rig| rig.endpoint.connections().server(rig.server).count() == 0);
    rig.until("a slot", |rig| !rig.app.closed().is_empty());
    rig.open("/");
}
