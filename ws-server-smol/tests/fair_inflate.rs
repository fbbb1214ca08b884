//! What peers make a server inflate: shares are ordered, not limited. Counted in bytes, never in time, so that a
//! busy machine does not matter.
#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use async_executor::LocalExecutor;
use common::pipe::{End, pipe};
use common::run;
use futures_lite::future;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use ws_server_smol::{
    Bind, ClientConfig, CloseCode, Config, Deflate, Frame, HttpConnection, Incoming, Message, Server,
    ServerConfig, WebSocket, connect, handshake,
};
use ws_server_smol::{Delivery, Error, Event, ProtocolError};

const KIBI: usize = 1 << 10;
const MEBI: usize = 1 << 20;
const PEERS: usize = 200;
/// The first share of each, and the largest one.
const SHARES: (usize, usize) = (16 * KIBI, 64 * KIBI);
/// How much is inflated at a time: a connection may exceed its share by this.
const MORE: usize = 8 * KIBI;

fn compressing(config: Config) -> Config {
    config.deflate(Deflate::new()).outbox(64 * KIBI, MEBI, 64 * MEBI)
}

/// All inflated bytes are reported at once, which makes them countable.
fn chunked_delivery() -> Config {
    compressing(Config::server()).delivery(Delivery::Chunked { whole: 0 })
}

/// Both ends of a connection over streams in memory, after an opening handshake.
async fn open(config: &Arc<Config>) -> (WebSocket<End>, WebSocket<End>) {
    let (client, server) = pipe(16 * MEBI, 1);
    let accept = async {
        let mut http = HttpConnection::new(server.straight(), config.clone());
        let Some(Incoming::Upgrade(upgrade)) = http.next().await else { panic!("no upgrade") };
        http.accept(upgrade).await.unwrap()
    };
    let client = handshake(client.straight(), "ws://localhost/", Arc::new(compressing(Config::client())));
    let (client, server) = future::zip(client, accept).await;
    (client.unwrap(), server)
}

async fn say(client: &mut WebSocket<End>, message: impl Into<Frame>) {
    client.try_send(message.into()).unwrap();
    client.flush().await.unwrap();
}

/// Of each report, in order: the index of the peer, and the number of bytes.
type Reports = Rc<RefCell<Vec<(usize, usize)>>>;

async fn read(mut ws: WebSocket<End>, index: usize, reports: Reports) {
    while let Some(event) = ws.next_event().await {
        let len = match event {
            Event::Message(message) => message.as_bytes().len(),
            Event::Fragment(fragment) => fragment.data.as_bytes().len(),
            Event::Drained => continue,
            Event::Closed(_) => return,
            other => panic!("{other:?}"),
        };
        reports.borrow_mut().push((index, len));
    }
}

/// How many bytes of other peers were reported from there until this peer's report, and the position of that.
fn before(reports: &Reports, from: usize, index: usize) -> Option<(usize, usize)> {
    let reports = reports.borrow();
    let at = from + reports[from..].iter().position(|(other, _)| *other == index)?;
    Some((reports[from..at].iter().map(|(_, len)| len).sum(), at))
}

/// How many bytes of each bomb were reported.
fn bytes_of_each(reports: &[(usize, usize)]) -> [usize; PEERS] {
    let mut bytes = [0; PEERS];
    for (index, len) in reports.iter().filter(|(index, _)| *index < PEERS) {
        bytes[*index] += len;
    }
    bytes
}

/// Whether all shares are for that many peers. On a busy machine, time cuts polls short: some peers then keep shares
/// from when fewer wanted one, and use them up later.
#[derive(Default)]
struct Settling {
    /// What was reported of each when the last one began to need more than its first share.
    all_want: Option<[usize; PEERS]>,
}

impl Settling {
    fn is_over(&mut self, bytes: &[usize; PEERS]) -> bool {
        let (first, largest) = SHARES;
        if self.all_want.is_none() && bytes.iter().all(|bytes| *bytes > first + MORE) {
            self.all_want = Some(*bytes);
        }
        self.all_want.is_some_and(|since| {
            bytes.iter().zip(since).all(|(bytes, since)| *bytes >= since + largest + MORE)
        })
    }
}

