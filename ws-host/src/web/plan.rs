//! Which part of a file answers a request, and with which head (RFC 9110 §13, §14).

use super::etag::ETag;
use super::range::{Ranged, range};
use core::ops::Range;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The metadata of a file, or of any content with a length, before it is read.
#[derive(Clone, Debug)]
pub struct Representation {
    len: u64,
    etag: Option<ETag>,
    modified: Option<SystemTime>,
    headers: HeaderMap,
}

impl Representation {
    /// Content of this type and length. Browsers revalidate it at each use, unless [`immutable`](Self::immutable) or
    /// your own `Cache-Control` overrides that.
    pub fn new(content_type: HeaderValue, len: u64) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        Self { len, etag: None, modified: None, headers }
    }

    /// A file by this name: the type by the extension, the entity tag by length and modification time.
    ///
    /// A modification time in the future, as archives and cameras produce them, is used as it is for the entity tag and
    /// for conditions; the server writes `Last-Modified` no later than its `Date` (RFC 9110 §8.8.2.1).
    pub fn file(name: &str, len: u64, modified: Option<SystemTime>) -> Self {
        let mut this = Self::new(super::content_type(name), len);
        this.etag = modified.map(|modified| ETag::of_file(len, modified));
        this.modified = modified;
        this
    }

    /// Sets the entity tag.
    #[must_use]
    pub fn etag(mut self, etag: ETag) -> Self {
        self.etag = Some(etag);
        self
    }

    /// Declares that it never changes under its name: browsers keep it for a year without revalidating it.
    #[must_use]
    pub fn immutable(self) -> Self {
        let value = HeaderValue::from_static("public, max-age=31536000, immutable");
        self.header(header::CACHE_CONTROL, value)
    }

    /// Sets a field of the answer, such as `Cache-Control`, `Content-Encoding` or `Content-Disposition`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the content coding, and with it another entity tag.
    pub(super) fn encoded(mut self, coding: &'static str) -> Self {
        self.etag = self.etag.map(|etag| etag.encoded(coding));
        self.header(header::CONTENT_ENCODING, HeaderValue::from_static(coding))
    }

    /// Adds names to `Vary`, after the existing ones.
    pub(super) fn vary(mut self, names: &'static str) -> Self {
        super::response::vary(&mut self.headers, names);
        self
    }

    /// Decides what to answer: all, a part, or that nothing has changed.
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    /// use ws_host::web::Representation;
    ///
    /// let file = Representation::file("film.mp4", 1_000_000, Some(UNIX_EPOCH + Duration::from_secs(1)));
    /// let request = http::Request::get("/film.mp4").header("Range", "bytes=500000-").body(()).unwrap();
    /// let plan = file.plan(&request);
    /// assert_eq!(plan.head.status(), 206);
    /// assert_eq!(plan.part, 500_000..1_000_000);
    /// assert_eq!(plan.head.headers()["content-range"], "bytes 500000-999999/1000000");
    /// ```
    pub fn plan<B>(&self, request: &Request<B>) -> Plan {
        let headers = request.headers();
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        if let Some(status) = self.precondition(headers, is_read) {
            return self.without_body(status);
        }
        let ranged = match text(headers, &header::RANGE) {
            // For other methods, ranges have no meaning (§14.2).
            Some(value) if *request.method() == Method::GET && self.is_in_range(headers) => {
                range(value, self.len)
            }
            _ => Ranged::Whole,
        };
        match ranged {
            Ranged::Whole => Plan { head: self.head(StatusCode::OK), part: 0..self.len },
            Ranged::Part(part) => {
                let mut head = self.head(StatusCode::PARTIAL_CONTENT);
                put(&mut head, format!("bytes {}-{}/{}", part.start, part.end - 1, self.len));
                Plan { head, part }
            }
            Ranged::Unsatisfiable => {
                let mut plan = self.without_body(StatusCode::RANGE_NOT_SATISFIABLE);
                put(&mut plan.head, format!("bytes */{}", self.len));
                plan
            }
        }
    }

    /// The preconditions, in the order of §13.2.2.
    fn precondition(&self, headers: &HeaderMap, is_read: bool) -> Option<StatusCode> {
        let has = |list: &str, weakly| match &self.etag {
            Some(etag) => etag.is_in(list, weakly),
            None => list.trim() == "*",
        };
        let changed_since = |value: &str| {
            let since = httpdate::parse_http_date(value).ok()?;
            Some(whole_seconds(self.modified?) > since)
        };
        if headers.contains_key(header::IF_MATCH) {
            if !any(headers, &header::IF_MATCH, |list| has(list, false)) {
                return Some(StatusCode::PRECONDITION_FAILED);
            }
        } else if text(headers, &header::IF_UNMODIFIED_SINCE).and_then(changed_since) == Some(true) {
            return Some(StatusCode::PRECONDITION_FAILED);
        }
        if headers.contains_key(header::IF_NONE_MATCH) {
            let matched = any(headers, &header::IF_NONE_MATCH, |list| has(list, true));
            let status = if is_read { StatusCode::NOT_MODIFIED } else { StatusCode::PRECONDITION_FAILED };
            return matched.then_some(status);
        }
        let unchanged = text(headers, &header::IF_MODIFIED_SINCE).and_then(changed_since) == Some(false);
        (is_read && unchanged).then_some(StatusCode::NOT_MODIFIED)
    }

    /// `If-Range`: a part is useful only with other parts of the same content (§13.1.5).
    fn is_in_range(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(header::IF_RANGE) else { return true };
        let Ok(value) = value.to_str() else { return false };
        if value.starts_with('"') {
            return self.etag.as_ref().is_some_and(|etag| etag.as_str() == value);
        }
        let since = httpdate::parse_http_date(value).ok();
        since.is_some() && self.modified.map(whole_seconds) == since
    }

    fn head(&self, status: StatusCode) -> Response<()> {
        let mut head = Response::new(());
        *head.status_mut() = status;
        *head.headers_mut() = self.headers.clone();
        if let Some(etag) = self.etag.as_ref().and_then(ETag::to_value) {
            head.headers_mut().insert(header::ETAG, etag);
        }
        if let Some(modified) = self.modified.filter(|modified| is_date(*modified)) {
            let date = HeaderValue::from_str(&httpdate::fmt_http_date(modified));
            if let Ok(date) = date {
                head.headers_mut().insert(header::LAST_MODIFIED, date);
            }
        }
        head
    }

    fn without_body(&self, status: StatusCode) -> Plan {
        let mut head = self.head(status);
        head.headers_mut().remove(header::CONTENT_TYPE);
        if status != StatusCode::NOT_MODIFIED {
            // An error must not be cached, and is not encoded.
            for name in [header::CONTENT_ENCODING, header::ETAG, header::LAST_MODIFIED] {
                head.headers_mut().remove(name);
            }
            head.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Plan { head, part: 0..0 }
    }
}

