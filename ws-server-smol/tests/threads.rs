//! Which threads there are: the caller's, the one of `async-io` that waits, and, for names and files alone, those of
//! `blocking`.
//!
//! Runs without the test harness, which has threads.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // a panic is how a test fails

use async_io::block_on;
use futures_lite::{FutureExt, future};
use std::thread;
use std::time::Duration;
use ws_server_smol::{Bind, ClientConfig, HttpConnection, Incoming, Server, ServerConfig, Socket, connect};

/// The names of all other threads; `None` where the system does not show them.
fn others() -> Option<Vec<String>> {
    let me = std::fs::read_link("/proc/thread-self").ok()?;
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let others = tasks.flatten().filter(|task| me.file_name() != Some(&task.file_name()));
    let mut names: Vec<_> =
        others.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok()).collect();
    names.iter_mut().for_each(|name| name.truncate(name.trim_end().len()));
    Some(names)
}

async fn echo(mut http: HttpConnection<Socket>) {
    let me = thread::current().id();
    let Some(Incoming::Upgrade(upgrade)) = http.next().await else { return };
    let mut ws = http.accept(upgrade).await.unwrap();
    while let Some(Ok(message)) = ws.next().await {
        assert_eq!(thread::current().id(), me);
        ws.send(message).await.unwrap();
    }
}

async fn visit(url: String) {
    let mut ws = connect(url, ClientConfig::new()).await.unwrap();
    ws.send("hello").await.unwrap();
    assert!(ws.next().await.unwrap().is_ok());
}

fn main() {
    if others().is_none() {
        return println!("this system does not show its threads");
    }
    let server = Server::bind(Bind::localhost(), ServerConfig::new().allow_host("127.1")).unwrap();
    let port = server.local_addr().unwrap().port();
    let visits = async {
        for _ in 0..100 {
            visit(server.url("/").unwrap()).await;
            visit(format!("ws://localhost:{port}/")).await;
        }
        assert_eq!(others().unwrap(), ["async-io"], "for literals and localhost");

        // A name, to us; the system's resolver needs no query for it.
        visit(format!("ws://127.1:{port}/")).await;
        let names = others().unwrap();
        assert!(names.iter().all(|name| name == "async-io" || name.starts_with("blocking")), "{names:?}");
        server.stop(Duration::ZERO).await;
    };
    let hang = async {
        async_io::Timer::after(Duration::from_secs(60)).await;
        panic!("it hangs")
    };
    let all = async {
        future::zip(server.serve(echo), visits).await;
    };
    block_on(all.or(hang));
    println!("200 visits and a name: {:?}", others().unwrap());
}
