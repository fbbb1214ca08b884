//! Which file of a folder a request is answered with, or why with none.

use super::{
    CODINGS, CleanPath, PathError, Plan, Representation, accepts_coding, add_slash, clean, clean_with_hidden,
    error_page, is_navigation, method_not_allowed, not_found,
};
use crate::handshake::Request;
use ::http::header::{self, HeaderName, HeaderValue};
use ::http::{Method, Response, StatusCode};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What a [`Folder`] has to ask of the system.
pub trait Files {
    /// A file that is open for reading.
    type File;

    /// The path without links, `.` and `..`.
    ///
    /// # Errors
    /// When nothing is there.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;

    /// What is there, links followed.
    ///
    /// # Errors
    /// When nothing is there.
    fn kind(&self, path: &Path) -> io::Result<Kind>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// When that is not possible.
    fn open(&self, path: &Path) -> io::Result<Opened<Self::File>>;
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A pipe, say, or a device.
    Other,
}

/// A file that was opened.
#[derive(Clone, Copy, Debug)]
pub struct Opened<File> {
    /// The file.
    pub file: File,
    /// How many bytes it has.
    pub len: u64,
    /// When it was last modified, where that is known.
    pub modified: Option<SystemTime>,
}

/// A folder whose files are served, with types, entity tags, ranges and conditions, and with no way out: names
/// that mean something else on some system are refused, and so are links that lead out of the folder. Hidden
/// files are not served.
///
/// Opening and reading is the owner's, as [`Files`] says; adapters have it ready.
///
/// Links are followed when the file is asked for. Whoever may write into the folder while it is served could
/// exchange a file for a link between the check and the opening; let nobody do so whom you do not trust.
#[derive(Clone, Debug)]
pub struct Folder<F> {
    files: F,
    /// Without links in it, so that what is below it can be told by comparing.
    root: PathBuf,
    prefix: String,
    index: String,
    single_page: Option<String>,
    hidden: bool,
    precompressed: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
    error_page: Option<fn(StatusCode) -> Response<Bytes>>,
}

impl<F: Files> Folder<F> {
    /// The folder at this path, which must be there.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn new(root: impl AsRef<Path>) -> io::Result<Self>
    where
        F: Default,
    {
        let files = F::default();
        let root = files.canonicalize(root.as_ref())?;
        if files.kind(&root)? != Kind::Folder {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let index = "index.html".to_owned();
        Ok(Self {
            files,
            root,
            prefix: String::new(),
            index,
            single_page: None,
            hidden: false,
            precompressed: false,
            headers: Vec::new(),
            error_page: None,
        })
    }

    /// Sets where the folder stands in the paths of requests; at their root without.
    #[must_use]
    pub fn at(mut self, prefix: &str) -> Self {
        self.prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("/{prefix}"),
        };
        self
    }

    /// Sets the file that is served for a folder: `index.html` without.
    #[must_use]
    pub fn index(mut self, name: &str) -> Self {
        self.index = name.trim_matches('/').to_owned();
        self
    }

    /// For an application in one page, which makes its paths itself: a page that is navigated to and is not
    /// there is this file of the folder.
    #[must_use]
    pub fn single_page(mut self, name: &str) -> Self {
        self.single_page = Some(name.trim_matches('/').to_owned());
        self
    }

