//! A folder over fake files: which files are found, which are not, and that no path leads out.

use super::*;
use ::http::header::{self, HeaderValue};
use ::http::{Method, Response, StatusCode};
use bytes::Bytes;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use ws_proto::Request;

/// The entries: a file with its content, `Err` with the system's error, a folder if others are below it; and the
/// links.
#[derive(Clone, Default)]
struct Disk;

enum Entry {
    File(&'static str),
    Pipe,
    Fails(io::ErrorKind),
    Link(&'static str),
}

use Entry::{Fails, File, Link, Pipe};

const DISK: &[(&str, Entry)] = &[
    ("/site/index.html", File("page")),
    ("/site/app.js", File("script")),
    ("/site/app.js.gz", File("gzipped")),
    ("/site/app.js.br", File("brotli")),
    ("/site/docs/index.html", File("docs")),
    ("/site/docs/start.htm", File("start")),
    ("/site/empty/other.txt", File("")),
    ("/site/.git/config", File("hidden")),
    ("/site/.env", File("hidden")),
    ("/site/pipe", Pipe),
    ("/site/secret", Fails(io::ErrorKind::PermissionDenied)),
    ("/site/broken", Fails(io::ErrorKind::Other)),
    ("/site/to_docs", Link("/site/docs")),
    ("/site/to_hidden", Link("/site/.env")),
    ("/site/to_outside", Link("/etc/passwd")),
    ("/site/app.css", File("style")),
    ("/site/app.css.gz", Link("/etc/passwd")),
    ("/site/.pnpm/x/index.html", File("package")),
    ("/site/.pnpm/x/x.js", File("module")),
    ("/site/.pnpm/.cache/y.js", File("cached")),
    ("/site/node_modules/x", Link("/site/.pnpm/x")),
    ("/site/node_modules/cache", Link("/site/.pnpm/.cache")),
    ("/site/..2026/conf.json", File("configuration")),
    ("/site/..data", Link("/site/..2026")),
    ("/site/conf.json", Link("/site/..data/conf.json")),
    ("/site/style.css", Link("/site/.store/4f3a.txt")),
    ("/site/.store/4f3a.txt", File("stored")),
    ("/site/to_git", Link("/site/.git")),
    ("/site/to_upper_git", Link("/site/.GIT")),
    ("/site/.GIT/config", File("hidden")),
    ("/site/to_hg", Link("/site/sub/.hg/store")),
    ("/site/sub/.hg/store", File("hidden")),
    ("/site/to_svn", Link("/site/.Svn/entries")),
    ("/site/.Svn/entries", File("hidden")),
    ("/site/to_ssh", Link("/site/.ssh/id")),
    ("/site/.ssh/id", File("hidden")),
    ("/site/to_env", Link("/site/.Env.local")),
    ("/site/.Env.local", File("hidden")),
    ("/site/to_joined", Link("/site/.g\u{200d}it/config")),
    ("/site/.g\u{200d}it/config", File("hidden")),
    ("/site/to_ignore", Link("/site/.gitignore")),
    ("/site/.gitignore", File("ignored")),
    ("/srv/.git/site/index.html", File("below")),
    ("/site/old.js", File("fresh")),
    ("/site/old.js.br", File("stale brotli")),
    ("/site/old.js.gz", File("newer gzip")),
    ("/site/older.js", File("fresh")),
    ("/site/older.js.gz", File("stale gzip")),
    ("/site/undated.js", File("plain")),
    ("/site/undated.js.gz", File("of no time")),
    ("/site/of_no_time.js", File("plain")),
    ("/site/of_no_time.js.gz", File("gzip")),
    ("/site/same.js", File("12345")),
    ("/site/same.js.gz", File("abcde")),
    ("/site/linked.js", Link("/site/.store/a")),
    ("/site/linked.js.gz", Link("/site/.store/b")),
    ("/site/.store/a", File("linked")),
    ("/site/.store/a.br", File("brotli beside the file")),
    ("/site/.store/b", File("gzip beside the link")),
    ("/site/.well-known/links.json", File("known")),
    ("/etc/passwd", File("outside")),
    ("/site2/file", File("outside")),
];

/// The modification times of files, in nanoseconds, if not second 1.
const TIMES: &[(&str, Option<u64>)] = &[
    ("/site/old.js.br", Some(999_999_999)),
    ("/site/old.js.gz", Some(1_000_000_001)),
    ("/site/older.js.gz", Some(999_999_999)),
    ("/site/undated.js.gz", None),
    ("/site/of_no_time.js", None),
];

fn time(path: &Path) -> Option<SystemTime> {
    let found = TIMES.iter().find(|(name, _)| Path::new(name) == path);
    let nanoseconds = found.map_or(Some(1_000_000_000), |(_, time)| *time)?;
    Some(UNIX_EPOCH + Duration::from_nanos(nanoseconds))
}

fn entry(path: &Path) -> io::Result<&'static Entry> {
    let entry = DISK.iter().find(|(name, _)| Path::new(name) == path);
    entry.map(|(_, entry)| entry).ok_or(io::ErrorKind::NotFound.into())
}

impl Files for Disk {
    type File = &'static str;

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        let mut found = PathBuf::new();
        for part in path.components() {
            match part {
                Component::ParentDir => drop(found.pop()),
                Component::CurDir => {}
                part => found.push(part),
            }
            if let Ok(Link(to)) = entry(&found) {
                found = self.canonicalize(Path::new(to))?;
            }
        }
        self.kind(&found).map(|_| found)
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        match entry(path) {
            Ok(Pipe) => Ok(Kind::Other),
            Ok(_) => Ok(Kind::File),
            Err(_) if DISK.iter().any(|(name, _)| Path::new(name).starts_with(path)) => Ok(Kind::Folder),
            Err(error) => Err(error),
        }
    }

