//! Compressed messages (RFC 7692 §7.2.2), joined and in pieces.

use super::{Decoded, Decoder, Inflation, Rules};
use crate::error::ProtocolError;
use crate::event::Piece;
use crate::partial::Kind;
use alloc::vec::Vec;

impl Decoder {
    /// What these bytes of a compressed message become, joined to what came before.
    pub(super) fn inflated<'a>(
        &mut self,
        rules: &Rules,
        kind: Kind,
        mut bytes: &[u8],
        last: bool,
        inflation: &mut Inflation<'_>,
    ) -> Result<Option<Decoded<'a>>, ProtocolError> {
        let Some((per_message, settings)) = inflation else { return Ok(None) };
        let partial = self.partial.get_or_insert_default();
        loop {
            let (chunk, more) = per_message.inflate(settings, &mut bytes, rules.message_limit)?;
            let held = (partial.text.len() + partial.data.len() + chunk.len()) as u64;
            let expected = if last && !more { 0 } else { rules.message_limit.saturating_sub(held) };
            partial.join(kind, chunk, usize::try_from(expected).unwrap_or(usize::MAX))?;
            if !more {
                break;
            }
        }
        if !last {
            return Ok(None);
        }
        per_message.end_message(settings)?;
        self.message = None;
        let joined = partial.take_joined(kind)?;
        self.forget_if_empty();
        Ok(Some(Decoded::Message(joined)))
    }

    /// The piece that these bytes become. `None` when they hold no whole character.
    pub(super) fn inflated_piece(
        &mut self,
        rules: &Rules,
        kind: Kind,
        mut bytes: &[u8],
        last: bool,
        inflation: &mut Inflation<'_>,
    ) -> Result<Option<Piece<'static>>, ProtocolError> {
        let Some((per_message, settings)) = inflation else { return Ok(None) };
        let mut data = Vec::new();
        let mut inflate = || -> Result<(), ProtocolError> {
            loop {
                let (chunk, more) = per_message.inflate(settings, &mut bytes, rules.message_limit)?;
                data.extend_from_slice(chunk);
                if !more {
                    break;
                }
            }
            if last { per_message.end_message(settings) } else { Ok(()) }
        };
        let end = inflate();
        if last {
            self.message = None;
        }
        let piece = self.piece(kind, &data, last && end.is_ok())?.map(Piece::into_owned);
        let Err(fault) = end else { return Ok(piece) };
        if piece.is_none() {
            return Err(fault);
        }
        // What was good before it is delivered first.
        self.partial.get_or_insert_default().fault = Some(fault);
        Ok(piece)
    }
}
