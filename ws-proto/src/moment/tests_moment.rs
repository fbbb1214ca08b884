//! Time at both ends of its range.

use crate::moment::{Clock, Moment};
use core::time::Duration;
use std::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn arithmetic_saturates() {
    let origin = Moment::default();
    assert_eq!(origin - SECOND, origin);
    assert_eq!(origin.since(origin + SECOND), Duration::ZERO);
    assert_eq!(Moment::NEVER + SECOND, Moment::NEVER);
    assert_eq!(origin + Duration::MAX, Moment::NEVER);
    assert_eq!(origin.checked_add(SECOND), Some(Moment::from_nanos(1_000_000_000)));
    assert_eq!(origin.checked_add(Duration::MAX), None);
    assert_eq!(Moment::NEVER.checked_add(Duration::ZERO), None);
}

#[test]
fn instants_before_the_origin_are_the_origin() {
    let origin = Instant::now();
    let clock = Clock::new(origin + SECOND);
    assert_eq!(clock.moment(origin), Moment::default());
    assert_eq!(clock.instant(Moment::default()), Some(origin + SECOND));
}
