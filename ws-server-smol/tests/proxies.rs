//! Clients of scripted proxies, friendly and hostile.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use async_io::{Async, Timer};
use common::{listener, run};
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt, future};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use ws_kit::proxy::{ENDLESS, FakeProxy, WAYS};
use ws_server_smol::sys::Resolver;
use ws_server_smol::{
    Client, ClientConfig, ClientEvent, ClientRequest, ClientState, ConnectError, ConnectStep, Proxy,
    ProxyError, Reconnect, WebSocket, connect_with_names,
};

fn through(way: (&str, &str), address: SocketAddr) -> ClientConfig {
    ClientConfig::new().proxy(Proxy::new(&format!("{}{}{address}", way.0, way.1)).unwrap())
}

/// Connects to a name that must not be looked up here.
async fn connect(config: ClientConfig) -> Result<WebSocket, ConnectError> {
    let names = Resolver::new(|name| panic!("a lookup of {name}"));
    connect_with_names(ClientRequest::new("ws://app.example/").unwrap(), config, names).await
}

/// Runs a proxy: `answer` gets what the client sent, and each answer is written in parts of this size, after
/// which the proxy may end.
async fn serve(
    mut stream: Async<TcpStream>,
    size: usize,
    mut answer: impl FnMut(&[u8]) -> (Vec<u8>, bool),
) -> io::Result<()> {
    stream.get_ref().set_nodelay(true)?;
    loop {
        // One byte at a time, so that whatever comes too early is noticed where it is.
        let mut bytes = [0; 1];
        let n = stream.read(&mut bytes).await?;
        if n == 0 {
            return Ok(());
        }
        let (answer, ends) = answer(&bytes);
        for part in answer.chunks(size) {
            stream.write_all(part).await?;
            // The client reads this part alone, at least often.
            future::yield_now().await;
        }
        if ends {
            return Ok(());
        }
    }
}

#[test]
fn a_tunnel_opens_however_its_bytes_are_cut() {
    for way in WAYS {
        for size in (1..60).chain([4096]) {
            run(async {
                let (listener, address) = listener();
                let mut proxy = FakeProxy::new(way);
                let serving = async {
                    let (stream, _) = listener.accept().await.unwrap();
                    serve(stream, size, |bytes| {
                        let answer = proxy.receive(bytes);
                        // The end of the message "hello".
                        (answer, proxy.passed == 11)
                    })
                    .await
                    .unwrap();
                };
                let connecting = async {
                    let mut ws = connect(through(way, address)).await.unwrap();
                    ws.send("hello").await.unwrap();
                    ws.next().await
                };
                future::zip(connecting, serving).await;
                assert_eq!(proxy.passed, 11, "{way:?} {size}");
            });
        }
    }
}

/// The failure of a client whose proxy answers so, and its state afterwards.
fn failure(
    way: (&str, &str),
    mut answer: impl FnMut(&[u8]) -> (Vec<u8>, bool),
) -> (ConnectError, ClientState) {
    run(async {
        let (listener, address) = listener();
        let serving = async {
            let (stream, _) = listener.accept().await.unwrap();
            // The client ends while it is written to.
            let _ = serve(stream, 4096, &mut answer).await;
            future::pending().await
        };
        let config = through(way, address).reconnect(Reconnect::default());
        let mut client = Client::new("ws://app.example/", config).unwrap();
        let connecting = async { client.connect().await.err().unwrap() };
        let failure = connecting.or(serving).await;
        (failure, client.state())
    })
}

#[test]
fn endless_answers_of_a_proxy_end_at_a_limit() {
    for (scheme, beginning, part) in ENDLESS {
        let mut begun = false;
        let endless = |_: &[u8]| {
            let head = if begun { "" } else { beginning };
            begun = true;
            ([head, &part.repeat(100_000 / part.len())].concat().into_bytes(), false)
        };
        match failure((scheme, ""), endless).0 {
            ConnectError::Proxy { error, .. }
                if matches!(*error, ProxyError::HeadTooLarge | ProxyError::Malformed(_)) => {}
            other => panic!("{scheme} {beginning}: {other:?}"),
        }
    }
}

#[test]
fn a_proxy_that_drips_or_is_silent_ends_at_the_deadline() {
    for way in WAYS {
        for drips in [true, false] {
            run(async {
                let (listener, address) = listener();
                let serving = async {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let first: &[u8] = if way.0 == "http://" { b"HTTP/1.1 100 " } else { b"\x05" };
                    let mut sent = stream.write_all(first).await;
                    while drips && way.0 == "http://" && sent.is_ok() {
                        Timer::after(Duration::from_millis(1)).await;
                        sent = stream.write_all(b"x").await;
                    }
                    future::pending::<()>().await;
                };
                let config = through(way, address).handshake_timeout(Duration::from_millis(30));
                let connecting = async {
                    match connect(config).await.err() {
                        Some(ConnectError::TimedOut { tried, step: ConnectStep::Proxy }) => {
                            assert_eq!(tried, [address]);
                        }
                        other => panic!("{way:?}: {other:?}"),
                    }
                };
                connecting.or(serving).await;
            });
        }
    }
}