#[test]
fn two_hundred_bombs_delay_an_honest_message_by_little() {
    let executor = LocalExecutor::new();
    let (reports, config) = (Reports::default(), Arc::new(chunked_delivery()));
    let mut bombers = Vec::new();
    let mut honest = run(async {
        for index in 0..PEERS {
            let (mut client, server) = open(&config).await;
            say(&mut client, Frame::binary(vec![0; MEBI])).await;
            bombers.push(client);
            executor.spawn(read(server, index, reports.clone())).detach();
        }
        // The honest peer comes last everywhere.
        let (mut client, server) = open(&config).await;
        say(&mut client, Frame::text("hello")).await;
        executor.spawn(read(server, PEERS, reports.clone())).detach();
        client
    });
    let (mut from, mut rounds) = (0, 0);
    let (mut settling, mut is_settled, mut settled_rounds) = (Settling::default(), false, 0);
    while reports.borrow().iter().filter(|(index, _)| *index < PEERS).map(|(_, len)| len).sum::<usize>()
        < PEERS * MEBI
    {
        assert!(executor.try_tick(), "it does not wait");
        if let Some((others, at)) = before(&reports, from, PEERS) {
            // One share of each at most, the first or a later one.
            let bytes = bytes_of_each(&reports.borrow()[..at]);
            is_settled &= bytes.iter().all(|bytes| *bytes < MEBI);
            let (first, largest) = SHARES;
            let most = match rounds {
                0 => PEERS * first,
                _ if is_settled => 4 * MEBI + PEERS * MORE,
                _ => PEERS * (largest + MORE),
            };
            assert!(others <= most, "{others} bytes before it, in round {rounds}");
            settled_rounds += usize::from(is_settled);
            is_settled = settling.is_over(&bytes);
            (from, rounds) = (at + 1, rounds + 1);
            run(say(&mut honest, Frame::text("again")));
        }
    }
    assert!(rounds > 30 && settled_rounds > 20, "{rounds}, {settled_rounds}");
    let reports = reports.borrow();
    let of = |index| reports.iter().filter(|(other, _)| *other == index).map(|(_, len)| len).sum::<usize>();
    assert!((0..PEERS).all(|index| of(index) == MEBI), "none is forgotten");
}

#[test]
fn an_honest_message_completes_before_any_joined_bomb() {
    let executor = LocalExecutor::new();
    let (reports, config) = (Reports::default(), Arc::new(compressing(Config::server())));
    let clients = run(async {
        let mut clients = Vec::new();
        for index in 0..=PEERS {
            let (mut client, server) = open(&config).await;
            let message = if index == PEERS { Frame::text("hello") } else { Frame::binary(vec![0; MEBI]) };
            say(&mut client, message).await;
            clients.push(client);
            executor.spawn(read(server, index, reports.clone())).detach();
        }
        clients
    });
    while reports.borrow().len() <= PEERS {
        assert!(executor.try_tick(), "it does not wait");
    }
    assert_eq!(reports.borrow()[0], (PEERS, 5));
    assert!(reports.borrow()[1..].iter().all(|(_, len)| *len == MEBI));
    drop(clients);
}

#[test]
fn a_bomb_alone_is_inflated_in_few_polls() {
    let executor = LocalExecutor::new();
    let (reports, config) = (Reports::default(), Arc::new(chunked_delivery()));
    let client = run(async {
        let (mut client, server) = open(&config).await;
        say(&mut client, Frame::binary(vec![0; 16 * MEBI])).await;
        executor.spawn(read(server, 0, reports.clone())).detach();
        client
    });
    let sum = || reports.borrow().iter().map(|(_, len)| len).sum::<usize>();
    let mut most = 0;
    while sum() < 16 * MEBI {
        let before = sum();
        assert!(executor.try_tick(), "it does not wait");
        most = most.max(sum() - before);
    }
    // Where time cuts no poll short, each has a share.
    assert!((16 * KIBI..=64 * KIBI + MORE).contains(&most), "{most}");
    drop(client);
}

