//! What a client does by default, and which error a failed attempt ends with.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::io;
use std::sync::Arc;
use ws_host::client::Reconnect;
use ws_host::client::{ClientConfig, ConnectError, ConnectStep};
use ws_host::proxy::Proxy;
use ws_proto::Moment;
use ws_proto::{ClientRequest, CloseCode, Config, Connection, Error, Event, ProxyError, SocksReply};

/// The error of a connection that `ends` before it opens.
fn failure(ends: impl FnOnce(&mut Connection, Moment)) -> ConnectError {
    failure_in(ConnectStep::Handshake, ends)
}

fn failure_in(step: ConnectStep, ends: impl FnOnce(&mut Connection, Moment)) -> ConnectError {
    let now = Moment::default();
    let request = ClientRequest::new("ws://localhost").unwrap();
    let mut client = Connection::client(now, Arc::new(Config::client()), request, [1; 32]);
    ends(&mut client, now);
    match client.poll_event(now) {
        Some(Event::Closed(closed)) => ConnectError::of(&closed, vec![([192, 0, 2, 1], 80).into()], step),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_connection_that_never_opened_is_a_connect_error() {
    let rejected = failure(|client, now| {
        let mut answer = *b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
        client.handle_input(now, &mut &mut answer[..]);
    });
    assert_eq!(
        rejected.response().map(|response| (response.status().as_u16(), &response.body()[..])),
        Some((403, &b"no"[..]))
    );
    let late = failure(|client, now| client.handle_timeout(now + Config::client().get_handshake_timeout()));
    assert!(matches!(&late, ConnectError::TimedOut { tried, .. } if tried.len() == 1), "{late}");
    let lost = failure(|client, now| client.abort(now, Error::Io(io::ErrorKind::ConnectionReset)));
    assert!(matches!(lost, ConnectError::Lost(Error::Io(io::ErrorKind::ConnectionReset))), "{lost}");
    let cut_off = failure(|client, now| client.handle_eof(now));
    assert!(matches!(cut_off, ConnectError::Handshake(_)) && cut_off.response().is_none(), "{cut_off}");
    let given_up = failure(|client, now| client.close(now, CloseCode::NORMAL, "").unwrap());
    assert!(matches!(given_up, ConnectError::Lost(Error::Aborted)), "{given_up}");
}

#[test]
fn a_failure_says_in_which_step_it_happened() {
    let mut sentences = std::collections::HashSet::new();
    for step in [
        ConnectStep::Connect,
        ConnectStep::Proxy,
        ConnectStep::Tls,
        ConnectStep::Handshake,
        ConnectStep::Redirect,
    ] {
        let late = failure_in(step, |client, now| {
            client.handle_timeout(now + Config::client().get_handshake_timeout());
        });
        assert!(
            matches!(&late, ConnectError::TimedOut { step: reported, .. } if *reported == step),
            "{late}"
        );
        assert!(sentences.insert(late.to_string()), "{late}");
    }
    let reset = Error::Io(io::ErrorKind::ConnectionReset);
    let at_proxy = failure_in(ConnectStep::Proxy, |client, now| client.abort(now, reset.clone()));
    let of_proxy = |failure: &ConnectError| match failure {
        ConnectError::Proxy { proxy, error } if proxy.is_empty() => (**error).clone(),
        other => panic!("{other}"),
    };
    assert_eq!(of_proxy(&at_proxy), ProxyError::Io(io::ErrorKind::ConnectionReset));
    let at_server = failure(|client, now| client.abort(now, reset));
    assert!(matches!(at_server, ConnectError::Lost(_)), "{at_server}");
    let rejected = failure(|client, now| client.abort(now, ProxyError::Socks(SocksReply(2)).into()));
    assert_eq!(of_proxy(&rejected), ProxyError::Socks(SocksReply(2)));
}

#[test]
fn a_failure_to_reach_the_proxy_names_it() {
    let proxy = Proxy::new("http://ann:secret@proxy.example:3128").unwrap();
    let proxy = proxy.server(&ClientRequest::new("ws://a").unwrap()).unwrap().clone();
    let error = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let unreachable = ConnectError::Unreachable { tried: vec![], error: error() }.at(Some(&proxy));
    let text = unreachable.to_string();
    assert!(text.contains("http://proxy.example:3128") && !text.contains("secret"), "{text}");
    let name = ConnectError::name("proxy.example", &error());
    assert!(matches!(name.at(Some(&proxy)), ConnectError::ProxyUnreachable { .. }));
    let closed =
        failure(|client, now| client.abort(now, ProxyError::Eof.into())).at(Some(&proxy)).to_string();
    assert!(closed.starts_with("http://proxy.example:3128: the proxy ended"), "{closed}");
    let direct = ConnectError::Unreachable { tried: vec![], error: error() }.at(None);
    assert!(matches!(direct, ConnectError::Unreachable { .. }), "{direct}");
    let later = ConnectError::TimedOut { tried: vec![], step: ConnectStep::Tls }.at(Some(&proxy));
    assert!(matches!(later, ConnectError::TimedOut { .. }), "{later}");
}

#[cfg(unix)]
#[test]
fn a_unix_socket_ignores_the_proxy() {
    let request = ClientRequest::new("ws://localhost/").unwrap();
    let config = ClientConfig::new().proxy(Proxy::new("proxy").unwrap());
    assert!(config.proxy_for(&request).is_some());
    let unix = config.clone().unix("/run/app.sock");
    assert!(unix.proxy_for(&request).is_none());
    assert!(unix.layer(&request, &Config::client()).unwrap().is_none());
    assert!(config.proxy(None).proxy_for(&request).is_none());
}

#[test]
fn a_client_connects_once_over_tcp_by_default() {
    let plain = ClientConfig::new().message_limit(7);
    assert_eq!((plain.get_connection().get_message_limit(), plain.get_reconnect().is_some()), (7, false));
    let set = ClientConfig::default().reconnect(Reconnect::default());
    assert!(set.get_reconnect().is_some());
    #[cfg(unix)]
    {
        assert_eq!(set.get_unix(), None);
        assert_eq!(set.unix("/run/app.sock").get_unix(), Some(std::path::Path::new("/run/app.sock")));
    }
}
