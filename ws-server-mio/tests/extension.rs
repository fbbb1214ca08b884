//! What an extension sees, and what it can and cannot keep from the application.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
use common::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ws_server_mio::{AlreadyExtended, Connections, Event, Extension, ServerConfig};

/// Records what it receives, and keeps messages that begin with "!".
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Keeper {
    notes: Notes,
    keeps_all: bool,
}

impl Extension for Keeper {
    fn filter<'a>(&mut self, connections: &mut Connections, event: Event<'a>) -> Option<Event<'a>> {
        if let Event::Message(id, message) = &event {
            let text = message.as_text().unwrap_or_default();
            self.notes.note(format!("extension: {text}"));
            if text.starts_with('!') {
                connections.send(*id, format!("kept {text}")).unwrap();
                assert_eq!(connections.set_extension(Nothing), Err(AlreadyExtended), "not during its call");
                return None;
            }
        }
        if self.keeps_all && !matches!(event, Event::Upgrade(..)) {
            return None;
        }
        Some(event)
    }

    fn observe(&mut self, _: &mut Connections, event: &Event<'_>) {
        match event {
            Event::Stopping(_) => self.notes.note("extension: stopping"),
            Event::Stopped(_) => self.notes.note("extension: stopped"),
            Event::Closed(..) => self.notes.note("extension: closed"),
            _ => self.notes.note(format!("{event:?}")),
        }
    }
}

struct Nothing;

impl Extension for Nothing {}

#[test]
fn an_extension_sees_messages_first_and_may_keep_them() {
    let notes = Notes::default();
    let mut rig = Rig::new(ServerConfig::new());
    let keeper = Keeper { notes: notes.clone(), keeps_all: false };
    rig.endpoint.connections().set_extension(keeper).unwrap();
    let (mut peer, _) = rig.open("/");
    peer.send(&[frame(TEXT, b"!mine"), frame(TEXT, b"yours")].concat());
    assert_eq!(rig.frame(&mut peer), (TEXT, b"kept !mine".to_vec()));
    assert_eq!(rig.frame(&mut peer), (TEXT, b"yours".to_vec()));
    assert_eq!(notes.take(), ["extension: !mine", "extension: yours"]);
    assert_eq!(rig.app.count(|seen| matches!(seen, Seen::Text(..))), 1);
}

#[test]
fn a_second_extension_is_rejected_and_the_first_stays() {
    let notes = Notes::default();
    let mut rig = Rig::new(ServerConfig::new());
    let keeper = Keeper { notes: notes.clone(), keeps_all: false };
    rig.endpoint.connections().set_extension(keeper).unwrap();
    assert_eq!(rig.endpoint.connections().set_extension(Nothing), Err(AlreadyExtended));
    let (mut peer, _) = rig.open("/");
    peer.send(&frame(TEXT, b"hello"));
    rig.frame(&mut peer);
    assert_eq!(notes.take(), ["extension: hello"]);
}

#[test]
fn stopping_and_closed_reach_the_extension_before_the_application() {
    let notes = Notes::default();
    let mut rig = Rig::new(ServerConfig::new());
    let keeper = Keeper { notes: notes.clone(), keeps_all: false };
    rig.endpoint.connections().set_extension(keeper).unwrap();
    let _open = rig.open("/");
    rig.endpoint.connections().server(rig.server).stop(Duration::ZERO);
    let mut stopped = false;
    while !stopped {
        let handler = |_: &mut Connections, event: Event<'_>| match event {
            Event::Stopping(_) => notes.note("application: stopping"),
            Event::Stopped(_) => stopped = true,
            Event::Closed(..) => notes.note("application: closed"),
            _ => {}
        };
        rig.endpoint.poll(Some(Duration::from_millis(1)), handler).unwrap();
    }
    let expected = [
        "extension: stopping",
        "application: stopping",
        "extension: closed",
        "application: closed",
        "extension: stopped",
    ];
    assert_eq!(notes.take(), expected);
}

#[test]
fn a_close_cannot_be_kept() {
    let mut rig = Rig::new(ServerConfig::new());
    let keeper = Keeper { notes: Notes::default(), keeps_all: true };
    rig.endpoint.connections().set_extension(keeper).unwrap();
    let mut peer = rig.peer();
    let address = rig.address();
    peer.send(&handshake(address, "/"));
    rig.until("the head", |_| peer.take_head().is_some());
    drop(peer);
    rig.until("the end", |rig| rig.app.closed().len() == 1);
    assert_eq!(rig.app.count(|seen| matches!(seen, Seen::Open(_))), 0, "the rest was kept");
}

#[test]
fn an_extension_that_does_nothing_changes_nothing() {
    let mut rig = Rig::new(ServerConfig::new());
    rig.endpoint.connections().set_extension(Nothing).unwrap();
    let (mut peer, _) = rig.open("/");
    peer.send(&frame(TEXT, b"hello"));
    assert_eq!(rig.frame(&mut peer), (TEXT, b"hello".to_vec()));
}
