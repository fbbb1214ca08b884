//! A client over streams that the application makes: the same policy and timeouts over any stream.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;

use common::pipe::{End, pipe};
use common::run;
use futures_lite::{FutureExt, future};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ws_server_smol::{
    Client, ClientConfig, ClientEvent, ClientRequest, CloseCode, Config, ConnectError, HttpConnection,
    InvalidTarget, Reconnect,
};

const URL: &str = "wss://app.example/live";

/// The other ends of the streams, and the requested targets.
#[derive(Clone, Default)]
struct Made(Arc<Mutex<(VecDeque<End>, Vec<String>)>>);

impl Made {
    /// Fails first, and makes a pipe each further time.
    fn make(&self, request: &ClientRequest) -> io::Result<End> {
        let (ends, targets) = &mut *self.0.lock().unwrap();
        targets.push(format!("{}:{} {}", request.host(), request.port(), request.is_tls()));
        if targets.len() == 1 {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = pipe(1 << 10, targets.len() as u64);
        ends.push_back(theirs);
        Ok(ours)
    }
}

fn policy() -> ClientConfig {
    let wait = Duration::from_millis(1);
    ClientConfig::default().reconnect(Reconnect::default().wait(wait, wait))
}

#[test]
fn application_streams_reconnect_as_the_policy_says() {
    let made = Made::default();
    let events = Rc::new(RefCell::new(Vec::new()));
    let record = |event: &str| events.borrow_mut().push(event.to_owned());
    run(async {
        let connects = made.clone();
        let mut client = Client::with_connector(URL, policy(), move |request: ClientRequest| {
            let made = connects.clone();
            async move { made.make(&request) }
        })
        .unwrap();
        let lives = async {
            while let Some(event) = client.next_event().await {
                match event {
                    ClientEvent::Connected(ws) => {
                        record("connected");
                        ws.send("hello").await.unwrap();
                        while let Some(Ok(_)) = ws.next().await {}
                    }
                    ClientEvent::ConnectFailed(failure) => {
                        assert!(matches!(failure, ConnectError::Unreachable { .. }), "{failure}");
                        record("failed");
                    }
                    ClientEvent::Reconnecting { .. } => record("waiting"),
                    _ => {}
                }
            }
        };
        // Each is closed with another code; the last one ends reconnecting.
        let serves = async {
            for code in [CloseCode::SERVICE_RESTART, CloseCode::POLICY] {
                let end = loop {
                    let made = made.0.lock().unwrap().0.pop_front();
                    if let Some(end) = made {
                        break end;
                    }
                    future::yield_now().await;
                };
                let config = Config::server().access(ws_proto::Access::default().allow_any_host());
                let mut ws = HttpConnection::new(end, Arc::new(config)).upgrade().await.unwrap();
                assert_eq!(ws.next().await.unwrap().unwrap().as_text(), Some("hello"));
                ws.close(code, "").await.unwrap();
            }
        };
        future::zip(lives, serves).await;
        assert_eq!(client.closed().unwrap().code, CloseCode::POLICY);
    });
    assert_eq!(*events.borrow(), ["failed", "waiting", "connected", "waiting", "connected"]);
    assert_eq!(made.0.lock().unwrap().1, ["app.example:443 true"; 3]);
}

#[test]
fn a_connector_has_the_connect_timeout() {
    run(async {
        let config = ClientConfig::new().handshake_timeout(Duration::from_millis(20));
        let never = |_: ClientRequest| future::pending::<io::Result<End>>();
        let mut client = Client::with_connector(URL, config, never).unwrap();
        let failure = client.connect().await.unwrap_err();
        assert!(matches!(&failure, ConnectError::TimedOut { tried, .. } if tried.is_empty()), "{failure}");
    });
}

#[test]
fn a_dropped_call_leaves_the_attempt_to_the_next() {
    run(async {
        let made = Made::default();
        made.0.lock().unwrap().1.push("the one that fails".into());
        let connects = made.clone();
        let mut client = Client::with_connector(URL, policy(), move |request: ClientRequest| {
            future::ready(connects.make(&request))
        })
        .unwrap();
        for _ in 0..3 {
            let gives_up = async {
                future::yield_now().await;
                None
            };
            assert!(client.next_connection().or(gives_up).await.is_none());
        }
        assert_eq!(made.0.lock().unwrap().0.len(), 1, "one attempt");
    });
}

#[test]
fn only_a_client_without_a_connector_rejects_tls_that_is_not_built_in() {
    let is_built_in = cfg!(feature = "tls-no-provider");
    let without = Client::new(URL, policy());
    assert!(is_built_in || matches!(without, Err(InvalidTarget::TlsUnsupported)));
    let pending = |_: ClientRequest| future::pending::<io::Result<End>>();
    let mut client = Client::with_connector("ws://app.example/", policy(), pending).unwrap();
    client.set_request(URL).unwrap();
    assert!(matches!(client.set_request("http://app.example/"), Err(InvalidTarget::Request(_))));
}
