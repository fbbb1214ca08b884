//! How much one connection inflates before the other connections take their turn.

use super::pool::Pool;
use alloc::sync::Arc;

/// The first share of each connection, and the smallest.
const MIN: u32 = 16 << 10;
/// The largest share: the more is inflated at a time, the warmer its memory.
const MAX: u32 = 64 << 10;
/// How much is inflated for all of them together before each gets its next share.
const ROUND: u32 = 4 << 20;

/// What is left of a connection's share, in bytes of work.
#[derive(Debug)]
pub(super) struct Share {
    left: u32,
    /// A new, unused share: its size is decided on first use.
    is_new: bool,
    /// Its first share was not enough.
    claim: Option<Claim>,
}

impl Share {
    pub(super) fn first() -> Self {
        Self { left: MIN, is_new: false, claim: None }
    }

    pub(super) fn spend(&mut self, work: u32) {
        if let (true, Some(claim)) = (self.is_new, &self.claim) {
            self.left = (ROUND / claim.count()).clamp(MIN, MAX);
        }
        self.is_new = false;
        self.left = self.left.saturating_sub(work);
    }

    pub(super) fn is_used(&self) -> bool {
        self.left == 0 && !self.is_new
    }

    /// Grants the next share: the size shrinks, at first use, with the number of connections that want more than their
    /// first.
    pub(super) fn renew(&mut self, pool: &Arc<Pool>) {
        self.claim.get_or_insert_with(|| Claim::new(pool));
        self.is_new = true;
    }

    /// All received input is inflated.
    pub(super) fn finish(&mut self) {
        self.claim = None;
        self.left = if self.is_new { MIN } else { self.left.min(MIN) };
        self.is_new = false;
    }
}

/// Counts a connection that wants more than its first share.
#[derive(Debug)]
struct Claim(Arc<Pool>);

impl Claim {
    fn new(pool: &Arc<Pool>) -> Self {
        pool.change_claims(1);
        Self(pool.clone())
    }

    fn count(&self) -> u32 {
        u32::try_from(self.0.claims()).unwrap_or(u32::MAX).max(1)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.change_claims(-1);
    }
}

#[cfg(test)]
#[cfg(feature = "deflate")]
mod tests {
    use super::super::codec::Codec;
    use super::*;

    fn of(claims: usize) -> u32 {
        ((4 << 20) / claims as u32).clamp(16 << 10, 64 << 10)
    }

    #[test]
    fn share_shrinks_with_demand_within_bounds() {
        for claims in [1, 2, 64, 65, 200, 256, 257, 1000] {
            let pool = Arc::new(Pool::new(Codec));
            let mut shares: Vec<_> = (0..claims).map(|_| Share::first()).collect();
            for share in &mut shares {
                assert_eq!(share.left, 16 << 10);
                share.spend(20 << 10);
                assert!(share.is_used());
                share.renew(&pool);
                assert!(!share.is_used());
            }
            for share in &mut shares {
                share.renew(&pool);
                share.spend(1);
                assert_eq!((share.left, pool.claims()), (of(claims) - 1, claims), "each counts once");
            }
            drop(shares);
            assert_eq!(pool.claims(), 0);
        }
    }

    #[test]
    fn leftover_share_is_not_carried_over() {
        let pool = Arc::new(Pool::new(Codec));
        let mut share = Share::first();
        share.renew(&pool);
        share.spend(1);
        assert_eq!(share.left, (64 << 10) - 1);
        share.finish();
        assert_eq!((share.left, pool.claims()), (16 << 10, 0));
        share.spend(10);
        share.finish();
        assert_eq!(share.left, (16 << 10) - 10, "what was used stays used");
        share.spend(20 << 10);
        share.renew(&pool);
        share.finish();
        assert_eq!((share.left, share.is_used()), (16 << 10, false));
    }
}
