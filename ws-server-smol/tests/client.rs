//! Clients: connect, close, reconnect.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use async_executor::LocalExecutor;
use async_io::Async;
use bytes::Bytes;
use common::{accept, at_most, listener, run};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::cell::Cell;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};
use ws_kit::ports::reserved;
use ws_server_smol::Reconnect;
use ws_server_smol::{
    Client, ClientConfig, ClientEvent, ClientState, ConnectError, HttpConnection, Incoming, InvalidTarget,
    Socket, connect,
};
use ws_server_smol::{ClientRequest, CloseCode, Config, Initiator, ResponseError, State};

/// Back-off that is short enough for a test.
fn short_backoff() -> Reconnect {
    Reconnect::default().wait(Duration::from_millis(1), Duration::from_millis(4))
}

fn reconnecting() -> ClientConfig {
    ClientConfig::default().reconnect(short_backoff())
}

/// Rejects the next upgrade, and returns its request.
async fn reject_next(listener: &Async<TcpListener>, status: u16) -> String {
    let (stream, _) = listener.accept().await.unwrap();
    let mut http = HttpConnection::new(Socket::from(stream), Arc::new(Config::server()));
    let Some(Incoming::Upgrade(upgrade)) = http.next().await else { panic!("no upgrade") };
    let path = upgrade.path().to_owned();
    let answer = http::Response::builder().status(status).body(Bytes::from("not you")).unwrap();
    http.respond(upgrade, answer).await.unwrap();
    while http.next().await.is_some() {}
    path
}

#[test]
fn a_client_connects_echoes_and_closes() {
    run(async {
        let (listener, address) = listener();
        let serve = async {
            let mut ws = accept(&listener).await;
            while let Some(message) = ws.next().await {
                ws.send(message.unwrap()).await.unwrap();
            }
            ws.closed().unwrap().clone()
        };
        let ask = async {
            let mut ws = connect(format!("ws://{address}/chat"), ClientConfig::new()).await.unwrap();
            assert_eq!(ws.response().status(), 101);
            assert_eq!(ws.get_ref().unwrap().peer_addr(), Some(address));
            ws.send("hello").await.unwrap();
            assert_eq!(ws.next().await.unwrap().unwrap().as_text(), Some("hello"));
            assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
        };
        let (closed, ()) = future::zip(serve, ask).await;
        assert_eq!((closed.code, closed.initiator), (CloseCode::NORMAL, Initiator::Remote));
    });
}

#[test]
fn the_response_of_a_rejecting_server_is_reported_whole() {
    run(async {
        let (listener, address) = listener();
        let (_, failure) = future::zip(reject_next(&listener, 403), async {
            connect(format!("ws://{address}/"), ClientConfig::new()).await.unwrap_err()
        })
        .await;
        let response = failure.response().unwrap();
        assert_eq!((response.status().as_u16(), &response.body()[..]), (403, &b"not you"[..]));
        assert!(!format!("{failure:?}").contains("not you"), "{failure:?}");
        assert_eq!(failure.to_string(), "the server answered 403 Forbidden");
    });
}

#[test]
fn an_invalid_target_fails_at_once() {
    run(async {
        let untried = async |url: &str| match connect(url, ClientConfig::new()).await.unwrap_err() {
            ConnectError::Invalid(error) => error,
            other => panic!("{other:?}"),
        };
        assert!(matches!(untried("http://127.0.0.1/").await, InvalidTarget::Request(_)));
    });
}

#[test]
#[cfg(not(feature = "tls-no-provider"))]
fn without_the_feature_tls_a_wss_target_is_an_error_at_once() {
    let unsupported = InvalidTarget::TlsUnsupported;
    run(async {
        let error = connect("wss://127.0.0.1/", ClientConfig::new()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Invalid(InvalidTarget::TlsUnsupported)), "{error:?}");
    });
    assert_eq!(Client::new("wss://127.0.0.1/", reconnecting()).unwrap_err(), unsupported);
    let mut client = Client::new("ws://127.0.0.1/", reconnecting()).unwrap();
    assert_eq!(client.set_request("wss://127.0.0.1/"), Err(unsupported));
}

