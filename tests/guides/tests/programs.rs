//! Runs the programs of the guides, each with a third-party client or server.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::CloseFrame;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Socket = WebSocket<MaybeTlsStream<TcpStream>>;

/// Only guards against hanging, on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

macro_rules! program {
    ($name:literal) => {
        Program::start(env!(concat!("CARGO_BIN_EXE_", $name)))
    };
}

/// A running server, which prints its URL first.
struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
    url: String,
}

impl Program {
    fn start(path: &str) -> Result<Self> {
        Self::start_with(path, &[])
    }

    fn start_with(path: &str, arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(path).args(arguments).stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut url = String::new();
        output.read_line(&mut url)?;
        let url = url.trim_end().to_owned();
        assert!(url.starts_with("ws://"), "{path} prints {url:?}");
        Ok(Self { child, output, url })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn address(&self) -> &str {
        let rest = self.url.trim_start_matches("ws://");
        rest.split_once('/').map_or(rest, |(address, _)| address)
    }

    fn connect(&self) -> Result<Socket> {
        connect(&*self.url)
    }

    /// Returns the whole response, from the status line on.
    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address())?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let host = self.address();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(request: impl IntoClientRequest) -> Result<Socket> {
    let (ws, _) = tungstenite::connect(request)?;
    if let MaybeTlsStream::Plain(stream) = ws.get_ref() {
        stream.set_read_timeout(Some(TIMEOUT))?;
    }
    Ok(ws)
}

/// Returns the next text message.
fn text(ws: &mut Socket) -> Result<String> {
    loop {
        match ws.read()? {
            Message::Text(text) => return Ok(text.to_string()),
            Message::Close(frame) => return Err(format!("closed: {frame:?}").into()),
            _ => {}
        }
    }
}

/// Closes, and waits until the connection has ended.
fn close(mut ws: Socket) -> Result<()> {
    ws.close(None)?;
    loop {
        match ws.read() {
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn assert_echoes(program: &Program) -> Result<()> {
    let mut ws = program.connect()?;
    let large = "x".repeat(1 << 20);
    for sent in ["hello", "", &large] {
        ws.send(Message::text(sent))?;
        assert_eq!(text(&mut ws)?, sent);
    }
    close(ws)
}

fn assert_echo_printed(client: &str, server: &Program) -> Result<()> {
    let output = Command::new(client).arg(&server.url).output()?;
    let printed = String::from_utf8(output.stdout)?;
    assert!(output.status.success() && printed.contains("hello"), "{printed}");
    Ok(())
}

#[test]
fn echo_servers_return_each_message() -> Result<()> {
    assert_echoes(&program!("echo")?)?;
    assert_echoes(&program!("tungstenite_echo")?)?;
    assert_echoes(&program!("tokio_echo")?)?;
    assert_echoes(&program!("tokio_engine")?)?;
    assert_echoes(&program!("axum_echo")?)?;
    assert_echoes(&program!("axum_engine")?)
}

#[test]
fn the_engine_behind_axum_compresses() -> Result<()> {
    use ws_server_smol::{ClientConfig, CloseCode, Deflate, block_on, connect};
    let program = program!("axum_engine")?;
    block_on(async {
        let config = ClientConfig::new().deflate(Deflate::chat());
        let mut ws = connect(program.url.as_str(), config).await?;
        assert!(ws.compression().is_some());
        // Empty, within one share, and many shares long.
        for length in [0, 1000, 4 << 20] {
            let sent = "x".repeat(length);
            ws.send(sent.as_str()).await?;
            let received = ws.next().await.ok_or("closed")??;
            assert!(received.as_text() == Some(&sent));
        }
        assert!(ws.close(CloseCode::NORMAL, "").await?.clean);
        Ok(())
    })
}

#[test]
fn clients_print_the_echo_and_close() -> Result<()> {
    let echo = program!("echo")?;
    assert_echo_printed(env!("CARGO_BIN_EXE_client"), &echo)?;
    assert_echo_printed(env!("CARGO_BIN_EXE_tokio_client"), &echo)?;
    assert_echo_printed(env!("CARGO_BIN_EXE_tungstenite_client"), &echo)
}

#[test]
fn axum_serves_routes_and_the_handshake_is_checked() -> Result<()> {
    let axum = program!("axum_echo")?;
    assert!(axum.get("/")?.contains("<h1>hello</h1>"));
    assert!(axum.get("/ws")?.starts_with("HTTP/1.1 426 "));
    let mut request = axum.url.as_str().into_client_request()?;
    request.headers_mut().insert("Origin", "https://elsewhere.example".parse()?);
    match tungstenite::connect(request) {
        Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 403),
        other => return Err(format!("a page of another origin was accepted: {:?}", other.err()).into()),
    }
    let mut request = axum.url.as_str().into_client_request()?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", "chat.v1, chat.v2".parse()?);
    let (_, response) = tungstenite::connect(request)?;
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat.v2");
    Ok(())
}

#[test]
fn the_room_has_a_page_a_broadcast_and_a_tick() -> Result<()> {
    let room = program!("room")?;
    assert!(room.get("/")?.contains("<h1>hello</h1>"));
    assert!(room.get("/nowhere")?.starts_with("HTTP/1.1 404 "));
    assert!(room.get("/ws")?.starts_with("HTTP/1.1 426 "));
    let (mut one, mut other) = (room.connect()?, room.connect()?);
    assert_eq!(text(&mut one)?, "welcome");
    assert_eq!(text(&mut other)?, "welcome");
    one.send(Message::text("hello"))?;
    for ws in [&mut one, &mut other] {
        let mut missing = vec!["hello", "tick"];
        while !missing.is_empty() {
            let received = text(ws)?;
            missing.retain(|text| *text != received);
        }
    }
    close(one)
}

#[test]
fn callbacks_are_called() -> Result<()> {
    let program = program!("callbacks")?;
    assert!(program.get("/")?.contains("<h1>hello</h1>"));
    assert!(connect(program.url.replace("/ws", "/other")).is_err());
    let mut ws = program.connect()?;
    assert_eq!(text(&mut ws)?, "you are one of 1");
    ws.send(Message::text("hello"))?;
    assert_eq!(text(&mut ws)?, "1: hello");
    close(ws)
}

#[test]
fn latency_is_printed() -> Result<()> {
    let mut program = program!("latency")?;
    let mut ws = program.connect()?;
    std::thread::spawn(move || while ws.read().is_ok() {}); // answers pings
    let line = program.line()?;
    assert!(line.ends_with('s') && line.contains(": "), "{line:?}");
    Ok(())
}

#[test]
fn presence_is_announced() -> Result<()> {
    let program = program!("presence")?;
    let mut one = program.connect()?;
    assert!(text(&mut one)?.ends_with("is here, 1 in the room"));
    let other = program.connect()?;
    assert!(text(&mut one)?.ends_with("is here, 2 in the room"));
    drop(other); // without a Close
    assert!(text(&mut one)?.ends_with("has left, 1 in the room"));
    Ok(())
}

#[test]
fn the_preferred_subprotocol_is_selected() -> Result<()> {
    let program = program!("subprotocols")?;
    for (offered, selected) in [("chat.v1, chat.v2", "chat.v2"), ("chat.v1", "chat.v1")] {
        let mut request = program.url.as_str().into_client_request()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", offered.parse()?);
        assert_eq!(text(&mut connect(request)?)?, format!("subprotocol: {selected}"));
    }
    assert_eq!(text(&mut program.connect()?)?, "subprotocol: none");
    let client = env!("CARGO_BIN_EXE_subprotocol_client");
    let output = Command::new(client).arg(&program.url).output()?;
    assert_eq!(String::from_utf8(output.stdout)?, "the server selected chat.v2\n");
    Ok(())
}

#[cfg(unix)]
#[test]
fn ctrl_c_sends_1001_to_every_client() -> Result<()> {
    for mut program in [
        program!("ctrl_c")?,
        program!("ctrl_c_poll")?,
        program!("ctrl_c_async")?,
        program!("tokio_server")?,
        program!("tokio_engine")?,
        program!("axum_engine")?,
    ] {
        let (mut one, mut other) = (program.connect()?, program.connect()?);
        one.send(Message::text("hello"))?;
        assert_eq!(text(&mut one)?, "hello");
        let id = program.child.id();
        assert!(Command::new("sh").args(["-c", &format!("kill -INT {id}")]).status()?.success());
        for ws in [&mut one, &mut other] {
            let end = loop {
                if let Message::Close(frame) = ws.read()? {
                    break frame;
                }
            };
            assert_eq!(end.map(|frame| frame.code.into()), Some(1001_u16));
            while ws.read().is_ok() {} // sends the reply, and waits for the end
        }
        assert!(program.child.wait()?.success());
    }
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_server_with_a_task_per_connection_publishes_to_its_room() -> Result<()> {
    publishes_to_its_room(&program!("tokio_server")?)?;
    publishes_to_its_room(&program!("tokio_engine")?)
}

fn publishes_to_its_room(program: &Program) -> Result<()> {
    let (mut one, mut other) = (program.connect()?, program.connect()?);
    // A client that receives its own message is in the room.
    for (ws, here) in [(&mut one, "one is here"), (&mut other, "the other is here")] {
        ws.send(Message::text(here))?;
        while text(ws)? != here {}
    }
    one.send(Message::text("to all"))?;
    for ws in [&mut one, &mut other] {
        while text(ws)? != "to all" {}
    }
    Ok(())
}

#[test]
fn the_proxy_relays_subprotocols_and_ends() -> Result<()> {
    let upstream = program!("subprotocols")?;
    let mut proxy = Program::start_with(env!("CARGO_BIN_EXE_proxy"), &[&upstream.url])?;
    for (offered, selected) in [("chat.v1, chat.v2", "chat.v2"), ("chat.v1", "chat.v1")] {
        let mut request = proxy.url.as_str().into_client_request()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", offered.parse()?);
        let (mut ws, response) = tungstenite::connect(request)?;
        assert_eq!(response.headers()["sec-websocket-protocol"], selected);
        assert_eq!(text(&mut ws)?, format!("subprotocol: {selected}"));
        ws.close(Some(CloseFrame { code: 4001.into(), reason: "done".into() }))?;
        while ws.read().is_ok() {}
        drop(ws);
        let (client, server) = (proxy.line()?, proxy.line()?);
        assert!(client.starts_with("the peer closed the connection: 4001"), "{client}");
        assert!(server.starts_with("we closed the connection: 4001"), "{server}");
    }
    let mut ws = proxy.connect()?;
    assert_eq!(text(&mut ws)?, "subprotocol: none");
    close(ws)
}

#[test]
fn the_proxy_answers_502_if_the_upstream_fails() -> Result<()> {
    let upstream = program!("callbacks")?;
    let rejects = upstream.url.replace("/ws", "/other");
    let proxy = Program::start_with(env!("CARGO_BIN_EXE_proxy"), &[&rejects])?;
    match tungstenite::connect(proxy.url.as_str()) {
        Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 502),
        other => return Err(format!("accepted without an upstream: {:?}", other.err()).into()),
    }
    Ok(())
}

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn the_engine_on_tokio_answers_plain_requests() -> Result<()> {
    let program = program!("tokio_engine")?;
    assert!(program.get("/")?.contains("<h1>hello</h1>"));
    assert!(program.get("/ws")?.starts_with("HTTP/1.1 426 "));
    assert!(program.get("/nowhere")?.starts_with("HTTP/1.1 404 "));
    assert!(connect(program.url.replace("/ws", "/nowhere")).is_err());
    Ok(())
}

#[test]
fn the_engine_on_tokio_reports_every_end() -> Result<()> {
    let mut program = program!("tokio_engine")?;
    close(program.connect()?)?;
    assert!(program.line()?.starts_with("the peer closed the connection"));
    // A peer that breaks the protocol and leaves, or closes and leaves.
    for (frame, report) in [(&b"\x83\x80\0\0\0\0"[..], "opcode"), (b"\x88\x82\0\0\0\0\x03\xe8", "1000")] {
        let mut stream = TcpStream::connect(program.address())?;
        write!(stream, "GET /ws HTTP/1.1\r\nHost: {}\r\n{HANDSHAKE}\r\n", program.address())?;
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            response.extend(byte);
        }
        stream.write_all(frame)?;
        drop(stream);
        let line = program.line()?;
        assert!(line.contains(report), "{line}");
    }
    Ok(())
}

#[test]
fn nothing_is_served_behind_a_handshake_that_axum_rejects() -> Result<()> {
    let axum = program!("axum_echo")?;
    let host = axum.address();
    for (fields, status, connection) in [
        (format!("Origin: https://elsewhere.example\r\n{HANDSHAKE}"), 403, "close"),
        (HANDSHAKE.replace("Version: 13", "Version: 8"), 426, "Upgrade, close"),
    ] {
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let request =
            |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        stream.write_all((request("/ws", &fields) + &request("/", "")).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains(&format!("\r\nconnection: {connection}\r\n")), "{answer}");
        assert!(!answer.contains("<h1>hello</h1>"), "{answer}");
    }
    // A plain request is no failed handshake: the connection continues.
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let plain = format!("GET /ws HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let last = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all((plain + &last).as_bytes())?;
    let mut answers = String::new();
    stream.read_to_string(&mut answers)?;
    assert!(
        answers.starts_with("HTTP/1.1 426 ") && answers.contains("\r\nupgrade: websocket\r\n"),
        "{answers}"
    );
    assert!(
        answers.contains("\r\nconnection: Upgrade\r\n") && answers.contains("<h1>hello</h1>"),
        "{answers}"
    );
    Ok(())
}

/// Sends a request, and returns the whole response.
fn send(program: &Program, request: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(program.address())?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(request)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn uploads_are_stored_and_a_cut_one_is_not() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("guides-uploads-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.to_str().ok_or("a path")?;
    let program = Program::start_with(env!("CARGO_BIN_EXE_uploads"), &[path])?;
    let head = |name: &str, length: usize| {
        format!(
            "PUT {name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        )
        .into_bytes()
    };
    let film = vec![b'x'; 3_000_000];
    let answer = send(&program, &[head("/files/film", film.len()), film.clone()].concat())?;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("stored as"), "{answer}");
    assert_eq!(std::fs::read(folder.join("film"))?, film);
    let mut cut = TcpStream::connect(program.address())?;
    cut.write_all(&[head("/files/cut", 1000), b"half".to_vec()].concat())?;
    drop(cut);
    assert!(send(&program, &head("/elsewhere", 0))?.starts_with("HTTP/1.1 404 "));
    assert!(send(&program, &head("/files/..%2f", 5_000_000))?.starts_with("HTTP/1.1 400 "));
    let names = || std::fs::read_dir(&folder).map(Iterator::count);
    for _ in 0..6000 {
        if names()? == 1 {
            return Ok(std::fs::remove_dir_all(&folder)?);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err("the cut file stays".into())
}

#[test]
fn forms_are_parsed_as_they_arrive() -> Result<()> {
    let program = program!("forms")?;
    let field = |name: &str, text: &str| {
        format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
    };
    let body =
        [field("title", "a film"), field("film", &"x".repeat(3_000_000)), "--edge--\r\n".to_owned()].concat();
    let kind = "Content-Type: multipart/form-data; boundary=edge\r\nConnection: close\r\n";
    let head =
        format!("POST /form HTTP/1.1\r\nHost: localhost\r\n{kind}Content-Length: {}\r\n\r\n", body.len());
    let answer = send(&program, (head + &body).as_bytes())?;
    assert!(answer.ends_with("title: 6 bytes\nfilm: 3000000 bytes\n"), "{answer}");
    Ok(())
}

#[test]
fn a_client_asks_the_proxy_for_the_server_and_reports_a_407() -> Result<()> {
    let proxy = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = proxy.local_addr()?;
    let url = format!("http://ann:secret@{address}");
    let mut client =
        Command::new(env!("CARGO_BIN_EXE_through_proxy")).arg(url).stdout(Stdio::piped()).spawn()?;
    let (mut stream, _) = proxy.accept()?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut head = String::new();
    let mut lines = BufReader::new(stream.try_clone()?);
    while lines.read_line(&mut head)? > 2 {}
    assert!(head.starts_with("CONNECT 127.0.0.1:8700 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("Basic YW5uOnNlY3JldA=="), "{head}");
    stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(client.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    client.kill()?;
    client.wait()?;
    let rejected = format!("http://{address}: the proxy rejected the user name or the password");
    assert_eq!(line.trim_end(), rejected);
    Ok(())
}

#[test]
fn a_server_behind_a_proxy_knows_its_client() -> Result<()> {
    let mut program = Program::start_with(env!("CARGO_BIN_EXE_behind_proxy"), &["0"])?;
    let mut request = program.url.as_str().into_client_request()?;
    for (name, value) in [
        ("x-forwarded-for", "198.51.100.7, 192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "app.example"),
        ("origin", "https://app.example"),
    ] {
        request.headers_mut().insert(name, value.parse()?);
    }
    close(connect(request)?)?;
    assert_eq!(program.line()?, "Some(192.0.2.1:0) opens Some(\"wss://app.example/\")");
    assert!(program.line()?.starts_with("through Some(127.0.0.1:"));
    Ok(())
}

#[test]
fn a_revoked_token_closes_its_websockets_alone() -> Result<()> {
    let mut program = program!("tokens")?;
    let guest = program.line()?;
    let (mut one, mut other, mut guest_ws) = (program.connect()?, program.connect()?, connect(&*guest)?);
    guest_ws.send(Message::text("hello"))?;
    one.send(Message::text("log me out everywhere"))?;
    for ws in [&mut one, &mut other] {
        let error = text(ws).unwrap_err().to_string();
        assert!(error.contains("token revoked"), "{error}");
    }
    assert_eq!(program.line()?, "2 closed");
    assert!(program.connect().is_err() && connect(&*guest).is_ok());
    close(guest_ws)
}
