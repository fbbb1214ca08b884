//! Servers on Unix sockets, and on listeners opened elsewhere.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;
use ws_server_mio::{Bind, Endpoint, ListenError, ServerConfig, Token};

/// A temporary directory per test, removed when it ends.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ws-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn rig(bind: Bind, config: ServerConfig) -> Rig {
    let mut endpoint = Endpoint::new().unwrap();
    let server = endpoint.connections().listen(bind, config).unwrap();
    Rig { endpoint, server, app: App::default() }
}

/// Sends, and runs turns until that much has come back.
fn exchange(rig: &mut Rig, stream: &mut UnixStream, sent: &[u8], ends: &[u8]) -> Vec<u8> {
    stream.set_nonblocking(true).unwrap();
    let (mut left, mut got) = (sent, Vec::new());
    let mut buffer = [0; 64 << 10];
    rig.until("an answer", |_| {
        match stream.write(left) {
            Ok(n) => left = &left[n..],
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        match stream.read(&mut buffer) {
            Ok(n) => got.extend_from_slice(&buffer[..n]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        left.is_empty() && got.ends_with(ends)
    });
    got
}

fn open(rig: &mut Rig, stream: &mut UnixStream) {
    let any = ([127, 0, 0, 1], 80).into();
    let head = exchange(rig, stream, &handshake(any, "/"), b"\r\n\r\n");
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
}

#[test]
fn a_unix_socket_carries_pages_and_sockets_and_its_peers_have_no_address() {
    let directory = Directory::new("carries");
    let mut rig = rig(Bind::unix(directory.socket()), ServerConfig::new());
    let mut stream = UnixStream::connect(directory.socket()).unwrap();
    let any = ([127, 0, 0, 1], 80).into();
    let page = exchange(&mut rig, &mut stream, &get(any, "/"), b"hello");
    assert!(page.starts_with(b"HTTP/1.1 200 "));
    open(&mut rig, &mut stream);
    exchange(&mut rig, &mut stream, &frame(TEXT, b"over a file"), b"\x81\x0bover a file");
    // More than the socket holds at once, in both directions.
    let large = vec![b'x'; 3_000_000];
    let mut echoed = vec![BINARY, 127];
    echoed.extend_from_slice(&(large.len() as u64).to_be_bytes());
    echoed.extend_from_slice(&large);
    assert_eq!(exchange(&mut rig, &mut stream, &frame(BINARY, &large), &echoed), echoed);

    let id = rig.app.open_ids()[0];
    let server = rig.server;
    let connections = rig.endpoint.connections();
    assert_eq!((connections.peer_addr(id), connections.local_addr(id)), (None, None));
    assert_eq!(connections.server(server).local_addr(), None);
    assert_eq!((connections.server(server).url("/"), connections.server(server).lan_url("/")), (None, None));
    assert!(connections.server(server).urls("/").is_empty());
    assert_eq!((connections.server(server).count(), connections.server_of(id)), (1, Some(server)));
    drop(stream);
    rig.until("its end", |rig| rig.app.closed().len() == 1);
}

#[test]
fn a_close_over_a_unix_socket_is_clean() {
    let directory = Directory::new("clean");
    let mut rig = rig(Bind::unix(directory.socket()), ServerConfig::new());
    let mut stream = UnixStream::connect(directory.socket()).unwrap();
    open(&mut rig, &mut stream);
    let bye = frame(CLOSE, &1000u16.to_be_bytes());
    exchange(&mut rig, &mut stream, &bye, b"\x88\x02\x03\xe8");
    // The server half-closes first; then the client does.
    let mut rest = Vec::new();
    stream.set_nonblocking(false).unwrap();
    stream.read_to_end(&mut rest).unwrap();
    drop(stream);
    rig.until("its end", |rig| rig.app.closed().len() == 1);
    assert!(rest.is_empty() && rig.app.closed()[0].clean);
}

#[test]
fn the_file_is_private_and_removed_when_the_server_stops() {
    let directory = Directory::new("file");
    let path = directory.socket();
    let mut rig = rig(Bind::unix(&path), ServerConfig::new());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    rig.endpoint.connections().server(rig.server).stop(Duration::ZERO);
    assert!(!path.exists());
    rig.server = rig.endpoint.connections().listen(Bind::unix(&path), ServerConfig::new()).unwrap();
    assert!(path.exists());
    drop(rig);
    assert!(!path.exists(), "dropping the endpoint removes it, too");
}

#[test]
fn only_a_dead_programs_socket_file_is_replaced() {
    let directory = Directory::new("stale");
    let path = directory.socket();
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let mut rig = rig(Bind::unix(&path), ServerConfig::new());
    let second = rig.endpoint.connections().listen(Bind::unix(&path), ServerConfig::new());
    let Err(error @ ListenError::Unix { .. }) = second else { panic!("{second:?}") };
    assert!(error.to_string().contains("socket"), "{error}");
    open(&mut rig, &mut UnixStream::connect(&path).unwrap());

    let file = directory.0.join("file");
    std::fs::write(&file, "precious").unwrap();
    assert!(rig.endpoint.connections().listen(Bind::unix(&file), ServerConfig::new()).is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn another_servers_file_stays() {
    let directory = Directory::new("another");
    let path = directory.socket();
    let first = rig(Bind::unix(&path), ServerConfig::new());
    std::fs::remove_file(&path).unwrap();
    let mut second = rig(Bind::unix(&path), ServerConfig::new());
    drop(first);
    open(&mut second, &mut UnixStream::connect(&path).unwrap());
}

#[test]
fn a_unix_server_may_require_a_token() {
    let directory = Directory::new("token");
    let config = ServerConfig::default().require_token(Token::from_random([1; 16]));
    let mut rig = rig(Bind::unix(directory.socket()), config);
    let mut stream = UnixStream::connect(directory.socket()).unwrap();
    let answer = exchange(&mut rig, &mut stream, &get(([127, 0, 0, 1], 80).into(), "/"), b"\n");
    assert!(answer.starts_with(b"HTTP/1.1 401 "));
}

#[test]
fn existing_listeners_are_accepted() {
    let directory = Directory::new("outside");
    let mut rig = Rig::new(ServerConfig::new());
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    rig.server = rig.endpoint.connections().listen_on(tcp, ServerConfig::new()).unwrap();
    assert_eq!(rig.address(), address);
    let url = rig.endpoint.connections().server(rig.server).url("/");
    assert_eq!(url.unwrap(), format!("ws://{address}/"));
    rig.open("/tcp");

    let unix = UnixListener::bind(directory.socket()).unwrap();
    rig.server = rig.endpoint.connections().listen_on(unix, ServerConfig::new()).unwrap();
    open(&mut rig, &mut UnixStream::connect(directory.socket()).unwrap());
    rig.endpoint.connections().server(rig.server).stop(Duration::ZERO);
    assert!(directory.socket().exists(), "the creator of the file removes it");
}
