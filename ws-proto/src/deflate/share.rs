//! How much one connection inflates before the others have their turn.

use super::pool::Pool;
use alloc::sync::Arc;

/// The first share of each connection, and the least.
const LEAST: u32 = 16 << 10;
/// The largest share: the more of it is inflated at a time, the warmer is the memory for it.
const MOST: u32 = 64 << 10;
/// So much is inflated for all of them together before each has its next share.
const ROUND: u32 = 4 << 20;

/// What is left of a connection's share, in bytes of work.
#[derive(Debug)]
pub(super) struct Share {
    left: u32,
    /// Its first share was not enough.
    wants_more: Option<Wanting>,
}

impl Share {
    pub(super) fn first() -> Self {
        Self { left: LEAST, wants_more: None }
    }

    pub(super) fn spend(&mut self, work: u32) {
        self.left = self.left.saturating_sub(work);
    }

    pub(super) fn is_used(&self) -> bool {
        self.left == 0
    }

    /// The next one: smaller, the more connections want more than their first.
    pub(super) fn renew(&mut self, pool: &Arc<Pool>) {
        let wanting = self.wants_more.get_or_insert_with(|| Wanting::new(pool));
        self.left = (ROUND / wanting.count()).clamp(LEAST, MOST);
    }

    /// All that has come is inflated.
    pub(super) fn finish(&mut self) {
        self.wants_more = None;
        self.left = self.left.min(LEAST);
    }
}

/// That a connection wants more than its first share.
#[derive(Debug)]
struct Wanting(Arc<Pool>);

impl Wanting {
    fn new(pool: &Arc<Pool>) -> Self {
        pool.change_wanting(1);
        Self(pool.clone())
    }

    fn count(&self) -> u32 {
        u32::try_from(self.0.wanting()).unwrap_or(u32::MAX).max(1)
    }
}

impl Drop for Wanting {
    fn drop(&mut self) {
        self.0.change_wanting(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_smaller_the_more_want_one_and_within_its_bounds() {
        let pool = Arc::<Pool>::default();
        let mut shares: Vec<_> = (0..1000).map(|_| Share::first()).collect();
        for (n, share) in shares.iter_mut().enumerate() {
            assert_eq!(share.left, 16 << 10);
            share.spend(20 << 10);
            assert!(share.is_used());
            share.renew(&pool);
            assert_eq!(share.left, ((4 << 20) / (n as u32 + 1)).clamp(16 << 10, 64 << 10));
        }
        shares[0].renew(&pool);
        assert_eq!(pool.wanting(), 1000, "each counts once");
        shares.truncate(64);
        shares[0].renew(&pool);
        assert_eq!((shares[0].left, pool.wanting()), (64 << 10, 64));
        shares[0].finish();
        assert_eq!((shares[0].left, pool.wanting()), (16 << 10, 63), "what was left over is no advantage");
        drop(shares);
        assert_eq!(pool.wanting(), 0);
    }
}
