//! What the benchmarks ask of the system: cores, descriptors, sockets; time and memory of processes. Linux.

use mio::net::TcpStream;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use socket2::{Domain, Socket, Type};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// This many connections come from one address: ports are scarce, and other programs use them too.
const PER_ADDRESS: usize = 2_000;

/// The first (0) or the second (1) of this process's cores, if it has that many.
pub fn core(which: usize) -> Option<usize> {
    let all = sched_getaffinity(None).ok()?;
    (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).nth(which)
}

/// Pins this process to that core, if there is one.
pub fn pin(which: usize) {
    if let Some(core) = core(which) {
        let mut one = CpuSet::new();
        one.set(core);
        // Unpinned it is less steady, but works.
        let _ = sched_setaffinity(None, &one);
    }
}

/// Raises this process's descriptor limit to the maximum; returns how many.
pub fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    now.unwrap_or(u64::MAX)
}

/// How long this thread has been ready to run without a core.
pub struct Stolen(Option<File>);

impl Stolen {
    pub fn of_this_thread() -> Self {
        Self(File::open("/proc/thread-self/schedstat").ok())
    }

    /// So far; zero where the kernel does not count it.
    pub fn time(&self) -> Duration {
        let mut text = [0; 80];
        let n = self.0.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
        let text = str::from_utf8(&text[..n]).unwrap_or_default();
        let nanos = text.split_whitespace().nth(1).and_then(|nanos| nanos.parse().ok());
        Duration::from_nanos(nanos.unwrap_or(0))
    }
}

/// The CPU time of another process: of the threads that it has now.
pub fn process_time(pid: Pid) -> io::Result<Duration> {
    let mut time = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()))? {
        // A thread may have ended meanwhile.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let nanos = text.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
        time += Duration::from_nanos(nanos.ok_or(io::ErrorKind::InvalidData)?);
    }
    Ok(time)
}

/// The resident bytes of another process.
pub fn resident(pid: Pid) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", pid.as_raw_nonzero()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    Ok(kib.ok_or(io::ErrorKind::InvalidData)? * 1024)
}

/// Opens the `index`th connection to this server; it does not block any more.
pub fn connect(server: SocketAddr, index: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let from = Ipv4Addr::from(0x7f00_0002 + (index / PER_ADDRESS) as u32);
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect(&server.into())?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(TcpStream::from_std(socket.into()))
}
