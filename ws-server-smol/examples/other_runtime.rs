//! `HttpConnection` and `WebSocket` without smol: the executor is ten lines, and the streams are blocking sockets of
//! the standard library, each with two threads that wait for it.
//!
//! `cargo run -p ws-server-smol --example other_runtime`
//!
//! Any executor works, and any stream with the `futures-io` traits: another runtime's sockets, TLS over them, a pipe.
//! `async-io` drives the deadlines on its own thread.

#![allow(clippy::print_stdout)] // a program for the terminal

use futures_io::{AsyncRead, AsyncWrite};
use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use ws_server_smol::{CloseCode, Config, HttpConnection, handshake};

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || {
        let (socket, _) = listener.accept().map_err(|error| error.to_string())?;
        block_on(echo(socket)).map_err(|error| error.to_string())
    });
    for line in block_on(talk(TcpStream::connect(address)?))? {
        println!("{line}");
    }
    server.join().map_err(|_| "the server panicked")??;
    Ok(())
}

pub(crate) async fn echo(socket: TcpStream) -> Result<(), Box<dyn Error>> {
    let http = HttpConnection::new(Threaded::new(socket)?, Arc::new(Config::server()));
    let Some(mut ws) = http.upgrade().await else { return Ok(()) };
    while let Some(message) = ws.next().await {
        ws.send(message?).await?;
    }
    Ok(())
}

pub(crate) async fn talk(socket: TcpStream) -> Result<Vec<String>, Box<dyn Error>> {
    let config = Arc::new(Config::client());
    let mut ws = handshake(Threaded::new(socket)?, "ws://localhost/", config).await?;
    let mut received = Vec::new();
    for text in ["no smol", "no tokio", "threads"] {
        ws.send(text).await?;
        received.extend(ws.next().await.transpose()?.and_then(|echo| echo.as_text().map(str::to_owned)));
    }
    received.push(ws.close(CloseCode::NORMAL, "").await?.to_string());
    Ok(received)
}

/// An executor for one future: it sleeps until the future's waker is called.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        thread::park();
    }
}

/// The most bytes that may wait between a thread and the future.
const CAPACITY: usize = 16 << 10;

/// One direction, between a thread that may block and a future that must not.
#[derive(Default)]
struct Lane {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    /// Bytes taken from `bytes` are being written.
    busy: bool,
    ended: bool,
    /// The error with which the thread ended.
    error: Option<io::Error>,
    waker: Option<Waker>,
}

impl Lane {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_while(self.state(), |state| condition(state));
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and notifies the other side.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let value = change(&mut state);
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_all();
        waker.into_iter().for_each(Waker::wake);
        value
    }

    fn end(&self, result: io::Result<()>) {
        self.change(|state| {
            state.ended = true;
            state.busy = false;
            state.error = result.err();
        });
    }
}

/// A blocking socket as a `futures-io` stream.
pub(crate) struct Threaded {
    socket: Arc<TcpStream>,
    read: Arc<Lane>,
    written: Arc<Lane>,
}

impl Threaded {
    pub(crate) fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let this = Self { socket: Arc::new(socket), read: Arc::default(), written: Arc::default() };
        let (socket, lane) = (this.socket.clone(), this.read.clone());
        thread::Builder::new().spawn(move || lane.end(reads(&socket, &lane)))?;
        let (socket, lane) = (this.socket.clone(), this.written.clone());
        thread::Builder::new().spawn(move || lane.end(writes(&socket, &lane)))?;
        Ok(this)
    }
}

fn reads(mut socket: &TcpStream, lane: &Lane) -> io::Result<()> {
    let mut buffer = vec![0; CAPACITY];
    loop {
        let n = socket.read(&mut buffer)?;
        if n == 0 || lane.wait_while(|state| state.bytes.len() >= CAPACITY && !state.ended).ended {
            return Ok(());
        }
        lane.change(|state| state.bytes.extend(&buffer[..n]));
    }
}

fn writes(mut socket: &TcpStream, lane: &Lane) -> io::Result<()> {
    loop {
        let mut state = lane.wait_while(|state| state.bytes.is_empty() && !state.ended);
        let bytes: Vec<u8> = state.bytes.drain(..).collect();
        state.busy = true;
        drop(state);
        if bytes.is_empty() {
            return socket.shutdown(Shutdown::Write);
        }
        socket.write_all(&bytes)?;
        lane.change(|state| state.busy = false);
    }
}

impl AsyncRead for Threaded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.read.state();
        if state.bytes.is_empty() && !state.ended {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = state.bytes.read(buffer)?;
        let error = if n == 0 { state.error.take() } else { None };
        drop(state);
        self.read.changed.notify_all();
        Poll::Ready(error.map_or(Ok(n), Err))
    }
}

impl AsyncWrite for Threaded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.written.state();
        if state.ended {
            let error = state.error.take();
            return Poll::Ready(Err(error.unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())));
        }
        let room = CAPACITY.saturating_sub(state.bytes.len());
        if room == 0 {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = room.min(data.len());
        state.bytes.extend(&data[..n]);
        drop(state);
        self.written.changed.notify_all();
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.written.state();
        if let Some(error) = state.error.take() {
            return Poll::Ready(Err(error));
        }
        if state.busy || !state.bytes.is_empty() {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// The thread closes our half after it has written the remaining bytes.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        {
            let mut state = self.written.state();
            state.ended = true;
        }
        self.written.changed.notify_all();
        self.poll_flush(cx)
    }
}

/// Ends both threads.
impl Drop for Threaded {
    fn drop(&mut self) {
        self.written.change(|state| state.ended = true);
        self.read.change(|state| state.ended = true);
        // The reading thread waits in the kernel.
        let _ = self.socket.shutdown(Shutdown::Read);
    }
}