    fn open(&self, path: &Path) -> io::Result<Opened<&'static str>> {
        match entry(path)? {
            File(content) => Ok(Opened { file: content, len: content.len() as u64, modified: time(path) }),
            Fails(kind) => Err((*kind).into()),
            Link(_) | Pipe => panic!("{} is opened", path.display()),
        }
    }
}

fn folder() -> Folder<Disk> {
    Folder::new("/site").unwrap()
}

fn request(method: Method, path: &str, fields: &[(&str, &str)]) -> Request {
    let mut request = ::http::Request::builder().method(method).uri(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    Request::from(request.body(Bytes::new()).unwrap())
}

/// The file sent and its head, or the answer instead.
fn ask(
    folder: &Folder<Disk>,
    path: &str,
    fields: &[(&str, &str)],
) -> Result<(&'static str, Plan), Box<Response<Bytes>>> {
    folder.open(&request(Method::GET, path, fields))
}

fn get(folder: &Folder<Disk>, path: &str) -> Result<&'static str, u16> {
    ask(folder, path, &[]).map(|(file, _)| file).map_err(|answer| answer.status().as_u16())
}

#[test]
fn files_are_found_and_a_folder_serves_its_index_behind_a_slash() {
    let site = folder();
    assert_eq!(get(&site, "/"), Ok("page"));
    assert_eq!(get(&site, "/app.js?v=1"), Ok("script"));
    assert_eq!(get(&site, "/docs/"), Ok("docs"));
    assert_eq!(get(&site, "/docs/start.htm"), Ok("start"));
    assert_eq!(get(&site, "/to_docs/"), Ok("docs"), "links inside the folder are followed");
    let answer = ask(&site, "/docs", &[]).unwrap_err();
    assert_eq!((answer.status().as_u16(), &answer.headers()["location"]), (308, &"./docs/".parse().unwrap()));
    for none in ["/nothing", "/empty/", "/app.js/", "/docs/nothing", "/app.js/x"] {
        assert_eq!(get(&site, none), Err(404), "{none}");
    }
    assert_eq!(get(&folder().index("/start.htm"), "/docs/"), Ok("start"));
}

#[test]
fn a_file_has_its_type_and_length_and_a_range_gets_a_part() {
    let (_, plan) = ask(&folder(), "/app.js", &[]).unwrap();
    assert_eq!((plan.head.status().as_u16(), plan.part), (200, 0..6));
    assert_eq!(plan.head.headers()["content-type"], "text/javascript; charset=utf-8");
    let (_, plan) = ask(&folder(), "/app.js", &[("Range", "bytes=2-3")]).unwrap();
    assert_eq!((plan.head.status().as_u16(), plan.part), (206, 2..4));
}

