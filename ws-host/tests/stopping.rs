//! When a stopping server notifies each of its connections.

use std::time::Duration;
use ws_host::server::Stop;
use ws_proto::CloseCode;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn without_a_spread_all_are_notified_at_once() {
    let stop = Stop::within(SECOND);
    assert_eq!(stop.due(1000, Duration::ZERO), 1000);
    assert_eq!((stop.next_at(1000, 0), stop.next_at(1000, 999)), (Duration::ZERO, Duration::ZERO));
    assert_eq!(stop.due(0, Duration::ZERO), 0);
}

#[test]
fn a_spread_notifies_one_after_another_the_first_at_once() {
    let stop = Stop::within(SECOND).spread(10 * SECOND);
    let closed: Vec<_> = (0..=11).map(|second| stop.due(5, second * SECOND)).collect();
    assert_eq!(closed, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5]);
    for closed in 0..5 {
        let at = stop.next_at(5, closed);
        assert_eq!(at, 2 * closed as u32 * SECOND);
        assert_eq!(stop.due(5, at), closed + 1, "due exactly then");
    }
    assert_eq!(stop.due(0, SECOND), 0);
}

#[test]
fn the_longest_spread_does_not_overflow() {
    let stop = Stop::within(SECOND).spread(Duration::MAX);
    assert_eq!(stop.due(2, Duration::ZERO), 1);
    assert!(stop.next_at(2, 1) > 100 * 365 * 24 * 3600 * SECOND);
}

#[test]
fn invalid_codes_are_ignored_and_long_reasons_cut() {
    let plain = Stop::within(SECOND);
    assert_eq!(plain.clone().code(CloseCode::ABNORMAL), plain);
    assert_ne!(plain.clone().code(CloseCode::SERVICE_RESTART), plain);
    // Cut between characters, at the 123 bytes that a Close frame has room for.
    assert_eq!(plain.clone().reason("é".repeat(100)), plain.reason("é".repeat(61)));
}
