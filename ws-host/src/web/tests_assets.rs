//! Embedded files, as a page loads them.

use super::Assets;
use bytes::Bytes;
use http::{Request, Response};

fn assets() -> Assets {
    Assets::new()
        .add("/index.html", *b"<h1>page</h1>")
        .add("docs/index.html", "docs")
        .add("/app.js", "plain script")
        .add("/app.js.gz", "gzip script")
        .add("/app.js.br", vec![0xb])
        .add("/app.3f2a9c1b.css", "hashed")
        .add("/bundle/x.js", "bundled")
        .immutable("/bundle")
}

fn ask(assets: &Assets, method: &str, path: &str, fields: &[(&str, &str)]) -> Option<Response<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    assets.respond(&request.body(()).unwrap())
}

fn get(path: &str, fields: &[(&str, &str)]) -> Response<Bytes> {
    ask(&assets(), "GET", path, fields).unwrap()
}

#[test]
fn a_folder_serves_its_index() {
    assert_eq!(get("/", &[]).body(), "<h1>page</h1>");
    assert_eq!(get("/index.html", &[]).headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(get("/docs/", &[]).body(), "docs");
    let response = get("/docs", &[]);
    assert_eq!(
        (response.status().as_u16(), &response.headers()["location"]),
        (308, &"./docs/".parse().unwrap())
    );
    for none in ["/nothing", "/app.js/", "/../index.html", "/%2e%2e/index.html", "/app.js%00"] {
        assert!(ask(&assets(), "GET", none, &[]).is_none(), "{none}");
    }
}

#[test]
fn the_accepted_variant_is_sent() {
    for (accept, coding) in [
        ("gzip, deflate, br, zstd", Some("br")),
        ("gzip", Some("gzip")),
        ("GZIP;q=0.5", Some("gzip")),
        ("br;q=0, *", Some("gzip")),
        ("br;q=0.000, gzip;q=0", None),
        ("*", Some("br")),
        ("*;q=0", None),
        ("identity", None),
        ("", None),
    ] {
        let response = get("/app.js", &[("accept-encoding", accept)]);
        let got = response.headers().get("content-encoding").map(|value| value.to_str().unwrap());
        assert_eq!(got, coding, "{accept}");
        assert_eq!(response.headers()["vary"], "accept-encoding");
        assert_eq!(response.headers()["content-type"], "text/javascript; charset=utf-8");
    }
    let tag = |accept| get("/app.js", &[("accept-encoding", accept)]).headers()["etag"].clone();
    assert_ne!(tag("br"), tag("gzip"), "other bytes, another tag");
    assert!(!get("/", &[("accept-encoding", "br")]).headers().contains_key("vary"));
}

#[test]
fn a_variant_that_has_not_changed_still_varies() {
    let etag = get("/app.js", &[("accept-encoding", "br")]).headers()["etag"].to_str().unwrap().to_owned();
    let response = get("/app.js", &[("accept-encoding", "br"), ("if-none-match", &etag)]);
    assert_eq!((response.status().as_u16(), response.body().len()), (304, 0));
    assert_eq!(response.headers()["vary"], "accept-encoding");
}

#[test]
fn hashed_names_are_cached_and_others_revalidated() {
    for kept in ["/app.3f2a9c1b.css", "/bundle/x.js"] {
        assert!(get(kept, &[]).headers()["cache-control"].to_str().unwrap().contains("immutable"), "{kept}");
    }
    assert_eq!(get("/app.js", &[]).headers()["cache-control"], "no-cache");
    let all = ask(&assets().immutable("/"), "GET", "/app.js", &[]).unwrap();
    assert!(all.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let names = ["/my-document.html", "/log-20240101.txt", "/3f2a9c1b.txt", "/a.facade.js", "/a-deadbeef.js"];
    for name in names {
        let response = ask(&Assets::new().add(name, "x"), "GET", name, &[]).unwrap();
        assert_eq!(response.headers()["cache-control"], "no-cache", "{name}");
    }
}

#[test]
fn a_range_gets_a_part() {
    let response = get("/", &[("range", "bytes=4-7")]);
    assert_eq!((response.status().as_u16(), &response.body()[..]), (206, &b"page"[..]));
    assert_eq!(response.headers()["content-range"], "bytes 4-7/13");
    assert_eq!(get("/", &[("range", "bytes=13-")]).status(), 416);
}

#[test]
fn only_reading_is_allowed() {
    let response = ask(&assets(), "POST", "/", &[]).unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["allow"]),
        (405, &"GET, HEAD".parse().unwrap())
    );
    assert!(ask(&assets(), "POST", "/nothing", &[]).is_none());
    assert_eq!(ask(&assets(), "HEAD", "/", &[]).unwrap().status(), 200);
}

#[test]
fn a_single_page_application_answers_for_its_paths() {
    let assets = assets().single_page("/index.html");
    let html = [("accept", "text/html,application/xhtml+xml;q=0.9")];
    for path in ["/settings", "/users/7", "/docs2/", "/users/john.doe", "/wiki/Talk:Main", "/r.e.m."] {
        let answer = ask(&assets, "GET", path, &html).unwrap();
        assert_eq!(answer.body(), "<h1>page</h1>", "{path}");
        assert_eq!(answer.headers()["vary"], "sec-fetch-mode, accept", "{path}");
    }
    let navigate = [("sec-fetch-mode", "navigate"), ("accept", "*/*")];
    assert_eq!(ask(&assets, "HEAD", "/users/john.doe", &navigate).unwrap().status(), 200);
    let fetch = [("sec-fetch-mode", "cors"), ("accept", "text/html")];
    assert!(ask(&assets, "GET", "/users/john.doe", &fetch).is_none(), "part of a page is not a page");
    assert!(ask(&assets, "GET", "/missing.js", &[("accept", "*/*")]).is_none(), "a script is not a page");
    assert!(ask(&assets, "GET", "/.env", &html).is_none(), "hidden names are rejected all the same");
    assert!(ask(&assets, "POST", "/settings", &html).is_none());
    assert!(
        !ask(&assets, "GET", "/", &html).unwrap().headers().contains_key("vary"),
        "a file is served to all"
    );
    let both = assets.add("/index.html.br", "brotli");
    let answer = ask(&both, "GET", "/x", &[("accept", "text/html"), ("accept-encoding", "br")]).unwrap();
    assert_eq!(
        (&answer.body()[..], &answer.headers()["vary"]),
        (&b"brotli"[..], &"accept-encoding, sec-fetch-mode, accept".parse().unwrap())
    );
}

#[test]
fn a_range_from_the_start_of_empty_content_gets_the_whole() {
    let assets = Assets::new().add("/empty.txt", "");
    for (value, status) in [("bytes=-5", 200), ("bytes=0-", 200), ("bytes=-0", 416), ("bytes=5-", 416)] {
        let answer = ask(&assets, "GET", "/empty.txt", &[("range", value)]).unwrap();
        assert_eq!((answer.status().as_u16(), answer.body().len()), (status, 0), "{value}");
        assert_eq!(ask(&assets, "HEAD", "/empty.txt", &[("range", value)]).unwrap().status(), 200);
    }
}

#[test]
fn ordinary_asset_names_are_served() {
    for name in ["IMG_20200101_120000~2.jpg", "👨\u{200d}👩\u{200d}👧.png", "می\u{200c}خواهم.txt"]
    {
        let path: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = ask(&Assets::new().add(name, "it"), "GET", &format!("/{path}"), &[]).unwrap();
        assert_eq!(answer.body(), "it", "{name}");
    }
}