#[test]
fn localhost_tries_both_families_and_the_error_lists_them() {
    run(async {
        for ip in [Ipv4Addr::LOCALHOST.into(), std::net::IpAddr::from(Ipv6Addr::LOCALHOST)] {
            let (v4, v6, port) = reserved();
            let (listens, _other) = if ip.is_ipv4() { (v4, v6) } else { (v6, v4) };
            listens.listen(1).unwrap();
            let listener: Async<TcpListener> = Async::new(listens.into()).unwrap();
            let (_, ws) = future::zip(
                accept(&listener),
                connect(format!("ws://localhost:{port}/"), ClientConfig::new()),
            )
            .await;
            assert_eq!(ws.unwrap().get_ref().unwrap().peer_addr().unwrap().ip(), ip);
        }
        let (_v4, _v6, port) = reserved();
        match connect(format!("ws://localhost:{port}/"), ClientConfig::new()).await.unwrap_err() {
            ConnectError::Unreachable { tried, error } => {
                assert_eq!(tried, [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn names_are_looked_up() {
    run(async {
        let (listener, address) = listener();
        // A name, to us; the system's resolver needs no query for it.
        let url = format!("ws://127.1:{}/", address.port());
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let config = Config::server().allow_host("127.1");
            let mut http = HttpConnection::new(Socket::from(stream), Arc::new(config));
            let Some(Incoming::Upgrade(upgrade)) = http.next().await else { panic!("no upgrade") };
            http.accept(upgrade).await.unwrap()
        };
        let (_, ws) = future::zip(serve, connect(url, ClientConfig::new())).await;
        assert_eq!(ws.unwrap().state(), State::Open);
        // It rejects this name without a query: a label has at most 63 letters.
        let name = format!("{}.invalid", "a".repeat(64));
        match connect(format!("ws://{name}/"), ClientConfig::new()).await.unwrap_err() {
            ConnectError::Name { host, .. } => assert_eq!(host, name),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn one_deadline_covers_the_whole_attempt() {
    run(async {
        // It accepts connections and never answers.
        let (_silent, address) = listener();
        let time = Duration::from_millis(60);
        let start = Instant::now();
        let config = ClientConfig::new().handshake_timeout(time);
        match connect(format!("ws://{address}/"), config).await.unwrap_err() {
            ConnectError::TimedOut { tried, .. } => assert_eq!(tried, [address]),
            other => panic!("{other:?}"),
        }
        assert!(start.elapsed() >= time);
        let none = ClientConfig::new().handshake_timeout(Duration::ZERO);
        let timed_out = connect(format!("ws://{address}/"), none).await.unwrap_err();
        assert!(matches!(timed_out, ConnectError::TimedOut { .. }), "{timed_out:?}");
    });
}

/// Fills a listener's backlog: the system leaves further connections unanswered.
#[cfg(target_os = "linux")]
#[test]
fn a_silent_address_delays_the_next_by_a_quarter_of_a_second() {
    use socket2::{Domain, Socket as Raw, Type};
    use std::net::SocketAddr;
    run(async {
        let (full, listens, port) = reserved();
        listens.listen(1).unwrap();
        let listener: Async<TcpListener> = Async::new(listens.into()).unwrap();
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        full.listen(0).unwrap();
        let _fill: Vec<_> = (0..8)
            .map(|_| {
                let socket = Raw::new(Domain::IPV4, Type::STREAM, None).unwrap();
                socket.set_nonblocking(true).unwrap();
                let _ = socket.connect(&v4.into());
                socket
            })
            .collect();
        let start = Instant::now();
        let (_, ws) =
            future::zip(accept(&listener), connect(format!("ws://localhost:{port}/"), ClientConfig::new()))
                .await;
        assert!(ws.unwrap().get_ref().unwrap().peer_addr().unwrap().is_ipv6());
        assert!(start.elapsed() >= Duration::from_millis(250));
    });
}

#[test]
fn a_dropped_attempt_leaves_no_socket() {
    run(async {
        let (listener, address) = listener();
        let url = format!("ws://{address}/");
        // Dropped at each of its awaits: the server sees its connection end.
        for polls in 1..6 {
            let attempt = at_most(polls, connect(url.as_str(), ClientConfig::new()));
            let long = async {
                async_io::Timer::after(Duration::from_millis(50)).await;
                None
            };
            assert!(future::or(attempt, long).await.is_none(), "no answer");
            // A connection that the system had not yet made may never have existed.
            let end = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                // EOF, or a reset.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            };
            let never = async {
                async_io::Timer::after(Duration::from_millis(if polls == 1 { 200 } else { 20_000 })).await;
                assert_eq!(polls, 1, "it is still connected");
            };
            future::or(end, never).await;
        }
    });
}

#[test]
fn the_same_client_connects_closes_and_reconnects() {
    run(async {
        let (listener, address) = listener();
        let mut client = Client::new(format!("ws://{address}/"), ClientConfig::new()).unwrap();
        assert!(client.closed().is_none());
        let ends = Cell::new(0);
        let serve = async {
            for _ in 0..4 {
                let mut ws = accept(&listener).await;
                ws.send("welcome").await.unwrap();
                while ws.next().await.is_some() {}
                assert_eq!(ws.closed().unwrap().code, CloseCode::NORMAL);
                ends.set(ends.get() + 1);
            }
        };
        let ask = async {
            for round in 0..3 {
                let ws = client.connect().await.unwrap();
                assert_eq!(ws.next().await.unwrap().unwrap().as_text(), Some("welcome"));
                assert_eq!(client.state(), ClientState::Open);
                client.disconnect().await;
                assert_eq!(client.state(), ClientState::Idle);
                assert!(client.closed().unwrap().clean);
                assert!(client.next_connection().await.is_none(), "it is idle, {round}");
                if round == 2 {
                    // While open: the old connection is closed first.
                    client.connect().await.unwrap();
                    assert_eq!(client.state(), ClientState::Open);
                }
            }
            client.disconnect().await;
        };
        future::zip(serve, ask).await;
        assert_eq!(ends.get(), 4);
        // Without a server it reports that and is idle, and can connect elsewhere.
        drop(listener);
        assert!(matches!(client.connect().await, Err(ConnectError::Unreachable { .. })));
        assert_eq!(client.state(), ClientState::Idle);
    });
}

#[test]
fn an_open_connection_gives_way_to_the_next() {
    run(async {
        let (listener, address) = listener();
        let mut client = Client::new(format!("ws://{address}/"), reconnecting()).unwrap();
        let serve = async {
            for _ in 0..3 {
                let mut ws = accept(&listener).await;
                while ws.next().await.is_some() {}
                assert_eq!(ws.closed().unwrap().code, CloseCode::NORMAL);
            }
        };
        let ask = async {
            assert!(client.next_connection().await.is_some());
            // The application left it open, so it wants another, regardless of the policy for its own Close.
            assert!(client.next_connection().await.is_some());
            assert!(client.connect().await.is_ok());
            // It closes, so it wants no other.
            let ws = client.websocket().unwrap();
            ws.close(CloseCode::NORMAL, "").await.unwrap();
            assert!(client.next_connection().await.is_none());
        };
        future::zip(serve, ask).await;
    });
}

#[test]
fn a_client_with_a_policy_reconnects_once_its_server_is_back_and_reports_each_attempt() {
    run(async {
        let (first, address) = listener();
        let mut client = Client::new(format!("ws://{address}/"), reconnecting()).unwrap();
        let mut events = Vec::new();
        let mut first = Some(first);
        let mut second = None;
        let mut lives = 0;
        while let Some(event) = client.next_event().await {
            match event {
                ClientEvent::Connecting => {
                    events.push("connecting".to_owned());
                }
                ClientEvent::Connected(ws) => {
                    events.push("connected".into());
                    lives += 1;
                    let code = if lives == 1 { CloseCode::SERVICE_RESTART } else { CloseCode::POLICY };
                    assert_eq!(ws.next().await.unwrap().unwrap().as_text(), Some("welcome"));
                    let closed = ws.next().await.unwrap().unwrap_err();
                    assert_eq!((closed.code, closed.clean), (code, true));
                }
                ClientEvent::ConnectFailed(failure) => {
                    assert!(matches!(failure, ConnectError::Unreachable { .. }), "{failure:?}");
                    events.push("failed".into());
                }
                ClientEvent::Reconnecting { attempt, delay } => {
                    assert!(delay <= Duration::from_millis(4));
                    events.push(format!("waiting {attempt}"));
                }
                other => panic!("{other:?}"),
            }
            // The server, in step with the reports.
            match events.len() {
                1 => {
                    let listener = first.take().unwrap();
                    std::thread::spawn(move || serve_once(listener, CloseCode::SERVICE_RESTART));
                }
                9 => {
                    let socket = TcpListener::bind(address).unwrap();
                    second = Some(std::thread::spawn(move || {
                        serve_once(Async::new(socket).unwrap(), CloseCode::POLICY);
                    }));
                }
                _ => {}
            }
        }
        assert_eq!(
            events,
            [
                "connecting",
                "connected",
                "waiting 1",
                "connecting",
                "failed",
                "waiting 2",
                "connecting",
                "failed",
                "waiting 3",
                "connecting",
                "connected"
            ]
        );
        second.unwrap().join().unwrap();
        // A no-retry code: it stays idle.
        assert_eq!((client.state(), client.closed().unwrap().code), (ClientState::Idle, CloseCode::POLICY));
        assert!(client.failure().is_none(), "the last attempt succeeded");
    });
}

/// Accepts one connection and closes it; the peer notices after the listener is closed.
fn serve_once(listener: Async<TcpListener>, code: CloseCode) {
    async_io::block_on(async {
        let mut ws = accept(&listener).await;
        drop(listener);
        ws.send("welcome").await.unwrap();
        ws.close(code, "").await.unwrap();
    });
}

#[test]
fn the_request_can_change_before_each_attempt_and_attempts_are_limited() {
    run(async {
        let (listener, address) = listener();
        let config = ClientConfig::default().reconnect(short_backoff().attempts(2));
        let mut client = Client::new(format!("ws://{address}/never"), config).unwrap();
        let serve = async {
            let mut paths = Vec::new();
            for _ in 0..3 {
                paths.push(reject_next(&listener, 503).await);
            }
            paths
        };
        let ask = async {
            let mut attempt = 0;
            while let Some(event) = client.next_event().await {
                if let ClientEvent::Connecting = event {
                    attempt += 1;
                    client.set_request(format!("ws://{address}/{attempt}")).unwrap();
                }
            }
            assert_eq!(client.failure().unwrap().response().unwrap().status(), 503);
            assert_eq!(client.state(), ClientState::Idle);
        };
        assert_eq!(future::zip(serve, ask).await.0, ["/1", "/2", "/3"]);
    });
}

#[test]
fn a_permanent_rejection_ends_reconnecting() {
    run(async {
        let (listener, address) = listener();
        let mut client = Client::new(format!("ws://{address}/"), reconnecting()).unwrap();
        let (_, none) =
            future::zip(reject_next(&listener, 403), async { client.next_connection().await.is_none() })
                .await;
        assert!(none);
        let failure = client.failure().unwrap();
        assert!(matches!(failure, ConnectError::Handshake(ResponseError::Rejected(_))), "{failure:?}");
    });
}

#[test]
fn a_call_dropped_at_any_await_is_resumed_by_the_next() {
    run(async {
        let (listener, address) = listener();
        let mut client = Client::new(format!("ws://{address}/"), reconnecting()).unwrap();
        let accepted = Cell::new(0);
        let serve = async {
            for _ in 0..6 {
                let mut ws = accept(&listener).await;
                accepted.set(accepted.get() + 1);
                ws.close(CloseCode::SERVICE_RESTART, "").await.unwrap();
            }
        };
        let ask = async {
            for polls in 1..=3 {
                for at_once in [false, true] {
                    loop {
                        let found = match at_once {
                            true => at_most(polls, client.connect()).await.map(|ws| ws.is_ok()),
                            false => at_most(polls, client.next_connection()).await.map(|ws| ws.is_some()),
                        };
                        if let Some(found) = found {
                            assert!(found);
                            break;
                        }
                        future::yield_now().await;
                        if at_once && client.state() == ClientState::Open {
                            break;
                        }
                    }
                    while at_most(polls, client.websocket().unwrap().next()).await.is_none() {
                        future::yield_now().await;
                    }
                }
            }
        };
        future::zip(serve, ask).await;
        assert_eq!(accepted.get(), 6, "no attempt was begun twice");
    });
}

#[test]
fn a_client_closes_while_it_waits_or_connects() {
    run(async {
        let patient = Reconnect::default().wait(Duration::from_secs(3600), Duration::from_secs(3600));
        let config = ClientConfig::default().reconnect(patient);
        let (_v4, _v6, port) = reserved();
        let mut client = Client::new(format!("ws://127.0.0.1:{port}/"), config).unwrap();
        while !matches!(client.next_event().await, Some(ClientEvent::Reconnecting { .. })) {}
        assert!(at_most(1, client.next_event()).await.is_none());
        assert_eq!(client.state(), ClientState::Waiting);
        // Not before the hour is over, but at once on request.
        assert!(client.connect().await.is_err());
        assert_eq!(client.state(), ClientState::Waiting);
        client.disconnect().await;
        assert_eq!(client.state(), ClientState::Idle);

        let (silent, address) = listener();
        client.set_request(format!("ws://{address}/")).unwrap();
        assert!(at_most(2, client.connect()).await.is_none());
        assert_eq!(client.state(), ClientState::Connecting);
        client.disconnect().await;
        let (mut stream, _) = silent.accept().await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
        assert!(client.next_event().await.is_none());
    });
}

#[test]
fn headers_and_subprotocols_are_exchanged() {
    run(async {
        let (listener, address) = listener();
        let request = ClientRequest::new(&format!("ws://{address}/a?b=c")).unwrap();
        let request = request.header("X-Token", "secret").unwrap().subprotocol("one").unwrap();
        let request = request.subprotocol("two").unwrap();
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut http = HttpConnection::new(Socket::from(stream), Arc::new(Config::server()));
            let Some(Incoming::Upgrade(mut upgrade)) = http.next().await else { panic!("no upgrade") };
            assert_eq!(upgrade.headers()["x-token"], "secret");
            upgrade.select_subprotocol("two").unwrap();
            http.accept(upgrade).await.unwrap()
        };
        let (server, client) = future::zip(serve, connect(request, ClientConfig::new())).await;
        assert_eq!(client.unwrap().subprotocol(), Some("two"));
        assert_eq!(server.subprotocol(), Some("two"));
    });
}

#[test]
fn an_eof_in_the_handshake_is_a_failed_attempt() {
    run(async {
        let (listener, address) = listener();
        let url = format!("ws://{address}/");
        let ends = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read(&mut [0; 16]).await.unwrap();
            stream.write_all(b"HTTP/1.1 101 Swi").await.unwrap();
        };
        let (_, failure) = future::zip(ends, connect(url, ClientConfig::new())).await;
        let failure = failure.unwrap_err();
        assert!(
            matches!(failure, ConnectError::Handshake(ResponseError::Eof) | ConnectError::Lost(_)),
            "{failure:?}"
        );
    });
}

#[cfg(unix)]
#[test]
fn a_unix_socket_replaces_host_and_port() {
    use std::os::unix::net::UnixListener;
    run(async {
        let directory = std::env::temp_dir().join(format!("ws-smol-clients-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("socket");
        let listener = Async::<UnixListener>::bind(&path).unwrap();
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut http = HttpConnection::new(Socket::from(stream), Arc::new(Config::server()));
            let Some(Incoming::Upgrade(upgrade)) = http.next().await else { panic!("no upgrade") };
            let mut ws = http.accept(upgrade).await.unwrap();
            ws.send("over a file").await.unwrap();
            while ws.next().await.is_some() {}
        };
        let ask = async {
            let config = ClientConfig::default().unix(&path);
            let mut ws = connect("ws://localhost/chat", config).await.unwrap();
            assert_eq!(ws.get_ref().unwrap().peer_addr(), None);
            assert_eq!(ws.next().await.unwrap().unwrap().as_text(), Some("over a file"));
            assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
        };
        future::zip(serve, ask).await;
        let nowhere = ClientConfig::default().unix(directory.join("nothing"));
        let failure = connect("ws://localhost/", nowhere).await.unwrap_err();
        assert!(matches!(failure, ConnectError::Unix { .. }), "{failure:?}");
        std::fs::remove_dir_all(&directory).unwrap();
    });
}

#[test]
fn a_client_may_borrow_on_one_thread_or_move_to_another() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let mut client = is_send(Client::new("ws://127.0.0.1:1/", ClientConfig::new()).unwrap());
    drop(is_send(client.next_connection()));
    drop(is_send(connect("ws://127.0.0.1:1/", ClientConfig::new())));

    let received = std::rc::Rc::new(Cell::new(0));
    let executor = LocalExecutor::new();
    run(executor.run(async {
        let (listener, address) = listener();
        let count = received.clone();
        let serve = executor.spawn(async move {
            let mut ws = accept(&listener).await;
            while ws.next().await.is_some() {
                count.set(count.get() + 1);
            }
        });
        let mut ws = connect(format!("ws://{address}/"), ClientConfig::new()).await.unwrap();
        ws.send("one").await.unwrap();
        ws.close(CloseCode::NORMAL, "").await.unwrap();
        serve.await;
    }));
    assert_eq!(received.get(), 1);
}
