//! The body of a Close frame (RFC 6455 §5.5.1).

use crate::close_code::CloseCode;
use crate::config::heartbeat::MAX_CONTROL_PAYLOAD;
use crate::error::{ProtocolError, SendError};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// Parses a received Close frame: its code ([`CloseCode::NO_STATUS`] when the body is empty) and reason.
pub(super) fn parse(payload: &[u8]) -> Result<(CloseCode, String), ProtocolError> {
    match payload {
        [] => Ok((CloseCode::NO_STATUS, String::new())),
        [_] => Err(ProtocolError::CloseTooShort),
        [high, low, reason @ ..] => {
            let code = CloseCode::from(u16::from_be_bytes([*high, *low]));
            if !code.is_sendable() {
                return Err(ProtocolError::CloseCodeInvalid(code.get()));
            }
            let reason = core::str::from_utf8(reason).map_err(|_| ProtocolError::CloseReasonNotUtf8)?;
            Ok((code, reason.to_owned()))
        }
    }
}

/// The body of a Close frame to send. [`CloseCode::NO_STATUS`] makes an empty body.
pub(super) fn encode(code: CloseCode, reason: &str) -> Result<Vec<u8>, SendError> {
    if code == CloseCode::NO_STATUS && reason.is_empty() {
        return Ok(Vec::new());
    }
    if !code.is_sendable() {
        return Err(SendError::CloseCodeInvalid(code));
    }
    if reason.len() > MAX_CONTROL_PAYLOAD - 2 {
        return Err(SendError::CloseReasonTooLong(reason.len()));
    }
    let mut body = Vec::with_capacity(2 + reason.len());
    body.extend_from_slice(&code.get().to_be_bytes());
    body.extend_from_slice(reason.as_bytes());
    Ok(body)
}
