//! WebSockets over an unruly stream: a client sends numbered messages, and receives their echoes and unrequested news.

use crate::common::strict::Strict;
use crate::common::{Random, at_most};
use crate::sides::{ClientSide, ServerSide};
use crate::{MARKS, Run, TIMERS, content, content_len, patient};
use bytes::Bytes;
use futures_lite::future::{poll_once, yield_now};
use futures_lite::{AsyncRead, AsyncWrite};
use std::cell::RefCell;
use std::rc::Rc;
use ws_kit::oracle::Events;
use ws_server_smol::{CloseCode, Config, Error, Initiator, Opcode, SendError};
use ws_server_smol::{Frame, Incoming, Message, Sender, WebSocket};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Echo(usize),
    News(usize),
}

/// What both ends have sent and received.
#[derive(Default)]
struct Ledger {
    /// The lengths of the messages that the client's connection has accepted.
    sent: Vec<usize>,
    received: usize,
    /// What the server's connection has accepted.
    said: Vec<Said>,
    got: usize,
    /// The application has rejected, dropped or closed it.
    cut: bool,
    /// Reported closes, of the server and of the client.
    ends: (usize, usize),
    /// The client has opened.
    open: bool,
    news_sender: Option<Sender>,
    over: bool,
}

type Shared = Rc<RefCell<Ledger>>;

/// Polls a future a few times at most, drops it, and tries again, until one completes.
macro_rules! insist {
    ($random:expr, $future:expr) => {
        loop {
            if let Some(value) = at_most($random.below(4), $future).await {
                break value;
            }
            yield_now().await;
        }
    };
}

pub(crate) fn run(seed: u64, client: impl ClientSide, server: impl ServerSide, run: &Run<'_>) {
    let ledger = Shared::default();
    let mut random = Random::new(seed);
    let marks = random.pick(&MARKS);
    let config = patient(Config::server()).outbox(marks.0, marks.1, marks.2);
    let count = random.below(12);
    let mut tasks = Strict::with_timers(seed, TIMERS);
    tasks.spawn("server", serve(server, config, ledger.clone(), Random::new(seed + 1)));
    tasks.spawn("teller", send_news(ledger.clone(), Random::new(seed + 2)));
    tasks.spawn("client", talk(client, run.capacity, count, ledger.clone(), Random::new(seed + 3)));
    tasks.run();

    let ledger = ledger.borrow();
    // A truncated message is a prefix; any other is whole.
    assert!(ledger.received <= ledger.sent.len() && ledger.got <= ledger.said.len());
    if run.healthy && !ledger.cut {
        assert!(ledger.open);
        assert_eq!((ledger.received, ledger.sent.len()), (count, count));
        let echoes = ledger.said[..ledger.got].iter().filter(|said| matches!(said, Said::Echo(_)));
        assert_eq!(echoes.count(), count);
    }
    assert_eq!(ledger.ends, (1, usize::from(ledger.open)), "each close is reported, once");
    run.total(|total| total.messages += ledger.received + ledger.got);
}

async fn serve(side: impl ServerSide, config: Config, ledger: Shared, mut random: Random) {
    let mut http = side.http(config).await;
    let mut events = Events::server();
    while let Some(incoming) = insist!(random, http.next()) {
        let Incoming::Upgrade(upgrade) = incoming else { panic!("{incoming:?}") };
        events.upgrade();
        match random.below(10) {
            0 => {
                ledger.borrow_mut().cut = true;
                let mut no = http::Response::new(Bytes::from_static(b"no"));
                *no.status_mut() = http::StatusCode::FORBIDDEN;
                let _ = http.respond(upgrade, no).await;
            }
            1 => {
                ledger.borrow_mut().cut = true;
                drop(upgrade);
            }
            _ => match http.accept(upgrade).await {
                Ok(ws) => {
                    events.open();
                    return echo(ws, events, ledger, random).await;
                }
                Err(_) => return ledger.borrow_mut().end(),
            },
        }
    }
    assert!(http.get_ref().is_none(), "the stream is gone");
    assert!(insist!(random, http.next()).is_none());
    http.closed().into_iter().for_each(|closed| events.close(closed));
    events.must_be_over();
    ledger.borrow_mut().end();
}

impl Ledger {
    fn end(&mut self) {
        self.ends.0 += 1;
        self.over = true;
    }
}

