//! The fake kernel as a `System`: the loop's side of its sockets and listeners, of waiting, of names.

use super::kernel::Kernel;
use super::rng::Rng;
use mio::Token;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use ws_server_mio::sys::{Accepted, Answer, Listener, Poller, Readiness, Socket, System, WAKER, Wake};
use ws_server_mio::{Bind, ListenError};

/// A pending lookup, and the callback for its result.
pub(super) type Question = (String, Answer);

pub(super) struct FakeSystem {
    kernel: Kernel,
    /// Reproducible randomness.
    chance: Rng,
    questions: SyncSender<Question>,
}

impl FakeSystem {
    /// Requested names go to the channel, which has this capacity.
    pub(super) fn new(kernel: &Kernel, chance: Rng, queue: usize) -> (Self, Receiver<Question>) {
        let (questions, receiver) = sync_channel(queue);
        (Self { kernel: kernel.clone(), chance, questions }, receiver)
    }
}

impl System for FakeSystem {
    fn poller(&mut self) -> (Box<dyn Poller>, Wake) {
        let kernel = self.kernel.clone();
        let wake = move || {
            kernel.lock().woken = true;
            Ok(())
        };
        (Box::new(Waits(self.kernel.clone())), Box::new(wake))
    }

    fn listen(&mut self, _: &Bind) -> Result<Vec<Box<dyn Listener>>, ListenError> {
        let places = self.kernel.lock().listeners.len();
        let listener = |place| Listens { kernel: self.kernel.clone(), place };
        Ok((0..places).map(|place| Box::new(listener(place)) as Box<dyn Listener>).collect())
    }

    fn connect(&mut self, address: Option<SocketAddr>) -> io::Result<Box<dyn Socket>> {
        let id = self.kernel.lock().dial(address)?;
        Ok(Box::new(FakeSocket { kernel: self.kernel.clone(), id }))
    }

    fn look_up(&mut self, host: &str, answer: Answer) -> io::Result<()> {
        self.questions.try_send((host.to_owned(), answer)).map_err(|_| io::ErrorKind::WouldBlock.into())
    }

    fn random(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.chance.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

struct Waits(Kernel);

impl Poller for Waits {
    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<(Token, Readiness)>) -> io::Result<()> {
        assert_eq!(timeout, Some(Duration::ZERO), "nothing else would run meanwhile");
        let mut kernel = self.0.lock();
        let events = kernel.wait();
        ready.extend(&events);
        ready.append(&mut kernel.stale);
        if std::mem::take(&mut kernel.woken) {
            ready.push((WAKER, Readiness { readable: true, ..Readiness::default() }));
        }
        kernel.reported = events;
        Ok(())
    }
}

struct FakeSocket {
    kernel: Kernel,
    id: usize,
}

impl Socket for FakeSocket {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.kernel.lock().register(self.id, token)
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.kernel.lock().read(self.id, buffer)
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.kernel.lock().write(self.id, slices)
    }

    fn shutdown(&self) -> io::Result<()> {
        self.kernel.lock().shutdown(self.id)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.kernel.lock().take_error(self.id)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.kernel.lock().local_addr(self.id)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.kernel.lock().peer_addr(self.id)
    }

    fn short_transfer_is_last(&self) -> bool {
        !self.kernel.lock().armed_system
    }
}

impl Drop for FakeSocket {
    fn drop(&mut self) {
        self.kernel.lock().close(self.id);
    }
}

/// The listener at this index.
struct Listens {
    kernel: Kernel,
    place: usize,
}

impl Listener for Listens {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.kernel.lock().listeners[self.place].token = token;
        Ok(())
    }

    fn accept(&mut self) -> io::Result<Accepted> {
        let (id, peer) = self.kernel.lock().accept(self.place)?;
        Ok((Box::new(FakeSocket { kernel: self.kernel.clone(), id }), peer))
    }
}
