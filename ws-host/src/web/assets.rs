//! Files embedded in the program.

use super::encoding::{CODINGS, accepts_coding};
use super::query::NAVIGATION;
use super::response::method_not_allowed;
use super::{CleanPath, ETag, PathError, Representation, add_slash, clean, content_type, is_navigation};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response};
use std::collections::BTreeMap;

/// Embedded files by their paths, with types, entity tags, ranges and precompressed variants.
///
/// A folder, including the root, serves its `index.html`. A client that accepts `br` or `gzip` gets `app.js.br` or
/// `app.js.gz` for `app.js`, if it exists. Browsers revalidate a file at each use; they keep files with a hash in their
/// name (`app.3f2a9c1b.js`), or under [`immutable`](Self::immutable).
///
/// ```
/// use http::Request;
/// use ws_host::web::Assets;
///
/// let assets = Assets::new() // include_bytes!, include_str!, or the output of a crate that embeds folders
///     .add("/index.html", "<!doctype html><script src=app.js></script>")
///     .add("/app.js", "console.log('hello')");
///
/// let request = Request::get("/app.js").body(()).unwrap();
/// let response = assets.respond(&request).unwrap();
/// assert_eq!(response.headers()["content-type"], "text/javascript; charset=utf-8");
///
/// let etag = &response.headers()["etag"];
/// let again = Request::get("/app.js").header("If-None-Match", etag).body(()).unwrap();
/// assert_eq!(assets.respond(&again).unwrap().status(), 304);
///
/// assert!(assets.respond(&Request::get("/other.js").body(()).unwrap()).is_none());
/// ```
///
/// To embed a whole folder, use a crate such as `include_dir`: iterate over its files, and add each with its path and
/// contents. During development, an adapter's folder answers the same requests from the disk.
#[derive(Clone, Debug, Default)]
pub struct Assets {
    files: BTreeMap<String, Asset>,
    /// The page of a single-page application.
    page: Option<String>,
    immutable: Vec<String>,
}

#[derive(Clone, Debug)]
struct Asset {
    data: Bytes,
    etag: ETag,
}

impl Assets {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file: `include_bytes!("../web/app.js")`, a text, a `Vec`, [`Bytes`]. The content is not copied, and
    /// is hashed once.
    ///
    /// A path that [`clean`] rejects is never served: an embedded folder may contain `.git` and `.env`.
    /// Serve paths such as `/.well-known/` by their own route.
    #[must_use]
    pub fn add(mut self, path: &str, data: impl AsRef<[u8]> + Send + 'static) -> Self {
        let etag = ETag::of(data.as_ref());
        let data = Bytes::from_owner(data);
        self.files.insert(path.trim_matches('/').to_owned(), Asset { data, etag });
        self
    }

    /// For a single-page application with client-side routing: a navigation to a path without a file gets this page,
    /// even if the path looks like that of a file (`/users/john.doe`), but not if a name in it begins with a dot.
    /// [`is_navigation`] defines navigation; the answer's `Vary` declares this dependence, and so should a 404
    /// in place of `None`, unless no cache keeps it ([`not_found`](super::not_found)).
    #[must_use]
    pub fn single_page(mut self, path: &str) -> Self {
        self.page = Some(path.trim_matches('/').to_owned());
        self
    }

    /// Declares that the files under this path, such as `/assets/`, never change under their names, for example because
    /// a bundler names them by their hash; `/` declares it for all.
    #[must_use]
    pub fn immutable(mut self, under: &str) -> Self {
        self.immutable.push(match under.trim_matches('/') {
            "" => String::new(),
            under => format!("{under}/"),
        });
        self
    }

    /// Answers a request for a file; `None` if there is none. Methods other than GET and HEAD get 405.
    pub fn respond<B>(&self, request: &Request<B>) -> Option<Response<Bytes>> {
        self.respond_to_path(request, request.uri().path())
    }

    /// As [`respond`](Self::respond), with a separate path of the file, such as
    /// [`Params::rest`](super::Params::rest).
    pub fn respond_to_path<B>(&self, request: &Request<B>, path: &str) -> Option<Response<Bytes>> {
        let clean = clean(path);
        let found = clean.as_ref().ok().and_then(|path| self.name(path));
        if found.is_none() && clean.as_ref().is_ok_and(|path| self.is_folder(path)) {
            return Some(add_slash(request));
        }
        let is_page = found.is_none() && clean != Err(PathError::Hidden) && is_navigation(request);
        let name = found.or_else(|| self.page.clone().filter(|_| is_page))?;
        let plain = self.files.get(&name)?;
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Some(method_not_allowed(&[Method::GET, Method::HEAD]));
        }
        let (asset, coding, varies) = self.variant(&name, plain, request);
        let mut representation =
            Representation::new(content_type(&name), asset.data.len() as u64).etag(asset.etag.clone());
        if self.is_immutable(&name) {
            representation = representation.immutable();
        }
        if varies {
            representation = representation.vary("accept-encoding");
        }
        if is_page {
            representation = representation.vary(NAVIGATION);
        }
        if let Some(coding) = coding {
            let value = HeaderValue::from_static(coding);
            representation = representation.header(header::CONTENT_ENCODING, value);
        }
        let plan = representation.plan(request);
        let part = plan.part.start as usize..plan.part.end as usize;
        Some(plan.head.map(|()| asset.data.slice(part)))
    }

    fn name(&self, path: &CleanPath) -> Option<String> {
        let name = path.as_str();
        if !path.is_directory() {
            return self.files.contains_key(name).then(|| name.to_owned());
        }
        let index = if name.is_empty() { "index.html".to_owned() } else { format!("{name}/index.html") };
        self.files.contains_key(&index).then_some(index)
    }

    /// Whether this would be a folder's index with a trailing slash.
    fn is_folder(&self, path: &CleanPath) -> bool {
        !path.is_directory() && self.files.contains_key(&format!("{}/index.html", path.as_str()))
    }

    /// The variant that the client accepts, its coding, and whether there are several.
    fn variant<'a, B>(
        &'a self,
        name: &str,
        plain: &'a Asset,
        request: &Request<B>,
    ) -> (&'a Asset, Option<&'static str>, bool) {
        let mut varies = false;
        for (extension, coding) in CODINGS {
            if let Some(asset) = self.files.get(&format!("{name}{extension}")) {
                varies = true;
                if accepts_coding(request.headers(), coding) {
                    return (asset, Some(coding), true);
                }
            }
        }
        (plain, None, varies)
    }

    fn is_immutable(&self, name: &str) -> bool {
        let file = name.rsplit('/').next().unwrap_or(name);
        self.immutable.iter().any(|under| name.starts_with(under.as_str())) || has_hash(file)
    }
}

/// Whether a part of a file's name, between dots and hyphens, is a hexadecimal hash: at least eight digits, of both
/// kinds, so that neither a word nor a date looks like one.
fn has_hash(file: &str) -> bool {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    stem.split(['.', '-']).skip(1).any(|part| {
        part.len() >= 8
            && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            && part.bytes().any(|b| b.is_ascii_digit())
            && part.bytes().any(|b| b.is_ascii_alphabetic())
    })
}
