//! Frame timing, measured from outside: it reads no clock.

use serde::Serialize;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time between two frames: 60 a second.
pub(crate) const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 60);
/// How many gaps are shown.
const GAPS: usize = 120;
/// For how many seconds a maximum is shown.
const MEMORY: usize = 5;

/// Measurements. Times are in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Report {
    /// Frames that were drawn.
    pub(crate) frames: u64,
    /// Frames that were due.
    pub(crate) due: u64,
    /// Frames that were more than half a frame late.
    pub(crate) late: u64,
    /// The most turns of the server that a frame has waited for.
    pub(crate) waited: u32,
    /// Frames in the last second.
    pub(crate) fps: f32,
    /// The longest time between two frames, and the longest turn of the server, in the last seconds.
    pub(crate) gap: u64,
    pub(crate) turn: u64,
    /// Messages in the last second, both ways together.
    pub(crate) rate: u64,
}

/// When frames are due, and their measurements.
pub(crate) struct Meter {
    next: Instant,
    /// The turns since a frame was requested.
    turns_since_request: Option<u32>,
    last: Option<Instant>,
    gaps: VecDeque<Duration>,
    second: Second,
    worst_gap: Worst,
    worst_turn: Worst,
    report: Report,
}

/// The values at the beginning of the current second.
struct Second {
    start: Instant,
    frames: u64,
    messages: u64,
}

impl Meter {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            next: now,
            turns_since_request: None,
            last: None,
            gaps: VecDeque::with_capacity(GAPS),
            second: Second { start: now, frames: 0, messages: 0 },
            worst_gap: Worst::default(),
            worst_turn: Worst::default(),
            report: Report::default(),
        }
    }

    /// When the next frame is due.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Whether a frame is due; if so, the next one is due a frame later. Missed frames are counted, not made
    /// up for.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let Some(late) = now.checked_duration_since(self.next) else { return false };
        let due = 1 + (late.as_nanos() / FRAME.as_nanos()) as u32;
        self.next += FRAME * due;
        self.report.due += u64::from(due);
        true
    }

    /// A redraw is requested.
    pub(crate) fn request_frame(&mut self) {
        self.turns_since_request.get_or_insert(0);
    }

    /// A frame is drawn.
    pub(crate) fn frame(&mut self, now: Instant) {
        self.report.frames += 1;
        self.report.waited = self.report.waited.max(self.turns_since_request.take().unwrap_or(0));
        if let Some(last) = self.last.replace(now) {
            let gap = now.saturating_duration_since(last);
            self.report.late += u64::from(gap > FRAME * 3 / 2);
            self.worst_gap.add(gap);
            self.gaps.truncate(GAPS - 1);
            self.gaps.push_front(gap);
        }
    }

    /// The window is hidden: the time until the next frame is not a gap.
    pub(crate) fn pause(&mut self) {
        self.last = None;
        self.turns_since_request = None;
    }

    /// The server has had a turn.
    pub(crate) fn turn(&mut self, elapsed: Duration) {
        self.worst_turn.add(elapsed);
        if let Some(turns) = &mut self.turns_since_request {
            *turns += 1;
        }
    }

    /// Whether a second is over, and [`Meter::summarize`] is due.
    pub(crate) fn is_second(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.second.start) >= Duration::from_secs(1)
    }

    /// Ends a second; `messages` is the total since the start.
    pub(crate) fn summarize(&mut self, now: Instant, messages: u64) {
        let seconds = now.saturating_duration_since(self.second.start).as_secs_f32();
        self.report.fps = (self.report.frames - self.second.frames) as f32 / seconds;
        self.report.rate = ((messages - self.second.messages) as f32 / seconds) as u64;
        self.second = Second { start: now, frames: self.report.frames, messages };
        self.worst_gap.next_second();
        self.worst_turn.next_second();
    }

    pub(crate) fn report(&self) -> Report {
        Report {
            gap: self.worst_gap.get().as_micros() as u64,
            turn: self.worst_turn.get().as_micros() as u64,
            ..self.report
        }
    }

    /// The times between the last frames, newest first.
    pub(crate) fn gaps(&self) -> impl ExactSizeIterator<Item = Duration> {
        self.gaps.iter().copied()
    }
}

/// The maximum of the last seconds.
#[derive(Default)]
struct Worst([Duration; MEMORY]);

impl Worst {
    fn add(&mut self, time: Duration) {
        self.0[0] = self.0[0].max(time);
    }

    fn next_second(&mut self) {
        self.0.rotate_right(1);
        self.0[0] = Duration::ZERO;
    }

    fn get(&self) -> Duration {
        self.0.into_iter().max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_due_sixty_times_a_second_and_missed_ones_are_not_made_up_for() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        assert!(meter.is_due(start) && !meter.is_due(start));
        assert!(meter.is_due(start + FRAME) && !meter.is_due(start + FRAME * 3 / 2));
        assert!(meter.is_due(start + FRAME * 10));
        assert_eq!((meter.report().due, meter.next()), (11, start + FRAME * 11));
    }

    #[test]
    fn a_frame_is_late_when_half_a_frame_was_lost() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let mut now = start;
        for gap in [FRAME, FRAME, FRAME * 5 / 4, FRAME * 2] {
            meter.frame(now);
            now += gap;
        }
        meter.frame(now);
        let report = meter.report();
        assert_eq!((report.frames, report.late, report.gap), (5, 1, (FRAME * 2).as_micros() as u64));
        assert_eq!(meter.gaps().collect::<Vec<_>>(), [FRAME * 2, FRAME * 5 / 4, FRAME, FRAME]);
    }

    #[test]
    fn hidden_time_is_not_a_gap() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        meter.frame(start);
        meter.pause();
        meter.frame(start + Duration::from_secs(60));
        assert_eq!((meter.report().late, meter.gaps().len()), (0, 0));
    }

    #[test]
    fn turns_between_request_and_frame_are_counted() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        meter.turn(Duration::ZERO);
        meter.frame(start);
        assert_eq!(meter.report().waited, 0);
        meter.request_frame();
        meter.turn(Duration::ZERO);
        meter.request_frame();
        meter.turn(Duration::ZERO);
        meter.frame(start);
        meter.turn(Duration::ZERO);
        assert_eq!(meter.report().waited, 2);
    }

    #[test]
    fn old_gaps_are_dropped() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        for n in 0..1000 {
            meter.frame(start + FRAME * n);
        }
        assert_eq!(meter.gaps().len(), GAPS);
    }

    #[test]
    fn rates_are_of_the_last_second_and_the_worst_is_of_the_last_five() {
        let mut now = Instant::now();
        let mut meter = Meter::new(now);
        meter.turn(Duration::from_micros(900));
        for second in 1..=5 {
            assert_eq!(meter.report().turn, 900);
            for _ in 0..30 {
                meter.frame(now);
            }
            assert!(!meter.is_second(now));
            now += Duration::from_secs(1);
            assert!(meter.is_second(now));
            meter.summarize(now, second * 1000);
            assert_eq!((meter.report().fps, meter.report().rate), (30.0, 1000));
        }
        assert_eq!(meter.report().turn, 0);
    }
}