#[test]
fn no_path_leads_out_of_the_folder_or_to_hidden_files() {
    let site = folder();
    for bad in [
        "/../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/..%2fetc/passwd",
        "/docs/../../etc/passwd",
        "/to_outside",
        "/to_hidden",
        "/.env",
        "/.git/config",
        "/%2eenv",
        "/../site2/file",
        "/app.js%00",
    ] {
        assert_eq!(get(&site, bad), Err(404), "{bad}");
    }
    let with_hidden = folder().hidden_files();
    assert_eq!(get(&with_hidden, "/.env"), Ok("hidden"));
    assert_eq!(get(&with_hidden, "/to_hidden"), Ok("hidden"));
    assert_eq!(get(&with_hidden, "/to_outside"), Err(404), "hidden or not, it is outside the folder");
}

#[test]
fn inner_links_lead_to_hidden_files_and_never_to_secrets() {
    let site = folder();
    assert_eq!(get(&site, "/node_modules/x/"), Ok("package"));
    assert_eq!(get(&site, "/node_modules/x/x.js"), Ok("module"));
    assert_eq!(get(&site, "/node_modules/x"), Err(308));
    assert_eq!(get(&site, "/node_modules/cache/y.js"), Ok("cached"), "however deep");
    assert_eq!(get(&site, "/conf.json"), Ok("configuration"));
    assert_eq!(get(&site, "/to_ignore"), Ok("ignored"), "`.gitignore` is not `.git`");
    let secrets =
        ["/to_git/config", "/to_upper_git/config", "/to_hg", "/to_svn", "/to_ssh", "/to_env", "/to_joined"];
    for path in secrets {
        assert_eq!(get(&site, path), Err(404), "{path}");
        assert_eq!(get(&folder().hidden_files(), path), Ok("hidden"), "{path}");
    }
    for path in [
        "/.pnpm/x/x.js",
        "/..data/conf.json",
        "/..2026/conf.json",
        "/.gitignore",
        "/node_modules/x/../../.pnpm/x/x.js",
    ] {
        assert_eq!(get(&site, path), Err(404), "a hidden name in the path: {path}");
    }
    let below = Folder::<Disk>::new("/srv/.git/site").unwrap();
    assert_eq!(get(&below, "/"), Ok("below"), "names above the folder do not matter");
}

#[test]
fn the_name_in_the_url_decides_the_content_type_of_a_linked_file() {
    let (file, plan) = ask(&folder(), "/style.css", &[]).unwrap();
    assert_eq!((file, &plan.head.headers()["content-type"].as_bytes()[..8]), ("stored", &b"text/css"[..]));
}

#[test]
fn the_variant_of_a_link_is_beside_the_link_or_its_target() {
    let site = folder().precompressed();
    for (accept, file) in
        [("gzip", "gzip beside the link"), ("br", "brotli beside the file"), ("identity", "linked")]
    {
        assert_eq!(ask(&site, "/linked.js", &[("Accept-Encoding", accept)]).unwrap().0, file);
    }
}

#[test]
fn well_known_paths_are_served_by_their_own_folder() {
    assert_eq!(get(&folder(), "/.well-known/links.json"), Err(404));
    let well_known = Folder::<Disk>::new("/site/.well-known").unwrap().at("/.well-known");
    assert_eq!(get(&well_known, "/.well-known/links.json"), Ok("known"));
    assert_eq!(get(&well_known, "/links.json"), Err(404));
}

#[test]
fn a_compressed_file_that_is_older_is_not_sent() {
    let site = folder().precompressed();
    let ask = |path: &str, accept| {
        let (file, plan) = ask(&site, path, &[("Accept-Encoding", accept)]).unwrap();
        assert_eq!(plan.head.headers()["vary"], "accept-encoding", "{path}");
        let coding =
            plan.head.headers().get("content-encoding").map(|coding| coding.to_str().unwrap().to_owned());
        (file, coding.unwrap_or_default(), plan.head.headers().get("etag").cloned())
    };
    let sent = |path: &str, accept| (ask(path, accept).0, ask(path, accept).1);
    assert_eq!(sent("/old.js", "gzip, br"), ("newer gzip", "gzip".to_owned()), "the other variant is newer");
    assert_eq!(sent("/old.js", "br"), ("fresh", String::new()), "older by a nanosecond");
    assert_eq!(sent("/older.js", "gzip, br"), ("fresh", String::new()));
    assert_eq!(sent("/same.js", "gzip"), ("abcde", "gzip".to_owned()), "of equal age, it is sent");
    assert_ne!(ask("/same.js", "gzip").2, ask("/same.js", "br").2, "other bytes, another tag");
    assert_eq!(sent("/undated.js", "gzip"), ("plain", String::new()), "its time is unknown");
    assert_eq!(sent("/of_no_time.js", "gzip"), ("plain", String::new()), "its time is unknown");
}

