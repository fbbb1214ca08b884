//! Folders serve honest names, links, pages and variants, and reject names that lead elsewhere on some system.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::files::*;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};
use ws_server_mio::Folder;

/// The path of a name, with all non-ASCII percent-encoded.
fn path(name: &str) -> String {
    let encode = |byte: u8| match byte {
        b'!'..=b'~' if byte != b'%' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    format!("/{}", name.bytes().map(encode).collect::<String>())
}

#[test]
fn honest_names_are_served() {
    let temp = Temp::new("honest");
    let mut served = Served::new(&temp.public());
    for name in [
        "IMG_20200101_120000~2.jpg",
        "report~1.jpeg",
        "longername~1.txt",
        "backup~1.tar.gz",
        "notes~.txt",
        "file.txt~",
        "a~b",
        "می\u{200c}خواهم.txt",
        "👨\u{200d}👩\u{200d}👧.png",
        "❤\u{fe0f}.png",
        "\u{200e}left.txt",
        "right\u{200f}.txt",
        "co\u{ad}operate.txt",
        "e\u{301}.txt",
        "console.js",
    ] {
        temp.write(name, name.as_bytes());
        assert_eq!(served.ask(&format!("GET {}", path(name))).1, name.as_bytes(), "{name:?}");
    }
}

/// Each of these is a file on Unix, and opens something else on another system.
#[test]
fn names_that_lead_elsewhere_on_some_system_are_rejected() {
    let temp = Temp::new("elsewhere");
    let mut served = Served::new(&temp.public());
    for name in [
        "GIT~1",
        "git~1",
        "INDEX~1.HTM",
        "WEBCON~1.",
        "GIT~1 ",
        "G\u{200d}IT~1",
        "CON",
        "C\u{200d}ON",
        "nul\u{feff}.txt",
        "\u{200c}.env",
        ".\u{200d}git",
        "\u{200d}",
        ".\u{200d}.",
        "a\nb",
        "a\u{85}b",
        "a\u{7f}b",
    ] {
        if cfg!(unix) {
            temp.write(name, b"it exists");
        }
        assert_eq!(served.status(&format!("GET {}", path(name))), 404, "{name:?}");
    }
}

#[test]
fn a_range_from_the_start_of_an_empty_file_is_ignored() {
    let temp = Temp::new("emptied");
    let mut served = Served::new(&temp.public());
    for (range, status) in [
        ("bytes=-5", 200),
        ("bytes=0-", 200),
        ("bytes=0-99", 200),
        ("bytes=-0", 416),
        ("bytes=1-", 416),
        ("bytes=5-", 416),
    ] {
        let (head, body) = served.ask(&format!("GET /empty.txt\nRange: {range}"));
        assert!(head.starts_with(&format!("http/1.1 {status}")) && body.is_empty(), "{range}: {head}");
        assert_eq!(head.contains("content-range: bytes */0"), status == 416, "{range}: {head}");
        assert_eq!(served.status(&format!("HEAD /empty.txt\nRange: {range}")), 200, "{range}");
        assert_eq!(
            served.status(&format!("GET /empty.txt\nRange: {range}\nIf-Range: \"old\"")),
            200,
            "{range}"
        );
    }
    let (head, body) = served.ask("GET /hello.txt\nRange: bytes=-500");
    assert!(head.contains("206") && head.contains("bytes 0-11/12") && body == b"hello, world", "{head}");
    assert_eq!(served.status("GET /hello.txt\nRange: bytes=-0"), 416);
}

#[cfg(unix)]
#[test]
fn links_inside_may_reach_hidden_files_but_never_secrets() {
    use std::{fs, os::unix::fs::symlink};
    let temp = Temp::new("hidden-links");
    // The path above the folder does not matter.
    let root = temp.public().join(".git/site");
    let write = |name: &str| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    };
    write(".pnpm/x/index.html");
    write(".pnpm/x/x.js");
    write("..2026_01_01/conf.json");
    write(".gitignore");
    fs::create_dir(root.join("node_modules")).unwrap();
    symlink("../.pnpm/x", root.join("node_modules/x")).unwrap();
    symlink("..2026_01_01", root.join("..data")).unwrap();
    symlink("..data/conf.json", root.join("conf.json")).unwrap();
    symlink(".gitignore", root.join("ignored")).unwrap();
    let secrets =
        [".git/config", ".GIT/config", "a/.svn/entries", ".hg/store", ".ssh/id", ".env", ".Env.local"];
    for (n, secret) in secrets.iter().enumerate() {
        write(secret);
        symlink(secret, root.join(format!("link{n}"))).unwrap();
    }
    symlink(".git", root.join("repository")).unwrap();
    symlink("round", root.join("round")).unwrap();
    symlink(temp.0.join("secret.txt"), root.join("out")).unwrap();
    symlink("../site2", root.join("beside")).unwrap();
    fs::create_dir(root.join("../site2")).unwrap();
    fs::write(root.join("../site2/x"), "outside").unwrap();

    let mut served = Served::new(&root);
    for (path, file) in [
        ("/node_modules/x/", ".pnpm/x/index.html"),
        ("/node_modules/x/x.js", ".pnpm/x/x.js"),
        ("/conf.json", "..2026_01_01/conf.json"),
        ("/ignored", ".gitignore"),
    ] {
        assert_eq!(served.ask(&format!("GET {path}")).1, file.as_bytes(), "{path}");
    }
    assert_eq!(served.status("GET /node_modules/x"), 308);
    let links = (0..secrets.len()).map(|n| format!("/link{n}"));
    let others = [
        "/repository/config",
        "/round",
        "/round/x",
        "/out",
        "/beside/x",
        "/.pnpm/x/x.js",
        "/..data/conf.json",
        "/.gitignore",
    ];
    for path in links.chain(others.map(str::to_owned)) {
        assert_eq!(served.status(&format!("GET {path}")), 404, "{path}");
    }
    served.folder = served.folder.clone().hidden_files();
    assert_eq!(served.ask("GET /link5").1, b".env");
    assert_eq!(served.status("GET /out"), 404);
}

