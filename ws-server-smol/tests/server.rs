//! A server: its connections, broadcasts, and how it stops.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use async_executor::LocalExecutor;
use common::{ask, once, run, text};
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt, future};
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use ws_server_smol::{
    AlreadyExtended, Bind, ClientConfig, CloseCode, Closed, ConnectionId, Extension, Folder, Frame,
    HttpConnection, Incoming, ListenError, Message, Server, ServerConfig, SlowPeer, Socket, Token, WebSocket,
    connect,
};
use ws_server_smol::{Event, State, handshake::upgrade_required};

const LONG: Duration = Duration::from_secs(60);
const NONE: Duration = Duration::ZERO;

fn localhost() -> Bind {
    Bind::localhost()
}

/// Opens requested WebSockets; other requests get 426.
async fn opened(mut http: HttpConnection<Socket>) -> Option<WebSocket<Socket>> {
    loop {
        match http.next().await? {
            Incoming::Upgrade(upgrade) => return http.accept(upgrade).await.ok(),
            Incoming::Request(request) => http.respond(request, upgrade_required()).await.unwrap(),
        }
    }
}

/// Echoes until the close.
async fn echo(http: HttpConnection<Socket>) {
    let Some(mut ws) = opened(http).await else { return };
    while let Some(Ok(message)) = ws.next().await {
        ws.try_send(message).unwrap();
    }
}

/// Runs a script beside a server that echoes, and then stops it.
fn with_echo(config: ServerConfig, script: impl AsyncFn(&Server)) {
    let server = Server::bind(localhost(), config).unwrap();
    run(async {
        let scripted = async {
            script(&server).await;
            server.stop(NONE).await;
        };
        future::zip(server.serve(echo), scripted).await;
    });
}

async fn client(server: &Server) -> WebSocket<Socket> {
    connect(server.url("/").unwrap(), ClientConfig::new()).await.unwrap()
}

/// Requests a page, and waits for the end of the answer's head.
async fn get(stream: &mut Socket, path: &str, headers: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap()
}

async fn tcp(address: SocketAddr) -> Socket {
    async_io::Async::<TcpStream>::connect(address).await.unwrap().into()
}

/// Lets other tasks run until the condition holds.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        future::yield_now().await;
    }
}

#[test]
fn serve_runs_every_connection_in_one_future_and_ends_with_the_last() {
    let server = Server::bind(localhost(), ServerConfig::new()).unwrap();
    let served = Cell::new(0);
    run(async {
        let serving = server.serve(async |http| {
            echo(http).await;
            served.set(served.get() + 1);
        });
        let requesting = async {
            let mut clients = Vec::new();
            for _ in 0..40 {
                clients.push(client(&server).await);
            }
            for (n, ws) in clients.iter_mut().enumerate() {
                assert_eq!(ask(ws, &n.to_string()).await, n.to_string());
            }
            assert_eq!((server.count(), server.http_count()), (40, 0));
            let stopping = server.stop(LONG);
            let leaving = async {
                for mut ws in clients {
                    assert!(ws.next().await.is_none());
                    assert_eq!(ws.closed().unwrap().code, CloseCode::GOING_AWAY);
                }
            };
            future::zip(stopping, leaving).await;
        };
        future::zip(serving, requesting).await;
    });
    assert_eq!((served.get(), server.count()), (40, 0));
    let stats = server.stats();
    assert_eq!((stats.accepted, stats.open), (40, 0));
    assert!(stats.bytes_in > 0 && stats.bytes_out > 0);
}

#[test]
fn a_task_per_connection_works_on_a_local_executor() {
    let server = Server::bind(localhost(), ServerConfig::new()).unwrap();
    let executor = Rc::new(LocalExecutor::new());
    run(executor.run(async {
        let accepting = executor.spawn({
            let (server, executor) = (server.clone(), executor.clone());
            async move {
                while let Some(http) = server.accept().await {
                    executor.spawn(echo(http)).detach();
                }
            }
        });
        let mut ws = client(&server).await;
        assert_eq!(ask(&mut ws, "hello").await, "hello");
        server.stop(NONE).await;
        accepting.await;
    }));
}

