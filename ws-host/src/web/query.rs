//! Queries, forms, cookies and other fields of a request.

use super::encoding::is_zero;
use http::{HeaderMap, HeaderName, Method, Request, header};
use percent_encoding::percent_decode;
use std::borrow::Cow;
use ws_proto::fields::{cookies, list, single};

/// The names and values of a query, or of a form's body, decoded. Invalid UTF-8 is replaced.
///
/// ```
/// let pairs: Vec<_> = ws_host::web::pairs("name=J%C3%BCrgen+M.&flag").collect();
/// assert_eq!(pairs, [("name".into(), "Jürgen M.".into()), ("flag".into(), "".into())]);
/// ```
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// The first value of this name in the query of a request, or of an [`Upgrade`](ws_proto::Upgrade).
///
/// ```
/// let request = http::Request::get("/find?q=two%20words&q=more").body(()).unwrap();
/// assert_eq!(ws_host::web::query(&request, "q").as_deref(), Some("two words"));
/// ```
pub fn query<'r, B>(request: &'r Request<B>, name: &str) -> Option<Cow<'r, str>> {
    pairs(request.uri().query()?).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// The names and values of a form in the body. `None` if the body is declared as another type, or is not text; answer
/// 415 then.
///
/// ```
/// let request = http::Request::post("/").header("Content-Type", "application/x-www-form-urlencoded");
/// let request = request.body("name=J%C3%BCrgen+M.&age=7").unwrap();
/// let mut form = ws_host::web::form(&request).unwrap();
/// assert_eq!(form.next(), Some(("name".into(), "Jürgen M.".into())));
/// ```
pub fn form<B: AsRef<[u8]>>(
    request: &Request<B>,
) -> Option<impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)>> {
    let is_form = has_content_type(request, "application/x-www-form-urlencoded");
    str::from_utf8(request.body().as_ref()).ok().filter(|_| is_form).map(pairs)
}

/// The value of this cookie; the first, if there are several. A value that is not UTF-8 is skipped;
/// neither it nor a malformed pair hides another: a page on another port of this host can set them.
///
/// ```
/// let request = http::Request::get("/").header("Cookie", "theme=dark; lang=de").body(()).unwrap();
/// assert_eq!(ws_host::web::cookie(request.headers(), "lang"), Some("de"));
/// ```
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = cookies(headers).filter(|(key, _)| *key == name.as_bytes()).map(|(_, value)| value);
    values.find_map(|value| str::from_utf8(value).ok())
}

/// Whether a request declares its body as this type, regardless of parameters; if not, answer with
/// [`unsupported_media_type`](super::unsupported_media_type).
///
/// ```
/// let request = http::Request::post("/").header("Content-Type", "application/json; charset=utf-8").body(());
/// assert!(ws_host::web::has_content_type(&request.unwrap(), "application/json"));
/// ```
pub fn has_content_type<B>(request: &Request<B>, content_type: &str) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE);
    let essence = value.and_then(|value| value.as_bytes().split(|b| *b == b';').next());
    essence.is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(content_type.as_bytes()))
}

/// Whether a browser navigates to a page, rather than fetching a part of one. A single-page application answers with its
/// page, regardless of the path: `/users/john.doe` is a page too.
///
/// Only GET and HEAD navigate. Browsers send `Sec-Fetch-Mode: navigate`, and another value for scripts, images and
/// `fetch()`. They omit the field if a page was loaded by `http://` from another machine, as older browsers always do;
/// then a request that accepts `text/html` is a navigation. An answer that depends on this needs
/// `Vary: Sec-Fetch-Mode, Accept`; [`Assets`](super::Assets) and [`Folder`](super::Folder) set it.
///
/// ```
/// let request = http::Request::get("/settings").header("Accept", "text/html,*/*;q=0.8").body(()).unwrap();
/// assert!(ws_host::web::is_navigation(&request));
/// let request = http::Request::get("/part.html").header("Accept", "text/html").header("Sec-Fetch-Mode", "cors");
/// assert!(!ws_host::web::is_navigation(&request.body(()).unwrap()));
/// ```
pub fn is_navigation<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let navigates = match single(headers, &HeaderName::from_static("sec-fetch-mode")) {
        Ok(None) => list(headers, &header::ACCEPT).any(is_html),
        Ok(Some(mode)) => mode == b"navigate",
        Err(()) => false,
    };
    navigates && matches!(*request.method(), Method::GET | Method::HEAD)
}

/// The fields that [`is_navigation`] reads, for `Vary`.
pub(super) const NAVIGATION: &str = "sec-fetch-mode, accept";

/// Whether an element of `Accept` accepts HTML: `text/html`, not with a weight of 0.
fn is_html(element: &str) -> bool {
    let mut parts = element.split(';').map(|part| part.trim_matches([' ', '\t']));
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html")) && !parts.any(is_zero)
}

/// Form decoding: a plus is a space.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['+', '%']) {
        return Cow::Borrowed(text);
    }
    let text = text.replace('+', " ");
    Cow::Owned(percent_decode(text.as_bytes()).decode_utf8_lossy().into_owned())
}
