//! Queries, forms, cookies and other fields, and the common answers.

use super::*;
use ::http::{Method, Request, StatusCode};

fn owned<'a>(
    pairs: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>,
) -> Vec<String> {
    pairs.map(|(name, value)| format!("{name}={value}")).collect()
}

#[test]
fn a_query_is_split_and_decoded() {
    assert_eq!(owned(pairs("a=1&b=2&a=3")), ["a=1", "b=2", "a=3"]);
    assert_eq!(owned(pairs("&&a&=b&a==&")), ["a=", "=b", "a=="]);
    assert_eq!(owned(pairs("J%C3%BCrgen+M.=a%26b%3dc&%zz=%f")), ["Jürgen M.=a&b=c", "%zz=%f"]);
    assert_eq!(owned(pairs("bad=%ff")), ["bad=\u{fffd}"], "invalid UTF-8 is replaced");
    assert_eq!(owned(pairs("")), [""; 0]);
}

#[test]
fn the_first_value_of_a_name_is_found() {
    let ask = |target: &str, name| {
        let request = Request::get(target).body(()).unwrap();
        query(&request, name).map(std::borrow::Cow::into_owned)
    };
    assert_eq!(ask("/?q=two%20words&q=more", "q").as_deref(), Some("two words"));
    assert_eq!(ask("/?a%62=1", "ab").as_deref(), Some("1"), "names are decoded as well");
    assert_eq!(ask("/?flag", "flag").as_deref(), Some(""));
    assert_eq!(ask("/?q=1", "Q"), None);
    assert_eq!(ask("/", "q"), None);
}

#[test]
fn only_a_declared_form_is_read() {
    let post = |content_type: &str, body: &'static [u8]| {
        let request = Request::post("/").header("Content-Type", content_type).body(body).unwrap();
        form(&request).map(owned)
    };
    let kind = "application/x-www-form-urlencoded";
    assert_eq!(post(kind, b"a=1+2"), Some(vec!["a=1 2".to_owned()]));
    assert_eq!(post(&format!("{}; charset=utf-8", kind.to_uppercase()), b""), Some(vec![]));
    assert_eq!(post("text/plain", b"a=1"), None);
    assert_eq!(post(&format!("{kind}2"), b"a=1"), None);
    assert_eq!(post(kind, b"a=\xff"), None, "no text");
    assert!(form(&Request::post("/").body("a=1").unwrap()).is_none(), "it declares no type");
}

#[test]
fn a_cookie_is_found_in_any_field() {
    let request =
        Request::get("/").header("Cookie", "a=1; b=x=y").header("Cookie", "c=3;a=4").body(()).unwrap();
    let find = |name| cookie(request.headers(), name);
    assert_eq!(
        [find("a"), find("b"), find("c"), find("A"), find("")],
        [Some("1"), Some("x=y"), Some("3"), None, None]
    );
}

#[test]
fn no_cookie_hides_another_whatever_its_bytes_are() {
    let request = Request::get("/")
        .header("Cookie", &b"name=Zo\xc3\xab; a=1"[..])
        .header("Cookie", &b"bad=\xff; x; =y; b=\"; c=3; bad=good; \xff=z; d=\xc3"[..])
        .header("Cookie", "e=5; Zo\u{eb}=6; f= 7 ")
        .body(())
        .unwrap();
    for (name, value) in [
        ("name", Some("Zo\u{eb}")),
        ("a", Some("1")),
        ("bad", Some("good")),
        ("", Some("y")),
        ("b", Some("\"")),
        ("c", Some("3")),
        ("d", None),
        ("e", Some("5")),
        ("Zo\u{eb}", Some("6")),
        ("f", Some(" 7")),
        ("x", None),
    ] {
        assert_eq!(cookie(request.headers(), name), value, "{name}");
    }
}

#[test]
fn only_loading_a_page_is_a_navigation() {
    let ask = |method: Method, path: &str, accept: &str| {
        is_navigation(&Request::builder().method(method).uri(path).header("Accept", accept).body(()).unwrap())
    };
    assert!(ask(Method::GET, "/settings", "application/xml, TEXT/HTML;q=0.9"));
    assert!(ask(Method::HEAD, "/", "text/html"));
    assert!(ask(Method::GET, "/users/john.doe", "text/html"), "a path with a dot is a page like any other");
    for accept in [
        "*/*",
        "",
        "text/*",
        "application/xhtml+xml",
        "text/htmlx",
        "text/html;q=0, */*",
        "image/avif,*/*;q=0.8",
    ] {
        assert!(!ask(Method::GET, "/settings", accept), "{accept}");
    }
    assert!(ask(Method::GET, "/", "text/html;level=1;q=0.1"));
    assert!(!ask(Method::POST, "/settings", "text/html"));
}

#[test]
fn sec_fetch_mode_decides_where_it_is_sent() {
    let ask = |method: Method, accept: &str, modes: &[&str]| {
        let mut request = Request::builder().method(method).uri("/users/john.doe").header("Accept", accept);
        for mode in modes {
            request = request.header("Sec-Fetch-Mode", *mode);
        }
        is_navigation(&request.body(()).unwrap())
    };
    assert!(ask(Method::GET, "text/html", &["navigate"]));
    assert!(ask(Method::GET, "*/*", &["navigate"]), "for any Accept");
    assert!(!ask(Method::POST, "text/html", &["navigate"]), "a submitted form");
    for modes in [
        &["cors"][..],
        &["no-cors"],
        &["same-origin"],
        &["websocket"],
        &[""],
        &["navigate", "cors"],
        &["navigate2"],
    ] {
        assert!(!ask(Method::GET, "text/html", modes), "{modes:?}");
    }
}

#[test]
fn answers_declare_their_type_and_forbid_sniffing() {
    for (response, kind) in [
        (html("<h1>a</h1>"), "text/html; charset=utf-8"),
        (text("a"), "text/plain; charset=utf-8"),
        (json(StatusCode::OK, "{}"), "application/json"),
        (unsupported_media_type("text/csv"), "text/html; charset=utf-8"),
    ] {
        assert_eq!(response.headers()["content-type"], kind);
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
    let unsupported = unsupported_media_type("text/csv");
    assert_eq!(
        (unsupported.status().as_u16(), &unsupported.headers()["accept"]),
        (415, &"text/csv".parse().unwrap())
    );
    assert!(!unsupported_media_type("a\r\nb: c").headers().contains_key("accept"), "nothing is smuggled in");
}