#[test]
fn a_single_page_application_answers_every_navigation() {
    let temp = Temp::new("navigates");
    let mut served = Served::new(&temp.public());
    served.folder = served.folder.clone().single_page("index.html");
    let vary = "vary: sec-fetch-mode, accept";
    for request in [
        "GET /users/john.doe\nAccept: text/html",
        "GET /users/john.doe\nAccept: */*\nSec-Fetch-Mode: navigate",
        "GET /wiki/Talk:Main\nAccept: text/html,*/*;q=0.8",
    ] {
        let (head, body) = served.ask(request);
        assert!(head.contains(vary) && body == b"<h1>index</h1>", "{request}: {head}");
        assert_eq!(served.status(&request.replace("GET", "HEAD")), 200);
        assert_eq!(served.status(&request.replace("GET", "PUT")) / 100, 4);
    }
    for request in [
        "GET /app.js\nAccept: */*",
        "GET /app.js",
        "GET /app.js\nAccept: text/html\nSec-Fetch-Mode: no-cors",
        "GET /users/john.doe\nAccept: text/html\nSec-Fetch-Mode: cors",
        "GET /users/john.doe\nAccept: text/html;q=0",
        "GET /.env\nAccept: text/html\nSec-Fetch-Mode: navigate",
    ] {
        let (head, _) = served.ask(request);
        assert!(head.starts_with("http/1.1 404") && head.contains(vary), "{request}: {head}");
    }
    assert!(!served.ask("GET /hello.txt\nAccept: text/html").0.contains("vary"), "it is served to all");
}

fn set_time(path: &Path, time: SystemTime) {
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn an_outdated_compressed_file_is_not_sent() {
    let temp = Temp::new("ages");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let second = Duration::from_secs(1);
    temp.write("app.js", b"plain");
    set_time(&temp.public().join("app.js"), time);
    let mut served = Served::new(&temp.public());
    served.folder = Folder::new(temp.public()).unwrap().precompressed();
    for (brotli, gzip, body) in [
        (time - second, time - second, "plain"),
        (time - second, time, "gzip"),
        (time, time - second, "brotli"),
        (time + second, time + second, "brotli"),
    ] {
        for (name, content, time) in [("app.js.br", "brotli", brotli), ("app.js.gz", "gzip", gzip)] {
            temp.write(name, content.as_bytes());
            set_time(&temp.public().join(name), time);
        }
        let (head, got) = served.ask("GET /app.js\nAccept-Encoding: gzip, br");
        assert_eq!(got, body.as_bytes(), "{head}");
        assert!(
            head.contains("vary: accept-encoding") && head.contains("content-encoding") == (body != "plain"),
            "{head}"
        );
    }
}