#[test]
fn a_failed_start_can_be_retried_and_a_stop_frees_the_port_during_accept() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = taken.local_addr().unwrap();
    let server = Server::new(ServerConfig::new());
    assert!((server.url("/"), server.local_addr(), server.is_running()) == (None, None, false));
    for _ in 0..2 {
        let error = server.listen(at).unwrap_err();
        assert!(matches!(&error, ListenError::InUse { tried } if tried[..] == [at]), "{error:?}");
    }
    drop(taken);
    server.listen(at).unwrap();
    assert_eq!(server.local_addr(), Some(at));
    assert_eq!(server.url("a b").unwrap(), format!("ws://{at}/a%20b"));
    assert_eq!(server.http_url("/").unwrap(), format!("http://{at}/"));
    assert_eq!(server.lan_url("/"), None);
    run(async {
        // The accepting task is not polled again before the port is reused.
        let mut accepting = pin!(server.accept());
        assert!(once(accepting.as_mut()).await.is_pending());
        server.stop(LONG).await;
        server.stop(LONG).await;
        assert_eq!(server.url("/"), None);
        drop(TcpListener::bind(at).unwrap());
        assert!(accepting.await.is_none());
        assert!(server.accept().await.is_none());

        server.listen(at).unwrap();
        let served = future::zip(server.accept(), tcp(at)).await.0;
        assert!(served.is_some());
    });
}

