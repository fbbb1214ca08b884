//! What a client does by default, and which error a failed attempt ends with.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::io;
use std::sync::Arc;
use ws_host::client::Reconnect;
use ws_host::client::{ClientConfig, ConnectError};
use ws_proto::Moment;
use ws_proto::{ClientRequest, CloseCode, Config, Connection, Error, Event};

/// The error of a connection that `ends` before it opens.
fn failure(ends: impl FnOnce(&mut Connection, Moment)) -> ConnectError {
    let now = Moment::default();
    let request = ClientRequest::new("ws://localhost").unwrap();
    let mut client = Connection::client(now, Arc::new(Config::client()), request, [1; 32]);
    ends(&mut client, now);
    match client.poll_event(now) {
        Some(Event::Closed(closed)) => ConnectError::of(&closed, vec![([192, 0, 2, 1], 80).into()]),
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
    assert!(matches!(&late, ConnectError::TimedOut { tried } if tried.len() == 1), "{late}");
    let lost = failure(|client, now| client.abort(now, Error::Io(io::ErrorKind::ConnectionReset)));
    assert!(matches!(lost, ConnectError::Lost(Error::Io(io::ErrorKind::ConnectionReset))), "{lost}");
    let cut_off = failure(|client, now| client.handle_eof(now));
    assert!(matches!(cut_off, ConnectError::Handshake(_)) && cut_off.response().is_none(), "{cut_off}");
    let given_up = failure(|client, now| client.close(now, CloseCode::NORMAL, "").unwrap());
    assert!(matches!(given_up, ConnectError::Lost(Error::Aborted)), "{given_up}");
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
