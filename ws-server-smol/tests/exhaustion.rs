//! A process that runs out of file descriptors.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use async_io::{Async, Timer};
use common::run;
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt, future};
use std::fs::File;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use ws_server_smol::Reconnect;
use ws_server_smol::{
    Bind, Client, ClientConfig, ClientEvent, ConnectError, Incoming, Server, ServerConfig, connect, http,
};

/// The shell lowers the limit for a separate process, which runs the test of this name.
fn with_few_descriptors(test: &str) {
    let me = std::env::current_exe().unwrap();
    let status = Command::new("sh")
        .args(["-c", "ulimit -n 48 && exec \"$0\" --exact \"$1\" --ignored --nocapture"])
        .arg(me)
        .arg(test)
        .status();
    assert!(status.unwrap().success());
}

fn all_that_are_left() -> Vec<File> {
    let files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).take(1000).collect();
    assert!(files.len() < 1000, "the limit is too high for this test");
    files
}

#[test]
fn a_server_that_cannot_accept_reports_it_once_and_recovers() {
    with_few_descriptors("inner_server");
}

#[test]
#[ignore = "run by the other test, with few descriptors"]
fn inner_server() {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    let reports = Arc::new(AtomicUsize::new(0));
    let count = reports.clone();
    server.on_accept_failed(move |error| {
        assert_eq!(error.raw_os_error(), Some(24), "{error}");
        count.fetch_add(1, Relaxed);
    });
    run(async {
        let serving = server.serve(async |mut http| {
            while let Some(Incoming::Request(request)) = http.next().await {
                let _ = http.respond(request, http::Response::default()).await;
            }
        });
        let requesting = async {
            let address = server.local_addr().unwrap();
            let mut known = Async::<TcpStream>::connect(address).await.unwrap();
            get(&mut known).await;
            let mut late = Async::<TcpStream>::new(TcpStream::connect(address).unwrap()).unwrap();
            let files = all_that_are_left();
            // The next connection waits in the kernel, and existing ones are served.
            let request = get(&mut late);
            let waits = async {
                while reports.load(Relaxed) == 0 {
                    future::yield_now().await;
                }
                for _ in 0..10 {
                    get(&mut known).await;
                }
                drop(files);
                std::future::pending::<()>().await;
            };
            request.or(waits).await;
            assert_eq!(reports.load(Relaxed), 1);
        };
        serving.or(requesting).await;
    });
}

async fn get(stream: &mut Async<TcpStream>) {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
}

#[test]
fn a_client_without_a_descriptor_reports_it_and_recovers() {
    with_few_descriptors("inner_client");
}

#[test]
#[ignore = "run by the other test, with few descriptors"]
fn inner_client() {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    let url = server.url("/").unwrap();
    run(async {
        let serving = server.serve(async |mut http| {
            if let Some(Incoming::Upgrade(upgrade)) = http.next().await
                && let Ok(mut ws) = http.accept(upgrade).await
            {
                while ws.next().await.is_some() {}
            }
        });
        let requesting = async {
            // The reactor opens its own descriptors at the start.
            Timer::after(Duration::ZERO).await;
            let mut files = all_that_are_left();
            let ConnectError::Unreachable { error, .. } =
                connect(url.as_str(), ClientConfig::new()).await.unwrap_err()
            else {
                panic!("another failure")
            };
            assert_eq!(error.raw_os_error(), Some(24), "{error}");
            let soon = Reconnect::default().wait(Duration::from_millis(1), Duration::from_millis(4));
            let config = ClientConfig::default().reconnect(soon);
            let mut client = Client::new(url.as_str(), config).unwrap();
            let mut failed = 0;
            while let Some(event) = client.next_event().await {
                match event {
                    ClientEvent::ConnectFailed(_) => failed += 1,
                    ClientEvent::Connected(_) => break,
                    _ => {}
                }
                if failed == 3 {
                    files.clear();
                }
            }
            assert!(failed >= 3, "{failed}");
        };
        serving.or(requesting).await;
    });
}
