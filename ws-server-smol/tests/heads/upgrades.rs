//! Requests behind a rejected upgrade, and requests that are not upgrades.

use super::common::run;
use super::*;
use std::cell::RefCell;
use ws_server_smol::handshake::upgrade_required;
use ws_server_smol::{ServerConfig, Token};

#[test]
fn nothing_is_served_behind_an_upgrade_that_the_application_rejects() {
    let no = || http::Response::builder().status(404).body(Bytes::from("no")).unwrap();
    for (answer, status) in [(no(), 404), (upgrade_required(), 426)] {
        for behind in ["GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n", "\u{1}\u{2}", ""] {
            let seen = RefCell::new(Vec::new());
            let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
            let refuse = async |mut http: HttpConnection<Socket>| {
                let mut before = None;
                while let Some(incoming) = http.next().await {
                    match incoming {
                        Incoming::Request(request) => {
                            seen.borrow_mut().push(request.path().to_owned());
                            before = Some(request);
                        }
                        Incoming::Upgrade(upgrade) => {
                            // Rejected before the previous request is answered.
                            http.responder().respond(upgrade, answer.clone()).unwrap();
                            http.respond(before.take().unwrap(), ok("before")).await.unwrap();
                        }
                    }
                }
                assert!(http.closed().is_none_or(|closed| closed.error.is_none()), "{:?}", http.closed());
            };
            let asking = async {
                let ask = |address| {
                    [get(address, "/before"), handshake(address, "/ws"), behind.as_bytes().to_vec()].concat()
                };
                sent(&server, ask).all().await
            };
            let got = run(beside(&server, refuse, asking));
            assert!(got.starts_with("HTTP/1.1 200 "), "earlier requests are answered: {got}");
            assert_eq!(got.matches("HTTP/1.1").count(), 2, "{got}");
            let rejection = &got[got.rfind("HTTP/1.1").unwrap()..];
            assert!(rejection.starts_with(&format!("HTTP/1.1 {status} ")), "{got}");
            let connection = if status == 426 { "Upgrade, close" } else { "close" };
            assert_eq!(field(rejection, "Connection"), Some(connection), "{got}");
            assert_eq!(seen.take(), ["/before"]);
        }
    }
}

#[test]
fn nothing_is_served_behind_an_upgrade_rejected_by_the_engine_or_for_want_of_a_token() {
    const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let config = || ServerConfig::new();
    type Change = fn(String) -> String;
    let cases: [(ServerConfig, Change, u16); 6] = [
        (config(), |ask| ask.replace("Version: 13", "Version: 8"), 426),
        (config(), |ask| ask.replace("\r\n\r\n", "\r\nOrigin: http://evil.example\r\n\r\n"), 403),
        (config(), |ask| ask.replace("Sec-WebSocket-Key", "X"), 400),
        (config(), |ask| ask.replace("GET /ws", "POST /ws"), 405),
        (config(), |ask| ask.replace("Host: 127.0.0.1", "Host: evil.example"), 421),
        (config().require_token(Token::from_random([3; 16])), |ask| ask, 401),
    ];
    for (config, change, status) in cases {
        let server = Server::bind(Bind::localhost(), config).unwrap();
        let nothing = async |mut http: HttpConnection<Socket>| assert!(http.next().await.is_none());
        let ask =
            |address| (change(String::from_utf8(handshake(address, "/ws")).unwrap()) + SMUGGLED).into_bytes();
        let got = run(beside(&server, nothing, async { sent(&server, ask).all().await }));
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{got}");
        assert_eq!(got.matches("HTTP/1.1").count(), 1, "{got}");
        let connection = if status == 426 { "Upgrade, close" } else { "close" };
        assert_eq!(field(&got, "Connection"), Some(connection), "{got}");
    }
}

#[test]
fn nothing_is_served_behind_an_upgrade_dropped_late_or_during_a_stop() {
    for case in 0..3 {
        let mut config = ServerConfig::new();
        if case == 1 {
            config = config.handshake_timeout(Duration::from_millis(20));
        }
        let server = Server::bind(Bind::localhost(), config).unwrap();
        let held = RefCell::new(None);
        let handle = async |mut http: HttpConnection<Socket>| {
            let Some(Incoming::Upgrade(upgrade)) = http.next().await else { panic!("no upgrade") };
            match case {
                0 => drop(upgrade),
                _ => *held.borrow_mut() = Some(upgrade),
            }
            assert!(http.next().await.is_none(), "{case}");
        };
        let got = run(beside(&server, handle, async {
            let ask = |address| [handshake(address, "/ws"), get(address, "/smuggled")].concat();
            let mut peer = sent(&server, ask);
            if case == 2 {
                got(|| held.borrow().is_some().then_some(())).await;
                // It stops once the peer has gone.
                let all = async move { peer.all().await };
                return future::zip(server.stop(HOUR), all).await.1;
            }
            peer.all().await
        }));
        assert!(got.starts_with("HTTP/1.1 503 ") && got.matches("HTTP/1.1").count() == 1, "{case}: {got}");
        assert_eq!(field(&got, "Connection"), Some("close"), "{got}");
    }
}

#[test]
fn a_request_for_another_upgrade_or_none_is_served_and_kept_alive() {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    run(beside(&server, hello, async {
        let address = server.local_addr().unwrap();
        let ask = String::from_utf8(handshake(address, "/")).unwrap();
        let mut peer = Peer::connect(address);
        for request in [
            ask.replace("Upgrade: websocket", "Upgrade: h2c"),
            ask.replace("Upgrade: websocket\r\n", ""),
            ask.replace("Connection: Upgrade\r\n", ""),
        ] {
            peer.send(request.as_bytes());
            assert_eq!(got(|| peer.take_response()).await, (200, "hello".to_owned()), "{request}");
        }
        assert_eq!(peer.ended, None);
    }));
}
