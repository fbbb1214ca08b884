//! The programs that take part: a display, the example, a browser, and xdotool for input.

use crate::Outcome;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A program that has not printed its line by then hangs.
const HANG: Duration = Duration::from_secs(60);

/// A program that ends when this is dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Starts a program, and waits for a line of output in which `find` finds its value.
    fn start<T: Send + 'static>(
        command: &mut Command,
        on_stderr: bool,
        mut find: impl FnMut(&str) -> Option<T> + Send + 'static,
    ) -> Outcome<(Self, T)> {
        let name = command.get_program().to_string_lossy().into_owned();
        let (out, err) = match on_stderr {
            true => (Stdio::null(), Stdio::piped()),
            false => (Stdio::piped(), Stdio::inherit()),
        };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|e| format!("{name}: {e}"))?;
        let output: Option<Box<dyn Read + Send>> = match on_stderr {
            true => child.stderr.take().map(|pipe| Box::new(pipe) as _),
            false => child.stdout.take().map(|pipe| Box::new(pipe) as _),
        };
        let process = Self(child);
        let (sender, receiver) = mpsc::channel();
        // Reads to EOF: the program must not block on a full pipe.
        thread::spawn(move || {
            for line in BufReader::new(output?).lines().map_while(Result::ok) {
                if let Some(found) = find(&line) {
                    let _ = sender.send(found);
                }
            }
            Some(())
        });
        let found = receiver.recv_timeout(HANG).map_err(|_| format!("{name} did not start"))?;
        Ok((process, found))
    }

    /// Waits until the program has exited on its own.
    pub(crate) fn wait(&mut self) -> Outcome<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            if start.elapsed() > HANG {
                return Err("the program did not end".into());
            }
            thread::yield_now();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder, removed when this is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Outcome<Self> {
        let path = std::env::temp_dir().join(format!("desktop-test-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A display in memory.
pub(crate) struct Display {
    _xvfb: Process,
    name: String,
}

impl Display {
    /// Its contents are in a file in `folder`.
    pub(crate) fn start(folder: &Path) -> Outcome<Self> {
        let mut command = Command::new("Xvfb");
        command
            .args(["-displayfd", "1", "-screen", "0", "1000x700x24", "-nolisten", "tcp", "-fbdir"])
            .arg(folder);
        let (xvfb, number) = Process::start(&mut command, false, |line| line.trim().parse::<u32>().ok())?;
        Ok(Self { _xvfb: xvfb, name: format!(":{number}") })
    }

    /// Starts the example, on a port that it chooses if `port` is 0; returns the port.
    pub(crate) fn run(&self, example: &OsStr, port: u16) -> Outcome<(Process, u16)> {
        let mut command = Command::new(example);
        command.arg(port.to_string()).env("DISPLAY", &self.name).env_remove("WAYLAND_DISPLAY");
        Process::start(&mut command, false, |line| line.rsplit_once(':')?.1.trim_matches('/').parse().ok())
    }

    /// Sends mouse or keyboard input through the X server; returns the output of xdotool.
    pub(crate) fn xdotool(&self, arguments: &str) -> Outcome<String> {
        let output =
            Command::new("xdotool").args(arguments.split(' ')).env("DISPLAY", &self.name).output()?;
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout)?.trim().to_owned()),
            false => Err(format!("xdotool {arguments}: {}", String::from_utf8_lossy(&output.stderr)).into()),
        }
    }
}

/// Starts Chromium; returns the address of its DevTools.
pub(crate) fn chromium(profile: &Path) -> Outcome<(Process, String)> {
    let program = std::env::var_os("CHROMIUM").unwrap_or("/usr/bin/chromium".into());
    let mut command = Command::new(program);
    command
        .args(["--headless", "--remote-debugging-port=0", "--window-size=1000,860"])
        .args(["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg("about:blank");
    Process::start(&mut command, true, |line| {
        Some(line.strip_prefix("DevTools listening on ")?.trim().to_owned())
    })
}

/// Requests a path of the example by plain HTTP; returns the body.
pub(crate) fn get(port: u16, path: &str) -> Outcome<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(HANG))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(format!("unexpected answer: {answer}").into()),
    }
}
