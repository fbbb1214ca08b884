//! The answers of the server's HTTP stage: the application's calls, and the order of the output.

use super::Io;
use super::answer::{Answer, Pending};
use super::response::{self, Shape};
use super::server::{CONTINUE, Ending, Reading, ServerHttp};
use super::stream::{ResponseBody, Streamed};
use crate::access::head_rule::RequestHead;
use crate::config::Config;
use crate::config::wall_clock::WallClock;
use crate::error::{Error, RequestError, RespondError};
use crate::handshake::reject;
use crate::handshake::{Request, Token, Upgrade};
use crate::outbox::Outbox;
use ::http::{HeaderMap, Response};
use bytes::Bytes;
use core::mem;
use std::sync::Arc;

impl ServerHttp {
    /// Answers a request, or rejects an upgrade: what follows may be frames of a client that does not wait, or a
    /// request smuggled in as such, so it is not read, and the connection ends.
    pub(crate) fn respond(
        &mut self,
        io: &mut Io<'_>,
        request: Request,
        mut response: Response<Bytes>,
    ) -> Result<(), RespondError> {
        let missing = self.missing();
        let (pending, is_upgrade) = self.awaited(request.token()).ok_or(missing)?;
        complete(io.config, &request, is_upgrade, response.headers_mut());
        response::validate(&response, pending.shape)?;
        pending.answer = Answer::Ready(response);
        if is_upgrade {
            self.stop_reading();
        }
        self.flush(io);
        Ok(())
    }

    /// Answers the latest request, if the application has dropped it.
    pub(crate) fn answer_dropped(
        &mut self,
        io: &mut Io<'_>,
        answer: impl FnOnce() -> Response<Bytes>,
    ) -> bool {
        let is_plain = |answer: &Answer| matches!(answer, Answer::Awaited { is_upgrade: false, .. });
        let last = self.queue.back_mut();
        let Some(pending) = last.filter(|last| is_plain(&last.answer) && last.answer.is_dropped()) else {
            return false;
        };
        let response = answer();
        match response::validate(&response, pending.shape) {
            Ok(()) => pending.answer = Answer::Ready(response),
            Err(_) => pending.answer.unanswered(),
        }
        self.flush(io);
        true
    }

    /// Accepts an upgrade.
    pub(crate) fn accept(&mut self, io: &mut Io<'_>, upgrade: Upgrade) -> Result<(), RespondError> {
        let is_open = matches!(self.reading, Reading::Upgrade);
        let missing = self.missing();
        let (pending, _) = self.awaited(upgrade.token()).ok_or(missing)?;
        if !is_open {
            return Err(RespondError::NotOpen);
        }
        pending.answer = Answer::Accepted(upgrade.into_response(io.config.deflate.as_deref()));
        self.flush(io);
        Ok(())
    }

    /// Starts a streaming response.
    pub(crate) fn respond_streaming(
        &mut self,
        io: &mut Io<'_>,
        request: Request,
        mut head: Response<()>,
        length: Option<u64>,
    ) -> Result<ResponseBody, RespondError> {
        let (missing, is_abandoned, is_stopping) =
            (self.missing(), self.is_abandoned(io.config), self.is_stopping);
        let (pending, is_upgrade) = self.awaited(request.token()).ok_or(missing)?;
        complete(io.config, &request, is_upgrade, head.headers_mut());
        response::validate_streamed(&head)?;
        pending.grant.apply(head.headers_mut());
        let (mut streamed, body) = Streamed::new(io.now, head, length, pending.shape);
        if is_stopping {
            streamed.stop(io.out);
        }
        let (has_no_reader, closes) = (is_abandoned && streamed.is_endless(), streamed.closes());
        pending.answer = Answer::Streamed(Box::new(streamed));
        let is_this =
            |pending: &Pending| matches!(&pending.answer, Answer::Streamed(s) if s.is(body.token()));
        if let Some(at) = self.queue.iter().position(is_this).filter(|_| has_no_reader || closes) {
            if has_no_reader {
                self.abandon(at);
                return Err(RespondError::NotOpen);
            }
            self.end_behind(at);
        }
        if is_upgrade {
            self.stop_reading();
        }
        self.flush(io);
        Ok(body)
    }

