//! How a server stops: its Closes and their order, what completes, and what is visibly truncated.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use async_io::Timer;
use common::{ask, connected, run};
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt, future};
use std::cell::{Cell, RefCell};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use ws_server_smol::Error;
use ws_server_smol::web;
use ws_server_smol::{
    Bind, Bytes, ClientConfig, CloseCode, Event, Folder, HttpConnection, Incoming, RespondError, Server,
    ServerConfig, Socket, Stop, WebSocket, connect,
};

const LONG: Duration = Duration::from_secs(60);
const MILLI: Duration = Duration::from_millis(1);

fn local() -> Server {
    Server::bind(Bind::localhost(), ServerConfig::new()).unwrap()
}

async fn echo(mut http: HttpConnection<Socket>) {
    while let Some(incoming) = http.next().await {
        match incoming {
            Incoming::Request(request) => drop(http.respond(request, web::html("hello")).await),
            Incoming::Upgrade(upgrade) => {
                let mut ws = http.accept(upgrade).await.unwrap();
                while let Some(Ok(message)) = ws.next().await {
                    ws.try_send(message).unwrap();
                }
                return;
            }
        }
    }
}

async fn client(server: &Server) -> WebSocket<Socket> {
    connect(server.url("/").unwrap(), ClientConfig::new()).await.unwrap()
}

async fn tcp(server: &Server) -> Socket {
    let address = server.local_addr().unwrap();
    async_io::Async::<std::net::TcpStream>::connect(address).await.unwrap().into()
}

