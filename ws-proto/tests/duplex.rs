//! Both directions at once: two ends never deadlock, for any pattern of sends.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::cell::Cell;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use ws_kit::pipes::{App, World};
use ws_kit::random::Lcg32;
use ws_proto::{
    Config, Connection, Error, Event, Heartbeat, Memory, Message, Moment, Role, SendError, Sent, State,
    Timeout,
};

const SECOND: Duration = Duration::from_secs(1);
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const PIECE: usize = 64 * KIB;

/// An application's remaining messages, and the bytes it received.
#[derive(Default)]
struct Tally {
    left: Cell<usize>,
    received: Cell<usize>,
}

impl Tally {
    fn of(bytes: usize) -> Self {
        Self { left: Cell::new(bytes), ..Self::default() }
    }

    fn record(&self, message: &Message<'_>) {
        self.received.set(self.received.get() + message.as_bytes().len());
    }

    /// Sends until this result, or until all is sent.
    fn send(&self, connection: &mut Connection, until: Until) {
        while self.left.get() > 0 {
            match connection.send(data()) {
                Err(SendError::Full) => return,
                sent => {
                    self.left.set(self.left.get() - PIECE);
                    if sent.unwrap() == Sent::Congested && until == Until::Congested {
                        return;
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Until {
    Congested,
    Full,
}

/// Data that compresses to half its size.
fn data() -> &'static [u8] {
    static DATA: OnceLock<Vec<u8>> = OnceLock::new();
    DATA.get_or_init(noise)
}

fn noise() -> Vec<u8> {
    let mut random = Lcg32(1);
    let mut byte = |k: usize| {
        let next = random.next();
        if k.is_multiple_of(2) { 0 } else { (next >> 24) as u8 }
    };
    (0..PIECE).map(&mut byte).collect()
}

/// Sends at the beginning, and again on each `Drained`.
fn polite(tally: &Tally, until: Until) -> App<'_> {
    Box::new(move |connection, _, event| match event {
        Event::Open(_) | Event::Drained => tally.send(connection, until),
        Event::Message(message) => tally.record(&message),
        other => panic!("{other:?}"),
    })
}

fn both(bytes: usize, until: Until, change: impl Fn(Config) -> Config) {
    let (one, other) = (Tally::of(bytes), Tally::of(bytes));
    let apps = [polite(&one, until), polite(&other, until)];
    let mut world = World::new(change(Config::client()), change(Config::server()), apps);
    let is_done =
        world.run_until(600 * SECOND, |_| one.received.get() == bytes && other.received.get() == bytes);
    assert!(is_done, "{} and {} of {bytes} bytes arrived", one.received.get(), other.received.get());
    assert!(world.client.closed.is_none() && world.server.closed.is_none());
    assert!(world.age() < 60 * SECOND, "it took {:?}", world.age());
}

#[test]
fn both_send_all_before_they_read_anything() {
    both(240 * PIECE, Until::Full, |config| config);
}

#[test]
fn both_send_until_congested_and_resume_when_drained() {
    both(64 * MIB, Until::Congested, |config| config);
}

#[test]
fn both_send_until_full_and_resume_when_drained() {
    both(64 * MIB, Until::Full, |config| config);
}

#[cfg(feature = "deflate")]
#[test]
fn both_send_until_full_compressed() {
    both(32 * MIB, Until::Full, |config| config.deflate(ws_proto::Deflate::default()));
}

#[test]
fn both_refill_at_each_event() {
    let (one, other) = (Tally::of(64 * MIB), Tally::of(64 * MIB));
    fn refill(tally: &Tally) -> App<'_> {
        Box::new(move |connection, _, event| {
            if let Event::Message(message) = event {
                tally.record(&message);
            }
            tally.send(connection, Until::Full);
        })
    }
    let mut world = World::new(Config::client(), Config::server(), [refill(&one), refill(&other)]);
    let is_done = world.run_until(600 * SECOND, |_| one.received.get() + other.received.get() == 128 * MIB);
    assert!(
        is_done,
        "{} and {} bytes arrived in {:?}",
        one.received.get(),
        other.received.get(),
        world.age()
    );
}

#[test]
fn both_fill_each_other_and_echo() {
    let (one, other) = (Tally::of(8 * MIB), Tally::of(8 * MIB));
    let full = Cell::new(0);
    fn echo<'a>(tally: &'a Tally, full: &'a Cell<usize>) -> App<'a> {
        Box::new(move |connection, _, event| match event {
            Event::Message(message) => {
                tally.record(&message);
                if connection.send(message).is_err() {
                    full.set(full.get() + 1);
                }
            }
            Event::Open(_) => tally.send(connection, Until::Full),
            _ => {}
        })
    }
    let mut world = World::new(Config::client(), Config::server(), [echo(&one, &full), echo(&other, &full)]);
    assert!(
        world.run_until(600 * SECOND, |_| one.received.get() >= 64 * MIB && other.received.get() >= 64 * MIB)
    );
    assert_eq!(full.get(), 0);
}

/// A peer that repeatedly requests, in 20 bytes, an `answer` of this size, and reads at `rate` bytes a second: the
/// number of rejected answers, and the largest queue.
fn requests(answer: usize, rate: u64, time: Duration) -> (usize, usize) {
    let rejected = Cell::new(0);
    let requests: App<'_> = Box::new(|connection, _, event| {
        if let Event::Drained = event {
            while connection.send(&[0; 20][..]) == Ok(Sent::Queued) {}
        }
    });
    let answers: App<'_> = Box::new(|connection, _, event| {
        if let Event::Message(_) = event {
            rejected.set(rejected.get() + usize::from(connection.send(vec![0; answer]).is_err()));
        }
    });
    let mut world = World::open(Config::client(), Config::server(), [requests, answers]);
    world.client.rate = Some(rate);
    while world.client.connection.send(&[0; 20][..]) == Ok(Sent::Queued) {}
    world.run_until(time, |world| world.server.closed.is_some());
    assert!(world.server.closed.is_none(), "{:?}", world.server.closed);
    (rejected.get(), world.server.most_queued)
}

