//! Where a server listens: which sockets to open, in which order, and why that failed.
//!
//! Nothing here touches the system: [`open`](super::open) does.

use crate::server::InvalidConfig;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::RangeInclusive;
use std::io;
#[cfg(unix)]
use std::path::{Path, PathBuf};

/// The accept backlog. Systems clamp it to what they allow; a page of hundreds of
/// sockets, or a restart with all clients reconnecting at once, needs more than the usual 128.
pub(super) const BACKLOG: i32 = 4096;
/// How many free ports are tried until one is free in both families.
const PORT_ATTEMPTS: usize = 16;

/// Where a server listens.
///
/// ```
/// use ws_host::listen::Bind;
///
/// let this_machine = Bind::localhost(); // any free port
/// let known = Bind::localhost().port(8700);
/// let first_free = Bind::lan().port_range(8700..=8799);
/// let exact = Bind::from(std::net::SocketAddr::from(([192, 168, 1, 2], 8700)));
/// ```
///
/// A fixed port is best chosen below 32768, since systems assign the higher ones to outgoing connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    host: Host,
    ports: RangeInclusive<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Localhost,
    Any,
    One(SocketAddr),
    #[cfg(unix)]
    Unix(PathBuf),
}

impl Bind {
    /// This machine only: 127.0.0.1 and \[::1\] on the same port, since `localhost` may mean either. A machine
    /// without IPv6 is served all the same. No firewall prompts the user.
    pub fn localhost() -> Self {
        Self { host: Host::Localhost, ports: 0..=0 }
    }

    /// Every interface, IPv6 and IPv4 on one socket; only IPv4 on a machine without IPv6.
    ///
    /// Every host that reaches this machine reaches the server. On Windows and macOS the firewall prompts the user when a
    /// program does this for the first time.
    pub fn any() -> Self {
        Self { host: Host::Any, ports: 0..=0 }
    }

    /// The local network: the same as [`Bind::any`]. Every host on it can connect, so admit only holders of the link:
    /// [`ServerConfig::require_token`](crate::server::ServerConfig::require_token).
    pub fn lan() -> Self {
        Self::any()
    }

    /// A Unix socket at this path, for programs on this machine. It has no port, no address and no URL; a peer's
    /// address is `None`, and its `Host` may be empty or any name without a dot ([`Access`](ws_proto::Access)).
    ///
    /// Only this user can use the file. To admit others, change its permissions once the server listens. On some systems
    /// only the directory's permissions count, so a private directory (such as `$XDG_RUNTIME_DIR`) is the better place in
    /// any case. A stale file, left by a program that has ended, is replaced; a socket that still has a listener is not,
    /// nor is any other kind of file. The server removes its file when it stops.
    #[cfg(unix)]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self { host: Host::Unix(path.into()), ports: 0..=0 }
    }

    /// Exactly this port; 0 is any free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.ports = port..=port;
        self
    }

    /// The first free port of this range.
    #[must_use]
    pub fn port_range(mut self, ports: RangeInclusive<u16>) -> Self {
        self.ports = ports;
        self
    }

    /// The path of a Unix socket, which has no addresses to open.
    #[cfg(unix)]
    pub fn unix_path(&self) -> Option<&Path> {
        match &self.host {
            Host::Unix(path) => Some(path),
            Host::Localhost | Host::Any | Host::One(_) => None,
        }
    }

    /// Opens one listener, or two on the same port, with a function that opens one: it takes an address and whether an
    /// IPv6 socket serves IPv6 only, and returns the listener with its bound address.
    ///
    /// # Errors
    /// [`ListenError`] names what was tried. Listeners opened before the error are dropped.
    pub(super) fn open_with<L>(
        &self,
        mut open: impl FnMut(SocketAddr, bool) -> io::Result<(L, SocketAddr)>,
    ) -> Result<Vec<L>, ListenError> {
        let mut tried = Vec::new();
        let mut last = io::Error::from(io::ErrorKind::InvalidInput);
        for port in self.ports.clone() {
            let attempts = if port == 0 && self.host == Host::Localhost { PORT_ATTEMPTS } else { 1 };
            for _ in 0..attempts {
                let open = |address, only_v6| {
                    let result = open(address, only_v6);
                    if result.is_err() {
                        tried.push(address);
                    }
                    result
                };
                match self.open_port(port, open) {
                    Ok(listeners) => return Ok(listeners),
                    Err(error) => last = error,
                }
                if last.kind() != io::ErrorKind::AddrInUse {
                    break;
                }
            }
            // Another port helps only if this one is taken or reserved.
            if !matches!(last.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) {
                break;
            }
        }
        Err(ListenError::new(tried, last))
    }

    fn open_port<L>(
        &self,
        port: u16,
        mut open: impl FnMut(SocketAddr, bool) -> io::Result<(L, SocketAddr)>,
    ) -> io::Result<Vec<L>> {
        match self.host {
            Host::One(mut address) => {
                address.set_port(port);
                Ok(vec![open(address, true)?.0])
            }
            Host::Any => match open((Ipv6Addr::UNSPECIFIED, port).into(), false) {
                Ok((both, _)) => Ok(vec![both]),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
                Err(_no_v6) => Ok(vec![open((Ipv4Addr::UNSPECIFIED, port).into(), false)?.0]),
            },
            #[cfg(unix)]
            Host::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
            Host::Localhost => {
                let (v4, address) = open((Ipv4Addr::LOCALHOST, port).into(), false)?;
                match open((Ipv6Addr::LOCALHOST, address.port()).into(), true) {
                    Ok((v6, _)) => Ok(vec![v4, v6]),
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
                    Err(_no_v6) => Ok(vec![v4]),
                }
            }
        }
    }
}

