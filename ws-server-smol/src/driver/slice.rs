//! How long a task runs before it yields: a socket that is always ready would never suspend it.

use std::time::Duration;
use ws_proto::Moment;

/// Yield after this many bytes …
pub(super) const BYTES: usize = 64 << 10;
/// … or this much time.
const TIME: Duration = Duration::from_micros(500);
/// The same within a message: its memory is warm, and freed once it is handled.
const MESSAGE_BYTES: usize = 4 << 20;
const MESSAGE_TIME: Duration = Duration::from_millis(1);

/// When a slice began, and how many bytes were processed in it.
#[derive(Debug, Default)]
pub(crate) struct Slice(Option<(Moment, usize)>);

impl Slice {
    /// Whether the task has just begun, or resumed after yielding.
    pub(crate) fn is_fresh(&self) -> bool {
        self.0.is_none()
    }

    /// The task has nothing more to do, or yields.
    pub(crate) fn end(&mut self) {
        self.0 = None;
    }

    #[inline]
    pub(crate) fn add(&mut self, used: usize) {
        if let Some((_, bytes)) = &mut self.0 {
            *bytes += used;
        }
    }

    /// Whether to yield now. If so, the next slice begins with the next call.
    ///
    /// A task that `has_input` processes some of it first: on a busy machine the time may be over right after a read,
    /// and the input would wait for a whole round of other tasks.
    #[inline]
    pub(crate) fn is_over(
        &mut self,
        now: Moment,
        is_in_message: bool,
        has_input: impl FnOnce() -> bool,
    ) -> bool {
        let Some((since, bytes)) = self.0 else {
            self.0 = Some((now, 0));
            return false;
        };
        let (most, longest) = if is_in_message { (MESSAGE_BYTES, MESSAGE_TIME) } else { (BYTES, TIME) };
        let is_over = bytes >= most || now.since(since) >= longest && (bytes > 0 || !has_input());
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
    fn input_is_processed_before_time_ends_the_slice() {
        let (begin, late) = (Moment::default(), Moment::default() + TIME);
        let mut slice = Slice::default();
        assert!(!slice.is_over(begin, false, || true), "the slice begins");
        assert!(!slice.is_over(late, false, || true), "nothing is processed yet");
        slice.add(1);
        assert!(slice.is_over(late, false, || true));
        assert!(!slice.is_over(late, false, || false), "the next slice begins");
        assert!(slice.is_over(late + TIME, false, || false), "there is no input");
    }

    #[test]
    fn bytes_alone_end_the_slice() {
        let begin = Moment::default();
        let mut slice = Slice::default();
        assert!(!slice.is_over(begin, false, || true));
        slice.add(BYTES - 1);
        assert!(!slice.is_over(begin, false, || true));
        slice.add(1);
        assert!(slice.is_over(begin, false, || true) && slice.is_fresh());
    }

    #[test]
    fn a_message_is_finished_in_a_longer_slice_that_ends_too() {
        let (begin, late) = (Moment::default(), Moment::default() + TIME);
        let mut slice = Slice::default();
        assert!(!slice.is_over(begin, true, || true));
        slice.add(MESSAGE_BYTES - 1);
        assert!(!slice.is_over(late, true, || true));
        slice.add(1);
        assert!(slice.is_over(late, true, || true), "the message is long");
        assert!(!slice.is_over(begin, true, || true));
        slice.add(BYTES);
        assert!(slice.is_over(begin, false, || true), "the message is finished");
        assert!(!slice.is_over(begin, true, || true));
        slice.add(1);
        assert!(slice.is_over(begin + MESSAGE_TIME, true, || true), "the message takes long");
    }
}
