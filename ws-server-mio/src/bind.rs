//! Where to listen, and opening the sockets for it.

use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
#[cfg(unix)]
use std::path::PathBuf;

/// Connections that may wait to be accepted. Systems lower it to what they allow; a page of hundreds of
/// sockets, or a restart with all clients coming back at once, needs more than the usual 128.
pub(crate) const BACKLOG: i32 = 4096;
/// How often a free port is asked for again, when the one found for IPv4 is taken for IPv6.
const PORT_ATTEMPTS: usize = 16;

/// Where a server listens.
///
/// ```
/// use ws_server_mio::Bind;
///
/// let this_machine = Bind::localhost(); // any free port
/// let known = Bind::localhost().port(8700);
/// let first_free = Bind::lan().port_range(8700..=8799);
/// let exact = Bind::from(std::net::SocketAddr::from(([192, 168, 1, 2], 8700)));
/// ```
///
/// A fixed port is best chosen below 32768, since systems give the higher ones to outgoing connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    pub(crate) host: Host,
    ports: RangeInclusive<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Localhost,
    Any,
    One(SocketAddr),
    #[cfg(unix)]
    Unix(PathBuf),
}

impl Bind {
    /// This machine only: 127.0.0.1 and \[::1\] on the same port, since `localhost` may mean either. A machine
    /// without IPv6 is served all the same. No firewall asks the user about it.
    pub fn localhost() -> Self {
        Self { host: Host::Localhost, ports: 0..=0 }
    }

    /// Every interface, IPv6 and IPv4 on one socket; IPv4 alone on a machine without IPv6.
    ///
    /// Whoever reaches the machine reaches the server. On Windows and macOS the firewall asks the user when a
    /// program does this for the first time.
    pub fn any() -> Self {
        Self { host: Host::Any, ports: 0..=0 }
    }

    /// The local network: the same as [`Bind::any`]. Everybody in it can connect, so let only those in who have
    /// the link: [`ServerConfig::require_token`](crate::ServerConfig::require_token).
    pub fn lan() -> Self {
        Self::any()
    }

    /// A Unix socket at this path, for programs on this machine. It has no port, no address and no URL; a peer's
    /// address is `None`.
    ///
    /// The file can be used by this user alone. To let others in, change its permissions after
    /// [`listen`](crate::Connections::listen); on some systems only the directory's permissions count, so a
    /// private directory (such as `$XDG_RUNTIME_DIR`) is the better place in any case. A file that was left by
    /// a program that is gone is replaced, one on which somebody listens is not, nor is one that is no socket.
    /// The file is removed when the server stops.
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

    /// The first free port of these.
    #[must_use]
    pub fn port_range(mut self, ports: RangeInclusive<u16>) -> Self {
        self.ports = ports;
        self
    }

    /// Opens the listeners: one or two, all on the same port.
    pub(crate) fn open_tcp(&self) -> Result<Vec<TcpListener>, ListenError> {
        let mut tried = Vec::new();
        let mut last = io::Error::from(io::ErrorKind::InvalidInput);
        for port in self.ports.clone() {
            let attempts = if port == 0 && self.host == Host::Localhost { PORT_ATTEMPTS } else { 1 };
            for _ in 0..attempts {
                match self.open_port(port, &mut tried) {
                    Ok(listeners) => return Ok(listeners),
                    Err(error) => last = error,
                }
                if last.kind() != io::ErrorKind::AddrInUse {
                    break;
                }
            }
            // Another port helps only where this one is taken or reserved.
            if !matches!(last.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) {
                break;
            }
        }
        Err(ListenError::new(tried, last))
    }

    fn open_port(&self, port: u16, tried: &mut Vec<SocketAddr>) -> io::Result<Vec<TcpListener>> {
        let mut open = |address: SocketAddr, only_v6| {
            let result = open_one(address, only_v6);
            if result.is_err() {
                tried.push(address);
            }
            result
        };
        match self.host {
            Host::One(mut address) => {
                address.set_port(port);
                Ok(vec![open(address, true)?])
            }
            Host::Any => match open((Ipv6Addr::UNSPECIFIED, port).into(), false) {
                Ok(both) => Ok(vec![both]),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
                Err(_no_v6) => Ok(vec![open((Ipv4Addr::UNSPECIFIED, port).into(), false)?]),
            },
            #[cfg(unix)]
            Host::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
            Host::Localhost => {
                let v4 = open((Ipv4Addr::LOCALHOST, port).into(), false)?;
                let port = v4.local_addr()?.port();
                match open((Ipv6Addr::LOCALHOST, port).into(), true) {
                    Ok(v6) => Ok(vec![v4, v6]),
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
                    Err(_no_v6) => Ok(vec![v4]),
                }
            }
        }
    }
}

/// Every interface, any free port. A program for this machine alone says [`Bind::localhost`].
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

fn open_one(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // On unix this lets a restarted program listen while old connections linger in TIME_WAIT. On Windows it
    // would let another program take the port over, and a restart needs no permission.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Why a server could not start. Nothing is left open; trying again is fine.
#[derive(Debug)]
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
    NotHere {
        /// What was tried.
        tried: Vec<SocketAddr>,
    },
    /// The range of ports is empty.
    NoPort,
    /// The Unix socket could not be opened: somebody listens on it, say ([`AddrInUse`](io::ErrorKind::AddrInUse)).
    #[cfg(unix)]
    Unix {
        /// Where.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Something else went wrong.
    Io {
        /// What was tried.
        tried: Vec<SocketAddr>,
        /// What the system said.
        error: io::Error,
    },
}

impl ListenError {
    pub(crate) fn new(tried: Vec<SocketAddr>, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidInput if tried.is_empty() => Self::NoPort,
            io::ErrorKind::AddrInUse => Self::InUse { tried },
            io::ErrorKind::PermissionDenied => Self::Denied { tried },
            io::ErrorKind::AddrNotAvailable => Self::NotHere { tried },
            _ => Self::Io { tried, error },
        }
    }
}

/// Addresses in a row; of many, the first and the last.
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

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { tried } => write!(
                f,
                "cannot listen on {}: in use, perhaps by another instance of this program; \
                 choose another port, a range with Bind::port_range, or port 0 for any free one",
                Tried(tried)
            ),
            Self::Denied { tried } => write!(
                f,
                "cannot listen on {}: the system does not allow it; choose a port from 1024 up",
                Tried(tried)
            ),
            Self::NotHere { tried } => {
                write!(f, "cannot listen on {}: not an address of this machine", Tried(tried))
            }
            #[cfg(unix)]
            Self::Unix { path, error } => write!(f, "cannot listen on {}: {error}", path.display()),
            Self::NoPort => f.write_str("cannot listen: the range of ports is empty"),
            Self::Io { tried, error } => write!(f, "cannot listen on {}: {error}", Tried(tried)),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            #[cfg(unix)]
            Self::Unix { error, .. } => Some(error),
            _ => None,
        }
    }
}
