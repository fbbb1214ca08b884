//! Files: paths that leave the folder, or lead to no file, are not found.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::run;
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt};
use std::fs;
use std::path::{Path, PathBuf};
use ws_server_smol::{Bind, Folder, Incoming, Server, ServerConfig, Socket};

/// A folder with a secret beside it, removed when the test ends.
struct Temp(PathBuf);

impl Temp {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("ws-server-smol-{}-folder", std::process::id()));
        fs::create_dir_all(path.join("public/sub")).unwrap();
        fs::write(path.join("secret.txt"), "secret").unwrap();
        fs::write(path.join("public/.hidden"), "secret").unwrap();
        fs::write(path.join("public/.env"), "secret").unwrap();
        fs::write(path.join("public/hello.txt"), "hello").unwrap();
        Self(path)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Links inside the folder and out of it, and things that are not files.
#[cfg(unix)]
fn add_links(parent: &Path, public: &Path) {
    use std::os::unix::fs::symlink;
    symlink(parent.join("secret.txt"), public.join("out.txt")).unwrap();
    symlink(parent, public.join("up")).unwrap();
    symlink("../public/hello.txt", public.join("in.txt")).unwrap();
    symlink(".env", public.join("shown.txt")).unwrap();
    symlink("round", public.join("round")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(public.join("pipe")).status();
    assert!(pipe.unwrap().success());
    symlink("/dev/zero", public.join("zero")).unwrap();
}

/// Not every system lets a program create links.
#[cfg(not(unix))]
fn add_links(_: &Path, _: &Path) {}

#[test]
fn nothing_leads_out_of_the_folder_and_only_files_are_opened() {
    let temp = Temp::new();
    let public = temp.0.join("public");
    add_links(&temp.0, &public);
    let folder = Folder::new(&public).unwrap();
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    run(async {
        let serving = server.serve(async |mut http| {
            while let Some(Incoming::Request(request)) = http.next().await {
                http.respond_file(request, &folder).await.unwrap();
            }
        });
        let requesting = async {
            let linked = if cfg!(unix) { "/in.txt" } else { "/hello.txt" };
            for path in ["/hello.txt", linked, "/%68ello.txt"] {
                let answer = get(&server, path).await;
                assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"), "{path}: {answer}");
            }
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
                "//etc/passwd",
                "/out.txt",
                "/up/secret.txt",
                "/up/",
                "/shown.txt",
                "/round",
                "/pipe",
                "/zero",
                "/sub",
            ] {
                let answer = get(&server, path).await;
                assert!(
                    !answer.contains("secret") && !answer.starts_with("HTTP/1.1 200"),
                    "{path}: {answer}"
                );
            }
        };
        serving.or(requesting).await;
    });
}

async fn get(server: &Server, path: &str) -> String {
    let address = server.local_addr().unwrap();
    let stream = async_io::Async::<std::net::TcpStream>::connect(address).await.unwrap();
    let mut stream = Socket::from(stream);
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
