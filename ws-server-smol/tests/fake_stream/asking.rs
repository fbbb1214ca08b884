//! Plain HTTP over an unruly stream: pipelined requests that are answered at once, later, in chunks, or not at all.

use crate::common::Random;
use crate::common::strict::Strict;
use crate::sides::{ClientSide, ServerSide};
use crate::{MARKS, Run, TIMERS, content, content_len, patient};
use bytes::Bytes;
use futures_lite::future::{poll_once, yield_now, zip};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use ws_kit::oracle::Events;
use ws_server_smol::{Body, HttpConnection, Incoming};
use ws_server_smol::{Config, HeadRule, Request, RequestError, RequestHead, RespondError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Now,
    Later,
    Delivery,
    Sized,
    Dropped,
    /// Echoes the body of the request.
    Echo,
    /// Echoes the body in chunks.
    Chunked,
    /// The same, read as it arrives, of a length or in chunks.
    Streaming,
    StreamingChunked,
}

const WAYS: [How; 9] = [
    How::Now,
    How::Later,
    How::Delivery,
    How::Sized,
    How::Dropped,
    How::Echo,
    How::Chunked,
    How::Streaming,
    How::StreamingChunked,
];

/// Bodies of PUT are streaming.
#[derive(Debug)]
struct Puts;

impl HeadRule for Puts {
    fn check(&self, _: &RequestHead<'_>) -> Result<(), RequestError> {
        Ok(())
    }

    fn stream_body(&self, head: &RequestHead<'_>) -> Option<u64> {
        (head.method() == http::Method::PUT).then_some(u64::MAX)
    }
}

