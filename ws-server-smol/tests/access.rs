//! Access rules for `Host` and `Origin`, through this adapter's listeners and clients.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use async_io::Async;
use common::run;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use socket2::{Domain, Type};
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream};
use std::time::Duration;
use ws_server_smol::handshake::upgrade_required;
use ws_server_smol::{Access, Cors};
use ws_server_smol::{
    Bind, Client, ClientConfig, ClientRequest, ConnectError, HttpConnection, Incoming, ListenError, Server,
    ServerConfig, Socket, connect, http,
};
use ws_server_smol::{InvalidAccess, InvalidConfig};

/// Opens requested WebSockets; other requests get 426.
async fn serve(mut http: HttpConnection<Socket>) {
    while let Some(incoming) = http.next().await {
        match incoming {
            Incoming::Upgrade(upgrade) => {
                if let Ok(mut ws) = http.accept(upgrade).await {
                    while ws.next().await.is_some() {}
                }
                return;
            }
            Incoming::Request(request) => http.respond(request, upgrade_required()).await.unwrap(),
        }
    }
}

/// Runs a script beside a server, and then stops the server.
fn beside(server: &Server, script: impl Future<Output = ()>) {
    let scripted = async {
        script.await;
        server.stop(Duration::ZERO).await;
    };
    run(async { future::zip(server.serve(serve), scripted).await });
}

/// The status of the first response to a request.
async fn status(mut stream: Socket, request: &str) -> u16 {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        got.push(byte[0]);
    }
    str::from_utf8(&got[9..12]).unwrap().parse().unwrap()
}

async fn tcp(address: SocketAddr) -> Socket {
    Async::<TcpStream>::connect(address).await.unwrap().into()
}

fn upgrade(fields: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    )
}

fn ask(method: &str, fields: &str) -> String {
    format!("{method} / HTTP/1.1\r\n{fields}\r\n")
}

/// The status of a request that reached the application.
const REACHED: u16 = 426;

/// Configurations that no server starts with, and the setting that each error names.
fn mistakes() -> Vec<(ServerConfig, InvalidAccess, &'static str)> {
    let origin = |text: &str| InvalidAccess::Origin(text.to_owned());
    vec![
        (ServerConfig::new().allow_origin("file://"), origin("file://"), "allow_file_origin"),
        (ServerConfig::new().allow_origin("null"), origin("null"), "allow_null_origin"),
        (ServerConfig::new().allow_origin("app.example"), origin("app.example"), "https://app.example"),
        (
            ServerConfig::new().allow_origin("https://fine.example").allow_origin("https://a.example/b"),
            origin("https://a.example/b"),
            "https://a.example/b",
        ),
        (ServerConfig::new().allow_origin("moz-extension://"), origin("moz-extension://"), "allow_scheme"),
        (ServerConfig::new().allow_host(".example"), InvalidAccess::Host(".example".into()), "app.example"),
        (ServerConfig::new().allow_host("*"), InvalidAccess::Host("*".into()), "allow_any_host"),
        (ServerConfig::new().allow_scheme("HTTP"), InvalidAccess::Scheme("HTTP".into()), "allow_origin"),
        (
            ServerConfig::new().access(Access::default().allow_host("http://x")),
            InvalidAccess::Host("http://x".into()),
            "without scheme",
        ),
        (
            ServerConfig::default().cors(Cors::new().origin("file://")),
            InvalidAccess::CorsOrigin("file://".into()),
            "any_origin",
        ),
    ]
}

fn assert_rejected<T>(listened: Result<T, ListenError>, expected: &InvalidAccess, names: &str) {
    let Err(error) = listened else { panic!("it listens despite {expected}") };
    assert!(error.to_string().contains(names), "{error}");
    assert!(
        matches!(&error, ListenError::Config(InvalidConfig::Access(invalid)) if invalid == expected),
        "{error:?}"
    );
}

#[test]
fn rules_that_allow_no_request_are_rejected_by_every_way_to_listen() {
    for (config, expected, names) in mistakes() {
        for bind in [Bind::localhost(), Bind::any(), Bind::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))] {
            assert_rejected(Server::bind(bind.clone(), config.clone()), &expected, names);
            assert_rejected(Server::new(config.clone()).listen(bind), &expected, names);
        }
        let own = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Server::new(config.clone());
        assert_rejected(server.listen_on(own()), &expected, names);
        assert!(!server.is_running());
        #[cfg(unix)]
        {
            let directory = unix::Directory::new("mistakes");
            assert_rejected(server.listen(Bind::unix(directory.socket())), &expected, names);
            assert!(!directory.socket().exists(), "nothing opened");
            let own = std::os::unix::net::UnixListener::bind(directory.socket()).unwrap();
            assert_rejected(server.listen_on(own), &expected, names);
        }
        // A running server keeps its address and its rules.
        let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
        let address = server.local_addr();
        server.set_config(config);
        assert_rejected(server.listen(Bind::localhost()), &expected, names);
        assert_rejected(server.listen_on(own()), &expected, names);
        assert_eq!(server.local_addr(), address);
        server.set_config(ServerConfig::new().allow_origin("qrc://"));
        server.listen(Bind::localhost()).unwrap();
        assert_ne!(server.local_addr(), address);
    }
}

