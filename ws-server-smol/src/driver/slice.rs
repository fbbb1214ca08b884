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
    #[inline]
    pub(crate) fn is_over(&mut self, now: Moment) -> bool {
        let Some((since, bytes)) = self.0 else {
            self.0 = Some((now, 0));
            return false;
        };
        let is_over = bytes >= BYTES || now.since(since) >= TIME;
        if is_over {
            self.0 = None;
        }
        is_over
    }
}
