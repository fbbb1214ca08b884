//! A system with scripted results: given listeners, and given readiness.

use mio::Token;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ws_server_mio::inspect;
use ws_server_mio::sys::{Accepted, Answer, Listener, Poller, Readiness, Socket, System, Wake};
use ws_server_mio::{Bind, Endpoint, ListenError, Options, ServerConfig, ServerId};

/// The result of an accept.
pub(super) type Accept = Box<dyn FnMut() -> io::Result<Accepted> + Send>;

#[derive(Clone, Default)]
pub(super) struct Script(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The listeners that are opened next.
    listeners: VecDeque<Vec<Accept>>,
    /// The next readiness reported to the loop.
    ready: Vec<(Token, Readiness)>,
}

impl Script {
    pub(super) fn endpoint(&self, options: Options) -> Endpoint {
        Endpoint::with_system(options, self.clone()).unwrap()
    }

    /// A server on listeners with these results. A connection waits at each of them.
    pub(super) fn serve(
        &self,
        endpoint: &mut Endpoint,
        listeners: Vec<Accept>,
        config: ServerConfig,
    ) -> ServerId {
        self.0.lock().unwrap().listeners.push_back(listeners);
        endpoint.connections().listen(Bind::localhost(), config).unwrap()
    }

    /// Reports readiness of each connection.
    pub(super) fn report(&self, endpoint: &mut Endpoint, readiness: Readiness) {
        let ready = &mut self.0.lock().unwrap().ready;
        let before = ready.len();
        inspect::each_slot(endpoint.connections(), |live| ready.push((inspect::token(live.id), readiness)));
        assert!(ready.len() > before);
    }
}

impl System for Script {
    fn poller(&mut self) -> (Box<dyn Poller>, Wake) {
        (Box::new(self.clone()), Box::new(|| Ok(())))
    }

    fn listen(&mut self, _: &Bind) -> Result<Vec<Box<dyn Listener>>, ListenError> {
        let listeners = self.0.lock().unwrap().listeners.pop_front().unwrap();
        let boxed = |accept| Box::new(Accepting { script: self.clone(), accept }) as Box<dyn Listener>;
        Ok(listeners.into_iter().map(boxed).collect())
    }

    fn connect(&mut self, _: Option<SocketAddr>) -> io::Result<Box<dyn Socket>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn look_up(&mut self, _: &str, _: Answer) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn random(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        bytes.fill(7);
        Ok(())
    }
}

impl Poller for Script {
    fn wait(&mut self, _: Option<Duration>, ready: &mut Vec<(Token, Readiness)>) -> io::Result<()> {
        ready.append(&mut self.0.lock().unwrap().ready);
        Ok(())
    }
}

struct Accepting {
    script: Script,
    accept: Accept,
}

impl Listener for Accepting {
    fn register(&mut self, token: Token) -> io::Result<()> {
        let readiness = Readiness { readable: true, ..Readiness::default() };
        self.script.0.lock().unwrap().ready.push((token, readiness));
        Ok(())
    }

    fn accept(&mut self) -> io::Result<Accepted> {
        (self.accept)()
    }
}