/// A request still to be answered.
enum Held {
    Request(Request, usize, usize),
    Body(Body, &'static [u8]),
}

pub(crate) fn run(seed: u64, client: impl ClientSide, server: impl ServerSide, run: &Run<'_>) {
    let mut random = Random::new(seed);
    let planned: Vec<(How, usize)> = (0..1 + random.below(24))
        .map(|_| (random.pick(&WAYS), content_len(&mut random, run.capacity)))
        .collect();
    let answers = Rc::new(RefCell::new(Vec::new()));
    let end = Ended::default();
    let marks = random.pick(&MARKS);
    // The client half-closes right after the request.
    let config = patient(Config::server()).outbox(marks.0, marks.1, marks.2).half_close(true);
    let config = config.head_rule(Arc::new(Puts));
    let mut tasks = Strict::with_timers(seed, TIMERS);
    tasks.spawn("server", serve(server, config, planned.clone(), Random::new(seed + 1), end.clone()));
    tasks.spawn("client", ask(client, planned.clone(), answers.clone(), Random::new(seed + 2)));
    tasks.run();

    let received = answers.borrow();
    let mut rest = &received[..];
    let mut whole = 0;
    for (n, (how, len)) in planned.iter().enumerate() {
        let Some((status, body, behind)) = parse(rest) else { break };
        match how {
            How::Dropped => assert_eq!(status, 503, "answer {n}"),
            _ => assert!(status == 200 && body == content(n, *len), "answer {n}: {status}, {how:?}, {len}"),
        }
        rest = behind;
        whole += 1;
    }
    if run.healthy {
        assert_eq!(
            (whole, rest.escape_ascii().to_string().as_str()),
            (planned.len(), ""),
            "each is answered, in order, and nothing else"
        );
    }
    let (reported, is_error) = end.get();
    assert!(whole >= reported || is_error, "{whole} of {reported} responses are whole, without an error");
    run.total(|total| total.answers += whole);
}

/// How many requests the server reported, and whether its connection ended with an error.
type Ended = Rc<Cell<(usize, bool)>>;

async fn serve(
    side: impl ServerSide,
    config: Config,
    planned: Vec<(How, usize)>,
    mut random: Random,
    end: Ended,
) {
    let mut http = side.http(config).await;
    let (mut held, mut n, mut events) = (Vec::new(), 0, Events::server());
    loop {
        let incoming = match held.is_empty() {
            true => Some(http.next().await),
            false => poll_once(http.next()).await,
        };
        match incoming {
            Some(Some(Incoming::Request(request))) => {
                events.request(&request);
                let (how, len) = planned[n];
                assert_eq!(request.path(), format!("/{n}"));
                if matches!(how, How::Echo | How::Chunked) {
                    assert_eq!(&request.body()[..], content(n, len));
                }
                if matches!(how, How::Streaming | How::StreamingChunked) {
                    match receive(&mut http, &request, &mut random).await {
                        Some(body) => assert_eq!(body, content(n, len)),
                        // The connection is over.
                        None => continue,
                    }
                }
                begin(&mut http, request, how, n, len, &mut held, &mut random).await;
                n += 1;
            }
            Some(Some(Incoming::Upgrade(upgrade))) => panic!("{upgrade:?}"),
            Some(None) => break,
            // Nothing arrives, or reading waits while that much is unanswered: do postponed work.
            None => {
                let at = random.below(held.len());
                continue_answer(&mut http, at, &mut held, &mut random);
                yield_now().await;
            }
        }
    }
    assert!(http.get_ref().is_none(), "the stream is gone");
    http.closed().into_iter().for_each(|closed| events.close(closed));
    events.must_be_over();
    end.set((n, http.closed().is_some_and(|closed| closed.error.is_some())));
    assert!(http.next().await.is_none());
}

/// The whole body, as a stream or as an `AsyncRead`, by readers that are dropped in between.
async fn receive(
    http: &mut HttpConnection<impl AsyncRead + AsyncWrite + Unpin>,
    request: &Request,
    random: &mut Random,
) -> Option<Vec<u8>> {
    assert!(request.is_streaming());
    let mut body = Vec::new();
    let mut buffer = [0; 100];
    loop {
        let mut reader = http.body(request);
        match random.below(4) {
            0 => match reader.next().await {
                Some(chunk) => body.extend_from_slice(&chunk.ok()?),
                None => return Some(body),
            },
            1 => match poll_once(reader.next()).await {
                Some(Some(chunk)) => body.extend_from_slice(&chunk.ok()?),
                Some(None) => return Some(body),
                None => {}
            },
            _ => {
                let len = 1 + random.below(buffer.len());
                match reader.read(&mut buffer[..len]).await.ok()? {
                    0 => return Some(body),
                    n => body.extend_from_slice(&buffer[..n]),
                }
            }
        }
    }
}

async fn begin(
    http: &mut HttpConnection<impl AsyncRead + AsyncWrite + Unpin>,
    request: Request,
    how: How,
    n: usize,
    len: usize,
    held: &mut Vec<Held>,
    random: &mut Random,
) {
    let whole = || http::Response::new(Bytes::from_static(content(n, len)));
    match how {
        How::Dropped => drop(request),
        How::Later => held.push(Held::Request(request, n, len)),
        How::Delivery | How::Sized => {
            let length = (how == How::Sized).then_some(len as u64);
            match http.respond_streaming(request, http::Response::new(()), length) {
                Ok(body) => held.push(Held::Body(body, content(n, len))),
                // It timed out, or the connection has failed.
                Err(error) => {
                    assert!(matches!(error, RespondError::WrongRequest | RespondError::NotOpen), "{error}")
                }
            }
        }
        _ if held.is_empty() && random.below(2) == 0 => drop(http.respond(request, whole()).await),
        _ => drop(http.responder().respond(request, whole())),
    }
}

fn continue_answer(
    http: &mut HttpConnection<impl AsyncRead + AsyncWrite + Unpin>,
    at: usize,
    held: &mut Vec<Held>,
    random: &mut Random,
) {
    match held.swap_remove(at) {
        Held::Request(request, n, len) => {
            let whole = http::Response::new(Bytes::from_static(content(n, len)));
            let _ = http.responder().respond(request, whole);
        }
        Held::Body(body, []) => drop(body.finish()),
        Held::Body(body, left) => {
            let (next, rest) = left.split_at(1 + random.below(left.len()));
            match body.try_send(next) {
                Ok(_) => held.push(Held::Body(body, rest)),
                Err(RespondError::Full) => held.push(Held::Body(body, left)),
                Err(error) => assert_eq!(error, RespondError::NotOpen),
            }
        }
    }
}

async fn ask(
    stream: impl ClientSide,
    planned: Vec<(How, usize)>,
    answers: Rc<RefCell<Vec<u8>>>,
    mut random: Random,
) {
    let mut requests = Vec::new();
    for (n, (how, len)) in planned.iter().enumerate() {
        let start = format!("/{n} HTTP/1.1\r\nHost: localhost\r\n");
        let body = content(n, *len);
        match how {
            How::Echo | How::Streaming => {
                let method = if *how == How::Echo { "POST" } else { "PUT" };
                requests.extend(format!("{method} {start}Content-Length: {len}\r\n\r\n").as_bytes());
                requests.extend(body);
            }
            How::Chunked | How::StreamingChunked => {
                let method = if *how == How::Chunked { "POST" } else { "PUT" };
                requests.extend(format!("{method} {start}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
                for chunk in body.chunks(1 + random.below(1000)) {
                    requests.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
                    requests.extend(chunk);
                    requests.extend(b"\r\n");
                }
                requests.extend(b"0\r\n\r\n");
            }
            _ => requests.extend(format!("GET {start}\r\n").as_bytes()),
        }
    }
    let (mut reads, mut writes) = futures_lite::io::split(stream);
    let write = async {
        for part in requests.chunks(1 + random.below(3000)) {
            if writes.write_all(part).await.is_err() {
                return;
            }
            let _ = writes.flush().await;
        }
        // Its half is closed, and the responses still arrive.
        let _ = writes.close().await;
    };
    let read = async {
        let mut part = [0; 512];
        while let Ok(n @ 1..) = reads.read(&mut part).await {
            answers.borrow_mut().extend(&part[..n]);
        }
    };
    zip(write, read).await;
}

/// The first response, and the bytes behind it; `None` if it is not whole.
fn parse(bytes: &[u8]) -> Option<(u16, Vec<u8>, &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).unwrap().to_ascii_lowercase();
    let mut rest = &bytes[end + 4..];
    let status = head.strip_prefix("http/1.1 ").unwrap()[..3].parse().unwrap();
    let field =
        |name: &str| Some(head.split(&format!("\r\n{name}: ")).nth(1)?.split("\r\n").next()?.to_owned());
    if let Some(length) = field("content-length") {
        let length: usize = length.parse().unwrap();
        return Some((status, rest.get(..length)?.to_vec(), &rest[length..]));
    }
    assert_eq!(field("transfer-encoding").as_deref(), Some("chunked"), "{head}");
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        rest = rest.get(line + 2..)?;
        body.extend(rest.get(..size)?);
        assert_eq!(rest.get(size..size + 2)?, b"\r\n");
        rest = &rest[size + 2..];
        if size == 0 {
            return Some((status, body, rest));
        }
    }
}
