//! Conditions and ranges, as browsers send them.

use super::{ETag, Plan, Ranged, Representation, range};
use http::{HeaderValue, Request};
use proptest::prelude::*;
use std::time::{Duration, UNIX_EPOCH};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

/// 1000 bytes, changed half a second after `DATE`.
fn file() -> Representation {
    let modified = UNIX_EPOCH + Duration::from_millis(784_111_777_500);
    Representation::file("a.txt", 1000, Some(modified))
}

fn ask(method: &str, fields: &[(&str, &str)]) -> Plan {
    let mut request = Request::builder().method(method).uri("/a.txt");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    file().plan(&request.body(()).unwrap())
}

fn get(fields: &[(&str, &str)]) -> (u16, std::ops::Range<u64>) {
    let plan = ask("GET", fields);
    (plan.head.status().as_u16(), plan.part)
}

fn tag() -> String {
    let plan = ask("GET", &[]);
    plan.head.headers()["etag"].to_str().unwrap().to_owned()
}

#[test]
fn a_file_sends_its_validators() {
    let plan = ask("GET", &[]);
    assert_eq!((plan.head.status().as_u16(), plan.part), (200, 0..1000));
    let headers = plan.head.headers();
    assert_eq!(headers["last-modified"], DATE);
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["accept-ranges"], "bytes");
    assert_eq!(headers["cache-control"], "no-cache");
}

#[test]
fn unchanged_content_is_not_sent_again() {
    let tag = tag();
    for list in [
        tag.clone(),
        format!("W/{tag}"),
        format!("\"a,b\", W/\"c\" ,{tag}"),
        format!("\"caf\u{e9}\", {tag}"),
        "*".to_owned(),
    ] {
        assert_eq!(get(&[("if-none-match", &list)]), (304, 0..0), "{list}");
        assert_eq!(ask("HEAD", &[("if-none-match", &list)]).head.status(), 304);
        assert_eq!(ask("POST", &[("if-none-match", &list)]).head.status(), 412);
    }
    for list in ["\"other\"", "", "nonsense", "W/", "\"", &tag[1..]] {
        assert_eq!(get(&[("if-none-match", list)]).0, 200, "{list}");
    }
    assert_eq!(get(&[("if-modified-since", DATE)]), (304, 0..0));
    assert_eq!(get(&[("if-modified-since", LATER)]), (304, 0..0));
    assert_eq!(get(&[("if-modified-since", EARLIER)]).0, 200);
    assert_eq!(get(&[("if-modified-since", "yesterday")]).0, 200);
    assert_eq!(get(&[("if-none-match", "\"other\""), ("if-modified-since", DATE)]).0, 200, "the tag decides");
    let plan = ask("GET", &[("if-none-match", &tag)]);
    assert_eq!(plan.head.headers()["etag"], tag.as_str());
    assert!(!plan.head.headers().contains_key("content-type"));
}

#[test]
fn changed_content_fails_if_match() {
    let tag = tag();
    assert_eq!(get(&[("if-match", &tag)]).0, 200);
    assert_eq!(get(&[("if-match", "*")]).0, 200);
    assert_eq!(get(&[("if-match", &format!("W/{tag}"))]).0, 412, "compared strongly");
    assert_eq!(get(&[("if-match", "\"other\"")]).0, 412);
    assert_eq!(get(&[("if-unmodified-since", EARLIER)]).0, 412);
    assert_eq!(get(&[("if-unmodified-since", DATE)]).0, 200);
}

#[test]
fn one_range_is_a_part() {
    assert_eq!(get(&[("range", "bytes=0-99")]), (206, 0..100));
    assert_eq!(get(&[("range", "bytes=990-5000")]), (206, 990..1000));
    assert_eq!(get(&[("range", "Bytes=-1")]), (206, 999..1000));
    assert_eq!(get(&[("range", "bytes=-5000")]), (206, 0..1000));
    let plan = ask("GET", &[("range", "bytes=1-2")]);
    assert_eq!(plan.head.headers()["content-range"], "bytes 1-2/1000");
    assert_eq!(plan.len(), 2);
    assert_eq!(ask("HEAD", &[("range", "bytes=1-2")]).head.status(), 200, "ranges are for GET");
}

#[test]
fn a_range_beyond_the_end_is_416() {
    for value in ["bytes=1000-", "bytes=1000-1001", "bytes=-0", "bytes=99999999999999999999999-"] {
        let plan = ask("GET", &[("range", value)]);
        assert_eq!(plan.head.status(), 416, "{value}");
        assert_eq!(plan.head.headers()["content-range"], "bytes */1000");
        assert!(plan.is_empty());
    }
}

