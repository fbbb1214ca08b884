//! `wss://` between the crate's own clients and servers.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use ws_server_mio::tls::{
    CertificateFault as Fault, Identity, Opened, TlsClient, TlsError, TlsLayer, TlsMode, TlsServer,
    TlsStream, TlsVersion,
};
use ws_server_mio::{
    Bind, Budget, Bytes, ClientConfig, CloseCode, ConnectError, ConnectionId, Connections, Endpoint, Event,
    Heartbeat, Options, ServerConfig, ServerId, Stats,
};

/// Longer than any test takes, unless it hangs.
const HANG: Duration = Duration::from_secs(60);

struct Tls {
    pem: String,
    identity: Identity,
}

impl Tls {
    fn new() -> Self {
        let [pem, key] = ws_kit::chat::certificate().unwrap();
        let identity = Identity::from_pem(&pem, key).unwrap();
        Self { pem, identity }
    }

    fn server(&self) -> ServerConfig {
        ServerConfig::new().tls(TlsServer::new(self.identity.clone()).unwrap())
    }

    fn client(&self) -> ClientConfig {
        ClientConfig::new().tls(TlsClient::roots_only(&self.pem).unwrap())
    }
}

/// A loop with a server and its clients.
struct Rig {
    endpoint: Endpoint,
    server: ServerId,
}

impl Rig {
    fn new(config: ServerConfig) -> Self {
        Self::with(Options::default(), config)
    }

    fn with(options: Options, config: ServerConfig) -> Self {
        let mut endpoint = Endpoint::with(options).unwrap();
        let server = endpoint.connections().listen(Bind::localhost(), config).unwrap();
        Self { endpoint, server }
    }

    fn url(&mut self) -> String {
        self.endpoint.connections().server(self.server).url("/").unwrap()
    }

    /// Runs turns until the handler returns something.
    fn until<T>(&mut self, mut handle: impl FnMut(&mut Connections, Event<'_>) -> Option<T>) -> T {
        let start = Instant::now();
        let mut result = None;
        while result.is_none() {
            assert!(start.elapsed() < HANG, "it hangs");
            let handler = |connections: &mut Connections, event: Event<'_>| {
                if result.is_none() {
                    result = handle(connections, event);
                } else {
                    drop(event);
                }
            };
            self.endpoint.poll(Some(Duration::from_millis(20)), handler).unwrap();
        }
        result.unwrap()
    }

    /// The statistics once no connection is open.
    fn ended(&mut self) -> Stats {
        let start = Instant::now();
        loop {
            let stats = self.endpoint.connections().stats();
            if stats.open == 0 {
                return stats;
            }
            assert!(start.elapsed() < HANG, "it hangs");
            self.endpoint.poll(Some(Duration::from_millis(5)), |_, event| drop(event)).unwrap();
        }
    }

    /// How a client's attempt fails.
    fn failure(&mut self, url: &str, config: ClientConfig) -> ConnectError {
        self.endpoint.connections().connect(url, config).unwrap();
        self.until(|_, event| match event {
            Event::ConnectFailed { error, .. } => Some(error),
            Event::Open(..) => panic!("it is open"),
            _ => None,
        })
    }
}

/// Echoes messages of these lengths from a client to the server and back, then closes.
fn echo(options: Options, lengths: &[usize]) {
    let tls = Tls::new();
    let mut rig = Rig::with(options, tls.server());
    let url = rig.url();
    assert!(url.starts_with("wss://127.0.0.1:"), "{url}");
    rig.endpoint.connections().connect(url.as_str(), tls.client()).unwrap();
    let mut sent = 0;
    let mut ended = 0;
    rig.until(|connections, event| {
        match event {
            Event::Open(id, _) if connections.client_of(id).is_some() => {
                connections.send(id, vec![0; lengths[0]]).unwrap();
            }
            Event::Message(id, message) if connections.client_of(id).is_none() => {
                connections.send(id, message.into_owned()).unwrap();
            }
            Event::Message(id, message) => {
                assert_eq!(message.as_bytes(), vec![sent as u8; lengths[sent]]);
                sent += 1;
                match lengths.get(sent) {
                    Some(len) => _ = connections.send(id, vec![sent as u8; *len]).unwrap(),
                    None => connections.close(id, CloseCode::NORMAL, "done").unwrap(),
                }
            }
            Event::Closed(_, closed) => {
                assert!(closed.clean, "{closed}");
                ended += 1;
            }
            _ => {}
        }
        (ended == 2).then_some(())
    });
    assert_eq!(sent, lengths.len());
}