    /// Adds the next chunk of a body.
    pub(crate) fn send_body(
        &mut self,
        out: &mut Outbox,
        body: &ResponseBody,
        chunk: Bytes,
    ) -> Result<(), RespondError> {
        let missing = self.missing();
        self.streamed(body).ok_or(missing)?.push(out, chunk)
    }

    /// Whether chunks of this body are accepted.
    pub(crate) fn check_body(&mut self, body: &ResponseBody) -> Result<(), RespondError> {
        let missing = self.missing();
        self.streamed(body).ok_or(missing).map(drop)
    }

    /// Why a request or a body is not pending here.
    fn missing(&self) -> RespondError {
        if self.has_discarded { RespondError::NotOpen } else { RespondError::WrongRequest }
    }

    /// Whether it is this body's turn; `None` if it belongs to another connection.
    pub(crate) fn is_its_turn(&self, body: &ResponseBody) -> Option<bool> {
        self.streams().find(|streamed| streamed.is(body.token())).map(Streamed::has_begun)
    }

    /// The sender of this body waits for room: report room in its turn.
    pub(crate) fn request_room(&mut self, body: &ResponseBody) {
        if let Some(streamed) = self.streamed(body) {
            streamed.room_due = true;
        }
    }

    /// Takes the flag that it is the turn of a body whose sender waits for room.
    pub(crate) fn take_room_due(&mut self) -> bool {
        mem::take(&mut self.room_due)
    }

    /// Ends a body. One that is shorter than declared ends the connection.
    pub(crate) fn finish_body(&mut self, io: &mut Io<'_>, body: ResponseBody) -> Result<(), RespondError> {
        let missing = self.missing();
        let result = self.streamed(&body).ok_or(missing)?.finish(io.out);
        drop(body);
        self.sweep(io);
        result
    }

    /// Bytes that wait for their turn.
    pub(crate) fn held_len(&self) -> usize {
        self.streams().map(Streamed::held_len).sum()
    }