#[test]
fn file_schemes_and_empty_hosts_are_allowed_where_configured() {
    let allowed =
        ServerConfig::new().allow_file_origin().allow_scheme("Moz-Extension").allow_origin("qrc://");
    let random = "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc";
    for (config, origins, expected) in [
        (allowed.clone(), &["file://", "FILE://", random, "MOZ-EXTENSION://a", "qrc://", "QRC://"][..], true),
        (
            allowed,
            &["null", "file:///", "file://a", "chrome-extension://a", "qrc://a", "qrc:", "a://"],
            false,
        ),
        (ServerConfig::new(), &["null", "file://", random, "qrc://"], false),
    ] {
        let server = Server::bind(Bind::localhost(), config).unwrap();
        let address = server.local_addr().unwrap();
        beside(&server, async {
            for origin in origins {
                let fields = format!("Host: {address}\r\nOrigin: {origin}\r\n");
                let (socket, post) = if expected { (101, REACHED) } else { (403, 403) };
                assert_eq!(status(tcp(address).await, &upgrade(&fields)).await, socket, "{origin}");
                assert_eq!(status(tcp(address).await, &ask("POST", &fields)).await, post, "{origin}");
                assert_eq!(status(tcp(address).await, &ask("GET", &fields)).await, REACHED, "{origin}");
            }
        });
    }
}

/// A listener on every interface, IPv6 alone or dual-stack.
fn every_interface(only_v6: bool) -> TcpListener {
    let socket = socket2::Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
    socket.set_only_v6(only_v6).unwrap();
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
    socket.listen(16).unwrap();
    socket.into()
}

