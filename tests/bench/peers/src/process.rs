//! A server in a process of its own.

use crate::peers::Program;
use rustix::process::{Pid, Signal, kill_process};
use std::error::Error;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Valgrind counts each byte of `rep movsb` as an instruction: glibc is to copy without.
const NO_REP: &str =
    "glibc.cpu.x86_rep_movsb_threshold=0x40000000:glibc.cpu.x86_rep_stosb_threshold=0x40000000";

/// Files of the certificate that all servers have.
pub struct Certificate<'a> {
    pub chain: &'a Path,
    pub key: &'a Path,
}

pub struct Server {
    child: Child,
    pub pid: Pid,
    pub address: SocketAddr,
}

impl Server {
    /// Starts it on this core, and within this tracer, if there is one.
    pub fn start(
        program: &Program,
        certificate: Option<&Certificate<'_>>,
        core: usize,
        tracer: &[OsString],
    ) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new("taskset");
        command.args(["-c", &core.to_string()]).args(tracer).args(program.command()?);
        if let Some(Certificate { chain, key }) = certificate {
            command.arg(chain).arg(key);
        }
        if !tracer.is_empty() {
            command.env("GLIBC_TUNABLES", NO_REP);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let pid = Pid::from_raw(child.id() as i32).ok_or("no process")?;
        let address = line.trim().parse().map_err(|_| format!("the server printed {line:?}"))?;
        Ok(Self { child, pid, address })
    }

    /// Ends it as a shell would, so that a tracer around it can report.
    pub fn stop(mut self) -> Result<(), Box<dyn Error>> {
        kill_process(self.pid, Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match self.child.kill() {
            Err(error) if error.kind() != ErrorKind::InvalidInput => eprintln!("a server goes on: {error}"),
            _ => drop(self.child.wait()),
        }
    }
}
