//! Over TLS, a message allocates nothing beyond what rustls does, and an idle connection holds nothing but its session.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use allocation_counter::{AllocationInfo, measure};
use std::io::{self, ErrorKind, IoSlice};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use ws_kit::peer::{BINARY, frame, handshake};
use ws_server_mio::tls::{TlsClient, TlsLayer, TlsServer};
use ws_server_mio::{Bind, Connections, Endpoint, Event, ServerConfig};

/// Only ends a hang.
const HANG: Duration = Duration::from_secs(60);
const SIZES: [usize; 3] = [16, 512, 16_000];

fn echo(connections: &mut Connections, event: Event<'_>) {
    if let Event::Message(id, message) = event {
        connections.send(id, message).unwrap();
    }
}

/// A server, and what its turns allocate: its peers are in the same thread, but not counted.
struct Rig {
    endpoint: Endpoint,
    address: SocketAddr,
    client: TlsClient,
    counted: AllocationInfo,
    /// How many records the server has opened and sealed.
    records: u64,
}

/// A client's socket, which does not block, and its TLS.
struct Peer(TcpStream, TlsLayer);

impl Rig {
    fn new() -> Self {
        let [pem, key] = ws_kit::chat::certificate().unwrap();
        let config = ServerConfig::new().tls(TlsServer::from_pem(&pem, key).unwrap());
        let mut endpoint = Endpoint::new().unwrap();
        let server = endpoint.connections().listen(Bind::localhost(), config).unwrap();
        let address = endpoint.connections().server(server).local_addr().unwrap();
        let client = TlsClient::roots_only(pem).unwrap();
        Self { endpoint, address, client, counted: AllocationInfo::default(), records: 0 }
    }

    /// What the turns allocate within this.
    fn count(&mut self, run: impl FnOnce(&mut Self)) -> AllocationInfo {
        (self.counted, self.records) = (AllocationInfo::default(), 0);
        run(self);
        self.counted
    }

    /// Runs turns until the peer can do this.
    fn until<T>(&mut self, mut act: impl FnMut() -> io::Result<T>) -> T {
        let start = Instant::now();
        loop {
            match act() {
                Ok(value) => return value,
                Err(error) => assert!(
                    [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()),
                    "{error}"
                ),
            }
            assert!(start.elapsed() < HANG, "it hangs");
            self.counted += measure(|| _ = self.endpoint.poll(Some(Duration::ZERO), echo).unwrap());
        }
    }

    fn open(&mut self) -> Peer {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut peer = Peer(socket, TlsLayer::client(&self.client, "127.0.0.1").unwrap());
        peer.1.flush(&mut peer.0).unwrap();
        self.exchange(&mut peer, &handshake(self.address, "/"), 129);
        peer
    }

    /// Sends these bytes, in one record, and receives so many.
    fn exchange(&mut self, Peer(socket, tls): &mut Peer, bytes: &[u8], mut answer: usize) {
        let (mut sent, mut records) = (0, 1);
        // A read returns one record.
        let mut buffer = [0; 20_000];
        while sent < bytes.len() || answer > 0 {
            self.until(|| {
                match tls.write(socket, &[IoSlice::new(&bytes[sent..])]) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    written => sent += written?,
                }
                answer -= tls.read(socket, &mut buffer)?;
                records += 1;
                Ok(())
            });
        }
        self.records += records;
        // It has read all there is, so the next turns have nothing to do.
        self.until(|| match tls.read(socket, &mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
            Ok(n) => panic!("{n} bytes more"),
        });
    }
}

fn echoed(size: usize) -> usize {
    size + if size < 126 { 2 } else { 4 }
}

#[test]
fn an_echo_allocates_no_more_than_rustls_does_for_its_records() {
    let mut rig = Rig::new();
    let mut peers: Vec<_> = (0..20).map(|_| rig.open()).collect();
    for (size, messages) in SIZES.map(|size| (size, 1)).into_iter().chain([(16, 100)]) {
        let request = frame(BINARY, &vec![b'x'; size]).repeat(messages);
        let mut round = |rig: &mut Rig, count: usize| {
            for _ in 0..count {
                peers.iter_mut().for_each(|peer| rig.exchange(peer, &request, messages * echoed(size)));
            }
        };
        round(&mut rig, 5);
        let counted = rig.count(|rig| round(rig, 10));
        let what = format!("{messages} of {size} bytes in {} records: {counted:?}", rig.records);
        assert!(counted.count_total <= rig.records, "{what}");
        assert_eq!((counted.count_current, counted.bytes_current), (0, 0), "{what}");
    }
}

#[test]
fn an_idle_connection_holds_its_session_alone() {
    let mut rig = Rig::new();
    let message = frame(BINARY, &[b'x'; 16_000]);
    let mut early: Vec<_> = (0..100).map(|_| rig.open()).collect();
    early.iter_mut().for_each(|peer| rig.exchange(peer, &message, echoed(16_000)));
    let mut peers = Vec::new();
    let idle = rig.count(|rig| peers.extend((0..512).map(|_| rig.open()))).bytes_current / 512;
    let carried = rig.count(|rig| {
        peers.iter_mut().for_each(|peer| rig.exchange(peer, &message, echoed(16_000)));
    });
    assert!((3000..4000).contains(&idle), "{idle} bytes");
    assert!(carried.bytes_current < 512, "{carried:?}");
}