#[test]
fn messages_of_every_size_are_echoed_and_the_end_is_clean() {
    echo(Options::default(), &[0, 1, 125, 16_383, 16_384, 16_385, 65_536, 1 << 20, 5 << 20]);
}

#[test]
fn the_smallest_budget_loses_nothing() {
    let budget = Budget::ui().time(Duration::ZERO).bytes_per_visit(1).accepts(0).handshakes(0);
    echo(Options::ui().budget(budget), &[3, 300, 20_000]);
    let budget = Budget::ui().time(Duration::from_micros(50)).bytes_per_visit(5000);
    echo(Options::ui().budget(budget), &[1, 100_000, 2 << 20]);
}

#[test]
fn an_upgrade_shows_the_result_of_the_tls_handshake() {
    let tls = Tls::new();
    let mut rig = Rig::new(tls.server().decide_upgrades(true));
    let url = rig.url().replace("127.0.0.1", "localhost");
    rig.endpoint.connections().connect(url.as_str(), tls.client()).unwrap();
    let mut seen = false;
    let id: ConnectionId = rig.until(|connections, event| match event {
        Event::Upgrade(id, upgrade) => {
            let info = upgrade.tls().unwrap();
            assert_eq!((info.version, info.server_name.as_deref()), (TlsVersion::Tls13, Some("localhost")));
            assert!(upgrade.is_tls() && info.peer_certificates.is_empty());
            assert!(connections.negotiated(id).tls.is_some());
            seen = true;
            connections.accept(id, upgrade).unwrap();
            None
        }
        Event::Open(id, _) if connections.client_of(id).is_some() => Some(id),
        _ => None,
    });
    assert!(seen);
    assert_eq!(rig.endpoint.connections().negotiated(id).tls.unwrap().peer_certificates.len(), 1);
}

#[test]
fn a_client_says_why_it_does_not_trust_a_server() {
    let (tls, other) = (Tls::new(), Tls::new());
    let mut rig = Rig::new(tls.server());
    let url = rig.url();
    let error = rig.failure(&url, other.client());
    assert!(matches!(error, ConnectError::Tls(TlsError::ServerCertificate(Fault::SelfSigned))), "{error}");
    let pinned = |pin| ClientConfig::new().tls(TlsClient::system().pin(pin));
    let error = rig.failure(&url, pinned([0; 32]));
    assert!(matches!(error, ConnectError::Tls(TlsError::ServerCertificate(Fault::NotPinned))), "{error}");
    rig.endpoint.connections().connect(url.as_str(), pinned(tls.identity.key_sha256().unwrap())).unwrap();
    rig.until(|connections, event| match event {
        Event::Open(id, _) => connections.client_of(id).map(drop),
        Event::ConnectFailed { error, .. } => panic!("{error}"),
        _ => None,
    });
}

#[test]
fn plain_and_tls_do_not_mix() {
    let tls = Tls::new();
    let mut rig = Rig::new(tls.server());
    let url = rig.url().replace("wss:", "ws:");
    let error = rig.failure(&url, ClientConfig::new());
    assert!(matches!(error, ConnectError::Handshake(_) | ConnectError::Lost(_)), "{error}");
    assert_eq!(rig.ended().tls_failed, 1);
    let mut rig = Rig::new(ServerConfig::new());
    let url = rig.url().replace("ws:", "wss:");
    let error = rig.failure(&url, tls.client());
    assert!(matches!(error, ConnectError::Tls(TlsError::Truncated) | ConnectError::Lost(_)), "{error}");
    assert_eq!(rig.ended().tls_failed, 1);
}