#[test]
fn empty_content_is_sent_whole_unless_a_later_part_is_requested() {
    let empty = |method: &str, fields: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri("/empty.txt");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Representation::file("empty.txt", 0, Some(UNIX_EPOCH)).plan(&request.body(()).unwrap())
    };
    for value in [
        "bytes=-5",
        "bytes=-1",
        "bytes=0-",
        "bytes=0-0",
        "bytes=0-99",
        "bytes=00-",
        "bytes=-99999999999999999999",
    ] {
        assert_eq!(range(value, 0), Ranged::Whole, "{value}");
        let plan = empty("GET", &[("range", value)]);
        assert_eq!((plan.head.status().as_u16(), plan.part), (200, 0..0), "{value}");
        assert!(!plan.head.headers().contains_key("content-range"), "{value}");
        assert!(plan.head.headers().contains_key("etag"), "{value}");
    }
    for value in ["bytes=-0", "bytes=-00", "bytes=1-", "bytes=5-", "bytes=5-9"] {
        assert_eq!(range(value, 0), Ranged::Unsatisfiable, "{value}");
        let plan = empty("GET", &[("range", value)]);
        assert_eq!((plan.head.status().as_u16(), plan.part), (416, 0..0), "{value}");
        assert_eq!(plan.head.headers()["content-range"], "bytes */0", "{value}");
        assert_eq!(empty("HEAD", &[("range", value)]).head.status(), 200, "{value}: ranges are for GET");
        assert_eq!(
            empty("GET", &[("range", value), ("if-range", "\"other\"")]).head.status(),
            200,
            "{value}"
        );
    }
    let tag = empty("GET", &[]).head.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(empty("GET", &[("range", "bytes=-5"), ("if-range", &tag)]).head.status(), 200);
    assert_eq!(empty("GET", &[("range", "bytes=-0"), ("if-range", &tag)]).head.status(), 416);
    assert_eq!(range("bytes=-1", 1), Ranged::Part(0..1));
    assert_eq!(range("bytes=-2", 1), Ranged::Part(0..1));
}

#[test]
fn multiple_or_malformed_ranges_are_ignored() {
    for value in [
        "bytes=0-1,5-6",
        "bytes=",
        "bytes=-",
        "bytes=2-1",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=1",
        "lines=1-2",
        "bytes 0-1",
        "bytes=0x1-2",
        "bytes=1--2",
        "",
    ] {
        assert_eq!(get(&[("range", value)]), (200, 0..1000), "{value}");
    }
}

#[test]
fn a_part_of_something_else_is_not_sent() {
    let tag = tag();
    let part = |if_range: &str| get(&[("range", "bytes=0-9"), ("if-range", if_range)]);
    assert_eq!(part(&tag), (206, 0..10));
    assert_eq!(part(DATE), (206, 0..10));
    for other in ["\"other\"", &format!("W/{tag}"), LATER, EARLIER, "nonsense"] {
        assert_eq!(part(other), (200, 0..1000), "{other}");
    }
}

#[test]
fn a_file_without_a_time_has_neither_tag_nor_date() {
    let request = Request::get("/").header("if-none-match", "\"x\"").body(()).unwrap();
    let plan = Representation::file("a", 1, None).plan(&request);
    assert_eq!(plan.head.status(), 200);
    assert!(!plan.head.headers().contains_key("etag") && !plan.head.headers().contains_key("last-modified"));
}

#[test]
fn times_beyond_the_calendar_are_omitted() {
    let request = Request::get("/").body(()).unwrap();
    for time in [UNIX_EPOCH - Duration::from_secs(1), UNIX_EPOCH + Duration::from_secs(300_000_000_000)] {
        let plan = Representation::file("a", 1, Some(time)).plan(&request);
        assert!(!plan.head.headers().contains_key("last-modified"));
        assert!(plan.head.headers().contains_key("etag"));
    }
}

proptest! {
    /// A part lies within the file, and matches an obvious reading of the field.
    #[test]
    fn a_part_is_never_beyond_the_file(first in "[0-9]{0,4}", last in "[0-9]{0,4}", len in 0_u64..2000) {
        let ranged = range(&format!("bytes={first}-{last}"), len);
        if let Ranged::Part(part) = &ranged {
            prop_assert!(part.start < part.end && part.end <= len);
            match (first.parse::<u64>(), last.parse::<u64>()) {
                (Ok(first), Ok(last)) => prop_assert_eq!((part.start, part.end), (first, len.min(last + 1))),
                (Ok(first), Err(_)) => prop_assert_eq!((part.start, part.end), (first, len)),
                (Err(_), Ok(last)) => prop_assert_eq!((part.start, part.end), (len - last.min(len), len)),
                _ => prop_assert!(false, "nothing was requested"),
            }
        }
    }

    #[test]
    fn no_field_panics(value in "\\PC{0,40}", tag in r#"[",W/* a]{0,12}"#, len in any::<u64>()) {
        range(&value, len);
        let request = Request::get("/").header("if-none-match", HeaderValue::from_str(&tag).unwrap());
        let request = request.header("if-match", HeaderValue::from_str(&tag).unwrap()).header("if-range", &tag);
        let request = request.header("range", "bytes=0-").body(()).unwrap();
        let plan = file().etag(ETag::of(b"x")).plan(&request);
        prop_assert!(plan.part.end <= 1000);
    }
}

#[test]
fn a_future_modification_time_is_used_as_it_is() {
    let file = |seconds| {
        let modified = UNIX_EPOCH + Duration::from_secs(784_111_777) + Duration::from_secs(seconds);
        Representation::file("a.txt", 5, Some(modified))
    };
    let plan = |file: &Representation, name: &str, value: &str| {
        file.plan(&Request::get("/a.txt").header(name, value).body(()).unwrap())
    };
    let (now, future) = (file(0), file(3600));
    let etag = |file| plan(file, "x", "y").head.headers()["etag"].clone();
    assert_ne!(etag(&now), etag(&future));
    let tag = etag(&future);
    assert_eq!(plan(&future, "If-None-Match", tag.to_str().unwrap()).head.status(), 304);
    // The page's validator is earlier than the change: it gets the file again.
    assert_eq!(plan(&future, "If-Modified-Since", DATE).head.status(), 200);
    assert_eq!(plan(&now, "If-Modified-Since", DATE).head.status(), 304);
    let own = "Sun, 06 Nov 1994 09:49:37 GMT";
    assert_eq!(plan(&future, "If-Modified-Since", own).head.status(), 304);
}
