//! Clients of hostile servers, and how clients close.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::clients::*;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use ws_kit::peer::accepting;
use ws_proto::ResponseError;
use ws_proto::handshake::{accept_key, is_valid_key};
use ws_server_mio::{
    Bind, ClientConfig, ClientState, CloseCode, ConnectError, Connections, Endpoint, Event, ServerConfig,
    inspect,
};

/// A server on a thread, until its first connection ends.
fn served() -> (String, std::thread::JoinHandle<CloseCode>) {
    let mut endpoint = Endpoint::new().unwrap();
    let server = endpoint.connections().listen(Bind::localhost(), ServerConfig::new()).unwrap();
    let url = endpoint.connections().server(server).url("/").unwrap();
    let thread = std::thread::spawn(move || {
        let mut code = None;
        let serve = |connections: &mut Connections, event: Event<'_>| {
            if let Event::Closed(_, closed) = event {
                code = Some(closed.code);
                connections.exit();
            }
        };
        endpoint.run(serve).unwrap();
        code.unwrap()
    });
    (url, thread)
}

#[test]
fn run_reports_the_close_of_a_removed_client_before_it_ends() {
    let (url, server) = served();
    let mut endpoint = Endpoint::new().unwrap();
    let client = endpoint.connections().connect(url, ClientConfig::new()).unwrap();
    let mut ends = 0;
    let removes = |connections: &mut Connections, event: Event<'_>| match event {
        Event::Open(_, _) => connections.client(client).remove(),
        Event::Closed(_, closed) => ends += u32::from(closed.clean),
        _ => {}
    };
    endpoint.run(removes).unwrap();
    assert_eq!(ends, 1);
    assert_eq!(server.join().unwrap(), CloseCode::NORMAL);
}

#[test]
fn dropping_the_endpoint_closes_clients_with_1000() {
    let (url, server) = served();
    let mut endpoint = Endpoint::new().unwrap();
    endpoint.connections().connect(url, ClientConfig::new()).unwrap();
    let exits = |connections: &mut Connections, event: Event<'_>| {
        if let Event::Open(..) = event {
            connections.exit();
        }
    };
    endpoint.run(exits).unwrap();
    drop(endpoint);
    assert_eq!(server.join().unwrap(), CloseCode::NORMAL);
}

/// A scripted server: accepts one connection and reads its request, head and all.
fn accept_and_read_head(rig: &mut Both, listener: &TcpListener) -> (TcpStream, String) {
    let mut stream = None;
    rig.until("its connection", |_| {
        stream = listener.accept().ok();
        stream.is_some()
    });
    let (mut stream, _) = stream.unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut head = Vec::new();
    rig.until("its request", |_| {
        let mut bytes = [0; 4096];
        if let Ok(n) = stream.read(&mut bytes) {
            head.extend_from_slice(&bytes[..n]);
        }
        head.ends_with(b"\r\n\r\n")
    });
    (stream, String::from_utf8(head).unwrap())
}

fn scripted_server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn nothing_follows_the_request_before_a_valid_response() {
    for answer in [
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nhello",
        "HTTP/1.1 301 Moved Permanently\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    ] {
        let mut rig = Both::new();
        let (listener, url) = scripted_server();
        let client = rig.connections().connect(url, ClientConfig::new()).unwrap();
        let (mut stream, _) = accept_and_read_head(&mut rig, &listener);
        assert_eq!(
            rig.connections().client(client).connection(),
            None,
            "nothing can be sent before it is open"
        );
        stream.write_all(answer.as_bytes()).unwrap();
        match rig.failed(client) {
            ConnectError::Handshake(ResponseError::AcceptInvalid(_) | ResponseError::Rejected(_)) => {}
            other => panic!("{other:?}"),
        }
        let mut after = Vec::new();
        rig.until("the end", |_| match stream.read_to_end(&mut after) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        });
        assert!(after.is_empty(), "{after:?}");
        assert!(
            rig.events.texts.is_empty()
                && rig.events.opened.is_empty()
                && rig.events.client_closed.is_empty()
        );
    }
}

