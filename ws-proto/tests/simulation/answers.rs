//! The server's answers to HTTP requests: immediate, delayed, streamed, rejected, or missing.
//!
//! The path, `/KIND/CONNECTION/NUMBER/LENGTH`, selects one, so that the client knows what to expect.

use super::content::body;
use super::end::End;
use super::rng::Rng;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use std::time::Duration;
use ws_proto::{Moment, Request, RespondError, ResponseBody, Sent, Upgrade};

/// The kind of answer that a path selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Now,
    Later,
    Refused,
    /// The request is dropped, immediately or later: 503.
    Dropped,
    Sized,
    Streamed,
    /// Its body is dropped before it is complete.
    CutOff,
    NoContent,
    /// An event stream, which never ends on its own.
    Events,
    /// A WebSocket, and its outcome.
    Accept,
    AcceptLater,
    Refuse,
    Drop,
}

impl Kind {
    pub(crate) const REQUESTS: [Self; 9] = [
        Self::Now,
        Self::Later,
        Self::Refused,
        Self::Dropped,
        Self::Sized,
        Self::Streamed,
        Self::CutOff,
        Self::NoContent,
        Self::Events,
    ];
    pub(crate) const UPGRADES: [Self; 4] = [Self::Accept, Self::AcceptLater, Self::Refuse, Self::Drop];

    /// Whether the answer has no length, so that truncation cannot be detected.
    pub(crate) fn is_streamed(self) -> bool {
        matches!(self, Self::Streamed | Self::CutOff | Self::Events)
    }

    fn all() -> impl Iterator<Item = Self> {
        Self::REQUESTS.into_iter().chain(Self::UPGRADES)
    }

    fn number(self) -> usize {
        Self::all().position(|kind| kind == self).unwrap()
    }
}

/// A parsed request path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    pub(crate) of: usize,
    pub(crate) n: usize,
    pub(crate) len: usize,
}

impl Spec {
    pub(crate) fn path(&self) -> String {
        format!("/{}/{}/{}/{}", self.kind.number(), self.of, self.n, self.len)
    }

    /// `None` for a path that no simulated client requests.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let mut numbers = path.strip_prefix('/')?.split('/').map(|part| part.parse::<usize>().ok());
        let mut number = || numbers.next().flatten();
        Some(Self { kind: Kind::all().nth(number()?)?, of: number()?, n: number()?, len: number()? })
    }

    pub(crate) fn body(&self) -> &'static [u8] {
        body(self.of, self.n, self.len)
    }
}

/// A deferred action of the application.
pub(crate) struct Later {
    pub(crate) at: Moment,
    pub(crate) action: Deferred,
}