#[test]
fn unreadable_files_are_404_or_500() {
    let site = folder();
    assert_eq!(get(&site, "/secret"), Err(404), "an unreadable file does not reveal that it exists");
    assert_eq!(get(&site, "/broken"), Err(500));
    assert_eq!(get(&site, "/pipe"), Err(404), "a pipe is never opened");
    let request = request(Method::GET, "/app.js", &[]);
    for (kind, status) in [(io::ErrorKind::NotFound, 404), (io::ErrorKind::UnexpectedEof, 500)] {
        assert_eq!(site.unreadable(&request, kind.into()).status().as_u16(), status);
    }
}

#[test]
fn only_reading_is_allowed() {
    for (method, status) in [(Method::HEAD, None), (Method::POST, Some(405)), (Method::DELETE, Some(405))] {
        let answer = folder().open(&request(method, "/app.js", &[])).err();
        assert_eq!(answer.as_ref().map(|answer| answer.status().as_u16()), status);
        assert!(answer.is_none_or(|answer| answer.headers()["allow"] == "GET, HEAD"));
    }
}

#[test]
fn a_folder_serves_its_mount_point() {
    for prefix in ["/static", "static/", "/static/"] {
        let site = folder().at(prefix);
        assert_eq!(get(&site, "/static/app.js"), Ok("script"), "{prefix}");
        assert_eq!(get(&site, "/static/"), Ok("page"));
        assert_eq!(get(&site, "/static"), Err(308));
        for none in ["/app.js", "/staticapp.js", "/static2/app.js", "/"] {
            assert_eq!(get(&site, none), Err(404), "{none}");
        }
    }
    assert_eq!(get(&folder().at("/"), "/app.js"), Ok("script"));
}

#[test]
fn a_single_page_application_answers_navigations() {
    let site = folder().single_page("/index.html");
    let page = [("Accept", "text/html")];
    assert_eq!(ask(&site, "/settings/theme", &page).unwrap().0, "page");
    for path in [
        "/users/john.doe",
        "/users/john.doe/",
        "/wiki/Talk:Main",
        "/r.e.m.",
        "/con",
        "/empty/",
        "/app.js/x",
        "/pipe",
        "/secret",
    ] {
        let (file, plan) = ask(&site, path, &page).unwrap();
        assert_eq!(
            (file, &plan.head.headers()["vary"]),
            ("page", &"sec-fetch-mode, accept".parse().unwrap()),
            "{path}"
        );
    }
    let navigate = [("Sec-Fetch-Mode", "navigate"), ("Accept", "*/*")];
    assert_eq!(ask(&site, "/users/john.doe", &navigate).unwrap().0, "page");
    let fetch = [("Sec-Fetch-Mode", "cors"), ("Accept", "text/html")];
    for (path, fields) in [
        ("/missing.js", &[("Accept", "*/*")][..]),
        ("/users/john.doe", &fetch),
        ("/.env", &page),
        ("/.git/config", &page),
        ("/users/.john", &page),
    ] {
        let answer = ask(&site, path, fields).unwrap_err();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["vary"]),
            (404, &"sec-fetch-mode, accept".parse().unwrap()),
            "{path}"
        );
    }
    let mine = folder()
        .single_page("index.html")
        .error_page(|_| no_store(Response::builder().header("vary", "cookie").body(Bytes::new()).unwrap()));
    assert_eq!(
        ask(&mine, "/missing.js", &[]).unwrap_err().headers()["vary"],
        "cookie, sec-fetch-mode, accept"
    );
    let (_, plan) = ask(&site, "/app.js", &page).unwrap();
    assert!(!plan.head.headers().contains_key("vary"), "a file is served to all");
    assert!(!ask(&folder(), "/missing.js", &[]).unwrap_err().headers().contains_key("vary"));
    let packed = folder()
        .single_page("app.js")
        .precompressed()
        .header(header::VARY, HeaderValue::from_static("cookie"));
    let (file, plan) = ask(&packed, "/x.y", &[("Accept", "text/html"), ("Accept-Encoding", "gzip")]).unwrap();
    assert_eq!(
        (file, &plan.head.headers()["vary"]),
        ("gzipped", &"cookie, accept-encoding, sec-fetch-mode, accept".parse().unwrap())
    );
    let head = request(Method::HEAD, "/users/john.doe", &page);
    assert_eq!(site.open(&head).unwrap().0, "page");
    for (method, status) in [(Method::POST, 405), (Method::PUT, 405)] {
        assert_eq!(site.open(&request(method, "/users/john.doe", &page)).unwrap_err().status(), status);
    }
    let placed = folder().at("/app").single_page("index.html");
    assert_eq!(ask(&placed, "/app/users/john.doe", &page).unwrap().0, "page");
    assert_eq!(ask(&placed, "/users/john.doe", &page).unwrap_err().status(), 404, "mounted elsewhere");
    assert_eq!(get(&site, "/settings"), Err(404), "only for navigations");
    assert_eq!(ask(&folder(), "/settings", &page).unwrap_err().status(), 404, "only where it is enabled");
    let missing = folder().single_page("gone.html");
    assert_eq!(ask(&missing, "/settings", &page).unwrap_err().status(), 404);
}

