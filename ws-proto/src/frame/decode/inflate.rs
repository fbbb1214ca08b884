//! Compressed messages (RFC 7692 §7.2.2), joined and in fragments.

use super::{Decoded, Decoder, Form, Inflation, Position, Rules, take};
use crate::error::ProtocolError;
use crate::frame::assemble::Kind;
use crate::frame::mask;
use bytes::Bytes;

impl Decoder {
    /// Whether the rest of a compressed message waits for the connection's next share.
    pub(super) fn waits_for_share(&self, inflation: &Inflation<'_>) -> bool {
        inflation.as_ref().is_some_and(|per_message| per_message.has_used_share())
            && self.message.is_some_and(|message| {
                matches!(message.form, Form::CompressedJoined | Form::CompressedChunks)
            })
    }

    /// Inflates what has arrived of a compressed frame, joined to what precedes it. Bytes beyond the connection's share
    /// stay in the input, compressed.
    pub(super) fn inflated<'a>(
        &mut self,
        rules: &Rules,
        fin: bool,
        kind: Kind,
        input: &mut &'a mut [u8],
        inflation: &mut Inflation<'_>,
    ) -> Result<Option<Decoded<'a>>, ProtocolError> {
        let Some(per_message) = inflation else { return Ok(None) };
        let n = usize::try_from(self.remaining).map_or(input.len(), |remaining| remaining.min(input.len()));
        let mut key = self.key;
        if rules.masked {
            self.key = mask::apply(&mut input[..n], key);
        }
        let last = fin && self.remaining == n as u64;
        let mut bytes = &input[..n];
        let partial = self.partial.get_or_insert_default();
        loop {
            let (chunk, more) = per_message.inflate(&mut bytes, rules.message_limit)?;
            let held = (partial.text.len() + partial.data.len() + chunk.len()) as u64;
            let expected = if last && !more { 0 } else { rules.message_limit.saturating_sub(held) };
            partial.join(kind, chunk, usize::try_from(expected).unwrap_or(usize::MAX))?;
            // When no byte is left, only what zlib holds can remain.
            if !more || (per_message.has_used_share() && !bytes.is_empty()) {
                break;
            }
        }
        let used = n - bytes.len();
        if used < n && rules.masked {
            key.rotate_left(used % 4);
            mask::apply(&mut input[used..n], key);
            self.key = key;
        }
        take(input, used);
        self.remaining -= used as u64;
        if self.remaining > 0 {
            return Ok(None);
        }
        self.position = Position::Header;
        if !last {
            return Ok(None);
        }
        per_message.end_message()?;
        self.message = None;
        let joined = partial.take_joined(kind)?;
        self.forget_if_empty();
        Ok(Some(Decoded::Message(joined)))
    }

    /// The first fragment of the available part of a frame. Its last byte stays in the input until all of them are
    /// emitted: the caller sees that there is more, and keeps it while the connection is paused.
    pub(super) fn inflated_first<'a>(
        &mut self,
        rules: &Rules,
        fin: bool,
        input: &mut &mut [u8],
        inflation: &mut Inflation<'_>,
    ) -> Result<Option<Decoded<'a>>, ProtocolError> {
        let n = usize::try_from(self.remaining).map_or(input.len(), |remaining| remaining.min(input.len()));
        let mut taken = input[..n].to_vec();
        if rules.masked {
            self.key = mask::apply(&mut taken, self.key);
        }
        self.remaining -= n as u64;
        let held = n.min(1);
        take(input, n - held);
        self.inflated_chunk(rules, fin, &taken.into(), input, held, inflation)
    }

    /// The fragment of the next of these bytes; the rest waits. `None` if they hold no whole character.
    pub(super) fn inflated_chunk<'a>(
        &mut self,
        rules: &Rules,
        fin: bool,
        taken: &Bytes,
        input: &mut &mut [u8],
        held: usize,
        inflation: &mut Inflation<'_>,
    ) -> Result<Option<Decoded<'a>>, ProtocolError> {
        let (Some(per_message), Some(message)) = (inflation, self.message) else {
            return Ok(None);
        };
        let mut bytes = &taken[..];
        let (chunk, more) = per_message.inflate(&mut bytes, rules.message_limit)?;
        let chunk = chunk.to_vec();
        let last = !more && fin && self.remaining == 0;
        self.position = match (more, self.remaining) {
            (true, _) => Position::Inflating { fin },
            (false, 0) => Position::Header,
            (false, _) => Position::Payload { fin },
        };
        if more {
            self.partial.get_or_insert_default().compressed = taken.slice(taken.len() - bytes.len()..);
        } else {
            take(input, held);
        }
        let end = if last { per_message.end_message() } else { Ok(()) };
        if last {
            self.message = None;
        }
        let fragment = self.fragment(message.kind, &chunk, last && end.is_ok())?;
        if let (Err(fault), Some(_)) = (&end, &fragment) {
            // The first fault stays: text may have been invalid before.
            self.partial.get_or_insert_default().fault.get_or_insert(*fault);
        } else {
            end?;
        }
        Ok(fragment.map(|fragment| Decoded::Fragment(fragment.into_owned())))
    }
}
