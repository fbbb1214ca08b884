//! The shutdown that the guide shows: what it delivers, and when it gives up.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

include!("leave.rs");

use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use ws_kit::peer::{Peer, accepting, handshake};
use ws_server_mio::{ClientConfig, CloseCode, ConnectionId, Frame};

/// More than the kernel buffers if nothing reads.
const MESSAGES: usize = 80;
const SIZE: usize = 128 << 10;
/// Longer than any test takes, unless it hangs.
const HANG: Duration = Duration::from_secs(60);

/// What a peer has received by the end: the number of messages, and the close code.
type End = (usize, CloseCode);

/// Counts the messages of the first connection on a separate thread, until the connection ends. `begin` returns its
/// URL, if it has one.
fn count(begin: impl FnOnce(&mut Connections) -> Option<String> + Send + 'static) -> (String, Receiver<End>) {
    let (listening, url) = channel();
    let (ended, end) = channel();
    thread::spawn(move || {
        let mut endpoint = Endpoint::new().unwrap();
        listening.send(begin(endpoint.connections()).unwrap_or_default()).unwrap();
        let mut messages = 0;
        endpoint
            .run(|connections, event| match event {
                Event::Message(..) => messages += 1,
                Event::Closed(_, closed) => {
                    let _ = ended.send((messages, closed.code));
                    connections.exit();
                }
                _ => {}
            })
            .unwrap();
    });
    (url.recv().unwrap(), end)
}

/// A server that counts what the tested client sends.
fn counting_server() -> (String, Receiver<End>) {
    count(|connections| {
        // Once it has the Close, it need not wait for the end of the stream.
        let config = ServerConfig::new().close_timeout(Duration::from_millis(10));
        let server = connections.listen(Bind::localhost(), config).unwrap();
        connections.server(server).url("/")
    })
}

/// A client that counts what the tested server sends.
fn counting_client(url: String) -> Receiver<End> {
    let (_, end) = count(move |connections| {
        connections.connect(&*url, ClientConfig::new().reconnect(None)).unwrap();
        None
    });
    end
}

/// A client of the tested endpoint, a server of it, or both; what they send is counted.
fn both(endpoint: &mut Endpoint, has_client: bool, has_server: bool) -> [Option<Receiver<End>>; 2] {
    let of_client = has_client.then(|| {
        let (url, end) = counting_server();
        endpoint.connections().connect(&*url, ClientConfig::new()).unwrap();
        end
    });
    let of_server = has_server.then(|| {
        let server = endpoint.connections().listen(Bind::localhost(), ServerConfig::new()).unwrap();
        counting_client(endpoint.connections().server(server).url("/").unwrap())
    });
    [of_client, of_server]
}

/// Asserts that this many messages and the Close of the client, and of the server, have arrived.
fn received(ends: [Option<Receiver<End>>; 2], messages: usize) {
    for (end, code) in ends.into_iter().zip([CloseCode::NORMAL, CloseCode::GOING_AWAY]) {
        if let Some(end) = end {
            assert_eq!(end.recv_timeout(HANG).unwrap(), (messages, code));
        }
    }
}

/// Polls until that many connections are open.
fn open(endpoint: &mut Endpoint, connections: usize) -> Vec<ConnectionId> {
    let mut open = Vec::new();
    while open.len() < connections {
        endpoint
            .poll(Some(HANG), |_, event| {
                if let Event::Open(id, _) = event {
                    open.push(id);
                }
            })
            .unwrap();
    }
    open
}

/// Queues messages on each of so many connections, once they are open.
fn queue(endpoint: &mut Endpoint, connections: usize) {
    let message = Frame::binary(vec![7; SIZE]);
    for id in open(endpoint, connections) {
        for _ in 0..MESSAGES {
            endpoint.connections().send(id, &message).unwrap();
        }
        assert!(endpoint.connections().queued(id) > MESSAGES * SIZE / 2);
    }
}

#[test]
fn the_guide_shows_this_shutdown() {
    let guide = include_str!("../../docs/embedding.md");
    assert!(guide.contains(concat!("```rust\n", include_str!("leave.rs"), "```\n")));
    main().unwrap();
}

#[test]
fn leaving_delivers_the_queued_output_of_clients_and_of_servers() {
    for (has_client, has_server, is_removed) in
        [(true, false, false), (true, false, true), (false, true, false), (true, true, true)]
    {
        let mut endpoint = Endpoint::with(Options::ui()).unwrap();
        let ends = both(&mut endpoint, has_client, has_server);
        queue(&mut endpoint, usize::from(has_client) + usize::from(has_server));
        if is_removed {
            // Its output is written all the same.
            let client = endpoint.clients().next().unwrap();
            endpoint.connections().client(client).remove();
        }
        leave(&mut endpoint, HANG).unwrap();
        drop(endpoint);
        received(ends, MESSAGES);
    }
}

#[test]
fn leaving_without_any_grace_sends_each_close() {
    for (has_client, has_server) in [(true, false), (false, true), (true, true)] {
        let mut endpoint = Endpoint::with(Options::ui()).unwrap();
        let ends = both(&mut endpoint, has_client, has_server);
        open(&mut endpoint, usize::from(has_client) + usize::from(has_server));
        leave(&mut endpoint, Duration::ZERO).unwrap();
        // The loop does not return, and nothing is dropped.
        received(ends, 0);
    }
}

#[test]
fn leaving_gives_up_at_its_deadline() {
    let (listener, mut endpoint) = (TcpListener::bind("127.0.0.1:0").unwrap(), Endpoint::new().unwrap());
    let address = listener.local_addr().unwrap();
    endpoint.connections().connect(&*format!("ws://{address}/"), ClientConfig::new()).unwrap();
    let mut silent = Peer::new(listener.accept().unwrap().0);
    let head = loop {
        endpoint.poll(Some(Duration::from_millis(1)), |_, _| {}).unwrap();
        silent.read();
        if let Some(head) = silent.take_head() {
            break head;
        }
    };
    silent.send(accepting(&head).as_bytes());
    let server = endpoint.connections().listen(Bind::localhost(), ServerConfig::new()).unwrap();
    let address = endpoint.connections().server(server).local_addr().unwrap();
    let mut stuck = Peer::connect(address);
    stuck.send(&handshake(address, "/"));
    queue(&mut endpoint, 2);
    let (grace, begun) = (Duration::from_millis(100), Instant::now());
    leave(&mut endpoint, grace).unwrap();
    assert!(begun.elapsed() >= grace, "it waits for its peers");
    assert!(endpoint.servers().next().is_none(), "the server is stopped");
}
