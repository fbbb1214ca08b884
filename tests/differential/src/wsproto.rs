//! How `wsproto` reads a stream of bytes: a script reads one line per stream, and answers with one.

use crate::{Outcome, Role};
use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(crate) struct Wsproto {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Wsproto {
    pub(crate) fn start(python: &str) -> Result<Self, Box<dyn Error>> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("read.py");
        let mut child =
            Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take().ok_or("no pipe")?;
        let stdout = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        Ok(Self { child, stdin, stdout })
    }

    pub(crate) fn read(&mut self, role: Role, bytes: &[u8]) -> Result<Outcome, Box<dyn Error>> {
        let mut line = String::from(if role == Role::Server { "server " } else { "client " });
        for byte in bytes {
            write!(line, "{byte:02x}")?;
        }
        line.push('\n');
        self.stdin.write_all(line.as_bytes())?;
        let mut answer = String::new();
        self.stdout.read_line(&mut answer)?;
        let mut outcome = Outcome::default();
        let mut outcomes = answer.split_whitespace();
        let close = outcomes.next().ok_or("wsproto printed nothing")?;
        outcome.close = if close == "waits" { None } else { Some(close.parse()?) };
        for item in outcomes {
            let (kind, hex) = item.split_at(1);
            let data = bytes_of(hex)?;
            match kind {
                "t" => outcome.messages.push((true, data)),
                "b" => outcome.messages.push((false, data)),
                _ => outcome.pongs.push(data),
            }
        }
        Ok(outcome)
    }
}

impl Drop for Wsproto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bytes_of(hex: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let pairs = (0..hex.len()).step_by(2).map(|at| hex.get(at..at + 2));
    pairs.map(|pair| Ok(u8::from_str_radix(pair.ok_or("half a byte")?, 16)?)).collect()
}
