//! Two of our ends both send a lot, with the defaults.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::collections::HashMap;
use std::time::{Duration, Instant};
use ws_server_mio::{
    Bind, Budget, ClientConfig, ConnectionId, Connections, Endpoint, Event, Message, Options, SendError,
    Sent, ServerConfig,
};

/// Only ends a hang.
const HANG: Duration = Duration::from_secs(60);
const MESSAGE: usize = 64 << 10;

/// A server and its client, each with its own loop.
struct Two {
    loops: [Endpoint; 2],
}

impl Two {
    fn new() -> Self {
        Self::with([Options::default(), Options::default()])
    }

    fn with(options: [Options; 2]) -> Self {
        let mut loops = options.map(|options| Endpoint::with(options).unwrap());
        let server = loops[0].connections().listen(Bind::localhost(), ServerConfig::new()).unwrap();
        let url = loops[0].connections().server(server).url("/").unwrap();
        loops[1].connections().connect(url.as_str(), ClientConfig::default()).unwrap();
        Self { loops }
    }

    /// Runs turns until the condition holds; no connection may be cut meanwhile.
    fn until<T>(
        &mut self,
        state: &mut T,
        mut handle: impl FnMut(&mut T, &mut Connections, usize, ConnectionId, Event<'_>),
        done: impl Fn(&T) -> bool,
    ) {
        let start = Instant::now();
        while !done(state) {
            assert!(start.elapsed() < HANG, "deadlock");
            for (side, endpoint) in self.loops.iter_mut().enumerate() {
                let handler = |connections: &mut Connections, event: Event<'_>| match event {
                    Event::Closed(_, closed) => panic!("{closed}"),
                    event => {
                        if let Some(id) = event.connection() {
                            handle(state, connections, side, id, event);
                        }
                    }
                };
                endpoint.poll(Some(Duration::from_millis(1)), handler).unwrap();
            }
        }
    }
}

#[test]
fn both_send_fifteen_mebibytes_as_soon_as_they_are_open_and_all_of_it_arrives() {
    // Each alone in its loop, and both in one.
    for shared in [false, true] {
        let mut two = Two::new();
        if shared {
            let mut endpoint = Endpoint::new().unwrap();
            let server = endpoint.connections().listen(Bind::localhost(), ServerConfig::new()).unwrap();
            let url = endpoint.connections().server(server).url("/").unwrap();
            endpoint.connections().connect(url.as_str(), ClientConfig::default()).unwrap();
            two = Two { loops: [endpoint, Endpoint::new().unwrap()] };
        }
        let mut got = HashMap::new();
        let handle = |got: &mut HashMap<_, u32>,
                      connections: &mut Connections,
                      side,
                      id,
                      event: Event<'_>| match event {
            Event::Open(..) => {
                for _ in 0..240 {
                    connections.send(id, vec![7; MESSAGE]).unwrap();
                }
            }
            Event::Message(_, message) => {
                assert_eq!(message.as_bytes().len(), MESSAGE);
                *got.entry((side, id)).or_default() += 1;
            }
            _ => {}
        };
        two.until(&mut got, handle, |got| got.len() == 2 && got.values().all(|count| *count == 240));
    }
}

/// How far a connection has got.
#[derive(Default)]
struct Progress {
    sent: usize,
    got: usize,
}

/// Sends while allowed, as the docs say, or ignores them.
fn fill(
    connections: &mut Connections,
    id: ConnectionId,
    progress: &mut Progress,
    total: usize,
    until_full: bool,
) {
    while progress.sent < total {
        match connections.send(id, vec![7; MESSAGE]) {
            Ok(Sent::Congested) if !until_full => {
                progress.sent += MESSAGE;
                break;
            }
            Ok(_) => progress.sent += MESSAGE,
            Err(SendError::Full) => break,
            Err(error) => panic!("{error}"),
        }
    }
}

fn both_ways(total: usize, until_full: bool, options: [Options; 2]) {
    let mut two = Two::with(options);
    let mut all = [Progress::default(), Progress::default()];
    let handle =
        |all: &mut [Progress; 2], connections: &mut Connections, side: usize, id, event: Event<'_>| {
            match event {
                Event::Open(..) | Event::Drained(_) => {
                    fill(connections, id, &mut all[side], total, until_full)
                }
                Event::Message(_, message) => all[side].got += message.as_bytes().len(),
                _ => {}
            }
        };
    two.until(&mut all, handle, |all| all.iter().all(|progress| progress.got == total));
}

#[test]
fn both_send_sixty_four_mebibytes_with_backpressure() {
    both_ways(64 << 20, false, [Options::default(), Options::default()]);
}

#[test]
fn both_send_until_the_outbox_is_full_and_resume_when_drained() {
    both_ways(64 << 20, true, [Options::default(), Options::default()]);
}

#[test]
fn turns_with_a_budget_complete_too() {
    let ui = || Options::default().budget(Budget::ui());
    both_ways(16 << 20, false, [ui(), Options::default()]);
    both_ways(16 << 20, true, [ui(), ui()]);
}

#[test]
fn an_upload_to_an_echo_with_backpressure_comes_back() {
    let total = 64 << 20;
    let mut two = Two::new();
    let mut upload = Progress::default();
    let handle = |upload: &mut Progress, connections: &mut Connections, side, id, event: Event<'_>| match (
        side, event,
    ) {
        (0, Event::Message(_, message)) => drop(connections.send(id, message).unwrap()),
        (1, Event::Open(..) | Event::Drained(_)) => fill(connections, id, upload, total, false),
        (1, Event::Message(_, message)) => upload.got += message.as_bytes().len(),
        _ => {}
    };
    two.until(&mut upload, handle, |upload| upload.got == total);
}

#[test]
fn a_server_that_refills_on_drained_still_receives_a_stop() {
    for until_full in [false, true] {
        let mut two = Two::new();
        // What arrived, and whether to stop.
        let mut state = (Progress::default(), false);
        let handle =
            |state: &mut (Progress, bool), connections: &mut Connections, side, id, event: Event<'_>| match (
                side, event,
            ) {
                (0, Event::Open(..) | Event::Drained(_)) if !state.1 => {
                    let total = state.0.sent + (32 << 20);
                    fill(connections, id, &mut state.0, total, until_full);
                }
                (0, Event::Message(_, Message::Text(_))) => state.1 = true,
                (1, Event::Message(_, message)) => {
                    let before = state.0.got;
                    state.0.got += message.as_bytes().len();
                    if before < 40 << 20 && state.0.got >= 40 << 20 {
                        connections.send(id, "stop").unwrap();
                    }
                    assert!(state.1 || state.0.got < 400 << 20, "the stop is not received");
                }
                _ => {}
            };
        two.until(&mut state, handle, |(progress, stop)| *stop && progress.got == progress.sent);
    }
}
