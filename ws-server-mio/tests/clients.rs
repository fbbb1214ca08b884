//! Clients connect, close and reconnect. Servers and clients share one endpoint and one thread.

mod common;
use common::clients::*;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;
use ws_host::client::Reconnect;
use ws_proto::{Error, ResponseError, State};
use ws_server_mio::{
    Bind, ClientConfig, ClientRequest, ClientState, CloseCode, ConnectError, Frame, InvalidTarget, Options,
    ServerConfig,
};

#[test]
fn a_client_reconnects_under_the_same_id() {
    let mut rig = Both::new();
    let url = rig.url("/chat");
    let client = rig.connections().connect(url.as_str(), ClientConfig::new()).unwrap();
    assert_eq!(rig.connections().client(client).state(), ClientState::Connecting);
    assert_eq!(rig.connections().client(client).connection(), None);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = rig.opened(client);
        assert_eq!(rig.connections().client_of(id), Some(client));
        assert_eq!(rig.connections().server_of(id), None);
        assert_eq!(rig.connections().state(id), State::Open);
        let server = rig.server_address();
        assert_eq!(rig.connections().peer_addr(id), Some(server));
        rig.connections().send(id, "hello").unwrap();
        assert_eq!(rig.text(id), "hello");
        rig.connections().client(client).disconnect();
        assert_eq!(rig.connections().client(client).state(), ClientState::Closing);
        let closed = rig.closed(id);
        assert_eq!((closed.code, closed.clean), (CloseCode::NORMAL, true));
        assert_eq!(rig.connections().client(client).state(), ClientState::Idle);
        assert_eq!(rig.connections().state(id), State::Closed);
        ids.push(id);
        assert!(rig.connections().client(client).reconnect());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "each connection has a distinct id");
    // Connecting again while a connection is open closes that one first.
    let id = rig.opened(client);
    assert!(rig.connections().client(client).reconnect());
    assert_eq!(rig.closed(id).code, CloseCode::NORMAL);
    assert_ne!(rig.opened(client), id);
    assert!(rig.events.reconnecting.is_empty(), "no policy is set");
}

#[test]
fn headers_subprotocols_and_origin_reach_the_server_and_its_choice_reaches_the_client() {
    let mut rig = Both::new();
    let request = ClientRequest::new(&rig.url("/a?b=c")).unwrap();
    let request = request.header("X-Token", "secret").unwrap();
    let request = request.subprotocol("one").unwrap().subprotocol("two").unwrap();
    let origin = rig.url("").replace("ws://", "http://");
    let request = request.origin(origin.trim_end_matches('/')).unwrap();
    let client = rig.connections().connect(request, ClientConfig::new()).unwrap();
    rig.choose = Some("two");
    rig.opened(client);
    let request = rig.events.upgrades.pop().unwrap();
    assert_eq!(request.path_and_query, "/a?b=c");
    assert_eq!(request.headers["x-token"], "secret");
    assert_eq!(request.headers["origin"], origin.trim_end_matches('/'));
    assert_eq!(request.headers["sec-websocket-protocol"], "one, two");
    assert_eq!(rig.events.responses.pop().unwrap().headers()["sec-websocket-protocol"], "two");
}

#[test]
fn a_rejected_upgrade_reports_the_whole_response_and_no_close() {
    let mut rig = Both::new();
    rig.refuse = Some(403);
    let url = rig.url("/");
    let config = ClientConfig::default().reconnect(Reconnect::default());
    let client = rig.connections().connect(url.as_str(), config).unwrap();
    let failure = rig.failed(client);
    let response = failure.response().unwrap();
    assert_eq!((response.status().as_u16(), &response.body()[..]), (403, &b"not you"[..]));
    assert!(!format!("{failure:?}").contains("not you"), "{failure:?}");
    assert_eq!(failure.to_string(), "the server answered 403 Forbidden");
    // A retry would not change it.
    assert_eq!(rig.connections().client(client).state(), ClientState::Idle);
    assert!(rig.events.reconnecting.is_empty());
    assert!(rig.events.client_closed.is_empty());
    // A server that is only busy gets a retry.
    rig.refuse = Some(503);
    rig.connections().client(client).reconnect();
    assert_eq!(rig.failed(client).response().unwrap().status(), 503);
    assert_eq!(rig.connections().client(client).state(), ClientState::Waiting);
}

