//! The head of a message: lines up to an empty one (RFC 9112 §2).
//!
//! A head that is whole in the input is parsed there. One that arrives in parts is collected; the search for its end
//! continues where it stopped, so a head that drips in costs no more than one that arrives at once.

use crate::error::RequestError::{self, HeadTooLarge, Malformed, TargetTooLong};
use crate::fields::{hide_secret, is_token};
use ::http::HeaderMap;
use ::http::header::{HeaderName, HeaderValue};
use core::mem;

/// The limits of a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) bytes: usize,
    pub(super) fields: usize,
    /// The first line, including its line end.
    pub(super) first_line: usize,
    /// Whether to read the fields after a well-formed but rejected first line: the answer depends on the
    /// [`origin`](Head::origin) in them.
    pub(super) reads_on: bool,
    /// Whether a single LF ends a line too, as RFC 9112 §2.2 allows a recipient.
    pub(super) allows_lf: bool,
}

/// A head in progress.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The bytes so far, unless the input holds them all.
    bytes: Vec<u8>,
    /// There is no further line end up to here.
    searched: usize,
    /// Where the current line begins.
    line: usize,
    fields: usize,
    stage: Stage,
    /// Why the first line was rejected, while the fields are still read.
    rejected: Option<Box<RequestError>>,
    #[cfg(test)]
    pub(super) scanned: usize,
}

#[derive(Debug, Default)]
enum Stage {
    /// Before the first line.
    #[default]
    First,
    /// Before the first line, an empty one was skipped (RFC 9112 §2.2).
    Skipped,
    /// Among the fields, which begin here.
    Fields(usize),
}

impl Head {
    /// The trailers of a chunked body have the form of a head without a first line.
    pub(super) fn trailers() -> Self {
        Self { stage: Stage::Fields(0), ..Self::default() }
    }

    /// Whether any of it has arrived, except the empty line that is tolerated before it.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.bytes.as_slice(), [] | [b'\r'] | [b'\r', b'\n'])
    }

    /// Bytes received.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no byte was received.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The one `Origin` among the complete lines: the answer to a failed head needs it.
    pub(super) fn origin(&self) -> Option<&[u8]> {
        let Stage::Fields(begin) = self.stage else { return None };
        let mut origins = self.bytes.get(begin..self.line)?.split(|b| *b == b'\n').filter_map(|line| {
            let (name, value) = line.split_at_checked(b"origin:".len())?;
            name.eq_ignore_ascii_case(b"origin:").then_some(value.trim_ascii())
        });
        origins.next().filter(|_| origins.next().is_none())
    }

    /// Why the first line was rejected, if that was deferred.
    pub(super) fn take_rejected(&mut self) -> Option<RequestError> {
        self.rejected.take().map(|error| *error)
    }

    /// Consumes input up to the end of the head, and reports the first line as soon as it is complete. The errors are
    /// those of a request; a client translates them.
    pub(super) fn receive(
        &mut self,
        limits: Limits,
        input: &mut &mut [u8],
        mut first: impl FnMut(&[u8]) -> Result<(), RequestError>,
    ) -> Result<Option<HeaderMap>, RequestError> {
        let before = self.bytes.len();
        let fresh = input.len().min(limits.bytes.saturating_sub(before));
        // Moved out to let the search change the rest.
        let mut gathered = mem::take(&mut self.bytes);
        let view: &[u8] = if before == 0 {
            &input[..fresh]
        } else {
            gathered.extend_from_slice(&input[..fresh]);
            &gathered
        };
        let headers = match self.search(limits, view, &mut first) {
            Ok(None) if view.len() >= limits.bytes => Err(HeadTooLarge),
            result => result,
        };
        let headers = match self.rejected.take() {
            // The first fault is the one reported.
            Some(rejected) if !matches!(headers, Ok(None)) => Err(*rejected),
            rejected => {
                self.rejected = rejected;
                headers
            }
        };
        let used = match &headers {
            Ok(Some(_)) => self.searched - before,
            _ => {
                self.bytes = if before == 0 { view.to_vec() } else { gathered };
                fresh
            }
        };
        let headers = headers?;
        let (_, rest) = mem::take(input).split_at_mut(used);
        *input = rest;
        Ok(headers)
    }

    /// Rejects the first line: at once, unless the fields matter. Anything other than HTTP has none.
    fn reject(&mut self, limits: Limits, error: RequestError) -> Result<(), RequestError> {
        if !limits.reads_on || matches!(error, Malformed(_)) {
            return Err(error);
        }
        self.rejected = Some(Box::new(error));
        Ok(())
    }

    fn search(
        &mut self,
        limits: Limits,
        view: &[u8],
        first: &mut impl FnMut(&[u8]) -> Result<(), RequestError>,
    ) -> Result<Option<HeaderMap>, RequestError> {
        loop {
            if !matches!(self.stage, Stage::Fields(_)) {
                // Another protocol, such as TLS, shows in its first byte; its sender waits for an answer.
                let may_be_empty = matches!(self.stage, Stage::First);
                match view.get(self.line) {
                    Some(b) if is_token(&[*b]) || (*b == b'\r' && may_be_empty) => {}
                    Some(_) => return Err(Malformed("the first line")),
                    None => {}
                }
            }
            let found = memchr::memchr(b'\n', &view[self.searched..]);
            #[cfg(test)]
            {
                self.scanned += found.map_or(view.len() - self.searched, |n| n + 1);
            }
            let end = found.map_or(view.len(), |n| self.searched + n + 1);
            self.searched = end;
            let line = &view[self.line..end];
            let is_first = !matches!(self.stage, Stage::Fields(_)) && self.rejected.is_none();
            if is_first && line.len() > limits.first_line {
                self.reject(limits, TargetTooLong)?;
            }
            if found.is_none() {
                return Ok(None);
            }
            let line = match line.strip_suffix(b"\r\n") {
                None if limits.allows_lf => line.strip_suffix(b"\n"),
                line => line,
            };
            let line = line.ok_or(Malformed("a line does not end with CR LF"))?;
            self.line = end;
            match self.stage {
                Stage::First if line.is_empty() => self.stage = Stage::Skipped,
                Stage::First | Stage::Skipped => {
                    if self.rejected.is_none()
                        && let Err(error) = first(line)
                    {
                        self.reject(limits, error)?;
                    }
                    self.stage = Stage::Fields(end);
                }
                Stage::Fields(begin) if line.is_empty() => {
                    return fields(&view[begin..end], self.fields).map(Some);
                }
                Stage::Fields(_) => {
                    self.fields += 1;
                    if self.fields > limits.fields {
                        return Err(HeadTooLarge);
                    }
                }
            }
        }
    }
}