async fn echo(
    mut ws: WebSocket<impl AsyncRead + AsyncWrite + Unpin>,
    mut events: Events,
    ledger: Shared,
    mut random: Random,
) {
    ledger.borrow_mut().news_sender = Some(ws.sender());
    let mut reported = 0;
    loop {
        match insist!(random, ws.next()) {
            Some(Ok(message)) => {
                events.message(&message);
                let n = {
                    let mut ledger = ledger.borrow_mut();
                    let n = ledger.received;
                    assert_eq!(message.as_bytes(), content(n, ledger.sent[n]), "message {n}");
                    ledger.received += 1;
                    n
                };
                match ws.try_send(message) {
                    Ok(_) => ledger.borrow_mut().said.push(Said::Echo(n)),
                    Err(SendError::Full) => ledger.borrow_mut().cut = true, // a payload that cannot be returned
                    Err(error) => assert_eq!(error, SendError::NotOpen),
                }
                if random.below(3) == 0 {
                    let _ = at_most(random.below(4), ws.flush()).await;
                }
                if random.below(40) == 0 {
                    ledger.borrow_mut().cut = true;
                    let _ = ws.start_close(CloseCode::from(4000), "enough");
                }
            }
            Some(Err(closed)) => {
                events.close(&closed);
                reported += 1;
            }
            None => break,
        }
    }
    // Clean or not, the end is final.
    let closed = ws.closed().unwrap().clone();
    assert_eq!(reported, usize::from(!closed.clean), "{closed}");
    if reported == 0 {
        events.close(&closed);
    }
    assert_eq!(closed.clean, closed.error.is_none(), "{closed}");
    assert!(!matches!(closed.error, Some(Error::Timeout(_) | Error::Protocol(_))), "{closed}");
    assert!(ws.get_ref().is_none(), "the stream is gone");
    assert_eq!(ws.try_send("late"), Err(SendError::NotOpen));
    assert_eq!(ws.flush().await, Err(SendError::NotOpen));
    assert!(insist!(random, ws.next()).is_none());
    ledger.borrow_mut().end();
}

/// Another task of the server, which waits for room.
async fn send_news(ledger: Shared, mut random: Random) {
    for k in 0..random.below(10) {
        let sender = loop {
            let (sender, over) = (ledger.borrow().news_sender.clone(), ledger.borrow().over);
            match sender {
                None if over => return,
                None => yield_now().await,
                Some(sender) => break sender,
            }
        };
        let news = Frame::text(format!("news {k}"));
        match insist!(random, sender.send(news.clone())) {
            Ok(()) => ledger.borrow_mut().said.push(Said::News(k)),
            Err(error) => return assert_eq!(error, SendError::NotOpen),
        }
        for _ in 0..random.below(20) {
            yield_now().await;
        }
    }
}

async fn talk(side: impl ClientSide, capacity: usize, count: usize, ledger: Shared, mut random: Random) {
    let Ok(mut ws) = side.open(patient(Config::client())).await else { return };
    ledger.borrow_mut().open = true;
    let (mut echoes, mut ended, mut events) = (0, 0, Events::client().upgraded());
    while echoes < count {
        while ledger.borrow().sent.len() < count && random.below(3) > 0 {
            let len = content_len(&mut random, capacity);
            let n = ledger.borrow().sent.len();
            if say(&mut ws, content(n, len), &mut random).is_err() {
                break;
            }
            ledger.borrow_mut().sent.push(len);
        }
        // While it has more to send, it does not wait.
        let all_said = ledger.borrow().sent.len() == count;
        let next = match all_said {
            true => Some(ws.next().await),
            false => poll_once(ws.next()).await,
        };
        match next {
            Some(Some(Ok(message))) => {
                events.message(&message);
                echoes += usize::from(ledger.borrow_mut().receives(&message));
            }
            Some(Some(Err(closed))) => {
                events.close(&closed);
                ended += 1;
            }
            Some(None) => break,
            None => yield_now().await,
        }
    }
    if ws.closed().is_none() {
        // What follows its Close is news.
        let _ = ws.start_close(CloseCode::NORMAL, "");
        while let Some(next) = ws.next().await {
            match next {
                Ok(message) => {
                    events.message(&message);
                    assert!(!ledger.borrow_mut().receives(&message));
                }
                Err(closed) => {
                    events.close(&closed);
                    ended += 1;
                }
            }
        }
    }
    let closed = ws.closed().unwrap();
    // The server's code gives a reason, where it closed.
    let is_ordinary = closed.clean && (closed.code.get() != 4000 || closed.initiator == Initiator::Local);
    assert_eq!(ended, usize::from(!is_ordinary), "{closed}");
    if ended == 0 {
        events.close(closed);
    }
    ledger.borrow_mut().ends.1 += 1;
}

impl Ledger {
    /// Returns whether it is an echo.
    fn receives(&mut self, message: &Message<'_>) -> bool {
        let said = self.said[self.got];
        self.got += 1;
        match said {
            Said::Echo(n) => assert_eq!(message.as_bytes(), content(n, self.sent[n]), "echo {n}"),
            Said::News(k) => assert_eq!(message.as_text(), Some(&*format!("news {k}"))),
        }
        matches!(said, Said::Echo(_))
    }
}

/// Sends a message in one to three fragments, sometimes after a Ping.
fn say(
    ws: &mut WebSocket<impl AsyncRead + AsyncWrite + Unpin>,
    data: &[u8],
    random: &mut Random,
) -> Result<(), SendError> {
    if random.below(5) == 0 {
        ws.sender().send_ping(b"there?")?;
    }
    let fragments = 1 + random.below(3);
    for k in 0..fragments {
        let part = &data[data.len() * k / fragments..data.len() * (k + 1) / fragments];
        let opcode = if k == 0 { Opcode::Binary } else { Opcode::Continuation };
        let last = k + 1 == fragments;
        ws.try_send(Frame::raw(opcode, last, part.to_vec())?)?;
    }
    Ok(())
}
