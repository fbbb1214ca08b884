//! A folder over files that are only told of: what is found, what is not, and that nothing leads out.

use super::*;
use crate::handshake::{Request, Token};
use ::http::header::{self, HeaderValue};
use ::http::{Method, Response, StatusCode};
use bytes::Bytes;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// What is where: a file with its content, `Err` with what the system says, a folder where others begin so; and the
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
    ("/etc/passwd", File("outside")),
    ("/site2/file", File("outside")),
];

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
                found = PathBuf::from(to);
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
            File(content) => {
                let modified = Some(UNIX_EPOCH + Duration::from_secs(1));
                Ok(Opened { file: content, len: content.len() as u64, modified })
            }
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
    Request::new(request.body(Bytes::new()).unwrap(), Token::default())
}

/// The file that is sent and the head with which, or the answer instead.
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
fn files_are_found_and_a_folder_is_its_index_behind_a_slash() {
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
fn a_file_is_told_with_its_type_and_its_length_and_a_part_is_sent_where_one_is_asked_for() {
    let (_, plan) = ask(&folder(), "/app.js", &[]).unwrap();
    assert_eq!((plan.head.status().as_u16(), plan.part), (200, 0..6));
    assert_eq!(plan.head.headers()["content-type"], "text/javascript; charset=utf-8");
    let (_, plan) = ask(&folder(), "/app.js", &[("Range", "bytes=2-3")]).unwrap();
    assert_eq!((plan.head.status().as_u16(), plan.part), (206, 2..4));
}

#[test]
fn nothing_leads_out_of_the_folder_or_to_what_is_hidden() {
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
    assert_eq!(get(&with_hidden, "/to_outside"), Err(404), "hidden or not, it is outside");
}

#[test]
fn what_cannot_be_read_is_not_there_or_an_error_of_ours() {
    let site = folder();
    assert_eq!(get(&site, "/secret"), Err(404), "who may not read it is not told that it is there");
    assert_eq!(get(&site, "/broken"), Err(500));
    assert_eq!(get(&site, "/pipe"), Err(404), "nobody waits for a pipe");
    let asked = request(Method::GET, "/app.js", &[]);
    for (kind, status) in [(io::ErrorKind::NotFound, 404), (io::ErrorKind::UnexpectedEof, 500)] {
        assert_eq!(site.unreadable(&asked, kind.into()).status().as_u16(), status);
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
fn a_folder_stands_where_it_is_put() {
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
fn an_application_in_one_page_answers_for_the_pages_that_it_makes() {
    let site = folder().single_page("/index.html");
    let page = [("Accept", "text/html")];
    assert_eq!(ask(&site, "/settings/theme", &page).unwrap().0, "page");
    assert_eq!(ask(&site, "/missing.js", &page).unwrap_err().status(), 404, "no page for a script");
    assert_eq!(get(&site, "/settings"), Err(404), "only for who goes to a page");
    assert_eq!(ask(&folder(), "/settings", &page).unwrap_err().status(), 404, "only where it is asked for");
    let gone = folder().single_page("gone.html");
    assert_eq!(ask(&gone, "/settings", &page).unwrap_err().status(), 404);
}

#[test]
fn the_variant_that_the_client_takes_is_sent_and_caches_know_why() {
    let site = folder().precompressed();
    for (accept, file, coding) in
        [("gzip, br", "brotli", Some("br")), ("gzip", "gzipped", Some("gzip")), ("identity", "script", None)]
    {
        let (found, plan) = ask(&site, "/app.js", &[("Accept-Encoding", accept)]).unwrap();
        let headers = plan.head.headers();
        assert_eq!(found, file);
        assert_eq!(headers.get("content-encoding").map(|value| value.to_str().unwrap()), coding);
        assert_eq!(headers["vary"], "accept-encoding");
        assert_eq!(headers["content-type"], "text/javascript; charset=utf-8", "of what is compressed");
    }
    let (found, _) = ask(&site, "/app.css", &[("Accept-Encoding", "gzip")]).unwrap();
    assert_eq!(found, "style", "a variant that lies outside is none");
    let (found, plan) = ask(&folder(), "/app.js", &[("Accept-Encoding", "br")]).unwrap();
    assert!(found == "script" && !plan.head.headers().contains_key("vary"));
}

#[test]
fn answers_carry_the_fields_and_errors_have_the_page_that_were_set() {
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
fn a_folder_must_be_there_and_be_one() {
    assert_eq!(Folder::<Disk>::new("/nowhere").err().map(|e| e.kind()), Some(io::ErrorKind::NotFound));
    assert_eq!(
        Folder::<Disk>::new("/site/app.js").err().map(|e| e.kind()),
        Some(io::ErrorKind::NotADirectory)
    );
    assert!(Folder::<Disk>::new("/site/docs/..").is_ok_and(|site| get(&site, "/app.js") == Ok("script")));
}