#[test]
fn the_mode_decides_whether_a_client_without_tls_is_served() {
    let tls = Tls::new();
    for (mode, expected) in
        [(TlsMode::Only, ""), (TlsMode::OrRedirect, "HTTP/1.1 308 "), (TlsMode::OrPlain, "HTTP/1.1 426 ")]
    {
        let mut rig = Rig::new(tls.server().tls_mode(mode));
        let port = rig.endpoint.connections().server(rig.server).local_addr().unwrap().port();
        let client = std::thread::spawn(move || {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
            socket.write_all(b"GET /a?b HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\n\r\n").unwrap();
            let mut response = String::new();
            let _ = socket.read_to_string(&mut response);
            response
        });
        while !client.is_finished() {
            rig.endpoint.poll(Some(Duration::from_millis(5)), |_, event| drop(event)).unwrap();
        }
        let response = client.join().unwrap();
        assert!(
            if expected.is_empty() { response.is_empty() } else { response.starts_with(expected) },
            "{response}"
        );
    }
}

#[test]
fn a_hundred_clients_connect_with_few_handshakes_a_turn() {
    let tls = Tls::new();
    let budget = Budget::ui().handshakes(1);
    let mut rig = Rig::with(Options::ui().budget(budget), tls.server());
    let url = rig.url();
    for _ in 0..100 {
        rig.endpoint.connections().connect(url.as_str(), tls.client()).unwrap();
    }
    let mut open = 0;
    rig.until(|connections, event| {
        match event {
            Event::Open(id, _) => open += usize::from(connections.client_of(id).is_some()),
            Event::ConnectFailed { error, .. } => panic!("{error}"),
            Event::Closed(_, closed) => panic!("{closed}"),
            _ => {}
        }
        (open == 100).then_some(())
    });
}

/// A peer that sends a request, pauses until it may go on, and reads a little at a time until it has what it wants.
fn slow_peer(
    address: std::net::SocketAddr,
    pem: &str,
    request: &'static [u8],
    is_enough: impl Fn(&[u8]) -> bool + Send + 'static,
) -> (Sender<()>, JoinHandle<()>) {
    let client = TlsClient::roots_only(pem).unwrap();
    let (go_on, paused) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut socket = TcpStream::from(socket);
        let mut layer = TlsLayer::client(&client, "127.0.0.1").unwrap();
        layer.flush(&mut socket).unwrap();
        while layer.is_handshaking() {
            let error = layer.read(&mut socket, &mut [0; 1]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
        }
        assert_eq!(layer.write(&mut socket, &[IoSlice::new(request)]).unwrap(), request.len());
        paused.recv().unwrap();
        let (mut received, mut buffer) = (Vec::new(), vec![0; 20_000]);
        while !is_enough(&received) {
            match layer.read(&mut socket, &mut buffer) {
                Ok(0) => panic!("it ends after {} bytes", received.len()),
                Ok(n) => received.extend_from_slice(&buffer[..n]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}"),
            }
        }
    });
    (go_on, reading)
}

impl Rig {
    fn address(&mut self) -> std::net::SocketAddr {
        self.endpoint.connections().server(self.server).local_addr().unwrap()
    }

    /// Runs turns until the peer is done.
    fn run_until_done(&mut self, peer: JoinHandle<()>, limit: Duration) {
        let start = Instant::now();
        while !peer.is_finished() {
            assert!(start.elapsed() < limit, "it stalls");
            self.endpoint.poll(Some(Duration::from_millis(5)), |_, event| drop(event)).unwrap();
        }
        peer.join().unwrap();
    }
}

#[test]
fn a_response_of_any_length_arrives_whole_although_its_reader_paused() {
    // No timer causes a visit to the connection: only readiness from the kernel continues it.
    let never = Duration::MAX;
    let tls = Tls::new();
    let config = tls.server().heartbeat(Heartbeat::off()).output_timeout(never).keep_alive(never);
    let mut rig = Rig::new(config);
    for len in (40_000..400_000).step_by(15_000) {
        let request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        let (go_on, peer) = slow_peer(rig.address(), &tls.pem, request, move |got| got.len() > len);
        rig.until(|connections, event| match event {
            Event::Request(id, request) => {
                let body = Bytes::from(vec![0; len]);
                connections.respond(id, request, http::Response::new(body)).unwrap();
                Some(())
            }
            _ => None,
        });
        while rig.endpoint.poll(Some(Duration::from_millis(5)), |_, event| drop(event)).unwrap().more {}
        go_on.send(()).unwrap();
        // Some timer visits every connection after 30 s.
        rig.run_until_done(peer, HANG / 3);
    }
}

