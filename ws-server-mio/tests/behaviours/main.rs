//! The project's promises, row by row: each function is named after a row of the table in the README, and proves it
//! over real sockets.
//!
//! Each is a script of what users do and see, on a virtual clock.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

#[path = "../common/mod.rs"]
mod common;

mod client;
mod ending;
mod heartbeat;
mod messages;
mod opening;
mod queries;
mod sending;
mod starting;

use common::{App, Rig};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, UNIX_EPOCH};
use ws_server_mio::{Bind, Connections, Endpoint, Event, Extension, Options, ServerConfig};

const SECOND: Duration = Duration::from_secs(1);

/// A clock that moves only when set.
#[derive(Clone)]
struct Clock(Arc<Mutex<Instant>>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }

    fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }

    fn options(&self) -> Options {
        self.on(Options::default())
    }

    fn on(&self, options: Options) -> Options {
        let clock = self.clone();
        // The time of day stands still, so that the machine does not seem to sleep while a test takes long.
        options.clock(move || clock.now()).wall_clock(|| UNIX_EPOCH)
    }
}

/// Reports in order, with their receivers.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, observer: &str, event: &Event<'_>) {
        let what = match event {
            Event::Upgrade(..) => "upgrade",
            Event::Open(..) => "open",
            Event::Message(..) => "message",
            Event::Closed(..) => "closed",
            Event::Stopping(_) => "stopping",
            Event::Stopped(_) => "stopped",
            _ => "more",
        };
        self.0.lock().unwrap().push(format!("{observer}: {what}"));
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Records from now on what is reported to the application.
    fn watch(&self, app: &mut App) {
        let log = self.clone();
        app.also = Some(Box::new(move |_, event| log.note("application", event)));
    }
}

/// An extension that records all it sees, and keeps messages that begin with "!".
struct Witness(Log);

impl Extension for Witness {
    fn filter<'a>(&mut self, connections: &mut Connections, event: Event<'a>) -> Option<Event<'a>> {
        self.0.note("extension", &event);
        match event {
            Event::Message(id, message) if message.as_bytes().starts_with(b"!") => {
                connections.send(id, "kept").unwrap();
                None
            }
            event => Some(event),
        }
    }

    fn observe(&mut self, _: &mut Connections, event: &Event<'_>) {
        self.0.note("extension", event);
    }
}

/// An endpoint with one server, wherever it listens.
fn serving(bind: impl Into<Bind>, config: ServerConfig) -> Rig {
    let mut endpoint = Endpoint::new().unwrap();
    let server = endpoint.connections().listen(bind, config).unwrap();
    Rig { endpoint, server, app: App::default() }
}
