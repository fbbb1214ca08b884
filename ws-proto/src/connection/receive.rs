//! Input: [`Connection::handle_input`] and the effects of the peer's frames.

use super::backpressure::{Held, LastEvent};
use super::{Connection, Stage, close_body};
use crate::deflate::PerMessage;
use crate::error::Error;
use crate::event::{Event, Pong};
use crate::frame::Opcode;
use crate::frame::decode::Decoded;
use crate::moment::Moment;
use bytes::{Buf, Bytes};
use core::mem;
use core::ops::ControlFlow;

/// The most Pongs that may wait; of further Pings only the newest is answered (§5.5.3).
const QUEUED_PONGS: u8 = 16;

/// The state of reading.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// The cause of the last event, whose handling may not be over.
    pub(super) last_event: LastEvent,
    /// What holds reading back, or may do so.
    pub(super) held: Held,
    /// Inflating is limited to shares.
    pub(super) shares: bool,
}

impl Connection {
    /// Handles bytes from the peer, and returns the next event in them; call it until `None`.
    ///
    /// The event borrows the input, not the connection. `None` means that the input is used up, or that the connection
    /// [is paused](Self::is_paused): the rest of the input then stays with the caller; pass it again, before anything
    /// newer, once reading resumes.
    ///
    /// The input is modified: payloads are unmasked in place.
    #[inline]
    pub fn handle_input<'a>(&mut self, now: Moment, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        let before = input.len();
        if before == 0 && self.is_at_rest() {
            self.record_received(now);
            return None;
        }
        if matches!(self.stage, Stage::Open(_))
            && self.input.held.is_free()
            && self.config.message_rate.is_none()
            && let Some(message) = self.decoder.whole(&self.rules(), input)
        {
            self.input.last_event = LastEvent::Received;
            self.bytes_received += (before - input.len()) as u64;
            match message {
                Ok(message) => return Some(Event::Message(message)),
                Err(error) => self.fail_connection(now, error),
            }
        }
        self.receive_any(now, input)
    }

    /// The last event has been handled; the time is recorded once for all events of one read.
    #[inline]
    pub(super) fn record_received(&mut self, now: Moment) {
        if mem::take(&mut self.input.last_event) == LastEvent::Received {
            self.last_received = now;
        }
    }

    /// Open, with nothing unfinished and nothing waiting for a time: the end of every read of an ordinary connection.
    #[inline]
    fn is_at_rest(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
            && self.input.held.is_free()
            && self.decoder.is_between_messages()
    }

    #[inline(never)]
    fn receive_any<'a>(&mut self, now: Moment, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        let before = input.len();
        self.end_handling(now);
        if before > 0 {
            self.last_received = now;
        }
        if !self.input.held.is_free() {
            self.end_throttle(now);
            self.expire_delay(now);
        }
        let mut event = self.receive_ahead(now);
        if event.is_none() && !self.has_ahead() {
            event = self.next_event(now, input);
        }
        self.bytes_received += (before - input.len()) as u64;
        if event.is_some() {
            self.record_event(LastEvent::Received);
        }
        if event.is_none() || self.input.held.has(Held::UNDELIVERED) {
            self.keep(input.len());
        }
        event
    }

    /// Processes kept bytes.
    pub(super) fn receive_ahead(&mut self, now: Moment) -> Option<Event<'static>> {
        if !self.has_ahead() {
            return None;
        }
        self.input.held.set(Held::AHEAD, false);
        let mut ahead = mem::take(&mut self.in_flight.as_mut()?.ahead);
        let mut input = &mut ahead[..];
        let event = self.next_event(now, &mut input).map(Event::into_owned);
        let left = input.len();
        let used = ahead.len() - left;
        ahead.advance(used);
        self.keep_ahead(ahead);
        self.drop_in_flight_if_idle();
        event
    }

    /// The read loop: each round returns an event, waits for more, uses some input or changes the stage.
    fn next_event<'a>(&mut self, now: Moment, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        loop {
            match &mut self.stage {
                Stage::Http(_) => {
                    if self.is_held_back(now) {
                        self.update_http_held(now);
                        return None;
                    }
                    let event = self.receive_http(now, input);
                    if event.is_some() || matches!(self.stage, Stage::Http(_)) {
                        return event;
                    }
                }
                Stage::Handshake(http) => match http.handle_input(&self.config, input)? {
                    Ok((response, terms)) => self.establish(now, response, terms),
                    Err(error) => self.connection_closed(now, error.into()),
                },
                Stage::Opened(_) => return self.report_open(),
                Stage::Closing(closing) if closing.ending.opened.is_some() => return self.report_open(),
                Stage::Open(_) | Stage::Closing(_) => {
                    if let ControlFlow::Break(event) = self.next_frame(now, input) {
                        return event;
                    }
                }
                Stage::Draining(draining) => {
                    draining.discarded += input.len() as u64;
                    *input = &mut [];
                    if draining.discarded > self.config.drain_limit {
                        self.finish(now);
                    }
                    return None;
                }
                Stage::Done { .. } => {
                    *input = &mut [];
                    return None;
                }
            }
        }
    }

    /// Decodes the next frame, or the available part of one: breaks with an event, or with `None` to wait for more.
    #[inline]
    fn next_frame<'a>(&mut self, now: Moment, input: &mut &'a mut [u8]) -> ControlFlow<Option<Event<'a>>> {
        // A fault after the last fragment is still reported: nothing more may follow.
        if matches!(self.stage, Stage::Open(_)) && self.is_held_back(now) && !self.decoder.has_fault() {
            return ControlFlow::Break(None);
        }
        let rules = self.rules();
        let inflation = self.stage.compression_mut();
        let event = match self.decoder.next(&rules, input, || self.outbox.take_spare(), inflation) {
            Ok(Some(Decoded::Message(message))) => {
                let is_late =
                    message.as_bytes().is_empty() && self.defer_empty(now, message.is_text(), false);
                (!is_late).then_some(Event::Message(message))
            }
            Ok(Some(Decoded::Fragment(fragment))) => {
                let is_all = fragment.first && fragment.last && fragment.data.as_bytes().is_empty();
                let is_late = is_all && self.defer_empty(now, fragment.data.is_text(), true);
                (!is_late).then_some(Event::Fragment(fragment))
            }
            Ok(Some(control)) => match self.receive_control(now, control) {
                None => return ControlFlow::Continue(()),
                event => return ControlFlow::Break(event),
            },
            Ok(None) => None,
            Err(error) => {
                self.fail_connection(now, error);
                return ControlFlow::Continue(());
            }
        };
        if event.is_some() {
            self.throttle(now, 1);
            self.arm_contexts(self.last_received);
        } else {
            self.check_share(input.len());
            // It is not a message yet, but may have cost much already.
            if self.stage.compression().is_some_and(PerMessage::has_uncounted) {
                self.throttle(now, 0);
            }
        }
        ControlFlow::Break(event)
    }

    #[cold]
    fn receive_control(&mut self, now: Moment, decoded: Decoded<'_>) -> Option<Event<'static>> {
        // Nothing is read after a Close, so it is not part of a flood.
        if !matches!(decoded, Decoded::Close(_))
            && let Err(error) = self.count_frame(now, &decoded)
        {
            self.fail_connection(now, error);
            return None;
        }
        match decoded {
            Decoded::Ping(payload) => {
                // After our Close nothing is answered (§5.5.1).
                if matches!(self.stage, Stage::Open(_)) {
                    self.answer_ping(&payload);
                }
                None
            }
            Decoded::Pong(payload) => self.receive_pong(&payload),
            Decoded::Close(payload) => {
                match close_body::parse(&payload) {
                    Ok((code, reason)) => self.receive_close(now, code, reason),
                    Err(error) => self.fail_connection(now, error),
                }
                None
            }
            Decoded::Empty | Decoded::Message(_) | Decoded::Fragment(_) => None,
        }
    }

    pub(super) fn answer_ping(&mut self, payload: &[u8]) {
        if self.outbox.pongs() < QUEUED_PONGS {
            self.write_urgent(Opcode::Pong, payload);
        } else {
            self.in_flight().pong = Some(Bytes::copy_from_slice(payload));
        }
    }

    fn receive_pong(&mut self, payload: &[u8]) -> Option<Event<'static>> {
        let last_received = self.last_received;
        let in_flight = self.in_flight.as_mut()?;
        let ping = in_flight.ping.take_if(|ping| ping.payload == payload)?;
        self.drop_in_flight_if_idle();
        if ping.awaited.is_some() {
            // The next heartbeat may be due before this answer would have been.
            self.arm();
        }
        let latency = last_received.since(ping.at);
        self.latency = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX).max(1);
        Some(Event::Pong(Pong { latency }))
    }

    /// Handles the end of the peer's stream: `read` returned 0.
    pub fn handle_eof(&mut self, now: Moment) {
        match &mut self.stage {
            Stage::Http(http) => {
                http.handle_eof(&self.config);
                self.settle_http(now);
                self.finish_if_flushed(now);
            }
            Stage::Handshake(http) => {
                let error = http.handle_eof();
                self.connection_closed(now, error.into());
            }
            // Kept bytes precede it.
            Stage::Open(_) | Stage::Closing(_) if self.input.held.has(Held::AHEAD) => {
                self.in_flight().ends_behind = true;
            }
            Stage::Opened(_) | Stage::Open(_) | Stage::Closing(_) => self.connection_closed(now, Error::Eof),
            Stage::Draining(_) => self.peer_ended(now),
            Stage::Done { .. } => {}
        }
    }

    /// Records that `left` bytes are left with the caller.
    fn keep(&mut self, left: usize) {
        let kept = self.in_flight.as_ref().map_or(0, |in_flight| in_flight.kept);
        let low_mark = self.config.low_mark;
        if left != kept && (left > low_mark || kept > 0) {
            self.in_flight().kept = left;
        }
        let is_http = matches!(self.stage, Stage::Http(_));
        if is_http || left > low_mark || kept > 0 || self.decoder.held_len() > low_mark || self.is_counted() {
            self.count_held();
            self.check_soon(self.last_received);
        }
        let kept = self.in_flight.as_ref().map_or(0, |in_flight| in_flight.kept);
        let is_counted = self.is_counted() && self.undelivered_len() > 0;
        self.input.held.set(Held::UNDELIVERED, kept > 0 || is_counted);
        self.drop_in_flight_if_idle();
    }

    /// Whether reading is held back now.
    fn is_held_back(&mut self, now: Moment) -> bool {
        let is_inside = match &self.stage {
            Stage::Http(http) => http.is_inside_body(),
            _ => self.decoder.is_inside_message(),
        };
        if is_inside && self.is_memory_over() && !self.input.held.has(Held::MEMORY) {
            self.wait_for_memory(now);
        }
        self.input.held.has(Held::ANY)
    }
}
