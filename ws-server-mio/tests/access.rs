//! Access rules for `Host` and `Origin`, through this adapter's listeners and clients.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use common::clients::Both;
use common::*;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream};
use ws_proto::InvalidAccess;
use ws_proto::{Access, Cors};
use ws_server_mio::InvalidConfig;
use ws_server_mio::{
    Bind, ClientConfig, ClientRequest, ConnectError, Connections, Endpoint, ListenError, Options,
    ServerConfig, ServerId, http,
};

type Listened = Result<ServerId, ListenError>;
type Listen = Box<dyn FnOnce(&mut Connections) -> Listened>;

fn rig(listen: impl FnOnce(&mut Connections) -> Listened) -> Rig {
    let mut endpoint = Endpoint::new().unwrap();
    let server = listen(endpoint.connections()).unwrap();
    Rig { endpoint, server, app: App::default() }
}

/// The status of the first response to a request.
fn status(rig: &mut Rig, mut stream: impl Read + Write, request: &str) -> u16 {
    let (mut left, mut got) = (request.as_bytes(), Vec::new());
    let mut buffer = [0; 4096];
    rig.until("an answer", |_| {
        match stream.write(left) {
            Ok(n) => left = &left[n..],
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        match stream.read(&mut buffer) {
            Ok(n) => got.extend_from_slice(&buffer[..n]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        got.windows(4).any(|four| four == b"\r\n\r\n")
    });
    str::from_utf8(&got[9..12]).unwrap().parse().unwrap()
}

fn tcp(address: impl Into<SocketAddr>) -> TcpStream {
    let stream = TcpStream::connect(address.into()).unwrap();
    stream.set_nonblocking(true).unwrap();
    stream
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

/// Configurations that no server starts with, and the setting that each error names.
fn mistakes() -> Vec<(ServerConfig, InvalidAccess, &'static str)> {
    let origin = |text: &str| InvalidAccess::Origin(text.to_owned());
    let config = |config: ServerConfig| config;
    vec![
        (config(ServerConfig::new().allow_origin("file://")), origin("file://"), "allow_file_origin"),
        (config(ServerConfig::new().allow_origin("null")), origin("null"), "allow_null_origin"),
        (
            config(ServerConfig::new().allow_origin("app.example")),
            origin("app.example"),
            "https://app.example",
        ),
        (
            config(
                ServerConfig::new().allow_origin("https://fine.example").allow_origin("https://a.example/b"),
            ),
            origin("https://a.example/b"),
            "https://a.example/b",
        ),
        (
            config(ServerConfig::new().allow_origin("moz-extension://")),
            origin("moz-extension://"),
            "allow_scheme",
        ),
        (
            config(ServerConfig::new().allow_host(".example")),
            InvalidAccess::Host(".example".into()),
            "app.example",
        ),
        (config(ServerConfig::new().allow_host("*")), InvalidAccess::Host("*".into()), "allow_any_host"),
        (
            config(ServerConfig::new().allow_scheme("HTTP")),
            InvalidAccess::Scheme("HTTP".into()),
            "allow_origin",
        ),
        (
            config(ServerConfig::new().access(Access::default().allow_host("http://x"))),
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

fn assert_rejected(listened: Listened, expected: &InvalidAccess, names: &str) {
    let Err(error) = listened else { panic!("it listens despite {expected}") };
    assert!(error.to_string().contains(names), "{error}");
    assert!(
        matches!(&error, ListenError::Config(InvalidConfig::Access(invalid)) if invalid == expected),
        "{error:?}"
    );
}

#[test]
fn rules_that_allow_no_request_are_rejected_by_every_way_to_listen() {
    let mut endpoint = Endpoint::new().unwrap();
    let connections = endpoint.connections();
    for (config, expected, names) in mistakes() {
        for bind in [Bind::localhost(), Bind::any(), Bind::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))] {
            assert_rejected(connections.listen(bind, config.clone()), &expected, names);
        }
        let own = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert_rejected(connections.listen_on(own, config.clone()), &expected, names);
        #[cfg(unix)]
        {
            let directory = unix::Directory::new("mistakes");
            assert_rejected(
                connections.listen(Bind::unix(directory.socket()), config.clone()),
                &expected,
                names,
            );
            assert!(!directory.socket().exists(), "nothing opened");
            let own = std::os::unix::net::UnixListener::bind(directory.socket()).unwrap();
            assert_rejected(connections.listen_on(own, config), &expected, names);
        }
    }
    assert_eq!(endpoint.servers().count(), 0, "nothing left");
    endpoint.connections().listen(Bind::localhost(), ServerConfig::new().allow_origin("qrc://")).unwrap();
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
        let mut rig = rig(|connections| connections.listen(Bind::localhost(), config));
        let address = rig.address();
        for origin in origins {
            let fields = format!("Host: {address}\r\nOrigin: {origin}\r\n");
            let (socket, post) = if expected { (101, 200) } else { (403, 403) };
            assert_eq!(status(&mut rig, tcp(address), &upgrade(&fields)), socket, "{origin}");
            assert_eq!(status(&mut rig, tcp(address), &ask("POST", &fields)), post, "{origin}");
            assert_eq!(status(&mut rig, tcp(address), &ask("GET", &fields)), 200, "{origin}");
        }
    }
}

/// A listener on every interface, IPv6 alone or dual-stack.
fn every_interface(only_v6: bool) -> TcpListener {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
    socket.set_only_v6(only_v6).unwrap();
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
    socket.listen(16).unwrap();
    socket.into()
}

#[test]
fn a_localhost_page_may_connect_by_address_where_the_server_owns_both_families() {
    let one = |ip: Ipv4Addr| Bind::from(SocketAddr::from((ip, 0)));
    let listens: [(&str, bool, Listen); 7] = [
        ("localhost", true, Box::new(|at| at.listen(Bind::localhost(), ServerConfig::new()))),
        ("any", true, Box::new(|at| at.listen(Bind::any(), ServerConfig::new()))),
        ("own, both", true, Box::new(|at| at.listen_on(every_interface(false), ServerConfig::new()))),
        ("127.0.0.1", false, Box::new(move |at| at.listen(one(Ipv4Addr::LOCALHOST), ServerConfig::new()))),
        ("0.0.0.0", false, Box::new(move |at| at.listen(one(Ipv4Addr::UNSPECIFIED), ServerConfig::new()))),
        ("own, IPv6 alone", false, Box::new(|at| at.listen_on(every_interface(true), ServerConfig::new()))),
        (
            "own, [::1]",
            false,
            Box::new(|at| {
                at.listen_on(TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap(), ServerConfig::new())
            }),
        ),
    ];
    for (what, both, listen) in listens {
        let mut rig = rig(listen);
        let address = rig.address();
        let port = address.port();
        let to = match address.ip() {
            ip if ip.is_unspecified() && ip.is_ipv4() => (Ipv4Addr::LOCALHOST, port).into(),
            ip if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, port).into(),
            _ => address,
        };
        let names = ["localhost", "127.0.0.1", "[::1]"];
        for (page, host) in names.iter().flat_map(|page| names.map(|host| (page, host))) {
            let fields = format!("Host: {host}:{port}\r\nOrigin: http://{page}:{port}\r\n");
            let expected = if both || *page == host { 101 } else { 403 };
            assert_eq!(status(&mut rig, tcp(to), &upgrade(&fields)), expected, "{what}: {page} at {host}");
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
            assert_eq!(status(&mut rig, tcp(to), &upgrade(&fields)), 403, "{what}: {page} at {host}");
        }
    }
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::PathBuf;

    /// A temporary directory per test, removed when it ends.
    pub(super) struct Directory(PathBuf);

    impl Directory {
        pub(super) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ws-access-{name}-{}", std::process::id()));
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
            let mut rig = rig(|connections| match own {
                true => connections.listen_on(UnixListener::bind(&path).unwrap(), config),
                false => connections.listen(Bind::unix(&path), config),
            });
            let mut ask = |request: String| {
                let stream = UnixStream::connect(&path).unwrap();
                stream.set_nonblocking(true).unwrap();
                status(&mut rig, stream, &request)
            };
            for (host, expected) in [
                ("Host:\r\n", 200),
                ("Host: \r\n", 200),
                ("Host: unix\r\n", 200),
                ("Host: d\r\n", 200),
                ("Host: my_socket:80\r\n", 200),
                ("Host: localhost\r\n", 200),
                ("Host: app.example\r\n", 200),
                ("Host: evil.example\r\n", 421),
                ("Host: unix.d\r\n", 421),
                ("Host: a b\r\n", 400),
                ("Host: :80\r\n", 400),
                ("Host:\r\nHost:\r\n", 400),
                ("", 400),
            ] {
                assert_eq!(ask(super::ask("GET", host)), expected, "{host:?}");
                let socket = if expected == 200 { 101 } else { expected };
                assert_eq!(ask(upgrade(host)), socket, "{host:?}");
            }
            for (request, expected) in [
                ("GET http://unix/ HTTP/1.1\r\nHost:\r\n\r\n", 200),
                ("GET http://evil.example/ HTTP/1.1\r\nHost: unix\r\n\r\n", 421),
                ("GET / HTTP/1.0\r\n\r\n", 200),
                ("GET / HTTP/1.0\r\nHost:\r\n\r\n", 200),
            ] {
                assert_eq!(ask(request.to_owned()), expected, "{request:?}");
            }
            for origin in ["http://unix", "https://app.example", "null", "http://"] {
                let fields = format!("Host:\r\nOrigin: {origin}\r\n");
                assert_eq!(ask(upgrade(&fields)), 403, "{origin}");
                assert_eq!(ask(super::ask("POST", &fields)), 403, "{origin}");
                assert_eq!(ask(super::ask("GET", &fields)), 403, "{origin}");
            }
            for (origin, expected) in [("http://unix", 101), ("https://app.example", 101), ("http://d", 403)]
            {
                assert_eq!(
                    ask(upgrade(&format!("Host: unix\r\nOrigin: {origin}\r\n"))),
                    expected,
                    "{origin}"
                );
            }
        }
    }
}

#[test]
fn over_tcp_the_host_is_still_required() {
    let mut rig = Rig::new(ServerConfig::new());
    let address = rig.address();
    for (host, expected) in
        [("", 400), (".localhost", 400), ("a.localhost", 200), ("unix", 421), ("d", 421), ("localhost", 200)]
    {
        assert_eq!(
            status(&mut rig, tcp(address), &ask("GET", &format!("Host: {host}\r\n"))),
            expected,
            "{host}"
        );
    }
}

#[test]
fn a_zone_in_a_host_is_accepted_on_link_local_addresses_only() {
    let mut rig = Rig::new(ServerConfig::new());
    let address = rig.address();
    for host in ["[fe80::1%eth0]", "[fe80::1%25eth0]:9000", "[FEBF::1%253]", "[fe80::1%2]:9000"] {
        assert_eq!(status(&mut rig, tcp(address), &ask("GET", &format!("Host: {host}\r\n"))), 200, "{host}");
        let fields = format!("Host: {host}\r\nOrigin: http://{host}\r\n");
        assert_eq!(status(&mut rig, tcp(address), &upgrade(&fields)), 101, "{host}");
    }
    let fields = "Host: [fe80::1%25eth0]:9000\r\nOrigin: http://[fe80::1]:9000\r\n";
    assert_eq!(status(&mut rig, tcp(address), &upgrade(fields)), 101);
    let fields = "Host: [fe80::1%25eth0]:9000\r\nOrigin: http://[fe80::2%25eth0]:9000\r\n";
    assert_eq!(status(&mut rig, tcp(address), &upgrade(fields)), 403);
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
        assert_eq!(status(&mut rig, tcp(address), &ask("GET", &format!("Host: {host}\r\n"))), 400, "{host}");
    }
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
    let Some((address, name)) = link_local("ws-server-mio: zones") else { return };
    let mut rig = Both::on(Bind::from(SocketAddr::from(address)), Options::default());
    let (ip, port, index) = (address.ip(), rig.server_address().port(), address.scope_id());
    let mut zones = vec![format!("25{index}"), index.to_string()];
    if cfg!(unix) {
        zones.extend([format!("25{name}"), name]);
    }
    for zone in zones {
        let url = format!("ws://[{ip}%{zone}]:{port}/");
        let origin = format!("http://[{ip}%{zone}]:{port}");
        let request = ClientRequest::new(&url).unwrap().origin(&origin).unwrap();
        let client = rig.connections().connect(request, ClientConfig::new()).unwrap();
        let id = rig.opened(client);
        let peer = rig.connections().peer_addr(id).unwrap();
        assert_eq!(peer, SocketAddrV6::new(*ip, port, 0, index).into(), "{url}");
        let request = rig.events.upgrades.pop().unwrap();
        assert_eq!(request.headers[http::header::HOST], format!("[{ip}]:{port}"), "{url}");
        assert_eq!(request.headers[http::header::ORIGIN], format!("http://[{ip}]:{port}"), "{url}");
    }
}

#[test]
fn an_unknown_zone_fails_by_name_without_a_resolver() {
    let mut rig = Both::new();
    let client = rig.connections().connect("ws://[fe80::1%25nowhere0]:9000/", ClientConfig::new()).unwrap();
    match rig.failed(client) {
        error @ ConnectError::Zone { .. } => {
            let text = error.to_string();
            assert!(text.contains("\"nowhere0\"") && text.contains("number"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.sockets(), 0, "no socket is left");
}
