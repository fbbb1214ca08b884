//! The engine without any adapter: a server and a client over two blocking sockets.
//!
//! `cargo run --release -p ws-proto --example by_hand`
#![allow(clippy::print_stdout)] // examples print

use bytes::Buf;
use socket2::SockRef;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use ws_proto::{
    ClientRequest, Clock, CloseCode, Config, Connection, Event, IoAction, Message, Moment, Transport,
};

/// The engine reads no clock. This program does, and counts from its first reading.
pub(crate) fn now() -> Moment {
    static CLOCK: LazyLock<Clock> = LazyLock::new(|| Clock::new(Instant::now()));
    CLOCK.moment(Instant::now())
}

/// Runs a connection to its end: writes pending output, then reads, with the deadline as the socket timeout. An error of
/// the socket ends the connection, not this loop: the last event, `Closed`, explains every end.
pub(crate) fn drive(
    mut socket: TcpStream,
    mut connection: Connection,
    mut handle: impl FnMut(&mut Connection, Event<'_>),
) {
    let mut buffer = [0; 16 * 1024];
    let mut unread = 0..0; // input that a paused connection left in the buffer
    loop {
        while let Some(event) = connection.poll_event(now()) {
            handle(&mut connection, event);
        }
        match connection.poll_io() {
            IoAction::Drop => return,
            IoAction::Reset => {
                let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
                return;
            }
            IoAction::Shutdown => {
                // It fails if the peer has already left.
                if let Err(error) = socket.shutdown(Shutdown::Write) {
                    connection.write_failed(now(), error.into());
                }
            }
            IoAction::Write => match write(&mut socket, &mut connection) {
                Ok(n) => connection.handle_written(now(), n),
                Err(error) if is_timeout(&error) => {
                    connection.handle_written(now(), 0);
                    connection.handle_timeout(now());
                }
                // The peer's Close may be unread: the engine reads on.
                Err(error) => connection.write_failed(now(), error.into()),
            },
            IoAction::Read if unread.is_empty() => match read(&mut socket, &mut buffer, &mut connection) {
                Ok(0) => connection.handle_eof(now()),
                Ok(n) => unread = 0..n,
                Err(error) if is_timeout(&error) => connection.handle_timeout(now()),
                Err(error) => connection.abort(now(), error.into()),
            },
            // This program answers immediately, so it can only wait for a deadline.
            IoAction::Pause => connection.handle_timeout(now()),
            IoAction::Read => {}
        }
        let mut input = &mut buffer[unread.clone()];
        while let Some(event) = connection.handle_input(now(), &mut input) {
            handle(&mut connection, event);
        }
        unread.start = unread.end - input.len();
    }
}

fn write(socket: &mut TcpStream, connection: &mut Connection) -> io::Result<usize> {
    socket.set_write_timeout(Some(Duration::from_millis(100)))?;
    socket.write(connection.outbox().chunk())
}

fn read(socket: &mut TcpStream, buffer: &mut [u8], connection: &mut Connection) -> io::Result<usize> {
    let wait = connection.poll_timeout().map(|at| at.since(now()));
    socket.set_read_timeout(wait.map(|wait| wait.max(Duration::from_millis(1))))?;
    socket.read(buffer)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;

    let server = std::thread::spawn(move || -> io::Result<()> {
        let (socket, peer) = listener.accept()?;
        let connection = Connection::server(now(), Arc::new(Config::server()), Transport::default());
        drive(socket, connection, |connection, event| match event {
            Event::Upgrade(upgrade) => {
                println!("server: {peer} requests {}", upgrade.path());
                connection.accept(now(), upgrade).unwrap_or_else(|error| println!("server: {error}"));
            }
            Event::Message(message) => {
                connection.send(message).map_or_else(|error| println!("server: {error}"), |_| ());
            }
            Event::Closed(closed) => println!("server: {closed}"),
            _ => {}
        });
        Ok(())
    });

    let request = ClientRequest::new(&format!("ws://{address}/greeting"))?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let connection = Connection::client(now(), Arc::new(Config::client()), request, seed);
    drive(TcpStream::connect(address)?, connection, |connection, event| match event {
        Event::Open(response) => {
            println!("client: {}", response.status());
            connection.send("hello by hand").map_or_else(|error| println!("client: {error}"), |_| ());
        }
        Event::Message(Message::Text(text)) => {
            println!("client: got {text:?} back");
            connection.close(now(), CloseCode::NORMAL, "done").unwrap_or_default();
        }
        Event::Closed(closed) => println!("client: {closed}"),
        _ => {}
    });
    server.join().map_err(|_| "the server's thread panicked")??;
    Ok(())
}
