//! Tunnels with TLS: to the proxy, to the server behind it, and one within the other.

use crate::kit::identity;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use ws_host::client::{ClientConfig, ConnectStep};
use ws_host::layer::Layer;
use ws_host::proxy::{Proxy, ProxyError};
use ws_host::tls::{CertificateFault, ServerTls, TlsClient, TlsError, TlsLayer, TlsMode, TlsServer};
use ws_kit::tls::Authority;
use ws_proto::{ClientRequest, Config, Error};

/// One direction each way; a read or a write transfers at most `size` bytes, and every second one would block.
struct Wire {
    input: VecDeque<u8>,
    output: VecDeque<u8>,
    size: usize,
    turns: [bool; 2],
}

impl Wire {
    fn new(size: usize) -> Self {
        Self { input: VecDeque::new(), output: VecDeque::new(), size, turns: [false; 2] }
    }

    fn would_block(&mut self, which: usize) -> bool {
        self.turns[which] = !self.turns[which];
        self.turns[which]
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = buffer.len().min(self.size).min(self.input.len());
        if n == 0 || self.would_block(0) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer.iter_mut().zip(self.input.drain(..n)).for_each(|(to, from)| *to = from);
        Ok(n)
    }
}

impl Write for Wire {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.would_block(1) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = data.len().min(self.size);
        self.output.extend(&data[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A peer's end: with TLS, or without.
struct End {
    layer: Layer,
    wire: Wire,
    received: Vec<u8>,
    to_send: Vec<u8>,
}

impl End {
    fn new(layer: Layer, size: usize) -> Self {
        Self { layer, wire: Wire::new(size), received: Vec::new(), to_send: Vec::new() }
    }

    /// Reads and writes once; returns whether the peer has ended, or the error.
    fn step(&mut self) -> Result<bool, Error> {
        let mut buffer = [0; 3000];
        let mut ended = false;
        match self.layer.read(&mut self.wire, &mut buffer) {
            Ok(0) => ended = true,
            Ok(n) => self.received.extend_from_slice(&buffer[..n]),
            Err(error) if is_pending(&error) => {}
            Err(error) => return Err(error.into()),
        }
        if self.to_send.is_empty() || self.layer.is_handshaking() {
            match self.layer.flush(&mut self.wire) {
                Err(error) if !is_pending(&error) => return Err(error.into()),
                _ => {}
            }
        } else {
            match self.layer.write(&mut self.wire, &[IoSlice::new(&self.to_send)]) {
                Ok(n) => drop(self.to_send.drain(..n)),
                Err(error) if is_pending(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(ended)
    }
}

fn is_pending(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

struct Rig {
    client: End,
    proxy: End,
    server: End,
    /// The proxy has answered.
    is_open: bool,
    /// TLS with the proxy has ended.
    proxy_ended: bool,
}

const CONNECT: &[u8] = b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n";

impl Rig {
    /// A client of `wss://localhost`, behind a proxy with TLS or without.
    fn new(scheme: &str, size: usize, trusts_proxy: bool) -> Self {
        let (outer, inner) = (Authority::new("root of the proxy"), Authority::new("root of the server"));
        let roots = |authority: &Authority| TlsClient::roots_only(authority.pem()).unwrap();
        let server_layer = |authority: &Authority| {
            let tls = TlsServer::new(identity(authority, &["localhost"])).unwrap();
            Layer::from(TlsLayer::server(ServerTls::new(tls, TlsMode::Only, &Config::server())))
        };
        let proxy = Proxy::new(&format!("{scheme}://localhost:3128")).unwrap();
        let proxy = proxy.tls(roots(if trusts_proxy { &outer } else { &inner }));
        let config = ClientConfig::new().tls(roots(&inner)).proxy(proxy);
        let request = ClientRequest::new("wss://localhost/").unwrap();
        let client = config.layer(&request, &Config::client()).unwrap().unwrap();
        let proxy = if scheme == "https" { server_layer(&outer) } else { Layer::default() };
        Self {
            client: End::new(client, size),
            proxy: End::new(proxy, size),
            server: End::new(server_layer(&inner), size),
            is_open: false,
            proxy_ended: false,
        }
    }

    /// One step of each end.
    fn step(&mut self) -> Result<(), Error> {
        self.client.step()?;
        self.proxy.wire.input.append(&mut self.client.wire.output);
        // A client that rejects the certificate sends an alert.
        if !self.proxy_ended {
            self.proxy_ended = self.proxy.step().unwrap_or(true);
        }
        self.client.wire.input.append(&mut self.proxy.wire.output);
        if !self.is_open {
            assert!(CONNECT.starts_with(&self.proxy.received), "sent before the tunnel is open");
            if self.proxy.received == CONNECT {
                self.proxy.received.clear();
                self.proxy.to_send.extend(b"HTTP/1.1 200 OK\r\n\r\n");
                self.is_open = true;
            }
            return Ok(());
        }
        self.server.wire.input.extend(self.proxy.received.drain(..));
        self.server.step()?;
        self.proxy.to_send.extend(self.server.wire.output.drain(..));
        Ok(())
    }

    fn until(&mut self, done: impl Fn(&Self) -> bool) -> Result<(), Error> {
        for _ in 0..100_000 {
            if done(self) {
                return Ok(());
            }
            self.step()?;
        }
        panic!("it stalls");
    }
}

#[test]
fn tls_passes_through_a_tunnel_and_through_tls_with_the_proxy_in_cuts_of_every_size() {
    for scheme in ["http", "https"] {
        for size in (1..30).chain([517, 5000, 100_000]) {
            let mut rig = Rig::new(scheme, size, true);
            let length = 40_000.min(1000 * size);
            let (up, down) = (vec![1; length], vec![2; length + 10]);
            rig.client.to_send.extend(&up);
            rig.server.to_send.extend(&down);
            let received = |rig: &Rig| (rig.server.received.len(), rig.client.received.len());
            rig.until(|rig| received(rig) == (length, length + 10)).unwrap();
            assert!(rig.server.received == up && rig.client.received == down, "{scheme} {size}");
            assert_eq!(rig.client.layer.step(), ConnectStep::Handshake);
            let names = &rig.client.layer.info().unwrap().peer_certificates;
            assert_eq!(names.len(), 1, "of the server, not of the proxy");
        }
    }
}

#[test]
fn the_step_says_what_is_awaited() {
    let mut rig = Rig::new("https", 400, true);
    let mut steps = vec![rig.client.layer.step()];
    while steps.last() != Some(&ConnectStep::Handshake) {
        rig.step().unwrap();
        steps.push(rig.client.layer.step());
    }
    steps.dedup();
    assert_eq!(steps, [ConnectStep::Proxy, ConnectStep::Tls, ConnectStep::Handshake]);
}

#[test]
fn a_close_ends_tls_with_the_server_and_then_with_the_proxy() {
    for size in [1, 40, 5000] {
        let mut rig = Rig::new("https", size, true);
        rig.until(|rig| rig.client.layer.step() == ConnectStep::Handshake).unwrap();
        rig.client.to_send.extend(b"bye");
        rig.until(|rig| rig.server.received == b"bye").unwrap();
        rig.client.layer.close();
        rig.until(|rig| rig.proxy_ended).unwrap();
        // The proxy first passes on what the client has sent to the server.
        let mut ended = false;
        rig.server.wire.input.extend(rig.proxy.received.drain(..));
        for _ in 0..1000 {
            ended |= rig.server.step().unwrap();
        }
        assert!(ended, "{size}");
    }
}

#[test]
fn a_proxy_that_is_not_trusted_is_an_error_of_the_proxy() {
    let mut rig = Rig::new("https", 1000, false);
    match rig.until(|_| false) {
        Err(Error::Proxy(ProxyError::Tls(TlsError::ServerCertificate(CertificateFault::NotTrusted {
            ..
        })))) => {}
        other => panic!("{other:?}"),
    }
    assert!(!rig.is_open);
}

#[test]
fn an_https_url_for_a_proxy_without_tls_is_an_error_of_the_proxy() {
    let mut client = Rig::new("https", 1000, true).client;
    client.wire.input.extend(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let mut result = Ok(false);
    for _ in 0..10 {
        result = result.and_then(|_| client.step());
    }
    assert!(matches!(result, Err(Error::Proxy(ProxyError::Tls(TlsError::PlainHttp)))), "{result:?}");
}

#[test]
fn an_http_url_for_a_proxy_with_tls_names_the_remedy() {
    let mut client = Rig::new("http", 1000, true).client;
    // The alert that answers CONNECT.
    client.wire.input.extend(b"\x15\x03\x03\x00\x02\x02\x0a");
    let mut result = Ok(false);
    for _ in 0..10 {
        result = result.and_then(|_| client.step());
    }
    assert!(matches!(result, Err(Error::Proxy(ProxyError::TlsRequired))), "{result:?}");
}