#[test]
fn localhost_tries_both_families() {
    for listens in [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), (Ipv6Addr::LOCALHOST, 0).into()] {
        let mut rig = Both::on(Bind::from(listens), Options::default());
        let url = format!("ws://localhost:{}/", rig.server_address().port());
        let client = rig.connections().connect(url.as_str(), ClientConfig::new()).unwrap();
        let id = rig.opened(client);
        assert_eq!(rig.connections().peer_addr(id).unwrap().ip(), listens.ip());
    }
}

#[test]
fn without_a_listener_the_error_lists_the_addresses_tried() {
    let mut rig = Both::new();
    // A reserved port without a listener.
    let (_v4, _v6, port) = ws_kit::ports::reserved();
    let url = format!("ws://localhost:{port}/");
    let client = rig.connections().connect(url, ClientConfig::new()).unwrap();
    match rig.failed(client) {
        ConnectError::Unreachable { tried, error } => {
            assert_eq!(tried, [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
            assert!(!error.to_string().is_empty());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.connections().client(client).state(), ClientState::Idle);
    assert_eq!(rig.sockets(), 0, "no socket is left");
}

#[test]
fn an_invalid_target_fails_at_once_and_leaves_nothing() {
    let mut rig = Both::new();
    let connections = rig.connections();
    let connect = |connections: &mut ws_server_mio::Connections, url: &str| {
        connections.connect(url, ClientConfig::new()).unwrap_err()
    };
    assert!(matches!(connect(connections, "http://127.0.0.1/"), InvalidTarget::Request(_)));
    let error = connect(connections, "ws://app.example/");
    assert_eq!(error, InvalidTarget::NoResolver { host: "app.example".into() });
    assert!(error.to_string().contains("Options::resolve_names"));
    assert_eq!(rig.endpoint.clients().count(), 0);
}

#[test]
fn names_are_looked_up_where_allowed() {
    let bind = Bind::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let config = ServerConfig::new().allow_host("127.1");
    let mut rig = Both::with(bind, Options::default().resolve_names(), config);
    let port = rig.server_address().port();
    // To the client this is a name; the system's resolver needs no query for it.
    let client = rig.connections().connect(format!("ws://127.1:{port}/"), ClientConfig::new()).unwrap();
    assert_eq!(rig.connections().client(client).state(), ClientState::Connecting);
    rig.opened(client);
    // The resolver rejects this name without a query: a label has at most 63 letters.
    let name = format!("{}.invalid", "a".repeat(64));
    let client = rig.connections().connect(format!("ws://{name}/"), ClientConfig::new()).unwrap();
    match rig.failed(client) {
        ConnectError::Name { host, .. } => assert_eq!(host, name),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_deadline_covers_the_whole_attempt() {
    let mut rig = Both::new();
    // It accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let config = ClientConfig::new().handshake_timeout(Duration::from_secs(7));
    let client = rig.connections().connect(format!("ws://{address}/"), config).unwrap();
    rig.turns(10);
    rig.clock.pass(Duration::from_millis(6_999));
    rig.turns(10);
    assert_eq!(rig.connections().client(client).state(), ClientState::Connecting);
    rig.clock.pass(Duration::from_millis(1));
    match rig.failed(client) {
        ConnectError::TimedOut { tried } => assert_eq!(tried, [address]),
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.sockets(), 0);
}

/// Fills a listener's backlog: the system leaves further connections unanswered.
#[cfg(target_os = "linux")]
#[test]
fn a_silent_address_delays_the_next_by_a_quarter_of_a_second() {
    use socket2::{Domain, Socket, Type};
    let (mut rig, full) = Both::on_v6_alone();
    let port = rig.server_address().port();
    full.listen(0).unwrap();
    let fill: Vec<_> = (0..8)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into());
            socket
        })
        .collect();
    let client = rig.connections().connect(format!("ws://localhost:{port}/"), ClientConfig::new()).unwrap();
    rig.turns(20);
    assert_eq!(rig.connections().client(client).state(), ClientState::Connecting);
    rig.clock.pass(Duration::from_millis(250));
    let id = rig.opened(client);
    assert!(rig.connections().peer_addr(id).unwrap().is_ipv6());
    // The loser of the race is gone.
    rig.turns(2);
    assert_eq!(rig.sockets(), 2);
    drop(fill);
}

#[test]
fn a_client_with_a_policy_reconnects_once_its_server_is_back() {
    let mut rig = Both::new();
    let url = rig.url("/");
    let policy = Reconnect::default();
    let config = ClientConfig::default().reconnect(policy.clone());
    let client = rig.connections().connect(url.as_str(), config).unwrap();
    let id = rig.opened(client);
    rig.clock.pass(Duration::from_secs(60));
    rig.stop_server();
    let closed = rig.closed(id);
    assert_eq!(closed.code, CloseCode::GOING_AWAY);
    assert_eq!(rig.connections().client(client).state(), ClientState::Waiting);
    // Attempts fail one after another, with growing waits.
    let (min, max) = policy.get_wait();
    let mut longest = min;
    for attempt in 1..=9 {
        let (reported, delay) = rig.reconnecting(client);
        assert_eq!(reported, attempt);
        assert!(delay >= longest / 2 && delay <= longest, "{attempt}: {delay:?}");
        longest = (longest * 2).min(max);
        rig.clock.pass(delay - Duration::from_millis(1));
        rig.turns(3);
        assert_eq!(rig.connections().client(client).state(), ClientState::Waiting);
        rig.clock.pass(Duration::from_millis(1));
        assert!(matches!(rig.failed(client), ConnectError::Unreachable { .. }));
    }
    let (_, delay) = rig.reconnecting(client);
    rig.start_server();
    rig.clock.pass(delay);
    let again = rig.opened(client);
    rig.connections().send(again, "back").unwrap();
    assert_eq!(rig.text(again), "back");
    // Open long enough to reset the back-off.
    rig.clock.pass(policy.get_reset_after());
    rig.stop_server();
    rig.closed(again);
    let (attempt, delay) = rig.reconnecting(client);
    assert_eq!(attempt, 1);
    assert!(delay <= min);
}

#[test]
fn a_no_retry_code_or_the_application_ends_reconnecting() {
    let mut rig = Both::new();
    let url = rig.url("/");
    let config = || ClientConfig::default().reconnect(Reconnect::default());
    let peer_closes = |rig: &mut Both, code| {
        let client = rig.connections().connect(url.as_str(), config()).unwrap();
        let id = rig.opened(client);
        let peer = rig.events.accepted.pop().unwrap();
        rig.connections().close(peer, code, "").unwrap();
        assert_eq!(rig.closed(id).code, code);
        rig.turns(2);
        rig.connections().client(client).state()
    };
    assert_eq!(peer_closes(&mut rig, CloseCode::NORMAL), ClientState::Idle);
    assert_eq!(peer_closes(&mut rig, CloseCode::POLICY), ClientState::Idle);
    assert_eq!(peer_closes(&mut rig, CloseCode::SERVICE_RESTART), ClientState::Waiting);
    // Closed by its id, or aborted.
    for terminate in [false, true] {
        let client = rig.connections().connect(url.as_str(), config()).unwrap();
        let id = rig.opened(client);
        match terminate {
            true => rig.connections().terminate(id),
            false => rig.connections().close(id, CloseCode::from(4000), "").unwrap(),
        }
        rig.closed(id);
        assert_eq!(rig.connections().client(client).state(), ClientState::Idle);
    }
    // While it waits.
    let waiting = rig.endpoint.clients().find(|_| true).unwrap();
    rig.connections().client(waiting).disconnect();
    let client = rig.connections().connect("ws://127.0.0.1:1/", config()).unwrap();
    rig.failed(client);
    assert_eq!(rig.connections().client(client).state(), ClientState::Waiting);
    rig.connections().client(client).disconnect();
    assert_eq!(rig.connections().client(client).state(), ClientState::Idle);
}

#[test]
fn an_abandoned_attempt_is_reported_and_leaves_no_socket() {
    let mut rig = Both::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", silent.local_addr().unwrap());
    let client = rig.connections().connect(url.as_str(), ClientConfig::new()).unwrap();
    rig.turns(5);
    rig.connections().client(client).disconnect();
    assert!(matches!(rig.failed(client), ConnectError::Cancelled));
    assert_eq!(rig.sockets(), 0);
    assert_eq!(rig.connections().client(client).state(), ClientState::Idle);
    // A removed client reports nothing more.
    rig.connections().client(client).reconnect();
    rig.connections().client(client).remove();
    rig.turns(5);
    assert!(rig.events.failed.is_empty());
    assert_eq!(rig.endpoint.clients().count(), 0);
    assert!(!rig.connections().client(client).reconnect());
    assert_eq!(rig.connections().client(client).set_request(url.as_str()), Err(InvalidTarget::NoClient));
}

#[test]
fn a_client_removed_while_open_reports_its_close_and_its_id_is_unknown() {
    let mut rig = Both::new();
    let url = rig.url("/");
    let client = rig.connections().connect(url.as_str(), ClientConfig::new()).unwrap();
    let id = rig.opened(client);
    rig.connections().client(client).remove();
    assert_eq!(rig.connections().client(client).connection(), None);
    assert_eq!(rig.connections().client_of(id), None);
    assert!(
        rig.connections().all().connections().any(|other| other == id),
        "its connection is listed until it ends"
    );
    assert_eq!(rig.closed(id).code, CloseCode::NORMAL);
    assert!(!rig.connections().all().connections().any(|other| other == id));
    let other = rig.connections().connect(url.as_str(), ClientConfig::new()).unwrap();
    assert_ne!(other, client);
    rig.opened(other);
    assert_eq!(rig.connections().client(client).connection(), None);
}

#[test]
fn the_request_can_change_before_each_attempt() {
    let mut rig = Both::new();
    let url = rig.url("/1");
    let config = ClientConfig::default().reconnect(Reconnect::default());
    let client = rig.connections().connect(url.as_str(), config).unwrap();
    let id = rig.opened(client);
    let peer = rig.events.accepted.pop().unwrap();
    rig.connections().close(peer, CloseCode::SERVICE_RESTART, "").unwrap();
    rig.closed(id);
    let (_, delay) = rig.reconnecting(client);
    let url = rig.url("/2");
    rig.connections().client(client).set_request(url).unwrap();
    rig.clock.pass(delay);
    rig.opened(client);
    let paths: Vec<_> = rig.events.upgrades.iter().map(|request| request.path_and_query.as_str()).collect();
    assert_eq!(paths, ["/1", "/2"]);
}

#[test]
#[cfg(not(feature = "tls-no-provider"))]
fn without_the_feature_tls_a_wss_target_is_an_error_at_once() {
    let mut rig = Both::new();
    let url = rig.url("/");
    let connections = rig.connections();
    let rejected = connections.connect("wss://127.0.0.1/", ClientConfig::new());
    assert_eq!(rejected, Err(InvalidTarget::TlsUnsupported));
    assert_eq!(rig.endpoint.clients().count(), 0);
    let client = rig.connections().connect(url, ClientConfig::new()).unwrap();
    let rejected = rig.connections().client(client).set_request("wss://127.0.0.1/");
    assert_eq!(rejected, Err(InvalidTarget::TlsUnsupported));
}

#[test]
fn a_broadcast_reaches_accepted_connections_and_no_clients() {
    let mut rig = Both::new();
    let url = rig.url("/");
    let client = rig.connections().connect(url.as_str(), ClientConfig::new()).unwrap();
    let id = rig.opened(client);
    let peer = rig.events.accepted[0];
    assert_eq!(rig.connections().ids().collect::<Vec<_>>(), [peer]);
    rig.silent = true;
    assert_eq!(rig.connections().broadcast(&Frame::text("news")), 1);
    assert_eq!(rig.text(id), "news");
    let server = rig.server;
    assert_eq!(rig.connections().server(server).count(), 1);
}

#[test]
fn an_eof_in_the_handshake_is_a_failed_attempt() {
    let mut rig = Both::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let client = rig.connections().connect(url, ClientConfig::new()).unwrap();
    rig.until("its connection", |_| listener.accept().is_ok());
    match rig.failed(client) {
        ConnectError::Handshake(ResponseError::Eof) | ConnectError::Lost(_) => {}
        other => panic!("{other:?}"),
    }
    assert!(rig.events.client_closed.is_empty());
}

#[test]
fn a_protocol_error_of_the_server_is_answered_and_retried() {
    let mut rig = Both::new();
    let url = rig.url("/");
    let config = ClientConfig::new().message_limit(10);
    let config = config.reconnect(Reconnect::default());
    let client = rig.connections().connect(url, config).unwrap();
    let id = rig.opened(client);
    let peer = rig.events.accepted[0];
    rig.connections().send(peer, "more than ten").unwrap();
    assert!(matches!(rig.closed(id).error, Some(Error::Protocol(_))));
    assert_eq!(rig.connections().client(client).state(), ClientState::Waiting);
}

#[cfg(unix)]
#[test]
fn a_unix_socket_replaces_host_and_port() {
    let directory = std::env::temp_dir().join(format!("ws-clients-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("socket");
    let mut rig = Both::on(Bind::unix(&path), Options::default());
    let config = || ClientConfig::default().unix(&path);
    let client = rig.connections().connect("ws://localhost/chat", config()).unwrap();
    let id = rig.opened(client);
    rig.connections().send(id, "over a file").unwrap();
    assert_eq!(rig.text(id), "over a file");
    assert_eq!(rig.connections().peer_addr(id), None);
    assert_eq!(rig.events.upgrades[0].path_and_query, "/chat");
    // The name only goes into the request; it is not looked up.
    let client = rig.connections().connect("ws://example.test/", config()).unwrap();
    assert!(rig.failed(client).response().is_some_and(|response| response.status() == 421));
    let nowhere = ClientConfig::default().unix(directory.join("nothing"));
    let client = rig.connections().connect("ws://localhost/", nowhere).unwrap();
    assert!(matches!(rig.failed(client), ConnectError::Unix { path, .. } if path.ends_with("nothing")));
    drop(rig);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_thousand_clients_share_the_endpoint_with_their_server() {
    let mut rig = Both::new();
    let url = rig.url("/");
    let clients: Vec<_> =
        (0..1000).map(|_| rig.connections().connect(url.as_str(), ClientConfig::new()).unwrap()).collect();
    let ids: Vec<_> = clients.iter().map(|client| rig.opened(*client)).collect();
    for (k, id) in ids.iter().enumerate() {
        rig.connections().send(*id, k.to_string()).unwrap();
    }
    for (k, id) in ids.iter().enumerate() {
        assert_eq!(rig.text(*id), k.to_string());
    }
    for client in &clients {
        rig.connections().client(*client).remove();
    }
    rig.until("all gone", |rig| rig.sockets() == 0);
}

#[test]
fn run_ends_when_the_last_client_is_idle() {
    let mut rig = Both::new();
    let url = rig.url("/");
    // No listener: the one attempt fails, and that is reported before the end.
    rig.stop_server();
    let mut endpoint = ws_server_mio::Endpoint::new().unwrap();
    endpoint.connections().connect(url, ClientConfig::new()).unwrap();
    let mut failures = 0;
    endpoint
        .run(|_, event| failures += usize::from(matches!(event, ws_server_mio::Event::ConnectFailed { .. })))
        .unwrap();
    assert_eq!(failures, 1);
}