/// Every interface, any free port. To serve this machine only, use [`Bind::localhost`].
impl Default for Bind {
    fn default() -> Self {
        Self::any()
    }
}

impl From<SocketAddr> for Bind {
    fn from(address: SocketAddr) -> Self {
        Self { host: Host::One(address), ports: address.port()..=address.port() }
    }
}

impl From<(IpAddr, u16)> for Bind {
    fn from(address: (IpAddr, u16)) -> Self {
        SocketAddr::from(address).into()
    }
}

/// Why a server could not start. Nothing is left open, and it may be retried.
#[non_exhaustive]
pub enum ListenError {
    /// Every port that was tried is taken.
    InUse {
        /// What was tried.
        tried: Vec<SocketAddr>,
    },
    /// The system does not let this program listen there; ports below 1024 are often reserved.
    Denied {
        /// What was tried.
        tried: Vec<SocketAddr>,
    },
    /// The address is not one of this machine.
    AddressNotAvailable {
        /// What was tried.
        tried: Vec<SocketAddr>,
    },
    /// The port range is empty.
    NoPort,
    /// The configuration has an invalid host, origin, scheme, path or subprotocol. Nothing was opened.
    Config(InvalidConfig),
    /// The Unix socket could not be opened: because it has a listener, for example
    /// ([`AddrInUse`](io::ErrorKind::AddrInUse)).
    #[cfg(unix)]
    Unix {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// Another error.
    Io {
        /// What was tried.
        tried: Vec<SocketAddr>,
        /// The system's error.
        error: io::Error,
    },
}

impl ListenError {
    fn new(tried: Vec<SocketAddr>, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidInput if tried.is_empty() => Self::NoPort,
            io::ErrorKind::AddrInUse => Self::InUse { tried },
            io::ErrorKind::PermissionDenied => Self::Denied { tried },
            io::ErrorKind::AddrNotAvailable => Self::AddressNotAvailable { tried },
            _ => Self::Io { tried, error },
        }
    }
}

/// A list of addresses, shortened to the first and the last.
struct Tried<'a>(&'a [SocketAddr]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("the address"),
            [one] => one.fmt(f),
            [one, two] => write!(f, "{one} and {two}"),
            [first, .., last] => write!(f, "{first} … {last} ({} addresses)", self.0.len()),
        }
    }
}

ws_proto::debug_is_display!(ListenError);

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { tried } => write!(
                f,
                "cannot listen on {}: in use, perhaps by another instance of this program; \
                 choose another port, a range with Bind::port_range, or port 0 for any free one",
                Tried(tried)
            ),
            Self::Denied { tried } => {
                write!(f, "cannot listen on {}: permission denied; choose a port from 1024 up", Tried(tried))
            }
            Self::AddressNotAvailable { tried } => {
                write!(f, "cannot listen on {}: not an address of this machine", Tried(tried))
            }
            #[cfg(unix)]
            Self::Unix { path, error } => write!(f, "cannot listen on {}: {error}", path.display()),
            Self::NoPort => f.write_str("cannot listen: the port range is empty"),
            Self::Config(error) => write!(f, "cannot listen: {error}"),
            Self::Io { tried, error } => write!(f, "cannot listen on {}: {error}", Tried(tried)),
        }
    }
}

impl core::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            #[cfg(unix)]
            Self::Unix { error, .. } => Some(error),
            Self::Config(error) => Some(error),
            _ => None,
        }
    }
}

