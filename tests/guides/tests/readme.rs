//! Runs the programs of the READMEs as a reader would: pasted into a package with the dependencies that precede
//! them.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};
use tungstenite::Message;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const CRATES: [&str; 4] = ["ws-proto", "ws-host", "ws-server-mio", "ws-server-smol"];
/// The port that the READMEs use.
const PORT: &str = "127.0.0.1:8700";
/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program of a README, and the `[dependencies]` that it needs.
#[derive(Clone, PartialEq)]
struct Snippet {
    dependencies: String,
    program: String,
}

/// The programs of a README, in order. Each needs the block of dependencies that precedes it.
fn snippets(readme: &str) -> Result<Vec<Snippet>> {
    let text = fs::read_to_string(Path::new(ROOT).join(readme))?;
    let mut dependencies = None;
    let mut snippets = Vec::new();
    for (number, block) in text.split("```").enumerate() {
        let Some((language, body)) = block.split_once('\n').filter(|_| number % 2 == 1) else { continue };
        if language == "toml" {
            dependencies = Some(body.to_owned());
        } else if language.starts_with("rust") {
            let dependencies =
                dependencies.clone().ok_or_else(|| format!("{readme}: no dependencies for\n{body}"))?;
            if body.contains("fn main") {
                snippets.push(Snippet { dependencies, program: body.to_owned() });
            }
        }
    }
    Ok(snippets)
}

/// Builds each snippet in a package of its own, with the crates of this checkout in place of the registry's.
fn build(snippets: &[Snippet]) -> Result<Vec<PathBuf>> {
    let target =
        Path::new(env!("CARGO_BIN_EXE_echo")).parent().and_then(Path::parent).ok_or("no target folder")?;
    let folder = target.join("readme");
    let _ = fs::remove_dir_all(&folder);
    let mut workspace = "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\n\n[patch.crates-io]\n".to_owned();
    for name in CRATES {
        writeln!(workspace, "{name} = {{ path = {:?} }}", Path::new(ROOT).canonicalize()?.join(name))?;
    }
    for (number, snippet) in snippets.iter().enumerate() {
        let package = folder.join(format!("readme-{number}"));
        fs::create_dir_all(package.join("src"))?;
        fs::write(package.join("src/main.rs"), &snippet.program)?;
        let manifest =
            format!("[package]\nname = \"readme-{number}\"\nedition = \"2024\"\n\n{}", snippet.dependencies);
        fs::write(package.join("Cargo.toml"), manifest)?;
    }
    fs::write(folder.join("Cargo.toml"), workspace)?;
    // The versions that are already here.
    fs::copy(Path::new(ROOT).join("tests/guides/Cargo.lock"), folder.join("Cargo.lock"))?;
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--target-dir"])
        .arg(target)
        .current_dir(&folder)
        .status()?;
    assert!(built.success(), "the programs of the READMEs do not build");
    let program = |number| target.join("debug").join(format!("readme-{number}{}", env::consts::EXE_SUFFIX));
    Ok((0..snippets.len()).map(program).collect())
}

struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn start(program: &Path) -> Result<Self> {
        let mut child = Command::new(program).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        Ok(Self { child, output })
    }

    /// Starts a server on the READMEs' port, and waits until it listens.
    fn serve(program: &Path) -> Result<Self> {
        if TcpStream::connect(PORT).is_ok() {
            return Err(
                format!("another program listens on {PORT}, which the programs of the READMEs use").into()
            );
        }
        let mut server = Self::start(program)?;
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(PORT).is_err() {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("the server has ended: {status}").into());
            }
            assert!(Instant::now() < deadline, "nothing listens on {PORT}");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Reads its output up to a line that contains this text, and returns the line.
    fn prints(&mut self, text: &str) -> Result<String> {
        let mut output = String::new();
        loop {
            let begin = output.len();
            if self.output.read_line(&mut output)? == 0 {
                return Err(format!("ended without printing {text:?}:\n{output}").into());
            }
            if output[begin..].contains(text) {
                return Ok(output[begin..].trim_end().to_owned());
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn echoes(url: &str) -> Result<()> {
    let (mut ws, _) = tungstenite::connect(url)?;
    for sent in ["hello", ""] {
        ws.send(Message::text(sent))?;
        assert_eq!(ws.read()?, Message::text(sent));
    }
    Ok(())
}

fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

fn echo(program: &Path) -> Result<()> {
    let _server = Running::serve(program)?;
    echoes(&format!("ws://{PORT}/"))
}

fn page_and_socket(program: &Path) -> Result<()> {
    let _server = Running::serve(program)?;
    assert!(get(PORT, "/")?.contains("<h1>hello</h1>"));
    assert!(get(PORT, "/elsewhere")?.starts_with("HTTP/1.1 404 "));
    assert!(get(PORT, "/ws")?.starts_with("HTTP/1.1 426 "));
    echoes(&format!("ws://{PORT}/ws"))
}

fn page_that_prints_its_address(program: &Path) -> Result<()> {
    let mut server = Running::start(program)?;
    let url = server.prints("http://")?;
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    assert!(get(address, "/")?.contains("new WebSocket("));
    echoes(&format!("ws://{address}/ws"))?;
    server.prints(" is here").map(drop)
}

fn client(program: &Path, echo: &Path) -> Result<()> {
    let _server = Running::serve(echo)?;
    Running::start(program)?.prints("hello").map(drop)
}

fn reconnecting_client(program: &Path, echo: &Path) -> Result<()> {
    let mut client = Running::start(program)?;
    client.prints("again in")?;
    for _ in 0..2 {
        let _server = Running::serve(echo)?;
        client.prints("hello")?;
    }
    client.prints("again in").map(drop)
}

#[test]
fn programs_run_as_pasted() -> Result<()> {
    let root = snippets("README.md")?;
    assert!(snippets("README.zh-CN.md")? == root, "the programs of the translation differ");
    let (mio, smol) = (snippets("ws-server-mio/README.md")?, snippets("ws-server-smol/README.md")?);
    for same in &mio {
        assert!(root.contains(same), "only in ws-server-mio/README.md:\n{}", same.program);
    }
    let all = [root, smol].concat();
    let programs = build(&all)?;
    let [mio_echo, mio_page, smol_echo, mio_client, mio_reconnecting, again, smol_page, smol_client] =
        &*programs
    else {
        return Err(format!("{} programs, of which some are not run", programs.len()).into());
    };
    assert!(all[2] == all[5], "{again:?}");
    echo(mio_echo)?;
    echo(smol_echo)?;
    page_and_socket(mio_page)?;
    page_that_prints_its_address(smol_page)?;
    for server in [mio_echo, smol_echo] {
        client(mio_client, server)?;
        client(smol_client, server)?;
        reconnecting_client(mio_reconnecting, server)?;
    }
    Ok(())
}
