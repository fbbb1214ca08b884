//! `proxy`: arbitrary answers of a proxy.
//!
//! ```text
//!   kind of the proxy (1) | size of the parts (1) | the answer …
//! ```

use crate::input::Input;
use crate::seen::Seen;
use ws_host::proxy::{Proxy, ProxyError, Tunnel};
use ws_proto::{ClientRequest, Config};

const PROXIES: [&str; 4] =
    ["http://proxy", "http://ann:secret@proxy", "socks5h://proxy", "socks5h://ann:secret@proxy"];

/// What came of an answer: whether the tunnel is open, how much of the answer came through it, and what was sent.
type Outcome = (Result<bool, ProxyError>, usize, Vec<u8>);

/// An answer means the same however it is cut, and only a complete answer opens the tunnel.
pub fn proxy(data: &[u8]) -> Seen {
    let mut input = Input::new(data);
    let (kind, size) = (input.byte(), input.byte());
    let answer = input.rest();
    let proxy = Proxy::new(PROXIES[usize::from(kind) % PROXIES.len()]).unwrap();
    let whole = outcome(&proxy, answer, usize::MAX);
    let parts = outcome(&proxy, answer, usize::from(size).max(1));
    assert!(whole == parts, "{whole:?} or, in parts, {parts:?}");
    let (result, passed, sent) = whole;
    let negotiated = &answer[..answer.len() - passed];
    let is_http = usize::from(kind) % PROXIES.len() < 2;
    if result == Ok(true) && is_http {
        // A single LF ends a line, too.
        let negotiated: Vec<u8> =
            String::from_utf8_lossy(negotiated).replace("\r\n", "\n").replace('\n', "\r\n").into();
        assert!(negotiated.ends_with(b"\r\n\r\n"));
        let head = negotiated[..negotiated.len() - 4].windows(4).rposition(|end| end == b"\r\n\r\n");
        let head = negotiated[head.map_or(0, |at| at + 4)..].trim_ascii_start();
        assert!(head.starts_with(b"HTTP/1.") && head[9] == b'2', "{}", head.escape_ascii());
    }
    if result == Ok(true) && !is_http {
        assert!(negotiated.len() <= 2 + 2 + 262 && sent.ends_with(b"app.example\x01\xbb"));
    }
    if result != Ok(true) && is_http {
        assert!(sent.starts_with(b"CONNECT app.example:443 HTTP/1.1\r\n"));
    }
    Seen::default()
}

fn outcome(proxy: &Proxy, answer: &[u8], size: usize) -> Outcome {
    let request = ClientRequest::new("wss://app.example/").unwrap();
    let mut tunnel = Tunnel::new(proxy.server(&request).unwrap(), &request, &Config::client()).unwrap();
    let mut answer = answer.to_vec();
    let (mut left, mut sent) = (&mut answer[..], Vec::new());
    let mut result = Ok(false);
    loop {
        let n = tunnel.output().len().min(size);
        sent.extend_from_slice(&tunnel.output()[..n]);
        tunnel.written(n);
        if n > 0 {
            continue;
        }
        if left.is_empty() || result != Ok(false) {
            break;
        }
        let (mut part, rest) = left.split_at_mut(size.min(left.len()));
        result = tunnel.receive(&mut part);
        let unread = part.len();
        assert!(unread == 0 || result != Ok(false), "a closed tunnel consumes everything");
        if result == Ok(true) {
            assert!(tunnel.is_open());
            // What is not written yet goes before anything else.
            sent.extend_from_slice(tunnel.output());
            return (result, unread + rest.len(), sent);
        }
        left = rest;
    }
    if let Err(error) = &result {
        assert_eq!(tunnel.receive(&mut &mut b"HTTP/1.1 200 OK\r\n\r\n".to_vec()[..]), Err(error.clone()));
        assert!(error.to_string().len() < 1000);
    }
    (result, 0, sent)
}
