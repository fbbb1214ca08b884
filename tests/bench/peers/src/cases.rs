//! What is measured. A further case is a row here.

use std::fmt;

const TLS: bool = true;
const PLAIN: bool = false;

/// One figure of each server.
pub struct Case {
    pub kind: Kind,
    pub tls: bool,
    /// How many messages the shorter and the longer run of a count have; 0 if none is counted.
    pub counted: [u64; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// CPU per echo.
    Echo { size: usize, connections: usize, in_flight: usize },
    /// CPU per delivery of a message to all.
    Broadcast { size: usize, connections: usize },
    /// CPU per connection that is opened and upgraded.
    Open { connections: usize },
    /// Memory per connection; `after` each has had a message of this size echoed.
    Idle { connections: usize, after: usize },
}

pub const CASES: &[Case] = &[
    echo(16, 1, TLS, [1_000, 5_000]),
    echo(16, 4, TLS, [1_000, 5_000]),
    echo(16 << 10, 1, TLS, [200, 1_200]),
    echo(16 << 10, 4, TLS, [200, 1_200]),
    echo(1 << 20, 1, TLS, [50, 150]),
    echo(1 << 20, 4, TLS, [50, 150]),
    Case { kind: Kind::Broadcast { size: 64, connections: 1_000 }, tls: TLS, counted: [10, 50] },
    Case { kind: Kind::Open { connections: 1_000 }, tls: PLAIN, counted: [0; 2] },
    Case { kind: Kind::Open { connections: 1_000 }, tls: TLS, counted: [0; 2] },
    idle(0, PLAIN),
    idle(0, TLS),
    idle(16 << 10, PLAIN),
    idle(16 << 10, TLS),
];

const fn echo(size: usize, in_flight: usize, tls: bool, counted: [u64; 2]) -> Case {
    Case { kind: Kind::Echo { size, connections: 50, in_flight }, tls, counted }
}

const fn idle(after: usize, tls: bool) -> Case {
    Case { kind: Kind::Idle { connections: 2_000, after }, tls, counted: [0; 2] }
}

impl Kind {
    /// What the figures are.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Echo { .. } => "CPU µs per echo",
            Self::Broadcast { .. } => "CPU µs per delivery of a broadcast",
            Self::Open { .. } => "CPU µs to open a connection",
            Self::Idle { .. } => "Resident bytes per connection",
        }
    }

    /// Memory does not drift: a few rounds show that it is the same.
    pub fn rounds(self, wanted: usize) -> usize {
        match self {
            Self::Idle { .. } => wanted.min(2),
            _ => wanted,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Echo { size, connections, in_flight } => {
                write!(f, "{}, {connections} × {in_flight}", bytes(size))
            }
            Self::Broadcast { size, connections } => write!(f, "{} to {connections}", bytes(size)),
            Self::Open { connections } => write!(f, "{connections} connections"),
            Self::Idle { connections, after: 0 } => write!(f, "{connections}, idle"),
            Self::Idle { connections, after } => write!(f, "{connections}, idle after {} each", bytes(after)),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.kind, if self.tls { "TLS" } else { "plain" })
    }
}

fn bytes(size: usize) -> String {
    match size {
        0x10_0000.. => format!("{} MiB", size >> 20),
        1024.. => format!("{} KiB", size >> 10),
        _ => format!("{size} B"),
    }
}
