//! The example `other_runtime`: nothing is tied to an executor or to its sockets.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

#[path = "../examples/other_runtime.rs"]
#[allow(dead_code)] // its `main` is for the terminal
mod other_runtime;

use other_runtime::{Threaded, block_on, echo, talk};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use ws_server_smol::handshake;
use ws_server_smol::{CloseCode, Config};

#[test]
fn std_threads_and_a_ten_line_executor_suffice() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        for _ in 0..2 {
            block_on(echo(listener.accept().unwrap().0)).unwrap();
        }
    });
    let lines = block_on(talk(TcpStream::connect(address).unwrap())).unwrap();
    assert_eq!(lines[..3], ["no smol", "no tokio", "threads"]);
    assert!(lines[3].starts_with("we closed the connection: 1000"), "{lines:?}");

    // More than fits between the threads and the futures.
    block_on(async {
        let stream = Threaded::new(TcpStream::connect(address).unwrap()).unwrap();
        let mut ws = handshake(stream, "ws://localhost/", Arc::new(Config::client())).await.unwrap();
        for size in [1, 100_000, 3 << 20] {
            ws.try_send(vec![7; size]).unwrap();
            let echo = ws.next().await.unwrap().unwrap();
            assert!(echo.as_bytes().len() == size && echo.as_bytes().iter().all(|byte| *byte == 7));
        }
        assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
    });
    server.join().unwrap();
}
