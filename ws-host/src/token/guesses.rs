//! Wrong tokens, counted for each address.

use crate::address_key::address_key;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use ws_proto::Moment;

/// The time in which so many wrong tokens are allowed.
const PERIOD: Duration = Duration::from_secs(60);
/// The most addresses that are remembered: beyond them, the one whose period began first is forgotten.
const ADDRESSES: usize = 4_096;

/// How many wrong tokens each address has sent within a minute.
#[derive(Debug)]
pub(super) struct Guesses {
    limit: u32,
    addresses: Mutex<HashMap<u64, Period>>,
}

#[derive(Clone, Copy, Debug)]
struct Period {
    since: Moment,
    wrong: u32,
}

impl Period {
    fn is_over(self, now: Moment) -> bool {
        now.since(self.since) >= PERIOD
    }
}

impl Guesses {
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, addresses: Mutex::default() }
    }

    /// Counts a wrong token. Beyond the limit, the error is when the period of this address ends. All peers without an
    /// address count as one.
    pub(super) fn count(&self, peer: Option<SocketAddr>, now: Moment) -> Result<(), Duration> {
        // No network has this prefix.
        let key = peer.map_or(u64::MAX, |peer| address_key(peer.ip()));
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= ADDRESSES && !addresses.contains_key(&key) {
            make_room(&mut addresses, now);
        }
        let period = addresses.entry(key).or_insert(Period { since: now, wrong: 0 });
        if period.is_over(now) {
            *period = Period { since: now, wrong: 0 };
        }
        if period.wrong >= self.limit {
            return Err(PERIOD.saturating_sub(now.since(period.since)));
        }
        period.wrong += 1;
        Ok(())
    }
}

fn make_room(addresses: &mut HashMap<u64, Period>, now: Moment) {
    addresses.retain(|_, period| !period.is_over(now));
    if addresses.len() >= ADDRESSES
        && let Some(first) = addresses.iter().min_by_key(|(_, period)| period.since).map(|(key, _)| *key)
    {
        addresses.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ip: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(ip.parse().unwrap(), 1))
    }

    fn later(seconds: u64) -> Moment {
        Moment::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn an_address_has_so_many_a_minute() {
        let guesses = Guesses::new(2);
        let (a, b) = (at("192.0.2.1"), at("192.0.2.2"));
        assert_eq!(guesses.count(a, later(0)), Ok(()));
        assert_eq!(guesses.count(a, later(10)), Ok(()));
        assert_eq!(guesses.count(a, later(20)), Err(Duration::from_secs(40)));
        assert_eq!(guesses.count(b, later(20)), Ok(()), "another address");
        assert_eq!(guesses.count(a, later(59)), Err(Duration::from_secs(1)));
        assert_eq!(guesses.count(a, later(60)), Ok(()));
        assert_eq!(Guesses::new(0).count(a, later(0)), Err(PERIOD));
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_so_do_all_peers_without_an_address() {
        let guesses = Guesses::new(1);
        for (first, second) in [
            (at("2001:db8::1"), at("2001:db8::ffff:1")),
            (at("192.0.2.1"), at("::ffff:192.0.2.1")),
            (None, None),
        ] {
            assert_eq!(guesses.count(first, later(0)), Ok(()));
            assert!(guesses.count(second, later(0)).is_err(), "{second:?}");
        }
        assert_eq!(guesses.count(at("2001:db8:0:1::1"), later(0)), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let guesses = Guesses::new(1);
        let address = |n: u32| Some(SocketAddr::from((n.to_be_bytes(), 1)));
        let most = ADDRESSES as u32;
        for n in 0..most + 100 {
            assert_eq!(guesses.count(address(n), later(u64::from(n) / 1000)), Ok(()));
        }
        let len = || guesses.addresses.lock().unwrap().len();
        assert_eq!(len(), ADDRESSES);
        assert!(guesses.count(address(most + 99), later(4)).is_err(), "the newest is known");
        assert_eq!(guesses.count(address(u32::MAX), later(100)), Ok(()));
        assert_eq!(len(), 1, "periods that are over are forgotten");
    }
}