/// What to answer: a head, and which bytes follow it.
#[derive(Debug)]
pub struct Plan {
    /// The head: 200, 206, 304, 412 or 416.
    pub head: Response<()>,
    /// The bytes to send; empty if there is nothing to read. For HEAD, the connection sends only their
    /// length.
    pub part: Range<u64>,
}

impl Plan {
    /// How many bytes to send.
    pub fn len(&self) -> u64 {
        self.part.end - self.part.start
    }

    /// Whether there is only the head to send.
    pub fn is_empty(&self) -> bool {
        self.part.is_empty()
    }
}

fn put(head: &mut Response<()>, content_range: String) {
    if let Ok(value) = HeaderValue::from_str(&content_range) {
        head.headers_mut().insert(header::CONTENT_RANGE, value);
    }
}

/// The single value of a field, as text.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = ws_proto::fields::single(headers, name).ok().flatten()?;
    str::from_utf8(value).ok()
}

fn any(headers: &HeaderMap, name: &HeaderName, matches: impl Fn(&str) -> bool) -> bool {
    // A foreign tag with other bytes does not hide the rest (§8.8.3 allows them).
    headers.get_all(name).iter().any(|value| matches(&String::from_utf8_lossy(value.as_bytes())))
}

/// A time in the resolution of a field.
fn whole_seconds(time: SystemTime) -> SystemTime {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => UNIX_EPOCH + Duration::from_secs(since.as_secs()),
        Err(_) => time,
    }
}

/// Whether a time can be written: from 1970 to the end of the year 9999.
fn is_date(time: SystemTime) -> bool {
    time.duration_since(UNIX_EPOCH).is_ok_and(|since| since.as_secs() < 253_402_300_800)
}