#[test]
fn a_proxy_that_closes_anywhere_is_an_error_of_the_proxy_and_is_retried() {
    for way in WAYS {
        for kept in 0..12 {
            let (mut proxy, mut left) = (FakeProxy::new(way), kept);
            // The shortest dialogue has 12 bytes of answers.
            let closes = |bytes: &[u8]| {
                let mut answer = proxy.receive(bytes);
                let is_last = answer.len() > left || left == 0 && !answer.is_empty();
                answer.truncate(left);
                left -= answer.len();
                (answer, is_last)
            };
            let (failure, state) = failure(way, closes);
            let is_end = matches!(
                &failure,
                ConnectError::Proxy { proxy, error } if matches!(**error, ProxyError::Eof | ProxyError::Io(_))
                    && proxy.starts_with(&format!("{}127.0.0.1:", way.0)) // named without credentials
            );
            assert!(is_end, "{way:?} {kept}: {failure:?}");
            assert_eq!(state, ClientState::Waiting, "{way:?} {kept}");
        }
    }
}

#[test]
fn rejected_credentials_are_final() {
    let challenge = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n";
    for (way, answer) in [
        (WAYS[0], &challenge[..]),
        (WAYS[1], challenge),
        (WAYS[2], b"\x05\xff"),
        (WAYS[3], b"\x05\x02\x01\x01"),
    ] {
        let mut answer = Some(answer.to_vec());
        let (failure, state) = failure(way, |_| (answer.take().unwrap_or_default(), false));
        let is_rejected = matches!(
            &failure,
            ConnectError::Proxy { error, .. } if matches!(
                **error,
                ProxyError::AuthenticationRequired { .. } | ProxyError::CredentialsRejected { .. }
            )
        );
        assert!(is_rejected, "{way:?}: {failure:?}");
        assert_eq!(state, ClientState::Idle, "{way:?}");
    }
}

#[test]
fn a_proxy_that_nothing_listens_at_is_named() {
    let (listener, address) = listener();
    drop(listener);
    let failure = run(connect(through(WAYS[1], address))).err().unwrap();
    assert!(matches!(&failure, ConnectError::ProxyUnreachable { .. }), "{failure:?}");
    let text = failure.to_string();
    assert!(text.contains(&address.to_string()) && !text.contains("secret"), "{text}");
}

#[test]
fn the_proxys_name_is_looked_up_and_the_servers_is_not() {
    run(async {
        let (listener, address) = listener();
        let names = Resolver::new(|name| {
            assert_eq!(name, "proxy.example");
            Ok(vec![([127, 0, 0, 1], 0).into()])
        });
        let proxy = Proxy::new(&format!("http://proxy.example:{}", address.port())).unwrap();
        let request = ClientRequest::new("ws://app.example/").unwrap();
        let mut fake = FakeProxy::new(WAYS[0]);
        let serving = async {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = serve(stream, 4096, |bytes| (fake.receive(bytes), false)).await;
            future::pending().await
        };
        let connecting = connect_with_names(request, ClientConfig::new().proxy(proxy), Arc::clone(&names));
        assert!(connecting.or(serving).await.is_ok());
    });
}

#[test]
fn a_captive_portal_and_a_busy_proxy_are_retried_after_the_delay_that_they_request() {
    for (answer, least) in [
        ("HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n", 0),
        ("HTTP/1.1 404 Not Found\r\n\r\n", 0),
        ("HTTP/1.1 503 Busy\r\nRetry-After: 1800\r\n\r\n", 1800),
    ] {
        run(async {
            let (listener, address) = listener();
            let serving = async {
                let (stream, _) = listener.accept().await.unwrap();
                let mut answer = Some(answer.as_bytes().to_vec());
                let _ = serve(stream, 4096, |_| (answer.take().unwrap_or_default(), false)).await;
                future::pending().await
            };
            let config = through(WAYS[0], address).reconnect(Reconnect::default());
            let mut client = Client::new("ws://app.example/", config).unwrap();
            let waiting = async {
                loop {
                    match client.next_event().await {
                        Some(ClientEvent::Reconnecting { delay, .. }) => return delay,
                        Some(_) => {}
                        None => panic!("it has given up: {:?}", client.failure()),
                    }
                }
            };
            let delay = waiting.or(serving).await;
            let least = Duration::from_secs(least);
            assert!(least <= delay && delay <= least + Duration::from_secs(1), "{delay:?}");
        });
    }
}