async fn send_request(stream: &mut Socket, version: &str) {
    let request = format!("GET / HTTP/{version}\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// Reads to EOF, and then half-closes; `None` if there is a reset instead.
async fn rest(mut stream: Socket) -> Option<Vec<u8>> {
    let (mut all, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        match stream.read(&mut chunk).await {
            Ok(0) => return Some(all),
            Ok(n) => all.extend_from_slice(&chunk[..n]),
            Err(_) => return None,
        }
    }
}

#[test]
fn connections_are_closed_one_after_another_and_served_until_then() {
    let server = local();
    run(async {
        let script = async {
            let mut clients = Vec::new();
            for _ in 0..3 {
                clients.push(client(&server).await);
                assert_eq!(ask(clients.last_mut().unwrap(), "there?").await, "there?");
            }
            let restart =
                Stop::within(LONG).code(CloseCode::SERVICE_RESTART).reason("back soon").spread(3_600 * LONG);
            let stopping = async {
                server.stop_with(restart).await;
                panic!("the rest have an hour");
            };
            let closing = async {
                let closed = clients[0].next().await.unwrap().unwrap_err();
                assert_eq!((closed.code, closed.reason.as_str()), (CloseCode::SERVICE_RESTART, "back soon"));
                for ws in &mut clients[1..] {
                    assert_eq!(ask(ws, "still?").await, "still?");
                }
                assert!(!server.is_running(), "no connection is accepted");
            };
            closing.or(stopping).await;
            // Another call without a spread continues with the remaining connections: they get the same Close.
            let rest = async {
                for ws in &mut clients[1..] {
                    let closed = ws.next().await.unwrap().unwrap_err();
                    assert_eq!(
                        (closed.code, closed.reason.as_str()),
                        (CloseCode::SERVICE_RESTART, "back soon")
                    );
                }
            };
            future::zip(server.stop(LONG), rest).await;
            assert!(!server.is_running() && server.count() == 0);
        };
        future::zip(server.serve(echo), script).await;
    });
}

#[test]
fn the_first_of_two_stops_decides_code_and_reason() {
    let server = local();
    run(async {
        let script = async {
            let mut clients = vec![client(&server).await, client(&server).await];
            let restart =
                Stop::within(LONG).code(CloseCode::SERVICE_RESTART).reason("back soon").spread(60 * LONG);
            let second = Stop::within(LONG).code(CloseCode::NORMAL).reason("something else");
            let receiving = async {
                for ws in &mut clients {
                    let Some(Err(closed)) = ws.next().await else { panic!("the end without a Close") };
                    assert_eq!((closed.code, &*closed.reason), (CloseCode::SERVICE_RESTART, "back soon"));
                }
            };
            let stops = future::zip(server.stop_with(restart), server.stop_with(second));
            future::zip(receiving, stops).await;
        };
        future::zip(server.serve(echo), script).await;
    });
}

#[test]
fn the_deadline_counts_from_the_end_of_the_spread_and_aborts_the_rest() {
    let server = local();
    run(async {
        let (mut peer, ws) = connected(&server, ClientConfig::new()).await;
        let (_other, mut polled) = connected(&server, ClientConfig::new()).await;
        let begun = Instant::now();
        let stopping = server.stop_with(Stop::within(50 * MILLI).spread(100 * MILLI));
        let (_, end) = future::zip(stopping, polled.next()).await;
        assert!(begun.elapsed() >= 150 * MILLI);
        // Its peer never answers; an unpolled connection is aborted, too.
        let closed = end.unwrap().unwrap_err();
        assert!(matches!(closed.error, Some(Error::Stopped)), "{closed}");
        assert!(peer.next().await.is_none());
        assert_eq!(peer.closed().unwrap().code, CloseCode::GOING_AWAY);
        drop(ws);
        // It can be started again.
        server.listen(Bind::localhost()).unwrap();
        let _ = connected(&server, ClientConfig::new()).await;
    });
}

/// A folder with one file, removed when the test ends.
struct Temp(PathBuf);

impl Temp {
    fn new(name: &str, size: usize) -> Self {
        let path = std::env::temp_dir().join(format!("ws-server-smol-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("file.bin"), vec![b'x'; size]).unwrap();
        Self(path)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const FILE: usize = 30 << 20;

async fn request_file(stream: &mut Socket) {
    stream.write_all(b"GET /file.bin HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
}

/// A peer that has received the first thousand bytes of the response.
async fn begin_download(server: &Server) -> Socket {
    let mut peer = tcp(server).await;
    request_file(&mut peer).await;
    peer.read_exact(&mut [0; 1_000]).await.unwrap();
    peer
}

/// Serves the folder, and records how each response ended.
async fn serve_files(server: &Server, folder: &Folder, results: &RefCell<Vec<Result<(), RespondError>>>) {
    server
        .serve(async |mut http| {
            while let Some(Incoming::Request(request)) = http.next().await {
                let result = http.respond_file(request, folder).await;
                results.borrow_mut().push(result);
            }
        })
        .await;
}

#[test]
fn a_download_in_progress_completes_after_a_stop() {
    let (server, temp) = (local(), Temp::new("whole", FILE));
    let (folder, results) = (Folder::new(&temp.0).unwrap(), RefCell::default());
    run(async {
        let script = async {
            let peer = begin_download(&server).await;
            let reading = async { rest(peer).await.unwrap().len() };
            let (_, got) = future::zip(server.stop(LONG), reading).await;
            assert!(got > FILE - 1_000, "{got}");
        };
        future::zip(serve_files(&server, &folder, &results), script).await;
        assert_eq!(*results.borrow(), [Ok(())]);
    });
}

#[test]
fn a_download_that_the_deadline_aborts_is_an_error() {
    let (server, temp) = (local(), Temp::new("cut", FILE));
    let (folder, results) = (Folder::new(&temp.0).unwrap(), RefCell::default());
    run(async {
        let script = async {
            let peer = begin_download(&server).await;
            server.stop(100 * MILLI).await;
            let got = rest(peer).await.map_or(0, |rest| rest.len());
            assert!(got < FILE - 1_000, "{got}");
        };
        future::zip(serve_files(&server, &folder, &results), script).await;
        assert!(matches!(results.borrow()[..], [Err(_)]), "{results:?}");
    });
}

#[test]
fn a_file_that_shrinks_is_an_error_and_visibly_truncated() {
    let (server, temp) = (local(), Temp::new("shorter", FILE));
    let (folder, results) = (Folder::new(&temp.0).unwrap(), RefCell::default());
    run(async {
        let script = async {
            let peer = begin_download(&server).await;
            fs::OpenOptions::new().write(true).open(temp.0.join("file.bin")).unwrap().set_len(5_000).unwrap();
            let got = rest(peer).await.map_or(0, |rest| rest.len());
            assert!(got < FILE - 1_000, "{got}");
            server.stop(LONG).await;
        };
        future::zip(serve_files(&server, &folder, &results), script).await;
        assert!(matches!(results.borrow()[..], [Err(RespondError::BodyLength { .. })]), "{results:?}");
    });
}

#[test]
fn a_late_response_is_sent_within_the_deadline() {
    let server = local();
    run(async {
        let stopping = Cell::new(false);
        let serving = server.serve(async |mut http| {
            while let Some(Incoming::Request(request)) = http.next().await {
                let responder = http.responder();
                let answering = async {
                    while !stopping.get() {
                        future::yield_now().await;
                    }
                    // Its computation ends after the stop has begun.
                    Timer::after(100 * MILLI).await;
                    responder.respond(request, http::Response::new(Bytes::from("the report"))).unwrap();
                    std::future::pending().await
                };
                let driving = async { assert!(http.next().await.is_none()) };
                driving.or(answering).await;
            }
        });
        let script = async {
            let mut peer = tcp(&server).await;
            send_request(&mut peer, "1.1").await;
            while server.stats().bytes_in == 0 {
                future::yield_now().await;
            }
            let reading = async {
                stopping.set(true);
                String::from_utf8(rest(peer).await.unwrap()).unwrap()
            };
            let (_, answer) = future::zip(server.stop(LONG), reading).await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("the report"), "{answer}");
            assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
        };
        future::zip(serving, script).await;
    });
}

/// Responds without a length, and waits for the close; returns the error of a further chunk.
async fn stream(http: &mut HttpConnection<Socket>, kind: &str) -> RespondError {
    let Some(Incoming::Request(request)) = http.next().await else { panic!() };
    let head = http::Response::builder().header("content-type", kind).body(()).unwrap();
    let body = http.respond_streaming(request, head, None).unwrap();
    body.try_send("a chunk").unwrap();
    while http.next().await.is_some() {}
    body.send("another").await.unwrap_err()
}

#[test]
fn a_stop_ends_event_streams_at_once_and_visibly_truncates_others_at_the_deadline() {
    for (kind, version, whole) in [
        ("text/event-stream", "1.1", true),
        ("text/plain", "1.1", false),
        ("text/event-stream", "1.0", true),
        ("text/plain", "1.0", false),
    ] {
        let server = local();
        run(async {
            let serving = async {
                let mut http = server.accept().await.unwrap();
                let rejected = stream(&mut http, kind).await;
                assert_eq!(rejected, RespondError::NotOpen, "{kind} {version}");
            };
            let script = async {
                let mut peer = tcp(&server).await;
                send_request(&mut peer, version).await;
                let mut begin = Vec::new();
                while !begin.ends_with(b"chunk") && !begin.ends_with(b"chunk\r\n") {
                    let mut byte = [0];
                    peer.read_exact(&mut byte).await.unwrap();
                    begin.push(byte[0]);
                }
                let deadline = if whole { LONG } else { 100 * MILLI };
                let (_, end) = future::zip(server.stop(deadline), rest(peer)).await;
                match (version, whole) {
                    ("1.1", true) => assert!(end.unwrap().ends_with(b"0\r\n\r\n")),
                    ("1.1", false) => assert!(end.is_none_or(|end| !end.ends_with(b"0\r\n\r\n"))),
                    (_, whole) => {
                        assert_eq!(end.is_some(), whole, "{kind}: only a reset shows the truncation")
                    }
                }
            };
            future::zip(serving, script).await;
        });
    }
}

const QUEUED: usize = 16;

/// Queues more than the kernels hold, then echoes until a send fails, as sends do during a stop.
async fn flood(http: HttpConnection<Socket>) {
    let Some(mut ws) = http.upgrade().await else { return };
    for _ in 0..QUEUED {
        ws.try_send(vec![7; 1 << 20]).unwrap();
    }
    while let Some(Ok(message)) = ws.next().await {
        if ws.send(message).await.is_err() {
            return;
        }
    }
}

/// Sends a message, then returns how many arrive, and how the connection ends.
async fn read_all(mut ws: WebSocket) -> (usize, ws_server_smol::Closed) {
    // It may be closing already.
    let _ = ws.try_send("hi");
    let mut messages = 0;
    loop {
        match ws.next_event().await.unwrap() {
            Event::Message(_) => messages += 1,
            Event::Closed(closed) => return (messages, *closed),
            _ => {}
        }
    }
}

/// A server and a client to which much is queued, while these run.
fn flooded(script: impl AsyncFnOnce(&Server, WebSocket)) {
    with_handler(flood, script);
}

fn with_handler(handler: impl AsyncFn(HttpConnection<Socket>), script: impl AsyncFnOnce(&Server, WebSocket)) {
    let limits = ServerConfig::new().outbox(64 << 10, 32 << 20, 64 << 20);
    let server = Server::bind(Bind::localhost(), limits).unwrap();
    run(async {
        let connected = async {
            let client = client(&server).await;
            while server.stats().messages_out < QUEUED as u64 {
                future::yield_now().await;
            }
            script(&server, client).await;
        };
        let serving = async {
            server.serve(handler).await;
            assert_eq!(server.count(), 0, "nothing is left to be written");
        };
        future::zip(serving, connected).await;
    });
}

#[test]
fn a_stop_writes_queued_output_although_its_close_ends_the_handler() {
    flooded(async |server, client| {
        let (_, (messages, closed)) = future::zip(server.stop(LONG), read_all(client)).await;
        assert_eq!(messages, QUEUED);
        assert!(closed.clean && closed.code == CloseCode::GOING_AWAY, "{closed}");
        assert_eq!(server.count(), 0);
    });
}

#[test]
fn the_next_stop_takes_over_what_a_dropped_one_left() {
    flooded(async |server, mut client| {
        let first = async {
            let stop = async {
                server.stop(LONG).await;
                panic!("the client has not read yet");
            };
            stop.or(async {
                client.send("hi").await.unwrap();
                Timer::after(MILLI * 100).await;
            })
            .await;
            read_all(client).await
        };
        let ((messages, closed), ()) = future::zip(first, server.stop(LONG)).await;
        assert_eq!(messages, QUEUED);
        assert!(closed.clean, "{closed}");
    });
}

#[test]
fn the_deadline_of_a_stop_aborts_what_ended_handlers_left() {
    flooded(async |server, mut client| {
        let sends_and_reads_nothing = async {
            client.send("hi").await.unwrap();
            future::pending().await
        };
        server.stop(MILLI * 300).or(sends_and_reads_nothing).await;
        assert_eq!(server.count(), 0);
        let (messages, closed) = read_all(client).await;
        assert!(messages < QUEUED && !closed.clean, "{messages} {closed}");
    });
}

#[test]
fn a_stop_whose_future_is_dropped_continues_in_serve() {
    flooded(async |server, mut client| {
        client.send("hi").await.unwrap();
        let timer = async {
            Timer::after(MILLI * 100).await;
        };
        server.stop(LONG).or(timer).await;
        let ((messages, closed), ()) = future::zip(read_all(client), server.stop(LONG)).await;
        assert_eq!(messages, QUEUED);
        assert!(closed.clean, "{closed}");
    });
}

#[test]
fn serve_writes_the_output_of_a_websocket_that_is_dropped_behind_its_close() {
    let closes = async |http: HttpConnection<Socket>| {
        let Some(mut ws) = http.upgrade().await else { return };
        for _ in 0..QUEUED {
            ws.try_send(vec![7; 1 << 20]).unwrap();
        }
        ws.sender().close(CloseCode::SERVICE_RESTART, "back soon").unwrap();
    };
    with_handler(closes, async |server, client| {
        let (messages, closed) = read_all(client).await;
        assert_eq!(messages, QUEUED);
        assert!(closed.clean && closed.code == CloseCode::SERVICE_RESTART, "{closed}");
        server.stop(LONG).await;
    });
}

#[test]
fn the_deadline_of_a_stop_whose_future_is_dropped_applies_in_serve() {
    flooded(async |server, mut client| {
        client.send("hi").await.unwrap();
        server.stop(MILLI * 300).or(async {}).await;
        // It reads nothing; `flooded` waits for `serve`.
        while server.count() > 0 {
            future::yield_now().await;
        }
        let (messages, closed) = read_all(client).await;
        assert!(messages < QUEUED && !closed.clean, "{messages} {closed}");
    });
}
