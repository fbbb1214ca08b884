//! The race of a client's addresses (Happy Eyeballs, RFC 8305 §5): which address is next, and when.

use super::ConnectError;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::io;

/// How long an address may take before the next one is tried beside it (RFC 8305 §5).
pub const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Addresses that are tried beside each other until one takes the connection.
///
/// Pure: the owner of the sockets opens them, keeps the time, and reports what failed.
///
/// ```text
///  next ──▶ Connect: begin, and ask again after the delay, or once one of those that run fails
///   ▲  │──▶ Wait: all are begun; one of those that run may still win
///   │  └──▶ Lost: all have failed ──▶ unreachable
///   └── failed(error)
/// ```
///
/// ```
/// use std::io;
/// use ws_host::client::{NEXT_ADDRESS_AFTER, Race, RaceStep};
///
/// let (v6, v4) = ("[2001:db8::1]:80".parse()?, "192.0.2.1:80".parse()?);
/// let mut race = Race::new([v6, v4]);
/// assert_eq!(race.next(), RaceStep::Connect { address: v6, next_after: Some(NEXT_ADDRESS_AFTER) });
/// // A quarter of a second later:
/// assert_eq!(race.next(), RaceStep::Connect { address: v4, next_after: None });
/// race.failed(io::ErrorKind::ConnectionRefused.into());
/// assert_eq!(race.next(), RaceStep::Wait);
/// race.failed(io::ErrorKind::HostUnreachable.into());
/// assert_eq!(race.next(), RaceStep::Lost);
/// println!("{}", race.unreachable()); // what was tried, and why the last one failed
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Default)]
pub struct Race {
    untried: VecDeque<SocketAddr>,
    tried: Vec<SocketAddr>,
    running: usize,
    /// The error of the last one that failed.
    error: Option<io::Error>,
}

/// What a [`Race`] does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaceStep {
    /// Begin to connect to this address.
    Connect {
        /// The address.
        address: SocketAddr,
        /// How long it may take before [`Race::next`] is asked again; `None` for the last address.
        next_after: Option<Duration>,
    },
    /// Nothing is left to begin: one that runs may still win.
    Wait,
    /// All have failed.
    Lost,
}

impl Race {
    /// A race of these addresses, in this order.
    pub fn new(addresses: impl Into<VecDeque<SocketAddr>>) -> Self {
        Self { untried: addresses.into(), ..Self::default() }
    }

    /// One connection that has no address and has begun: over a Unix socket.
    pub fn without_address() -> Self {
        Self { running: 1, ..Self::default() }
    }

    /// What to do now: at the beginning, when the delay of the last step is over, and after each
    /// [failure](Self::failed).
    #[expect(clippy::should_implement_trait, reason = "it goes on after Wait, when one has failed")]
    pub fn next(&mut self) -> RaceStep {
        match self.untried.pop_front() {
            Some(address) => {
                self.tried.push(address);
                self.running += 1;
                let next_after = (!self.untried.is_empty()).then_some(NEXT_ADDRESS_AFTER);
                RaceStep::Connect { address, next_after }
            }
            None if self.running > 0 => RaceStep::Wait,
            None => RaceStep::Lost,
        }
    }

    /// One that was begun has failed.
    pub fn failed(&mut self, error: io::Error) {
        self.running = self.running.saturating_sub(1);
        self.error = Some(error);
    }

    /// One has taken the connection: no other address is tried.
    pub fn won(&mut self) {
        self.untried.clear();
    }

    /// What was tried, in this order.
    pub fn tried(&self) -> &[SocketAddr] {
        &self.tried
    }

    /// What was tried, for the [failure](ConnectError) of one that was connected; nothing is left of it here.
    pub fn take_tried(&mut self) -> Vec<SocketAddr> {
        core::mem::take(&mut self.tried)
    }

    /// The failure of a race that is [lost](RaceStep::Lost): what was tried, with the error of the last one. Neither is
    /// left here.
    pub fn unreachable(&mut self) -> ConnectError {
        // Of a name without addresses the system has said nothing.
        let error = self.error.take().unwrap_or_else(|| io::ErrorKind::NotFound.into());
        ConnectError::Unreachable { tried: self.take_tried(), error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn connect(port: u16, more: bool) -> RaceStep {
        RaceStep::Connect { address: at(port), next_after: more.then_some(NEXT_ADDRESS_AFTER) }
    }

    /// What was tried, and the error.
    fn failure(race: &mut Race) -> (Vec<SocketAddr>, io::ErrorKind) {
        match race.unreachable() {
            ConnectError::Unreachable { tried, error } => (tried, error.kind()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_failure_brings_the_next_address_at_once_and_the_last_error_is_told() {
        let mut race = Race::new([at(1), at(2)]);
        assert_eq!(race.next(), connect(1, true));
        race.failed(io::ErrorKind::ConnectionRefused.into());
        assert_eq!(race.next(), connect(2, false));
        race.failed(io::ErrorKind::HostUnreachable.into());
        assert_eq!(race.next(), RaceStep::Lost);
        assert_eq!(failure(&mut race), (vec![at(1), at(2)], io::ErrorKind::HostUnreachable));
    }

    #[test]
    fn the_race_is_lost_only_once_none_runs() {
        let mut race = Race::new([at(1), at(2), at(3)]);
        assert_eq!((race.next(), race.next()), (connect(1, true), connect(2, true)));
        race.failed(io::ErrorKind::ConnectionRefused.into());
        assert_eq!((race.next(), race.next()), (connect(3, false), RaceStep::Wait));
        race.failed(io::ErrorKind::ConnectionRefused.into());
        assert_eq!(race.next(), RaceStep::Wait);
        race.failed(io::ErrorKind::TimedOut.into());
        assert_eq!(race.next(), RaceStep::Lost);
    }

    #[test]
    fn after_the_winner_no_address_is_tried() {
        let mut race = Race::new([at(1), at(2)]);
        race.next();
        race.won();
        assert_eq!(race.next(), RaceStep::Wait);
        assert_eq!(race.tried(), [at(1)]);
        assert_eq!(race.take_tried(), [at(1)]);
        assert!(race.tried().is_empty());
    }

    #[test]
    fn a_name_without_addresses_is_not_found() {
        let mut race = Race::new([]);
        assert_eq!(race.next(), RaceStep::Lost);
        assert_eq!(failure(&mut race), (vec![], io::ErrorKind::NotFound));
    }

    #[test]
    fn a_unix_socket_has_one_attempt_and_no_address() {
        let mut race = Race::without_address();
        assert_eq!(race.next(), RaceStep::Wait);
        race.failed(io::ErrorKind::ConnectionRefused.into());
        assert_eq!(race.next(), RaceStep::Lost);
        assert_eq!(failure(&mut race), (vec![], io::ErrorKind::ConnectionRefused));
    }
}