#[test]
fn an_endless_response_ends_at_a_limit_and_a_slow_one_at_the_deadline() {
    for (head, chunk) in [
        ("HTTP/1.1 101 Switching Protocols\r\n", "X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
        ("HTTP/1.1 ", "1"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("", "HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        let mut rig = Both::new();
        let (listener, url) = scripted_server();
        let client = rig.connections().connect(url, ClientConfig::new()).unwrap();
        let (mut stream, _) = accept_and_read_head(&mut rig, &listener);
        stream.write_all(head.as_bytes()).unwrap();
        let flood = chunk.repeat(1000);
        let mut read = 0;
        rig.until("a limit", |rig| {
            let _ = stream.write(flood.as_bytes());
            inspect::each_slot(rig.connections(), |live| read = live.connection.bytes_received());
            !rig.events.failed.is_empty()
        });
        match rig.failed(client) {
            ConnectError::Handshake(ResponseError::Rejected(response)) => {
                assert!(response.body().len() <= 16 << 10);
            }
            ConnectError::Handshake(ResponseError::HeadTooLarge | ResponseError::Malformed(_)) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(read / (64 << 10), 0, "it read on");
    }
    // A byte a second shows activity, but is not a response.
    let mut rig = Both::new();
    let (listener, url) = scripted_server();
    let client = rig.connections().connect(url, ClientConfig::new()).unwrap();
    let (mut stream, _) = accept_and_read_head(&mut rig, &listener);
    for (second, byte) in b"HTTP/1.1 10".iter().enumerate() {
        assert_eq!(rig.connections().client(client).state(), ClientState::Connecting, "{second}");
        let _ = stream.write_all(&[*byte]);
        rig.turns(3);
        rig.clock.pass(Duration::from_secs(1));
    }
    assert!(matches!(rig.failed(client), ConnectError::TimedOut { .. }));
}

#[test]
fn bytes_right_behind_the_response_are_not_lost() {
    let mut rig = Both::new();
    let (listener, url) = scripted_server();
    let client = rig.connections().connect(url, ClientConfig::new()).unwrap();
    let (mut stream, head) = accept_and_read_head(&mut rig, &listener);
    let head = accepting(&head);
    stream.write_all(&[head.as_bytes(), b"\x81\x05hello"].concat()).unwrap();
    drop(stream);
    let id = rig.opened(client);
    assert_eq!(rig.text(id), "hello");
    assert!(!rig.closed(id).clean);
}

/// Keys and masks come from the system's randomness, fresh for each connection (RFC 6455 §10.3).
#[test]
fn no_two_clients_share_a_key_or_a_mask() {
    let (mut keys, mut masks) = (HashSet::new(), HashSet::new());
    let mut rig = Both::new();
    for _ in 0..50 {
        let (listener, url) = scripted_server();
        let client = rig.connections().connect(url, ClientConfig::new()).unwrap();
        let (mut stream, head) = accept_and_read_head(&mut rig, &listener);
        let key = head.split("Sec-WebSocket-Key: ").nth(1).unwrap().split("\r\n").next().unwrap();
        assert!(is_valid_key(key), "{key}");
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            accept_key(key)
        );
        stream.write_all(answer.as_bytes()).unwrap();
        let id = rig.opened(client);
        rig.connections().send(id, "hello").unwrap();
        let mut frame = Vec::new();
        rig.until("its frame", |_| {
            let mut part = [0; 11];
            if let Ok(n) = stream.read(&mut part) {
                frame.extend_from_slice(&part[..n]);
            }
            frame.len() == 11
        });
        assert_eq!(frame[..2], [0x81, 0x85]);
        assert!(keys.insert(key.to_owned()) && masks.insert(frame[2..6].to_vec()));
    }
}
