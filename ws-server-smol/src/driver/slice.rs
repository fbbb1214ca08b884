//! How long a task goes on before it lets others run: a ready socket never makes it wait.

use std::time::Duration;
use ws_proto::Moment;

/// After so many bytes …
const BYTES: usize = 64 << 10;
/// … or so much time.
const TIME: Duration = Duration::from_micros(500);

/// Since when, and for how many bytes, a task has not let others run.
#[derive(Debug, Default)]
pub(crate) struct Slice(Option<(Moment, usize)>);

impl Slice {
    /// Whether the task has just begun, or begun anew.
    pub(crate) fn is_fresh(&self) -> bool {
        self.0.is_none()
    }

    /// The task has nothing more to do, or lets others run.
    pub(crate) fn end(&mut self) {
        self.0 = None;
    }

    #[inline]
    pub(crate) fn add(&mut self, used: usize) {
        if let Some((_, bytes)) = &mut self.0 {
            *bytes += used;
        }
    }

    /// Whether the others are to run now. If so, the next slice begins when this is asked again.
    ///
    /// Whoever `has_input` uses some of it first: on a machine that is busy the time may be over just after a read, and what
    /// was read would wait for a whole round of the others.
    #[inline]
    pub(crate) fn is_over(&mut self, now: Moment, has_input: impl FnOnce() -> bool) -> bool {
        let Some((since, bytes)) = self.0 else {
            self.0 = Some((now, 0));
            return false;
        };
        let is_over = bytes >= BYTES || now.since(since) >= TIME && (bytes > 0 || !has_input());
        if is_over {
            self.0 = None;
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_used_before_the_time_is_over() {
        let (begin, late) = (Moment::default(), Moment::default() + TIME);
        let mut slice = Slice::default();
        assert!(!slice.is_over(begin, || true), "it begins");
        assert!(!slice.is_over(late, || true), "nothing is used yet");
        slice.add(1);
        assert!(slice.is_over(late, || true));
        assert!(!slice.is_over(late, || false), "the next one begins");
        assert!(slice.is_over(late + TIME, || false), "there is nothing to use");
    }

    #[test]
    fn bytes_and_time_end_it_each_by_itself() {
        let begin = Moment::default();
        let mut slice = Slice::default();
        assert!(!slice.is_over(begin, || true));
        slice.add(BYTES - 1);
        assert!(!slice.is_over(begin, || true));
        slice.add(1);
        assert!(slice.is_over(begin, || true) && slice.is_fresh());
    }
}