#[test]
fn localhost_is_served_in_both_families_and_existing_listeners_are_accepted() {
    let server = Server::bind(localhost(), ServerConfig::new()).unwrap();
    run(async {
        for url in server.urls("/") {
            let (ws, http) = future::zip(connect(url, ClientConfig::new()), async {
                opened(server.accept().await.unwrap()).await.unwrap()
            })
            .await;
            assert!(ws.unwrap().state() == State::Open && http.state() == State::Open);
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::new(ServerConfig::new());
        server.listen_on(listener).unwrap();
        assert_eq!(server.local_addr(), Some(address));
        let (mut peer, http) = future::zip(tcp(address), server.accept()).await;
        let mut http = http.unwrap();
        let answering = async {
            match http.next().await {
                Some(Incoming::Request(request)) => http.respond(request, upgrade_required()).await.unwrap(),
                other => panic!("{other:?}"),
            }
        };
        let answer = future::zip(get(&mut peer, "/", ""), answering).await.0;
        assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    });
}

#[cfg(unix)]
#[test]
fn a_unix_socket_has_no_address_and_its_file_is_removed_with_the_server() {
    let path = std::env::temp_dir().join(format!("ws-server-smol-{}.sock", std::process::id()));
    let server = Server::bind(Bind::unix(&path), ServerConfig::new()).unwrap();
    assert!(server.is_running() && server.local_addr().is_none() && server.url("/").is_none());
    run(async {
        let config = ClientConfig::new().unix(&path);
        let (ws, ours) = future::zip(connect("ws://localhost/", config), async {
            opened(server.accept().await.unwrap()).await.unwrap()
        })
        .await;
        assert_eq!(server.peer_addr(ours.id()), None);
        drop((ws, ours));
        server.stop(NONE).await;
    });
    assert!(!path.exists());
}

#[test]
fn over_a_limit_is_rejected_and_silent_connections_delay_others_only_briefly() {
    let config = ServerConfig::default().max_connections(2);
    let server = Server::bind(localhost(), config).unwrap();
    run(async {
        let at = server.local_addr().unwrap();
        let (_a, _b) = (tcp(at).await, tcp(at).await);
        let first = server.accept().await.unwrap();
        let _second = server.accept().await.unwrap();
        let mut third = tcp(at).await;
        {
            let mut accepting = pin!(server.accept());
            let rejected = async {
                assert_eq!(third.read(&mut [0]).await.unwrap_or(0), 0);
            };
            assert!(future::poll_once(accepting.as_mut()).await.is_none());
            rejected.or(async { drop(accepting.await) }).await;
        }
        assert_eq!((server.rejected(), server.stats().rejected), (1, 1));
        assert_eq!(server.http_count(), 2);
        drop(first);
        assert_eq!(server.http_count(), 1);
        let _fourth = tcp(at).await;
        assert!(server.accept().await.is_some(), "there is room again");
    });

    let server = Server::bind(localhost(), ServerConfig::default().max_handshakes(1)).unwrap();
    run(async {
        let at = server.local_addr().unwrap();
        let (mut first, _second) = (tcp(at).await, tcp(at).await);
        let mut requesting = server.accept().await.unwrap();
        let mut accepting = pin!(server.accept());
        assert!(once(accepting.as_mut()).await.is_pending(), "one has sent no request yet");
        first.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        assert!(requesting.next().await.is_some());
        assert!(accepting.await.is_some());
    });
}

#[test]
fn queries_by_a_stale_id_are_answered_safely() {
    with_echo(ServerConfig::new(), async |server| {
        let mut ws = client(server).await;
        assert_eq!(ask(&mut ws, "1").await, "1");
        let id = server.ids()[0];
        assert_eq!(server.state(id), State::Open);
        assert_eq!(server.peer_addr(id), ws.get_ref().unwrap().local_addr());
        assert_eq!(server.local_addr_of(id), ws.get_ref().unwrap().peer_addr());
        server.send(id, "from outside").unwrap();
        server.sender(id).unwrap().try_send("and again").unwrap();
        assert_eq!((text(&mut ws).await, text(&mut ws).await), ("from outside".into(), "and again".into()));
        server.close(id, CloseCode::from(4001), "enough").unwrap();
        let closed = ws.next().await.unwrap().unwrap_err();
        assert_eq!((closed.code, closed.reason.as_str()), (CloseCode::from(4001), "enough"));
        until(|| server.count() == 0).await;

        let mut other = client(server).await;
        assert_eq!(ask(&mut other, "2").await, "2");
        assert_eq!(server.state(id), State::Closed);
        assert!(server.send(id, "late").is_err() && server.close(id, CloseCode::NORMAL, "").is_err());
        assert!(server.sender(id).is_none() && server.peer_addr(id).is_none());
        server.terminate(id);
        assert_eq!(ask(&mut other, "3").await, "3", "it is not another's");
        server.terminate(server.ids()[0]);
        assert_eq!(other.next().await.unwrap().unwrap_err().code, CloseCode::ABNORMAL);
    });
}

#[test]
fn a_broadcast_reaches_what_its_filter_accepts_and_a_topic_its_subscribers() {
    with_echo(ServerConfig::new(), async |server| {
        let mut clients = Vec::new();
        for n in 0..3 {
            clients.push(client(server).await);
            assert_eq!(ask(&mut clients[n], "here").await, "here");
        }
        let ids = server.ids();
        assert_eq!(ids.len(), 3);
        // The filter may query the server.
        let sent = server.broadcast_where(&Frame::text("all but one"), |id| {
            server.state(id) == State::Open && id != ids[1]
        });
        assert_eq!(sent, 2);
        assert!(
            server.topics().subscribe(ids[1], "news").unwrap()
                && !server.topics().subscribe(ids[1], "news").unwrap()
        );
        assert_eq!(
            (server.topics().subscribers("news"), server.topics().of(ids[1])),
            (vec![ids[1]], vec!["news".into()])
        );
        assert_eq!(server.topics().publish("news", &Frame::text("news")), 1);
        assert_eq!(server.topics().send_to(&Frame::text("to one"), [ids[2]]), 1);
        assert_eq!(text(&mut clients[0]).await, "all but one");
        assert_eq!(text(&mut clients[1]).await, "news");
        assert_eq!(
            (text(&mut clients[2]).await, text(&mut clients[2]).await),
            ("all but one".into(), "to one".into())
        );
        clients.remove(1).close(CloseCode::NORMAL, "").await.unwrap();
        until(|| server.count() == 2).await;
        assert!(
            server.topics().subscribers("news").is_empty()
                && server.topics().subscribe(ids[1], "news").is_err()
        );
        assert_eq!(server.topics().publish("news", &Frame::text("no subscriber")), 0);
    });
}

#[test]
fn a_slow_peer_gets_the_newest_of_each_key_or_is_closed_if_it_may_miss_nothing() {
    let config = ServerConfig::new().outbox(1 << 10, 4 << 10, 64 << 10);
    with_echo(config, async |server| {
        let mut ws = client(server).await;
        assert_eq!(ask(&mut ws, "here").await, "here");
        let id = server.ids()[0];
        server.send(id, "x".repeat(5_000)).unwrap();
        let publish = |text: &str, slow| server.topics().broadcast_with(&Frame::text(text), slow, |_| true);
        assert_eq!(publish("skipped", SlowPeer::Skip), 0);
        for text in ["a 1", "a 2", "a 3"] {
            assert_eq!(publish(text, SlowPeer::Latest("a")), 1);
        }
        assert_eq!(text(&mut ws).await.len(), 5_000);
        assert_eq!(text(&mut ws).await, "a 3");

        let sent = std::iter::from_fn(|| (publish(&"x".repeat(1_000), SlowPeer::Close) == 1).then_some(()));
        assert!((60..=65).contains(&sent.count()));
        while let Some(Ok(message)) = ws.next().await {
            assert_eq!(message.as_bytes().len(), 1_000);
        }
        assert_eq!(ws.closed().unwrap().code, CloseCode::TRY_AGAIN_LATER);
    });
}

#[test]
fn a_slow_peer_may_be_behind_on_as_many_keys_as_allowed_and_not_on_one_more() {
    for (set, limit) in [(None, 4096), (Some(3), 3)] {
        let config = ServerConfig::new().outbox(1 << 10, 4 << 10, 64 << 10);
        with_echo(config, async |server| {
            if let Some(set) = set {
                server.topics().set_key_limit(set);
            }
            let mut ws = client(server).await;
            assert_eq!(ask(&mut ws, "here").await, "here");
            let id = server.ids()[0];
            server.send(id, "x".repeat(5_000)).unwrap();
            let frame = Frame::text("x");
            for key in (0..limit).chain(0..limit) {
                let slow = SlowPeer::Latest(&key.to_string());
                assert_eq!(server.topics().send_to_with(&frame, slow, [id]), 1, "{key}");
            }
            assert_eq!(server.state(id), State::Open);
            assert_eq!(server.topics().send_to_with(&frame, SlowPeer::Latest("more"), [id]), 0);
            while let Some(Ok(_)) = ws.next().await {}
            assert_eq!(ws.closed().unwrap().code, CloseCode::TRY_AGAIN_LATER);
        });
    }
}

/// Records what it receives, and keeps messages that begin with "!".
#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Vec<String>>>);

impl Witness {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Extension for Witness {
    fn filter(&mut self, server: &Server, id: ConnectionId, event: Event<'static>) -> Option<Event<'static>> {
        match event {
            Event::Message(message) if message.as_bytes().starts_with(b"!") => {
                self.note("kept");
                server.send(id, "kept").unwrap();
                None
            }
            event => Some(event),
        }
    }

    fn opened(&mut self, _: &Server, _: ConnectionId) {
        self.note("opened");
    }

    fn closed(&mut self, server: &Server, id: ConnectionId, closed: &Closed) {
        assert_eq!(server.state(id), State::Closed);
        self.note(format!("closed {}", u16::from(closed.code)));
    }

    fn stopping(&mut self, server: &Server) {
        self.note(format!("stopping {}", server.count()));
    }
}

#[test]
fn an_extension_sees_messages_and_the_stop_first_and_each_close_once() {
    let server = Server::bind(localhost(), ServerConfig::new()).unwrap();
    let witness = Witness::default();
    server.set_extension(witness.clone()).unwrap();
    assert_eq!(server.set_extension(Witness::default()), Err(AlreadyExtended));
    let application = witness.clone();
    server.before_stop(move |server| {
        application.note(format!("before stop {}", server.broadcast(&Frame::text("last words"))));
    });
    let received = RefCell::new(Vec::new());
    run(async {
        let serving = server.serve(async |http| {
            let mut ws = opened(http).await.unwrap();
            while let Some(message) = ws.next().await {
                match message {
                    Ok(Message::Text(text)) if text == "drop me" => return,
                    Ok(message) => received.borrow_mut().push(message),
                    Err(closed) => witness.note(format!("application: {}", u16::from(closed.code))),
                }
            }
        });
        let requesting = async {
            let mut ws = client(&server).await;
            assert_eq!(ask(&mut ws, "!secret").await, "kept");
            ws.send("for you").await.unwrap();
            assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
            until(|| server.count() == 0).await;
            assert_eq!(witness.take(), ["opened", "kept", "closed 1000"]);

            let mut ws = client(&server).await;
            ws.send("drop me").await.unwrap();
            while ws.next().await.is_some() {}
            until(|| server.count() == 0).await;
            assert_eq!(witness.take(), ["opened", "closed 1006"], "dropped by the application");

            let mut ws = client(&server).await;
            until(|| server.count() == 1).await;
            assert_eq!(witness.take(), ["opened"]);
            let stopping = server.stop(LONG);
            let leaving = async {
                assert_eq!(text(&mut ws).await, "last words");
                assert!(ws.next().await.is_none());
                assert_eq!(ws.closed().unwrap().code, CloseCode::GOING_AWAY);
            };
            future::zip(stopping, leaving).await;
            assert_eq!(witness.take(), ["stopping 1", "before stop 1", "closed 1001"]);
        };
        future::zip(serving, requesting).await;
    });
    assert_eq!(received.take(), [Message::Text("for you".into())]);
}

#[test]
fn the_deadline_of_a_stop_cuts_unpolled_connections() {
    let server = Server::bind(localhost(), ServerConfig::new()).unwrap();
    run(async {
        let (ws, ours) =
            future::zip(client(&server), async { opened(server.accept().await.unwrap()).await.unwrap() })
                .await;
        let (mut ws, mut ours) = (ws, ours);
        let _idle = tcp(server.local_addr().unwrap()).await;
        let _http = server.accept().await.unwrap();
        assert_eq!((server.count(), server.http_count()), (1, 1));
        {
            let mut stopping = pin!(server.stop(LONG));
            assert!(once(stopping.as_mut()).await.is_pending());
            let busy = server.listen(localhost()).unwrap_err();
            assert!(
                matches!(&busy, ListenError::Io { error, .. } if error.kind() == ErrorKind::ResourceBusy)
            );
            // The earlier deadline applies, whichever call waits; a dropped future does not count.
            server.stop(NONE).await;
            assert_eq!(once(stopping).await, Poll::Ready(()));
        }
        assert_eq!((server.count(), server.http_count(), server.stats().open), (0, 0, 0));
        assert!(ws.next().await.is_none(), "its socket is closed, after a Close");
        assert_eq!(ws.closed().unwrap().code, CloseCode::GOING_AWAY);
        assert_eq!(ours.next().await.unwrap().unwrap_err().code, CloseCode::ABNORMAL);
        server.listen(localhost()).unwrap();
        drop(ours);
        assert_eq!(server.count(), 0, "leftovers of the earlier stop no longer count");
        let (_ws, ours) =
            future::zip(client(&server), async { opened(server.accept().await.unwrap()).await.unwrap() })
                .await;
        assert_eq!(server.ids(), [ours.id()]);
    });
}

#[test]
fn a_token_is_required_and_foreign_pages_are_still_rejected() {
    let config = ServerConfig::default().require_token(Token::from_random([7; 16]));
    with_echo(config, async |server| {
        let shown = "?token=BwcHBwcHBwcHBwcHBwcHBw";
        let at = server.local_addr().unwrap();
        let mut peer = tcp(at).await;
        assert!(get(&mut peer, "/", "").await.starts_with("HTTP/1.1 401 "));
        let mut peer = tcp(at).await;
        let answer = get(&mut peer, &format!("/{shown}"), "").await;
        assert!(
            answer.starts_with("HTTP/1.1 426 ") && answer.contains(&format!("ws_token_{}=", at.port())),
            "{answer}"
        );
        assert!(answer.contains("Referrer-Policy: same-origin"), "{answer}");

        let refused = connect(server.url("/").unwrap(), ClientConfig::new()).await.unwrap_err();
        assert_eq!(refused.response().unwrap().status(), 401);
        let mut ws = connect(server.url(shown).unwrap(), ClientConfig::new()).await.unwrap();
        assert_eq!(ask(&mut ws, "hello").await, "hello");
        assert!(ws.response().headers()["set-cookie"].to_str().unwrap().starts_with("ws_token_"));

        let mut peer = tcp(at).await;
        peer.write_all(b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        peer.read_exact(&mut head).await.unwrap();
        assert!(head.starts_with(b"HTTP/1.1 4"), "the rule for Host applies here too");
    });
}

#[test]
fn files_are_sent_whole_as_ranges_and_to_slow_peers() {
    let root = std::env::temp_dir().join(format!("ws-server-smol-files-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(root.join("big.bin"), &content).unwrap();
    std::fs::write(root.join("index.html"), "<h1>hello</h1>").unwrap();
    let folder = Folder::new(&root).unwrap();

    let server = Server::bind(localhost(), ServerConfig::new()).unwrap();
    run(async {
        let serving = server.serve(async |mut http| {
            while let Some(Incoming::Request(request)) = http.next().await {
                http.respond_file(request, &folder).await.unwrap();
            }
        });
        let requesting = async {
            let mut peer = tcp(server.local_addr().unwrap()).await;
            for (path, headers, status, body) in [
                ("/", "", "200", &b"<h1>hello</h1>"[..]),
                ("/big.bin", "", "200", &content),
                ("/big.bin", "Range: bytes=5-104\r\n", "206", &content[5..105]),
            ] {
                let head = get(&mut peer, path, headers).await;
                assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
                assert!(
                    head.to_ascii_lowercase().contains(&format!("content-length: {}\r\n", body.len())),
                    "{head}"
                );
                let mut sent = vec![0; body.len()];
                peer.read_exact(&mut sent).await.unwrap();
                assert!(sent == body);
            }
            for (path, status) in [("/nowhere", "404"), ("/../secret", "404")] {
                let mut peer = tcp(server.local_addr().unwrap()).await;
                let head = get(&mut peer, path, "").await;
                assert!(
                    head.starts_with(&format!("HTTP/1.1 {status} ")) || head.starts_with("HTTP/1.1 400 "),
                    "{head}"
                );
            }
            server.stop(NONE).await;
        };
        future::zip(serving, requesting).await;
    });
    std::fs::remove_dir_all(&root).unwrap();
}
