//! What a peer may send in a second: floods of frames that carry nothing end the connection; everything else is not
//! read until the next second.
//!
//! In a message with content, the first and the last frame may be empty; every other empty frame counts, and over the
//! limit the connection fails, as with control frames. An empty message is delivered to the application; one over the
//! limit is put back, ahead of what follows it, until the next second.

use super::backpressure::Held;
use super::{Connection, Moment, Side, Stage};
use crate::error::ProtocolError;
use crate::frame::decode::Decoded;
use crate::frame::{self, Opcode, first_byte};
use alloc::vec::Vec;
use bytes::BytesMut;
use core::time::Duration;

/// The longest stall whose held-back frames may arrive as one burst.
const MAX_SPARE_SECONDS: u32 = 59;

/// The rate from which on there is no limit, so that each count fits into 16 bits.
const UNLIMITED: u16 = u16::MAX;

/// What arrived in the current second.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// Since the connection began; it may wrap after 136 years.
    second: u32,
    /// Messages and fragments, where they are throttled.
    messages: u16,
    /// Pings and Pongs since the start of this second, or of the last saved one that they used.
    control: u16,
    /// Frames without payload within a message, likewise.
    empty_frames: u16,
    empty_messages: u16,
}

/// Past seconds whose allowance was not used, for each kind of frame: what the peer sent while we did not read, or
/// while the network held it back, arrives at once.
#[derive(Debug, Default)]
pub(super) struct SpareSeconds {
    control: u8,
    empty_frames: u8,
}

impl Connection {
    /// Counts a frame that carries nothing, neither a message nor a part of one; such floods cost the peer next to
    /// nothing.
    pub(super) fn count_frame(&mut self, now: Moment, decoded: &Decoded<'_>) -> Result<(), ProtocolError> {
        let Some(limit) = self.frame_rate() else { return Ok(()) };
        self.count_second(now);
        let (count, spare) = match decoded {
            Decoded::Empty => (&mut self.rates.empty_frames, &mut self.spare_seconds.empty_frames),
            _ => (&mut self.rates.control, &mut self.spare_seconds.control),
        };
        if *count >= limit {
            if limit == 0 || *spare == 0 {
                return Err(ProtocolError::Flood { limit: limit.into() });
            }
            *spare -= 1;
            *count = 0;
        }
        *count += 1;
        Ok(())
    }

    fn frame_rate(&self) -> Option<u16> {
        u16::try_from(self.config.frame_rate?).ok().filter(|limit| *limit < UNLIMITED)
    }

    /// Whether an empty message is over the limit. It then waits for the next second, encoded again, and so does
    /// everything after it.
    #[cold]
    pub(super) fn defer_empty(&mut self, now: Moment, is_text: bool, is_fragmented: bool) -> bool {
        let (Some(limit), Stage::Open(_)) = (self.frame_rate(), &self.stage) else { return false };
        self.count_second(now);
        let count = &mut self.rates.empty_messages;
        if *count < limit.max(1) {
            *count += 1;
            return false;
        }
        if !self.wait_for_next_second(now) {
            return false;
        }
        let key = matches!(self.side, Side::Server).then_some([0; 4]);
        let opcode = if is_text { Opcode::Text } else { Opcode::Binary };
        let mut bytes = Vec::new();
        frame::write_header(&mut bytes, first_byte(!is_fragmented, opcode), 0, key);
        if is_fragmented {
            frame::write_header(&mut bytes, first_byte(true, Opcode::Continuation), 0, key);
        }
        self.keep_ahead(BytesMut::from(&bytes[..]));
        true
    }

    /// Counts messages where they are throttled, and the cost of inflating; when the peer has used its rate for this
    /// second, reading pauses.
    pub(super) fn throttle(&mut self, now: Moment, messages: u16) {
        if self.config.message_rate.is_none() && self.stage.compression().is_none() {
            return;
        }
        let (mut is_over, second) = (false, self.second(now));
        if let Some(limit) = self.config.message_rate.filter(|limit| *limit < UNLIMITED) {
            self.count_second(now);
            self.rates.messages = self.rates.messages.saturating_add(messages);
            is_over = self.rates.messages >= limit;
        }
        if let Some(compression) = self.stage.compression_mut() {
            is_over |= compression.is_over_rate(second as u16);
        }
        if is_over && matches!(self.stage, Stage::Open(_)) {
            self.wait_for_next_second(now);
        }
    }

    /// Whole seconds since the connection began.
    fn second(&self, now: Moment) -> u64 {
        now.since(self.birth).as_secs()
    }

    /// Resets the counts when a new second begins, and saves the seconds in which there was none.
    fn count_second(&mut self, now: Moment) {
        let second = self.second(now) as u32;
        let Rates { second: before, control, empty_frames, .. } = self.rates;
        if before != second {
            let passed = second.wrapping_sub(before);
            let save = |spare: u8, count: u16| {
                let unused = passed - u32::from(count > 0);
                u32::from(spare).saturating_add(unused).min(MAX_SPARE_SECONDS) as u8
            };
            let SpareSeconds { control: spare_control, empty_frames: spare_empty } = self.spare_seconds;
            self.spare_seconds = SpareSeconds {
                control: save(spare_control, control),
                empty_frames: save(spare_empty, empty_frames),
            };
            self.rates = Rates { second, ..Default::default() };
        }
    }

    /// Pauses reading until the next second, and returns whether there is one: a clock at its end has stopped.
    fn wait_for_next_second(&mut self, now: Moment) -> bool {
        let until = self.birth + Duration::from_secs(self.second(now) + 1);
        if until == Moment::NEVER {
            return false;
        }
        self.in_flight().flow.throttled_until = Some(until);
        self.hold_back(now, Held::THROTTLED);
        true
    }

    /// The next second ends the pause, with or without a timer.
    pub(super) fn end_throttle(&mut self, now: Moment) {
        let Some(in_flight) = &mut self.in_flight else { return };
        if in_flight.flow.throttled_until.is_some_and(|until| now >= until) {
            in_flight.flow.throttled_until = None;
            self.input.held.set(Held::THROTTLED, false);
            self.resume_reading(now);
            self.drop_in_flight_if_idle();
        }
    }
}
