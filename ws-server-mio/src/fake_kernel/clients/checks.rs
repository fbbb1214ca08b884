//! What is true of the clients after every turn.

use super::app::{App, untold};
use crate::client::list::{Notice, Phase, Race};
use crate::connection::Connections;
use crate::connection::slots::flag;
use std::time::{Duration, Instant};
use ws_host::client::NEXT_ADDRESS_AFTER;
use ws_proto::State;

pub(super) fn check(connections: &Connections, app: &App, now: Instant) {
    let Connections { clients, slots, .. } = connections;
    assert_eq!(clients.ids().count(), app.clients.len());
    for (id, known) in &app.clients {
        let client = clients.get(*id).unwrap();
        let to_tell = untold(connections, *id);
        let tries = matches!(client.phase, Phase::Resolving(_) | Phase::Connecting(_));
        assert_eq!(known.ended() + to_tell + u32::from(tries), client.attempts, "attempts and their ends");
        assert!(client.attempts <= known.permits, "an attempt that nobody was told of");
        // It acts by this time, at the latest.
        let mut due = None;
        match &client.phase {
            Phase::Idle => {}
            Phase::Waiting { until: Some(until) } => due = Some(*until),
            Phase::Waiting { until: None } => {
                let tells = |notice: &Notice| {
                    matches!(notice, Notice::Reconnecting { client, attempts, .. }
                        if client == id && *attempts == known.ended() + to_tell)
                };
                assert!(clients.notices.iter().any(tells), "it waits for ever");
            }
            Phase::Resolving(attempt) => due = Some(attempt.since + attempt.rules.handshake_timeout),
            Phase::Connecting(race) => {
                let connecting = |slot: &u32| slots.at(*slot).unwrap().has(flag::CONNECTING);
                if race.slots.iter().any(|slot| !connecting(slot)) {
                    assert!(race.slots.len() == 1 && race.untried.is_empty(), "the race is over");
                }
                if !race.untried.is_empty() {
                    due = Some(now + NEXT_ADDRESS_AFTER);
                }
                assert!(!race.slots.is_empty());
                for slot in &race.slots {
                    assert_eq!(clients.of_slot(*slot), Some(*id));
                }
            }
            Phase::Open { slot, .. } => {
                assert_eq!(clients.of_slot(*slot), Some(*id));
                assert!(known.connection.is_some() && slots.at(*slot).is_some());
            }
        }
        if let Some(due) = due {
            let wait = clients.wait_from(now);
            let left = due.saturating_duration_since(now);
            assert!(wait.is_some_and(|wait| wait <= left), "{id:?} is due in {left:?}, not in {wait:?}");
        }
    }
    assert!(!clients.all_rest() || slots.len() == 0, "all rest, and there are connections");
    let kernel = app.kernel.lock();
    for (token, id) in kernel.tokens() {
        let connecting = slots.at(token as u32).is_some_and(|live| live.has(flag::CONNECTING));
        assert!(connecting || !kernel.sockets[id].mirror, "slot {token} talks to itself");
    }
    for (slot, live) in slots.iter() {
        assert!(live.has(flag::CLIENT));
        // One that was touched may have ended without anybody knowing yet.
        let Some(client) = clients.of_slot(slot).and_then(|id| clients.get(id)) else {
            let ends = matches!(live.connection.state(), State::Closing | State::Closed);
            assert!(ends || live.has(flag::DIRTY), "slot {slot} of a client that was removed lives on");
            continue;
        };
        if live.connection.state() == State::Connecting || live.has(flag::CONNECTING) {
            let Phase::Connecting(race) = &client.phase else { panic!("slot {slot} connects for nobody") };
            assert!(race.slots.contains(&slot), "slot {slot} connects beside the race");
        }
    }
}

/// What a turn that began at this time, and has left nothing, has done.
pub(super) fn check_times(connections: &Connections, start: Instant) {
    if connections.has_work() {
        return;
    }
    for client in connections.clients.ids().filter_map(|id| connections.clients.get(id)) {
        let (Phase::Resolving(attempt) | Phase::Connecting(Race { attempt, .. })) = &client.phase else {
            continue;
        };
        let end = attempt.since + attempt.rules.handshake_timeout;
        assert!(start < end + Duration::from_millis(1), "an attempt takes too long");
    }
}