pub(crate) enum Deferred {
    Respond(Request, Spec),
    Accept(Upgrade),
    Refuse(Upgrade, Spec),
    /// Drops what it holds.
    Forget(Held),
    /// The rest of a body; whether it waits for room, and its kind.
    Body(ResponseBody, &'static [u8], bool, Kind),
    /// A body that is dropped when this much of it remains.
    Part(ResponseBody, &'static [u8], usize),
}

pub(crate) enum Held {
    Request(#[expect(dead_code, reason = "held so that it can be dropped")] Request),
    Upgrade(#[expect(dead_code, reason = "held so that it can be dropped")] Upgrade),
}

fn response(status: StatusCode, spec: Spec) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(spec.body()));
    *response.status_mut() = status;
    response
}

/// Answers a request, or defers it.
pub(crate) fn request(
    end: &mut End,
    now: Moment,
    request: Request,
    spec: Spec,
    rng: &mut Rng,
) -> Option<Deferred> {
    let length = (spec.kind == Kind::Sized).then_some(spec.len as u64);
    match spec.kind {
        Kind::Now => answer(end, now, request, spec, StatusCode::OK),
        Kind::Refused => answer(end, now, request, spec, StatusCode::NOT_FOUND),
        Kind::NoContent => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NO_CONTENT;
            end.exempt_answer(0);
            end.connection.respond(now, request, response).unwrap();
            end.answered += 1;
            end.touch(now);
        }
        Kind::Later => return Some(Deferred::Respond(request, spec)),
        Kind::Dropped if rng.percent(50) => drop(request),
        Kind::Dropped => return Some(Deferred::Forget(Held::Request(request))),
        Kind::Sized | Kind::Streamed | Kind::CutOff | Kind::Events => {
            let mut head = Response::new(());
            if spec.kind == Kind::Events {
                let value = HeaderValue::from_static("text/event-stream");
                head.headers_mut().insert(CONTENT_TYPE, value);
            }
            end.exempt_answer(0);
            let result = end.connection.http().respond_streaming(now, request, head, length);
            end.touch(now);
            let body = match result {
                // Its client has left meanwhile.
                Err(RespondError::NotOpen) if length.is_none() && end.eof_reported => return None,
                result => result.unwrap(),
            };
            if spec.kind == Kind::CutOff {
                return Some(Deferred::Part(body, spec.body(), rng.within(1, spec.len.max(1))));
            }
            return Some(Deferred::Body(body, spec.body(), false, spec.kind));
        }
        kind => panic!("{kind:?} arrived as a request"),
    }
    None
}

/// Decides an upgrade, or defers it.
pub(crate) fn upgrade(
    end: &mut End,
    now: Moment,
    upgrade: Upgrade,
    spec: Spec,
    rng: &mut Rng,
) -> Option<Deferred> {
    match spec.kind {
        Kind::Accept => {
            end.connection.accept(now, upgrade).unwrap();
            end.touch(now);
        }
        Kind::AcceptLater => return Some(Deferred::Accept(upgrade)),
        Kind::Refuse if rng.percent(50) => answer(end, now, upgrade, spec, StatusCode::FORBIDDEN),
        Kind::Refuse => return Some(Deferred::Refuse(upgrade, spec)),
        Kind::Drop if rng.percent(50) => drop(upgrade),
        Kind::Drop => return Some(Deferred::Forget(Held::Upgrade(upgrade))),
        kind => panic!("{kind:?} arrived as an upgrade"),
    }
    None
}

fn answer(end: &mut End, now: Moment, to: impl Into<Request>, spec: Spec, status: StatusCode) {
    end.exempt_answer(spec.len);
    // A deferred request may have lost its client, or got 503.
    let result = end.connection.respond(now, to, response(status, spec));
    let may = matches!(result, Ok(()) | Err(RespondError::WrongRequest | RespondError::NotOpen));
    assert!(may, "{result:?}");
    end.answered += usize::from(result.is_ok());
    end.touch(now);
}

/// Performs a deferred action. Returns the next one, if any.
pub(crate) fn run_deferred(end: &mut End, now: Moment, action: Deferred, rng: &mut Rng) -> Option<Deferred> {
    match action {
        Deferred::Respond(request, spec) => answer(end, now, request, spec, StatusCode::OK),
        Deferred::Refuse(upgrade, spec) => answer(end, now, upgrade, spec, StatusCode::FORBIDDEN),
        Deferred::Accept(upgrade) => {
            let result = end.connection.accept(now, upgrade);
            let may = matches!(result, Ok(()) | Err(RespondError::WrongRequest | RespondError::NotOpen));
            assert!(may, "{result:?}");
            end.touch(now);
        }
        Deferred::Forget(held) => {
            drop(held);
            end.touch(now);
        }
        // It waits for events that never occur.
        Deferred::Body(body, [], _, Kind::Events) => {
            return Some(Deferred::Body(body, &[], true, Kind::Events));
        }
        Deferred::Body(body, [], ..) => {
            end.exempt_answer(0);
            let is_wanted = !body.is_discarded();
            let result = end.connection.http().finish_body(now, body);
            end.answered += usize::from(result.is_ok() && is_wanted);
            assert!(
                matches!(result, Ok(()) | Err(RespondError::NotOpen | RespondError::WrongRequest)),
                "{result:?}"
            );
            end.touch(now);
        }
        Deferred::Part(body, rest, left) if rest.len() <= left => {
            drop(body);
            end.touch(now);
        }
        Deferred::Body(body, rest, _, kind) => {
            let (rest, waits) = send_chunk(end, now, &body, rest, rng)?;
            return Some(Deferred::Body(body, rest, waits, kind));
        }
        Deferred::Part(body, rest, left) => {
            // It gives up instead of waiting.
            let (rest, waits) = send_chunk(end, now, &body, rest, rng)?;
            return Some(Deferred::Part(body, rest, if waits { rest.len() } else { left }));
        }
    }
    None
}

/// Sends a chunk of a body. Returns the rest, and whether it waits for room.
fn send_chunk(
    end: &mut End,
    now: Moment,
    body: &ResponseBody,
    rest: &'static [u8],
    rng: &mut Rng,
) -> Option<(&'static [u8], bool)> {
    let len = rng.within(1, rest.len());
    let (given, after) = rest.split_at(len);
    let is_its_turn = end.connection.http().is_its_turn(body);
    let queued = end.queued(is_its_turn);
    let result = end.connection.http().send_body(body, given);
    // The framing of a chunk, now or when its turn comes.
    end.exempt_chunk();
    if !body.is_discarded() {
        end.check_send(
            now,
            queued,
            len,
            is_its_turn,
            result.clone().map_err(|error| error == RespondError::Full),
        );
    }
    match result {
        Ok(Sent::Queued) => Some((after, false)),
        Ok(Sent::Congested) => Some((after, rng.percent(60))),
        Err(RespondError::Full) => Some((rest, true)),
        Err(error) => {
            assert!(matches!(error, RespondError::NotOpen | RespondError::WrongRequest), "{error}");
            None
        }
    }
}

/// How long the application defers an action.
pub(crate) fn delay(rng: &mut Rng, action: &Deferred) -> Duration {
    match action {
        Deferred::Body(..) | Deferred::Part(..) => rng.time(Duration::from_millis(200)),
        _ => rng.time(Duration::from_secs(3)),
    }
}
