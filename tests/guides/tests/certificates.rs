//! Runs the programs of the guide about certificates.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};
use ws_server_smol::tls::{SelfSigned, TlsClient};
use ws_server_smol::{ClientConfig, Message, block_on, connect};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Only guards against hanging, on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running program, and a folder of its own.
struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
    folder: Folder,
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self> {
        let folder = env::temp_dir().join(format!("ws-guides-{}-{name}", process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Program {
    fn start(command: &mut Command, folder: Folder) -> Result<Self> {
        let command =
            command.env("XDG_DATA_HOME", &folder.0).env("APPDATA", &folder.0).env("HOME", &folder.0);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        Ok(Self { child, output, folder })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(port: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn port(url: &str) -> Result<&str> {
    let (_, port) = url.rsplit_once(':').ok_or("no port")?;
    Ok(port.split('/').next().unwrap_or_default())
}

/// Has a message echoed by a server that this root has certified.
fn echo(url: &str, root: &[u8]) -> Result<()> {
    let config = ClientConfig::new().tls(TlsClient::roots_only(root)?);
    block_on(async {
        let mut ws = connect(url, config).await?;
        ws.send("hello").await?;
        match ws.next().await {
            Some(Ok(Message::Text(text))) if text == "hello" => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    })
}

#[test]
fn the_local_ca_is_offered_without_tls_and_trusted_with_it() -> Result<()> {
    let mut program =
        Program::start(&mut Command::new(env!("CARGO_BIN_EXE_local_ca")), Folder::new("local-ca")?)?;
    let app = program.line()?;
    if app.is_empty() {
        return Ok(()); // this machine is on no network
    }
    let trust = program.line()?;
    let fingerprint = program.line()?;
    let fingerprint = fingerprint.strip_prefix("SHA-256: ").ok_or("no fingerprint")?;
    let page = get(port(&trust)?, "/")?;
    assert!(page.contains(fingerprint) && page.contains(&format!("href=\"{app}\"")), "{page}");
    let pem = get(port(&trust)?, "/ca.pem")?;
    let (_, pem) = pem.split_once("\r\n\r\n").ok_or("no body")?;
    echo(&format!("wss://localhost:{}/ws", port(&app)?), pem.as_bytes())
}

#[test]
fn one_port_offers_the_local_ca_without_tls_and_a_socket_only_with_it() -> Result<()> {
    let mut program =
        Program::start(&mut Command::new(env!("CARGO_BIN_EXE_one_port")), Folder::new("one-port")?)?;
    let app = program.line()?;
    if app.is_empty() {
        return Ok(()); // this machine is on no network
    }
    let (trust, fingerprint) = (program.line()?, program.line()?);
    assert!(trust.starts_with(&app.replacen("https", "http", 1)), "{trust}");
    let fingerprint = fingerprint.strip_prefix("SHA-256: ").ok_or("no fingerprint")?;
    let page = get(port(&app)?, "/")?;
    assert!(page.contains(fingerprint) && page.contains(&format!("href=\"{app}\"")), "{page}");
    let pem = get(port(&app)?, "/ca.pem")?;
    let (_, pem) = pem.split_once("\r\n\r\n").ok_or("no body")?;
    echo(&format!("wss://localhost:{}/ws", port(&app)?), pem.as_bytes())?;
    let refused = echo(&format!("ws://localhost:{}/ws", port(&app)?), pem.as_bytes()).unwrap_err();
    assert!(refused.to_string().contains("403"), "{refused}");
    Ok(())
}

#[test]
fn a_renewed_certificate_is_served_without_a_restart() -> Result<()> {
    let issue = |folder: &Path, app: &str| -> Result<(Vec<u8>, Vec<u8>)> {
        let (_, ca) = SelfSigned::new(app).folder(folder).load()?;
        Ok((fs::read(folder.join("server.pem"))?, ca.certificate_pem().as_bytes().to_vec()))
    };
    let folder = Folder::new("reload")?;
    let (old, old_root) = issue(&folder.0.join("old"), "old")?;
    let (new, new_root) = issue(&folder.0.join("new"), "new")?;
    // Each has the certificate and the key.
    let [chain, key] = ["chain.pem", "key.pem"].map(|name| folder.0.join(name));
    fs::write(&chain, &old)?;
    fs::write(&key, &old)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_reload"));
    let mut program = Program::start(command.arg(&chain).arg(&key), folder)?;
    let url = program.line()?;
    echo(&url, &old_root)?;
    assert!(echo(&url, &new_root).is_err());
    fs::write(program.folder.0.join("key.pem"), &new)?;
    fs::write(program.folder.0.join("chain.pem"), &new)?;
    let deadline = Instant::now() + TIMEOUT;
    while let Err(error) = echo(&url, &new_root) {
        assert!(Instant::now() < deadline, "{error}");
        thread::sleep(Duration::from_millis(100));
    }
    assert!(echo(&url, &old_root).is_err());
    Ok(())
}
