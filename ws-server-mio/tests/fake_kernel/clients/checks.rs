//! Invariants of the clients that hold after every turn.

use super::app::App;
use std::collections::BTreeMap;
use std::time::Duration;
use ws_host::client::NEXT_ADDRESS_AFTER;
use ws_proto::{Moment, State};
use ws_server_mio::Connections;
use ws_server_mio::inspect::{self, PhaseView, flag};

pub(super) fn check(connections: &mut Connections, app: &App, now: Moment) {
    let mut owners = BTreeMap::new();
    let mut connecting = BTreeMap::new();
    let mut ends = BTreeMap::new();
    inspect::each_slot(connections, |live| {
        assert!(live.is_client);
        owners.insert(live.slot, live.client);
        connecting.insert(live.slot, live.has(flag::CONNECTING));
        ends.insert(live.slot, (live.connection.state(), live.has(flag::DIRTY)));
    });
    assert_eq!(inspect::clients(connections).count(), app.clients.len());
    for (id, known) in &app.clients {
        let client = inspect::client(connections, *id).unwrap();
        let tries = matches!(client.phase, PhaseView::Resolving { .. } | PhaseView::Connecting { .. });
        let ended = known.ended() + client.unreported;
        assert_eq!(ended + u32::from(tries), client.attempts, "attempts and their ends");
        assert!(client.attempts <= known.permits, "an unreported attempt");
        // It acts by this time at the latest.
        let mut due = None;
        match &client.phase {
            PhaseView::Idle => {}
            PhaseView::Waiting { until: Some(until) } => {
                // What it has to report comes first.
                let reports = client.unreported > 0 || !client.pending_reconnects.is_empty();
                due = Some(*until).filter(|_| !reports);
            }
            PhaseView::Waiting { until: None } => {
                assert!(client.pending_reconnects.contains(&ended), "it waits forever");
            }
            PhaseView::Resolving { end } => due = Some(*end),
            PhaseView::Connecting { slots, untried, .. } => {
                if slots.iter().any(|slot| !connecting[slot]) {
                    assert!(slots.len() == 1 && *untried == 0, "the race is over");
                }
                if *untried > 0 {
                    due = Some(now + NEXT_ADDRESS_AFTER);
                }
                assert!(!slots.is_empty());
                for slot in slots {
                    assert_eq!(owners[slot], Some(*id));
                }
            }
            PhaseView::Open { slot } => {
                assert_eq!(owners[slot], Some(*id));
                assert!(known.connection.is_some());
            }
        }
        if let Some(due) = due {
            let wait = inspect::client_wait(connections, now);
            let left = due.since(now);
            assert!(wait.is_some_and(|wait| wait <= left), "{id:?} is due in {left:?}, not in {wait:?}");
        }
    }
    let overview = inspect::overview(connections);
    assert!(!overview.all_idle || overview.slots == 0, "all are idle, yet connections exist");
    let kernel = app.kernel.lock();
    for (token, id) in kernel.tokens() {
        let connecting = connecting.get(&(token as u32)).copied().unwrap_or(false);
        assert!(connecting || !kernel.sockets[id].self_connected, "slot {token} is connected to itself");
    }
    for (slot, owner) in owners {
        let (state, is_dirty) = ends[&slot];
        // A dirty slot may have ended before the loop noticed.
        let Some(client) = owner.and_then(|id| inspect::client(connections, id)) else {
            let ends = matches!(state, State::Closing | State::Closed);
            assert!(ends || is_dirty, "slot {slot} of a client that was removed still exists");
            continue;
        };
        if state == State::Connecting || connecting[&slot] {
            let PhaseView::Connecting { slots, .. } = &client.phase else {
                panic!("slot {slot} connects for no client")
            };
            assert!(slots.contains(&slot), "slot {slot} connects beside the race");
        }
    }
}

/// Checks what a turn that began at this time, and left no work, must have done.
pub(super) fn check_times(connections: &Connections, start: Moment) {
    if inspect::overview(connections).has_work {
        return;
    }
    for client in inspect::clients(connections).filter_map(|id| inspect::client(connections, id)) {
        let (PhaseView::Resolving { end } | PhaseView::Connecting { end, .. }) = client.phase else {
            continue;
        };
        assert!(start < end + Duration::from_millis(1), "an attempt takes too long");
    }
}