/// Parses `count` lines of header fields and the empty one after them (RFC 9112 §5). Line ends were checked;
/// `httparse` rejects folded lines, space before the colon, and control characters.
fn fields(block: &[u8], count: usize) -> Result<HeaderMap, RequestError> {
    let mut parsed = vec![httparse::EMPTY_HEADER; count];
    let parsed = match httparse::parse_headers(block, &mut parsed) {
        Ok(httparse::Status::Complete((_, parsed))) => parsed,
        Err(httparse::Error::HeaderName) => return Err(Malformed("a header name")),
        Err(httparse::Error::HeaderValue) => return Err(Malformed("a header value")),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadTooLarge),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Malformed("the header fields")),
    };
    let mut headers = HeaderMap::try_with_capacity(count).map_err(|_| HeadTooLarge)?;
    for field in parsed {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed("a header name"))?;
        let mut value = HeaderValue::from_bytes(field.value).map_err(|_| Malformed("a header value"))?;
        hide_secret(&name, &mut value);
        headers.try_append(name, value).map_err(|_| HeadTooLarge)?;
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { bytes: 32 << 10, fields: 100, first_line: 8 << 10, reads_on: false, allows_lf: false };

    #[test]
    fn dripping_head_is_searched_once() {
        let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
        while bytes.len() < (32 << 10) - 500 {
            bytes.extend_from_slice(b"X-Filler: ");
            bytes.extend_from_slice(&[b'y'; 400]);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        let mut head = Head::default();
        let mut done = None;
        for i in 0..bytes.len() {
            assert!(done.is_none());
            done = head.receive(LIMITS, &mut &mut bytes[i..=i], |_| Ok(())).unwrap();
        }
        assert!(done.is_some_and(|headers| headers.len() > 70));
        assert_eq!(head.scanned, bytes.len());
    }

    #[test]
    fn an_endless_head_stops_at_its_limit() {
        let mut head = Head::default();
        let limits = Limits { first_line: usize::MAX, ..LIMITS };
        for i in 0..LIMITS.bytes {
            let result = head.receive(limits, &mut &mut [b'x'][..], |_| Ok(()));
            assert_eq!(result.is_err(), i + 1 == LIMITS.bytes);
        }
        assert!(head.bytes.capacity() <= 2 * LIMITS.bytes);
    }

    #[test]
    fn bytes_after_the_head_stay_in_the_input() {
        let mut bytes = *b"\r\nGET / HTTP/1.1\r\nA: b\r\n\r\nrest";
        for cut in 0..bytes.len() - 4 {
            let mut head = Head::default();
            let (mut one, two) = bytes.split_at_mut(cut);
            assert!(head.receive(LIMITS, &mut one, |_| Ok(())).unwrap().is_none());
            assert!(one.is_empty());
            let mut input = &mut [&two[..], b"rest"].concat()[..];
            let headers = head.receive(LIMITS, &mut input, |_| Ok(())).unwrap().unwrap();
            assert_eq!(headers["a"], "b");
            assert_eq!(input, b"restrest");
        }
    }

    #[test]
    fn fields_are_all_kept_or_rejected() {
        for n in 0..LIMITS.fields + 2 {
            let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
            for i in 0..n {
                bytes.extend_from_slice(format!("X-{i}: {i}\r\n").as_bytes());
            }
            bytes.extend_from_slice(b"\r\n");
            match Head::default().receive(LIMITS, &mut &mut bytes[..], |_| Ok(())) {
                Ok(headers) => assert_eq!(headers.unwrap().len(), n),
                Err(error) => {
                    assert!(matches!(error, HeadTooLarge));
                    assert_eq!(n, LIMITS.fields + 1);
                }
            }
        }
    }
}
