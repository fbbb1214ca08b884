//! Clients of scripted proxies, over a kernel that transfers a few bytes at a time and reports each edge once.

use mio::Token;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, UNIX_EPOCH};
use ws_kit::proxy::{ENDLESS, FakeProxy, WAYS};
use ws_server_mio::sys::{Answer, Listener, Poller, Readiness, Socket, System, Wake};
use ws_server_mio::{
    Bind, ClientConfig, ClientId, ClientState, ConnectError, ConnectStep, Endpoint, Event, ListenError,
    Options, Proxy, ProxyError, Reconnect,
};

/// What is behind the sockets: takes what the client sent, and returns the answer.
type Remote = Box<dyn FnMut(&[u8]) -> Vec<u8> + Send>;

struct State {
    remote: Remote,
    /// The most bytes that are transferred between two waits, each way.
    size: usize,
    token: Option<Token>,
    on_wire: VecDeque<u8>,
    inbox: VecDeque<u8>,
    room: usize,
    wants_room: bool,
    /// The remote end closes once it has sent everything.
    closes: bool,
    is_closed: bool,
    addresses: Vec<SocketAddr>,
    /// Calls of the loop.
    calls: usize,
    sent: usize,
}

#[derive(Clone)]
struct Kernel(Arc<Mutex<State>>);

