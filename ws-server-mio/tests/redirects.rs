//! Clients that follow redirects.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use ws_server_mio::http::{HeaderMap, Response};
use ws_server_mio::{
    Bind, ClientConfig, ClientRequest, ClientState, ConnectError, ConnectStep, Endpoint, Event, Reconnect,
    RedirectError, Redirects, ServerConfig, ServerId,
};

/// Two servers, which redirect as their paths say, and a client.
struct Rig {
    endpoint: Endpoint,
    servers: [ServerId; 2],
    ports: [u16; 2],
    /// The paths requested so far, with the server and the header fields.
    requests: Vec<(usize, String, HeaderMap)>,
}

type Outcome = Result<Response<()>, ConnectError>;

impl Rig {
    fn new() -> Self {
        let mut endpoint = Endpoint::new().unwrap();
        let connections = endpoint.connections();
        let servers = [0, 1].map(|_| {
            connections.listen(Bind::localhost(), ServerConfig::new().decide_upgrades(true)).unwrap()
        });
        let ports = servers.map(|server| connections.server(server).local_addr().unwrap().port());
        Self { endpoint, servers, ports, requests: Vec::new() }
    }

    /// The outcome of a request for this path of the first server.
    fn connect(&mut self, path: &str, config: ClientConfig) -> Outcome {
        let url = format!("ws://127.0.0.1:{}{path}", self.ports[0]);
        let request = ClientRequest::new(&url).unwrap().basic_auth("ann", "secret").unwrap();
        self.endpoint.connections().connect(request, config).unwrap();
        let (start, mut outcome) = (Instant::now(), None);
        while outcome.is_none() {
            assert!(start.elapsed() < Duration::from_secs(20), "it hangs");
            let Self { endpoint, servers, ports, requests } = self;
            endpoint
                .poll(Some(Duration::from_millis(1)), |connections, event| match event {
                    Event::Upgrade(id, upgrade) => {
                        let server = usize::from(connections.server_of(id) == Some(servers[1]));
                        requests.push((server, upgrade.uri().to_string(), upgrade.headers().clone()));
                        let location = match upgrade.path() {
                            "/there" => format!("http://127.0.0.1:{}/end?x=1", ports[1]),
                            "/loop" => "loop".to_owned(),
                            "/twice" => "/once?again".to_owned(),
                            "/once" => "../end".to_owned(),
                            "/broken" => "ftp://a.example/".to_owned(),
                            "/missing" => "/nothing?secret".to_owned(),
                            "/nothing" => {
                                let answer = Response::builder().status(404).body("no".into()).unwrap();
                                return connections.respond(id, upgrade, answer).unwrap();
                            }
                            "/unreachable" => format!("ws://127.0.0.1:{}/", closed_port()),
                            _ => return connections.accept(id, upgrade).unwrap(),
                        };
                        let answer = Response::builder().status(307).header("Location", location);
                        connections.respond(id, upgrade, answer.body("moved".into()).unwrap()).unwrap();
                    }
                    Event::Open(id, response) if connections.client_of(id).is_some() => {
                        outcome = Some(Ok(*response));
                    }
                    Event::ConnectFailed { error, .. } => outcome = Some(Err(error)),
                    _ => {}
                })
                .unwrap();
        }
        outcome.unwrap()
    }

    fn paths(&self) -> Vec<&str> {
        self.requests.iter().map(|(_, path, _)| path.as_str()).collect()
    }
}

fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn follows(limit: u8) -> ClientConfig {
    ClientConfig::new().follow_redirects(limit)
}

#[test]
fn by_default_a_redirect_is_a_rejection() {
    let mut rig = Rig::new();
    let error = rig.connect("/twice", ClientConfig::new()).unwrap_err();
    assert_eq!(error.response().unwrap().status(), 307);
    assert_eq!(rig.paths(), ["/twice"]);
    // The sentence says where it leads and what follows it, without the query.
    let text = error.to_string();
    assert!(text.contains("a redirect to /once; ") && text.contains("follow_redirects"), "{text}");
}

