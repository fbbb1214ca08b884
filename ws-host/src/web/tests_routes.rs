//! Routing by method and path.

use super::{Found, Routes, error_page, escape, json, not_found, redirect};
use http::{Method, Request, StatusCode};
use proptest::prelude::*;

fn routes() -> Routes<&'static str> {
    Routes::new()
        .get("/files/*", "file")
        .get("/", "page")
        .get("/rooms/:room", "room")
        .post("/rooms/:room", "say")
        .get("/rooms/lobby", "lobby")
        .put("/rooms/:room/members/:member", "member")
        .get("/café menu", "menu")
        .any("/any", "any")
}

/// The route found, its parameters, or the status and the `Allow` of the answer.
fn find(routes: &Routes<&'static str>, method: &str, path: &str) -> String {
    let request = Request::builder().method(method).uri(path).body(()).unwrap();
    match routes.find(&request) {
        Found::Route(value, params) => {
            let named = ["room", "member"].map(|name| params.get(name).unwrap_or_default().to_owned());
            format!("{value} {} {}", named.concat(), params.rest()).trim().to_owned()
        }
        Found::Answer(response) => {
            let allow = response.headers().get("allow").map_or("", |allow| allow.to_str().unwrap());
            format!("{} {allow}", response.status().as_str()).trim().to_owned()
        }
    }
}

#[test]
fn a_path_finds_its_route() {
    let routes = routes();
    for (path, found) in [
        ("/", "page"),
        ("/?a=b", "page"),
        ("http://localhost/", "page"),
        ("/rooms/12", "room 12"),
        ("/rooms/a%2Fb%20c", "room a/b c"),
        ("/rooms/lobby", "lobby"),
        ("/rooms/%6Cobby", "lobby"),
        ("/caf%C3%A9%20menu", "menu"),
        ("/files/", "file"),
        ("/files/a/b%20c", "file  a/b%20c"),
        ("/files", "404"),
        ("/rooms/", "404"),
        ("/rooms/1/", "404"),
        ("/Rooms/1", "404"),
        ("/rooms/%zz", "404"),
        ("/rooms/%ff", "404"),
        ("/other", "404"),
        ("//", "404"),
    ] {
        assert_eq!(find(&routes, "GET", path), found, "{path}");
    }
    assert_eq!(find(&routes, "PUT", "/rooms/1/members/2"), "member 12");
}

#[test]
fn a_wrong_method_gets_the_allowed_ones() {
    let routes = routes();
    assert_eq!(find(&routes, "DELETE", "/rooms/1"), "405 GET, HEAD, POST, OPTIONS");
    assert_eq!(find(&routes, "POST", "/"), "405 GET, HEAD, OPTIONS");
    assert_eq!(find(&routes, "GET", "/rooms/1/members/2"), "405 PUT, OPTIONS");
}

#[test]
fn head_is_get_and_options_is_answered() {
    let routes = routes();
    assert_eq!(find(&routes, "HEAD", "/rooms/lobby"), "lobby");
    assert_eq!(find(&routes, "HEAD", "/rooms/1/members/2"), "405 PUT, OPTIONS");
    assert_eq!(find(&routes, "OPTIONS", "/rooms/1"), "204 GET, HEAD, POST, OPTIONS");
    assert_eq!(find(&routes, "OPTIONS", "/nowhere"), "404");
    assert!(find(&routes, "OPTIONS", "*").starts_with("204 GET, HEAD, POST, PUT"));
    for method in ["GET", "HEAD", "OPTIONS", "PATCH", "BREW"] {
        assert_eq!(find(&routes, method, "/any"), "any");
    }
}

#[test]
fn a_specific_method_precedes_every_method() {
    let routes = Routes::new().any("/x", "any").on(Method::HEAD, "/x", "head").get("/x", "get");
    assert_eq!(find(&routes, "HEAD", "/x"), "head");
    assert_eq!(find(&routes, "GET", "/x"), "get");
    assert_eq!(find(&routes, "POST", "/x"), "any");
}

#[test]
fn the_order_of_adding_does_not_matter() {
    let one = Routes::new().get("/*", "all").get("/:room", "one").get("/a", "a");
    let other = Routes::new().get("/a", "a").get("/:room", "one").get("/*", "all");
    for path in ["/a", "/b", "/b/c", "/"] {
        assert_eq!(find(&one, "GET", path), find(&other, "GET", path));
    }
    assert_eq!(find(&one, "GET", "/"), "all");
}

#[test]
fn answers_are_safe_to_show() {
    let page = error_page(StatusCode::FORBIDDEN, "<script>alert('&')</script>");
    assert!(!page.body().windows(7).any(|seven| seven == b"<script"));
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    assert!(!not_found().body().is_empty());
    assert_eq!(json(StatusCode::OK, "{}").headers()["cache-control"], "no-store");
    assert!(not_found().headers().get("access-control-allow-origin").is_none());
}

proptest! {
    #[test]
    fn a_location_is_never_cut(location in "\\PC{0,20}[\r\n\0\t]{0,3}\\PC{0,20}") {
        let response = redirect(StatusCode::SEE_OTHER, &location);
        let value = response.headers()["location"].to_str().unwrap();
        prop_assert!(value.bytes().all(|b| b.is_ascii_graphic()));
    }

    #[test]
    fn escaped_text_has_no_markup(text in "\\PC{0,40}") {
        prop_assert!(!escape(&text).contains(['<', '>', '"', '\'']));
    }

    /// Any path finds a route or an answer, for any patterns.
    #[test]
    fn no_path_panics(
        patterns in proptest::collection::vec("(/|:|\\*|[ab]){0,8}", 0..5),
        path in "/([ab/:*]|%2f|%61|%){0,12}",
    ) {
        let routes = patterns.iter().fold(Routes::new(), |routes, pattern| routes.get(pattern, "x"));
        if let Ok(request) = Request::get(&path).body(()) {
            routes.find(&request);
        }
    }

    /// A route finds itself, with the values of its parameters.
    #[test]
    fn parameters_round_trip(room in "[a-z ä/%?#.]{1,10}") {
        let encoded = percent_encoding::utf8_percent_encode(&room, percent_encoding::NON_ALPHANUMERIC).to_string();
        let request = Request::get(format!("/rooms/{encoded}/x")).body(()).unwrap();
        let routes = Routes::new().get("/rooms/:room/x", ());
        match routes.find(&request) {
            Found::Route((), params) => prop_assert_eq!(params.get("room"), Some(room.as_str())),
            Found::Answer(response) => prop_assert!(false, "{response:?}"),
        }
    }
}