#[test]
fn large_answers_to_a_steady_reader_stay_below_the_cap() {
    let (rejected, most) = requests(100 * KIB, 1_000_000, 60 * SECOND);
    assert_eq!(rejected, 0);
    assert!(most < 10 * MIB, "{most} bytes were queued");
}

#[test]
fn an_echo_to_a_peer_that_never_reads_stays_bounded_and_ends_after_the_output_timeout() {
    for len in [100, PIECE, MIB] {
        let rejected = Cell::new(0);
        let floods: App<'_> = Box::new(|_, _, _| {});
        let echoes: App<'_> = Box::new(|connection, _, event| {
            if let Event::Message(message) = event {
                rejected.set(rejected.get() + usize::from(connection.send(message).is_err()));
            }
        });
        let rules = Config::client().outbox(0, usize::MAX, usize::MAX).output_timeout(3600 * SECOND);
        let mut world = World::open(rules, Config::server(), [floods, echoes]);
        world.client.rate = Some(0);
        for _ in 0..64 * MIB / len {
            world.client.connection.send(vec![0; len]).unwrap();
        }
        assert!(world.run_until(100 * SECOND, |world| world.server.closed.is_some()));
        let closed = world.server.closed.as_ref().unwrap();
        assert!(matches!(closed.error, Some(Error::Timeout(Timeout::Output))), "{closed}");
        // The pipe's initial buffering may count as progress in the first window.
        assert!(world.age() <= 61 * SECOND, "{:?}", world.age());
        // Two dozen delays, of 0.1 s up to 3.2 s, fit into a minute.
        let most = (8 * MIB + 24 * (len + 14)).min(16 * MIB);
        assert!(world.server.most_queued <= most, "{} bytes", world.server.most_queued);
        assert!(rejected.get() == 0 || most == 16 * MIB);
    }
}

#[test]
fn a_server_that_refills_until_full_receives_stop_within_a_second() {
    let stopped = Cell::new(None::<Moment>);
    let client: App<'_> = Box::new(|_, _, _| {});
    let tally = Tally::of(usize::MAX / PIECE * PIECE);
    let refills: App<'_> = Box::new(|connection, now, event| {
        if let Event::Message(Message::Text(text)) = &event
            && text == "stop"
        {
            stopped.set(Some(now));
        }
        if stopped.get().is_none() {
            tally.send(connection, Until::Full);
        }
    });
    let mut world = World::open(Config::client(), Config::server(), [client, refills]);
    world.client.rate = Some(40_000);
    world.server.connection.send("begin").unwrap();
    for second in 0..30 {
        world.client.connection.send(format!("{second}")).unwrap();
        world.run_until(SECOND, |_| false);
    }
    let arrives = world.now;
    world.client.connection.send("stop").unwrap();
    assert!(world.run_until(60 * SECOND, |_| stopped.get().is_some()));
    assert!(stopped.get().unwrap() - arrives < SECOND, "{:?}", stopped.get().unwrap() - arrives);
}

#[test]
fn a_slow_upload_does_not_slow_the_download() {
    let (up, down) = (Tally::of(15 * MIB), Tally::of(30 * MIB));
    let apps = [polite(&up, Until::Full), polite(&down, Until::Full)];
    let mut world = World::new(Config::client(), Config::server(), apps);
    (world.client.rate, world.server.rate) = (Some(1_000_000), Some(20_000));
    assert!(world.run_until(600 * SECOND, |_| up.received.get() == 30 * MIB));
    let least = SECOND * 32;
    assert!(world.age() < least + 2 * SECOND, "{:?}", world.age());
}

#[test]
fn a_connection_that_neither_writes_nor_reads_is_closed_under_memory_pressure() {
    let turns: [fn(&mut Connection, Moment); 3] = [
        // Its socket was already full, and no call reaches it.
        |server, now| {
            server.send("unread").unwrap();
            server.handle_written(now, 0);
            server.send(data()).unwrap();
        },
        // It fills up now.
        |server, now| {
            server.send(data()).unwrap();
            server.handle_written(now, 0);
        },
        // It is only polled for events, as after any turn.
        |server, now| {
            server.send(data()).unwrap();
            assert!(server.poll_event(now).is_none());
        },
    ];
    for (number, turn) in turns.iter().enumerate() {
        let (memory, now) = (Memory::new(KIB), Moment::default());
        let config = Config::server().memory(memory.clone()).outbox(KIB, 2 * KIB, MIB);
        let config = config.heartbeat(Heartbeat::off()).output_timeout(3600 * SECOND);
        let mut server = Connection::upgraded(now, Arc::new(config), Role::Server);
        turn(&mut server, now);
        assert!(server.take_timeout_changed() && memory.held() > PIECE, "turn {number}");
        let mut looks = 0;
        while server.state() == State::Open {
            let due = server.poll_timeout().expect("nothing polls it").max(now);
            assert!(
                due <= now + 3 * SECOND && looks < 20,
                "turn {number}: {looks} checks by {:?}",
                due - now
            );
            server.handle_timeout(due);
            looks += 1;
        }
        assert!(memory.held() <= KIB, "turn {number}: only its Close is left");
    }
}
