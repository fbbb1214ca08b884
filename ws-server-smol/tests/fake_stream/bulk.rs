//! Bulk data, sent both ways at once in the ways that the documentation shows, and without regard to what a send
//! returns.

use crate::common::Random;
use crate::common::strict::Strict;
use crate::sides::{ClientSide, ServerSide};
use crate::{Run, TIMERS, accept, content, patient, users};
use futures_lite::future::{poll_once, yield_now, zip};
use futures_lite::{AsyncRead, AsyncWrite};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use ws_kit::oracle::Events;
use ws_server_smol::{CloseCode, Config, Error, Event, SendError, Sent, Timeout};
use ws_server_smol::{Message, WebSocket};

/// How an end sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// All at once, whatever `try_send` returns.
    Regardless,
    /// Until `Congested`; resumes at `Drained`.
    UntilCongested,
    /// Until `Full`; resumes at `Drained`.
    UntilFull,
    /// `Sender::send` beside `next`, in one task.
    Beside,
    /// `Sender::send` in the handler of each message.
    InHandler,
}

const WAYS: [Way; 4] = [Way::Regardless, Way::UntilCongested, Way::UntilFull, Way::Beside];

/// What one end has sent, and the other has received.
#[derive(Default)]
struct Said {
    lengths: Vec<usize>,
    received: usize,
    ended: bool,
    /// A send that waited in a handler exceeded the output timeout, which is a valid end, too.
    late: bool,
}

/// What the server sends, and the client.
type Ledger = Rc<[RefCell<Said>; 2]>;

struct Talk {
    ledger: Ledger,
    me: usize,
    /// What was reported to it.
    events: RefCell<Events>,
    way: Way,
    count: usize,
    len: usize,
    lazy: usize,
    /// How many in ten events pause reading.
    pauses: usize,
    /// The other end sends in its handlers, and may be late.
    beside_handler: bool,
    random: Random,
}

pub(crate) fn run(seed: u64, client: impl ClientSide, server: impl ServerSide, run: &Run<'_>) {
    talk(seed, client, server, run, |_| {});
}

/// The client receives all at once, and sends its last message while paused.
pub(crate) fn pausing(seed: u64, client: impl ClientSide, server: impl ServerSide, run: &Run<'_>) {
    talk(seed, client, server, run, |[of_server, of_client]| {
        (of_server.way, of_server.count) = (Way::UntilCongested, 1);
        (of_client.way, of_client.pauses) = (Way::UntilCongested, 10);
    });
}

fn talk(
    seed: u64,
    client: impl ClientSide,
    server: impl ServerSide,
    run: &Run<'_>,
    change: impl FnOnce([&mut Talk; 2]),
) {
    let mut random = Random::new(seed);
    let ledger = Ledger::default();
    let mut talk = |me| {
        let len = random.pick(&[10, 300, 5000]);
        let total = random.pick(&[500, 5000, 60_000]).min(20 + 200 * run.capacity);
        Talk {
            ledger: ledger.clone(),
            me,
            events: RefCell::new(if me == 0 { Events::server() } else { Events::client() }.upgraded()),
            way: random.pick(&WAYS),
            count: (total / len).min(300),
            len,
            lazy: random.pick(&[1, 1, 5, 50]),
            pauses: usize::from(random.below(3) == 0),
            beside_handler: false,
            random: random.clone(),
        }
    };
    let (mut of_server, mut of_client) = (talk(0), talk(1));
    change([&mut of_server, &mut of_client]);
    let in_handler = random.below(16) == 0;
    if in_handler {
        (of_server.way, of_server.count) = (Way::InHandler, of_server.count.min(10));
        of_client.beside_handler = true;
    }
    let ways = (of_server.way, of_client.way);
    let client = if random.below(3) == 0 { client.sipping(1 + random.below(5)) } else { client };
    let mut for_server = users(patient(Config::server()), &mut random);
    let for_client = users(patient(Config::client()), &mut random);
    if in_handler {
        for_server = for_server.output_timeout(SHORT).min_output_rate(0);
    }
    let mut tasks = Strict::with_timers(seed, TIMERS);
    tasks.spawn("server", async {
        let Some(ws) = accept(server, for_server).await else { return };
        of_server.drive(ws).await;
    });
    tasks.spawn("client", async {
        let Ok(ws) = client.open(for_client).await else { return };
        of_client.drive(ws).await;
    });
    tasks.run();
    if ledger.iter().any(|said| said.borrow().late) {
        return;
    }
    for (me, said) in ledger.iter().map(RefCell::borrow).enumerate() {
        assert!(said.received == said.lengths.len(), "{me} was not received: {ways:?}");
        run.total(|total| total.messages += said.received);
    }
}

/// How long a send waits for a task that is busy with the connection.
const SHORT: Duration = Duration::from_millis(500);