const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[test]
fn a_close_waits_for_output_that_is_encrypted_and_not_yet_written() {
    let tls = Tls::new();
    let close_timeout = Duration::from_millis(50);
    let mut rig = Rig::new(tls.server().close_timeout(close_timeout));
    for len in (60_000..400_000).step_by(20_000) {
        let is_closed = |got: &[u8]| got.ends_with(b"\x88\x02\x03\xe8");
        let (go_on, peer) = slow_peer(rig.address(), &tls.pem, UPGRADE, is_closed);
        rig.until(|connections, event| match event {
            Event::Open(id, _) => {
                connections.send(id, vec![0; len]).unwrap();
                connections.close(id, CloseCode::NORMAL, "").unwrap();
                Some(())
            }
            _ => None,
        });
        let start = Instant::now();
        while start.elapsed() < close_timeout * 2 {
            rig.endpoint.poll(Some(Duration::from_millis(5)), |_, event| drop(event)).unwrap();
        }
        go_on.send(()).unwrap();
        rig.run_until_done(peer, HANG);
    }
}

#[test]
fn only_an_answered_handshake_uses_the_budget() {
    let tls = Tls::new();
    let options = Options::default().budget(Budget::server().handshakes(1));
    let mut rig = Rig::with(options, tls.server());
    let address = rig.address();
    let mut peers: Vec<_> = (0..50).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut last = TcpStream::connect(address).unwrap();
    while rig.endpoint.connections().stats().accepted < 51 {
        rig.endpoint.poll(Some(Duration::from_millis(5)), |_, event| drop(event)).unwrap();
    }
    let client = TlsClient::roots_only(&tls.pem).unwrap();
    let hello = TlsStream::client(&client, "127.0.0.1").unwrap().output().to_vec();
    for peer in &mut peers {
        peer.write_all(&hello[..7]).unwrap();
    }
    last.write_all(&hello).unwrap();
    for _ in 0..3 {
        rig.endpoint.poll(Some(Duration::ZERO), |_, event| drop(event)).unwrap();
    }
    last.set_nonblocking(true).unwrap();
    assert!(last.peek(&mut [0]).unwrap() > 0, "it is answered");
    // The others are answered, too, one in each turn.
    for peer in &mut peers {
        peer.write_all(&hello[7..]).unwrap();
        peer.set_nonblocking(true).unwrap();
    }
    let is_answered = |peer: &TcpStream| peer.peek(&mut [0]).is_ok();
    let mut before = 0;
    while before < peers.len() {
        rig.endpoint.poll(Some(Duration::ZERO), |_, event| drop(event)).unwrap();
        let answered = peers.iter().filter(|peer| is_answered(peer)).count();
        assert!(answered <= before + 1, "more than one is answered in a turn");
        before = answered;
    }
}

/// A peer that opens a WebSocket, and then sends nothing. Returns what it received, and whether a close_notify came.
fn silent_peer(address: std::net::SocketAddr, pem: &str) -> (Vec<u8>, bool) {
    let mut received = Vec::new();
    let client = TlsClient::roots_only(pem).unwrap();
    let mut stream = TlsStream::client(&client, "127.0.0.1").unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    let mut has_requested = false;
    loop {
        socket.write_all(stream.output()).unwrap();
        stream.written(stream.output().len());
        match stream.open().unwrap() {
            Opened::Plaintext => {
                received.extend_from_slice(stream.plaintext());
                let n = stream.plaintext().len();
                stream.consume(n);
            }
            Opened::Closed => return (received, true),
            Opened::Starved if !stream.is_handshaking() && !has_requested => {
                has_requested = true;
                assert_eq!(stream.seal([UPGRADE]).unwrap(), UPGRADE.len());
            }
            Opened::Starved => match socket.read(stream.room()) {
                Ok(n) if n > 0 => stream.filled(n),
                _ => return (received, false),
            },
        }
    }
}

