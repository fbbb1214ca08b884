//! Records real connections for the `replay` test.
//!
//! `TRACE=stem cargo run -p ws-proto --example record -- 8700` serves on that port and writes `stem-1.trace` for the
//! first connection, `stem-2.trace` for the next. `TRACE=stem cargo run … -- ws://host:port/` connects there.
//! `tests/interop/record.sh` records all traces in `ws-proto/tests/traces`.
#![allow(clippy::print_stdout)] // examples print

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use ws_kit::trace::{Action, Driven, Record, Role};
use ws_proto::{Clock, IoAction, Moment};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let to = std::env::args().nth(1).unwrap_or_default();
    let stem = std::env::var("TRACE")?;
    if let Some(rest) = to.strip_prefix("ws://") {
        let address = rest.split('/').next().unwrap_or_default();
        record(TcpStream::connect(address)?, &Role::Client(to.clone()), &format!("{stem}.trace"))?;
        return Ok(());
    }
    let listener = TcpListener::bind(format!("127.0.0.1:{to}"))?;
    println!("http://{}/", listener.local_addr()?);
    for (n, socket) in (1..).zip(listener.incoming()) {
        let (socket, path) = (socket?, format!("{stem}-{n}.trace"));
        std::thread::spawn(move || {
            record(socket, &Role::Server, &path).unwrap_or_else(|error| println!("{path}: {error}"));
        });
    }
    Ok(())
}

/// Runs a connection to its end. Writes one line per call, with the time passed to the engine.
fn record(mut socket: TcpStream, role: &Role, path: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    match role {
        Role::Server => writeln!(file, "server")?,
        Role::Client(url) => writeln!(file, "client {url}")?,
    }
    let birth = Instant::now();
    let clock = Clock::new(birth);
    let mut driven = Driven::new(Moment::default(), role);
    let mut buffer = [0; 16 * 1024];
    let mut apply = |driven: &mut Driven, action: Action| {
        let record = Record { at: birth.elapsed(), action };
        driven.apply(Moment::default() + record.at, &record.action);
        writeln!(file, "{}", record.line())
    };
    loop {
        match driven.poll_io() {
            IoAction::Drop | IoAction::Reset => {
                apply(&mut driven, Action::Drop)?;
                println!("{path}: {}", driven.ended.unwrap_or_default());
                return Ok(());
            }
            IoAction::Shutdown => {
                // It fails if the peer has already left; the next read reports that.
                let _ = socket.shutdown(Shutdown::Write);
                apply(&mut driven, Action::Shut)?;
            }
            IoAction::Write => match socket.write(driven.output()) {
                Ok(n) => {
                    let written = driven.output()[..n].to_vec();
                    apply(&mut driven, Action::Wrote(written))?;
                }
                Err(_) => apply(&mut driven, Action::Reset)?,
            },
            IoAction::Read if driven.may_read() => {
                let wait = driven.connection.poll_timeout().map(|at| at.since(clock.moment(Instant::now())));
                socket.set_read_timeout(wait.map(|wait| wait.max(Duration::from_millis(1))))?;
                let action = match socket.read(&mut buffer) {
                    Ok(0) => Action::End,
                    Ok(n) => Action::Received(buffer[..n].to_vec()),
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        Action::Timeout
                    }
                    Err(_) => Action::Reset,
                };
                apply(&mut driven, action)?;
            }
            // This application answers immediately, so it can only wait for a deadline.
            IoAction::Read | IoAction::Pause => {
                std::thread::sleep(Duration::from_millis(1));
                apply(&mut driven, Action::Timeout)?;
            }
        }
    }
}
