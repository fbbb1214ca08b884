//! Invariants that hold at every event and after every turn.

use super::kernel::Kernel;
use std::collections::BTreeMap;
use std::time::Duration;
use ws_kit::oracle::Events;
use ws_proto::State;
use ws_server_mio::inspect::{self, flag};
use ws_server_mio::{Connections, Event};

/// The longest message, and what precedes messages: control frames, the switch.
const BESIDE: usize = 200_000;

/// Reports an event of a connection to its oracle.
pub(super) fn record_event(events: &mut Events, event: &Event<'_>) {
    match event {
        Event::Request(_, request) => events.request(request),
        Event::Body(_, body) => events.body(body),
        Event::Upgrade(..) => events.upgrade(),
        Event::Open(..) => events.open(),
        Event::Message(_, message) => events.message(message),
        Event::Fragment(_, fragment) => events.fragment(fragment),
        Event::Pong(..) => events.pong(),
        Event::Drained(_) => events.drained(),
        Event::Closed(_, closed) => events.close(closed),
        event => panic!("{event:?} belongs to no connection"),
    }
}

/// Every connection that needs the loop is on one of its lists, and every count matches.
pub(super) fn check(connections: &mut Connections, kernel: &Kernel) {
    let kernel = kernel.lock();
    let sockets: BTreeMap<_, _> = kernel.tokens().collect();
    let overview = inspect::overview(connections);
    let (mut live_count, mut rest_count) = (0, 0);
    // For each server: sockets, HTTP connections, WebSockets, handshakes.
    let mut counts = vec![[0; 4]; inspect::servers(connections).len()];
    inspect::each_slot(connections, |live| {
        let slot = live.slot;
        let id = sockets[&(slot as usize)];
        if let Some(count) = counts.get_mut(live.server) {
            for (k, flags) in [u16::MAX, flag::HTTP, flag::WEBSOCKET, flag::NEW].into_iter().enumerate() {
                count[k] += usize::from(flags == u16::MAX || live.has(flags));
            }
        }
        live_count += 1;
        rest_count += usize::from(live.has(flag::LEFTOVER));
        assert_eq!(live.has(flag::LEFTOVER), live.has_leftover);
        assert!(!live.has(flag::QUEUED) || live.is_queued);
        if live.has(flag::DIRTY) {
            assert!(live.is_dirty);
            return;
        }
        let may_read = live.has(flag::READABLE | flag::LEFTOVER) && !live.connection.is_paused();
        let waits = may_read || live.connection.shares().is_used();
        assert!(!waits || live.has(flag::QUEUED), "slot {slot} is readable but on no list");
        // Output waits for a handshake beneath.
        let is_written = live.connection.outbox().is_empty() || live.is_handshaking;
        assert!(is_written || !live.has(flag::WRITABLE), "slot {slot} is writable but on no list");
        if kernel.is_reported(id) {
            let level = kernel.level(id);
            let readable = level.readable && !kernel.sockets[id].is_read();
            assert!(live.has(flag::READABLE) || !readable, "slot {slot}: readable input is forgotten");
            assert!(live.has(flag::WRITABLE) || !level.writable, "slot {slot}: room for output is forgotten");
        }
        if live.connection.state() == State::Open {
            let most = live.connection.config().get_outbox_cap().saturating_add(BESIDE);
            assert!(live.connection.queued() <= most, "slot {slot} holds {}", live.connection.queued());
        }
        let deadline = live.connection.poll_timeout();
        let is_judged = live.connection.config().get_output_timeout() < Duration::MAX;
        assert!(is_written || deadline.is_some() || !is_judged, "slot {slot} may stall forever");
        if let Some(deadline) = deadline {
            assert!(live.has_timer_by(deadline), "slot {slot} has no timer");
        }
    });
    assert_eq!(live_count, sockets.len());
    assert_eq!((live_count, rest_count), (overview.slots, overview.leftovers));
    for (server, count) in inspect::servers(connections).into_iter().zip(counts) {
        let Some(server) = server else { continue };
        let admission = server.admission;
        assert_eq!(count, [admission.connections(), server.http, server.websockets, admission.handshakes()]);
        assert!(admission.connections() > 0 || admission.addresses() == 0, "an address stays counted");
        for (place, ready) in server.ready.iter().enumerate() {
            assert!(
                *ready || !kernel.waiting(place),
                "a connection waiting at listener {place} is forgotten"
            );
        }
    }
}

/// All connections together stay within the memory limit, apart from what each may always hold: its output below the
/// high mark, and the message that crosses that mark.
pub(super) fn holds_no_more_than(connections: &mut Connections, limit: usize) {
    let (mut held, mut most) = (0, limit);
    inspect::each_slot(connections, |live| {
        if live.connection.state() == State::Open {
            held += live.connection.queued();
            most += live.connection.config().get_high_mark() + BESIDE;
        }
    });
    assert!(held <= most, "{held} bytes are held, of {most}");
}
