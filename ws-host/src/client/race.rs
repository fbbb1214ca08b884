//! The race of a client's addresses (Happy Eyeballs, RFC 8305 §5): which address is next, and when.

use super::ConnectError;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::io;

/// How long an address may take before the next one is tried in parallel (RFC 8305 §5).
pub const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Addresses tried in parallel until one accepts the connection.
///
/// Pure: the owner of the sockets opens them, keeps the time, and reports failures.
///
/// ```text
///  next ──▶ Connect: begin, and call again after the delay, or once a running one fails
///   ▲  │──▶ Wait: all have begun; a running one may still win
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
/// println!("{}", race.unreachable()); // the addresses tried, and the last error
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

/// The next step of a [`Race`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaceStep {
    /// Begin to connect to this address.
    Connect {
        /// The address.
        address: SocketAddr,
        /// When to call [`Race::next`] again, if it is still pending; `None` for the last address.
        next_after: Option<Duration>,
    },
    /// All have begun: a running one may still win.
    Wait,
    /// All have failed.
    Lost,
}

impl Race {
    /// A race of these addresses, in this order.
    pub fn new(addresses: impl Into<VecDeque<SocketAddr>>) -> Self {
        Self { untried: addresses.into(), ..Self::default() }
    }

    /// One connection without an address that has already begun: over a Unix socket.
    pub fn without_address() -> Self {
        Self { running: 1, ..Self::default() }
    }

    /// The next step: call this at the beginning, when the delay of the last step is over, and after each
    /// [failure](Self::failed).
    #[expect(clippy::should_implement_trait, reason = "it continues after Wait, when one has failed")]
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

    /// One has connected: no other address is tried.
    pub fn won(&mut self) {
        self.untried.clear();
    }

    /// The addresses tried, in this order.
    pub fn tried(&self) -> &[SocketAddr] {
        &self.tried
    }

    /// Takes the addresses tried, for the [failure](ConnectError) of a connected one.
    pub fn take_tried(&mut self) -> Vec<SocketAddr> {
        core::mem::take(&mut self.tried)
    }

    /// The failure of a race that is [lost](RaceStep::Lost): takes the addresses tried, and the error of the last
    /// one.
    pub fn unreachable(&mut self) -> ConnectError {
        // A name without addresses has no system error.
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

    /// The addresses tried, and the error.
    fn failure(race: &mut Race) -> (Vec<SocketAddr>, io::ErrorKind) {
        match race.unreachable() {
            ConnectError::Unreachable { tried, error } => (tried, error.kind()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_failure_starts_the_next_address_and_the_last_error_is_reported() {
        let mut race = Race::new([at(1), at(2)]);
        assert_eq!(race.next(), connect(1, true));
        race.failed(io::ErrorKind::ConnectionRefused.into());
        assert_eq!(race.next(), connect(2, false));
        race.failed(io::ErrorKind::HostUnreachable.into());
        assert_eq!(race.next(), RaceStep::Lost);
        assert_eq!(failure(&mut race), (vec![at(1), at(2)], io::ErrorKind::HostUnreachable));
    }

    #[test]
    fn the_race_is_lost_only_when_no_attempt_runs() {
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
    fn no_address_is_tried_after_the_winner() {
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
