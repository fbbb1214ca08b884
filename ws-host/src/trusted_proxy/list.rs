//! Lists of proxies, read from the right.
//!
//! What a proxy appends stands to the right of what its client has sent. So nothing that a client sends may change the
//! meaning of what follows: a quotation mark that it leaves open, say. Read from the right, the element of each proxy is
//! complete before anything of its client is looked at.

/// The most elements that are read. Each is a proxy.
pub(super) const ELEMENTS: usize = 32;

/// The elements of a comma-separated list that may have quoted strings, the last one first. `None` is a malformed element,
/// the last one returned.
pub(super) struct FromRight<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> FromRight<'a> {
    pub(super) fn new(list: &'a [u8]) -> Self {
        Self { rest: Some(list) }
    }
}

impl<'a> Iterator for FromRight<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let list = self.rest?;
            let Some(start) = start_of_last(list) else {
                self.rest = None;
                return Some(None);
            };
            self.rest = (start > 0).then(|| &list[..start - 1]);
            let element = list[start..].trim_ascii();
            // An empty element is none (RFC 9110 §5.6.1).
            if !element.is_empty() {
                return Some(Some(element));
            }
        }
    }
}

/// Where the last element begins: behind the last comma outside quotation marks. `None` within an open one.
fn start_of_last(list: &[u8]) -> Option<usize> {
    let mut at = list.len();
    while let Some(before) = at.checked_sub(1) {
        match list[before] {
            b',' => return Some(at),
            b'"' => at = opening_mark(&list[..before])?,
            _ => at = before,
        }
    }
    Some(0)
}

/// Where the quoted string begins that a quotation mark ends right behind this text.
fn opening_mark(text: &[u8]) -> Option<usize> {
    let is_escaped = |at: usize| text[..at].iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1;
    (0..text.len()).rev().find(|at| text[*at] == b'"' && !is_escaped(*at))
}