impl Talk {
    fn said(&self) -> std::cell::RefMut<'_, Said> {
        self.ledger[self.me].borrow_mut()
    }

    /// Whether it was sent, as it must be, unless the other end may be late.
    fn may_fail(&self, sent: Result<(), SendError>) -> bool {
        if !self.beside_handler {
            sent.clone().unwrap();
        }
        sent.is_ok()
    }

    fn next_message(&self) -> Vec<u8> {
        content(self.said().lengths.len(), self.len).to_vec()
    }

    /// Everything is sent once this is accepted.
    fn end(&self) -> bool {
        let said = self.said();
        said.lengths.len() >= self.count && !said.ended
    }

    /// Sends as much as its way allows.
    fn send_more<S: AsyncRead + AsyncWrite + Unpin>(&self, ws: &mut WebSocket<S>, lost: &mut usize) {
        while self.said().lengths.len() + *lost < self.count {
            let len = self.len;
            match ws.try_send(self.next_message()) {
                Ok(sent) => {
                    self.said().lengths.push(len);
                    if sent == Sent::Congested && self.way == Way::UntilCongested {
                        return;
                    }
                }
                Err(SendError::Full) if self.way == Way::Regardless => *lost += 1,
                Err(SendError::Full) => return,
                Err(error) => panic!("{error}"),
            }
        }
        if !self.said().ended && ws.try_send("end").is_ok() {
            self.said().ended = true;
        }
    }

    /// Returns whether that was the last message from the other end.
    fn receive(&self, message: &Message<'_>) -> bool {
        self.events.borrow_mut().message(message);
        let mut other = self.ledger[1 - self.me].borrow_mut();
        if message.as_text() == Some("end") {
            return true;
        }
        let n = other.received;
        assert!(message.as_bytes() == content(n, other.lengths[n]), "message {n} to {}", self.me);
        other.received += 1;
        false
    }

    async fn drive<S: AsyncRead + AsyncWrite + Unpin>(mut self, mut ws: WebSocket<S>) {
        match self.way {
            Way::Beside => self.drive_beside(&mut ws).await,
            Way::InHandler => self.drive_in_handler(&mut ws).await,
            _ => self.drive_by_hand(&mut ws).await,
        }
        let closed = ws.closed().unwrap();
        let mut events = self.events.borrow_mut();
        // A message stream reports only some ends.
        if matches!(self.way, Way::Beside | Way::InHandler) {
            events.close(closed);
        }
        events.must_be_over();
        let late = self.ledger.iter().any(|said| said.borrow().late);
        assert!(closed.clean || late || self.beside_handler && self.me == 1, "{closed}");
    }

    async fn drive_by_hand<S: AsyncRead + AsyncWrite + Unpin>(&mut self, ws: &mut WebSocket<S>) {
        let (mut lost, mut over) = (0, false);
        self.send_more(ws, &mut lost);
        while let Some(event) = ws.next_event().await {
            match event {
                Event::Message(message) => over |= self.receive(&message),
                event => {
                    self.events.borrow_mut().record(&event);
                    if let Event::Drained = event {
                        self.send_more(ws, &mut lost);
                    }
                }
            }
            self.close_when_done(ws, over);
            if self.pauses > 0 && self.random.below(10) < self.pauses {
                // Its queued output is still written; no event is reported meanwhile.
                ws.pause();
                for _ in 0..self.random.below(20) {
                    match poll_once(ws.next_event()).await {
                        Some(Some(Event::Message(message))) => panic!("{message:?} although it is paused"),
                        Some(Some(event)) => {
                            self.events.borrow_mut().record(&event);
                            match event {
                                Event::Drained => self.send_more(ws, &mut lost),
                                _ => yield_now().await,
                            }
                        }
                        _ => yield_now().await,
                    }
                }
                ws.resume();
                // What drained meanwhile may have let it send its last message, and no further event need report that.
                self.close_when_done(ws, over);
            }
            self.rest().await;
        }
    }

    async fn drive_beside<S: AsyncRead + AsyncWrite + Unpin>(&mut self, ws: &mut WebSocket<S>) {
        let sender = ws.sender();
        let mut random = self.random.clone();
        let (this, over) = (&*self, Cell::new(false));
        let send = async {
            while this.said().lengths.len() < this.count {
                let len = this.len;
                if !this.may_fail(sender.send(this.next_message()).await) {
                    return;
                }
                this.said().lengths.push(len);
            }
            if !this.may_fail(sender.send("end").await) {
                return;
            }
            this.said().ended = true;
            if this.me == 1 && over.get() {
                let _ = sender.close(CloseCode::NORMAL, "");
            }
        };
        let read = async {
            while let Some(message) = ws.next().await {
                if message.is_err() && this.beside_handler {
                    return;
                }
                over.set(over.get() | this.receive(&message.unwrap()));
                this.close_when_done(ws, over.get());
                for _ in 0..random.below(this.lazy) {
                    yield_now().await;
                }
            }
        };
        zip(send, read).await;
    }

    /// Its own send keeps it from being polled; that ends in time in either case.
    async fn drive_in_handler<S: AsyncRead + AsyncWrite + Unpin>(&mut self, ws: &mut WebSocket<S>) {
        let (sender, mut over) = (ws.sender(), false);
        // One message has to be first.
        if self.me == 1 || self.count == 0 {
            self.say(&sender).await;
        }
        loop {
            // It sends the rest whenever it is woken.
            let Some(message) = ws.next().await else { return };
            let message = match message {
                Err(closed) if matches!(closed.error, Some(Error::Timeout(Timeout::Output))) => {
                    self.said().late = true;
                    return;
                }
                message => message.unwrap(),
            };
            over |= self.receive(&message);
            self.say(&sender).await;
            while over && !self.said().ended {
                self.say(&sender).await;
                ws.flush().await.unwrap();
            }
            self.close_when_done(ws, over);
            self.rest().await;
        }
    }

    async fn say(&self, sender: &ws_server_smol::Sender) {
        if self.end() {
            if sender.send("end").await.is_ok() {
                self.said().ended = true;
            }
            return;
        }
        if self.said().ended {
            return;
        }
        if sender.send(self.next_message()).await.is_ok() {
            let len = self.len;
            self.said().lengths.push(len);
        }
    }

    /// The client closes when both have sent all.
    fn close_when_done<S: AsyncRead + AsyncWrite + Unpin>(&self, ws: &mut WebSocket<S>, over: bool) {
        if self.me == 1 && over && self.said().ended {
            let _ = ws.start_close(CloseCode::NORMAL, "");
        }
    }

    async fn rest(&mut self) {
        for _ in 0..self.random.below(self.lazy) {
            yield_now().await;
        }
    }
}
