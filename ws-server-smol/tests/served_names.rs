//! Folders serve honest names, links, pages and variants, and reject names that lead elsewhere on some system.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::run;
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use ws_server_smol::{Bind, Folder, Incoming, Server, ServerConfig, Socket};

/// A folder below a hidden one, removed when the test ends.
struct Temp(PathBuf);

impl Temp {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ws-server-smol-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join(".git/site")).unwrap();
        Self(path)
    }

    fn root(&self) -> PathBuf {
        self.0.join(".git/site")
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The status, the head in lower case and the body of the answer to each request.
fn ask<R: AsRef<str>>(folder: &Folder, requests: &[R]) -> Vec<(u16, String, String)> {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    run(async {
        let serving = server.serve(async |mut http| {
            while let Some(Incoming::Request(request)) = http.next().await {
                http.respond_file(request, folder).await.unwrap();
            }
        });
        let requesting = async {
            let mut answers = Vec::new();
            for request in requests {
                answers.push(answer(&server, request.as_ref()).await);
            }
            answers
        };
        async {
            serving.await;
            panic!("the server ended")
        }
        .or(requesting)
        .await
    })
}

async fn answer(server: &Server, request: &str) -> (u16, String, String) {
    let address = server.local_addr().unwrap();
    let stream = async_io::Async::<std::net::TcpStream>::connect(address).await.unwrap();
    let mut stream = Socket::from(stream);
    let (line, fields) = request.split_once('\n').unwrap_or((request, ""));
    let fields = fields.lines().map(|field| format!("{field}\r\n")).collect::<String>();
    let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_lowercase(), body.to_owned())
}

