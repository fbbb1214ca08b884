//! Files from a folder, over real sockets.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::files::*;
use common::*;
use ws_server_mio::Folder;

#[test]
fn a_file_is_sent_with_its_type_and_validators() {
    let temp = Temp::new("plain");
    let mut served = Served::new(&temp.public());
    let (head, body) = served.ask("GET /hello.txt");
    assert_eq!(body, b"hello, world");
    for field in [
        "http/1.1 200 ok",
        "content-type: text/plain; charset=utf-8",
        "content-length: 12",
        "x-content-type-options: nosniff",
        "accept-ranges: bytes",
        "last-modified: ",
    ] {
        assert!(head.contains(field), "{field} in {head}");
    }
    let etag = head.split("etag: ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    assert_eq!(served.status(&format!("GET /hello.txt\nIf-None-Match: {etag}")), 304);
    assert_eq!(served.ask("GET /empty.txt").1, b"");
}

#[test]
fn a_head_answer_has_the_length_and_no_body() {
    let temp = Temp::new("head");
    let (head, body) = Served::new(&temp.public()).ask("HEAD /hello.txt");
    assert!(head.contains("content-length: 12"), "{head}");
    assert!(body.is_empty());
}

#[test]
fn a_range_of_a_large_file_is_read_from_its_offset() {
    let temp = Temp::new("range");
    let content: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    temp.write("film.mp4", &content);
    let mut served = Served::new(&temp.public());
    let (head, body) = served.ask("GET /film.mp4\nRange: bytes=100000-299998");
    assert!(head.starts_with("http/1.1 206") && head.contains("bytes 100000-299998/300000"), "{head}");
    assert!(body == content[100_000..=299_998]);
    assert!(served.ask("GET /film.mp4").1 == content);
    assert_eq!(served.status("GET /film.mp4\nRange: bytes=300000-"), 416);
}

#[test]
fn a_folder_serves_its_index_behind_a_slash() {
    let temp = Temp::new("index");
    let mut served = Served::new(&temp.public());
    assert_eq!(served.ask("GET /").1, b"<h1>index</h1>");
    assert_eq!(served.ask("GET /sub/").1, b"sub");
    let (head, _) = served.ask("GET /sub?a=b");
    assert!(head.starts_with("http/1.1 308") && head.contains("location: ./sub/?a=b\r\n"), "{head}");
    let (head, _) = served.ask("GET //sub");
    assert!(head.contains("location: ./sub/\r\n"), "no other host: {head}");
    assert_eq!(served.status("GET /hello.txt/"), 404);
}

#[test]
fn a_folder_can_be_mounted_at_a_path() {
    let temp = Temp::new("prefix");
    let mut served = Served::new(&temp.public());
    served.folder = served.folder.clone().at("/files/");
    assert_eq!(served.ask("GET /files/hello.txt").1, b"hello, world");
    assert_eq!(served.ask("GET /files/").1, b"<h1>index</h1>");
    assert!(served.ask("GET /files").0.contains("location: ./files/"));
    for none in ["/hello.txt", "/fileshello.txt", "/filesystem/hello.txt"] {
        assert_eq!(served.status(&format!("GET {none}")), 404, "{none}");
    }
}

#[test]
fn nothing_leads_out_of_the_folder() {
    let temp = Temp::new("escape");
    let mut served = Served::new(&temp.public());
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/sub/../../secret.txt",
        "/..%5csecret.txt",
        "/hello.txt%00",
        "/.hidden",
        "/%2ehidden",
        "/hello.txt.",
        "/hello.txt::$DATA",
        "/nul",
        "/c:/secret.txt",
    ] {
        assert_eq!(served.status(&format!("GET {path}")), 404, "{path}");
    }
    assert_eq!(served.status("GET //etc/passwd"), 404);
    served.folder = served.folder.clone().hidden_files();
    assert_eq!(served.ask("GET /.hidden").1, b"hidden");
    assert_eq!(served.status("GET /../secret.txt"), 404);
}

#[cfg(unix)]
#[test]
fn links_may_point_inside_the_folder_but_not_outside() {
    use std::os::unix::fs::symlink;
    let temp = Temp::new("links");
    let public = temp.public();
    symlink(temp.0.join("secret.txt"), public.join("out.txt")).unwrap();
    symlink(&temp.0, public.join("up")).unwrap();
    symlink("../public/hello.txt", public.join("in.txt")).unwrap();
    temp.write(".env", b"secret");
    symlink(".env", public.join("shown.txt")).unwrap();
    symlink("round", public.join("round")).unwrap();
    let mut served = Served::new(&public);
    for none in ["/out.txt", "/up/secret.txt", "/up/", "/shown.txt"] {
        assert_eq!(served.status(&format!("GET {none}")), 404, "{none}");
    }
    assert_eq!(served.ask("GET /in.txt").1, b"hello, world");
    assert_eq!(served.status("GET /round"), 404);
}