    /// Whether a streaming response is in progress.
    pub(crate) fn is_streaming(&self) -> bool {
        self.streams().any(|streamed| !streamed.is_finished())
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = &Streamed> {
        self.queue.iter().filter_map(|pending| match &pending.answer {
            Answer::Streamed(streamed) => Some(&**streamed),
            _ => None,
        })
    }

    fn streamed(&mut self, body: &ResponseBody) -> Option<&mut Streamed> {
        self.queue.iter_mut().find_map(|pending| match &mut pending.answer {
            Answer::Streamed(streamed) if streamed.is(body.token()) && !streamed.is_finished() => {
                Some(&mut **streamed)
            }
            _ => None,
        })
    }

    fn awaited(&mut self, token: &Token) -> Option<(&mut Pending, bool)> {
        self.queue.iter_mut().find_map(|pending| match &pending.answer {
            Answer::Awaited { token: ours, is_upgrade, .. } if Arc::ptr_eq(ours, token) => {
                let is_upgrade = *is_upgrade;
                Some((pending, is_upgrade))
            }
            _ => None,
        })
    }

    /// A fault of the peer, answered in its turn after the valid requests.
    pub(super) fn fail(&mut self, io: &mut Io<'_>, error: RequestError, cause: Error) {
        if self.is_discarding() {
            // The request is answered.
            return self.end_stream(Some(cause));
        }
        self.cut_stream(&cause);
        let (shape, grant) = match self.take_stream_pending() {
            Some(Pending { shape, grant, .. }) => (Shape { keep_alive: false, ..shape }, grant),
            None => {
                let shape = Shape { is_head: self.is_head, is_10: false, keep_alive: false };
                (shape, mem::take(&mut self.grant))
            }
        };
        let grant = grant.of_fault(&error);
        let answer = Answer::Fault { response: reject::error(&error), cause };
        self.queue.push_back(Pending { shape, grant, answer });
        self.reading = Reading::Stopped;
        self.flush(io);
    }

    /// Writes the answers whose turn it is.
    pub(super) fn flush(&mut self, io: &mut Io<'_>) {
        self.settle_stream();
        let date = io.config.wall_clock.as_ref().and_then(WallClock::get);
        let mut answered = false;
        while let Some(mut pending) = self.queue.pop_front() {
            if pending.answer.is_dropped() {
                pending.answer.unanswered();
            }
            let shape = pending.shape;
            let is_last = self.queue.is_empty() && matches!(self.reading, Reading::Stopped);
            let close = is_last || !shape.keep_alive;
            match pending.answer {
                Answer::Awaited { .. } => {
                    self.queue.push_front(pending);
                    break;
                }
                Answer::Ready(mut response) => {
                    pending.grant.apply(response.headers_mut());
                    response::encode(io.out, response, shape, close, date);
                }
                Answer::Streamed(mut streamed) => {
                    if !streamed.has_begun() {
                        self.in_front = io.out.len();
                        self.has_open_end = streamed.has_open_end();
                    }
                    streamed.begin(io.out, shape, close || streamed.closes(), date);
                    self.room_due |= mem::take(&mut streamed.room_due);
                    if streamed.is_dropped() {
                        self.stop();
                        self.cause = Some(Error::Unfinished);
                    } else if !streamed.is_finished() {
                        let (grant, answer) = (pending.grant, Answer::Streamed(streamed));
                        self.queue.push_front(Pending { shape, grant, answer });
                        break;
                    }
                }
                Answer::Accepted(opened) => {
                    response::encode_switch(io.out, &opened.0);
                    self.opened = Some(opened);
                    self.reading = Reading::Opened;
                }
                Answer::Fault { mut response, cause } => {
                    pending.grant.apply(response.headers_mut());
                    response::encode(io.out, response, shape, true, date);
                    self.reading = Reading::Stopped;
                    self.cause = Some(cause);
                }
            }
            answered = true;
        }
        if !answered || !self.queue.is_empty() {
            return;
        }
        match &mut self.reading {
            Reading::Stopped => self.end(),
            Reading::Head { head, .. } if head.is_empty() => self.since = io.now,
            Reading::Body(reader) if reader.continue_due => {
                reader.continue_due = false;
                io.out.buffer().extend_from_slice(CONTINUE);
                self.since = io.now;
            }
            _ => {}
        }
    }

    /// The current answer is the last one.
    fn stop(&mut self) {
        self.cut_stream(&Error::Unfinished);
        self.has_discarded |= !self.queue.is_empty();
        self.queue.clear();
        self.stop_reading();
    }

    /// The answer at this place in the queue is the last one and ends with the connection: requests after it are not
    /// answered, and the application must be notified at once.
    fn end_behind(&mut self, at: usize) {
        self.cut_stream(&Error::Unfinished);
        self.has_discarded |= self.queue.len() > at + 1;
        self.queue.truncate(at + 1);
        self.stop_reading();
    }

    /// The last request was read.
    pub(super) fn stop_reading(&mut self) {
        self.reading = Reading::Stopped;
        self.ahead.clear();
    }

    pub(super) fn end(&mut self) {
        self.ending = Some(Ending { cause: self.cause.take(), at_once: false });
    }
}

/// Adds the fields of a rule for heads to an answer.
fn complete(config: &Config, request: &Request, is_upgrade: bool, response: &mut HeaderMap) {
    if let Some(rule) = &config.head_rule {
        rule.complete(&RequestHead::new(request.http(), is_upgrade).over(request.transport()), response);
    }
}
