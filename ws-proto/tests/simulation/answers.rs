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

/// The kind of answer that a path asks for.
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
pub(crate) struct Asked {
    pub(crate) kind: Kind,
    pub(crate) of: usize,
    pub(crate) n: usize,
    pub(crate) len: usize,
}

impl Asked {
    pub(crate) fn path(&self) -> String {
        format!("/{}/{}/{}/{}", self.kind.number(), self.of, self.n, self.len)
    }

    /// `None` for a path that no simulated client asks for.
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
    pub(crate) what: What,
}

pub(crate) enum What {
    Respond(Request, Asked),
    Accept(Upgrade),
    Refuse(Upgrade, Asked),
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

fn response(status: StatusCode, asked: Asked) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(asked.body()));
    *response.status_mut() = status;
    response
}

/// Answers a request, or defers it.
pub(crate) fn request(
    end: &mut End,
    now: Moment,
    request: Request,
    asked: Asked,
    rng: &mut Rng,
) -> Option<What> {
    let length = (asked.kind == Kind::Sized).then_some(asked.len as u64);
    match asked.kind {
        Kind::Now => answer(end, now, request, asked, StatusCode::OK),
        Kind::Refused => answer(end, now, request, asked, StatusCode::NOT_FOUND),
        Kind::NoContent => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NO_CONTENT;
            end.exempt_answer(0);
            end.connection.respond(now, request, response).unwrap();
            end.answered += 1;
            end.touch(now);
        }
        Kind::Later => return Some(What::Respond(request, asked)),
        Kind::Dropped if rng.percent(50) => drop(request),
        Kind::Dropped => return Some(What::Forget(Held::Request(request))),
        Kind::Sized | Kind::Streamed | Kind::CutOff | Kind::Events => {
            let mut head = Response::new(());
            if asked.kind == Kind::Events {
                let value = HeaderValue::from_static("text/event-stream");
                head.headers_mut().insert(CONTENT_TYPE, value);
            }
            end.exempt_answer(0);
            let result = end.connection.http().respond_streaming(now, request, head, length);
            end.touch(now);
            let body = match result {
                // Its client has left meanwhile.
                Err(RespondError::NotOpen) if length.is_none() && end.told_end => return None,
                result => result.unwrap(),
            };
            if asked.kind == Kind::CutOff {
                return Some(What::Part(body, asked.body(), rng.within(1, asked.len.max(1))));
            }
            return Some(What::Body(body, asked.body(), false, asked.kind));
        }
        kind => panic!("{kind:?} came as a request"),
    }
    None
}

/// Decides an upgrade, or defers it.
pub(crate) fn upgrade(
    end: &mut End,
    now: Moment,
    upgrade: Upgrade,
    asked: Asked,
    rng: &mut Rng,
) -> Option<What> {
    match asked.kind {
        Kind::Accept => {
            end.connection.accept(now, upgrade).unwrap();
            end.touch(now);
        }
        Kind::AcceptLater => return Some(What::Accept(upgrade)),
        Kind::Refuse if rng.percent(50) => answer(end, now, upgrade, asked, StatusCode::FORBIDDEN),
        Kind::Refuse => return Some(What::Refuse(upgrade, asked)),
        Kind::Drop if rng.percent(50) => drop(upgrade),
        Kind::Drop => return Some(What::Forget(Held::Upgrade(upgrade))),
        kind => panic!("{kind:?} came as an upgrade"),
    }
    None
}

fn answer(end: &mut End, now: Moment, to: impl Into<Request>, asked: Asked, status: StatusCode) {
    end.exempt_answer(asked.len);
    // A deferred request may have lost its client, or been answered 503.
    let result = end.connection.respond(now, to, response(status, asked));
    let may = matches!(result, Ok(()) | Err(RespondError::WrongRequest | RespondError::NotOpen));
    assert!(may, "{result:?}");
    end.answered += usize::from(result.is_ok());
    end.touch(now);
}

/// Performs a deferred action. Returns the next one, if any.
pub(crate) fn go_on(end: &mut End, now: Moment, what: What, rng: &mut Rng) -> Option<What> {
    match what {
        What::Respond(request, asked) => answer(end, now, request, asked, StatusCode::OK),
        What::Refuse(upgrade, asked) => answer(end, now, upgrade, asked, StatusCode::FORBIDDEN),
        What::Accept(upgrade) => {
            let result = end.connection.accept(now, upgrade);
            let may = matches!(result, Ok(()) | Err(RespondError::WrongRequest | RespondError::NotOpen));
            assert!(may, "{result:?}");
            end.touch(now);
        }
        What::Forget(held) => {
            drop(held);
            end.touch(now);
        }
        // It waits for events that never occur.
        What::Body(body, [], _, Kind::Events) => return Some(What::Body(body, &[], true, Kind::Events)),
        What::Body(body, [], ..) => {
            end.exempt_answer(0);
            let is_wanted = !body.is_unwanted();
            let result = end.connection.http().finish_body(now, body);
            end.answered += usize::from(result.is_ok() && is_wanted);
            assert!(
                matches!(result, Ok(()) | Err(RespondError::NotOpen | RespondError::WrongRequest)),
                "{result:?}"
            );
            end.touch(now);
        }
        What::Part(body, rest, left) if rest.len() <= left => {
            drop(body);
            end.touch(now);
        }
        What::Body(body, rest, _, kind) => {
            let (rest, waits) = piece(end, now, &body, rest, rng)?;
            return Some(What::Body(body, rest, waits, kind));
        }
        What::Part(body, rest, left) => {
            // It gives up instead of waiting.
            let (rest, waits) = piece(end, now, &body, rest, rng)?;
            return Some(What::Part(body, rest, if waits { rest.len() } else { left }));
        }
    }
    None
}

/// Sends a piece of a body. Returns the rest, and whether it waits for room.
fn piece(
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
    if !body.is_unwanted() {
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
pub(crate) fn delay(rng: &mut Rng, what: &What) -> Duration {
    match what {
        What::Body(..) | What::Part(..) => rng.time(Duration::from_millis(200)),
        _ => rng.time(Duration::from_secs(3)),
    }
}