#[cfg(unix)]
#[test]
fn a_pipe_does_not_block() {
    let temp = Temp::new("pipe");
    let made = std::process::Command::new("mkfifo").arg(temp.public().join("pipe")).status();
    if made.is_ok_and(|status| status.success()) {
        assert_eq!(Served::new(&temp.public()).status("GET /pipe"), 404);
    }
}

#[test]
fn only_reading_methods_are_allowed() {
    let temp = Temp::new("methods");
    let (head, _) = Served::new(&temp.public()).ask("DELETE /hello.txt");
    assert!(head.starts_with("http/1.1 405") && head.contains("allow: get, head"), "{head}");
}

#[test]
fn a_single_page_application_answers_for_its_paths() {
    let temp = Temp::new("single");
    let mut served = Served::new(&temp.public());
    served.folder = served.folder.clone().single_page("index.html");
    assert_eq!(served.ask("GET /settings/user\nAccept: text/html").1, b"<h1>index</h1>");
    assert_eq!(served.status("GET /missing.js\nAccept: */*"), 404);
    assert_eq!(served.status("GET /api\nAccept: application/json"), 404);
    assert_eq!(served.status("POST /settings\nAccept: text/html"), 405);
}

#[test]
fn a_compressed_variant_goes_to_clients_that_accept_it() {
    let temp = Temp::new("variants");
    temp.write("app.js", b"plain");
    temp.write("app.js.gz", b"gzip");
    let mut served = Served::new(&temp.public());
    assert_eq!(served.ask("GET /app.js\nAccept-Encoding: gzip").1, b"plain");
    served.folder = served.folder.clone().precompressed();
    let (head, body) = served.ask("GET /app.js\nAccept-Encoding: br, gzip");
    assert_eq!(body, b"gzip");
    for field in ["content-encoding: gzip", "vary: accept-encoding", "content-type: text/javascript"] {
        assert!(head.contains(field), "{field} in {head}");
    }
    let (head, body) = served.ask("GET /app.js");
    assert_eq!(body, b"plain");
    assert!(head.contains("vary: accept-encoding") && !head.contains("content-encoding"), "{head}");
}

#[test]
fn a_folder_must_exist() {
    assert!(Folder::new("/no/such/folder").is_err());
    let temp = Temp::new("nofolder");
    assert!(Folder::new(temp.public().join("hello.txt")).is_err());
}

#[test]
fn a_leading_slash_is_optional() {
    let temp = Temp::new("slashes");
    temp.write("app.html", b"app");
    let mut served = Served::new(&temp.public());
    for (place, page) in [("files", "/app.html"), ("/files", "app.html")] {
        let folder = Folder::new(temp.public()).unwrap();
        served.folder = folder.at(place).single_page(page).index(page);
        assert_eq!(served.ask("GET /files/hello.txt").1, b"hello, world", "{place}");
        assert_eq!(served.ask("GET /files/").1, b"app", "{page}");
        assert_eq!(served.ask("GET /files/settings\nAccept: text/html").1, b"app", "{page}");
        assert!(served.ask("GET /files").0.contains("location: ./files/"));
    }
}

#[test]
fn errors_use_the_configured_page_and_files_the_configured_fields() {
    let temp = Temp::new("pages");
    let mut served = Served::new(&temp.public());
    let policy = http::HeaderValue::from_static("default-src 'self'");
    served.folder = served
        .folder
        .clone()
        .header(http::header::CONTENT_SECURITY_POLICY, policy)
        .error_page(|status| ok(format!("mine: {}", status.as_u16())));
    let (head, body) = served.ask("GET /nowhere");
    assert!(head.starts_with("http/1.1 404") && body == b"mine: 404", "{head}");
    let (head, body) = served.ask("DELETE /hello.txt");
    assert!(head.starts_with("http/1.1 405") && head.contains("allow: get, head"), "{head}");
    assert_eq!(body, b"mine: 405");
    assert!(served.ask("GET /hello.txt").0.contains("content-security-policy: default-src 'self'"));
    assert!(served.ask("GET /sub").0.starts_with("http/1.1 308"), "a redirect is not an error");
}