fn path(name: &str) -> String {
    let encode = |byte: u8| match byte {
        b'!'..=b'~' if byte != b'%' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    format!("/{}", name.bytes().map(encode).collect::<String>())
}

#[test]
fn honest_names_are_served_and_names_that_lead_elsewhere_on_some_system_are_not() {
    let temp = Temp::new("names");
    let honest = [
        "IMG_20200101_120000~2.jpg",
        "report~1.jpeg",
        "longername~1.txt",
        "notes~.txt",
        "file.txt~",
        "می\u{200c}خواهم.txt",
        "👨\u{200d}👩\u{200d}👧.png",
        "\u{200e}left.txt",
        "right\u{200f}.txt",
    ];
    let refused = [
        "GIT~1",
        "git~1",
        "INDEX~1.HTM",
        "WEBCON~1.",
        "G\u{200d}IT~1",
        "C\u{200d}ON",
        "\u{200c}.env",
        ".\u{200d}git",
        "\u{200d}",
        ".\u{200d}.",
        "a\u{85}b",
    ];
    // On Unix these are files too.
    let refused_files: &[&str] = if cfg!(unix) { &refused } else { &[] };
    for name in honest.iter().chain(refused_files) {
        temp.write(name, name);
    }
    let names: Vec<_> = honest.iter().chain(&refused).copied().collect();
    let requests: Vec<_> = names.iter().map(|name| format!("GET {}", path(name))).collect();
    for (name, (status, _, body)) in names.iter().zip(ask(&Folder::new(temp.root()).unwrap(), &requests)) {
        match honest.contains(name) {
            true => assert_eq!((status, body.as_str()), (200, *name), "{name:?}"),
            false => assert_eq!(status, 404, "{name:?}"),
        }
    }
}

#[test]
fn a_range_from_the_start_of_an_empty_file_is_ignored() {
    let temp = Temp::new("emptied");
    temp.write("empty.txt", "");
    let folder = Folder::new(temp.root()).unwrap();
    for (range, status) in [
        ("bytes=-5", 200),
        ("bytes=0-", 200),
        ("bytes=0-99", 200),
        ("bytes=-0", 416),
        ("bytes=1-", 416),
        ("bytes=5-", 416),
    ] {
        let got = ask(
            &folder,
            &[
                format!("GET /empty.txt\nRange: {range}"),
                format!("HEAD /empty.txt\nRange: {range}"),
                format!("GET /empty.txt\nRange: {range}\nIf-Range: \"old\""),
            ],
        );
        assert_eq!([got[0].0, got[1].0, got[2].0], [status, 200, 200], "{range}");
        assert!(got.iter().all(|(_, _, body)| body.is_empty()), "{range}");
        assert_eq!(got[0].1.contains("content-range: bytes */0"), status == 416, "{range}");
    }
}

#[cfg(unix)]
#[test]
fn links_inside_may_reach_hidden_files_but_never_secrets() {
    use std::os::unix::fs::symlink;
    let temp = Temp::new("hidden-links");
    let root = temp.root();
    for name in [".pnpm/x/index.html", ".pnpm/x/x.js", "..2026_01_01/conf.json", ".gitignore"] {
        temp.write(name, name);
    }
    fs::create_dir(root.join("node_modules")).unwrap();
    symlink("../.pnpm/x", root.join("node_modules/x")).unwrap();
    symlink("..2026_01_01", root.join("..data")).unwrap();
    symlink("..data/conf.json", root.join("conf.json")).unwrap();
    symlink(".gitignore", root.join("ignored")).unwrap();
    let secrets =
        [".git/config", ".GIT/config", "a/.svn/entries", ".hg/store", ".ssh/id", ".env", ".Env.local"];
    for (n, secret) in secrets.iter().enumerate() {
        temp.write(secret, "secret");
        symlink(secret, root.join(format!("link{n}"))).unwrap();
    }
    symlink(".git", root.join("repository")).unwrap();
    symlink("round", root.join("round")).unwrap();
    fs::write(temp.0.join("secret"), "secret").unwrap();
    symlink(temp.0.join("secret"), root.join("out")).unwrap();
    let folder = Folder::new(&root).unwrap();
    let shown = [
        ("GET /node_modules/x/", ".pnpm/x/index.html"),
        ("GET /node_modules/x/x.js", ".pnpm/x/x.js"),
        ("GET /conf.json", "..2026_01_01/conf.json"),
        ("GET /ignored", ".gitignore"),
    ];
    for ((request, file), (status, _, body)) in
        shown.iter().zip(ask(&folder, &shown.map(|(request, _)| request)))
    {
        assert_eq!((status, body.as_str()), (200, *file), "{request}");
    }
    let mut refused: Vec<_> = (0..secrets.len()).map(|n| format!("GET /link{n}")).collect();
    let others = [
        "/repository/config",
        "/round",
        "/round/x",
        "/out",
        "/.pnpm/x/x.js",
        "/..data/conf.json",
        "/.gitignore",
        "/.env",
    ];
    refused.extend(others.map(|path| format!("GET {path}")));
    for (request, (status, _, _)) in refused.iter().zip(ask(&folder, &refused)) {
        assert_eq!(status, 404, "{request}");
    }
}

#[test]
fn a_single_page_application_answers_every_navigation() {
    let temp = Temp::new("navigates");
    temp.write("index.html", "page");
    temp.write("hello.txt", "hello");
    let folder = Folder::new(temp.root()).unwrap().single_page("index.html");
    let requests = [
        ("GET /users/john.doe\nAccept: text/html", 200),
        ("GET /users/john.doe\nAccept: */*\nSec-Fetch-Mode: navigate", 200),
        ("HEAD /users/john.doe\nAccept: text/html", 200),
        ("GET /wiki/Talk:Main\nAccept: text/html,*/*;q=0.8", 200),
        ("GET /app.js\nAccept: */*", 404),
        ("GET /app.js\nAccept: text/html\nSec-Fetch-Mode: no-cors", 404),
        ("GET /users/john.doe\nAccept: text/html\nSec-Fetch-Mode: cors", 404),
        ("GET /.env\nAccept: text/html\nSec-Fetch-Mode: navigate", 404),
    ];
    for ((request, expected), (status, head, body)) in
        requests.iter().zip(ask(&folder, &requests.map(|(request, _)| request)))
    {
        assert_eq!(status, *expected, "{request}");
        assert!(head.contains("vary: sec-fetch-mode, accept"), "{request}: {head}");
        assert_eq!(body == "page", status == 200 && request.starts_with("GET"), "{request}");
    }
    let others =
        ask(&folder, &["GET /hello.txt\nAccept: text/html", "POST /users/john.doe\nAccept: text/html"]);
    assert!(others[0].0 == 200 && !others[0].1.contains("vary"), "it is served to all");
    assert_eq!(others[1].0, 405);
}

fn set_time(path: &Path, time: SystemTime) {
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn an_outdated_compressed_file_is_not_sent() {
    let temp = Temp::new("ages");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let second = Duration::from_secs(1);
    temp.write("app.js", "plain");
    set_time(&temp.root().join("app.js"), time);
    let folder = Folder::new(temp.root()).unwrap().precompressed();
    for (brotli, gzip, expected) in [
        (time - second, time - second, "plain"),
        (time - second, time, "gzip"),
        (time, time - second, "brotli"),
        (time + second, time + second, "brotli"),
    ] {
        for (name, content, time) in [("app.js.br", "brotli", brotli), ("app.js.gz", "gzip", gzip)] {
            temp.write(name, content);
            set_time(&temp.root().join(name), time);
        }
        let (_, head, body) = ask(&folder, &["GET /app.js\nAccept-Encoding: gzip, br"]).remove(0);
        assert_eq!(body, expected, "{head}");
        assert!(head.contains("vary: accept-encoding"), "{head}");
        assert_eq!(head.contains("content-encoding"), body != "plain", "{head}");
    }
}