    /// Serves hidden files too, whose names begin with a dot.
    #[must_use]
    pub fn hidden_files(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Sends `app.js.br` or `app.js.gz`, where there is one, for `app.js` to who takes it.
    #[must_use]
    pub fn precompressed(mut self) -> Self {
        self.precompressed = true;
        self
    }

    /// Sets `Cache-Control`; without, browsers keep a file and ask each time whether it has changed.
    #[must_use]
    pub fn cache_control(self, value: HeaderValue) -> Self {
        self.header(header::CACHE_CONTROL, value)
    }

    /// Sets a field of every answer with a file: `Content-Security-Policy`, say, or the two that threads in
    /// WebAssembly need.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets what is answered where no file is: 404, 405 and 500 have a page of yours, which gets the status.
    ///
    /// ```
    /// # use ws_proto::web::{self, Files, Folder};
    /// # fn f<F: Files>(folder: Folder<F>) -> Folder<F> {
    /// folder.error_page(|status| web::html(format!("<h1>{status}</h1>")))
    /// # }
    /// ```
    #[must_use]
    pub fn error_page(mut self, page: fn(StatusCode) -> Response<Bytes>) -> Self {
        self.error_page = Some(page);
        self
    }

    /// Opens what a request asks for, and decides what of it is sent.
    ///
    /// # Errors
    /// The answer instead: 404, 405, 500, or a redirect for a folder whose slash is missing.
    pub fn open(&self, request: &Request) -> Result<(F::File, Plan), Box<Response<Bytes>>> {
        self.look(request).map_err(|refusal| Box::new(self.answer(refusal, request)))
    }

    /// The answer where a file that was opened cannot be read.
    pub fn unreadable(&self, request: &Request, error: io::Error) -> Response<Bytes> {
        self.answer(error.into(), request)
    }

    fn look(&self, request: &Request) -> Result<(F::File, Plan), Refusal> {
        if !self.prefix.is_empty() && request.path() == self.prefix {
            return Err(Refusal::SlashMissing);
        }
        let path = request.path().strip_prefix(&self.prefix).filter(|path| path.starts_with('/'));
        let path = path.and_then(|path| self.clean(path).ok()).ok_or(Refusal::NotFound)?;
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Refusal::Method);
        }
        let mut found = match self.find(&path.names().collect::<PathBuf>()) {
            Err(Refusal::NotFound) if is_navigation(request) => {
                let page = self.single_page.as_ref().ok_or(Refusal::NotFound)?;
                return self.open_file(request, &self.find(Path::new(page))?);
            }
            found => found?,
        };
        if self.kind(&found) == Kind::Folder {
            if !path.is_directory() {
                return Err(Refusal::SlashMissing);
            }
            found = self.find(&found.join(&self.index))?;
        } else if path.is_directory() {
            return Err(Refusal::NotFound);
        }
        self.open_file(request, &found)
    }

    fn open_file(&self, request: &Request, found: &Path) -> Result<(F::File, Plan), Refusal> {
        // Opening a pipe would wait for who writes to it.
        if self.kind(found) != Kind::File {
            return Err(Refusal::NotFound);
        }
        let variant = self.variant(request, found);
        let opened = self.files.open(variant.as_ref().map_or(found, |(path, _)| path))?;
        let name = found.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let mut representation = Representation::file(name, opened.len, opened.modified);
        if self.precompressed {
            let value = HeaderValue::from_static("accept-encoding");
            representation = representation.header(header::VARY, value);
        }
        if let Some((_, coding)) = variant {
            let value = HeaderValue::from_static(coding);
            representation = representation.header(header::CONTENT_ENCODING, value);
        }
        for (name, value) in &self.headers {
            representation = representation.header(name.clone(), value.clone());
        }
        let plan = representation.plan(request);
        Ok((opened.file, plan))
    }

    /// The compressed variant of a file, and its coding.
    fn variant(&self, request: &Request, found: &Path) -> Option<(PathBuf, &'static str)> {
        let codings = CODINGS.into_iter().filter(|_| self.precompressed);
        let taken = codings.filter(|(_, coding)| accepts_coding(request.headers(), coding));
        let mut variants = taken.filter_map(|(extension, coding)| {
            let mut path = found.as_os_str().to_owned();
            path.push(extension);
            Some((self.find(Path::new(&path)).ok()?, coding))
        });
        variants.find(|(path, _)| self.kind(path) == Kind::File)
    }

    fn answer(&self, refusal: Refusal, request: &Request) -> Response<Bytes> {
        let (answer, status) = match refusal {
            Refusal::SlashMissing => return add_slash(request),
            Refusal::NotFound => (not_found(), StatusCode::NOT_FOUND),
            Refusal::Method => {
                (method_not_allowed(&[Method::GET, Method::HEAD]), StatusCode::METHOD_NOT_ALLOWED)
            }
            Refusal::Unreadable => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                (error_page(status, "The file could not be read."), status)
            }
        };
        let Some(page) = self.error_page else { return answer };
        let mut page = page(status);
        *page.status_mut() = status;
        if let Some(allow) = answer.headers().get(header::ALLOW) {
            page.headers_mut().insert(header::ALLOW, allow.clone());
        }
        page
    }
    fn kind(&self, path: &Path) -> Kind {
        self.files.kind(path).unwrap_or(Kind::Other)
    }

    fn clean(&self, path: &str) -> Result<CleanPath, PathError> {
        if self.hidden { clean_with_hidden(path) } else { clean(path) }
    }

    /// Follows all links, and sees where they lead.
    fn find(&self, path: &Path) -> Result<PathBuf, Refusal> {
        let found = self.files.canonicalize(&self.root.join(path))?;
        let inside = found.strip_prefix(&self.root).map_err(|_| Refusal::NotFound)?;
        // A link inside the folder may lead to what is hidden in it.
        let hidden = |name: &OsStr| name.as_encoded_bytes().starts_with(b".");
        if !self.hidden && inside.iter().any(hidden) { Err(Refusal::NotFound) } else { Ok(found) }
    }
}

/// Why no file is sent.
#[derive(Clone, Copy)]
enum Refusal {
    NotFound,
    Method,
    SlashMissing,
    Unreadable,
}

impl From<io::Error> for Refusal {
    /// Who may not read a file is not told that it is there.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidInput => Self::NotFound,
            _ => Self::Unreadable,
        }
    }
}