#[test]
fn a_localhost_page_may_connect_by_address_where_the_server_owns_both_families() {
    let bound = |bind: Bind| Server::bind(bind, ServerConfig::new()).unwrap();
    let one = |ip: Ipv4Addr| bound(Bind::from(SocketAddr::from((ip, 0))));
    let own = |listener: TcpListener| {
        let server = Server::new(ServerConfig::new());
        server.listen_on(listener).unwrap();
        server
    };
    for (what, both, server) in [
        ("localhost", true, bound(Bind::localhost())),
        ("any", true, bound(Bind::any())),
        ("own, both", true, own(every_interface(false))),
        ("127.0.0.1", false, one(Ipv4Addr::LOCALHOST)),
        ("0.0.0.0", false, one(Ipv4Addr::UNSPECIFIED)),
        ("own, IPv6 alone", false, own(every_interface(true))),
        ("own, [::1]", false, own(TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap())),
    ] {
        let address = server.local_addr().unwrap();
        let port = address.port();
        let to = match address.ip() {
            ip if ip.is_unspecified() && ip.is_ipv4() => (Ipv4Addr::LOCALHOST, port).into(),
            ip if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, port).into(),
            _ => address,
        };
        beside(&server, async {
            let names = ["localhost", "127.0.0.1", "[::1]"];
            for (page, host) in names.iter().flat_map(|page| names.map(|host| (page, host))) {
                let fields = format!("Host: {host}:{port}\r\nOrigin: http://{page}:{port}\r\n");
                let expected = if both || *page == host { 101 } else { 403 };
                let status = status(tcp(to).await, &upgrade(&fields)).await;
                assert_eq!(status, expected, "{what}: {page} at {host}");
            }
            for (page, host) in [
                (format!("http://app.localhost:{port}"), format!("127.0.0.1:{port}")),
                (format!("http://localhost:{port}"), format!("app.localhost:{port}")),
                (format!("http://127.0.0.2:{port}"), format!("127.0.0.1:{port}")),
                (format!("http://localhost:{}", port ^ 1), format!("127.0.0.1:{port}")),
                ("http://localhost".to_owned(), format!("127.0.0.1:{port}")),
                ("http://localhost".to_owned(), "127.0.0.1".to_owned()),
                (format!("http://localhost:{}", port ^ 1), format!("127.0.0.1:{}", port ^ 1)),
                (format!("tauri://localhost:{port}"), format!("127.0.0.1:{port}")),
            ] {
                let fields = format!("Host: {host}\r\nOrigin: {page}\r\n");
                let status = status(tcp(to).await, &upgrade(&fields)).await;
                assert_eq!(status, 403, "{what}: {page} at {host}");
            }
        });
    }
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::PathBuf;
    use std::sync::Arc;
    use ws_server_smol::{Config, Transport};

    /// A temporary directory per test, removed when it ends.
    pub(super) struct Directory(PathBuf);

    impl Directory {
        pub(super) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ws-access-smol-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub(super) fn socket(&self) -> PathBuf {
            self.0.join("socket")
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_unix_socket_needs_no_host_but_a_page_needs_an_allowed_origin() {
        for own in [false, true] {
            let directory = Directory::new(if own { "own" } else { "unix" });
            let path = directory.socket();
            let config = ServerConfig::new().allow_host("app.example").allow_origin("https://app.example");
            let server = Server::new(config);
            match own {
                true => server.listen_on(UnixListener::bind(&path).unwrap()).unwrap(),
                false => server.listen(Bind::unix(&path)).unwrap(),
            }
            let ask = async |request: String| {
                status(Async::<UnixStream>::connect(&path).await.unwrap().into(), &request).await
            };
            beside(&server, async {
                for (host, expected) in [
                    ("Host:\r\n", REACHED),
                    ("Host: \r\n", REACHED),
                    ("Host: unix\r\n", REACHED),
                    ("Host: d\r\n", REACHED),
                    ("Host: my_socket:80\r\n", REACHED),
                    ("Host: localhost\r\n", REACHED),
                    ("Host: app.example\r\n", REACHED),
                    ("Host: evil.example\r\n", 421),
                    ("Host: unix.d\r\n", 421),
                    ("Host: a b\r\n", 400),
                    ("Host: :80\r\n", 400),
                    ("Host:\r\nHost:\r\n", 400),
                    ("", 400),
                ] {
                    assert_eq!(ask(super::ask("GET", host)).await, expected, "{host:?}");
                    let socket = if expected == REACHED { 101 } else { expected };
                    assert_eq!(ask(upgrade(host)).await, socket, "{host:?}");
                }
                for (request, expected) in [
                    ("GET http://unix/ HTTP/1.1\r\nHost:\r\n\r\n", REACHED),
                    ("GET http://evil.example/ HTTP/1.1\r\nHost: unix\r\n\r\n", 421),
                    ("GET / HTTP/1.0\r\n\r\n", REACHED),
                    ("GET / HTTP/1.0\r\nHost:\r\n\r\n", REACHED),
                ] {
                    assert_eq!(ask(request.to_owned()).await, expected, "{request:?}");
                }
                for origin in ["http://unix", "https://app.example", "null", "http://"] {
                    let fields = format!("Host:\r\nOrigin: {origin}\r\n");
                    assert_eq!(ask(upgrade(&fields)).await, 403, "{origin}");
                    assert_eq!(ask(super::ask("POST", &fields)).await, 403, "{origin}");
                    assert_eq!(ask(super::ask("GET", &fields)).await, 403, "{origin}");
                }
                for (origin, expected) in
                    [("http://unix", 101), ("https://app.example", 101), ("http://d", 403)]
                {
                    let fields = format!("Host: unix\r\nOrigin: {origin}\r\n");
                    assert_eq!(ask(upgrade(&fields)).await, expected, "{origin}");
                }
            });
        }
    }

    #[test]
    fn a_custom_stream_gets_its_kind_from_the_application() {
        for (transport, expected) in [(Transport::unix(), REACHED), (Transport::default(), 421)] {
            run(async {
                let (client, server) = Async::<UnixStream>::pair().unwrap();
                let http =
                    HttpConnection::with_transport(server.into(), Arc::new(Config::server()), transport);
                let requesting = async { status(client.into(), &ask("GET", "Host: unix\r\n")).await };
                let (_, status) = future::zip(serve(http), requesting).await;
                assert_eq!(status, expected);
            });
        }
    }
}

#[test]
fn over_tcp_the_host_is_still_required() {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    let address = server.local_addr().unwrap();
    beside(&server, async {
        for (host, expected) in [
            ("", 400),
            (".localhost", 400),
            ("a.localhost", REACHED),
            ("unix", 421),
            ("d", 421),
            ("localhost", REACHED),
        ] {
            let request = ask("GET", &format!("Host: {host}\r\n"));
            assert_eq!(status(tcp(address).await, &request).await, expected, "{host}");
        }
    });
}

#[test]
fn a_zone_in_a_host_is_accepted_on_link_local_addresses_only() {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    let address = server.local_addr().unwrap();
    beside(&server, async {
        let get =
            async |host: &str| status(tcp(address).await, &ask("GET", &format!("Host: {host}\r\n"))).await;
        let open = async |host: &str, origin: &str| {
            let fields = format!("Host: {host}\r\nOrigin: http://{origin}\r\n");
            status(tcp(address).await, &upgrade(&fields)).await
        };
        for host in ["[fe80::1%eth0]", "[fe80::1%25eth0]:9000", "[FEBF::1%253]", "[fe80::1%2]:9000"] {
            assert_eq!((get(host).await, open(host, host).await), (REACHED, 101), "{host}");
        }
        assert_eq!(open("[fe80::1%25eth0]:9000", "[fe80::1]:9000").await, 101);
        assert_eq!(open("[fe80::1%25eth0]:9000", "[fe80::2%25eth0]:9000").await, 403);
        let long = format!("[fe80::1%{}]", "x".repeat(200));
        for host in [
            "[::1%eth0]",
            "[2001:db8::1%eth0]",
            "[fec0::1%1]",
            "[fe80::1%]",
            "[fe80::1%25]",
            "[fe80::1%a b]",
            &long,
        ] {
            assert_eq!(get(host).await, 400, "{host}");
        }
    });
}

/// A link-local address of this machine and the name of its interface; without one, prints that the test is skipped.
fn link_local(test: &str) -> Option<(SocketAddrV6, String)> {
    let found = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let found = found.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [address, index, _, _, flags, name] = fields[..] else { return None };
        let ip = Ipv6Addr::from_bits(u128::from_str_radix(address, 16).ok()?);
        // Neither tentative nor a duplicate.
        let usable = u32::from_str_radix(flags, 16).ok()? & 0x48 == 0;
        let index = u32::from_str_radix(index, 16).ok()?;
        (usable && ip.is_unicast_link_local()).then(|| (SocketAddrV6::new(ip, 0, 0, index), name.to_owned()))
    });
    if found.is_none()
        && let Some(list) = std::env::var_os("NOT_RUN_HERE")
    {
        let list = std::fs::OpenOptions::new().append(true).open(list);
        list.and_then(|mut list| writeln!(list, "{test}: no interface has a link-local address")).unwrap();
    }
    found
}

