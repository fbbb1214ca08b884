//! Over TLS, a message allocates nothing beyond itself and what rustls does, and an idle connection holds nothing but
//! its session and its task.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use allocation_counter::{AllocationInfo, measure};
use futures_lite::future::yield_now;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use ws_kit::peer::{BINARY, frame, handshake};
use ws_server_smol::tls::{TlsClient, TlsLayer, TlsServer};
use ws_server_smol::{Bind, HttpConnection, Server, ServerConfig, block_on};

/// Only ends a hang.
const HANG: Duration = Duration::from_secs(60);
const SIZES: [usize; 3] = [16, 512, 16_000];

async fn echo(http: HttpConnection) {
    let Some(mut ws) = http.upgrade().await else { return };
    while let Some(Ok(message)) = ws.next().await {
        ws.try_send(message).unwrap();
    }
}

/// A server, and what its polls allocate: its peers are in the same thread, but not counted.
struct Rig<'s> {
    serving: Pin<Box<dyn Future<Output = ()> + 's>>,
    address: SocketAddr,
    client: TlsClient,
    counted: AllocationInfo,
    /// How many records the server has opened and sealed.
    records: u64,
}

/// A client's socket, which does not block, and its TLS.
struct Peer(TcpStream, TlsLayer);

fn with_rig(test: impl AsyncFnOnce(&mut Rig<'_>)) {
    let [pem, key] = ws_kit::chat::certificate().unwrap();
    let config = ServerConfig::new().tls(TlsServer::from_pem(&pem, key).unwrap());
    let server = Server::bind(Bind::localhost(), config).unwrap();
    let mut rig = Rig {
        serving: Box::pin(async {
            server.serve(echo).await;
        }),
        address: server.local_addr().unwrap(),
        client: TlsClient::roots_only(pem).unwrap(),
        counted: AllocationInfo::default(),
        records: 0,
    };
    block_on(test(&mut rig));
}

impl Rig<'_> {
    /// What the server's polls allocate within this.
    async fn count(&mut self, run: impl AsyncFnOnce(&mut Self)) -> AllocationInfo {
        (self.counted, self.records) = (AllocationInfo::default(), 0);
        run(self).await;
        self.counted
    }

    /// Polls the server until the peer can do this.
    async fn until<T>(&mut self, mut act: impl FnMut() -> io::Result<T>) -> T {
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
            let Self { serving, counted, .. } = self;
            let counting = std::future::poll_fn(|cx: &mut Context<'_>| {
                *counted += measure(|| assert!(serving.as_mut().poll(cx).is_pending()));
                Poll::Ready(())
            });
            counting.await;
            yield_now().await;
        }
    }

    async fn open(&mut self) -> Peer {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut peer = Peer(socket, TlsLayer::client(&self.client, "127.0.0.1").unwrap());
        peer.1.flush(&mut peer.0).unwrap();
        self.exchange(&mut peer, &handshake(self.address, "/"), 129).await;
        peer
    }

    /// Sends these bytes, in one record, and receives so many.
    async fn exchange(&mut self, Peer(socket, tls): &mut Peer, bytes: &[u8], mut answer: usize) {
        let (mut sent, mut records) = (0, 1);
        // A read returns one record.
        let mut buffer = [0; 20_000];
        while sent < bytes.len() || answer > 0 {
            let step = || {
                match tls.write(socket, &[IoSlice::new(&bytes[sent..])]) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    written => sent += written?,
                }
                answer -= tls.read(socket, &mut buffer)?;
                records += 1;
                Ok(())
            };
            self.until(step).await;
        }
        self.records += records;
        // It has read all there is, so the next polls have nothing to do.
        let last = || match tls.read(socket, &mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
            Ok(n) => panic!("{n} bytes more"),
        };
        self.until(last).await;
    }
}

fn echoed(size: usize) -> usize {
    size + if size < 126 { 2 } else { 4 }
}

#[test]
fn an_echo_allocates_its_message_and_no_more_than_rustls_does_for_its_records() {
    with_rig(async |rig| {
        let mut peers = Vec::new();
        for _ in 0..20 {
            peers.push(rig.open().await);
        }
        for (size, messages) in SIZES.map(|size| (size, 1)).into_iter().chain([(16, 100)]) {
            let request = frame(BINARY, &vec![b'x'; size]).repeat(messages);
            let mut round = async |rig: &mut Rig<'_>, count: usize| {
                for _ in 0..count {
                    for peer in &mut peers {
                        rig.exchange(peer, &request, messages * echoed(size)).await;
                    }
                }
            };
            round(rig, 5).await;
            let counted = rig.count(async |rig| round(rig, 10).await).await;
            let what = format!("{messages} of {size} bytes in {} records: {counted:?}", rig.records);
            assert!(counted.count_total <= 10 * 20 * messages as u64 + rig.records, "{what}");
            assert_eq!((counted.count_current, counted.bytes_current), (0, 0), "{what}");
        }
    });
}

#[test]
fn an_idle_connection_holds_its_session_and_its_task_alone() {
    with_rig(async |rig| {
        let message = frame(BINARY, &[b'x'; 16_000]);
        for _ in 0..100 {
            let mut peer = rig.open().await;
            rig.exchange(&mut peer, &message, echoed(16_000)).await;
        }
        let mut peers = Vec::new();
        let idle = rig
            .count(async |rig| {
                for _ in 0..512 {
                    peers.push(rig.open().await)
                }
            })
            .await;
        let carried = rig
            .count(async |rig| {
                for peer in &mut peers {
                    rig.exchange(peer, &message, echoed(16_000)).await;
                }
            })
            .await;
        let idle = idle.bytes_current / 512;
        assert!((5000..6500).contains(&idle), "{idle} bytes");
        assert!(carried.bytes_current < 512, "{carried:?}");
    });
}