/// An error without an address: for example, the system cannot watch a listener.
impl From<io::Error> for ListenError {
    fn from(error: io::Error) -> Self {
        Self::Io { tried: Vec::new(), error }
    }
}

impl From<InvalidConfig> for ListenError {
    fn from(error: InvalidConfig) -> Self {
        Self::Config(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied, Unsupported};

    /// A system on which opening fails with these errors; port 0 becomes 40000, then 40001 and so on.
    fn open(
        bind: Bind,
        fails: impl Fn(SocketAddr) -> Option<io::ErrorKind>,
    ) -> Result<Vec<String>, ListenError> {
        let mut free = 40_000;
        bind.open_with(|mut address, only_v6| {
            if address.port() == 0 {
                address.set_port(free);
                free += 1;
            }
            match fails(address) {
                Some(kind) => Err(kind.into()),
                None => Ok((format!("{address}{}", if only_v6 { " alone" } else { "" }), address)),
            }
        })
    }

    #[test]
    fn localhost_is_both_families_on_one_port_that_is_free_in_both() {
        let taken = |address: SocketAddr| (address.to_string() == "[::1]:40000").then_some(AddrInUse);
        assert_eq!(open(Bind::localhost(), taken).unwrap(), ["127.0.0.1:40001", "[::1]:40001 alone"]);
        let no_v6 = |address: SocketAddr| address.is_ipv6().then_some(AddrNotAvailable);
        assert_eq!(open(Bind::localhost(), no_v6).unwrap(), ["127.0.0.1:40000"]);
    }

    #[test]
    fn every_interface_is_one_socket_and_ipv4_alone_without_ipv6() {
        assert_eq!(open(Bind::any().port(80), |_| None).unwrap(), ["[::]:80"]);
        let no_v6 = |address: SocketAddr| address.is_ipv6().then_some(Unsupported);
        assert_eq!(open(Bind::any().port(80), no_v6).unwrap(), ["0.0.0.0:80"]);
        let taken = |address: SocketAddr| address.is_ipv6().then_some(AddrInUse);
        assert!(open(Bind::any().port(80), taken).is_err(), "IPv4 alone would serve only half of the peers");
    }

    #[test]
    fn a_range_takes_its_first_free_port_or_reports_all_that_were_tried() {
        let taken = |address: SocketAddr| (address.port() < 8702).then_some(AddrInUse);
        assert_eq!(open(Bind::any().port_range(8700..=8709), taken).unwrap(), ["[::]:8702"]);
        match open(Bind::any().port_range(8700..=8701), taken) {
            Err(ListenError::InUse { tried }) => assert_eq!(tried.len(), 2),
            other => panic!("{other:?}"),
        }
        #[expect(clippy::reversed_empty_ranges, reason = "an empty range")]
        let empty = 2..=1;
        assert!(matches!(open(Bind::any().port_range(empty), taken), Err(ListenError::NoPort)));
    }

    #[test]
    fn an_exact_address_opens_only_itself_and_lan_every_interface() {
        let exact = Bind::from((IpAddr::from([192, 0, 2, 1]), 8700));
        assert_eq!(open(exact.clone(), |_| None).unwrap(), ["192.0.2.1:8700 alone"]);
        assert_eq!(open(exact.port(0), |_| None).unwrap(), ["192.0.2.1:40000 alone"]);
        assert_eq!((Bind::lan(), Bind::default()), (Bind::any(), Bind::any()));
        match open(Bind::localhost(), |_| Some(Unsupported)) {
            Err(ListenError::Io { tried, error }) => {
                assert_eq!((tried.len(), error.kind()), (1, Unsupported))
            }
            other => panic!("{other:?}"),
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_unix_socket_has_a_path_and_no_addresses() {
        let bind = Bind::unix("/run/app.sock");
        assert_eq!(bind.unix_path(), Some(Path::new("/run/app.sock")));
        assert_eq!(Bind::localhost().unix_path(), None);
        assert!(open(bind, |address| panic!("{address} is opened")).is_err());
    }

    #[test]
    fn an_error_that_no_other_port_fixes_is_not_retried() {
        let exact = Bind::from(SocketAddr::from(([192, 0, 2, 1], 1))).port_range(1..=9);
        match open(exact.clone(), |_| Some(AddrNotAvailable)) {
            Err(ListenError::AddressNotAvailable { tried }) => assert_eq!(tried.len(), 1),
            other => panic!("{other:?}"),
        }
        match open(exact, |_| Some(PermissionDenied)) {
            Err(ListenError::Denied { tried }) => assert_eq!(tried.len(), 9),
            other => panic!("{other:?}"),
        }
    }
}
