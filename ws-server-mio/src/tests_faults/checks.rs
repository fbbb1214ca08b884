//! What is true after every turn.

use super::kernel::Kernel;
use crate::connections::Connections;
use crate::slots::flag;
use std::collections::HashMap;

/// Whatever needs the loop is on one of its lists, and whatever is counted is there.
pub(super) fn check(connections: &mut Connections, kernel: &Kernel) {
    let kernel = kernel.lock();
    let sockets: HashMap<usize, usize> = kernel.tokens().collect();
    assert_eq!(sockets.len(), connections.slots.len());
    let (mut rests, mut unread, mut touched) = (0, 0, 0);
    for (slot, live) in connections.slots.iter_mut() {
        let id = sockets[&(slot as usize)];
        unread += usize::from(live.has(flag::UNREAD));
        touched += usize::from(live.has(flag::TOUCHED));
        rests += usize::from(live.has(flag::REST));
        assert_eq!(live.has(flag::REST), connections.rests.contains_key(&slot));
        if live.has(flag::UNREAD) {
            assert!(connections.unread.contains(&slot));
        }
        if live.has(flag::TOUCHED) {
            assert!(connections.touched.contains(&slot));
            continue;
        }
        let level = kernel.level(id);
        if live.has(flag::READABLE | flag::REST) && !live.connection.is_paused() {
            assert!(live.has(flag::UNREAD), "slot {slot} may be read, and waits on no list");
        }
        if !live.connection.outbox().is_empty() && live.has(flag::WRITABLE) {
            panic!("slot {slot} may be written to, and waits on no list");
        }
        if kernel.is_told(id) {
            let readable = level.readable && !kernel.sockets[id].end_told;
            assert!(live.has(flag::READABLE) || !readable, "slot {slot}: what can be read is forgotten");
            assert!(
                live.has(flag::WRITABLE) || !level.writable,
                "slot {slot}: that it takes more is forgotten"
            );
        }
        let stalls = !live.has(flag::WRITABLE) && !live.connection.outbox().is_empty();
        assert!(!stalls || live.connection.poll_timeout().is_some(), "slot {slot} may stall for ever");
        if let Some(deadline) = live.connection.poll_timeout() {
            let tick = connections.timers.tick_of(deadline);
            assert!(live.is_armed() && live.armed() <= tick, "slot {slot} has no timer");
        }
    }
    // Of those that are gone some may still stand there.
    assert!(unread <= connections.unread.len() && touched <= connections.touched.len());
    assert_eq!(rests, connections.rests.len());
    let (mut open, mut http, mut websockets) = (0, 0, 0);
    for index in 0..connections.servers.end() {
        let Some(server) = connections.servers.at(index) else { continue };
        let mine = || connections.slots.iter().filter(|(_, live)| live.server == index);
        let count = |flags| mine().filter(|(_, live)| live.has(flags)).count();
        assert_eq!(server.sockets, mine().count());
        assert_eq!(server.http, count(flag::HTTP));
        assert_eq!(server.websockets, count(flag::WEBSOCKET));
        assert_eq!(server.handshakes, count(flag::NEW));
        for (place, listener) in server.listeners.iter().enumerate() {
            let waiting = kernel.waiting(place);
            assert!(!waiting || listener.ready, "who waits at listener {place} is forgotten");
        }
        open += server.sockets;
        http += server.http;
        websockets += server.websockets;
    }
    assert_eq!(open, connections.slots.len());
    assert!(http + websockets <= open);
}
