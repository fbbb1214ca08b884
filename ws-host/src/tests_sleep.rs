//! The clocks that a [`SleepDetector`] keeps set.

use super::*;
use std::time::UNIX_EPOCH;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn kept_clocks_follow_the_wall_clock_forwards_and_back() {
    let (now, day) = (Instant::now(), UNIX_EPOCH + 86_400 * SECOND);
    let mut detector = SleepDetector::new(now, day);
    let (one, other) = (WallClock::new(UNIX_EPOCH), WallClock::new(UNIX_EPOCH));
    detector.keep(&one);
    detector.keep(&other);
    assert_eq!((one.get(), other.get()), (Some(day), Some(day)), "at once");
    for (after, wall) in [(1, day + 7200 * SECOND), (2, day - 7200 * SECOND), (3, day)] {
        detector.slept(now + after * SECOND - Duration::from_nanos(1), || panic!("it was read a moment ago"));
        detector.slept(now + after * SECOND, || wall);
        assert_eq!((one.get(), other.get()), (Some(wall), Some(wall)));
    }
    // What HTTP has no way to write.
    detector.slept(now + 4 * SECOND, || UNIX_EPOCH - SECOND);
    assert_eq!(one.get(), None);
    detector.slept(now + 5 * SECOND, || day);
    assert_eq!(one.get(), Some(day));
}

#[test]
fn a_clock_is_kept_once_and_let_go_when_nobody_else_has_it() {
    let (now, wall) = (Instant::now(), UNIX_EPOCH);
    let mut detector = SleepDetector::new(now, wall);
    let clock = WallClock::new(wall);
    detector.keep(&clock);
    detector.keep(&clock.clone());
    detector.keep(&WallClock::new(wall));
    assert_eq!(detector.kept.len(), 2);
    detector.slept(now + SECOND, || wall);
    assert_eq!(detector.kept.len(), 1);
    drop(clock);
    detector.slept(now + 2 * SECOND, || wall);
    assert!(detector.kept.is_empty());
}