#[test]
fn redirects_are_followed_and_reported() {
    let mut rig = Rig::new();
    let response = rig.connect("/twice", follows(2)).unwrap();
    assert_eq!(rig.paths(), ["/twice", "/once?again", "/end"]);
    let redirects = response.extensions().get::<Redirects>().unwrap();
    let urls: Vec<_> = redirects.iter().map(|redirect| redirect.location().to_owned()).collect();
    let base = format!("ws://127.0.0.1:{}", rig.ports[0]);
    assert_eq!(urls, [format!("{base}/once?again"), format!("{base}/end")]);
    // The credentials stay with their origin.
    assert!(rig.requests.iter().all(|(_, _, headers)| headers.contains_key("authorization")));
}

#[test]
fn another_origin_gets_no_credentials() {
    let mut rig = Rig::new();
    rig.connect("/there", follows(1)).unwrap();
    assert_eq!(rig.paths(), ["/there", "/end?x=1"]);
    let [(0, _, first), (1, _, second)] = &rig.requests[..] else { panic!("{:?}", rig.paths()) };
    assert!(first.contains_key("authorization") && !second.contains_key("authorization"));
    assert_eq!(second["host"], format!("127.0.0.1:{}", rig.ports[1]));
}

#[test]
fn a_loop_ends_at_the_limit() {
    for (limit, requests) in [(1, 2), (5, 6), (255, 6)] {
        let mut rig = Rig::new();
        match rig.connect("/loop", follows(limit)) {
            Err(ConnectError::Redirected { redirects, error }) => match *error {
                ConnectError::Redirect(RedirectError::TooMany { limit: reported }) => {
                    assert_eq!((reported, redirects.len()), (limit.min(5), requests - 1));
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
        assert_eq!(rig.requests.len(), requests);
    }
}

#[test]
fn what_fails_after_a_redirect_is_reported_with_it() {
    let mut rig = Rig::new();
    let broken = rig.connect("/broken", follows(5)).unwrap_err();
    assert!(matches!(&broken, ConnectError::Redirect(RedirectError::Location(_))), "{broken}");
    let unreachable = rig.connect("/unreachable", follows(5)).unwrap_err();
    match &unreachable {
        ConnectError::Redirected { redirects, error } => {
            assert!(matches!(**error, ConnectError::Unreachable { .. }), "{unreachable}");
            assert!(unreachable.to_string().contains(redirects[0].location()), "{unreachable}");
        }
        other => panic!("{other:?}"),
    }
    let missing = rig.connect("/missing", follows(5)).unwrap_err();
    assert_eq!(missing.response().unwrap().status(), 404);
    let expected = format!(
        "after the redirect to ws://127.0.0.1:{}/nothing: the server answered 404 Not Found",
        rig.ports[0]
    );
    assert_eq!(missing.to_string(), expected);
    // All connections are gone.
    for _ in 0..20 {
        rig.endpoint.poll(Some(Duration::from_millis(1)), |_, _| {}).unwrap();
    }
    assert_eq!(ws_server_mio::inspect::overview(rig.endpoint.connections()).slots, 0);
}

/// A redirect whose body never ends.
fn unending_redirect() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 301 Moved\r\nLocation: /there\r\nContent-Length: 9\r\n\r\nm").unwrap();
        // The client ends the connection.
        let _ = stream.read(&mut [0]);
    });
    url
}

#[test]
fn a_redirect_that_does_not_end_times_out_and_is_retried() {
    let mut endpoint = Endpoint::new().unwrap();
    let config = follows(5).handshake_timeout(Duration::from_millis(30)).reconnect(Reconnect::default());
    let client = endpoint.connections().connect(unending_redirect(), config).unwrap();
    let (start, mut failure) = (Instant::now(), None);
    while failure.is_none() {
        assert!(start.elapsed() < Duration::from_secs(20), "it hangs");
        endpoint
            .poll(Some(Duration::from_millis(1)), |connections, event| {
                if let Event::ConnectFailed { error, .. } = event {
                    failure = Some((error, connections.client(client).state()));
                }
            })
            .unwrap();
    }
    match failure.unwrap() {
        (ConnectError::TimedOut { step: ConnectStep::Redirect, .. }, ClientState::Waiting) => {}
        other => panic!("{other:?}"),
    }
}