#[test]
fn the_accepted_variant_is_sent_with_vary() {
    let site = folder().precompressed();
    for (accept, file, coding) in
        [("gzip, br", "brotli", Some("br")), ("gzip", "gzipped", Some("gzip")), ("identity", "script", None)]
    {
        let (found, plan) = ask(&site, "/app.js", &[("Accept-Encoding", accept)]).unwrap();
        let headers = plan.head.headers();
        assert_eq!(found, file);
        assert_eq!(headers.get("content-encoding").map(|value| value.to_str().unwrap()), coding);
        assert_eq!(headers["vary"], "accept-encoding");
        assert_eq!(headers["content-type"], "text/javascript; charset=utf-8", "of the plain file");
    }
    let (found, _) = ask(&site, "/app.css", &[("Accept-Encoding", "gzip")]).unwrap();
    assert_eq!(found, "style", "a variant outside the folder is ignored");
    let (found, plan) = ask(&folder(), "/app.js", &[("Accept-Encoding", "br")]).unwrap();
    assert!(found == "script" && !plan.head.headers().contains_key("vary"));
}

#[test]
fn answers_have_the_set_fields_and_errors_the_set_page() {
    let site = folder()
        .cache_control(HeaderValue::from_static("max-age=60"))
        .header(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'self'"))
        .error_page(|status| html(format!("my {}", status.as_u16())));
    let (_, plan) = ask(&site, "/app.js", &[]).unwrap();
    assert_eq!(plan.head.headers()["cache-control"], "max-age=60");
    assert_eq!(plan.head.headers()["content-security-policy"], "default-src 'self'");
    let answer = ask(&site, "/nothing", &[]).unwrap_err();
    assert_eq!((answer.status(), &answer.body()[..]), (StatusCode::NOT_FOUND, &b"my 404"[..]));
    let answer = site.open(&request(Method::PUT, "/app.js", &[])).unwrap_err();
    assert_eq!(
        (&answer.body()[..], &answer.headers()["allow"]),
        (&b"my 405"[..], &"GET, HEAD".parse().unwrap())
    );
}

#[test]
fn a_folder_must_exist_and_be_a_folder() {
    assert_eq!(Folder::<Disk>::new("/nowhere").err().map(|e| e.kind()), Some(io::ErrorKind::NotFound));
    assert_eq!(
        Folder::<Disk>::new("/site/app.js").err().map(|e| e.kind()),
        Some(io::ErrorKind::NotADirectory)
    );
    assert!(Folder::<Disk>::new("/site/docs/..").is_ok_and(|site| get(&site, "/app.js") == Ok("script")));
}
