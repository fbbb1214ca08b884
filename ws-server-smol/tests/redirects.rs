//! Clients that follow redirects.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use async_io::Async;
use common::{listener, run};
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt, future};
use std::cell::RefCell;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use ws_server_smol::http::{HeaderMap, Response};
use ws_server_smol::{
    Client, ClientConfig, ClientRequest, ClientState, Config, ConnectError, ConnectStep, HttpConnection,
    Incoming, Reconnect, RedirectError, Redirects, Socket, connect,
};

/// The paths requested so far, with the port and the header fields.
type Requests = RefCell<Vec<(u16, String, HeaderMap)>>;

/// Redirects as the paths say.
async fn serve(listener: &Async<TcpListener>, elsewhere: u16, requests: &Requests) {
    let port = listener.get_ref().local_addr().unwrap().port();
    let mut open = Vec::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut http = HttpConnection::new(Socket::from(stream), Arc::new(Config::server()));
        let Some(Incoming::Upgrade(upgrade)) = http.next().await else { panic!("no upgrade") };
        requests.borrow_mut().push((port, upgrade.uri().to_string(), upgrade.headers().clone()));
        let location = match upgrade.path() {
            "/there" => format!("http://127.0.0.1:{elsewhere}/end?x=1"),
            "/loop" => "loop".to_owned(),
            "/twice" => "/once?again".to_owned(),
            "/once" => "../end".to_owned(),
            "/broken" => "ftp://a.example/".to_owned(),
            "/missing" => "/nothing?secret".to_owned(),
            "/nothing" => {
                let answer = Response::builder().status(404).body("no".into()).unwrap();
                http.respond(upgrade, answer).await.unwrap();
                continue;
            }
            _ => {
                open.push(http.accept(upgrade).await.unwrap());
                continue;
            }
        };
        let answer = Response::builder().status(307).header("Location", location);
        http.respond(upgrade, answer.body("moved".into()).unwrap()).await.unwrap();
    }
}

/// The outcome of a request for this path, the ports of the two servers, and the requests.
fn outcome(path: &str, config: ClientConfig) -> (Result<Response<()>, ConnectError>, [u16; 2], Requests) {
    run(async {
        let ((first, a), (second, b)) = (listener(), listener());
        let requests = Requests::default();
        let url = format!("ws://{a}{path}");
        let request = ClientRequest::new(&url).unwrap().basic_auth("ann", "secret").unwrap();
        let connecting = async {
            let ws = connect(request, config).await?;
            Ok(ws.response().clone())
        };
        let serving = async {
            future::zip(serve(&first, b.port(), &requests), serve(&second, a.port(), &requests)).await;
            unreachable!("servers do not end")
        };
        let outcome = connecting.or(serving).await;
        (outcome, [a.port(), b.port()], requests)
    })
}

fn paths(requests: &Requests) -> Vec<String> {
    requests.borrow().iter().map(|(_, path, _)| path.clone()).collect()
}

fn follows(limit: u8) -> ClientConfig {
    ClientConfig::new().follow_redirects(limit)
}

#[test]
fn by_default_a_redirect_is_a_rejection() {
    let (outcome, _, requests) = outcome("/twice", ClientConfig::new());
    let error = outcome.unwrap_err();
    assert_eq!(error.response().unwrap().status(), 307);
    assert_eq!(paths(&requests), ["/twice"]);
    // The sentence says where it leads and what follows it, without the query.
    let text = error.to_string();
    assert!(text.contains("a redirect to /once; ") && text.contains("follow_redirects"), "{text}");
}

#[test]
fn redirects_are_followed_and_reported() {
    let (outcome, [port, _], requests) = outcome("/twice", follows(2));
    assert_eq!(paths(&requests), ["/twice", "/once?again", "/end"]);
    let response = outcome.unwrap();
    let redirects = response.extensions().get::<Redirects>().unwrap();
    let urls: Vec<_> = redirects.iter().map(|redirect| redirect.location().to_owned()).collect();
    let base = format!("ws://127.0.0.1:{port}");
    assert_eq!(urls, [format!("{base}/once?again"), format!("{base}/end")]);
    assert!(requests.borrow().iter().all(|(_, _, headers)| headers.contains_key("authorization")));
}

#[test]
fn another_origin_gets_no_credentials() {
    let (outcome, [a, b], requests) = outcome("/there", follows(1));
    assert!(outcome.is_ok());
    let requests = requests.borrow();
    let [(first, _, sent_first), (second, path, sent_second)] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!((*first, *second, path.as_str()), (a, b, "/end?x=1"));
    assert!(sent_first.contains_key("authorization") && !sent_second.contains_key("authorization"));
}

#[test]
fn a_loop_ends_at_the_limit() {
    for (limit, count) in [(1, 2), (5, 6), (255, 6)] {
        let (outcome, _, requests) = outcome("/loop", follows(limit));
        match outcome {
            Err(ConnectError::Redirected { redirects, error }) => match *error {
                ConnectError::Redirect(RedirectError::TooMany { limit: reported }) => {
                    assert_eq!((reported, redirects.len()), (limit.min(5), count - 1));
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
        assert_eq!(requests.borrow().len(), count);
    }
}

#[test]
fn a_redirect_to_anything_but_a_websocket_is_an_error() {
    let (outcome, ..) = outcome("/broken", follows(5));
    assert!(matches!(outcome, Err(ConnectError::Redirect(RedirectError::Location(_)))), "{outcome:?}");
}

#[test]
fn what_fails_after_a_redirect_is_reported_with_it() {
    let (outcome, [port, _], _) = outcome("/missing", follows(5));
    let missing = outcome.unwrap_err();
    assert_eq!(missing.response().unwrap().status(), 404);
    let expected =
        format!("after the redirect to ws://127.0.0.1:{port}/nothing: the server answered 404 Not Found");
    assert_eq!(missing.to_string(), expected);
}

#[test]
fn a_redirect_that_does_not_end_times_out_and_is_retried() {
    run(async {
        let (listener, address) = listener();
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).await.unwrap();
                head.push(byte[0]);
            }
            let answer = b"HTTP/1.1 301 Moved\r\nLocation: /there\r\nContent-Length: 9\r\n\r\nm";
            stream.write_all(answer).await.unwrap();
            future::pending().await
        };
        let config = follows(5).handshake_timeout(Duration::from_millis(30)).reconnect(Reconnect::default());
        let mut client = Client::new(&*format!("ws://{address}/"), config).unwrap();
        let connecting = async { client.connect().await.err().unwrap() };
        let failure = connecting.or(serving).await;
        let is_late = matches!(&failure, ConnectError::TimedOut { step: ConnectStep::Redirect, .. });
        assert!(is_late, "{failure:?}");
        assert_eq!(client.state(), ClientState::Waiting);
    });
}
