//! The cost of any server: an echo on plain mio TCP, without a protocol.

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

const LISTENER: Token = Token(usize::MAX);

struct Connection {
    stream: TcpStream,
    unsent: Vec<u8>,
}

impl Connection {
    fn turn(&mut self, rx: &mut [u8]) -> io::Result<()> {
        loop {
            let sent = self.send()?;
            self.unsent.drain(..sent);
            if !self.unsent.is_empty() {
                return Ok(());
            }
            self.unsent = Vec::new();
            match self.stream.read(rx) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.unsent.extend_from_slice(&rx[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&mut self) -> io::Result<usize> {
        let mut sent = 0;
        while sent < self.unsent.len() {
            match self.stream.write(&self.unsent[sent..]) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }
}

/// The server's process. It prints its address, and serves until killed.
pub fn serve() -> Result<(), Box<dyn Error>> {
    ws_bench::system::raise_descriptors();
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("{}", listener.local_addr()?);
    let mut events = Events::with_capacity(1024);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut rx = vec![0; 256 << 10];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(connections.len()), both)?;
                    connections.push(Some(Connection { stream, unsent: Vec::new() }));
                }
            } else if let Some(place) = connections.get_mut(event.token().0)
                && place.as_mut().is_some_and(|connection| connection.turn(&mut rx).is_err())
            {
                *place = None;
            }
        }
    }
}