#[test]
fn a_client_reaches_a_link_local_address_by_its_zone_and_never_sends_the_zone() {
    let Some((address, name)) = link_local("ws-server-smol: zones") else { return };
    let server = Server::bind(Bind::from(SocketAddr::from(address)), ServerConfig::new()).unwrap();
    let (ip, port, index) = (address.ip(), server.local_addr().unwrap().port(), address.scope_id());
    run(async {
        let mut zones = vec![format!("25{index}"), index.to_string()];
        if cfg!(unix) {
            zones.extend([format!("25{name}"), name]);
        }
        for zone in zones {
            let url = format!("ws://[{ip}%{zone}]:{port}/");
            let origin = format!("http://[{ip}%{zone}]:{port}");
            let request = ClientRequest::new(&url).unwrap().origin(&origin).unwrap();
            let requesting = async {
                let mut http = server.accept().await.unwrap();
                let Some(Incoming::Upgrade(upgrade)) = http.next().await else { panic!("no upgrade") };
                let headers = upgrade.headers().clone();
                (headers, http.accept(upgrade).await.unwrap())
            };
            let (ws, (headers, _server)) =
                future::zip(connect(request, ClientConfig::new()), requesting).await;
            let ws = ws.unwrap();
            let peer = ws.get_ref().unwrap().peer_addr().unwrap();
            assert_eq!(peer, SocketAddrV6::new(*ip, port, 0, index).into(), "{url}");
            assert_eq!(headers[http::header::HOST], format!("[{ip}]:{port}"), "{url}");
            assert_eq!(headers[http::header::ORIGIN], format!("http://[{ip}]:{port}"), "{url}");
        }
    });
}

#[test]
fn an_unknown_zone_is_named_by_the_error() {
    let is_named = |failure: &ConnectError| {
        let text = failure.to_string();
        assert!(matches!(failure, ConnectError::Zone { .. }), "{failure:?}");
        assert!(text.contains("\"nowhere0\"") && text.contains("number"), "{text}");
    };
    let url = "ws://[fe80::1%25nowhere0]:9000/";
    run(async {
        is_named(&connect(url, ClientConfig::new()).await.unwrap_err());
        let mut client = Client::new(url, ClientConfig::new()).unwrap();
        is_named(&client.connect().await.unwrap_err());
    });
}
