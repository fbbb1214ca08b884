//! What is true after every turn.

use super::kernel::Kernel;
use crate::connection::Connections;
use crate::connection::slots::flag;
use std::time::Duration;
use ws_proto::State;

/// The longest message there is, and what stands beside messages: control frames, the switch.
const BESIDE: usize = 200_000;

/// Whatever needs the loop is on one of its lists, and whatever is counted is there.
pub(super) fn check(connections: &mut Connections, kernel: &Kernel) {
    let kernel = kernel.lock();
    let Connections { slots, servers, timers, readable, dirty, leftovers, .. } = connections;
    let (mut live_count, mut rest_count) = (0, 0);
    // Of each server: sockets, HTTP, WebSockets, handshakes.
    let mut counts = vec![[0; 4]; usize::from(servers.end())];
    for (token, id) in kernel.tokens() {
        let slot = token as u32;
        let live = slots.at_mut(slot).unwrap();
        if let Some(count) = counts.get_mut(usize::from(live.server)) {
            for (k, flags) in [u16::MAX, flag::HTTP, flag::WEBSOCKET, flag::NEW].into_iter().enumerate() {
                count[k] += usize::from(flags == u16::MAX || live.has(flags));
            }
        }
        live_count += 1;
        rest_count += usize::from(live.has(flag::LEFTOVER));
        assert_eq!(live.has(flag::LEFTOVER), leftovers.contains_key(&slot));
        assert!(!live.has(flag::QUEUED) || readable.contains(slot));
        if live.has(flag::DIRTY) {
            assert!(dirty.contains(&slot));
            continue;
        }
        let may_read = live.has(flag::READABLE | flag::LEFTOVER) && !live.connection.is_paused();
        let waits = may_read || live.connection.has_used_share();
        assert!(!waits || live.has(flag::QUEUED), "slot {slot} may be read, and waits on no list");
        let is_written = live.connection.outbox().is_empty();
        assert!(
            is_written || !live.has(flag::WRITABLE),
            "slot {slot} may be written to, and waits on no list"
        );
        if kernel.is_told(id) {
            let level = kernel.level(id);
            let readable = level.readable && !kernel.sockets[id].end_told;
            assert!(live.has(flag::READABLE) || !readable, "slot {slot}: what can be read is forgotten");
            assert!(
                live.has(flag::WRITABLE) || !level.writable,
                "slot {slot}: that it takes more is forgotten"
            );
        }
        if live.connection.state() == State::Open {
            let most = live.connection.config().outbox_cap.saturating_add(BESIDE);
            assert!(live.connection.queued() <= most, "slot {slot} holds {}", live.connection.queued());
        }
        let deadline = live.connection.poll_timeout();
        let is_judged = live.connection.config().output_timeout < Duration::MAX;
        assert!(is_written || deadline.is_some() || !is_judged, "slot {slot} may stall for ever");
        if let Some(deadline) = deadline {
            assert!(live.is_armed() && live.armed() <= timers.tick_of(deadline), "slot {slot} has no timer");
        }
    }
    assert_eq!((live_count, rest_count), (slots.len(), leftovers.len()));
    for (index, count) in counts.into_iter().enumerate() {
        let Some(server) = servers.at(index as u16) else { continue };
        let census = &server.census;
        assert_eq!(count, [census.sockets(), server.http, server.websockets, census.handshakes()]);
        assert!(census.sockets() > 0 || census.addresses() == 0, "an address stays counted");
        for (place, listener) in server.listeners.iter().enumerate() {
            assert!(listener.ready || !kernel.waiting(place), "who waits at listener {place} is forgotten");
        }
    }
}

/// What all connections hold together is within the limit, but for what each may hold at any time: what is below its high
/// mark, and the message that goes over it.
pub(super) fn holds_no_more_than(connections: &Connections, limit: usize) {
    let of_open = connections.slots.iter().filter(|(_, live)| live.connection.state() == State::Open);
    let (mut held, mut most) = (0, limit);
    for (_, live) in of_open {
        held += live.connection.queued();
        most += live.connection.config().high_mark + BESIDE;
    }
    assert!(held <= most, "{held} bytes are held, of {most}");
}
