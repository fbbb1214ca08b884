//! `trusted`: arbitrary claims before or in a connection of a trusted proxy.
//!
//! ```text
//!   kind of the claim (1) | size of the parts (1) | the claim …
//! ```

use crate::input::Input;
use crate::seen::Seen;
use http::{HeaderValue, Request};
use std::net::SocketAddr;
use ws_host::trusted_proxy::{HEADER_LIMIT, ProxyHeader, ProxyHeaderError, Source, TrustedProxies, Via};
use ws_proto::{RequestHead, Transport};

/// The longest line of version 1.
const LINE: usize = 107;

/// A PROXY header means the same however it is cut; and nothing that a client sends changes what its proxy appends.
pub fn trusted(data: &[u8]) -> Seen {
    let mut input = Input::new(data);
    let (kind, size) = (input.byte(), input.byte());
    let claim = input.rest();
    match kind % 3 {
        0 => header(claim, usize::from(size).max(1)),
        1 => list(Via::Forwarded, "forwarded", "for=", claim),
        _ => list(Via::XForwarded, "x-forwarded-for", "", claim),
    }
    Seen::default()
}

fn header(bytes: &[u8], size: usize) {
    let whole = outcome(bytes, usize::MAX);
    let parts = outcome(bytes, size);
    assert!(whole == parts, "{whole:?} or, in parts, {parts:?}");
    let (result, used) = whole;
    let read = &bytes[..used];
    let is_line = read.starts_with(b"P");
    assert!(used <= if is_line { LINE } else { HEADER_LIMIT }, "{used} bytes");
    match result {
        Ok(Some(source)) => {
            assert!(if is_line { read.ends_with(b"\r\n") } else { read.len() >= 16 });
            if let Source::Client(client) = source {
                assert_eq!(client.ip().to_canonical(), client.ip());
            }
        }
        Ok(None) => assert_eq!(used, bytes.len(), "a header that is not whole takes everything"),
        Err(error) => assert!(error.to_string().len() < 1000),
    }
}

/// What came of it, and how many bytes were taken: with an error, up to the byte that shows it.
fn outcome(bytes: &[u8], size: usize) -> (Result<Option<Source>, ProxyHeaderError>, usize) {
    let mut header = ProxyHeader::new(HEADER_LIMIT);
    let mut used = 0;
    for part in bytes.chunks(size.min(bytes.len()).max(1)) {
        let mut left = part;
        let result = header.receive(&mut left);
        used += part.len() - left.len();
        if result != Ok(None) {
            return (result, used);
        }
    }
    (Ok(None), used)
}

fn list(via: Via, name: &str, prefix: &str, sent: &[u8]) {
    let trusted = TrustedProxies::new(["10.0.0.0/8"], via);
    let client = |list: &[u8]| {
        let request = Request::get("/").header(name, HeaderValue::from_bytes(list).ok()?);
        let request = request.body(()).unwrap();
        let proxy = Transport::default().peer(Some(([10, 0, 0, 1], 1).into()));
        trusted.forwarded(&RequestHead::new(&request, false).over(proxy))?.peer
    };
    if HeaderValue::from_bytes(sent).is_err() {
        return;
    }
    let appended = |node: &str| [sent, format!(", {prefix}{node}").as_bytes()].concat();
    let at = |ip: [u8; 4]| Some(SocketAddr::from((ip, 0)));
    assert_eq!(client(&appended("192.0.2.1")), at([192, 0, 2, 1]));
    // So many elements that a further one is too many.
    if sent.iter().filter(|b| **b == b',').count() < 30 {
        assert_eq!(client(&appended("10.0.0.2")), client(sent).or(at([10, 0, 0, 2])));
    }
}