impl Kernel {
    fn new(size: usize, remote: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(State {
            remote: Box::new(remote),
            size,
            token: None,
            on_wire: VecDeque::new(),
            inbox: VecDeque::new(),
            room: size,
            wants_room: false,
            closes: false,
            is_closed: false,
            addresses: Vec::new(),
            calls: 0,
            sent: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Socket for Kernel {
    fn register(&mut self, token: Token) -> io::Result<()> {
        let mut state = self.lock();
        // It connects at once.
        (state.token, state.room, state.wants_room) = (Some(token), state.size, true);
        Ok(())
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.lock();
        state.calls += 1;
        let n = state.inbox.len().min(buffer.len());
        if n == 0 && state.is_closed {
            return Ok(0);
        }
        if n == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for (to, from) in buffer.iter_mut().zip(state.inbox.drain(..n)) {
            *to = from;
        }
        Ok(n)
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.lock();
        state.calls += 1;
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(state.room).collect();
        if bytes.is_empty() {
            state.wants_room = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.room -= bytes.len();
        state.wants_room |= state.room == 0;
        state.sent += bytes.len();
        let answer = (state.remote)(&bytes);
        state.on_wire.extend(answer);
        Ok(bytes.len())
    }

    fn shutdown(&self) -> io::Result<()> {
        Ok(())
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(([192, 0, 2, 200], 50_000).into())
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(([192, 0, 2, 1], 3128).into())
    }
}

impl Poller for Kernel {
    fn wait(&mut self, _: Option<Duration>, ready: &mut Vec<(Token, Readiness)>) -> io::Result<()> {
        let mut state = self.lock();
        let Some(token) = state.token else { return Ok(()) };
        let arriving = state.on_wire.len().min(state.size);
        let arrived: Vec<u8> = state.on_wire.drain(..arriving).collect();
        state.inbox.extend(arrived);
        let ends = state.closes && state.sent > 0 && state.on_wire.is_empty() && !state.is_closed;
        state.is_closed |= ends;
        let writable = std::mem::take(&mut state.wants_room);
        if writable {
            state.room = state.size;
        }
        if arriving > 0 || ends || writable {
            let readiness = Readiness {
                readable: arriving > 0 || ends,
                writable,
                read_closed: state.is_closed,
                ..Readiness::default()
            };
            ready.push((token, readiness));
        }
        Ok(())
    }
}

impl System for Kernel {
    fn poller(&mut self) -> (Box<dyn Poller>, Wake) {
        (Box::new(self.clone()), Box::new(|| Ok(())))
    }

    fn listen(&mut self, _: &Bind) -> Result<Vec<Box<dyn Listener>>, ListenError> {
        Ok(Vec::new())
    }

    fn connect(&mut self, address: Option<SocketAddr>) -> io::Result<Box<dyn Socket>> {
        self.lock().addresses.extend(address);
        Ok(Box::new(self.clone()))
    }

    fn look_up(&mut self, host: &str, _: Answer) -> io::Result<()> {
        panic!("a lookup of {host}");
    }

    fn random(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        bytes.fill(7);
        Ok(())
    }
}

struct Rig {
    kernel: Kernel,
    endpoint: Endpoint,
    client: ClientId,
    clock: Arc<AtomicU64>,
    /// The delay before its next attempt.
    delay: Option<Duration>,
}

/// What a client came to.
#[derive(Debug)]
enum Outcome {
    Open,
    Failed(ConnectError),
}

impl Rig {
    fn new(kernel: Kernel, way: (&str, &str), config: ClientConfig) -> Self {
        let (clock, start) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let millis = clock.clone();
        let options = Options::default()
            .clock(move || start + Duration::from_millis(millis.load(Ordering::Relaxed)))
            .wall_clock(|| UNIX_EPOCH);
        let mut endpoint = Endpoint::with_system(options, kernel.clone()).unwrap();
        let proxy = Proxy::new(&format!("{}{}192.0.2.1:3128", way.0, way.1)).unwrap();
        // A name that must not be looked up here: lookups are off, and the proxy is an address.
        let client = endpoint.connections().connect("ws://app.example/", config.proxy(proxy)).unwrap();
        Self { kernel, endpoint, client, clock, delay: None }
    }

    fn state(&mut self) -> ClientState {
        let client = self.client;
        self.endpoint.connections().client(client).state()
    }

    /// Turns until the client is open or has failed; each takes so many milliseconds.
    fn outcome(&mut self, millis: u64) -> Outcome {
        for _ in 0..200_000 {
            let mut outcome = None;
            self.endpoint
                .poll(Some(Duration::ZERO), |connections, event| match event {
                    Event::Open(id, _) => {
                        connections.send(id, "hello").unwrap();
                        outcome = Some(Outcome::Open);
                    }
                    Event::ConnectFailed { error, .. } => outcome = Some(Outcome::Failed(error)),
                    Event::Reconnecting { delay, .. } => self.delay = Some(delay),
                    _ => {}
                })
                .unwrap();
            if let Some(outcome) = outcome {
                return outcome;
            }
            self.clock.fetch_add(millis, Ordering::Relaxed);
        }
        panic!("it stalls");
    }
}

#[test]
fn a_tunnel_opens_however_the_kernel_cuts_its_bytes() {
    for way in WAYS {
        for size in (1..90).chain([4096]) {
            let proxy = Arc::new(Mutex::new(FakeProxy::new(way)));
            let remote = proxy.clone();
            let kernel = Kernel::new(size, move |bytes| remote.lock().unwrap().receive(bytes));
            let mut rig = Rig::new(kernel, way, ClientConfig::new());
            assert!(matches!(rig.outcome(0), Outcome::Open), "{way:?} {size}");
            for _ in 0..30 {
                rig.endpoint.poll(Some(Duration::ZERO), |_, _| {}).unwrap();
            }
            assert_eq!(proxy.lock().unwrap().passed, 11, "the message: {way:?} {size}");
            let state = rig.kernel.lock();
            assert_eq!(state.addresses, [SocketAddr::from(([192, 0, 2, 1], 3128))]);
            // Each edge causes a bounded number of calls.
            let transfers = (state.sent + 300).div_ceil(size);
            assert!(state.calls < 8 * transfers + 40, "{way:?} {size}: {} calls", state.calls);
        }
    }
}

#[test]
fn endless_answers_of_a_proxy_end_at_a_limit() {
    for (scheme, beginning, part) in ENDLESS {
        for size in [1, 7, 5000] {
            let mut begun = false;
            let kernel = Kernel::new(size, move |_| {
                let head = if begun { "" } else { beginning };
                begun = true;
                [head, &part.repeat(70_000 / part.len())].concat().into_bytes()
            });
            match Rig::new(kernel, (scheme, ""), ClientConfig::new()).outcome(0) {
                Outcome::Failed(ConnectError::Proxy { error, .. })
                    if matches!(*error, ProxyError::HeadTooLarge | ProxyError::Malformed(_)) => {}
                other => panic!("{scheme} {beginning}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_proxy_that_drips_or_is_silent_ends_at_the_deadline() {
    for way in WAYS {
        for answers in [true, false] {
            let mut proxy = FakeProxy::new(way);
            let kernel = Kernel::new(1, move |bytes| {
                let answer = proxy.receive(bytes);
                if answers { answer } else { Vec::new() }
            });
            // A second for each byte; the deadline is after ten.
            match Rig::new(kernel, way, ClientConfig::new()).outcome(1000) {
                Outcome::Failed(ConnectError::TimedOut { tried, step: ConnectStep::Proxy }) => {
                    assert_eq!(tried, [SocketAddr::from(([192, 0, 2, 1], 3128))]);
                }
                other => panic!("{way:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_proxy_that_closes_anywhere_is_an_error_of_the_proxy_and_is_retried() {
    for way in WAYS {
        for kept in 0..12 {
            let (mut proxy, mut left) = (FakeProxy::new(way), kept);
            let kernel = Kernel::new(4096, move |bytes| {
                let mut answer = proxy.receive(bytes);
                answer.truncate(left);
                left -= answer.len();
                answer
            });
            // The shortest dialogue has 12 bytes of answers.
            kernel.lock().closes = true;
            let mut rig = Rig::new(kernel, way, ClientConfig::new().reconnect(Reconnect::default()));
            match rig.outcome(0) {
                Outcome::Failed(ConnectError::Proxy { proxy, error }) => {
                    assert_eq!(*error, ProxyError::Eof);
                    assert_eq!(proxy, format!("{}192.0.2.1:3128", way.0), "it is named without credentials");
                }
                other => panic!("{way:?} {kept}: {other:?}"),
            }
            assert_eq!(rig.state(), ClientState::Waiting, "{way:?} {kept}");
        }
    }
}

#[test]
fn rejected_credentials_are_final() {
    for (way, answer) in [
        (WAYS[0], "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n"),
        (WAYS[1], "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n"),
        (WAYS[2], "\x05\u{7f}"),
        (WAYS[3], "\x05\x02\x01\x01"),
    ] {
        // No text has the byte 0xff.
        let answer: Vec<u8> = answer.bytes().map(|byte| if byte == 0x7f { 0xff } else { byte }).collect();
        let mut answer = Some(answer);
        let mut received = 0;
        let kernel = Kernel::new(4096, move |bytes| {
            received += bytes.len();
            if received > 2 { answer.take().unwrap_or_default() } else { Vec::new() }
        });
        let mut rig = Rig::new(kernel, way, ClientConfig::new().reconnect(Reconnect::default()));
        match rig.outcome(0) {
            Outcome::Failed(ConnectError::Proxy { error, .. })
                if matches!(
                    *error,
                    ProxyError::AuthenticationRequired { .. } | ProxyError::CredentialsRejected { .. }
                ) => {}
            other => panic!("{way:?}: {other:?}"),
        }
        assert_eq!(rig.state(), ClientState::Idle, "{way:?}");
    }
}

#[test]
fn a_captive_portal_and_a_busy_proxy_are_retried_after_the_delay_that_they_request() {
    for (answer, least) in [
        ("HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n", 0),
        ("HTTP/1.1 404 Not Found\r\n\r\n", 0),
        ("HTTP/1.1 503 Busy\r\nRetry-After: 1800\r\n\r\n", 1800),
    ] {
        let mut answer = Some(answer.as_bytes().to_vec());
        let kernel = Kernel::new(4096, move |_| answer.take().unwrap_or_default());
        let mut rig = Rig::new(kernel, WAYS[0], ClientConfig::new().reconnect(Reconnect::default()));
        match rig.outcome(0) {
            Outcome::Failed(ConnectError::Proxy { error, .. })
                if matches!(*error, ProxyError::Rejected { .. }) => {}
            other => panic!("{other:?}"),
        }
        let least = Duration::from_secs(least);
        let delay = rig.delay.unwrap();
        assert!(least <= delay && delay <= least + Duration::from_secs(1), "{delay:?}");
    }
}