#[test]
fn honest_peers_and_a_large_upload_share_fairly() {
    let executor = LocalExecutor::new();
    let config = Arc::new(compressing(Config::server()));
    let (uploaded, chatted) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let document = "{\"some\": \"json\", \"of\": \"many lines\"}\n".repeat(10 * MEBI / 37);
    let (mut chats, uploader) = run(async {
        let (mut uploader, server) = open(&config).await;
        say(&mut uploader, Frame::text(document.as_str())).await;
        let (to, mut ws) = (uploaded.clone(), server);
        executor
            .spawn(async move {
                while let Some(Ok(message)) = ws.next().await {
                    to.set(to.get() + message.as_bytes().len());
                }
            })
            .detach();
        let mut chats = Vec::new();
        for _ in 0..20 {
            let (client, mut ws) = open(&config).await;
            chats.push(client);
            let to = chatted.clone();
            executor
                .spawn(async move {
                    while let Some(Ok(message)) = ws.next().await {
                        assert_eq!(message.as_bytes().len(), 3700);
                        to.set(to.get() + 1);
                    }
                })
                .detach();
        }
        (chats, uploader)
    });
    let mut rounds = 0;
    while uploaded.get() == 0 {
        run(async {
            for chat in &mut chats {
                say(chat, Frame::text(&document[..3700])).await;
            }
        });
        rounds += 1;
        // All of them, and twice those that used up their share; and the upload in between.
        for _ in 0..50 {
            executor.try_tick();
        }
        assert!(chatted.get() >= rounds * chats.len(), "in round {rounds}");
        assert!(rounds < 400, "it starves");
    }
    assert_eq!(uploaded.get(), document.len());
    drop(uploader);
}

#[test]
fn sixteen_mebibytes_of_zeros_arrive_and_one_more_byte_is_too_big() {
    let limit = 16 * MEBI;
    for (by_server, len) in [(false, limit), (false, limit + 1), (true, limit), (true, limit + 1)] {
        let server = Server::bind(
            Bind::localhost(),
            ServerConfig::new().deflate(Deflate::new()).outbox(64 * KIBI, MEBI, 64 * MEBI),
        )
        .unwrap();
        run(async {
            let accept = async {
                let mut http = server.accept().await.unwrap();
                let Some(Incoming::Upgrade(upgrade)) = http.next().await else { panic!("no upgrade") };
                http.accept(upgrade).await.unwrap()
            };
            let client = connect(
                server.url("/").unwrap(),
                ClientConfig::new().deflate(Deflate::new()).outbox(64 * KIBI, MEBI, 64 * MEBI),
            );
            let (client, accepted) = future::zip(client, accept).await;
            let (mut sender, mut receiver) = (client.unwrap(), accepted);
            if by_server {
                std::mem::swap(&mut sender, &mut receiver);
            }
            sender.try_send(Frame::binary(vec![0; len])).unwrap();
            assert!(sender.queued() < len / 1000);
            let receiving = async {
                match receiver.next().await.unwrap() {
                    Ok(message) => {
                        let Message::Binary(data) = &message else { panic!("{message:?}") };
                        assert_eq!((data.len(), len), (limit, limit));
                        receiver.close(CloseCode::NORMAL, "").await.unwrap();
                    }
                    Err(closed) => {
                        assert_eq!(len, limit + 1);
                        let too_big = ProtocolError::MessageTooBig { limit: limit as u64 };
                        assert!(matches!(closed.error, Some(Error::Protocol(error)) if error == too_big));
                    }
                }
            };
            let (closed, ()) = future::zip(sender.next(), receiving).await;
            let code = if len > limit { CloseCode::TOO_BIG } else { CloseCode::NORMAL };
            match closed {
                Some(Err(closed)) => assert_eq!(closed.code, code),
                None => assert_eq!(sender.closed().unwrap().code, code),
                Some(Ok(message)) => panic!("{message:?}"),
            }
        });
    }
}