#[test]
fn a_stop_without_grace_sends_each_close_and_a_close_notify() {
    let tls = Tls::new();
    let mut rig = Rig::new(tls.server());
    let (address, pem, server) = (rig.address(), tls.pem.clone(), rig.server);
    let peer = std::thread::spawn(move || silent_peer(address, &pem));
    rig.until(|connections, event| match event {
        Event::Open(id, _) => {
            connections.send(id, "the last message").unwrap();
            connections.server(server).stop(Duration::ZERO);
            None
        }
        Event::Closed(_, closed) => {
            assert!(matches!(closed.error, Some(ws_server_mio::Error::Stopped)), "{closed}");
            assert_eq!(closed.sent, Some(CloseCode::GOING_AWAY));
            Some(())
        }
        _ => None,
    });
    let (received, is_notified) = peer.join().unwrap();
    assert!(received.ends_with(b"\x81\x10the last message\x88\x02\x03\xe9") && is_notified);
}

#[test]
fn close_notify_is_sent_at_every_end_except_an_abort() {
    let tls = Tls::new();
    for (is_aborted, is_dropped) in [(false, false), (true, false), (false, true)] {
        let mut rig = Rig::new(tls.server().close_timeout(Duration::from_millis(50)));
        let (address, pem) = (rig.address(), tls.pem.clone());
        let peer = std::thread::spawn(move || silent_peer(address, &pem));
        rig.until(|connections, event| match event {
            Event::Open(..) if is_dropped => Some(()),
            Event::Open(id, _) if is_aborted => {
                connections.terminate(id);
                Some(())
            }
            Event::Open(id, _) => {
                connections.close(id, CloseCode::NORMAL, "").unwrap();
                None
            }
            // The Close was not answered.
            Event::Closed(..) => Some(()),
            _ => None,
        });
        if !is_dropped {
            rig.ended();
        }
        drop(rig);
        assert_eq!(peer.join().unwrap().1, !is_aborted);
    }
}

/// A server with a budget of one handshake, and connections that it has accepted.
fn accepted(config: ServerConfig, options: Options, count: u64) -> (Rig, Vec<TcpStream>) {
    let mut rig = Rig::with(options.budget(Budget::server().handshakes(1)), config);
    let address = rig.address();
    let peers: Vec<_> = (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
    peers.iter().for_each(|peer| peer.set_nonblocking(true).unwrap());
    while rig.endpoint.connections().stats().accepted < count {
        rig.endpoint.poll(Some(Duration::from_millis(5)), |_, event| drop(event)).unwrap();
    }
    (rig, peers)
}

fn hello(tls: &Tls) -> Vec<u8> {
    let client = TlsClient::roots_only(&tls.pem).unwrap();
    TlsStream::client(&client, "127.0.0.1").unwrap().output().to_vec()
}

#[test]
fn a_handshake_that_waits_precedes_newer_ones() {
    let tls = Tls::new();
    let (mut rig, mut peers) = accepted(tls.server(), Options::default(), 10);
    let mut newer = peers.split_off(5);
    let hello = hello(&tls);
    for some in [&mut peers, &mut newer] {
        some.iter_mut().for_each(|peer| peer.write_all(&hello).unwrap());
        for _ in 0..2 {
            rig.endpoint.poll(Some(Duration::ZERO), |_, event| drop(event)).unwrap();
        }
    }
    rig.endpoint.poll(Some(Duration::ZERO), |_, event| drop(event)).unwrap();
    let answered = |peers: &[TcpStream]| peers.iter().filter(|peer| peer.peek(&mut [0]).is_ok()).count();
    assert_eq!((answered(&peers), answered(&newer)), (5, 0));
}

#[test]
fn a_handshake_that_waits_times_out() {
    let tls = Tls::new();
    let time = Arc::new(Mutex::new(Instant::now()));
    let clock = time.clone();
    let options = Options::default().clock(move || *clock.lock().unwrap());
    let timeout = Duration::from_secs(3);
    let (mut rig, mut peers) = accepted(tls.server().handshake_timeout(timeout), options, 20);
    let hello = hello(&tls);
    peers.iter_mut().for_each(|peer| peer.write_all(&hello).unwrap());
    for _ in 0..2 {
        rig.endpoint.poll(Some(Duration::ZERO), |_, event| drop(event)).unwrap();
    }
    assert_eq!(rig.endpoint.connections().stats().open, 20);
    *time.lock().unwrap() += timeout + Duration::from_secs(1);
    let mut more = true;
    for _ in 0..3 {
        more = rig.endpoint.poll(Some(Duration::ZERO), |_, event| drop(event)).unwrap().more;
    }
    assert_eq!((rig.endpoint.connections().stats().open, more), (0, false));
}
