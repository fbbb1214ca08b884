//! What stands for compression where it is not compiled in: it is never agreed on.

use crate::config::Config;
use ::http::HeaderMap;
use ::http::header::{HeaderValue, SEC_WEBSOCKET_EXTENSIONS};

/// There are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terms {}

pub(crate) fn accept(_: &Config, _: &HeaderMap) -> Option<(Terms, HeaderValue)> {
    None
}

pub(crate) fn offer(_: &Config) -> Option<HeaderValue> {
    None
}

pub(crate) fn agree(_: &Config, response: &HeaderMap) -> Result<Option<Terms>, &'static str> {
    if response.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err("an extension that was not offered");
    }
    Ok(None)
}
