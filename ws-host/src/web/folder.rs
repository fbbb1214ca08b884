//! Resolves a request to a file of a folder, or to an error.

use super::path::{strip_prefix, visible};
use super::query::NAVIGATION;
use super::response::vary;
use super::{
    CODINGS, CleanPath, PathError, Plan, Representation, accepts_coding, add_slash, clean, clean_with_hidden,
    error_page, is_navigation, method_not_allowed, not_found,
};
use ::http::header::{self, HeaderName, HeaderValue};
use ::http::{Method, Response, StatusCode};
use bytes::Bytes;
use std::borrow::ToOwned;
use std::boxed::Box;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::string::String;
use std::time::SystemTime;
use std::vec::Vec;
use ws_proto::Request;

/// The file system operations of a [`Folder`].
pub trait Files {
    /// A file that is open for reading.
    type File;

    /// The path without links, `.` and `..`.
    ///
    /// # Errors
    /// If nothing is there.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;

    /// The kind of entry, links followed.
    ///
    /// # Errors
    /// If nothing is there.
    fn kind(&self, path: &Path) -> io::Result<Kind>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// If that fails.
    fn open(&self, path: &Path) -> io::Result<Opened<Self::File>>;

    /// When the file was last modified, links followed; `None` if the system does not report it. By default it opens
    /// the file to find out.
    fn modified(&self, path: &Path) -> Option<SystemTime> {
        self.open(path).ok()?.modified
    }
}

/// The kind of entry at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A pipe or a device, for example.
    Other,
}

/// A file that was opened.
#[derive(Clone, Copy, Debug)]
pub struct Opened<File> {
    /// The file.
    pub file: File,
    /// How many bytes it has.
    pub len: u64,
    /// When it was last modified, if known.
    pub modified: Option<SystemTime>,
}

/// A folder whose files are served, with types, entity tags, ranges and conditions, confined to the folder: it rejects
/// names that mean something else on some system ([`clean`] lists them), and links that lead out of the folder. Hidden
/// files are not served: a path with a name that begins with a dot gets 404. So does `/.well-known/`; serve it with its
/// own folder:
///
/// ```
/// # use ws_host::web::{Files, Folder};
/// # fn f<F: Files + Default>() -> std::io::Result<Folder<F>> {
/// let well_known = Folder::new("public/.well-known")?.at("/.well-known");
/// # Ok(well_known) }
/// ```
///
/// Links inside the folder are followed, also to hidden entries in it, as `node_modules/x` leads to `.pnpm/x`, and a
/// file in a volume of Kubernetes to `..data`. A link that ends at or below `.git`, `.svn`, `.hg`, `.ssh` or a name
/// that begins with `.env`, in upper or lower case, gets 404: these are only published by mistake. The names above the
/// folder do not matter. If the folder itself is a link, as in a deployment that points `current` to each new release,
/// [`new`](Self::new) follows it once.
///
/// [`Files`] opens and reads; [`Disk`](super::Disk) does so on the system's files.
///
/// Links are followed at each request. A program that can write to the folder while it is served could replace a file
/// by a link between the check and the opening: allow that to trusted programs only.
#[derive(Clone, Debug)]
pub struct Folder<F> {
    files: F,
    /// Without links, so that a comparison shows what is below it.
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
    /// The folder at this path, which must exist.
    ///
    /// # Errors
    /// If there is no such folder.
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

    /// Sets the request path of the folder; by default the root.
    #[must_use]
    pub fn at(mut self, prefix: &str) -> Self {
        self.prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("/{prefix}"),
        };
        self
    }

    /// Sets the file that is served for a folder; by default `index.html`.
    #[must_use]
    pub fn index(mut self, name: &str) -> Self {
        self.index = name.trim_matches('/').to_owned();
        self
    }

    /// For a single-page application with client-side routing: a navigation to a path without a file gets this file
    /// of the folder, even if the path looks like that of a file (`/users/john.doe`), but not if a name in it begins
    /// with a dot. [`is_navigation`] defines navigation; the page and each 404 declare this dependence with
    /// `Vary`.
    #[must_use]
    pub fn single_page(mut self, name: &str) -> Self {
        self.single_page = Some(name.trim_matches('/').to_owned());
        self
    }

    /// Serves hidden files too, whose names begin with a dot: also `.git` and `.env`, and links to them.
    #[must_use]
    pub fn hidden_files(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Sends `app.js.br` or `app.js.gz` for `app.js`, if it exists and the client accepts it. If `app.js` is a
    /// link, the variant may be beside the link or beside its target.
    ///
    /// A compressed file that is older than the plain one is left over from an earlier build and is not sent; one of
    /// equal age is. The times are those of the file system; if one of them is unknown, the plain file is sent. A copy
    /// that gives files new times has to write the compressed ones last.
    #[must_use]
    pub fn precompressed(mut self) -> Self {
        self.precompressed = true;
        self
    }

    /// Sets `Cache-Control`; without it, browsers keep a file and revalidate it at each use.
    #[must_use]
    pub fn cache_control(self, value: HeaderValue) -> Self {
        self.header(header::CACHE_CONTROL, value)
    }

    /// Sets a field of every answer with a file: `Content-Security-Policy`, say, or the two that WebAssembly threads
    /// need.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets the error page: called with the status, 404, 405 or 500; its answer gets that status.
    ///
    /// ```
    /// # use ws_host::web::{self, Files, Folder};
    /// # fn f<F: Files>(folder: Folder<F>) -> Folder<F> {
    /// folder.error_page(|status| web::html(format!("<h1>{status}</h1>")))
    /// # }
    /// ```
    #[must_use]
    pub fn error_page(mut self, page: fn(StatusCode) -> Response<Bytes>) -> Self {
        self.error_page = Some(page);
        self
    }

    /// Opens the requested file, and decides which part of it to send.
    ///
    /// # Errors
    /// The answer instead: 404, 405, 500, or a redirect for a folder without the trailing slash.
    pub fn open(&self, request: &Request) -> Result<(F::File, Plan), Box<Response<Bytes>>> {
        self.resolve(request).map_err(|rejection| Box::new(self.answer(rejection, request)))
    }

    /// The answer if an opened file cannot be read.
    pub fn unreadable(&self, request: &Request, error: io::Error) -> Response<Bytes> {
        self.answer(error.into(), request)
    }

    /// The file, or the page of a single-page application in its place.
    fn resolve(&self, request: &Request) -> Result<(F::File, Plan), Rejection> {
        let path = strip_prefix(request.path(), &self.prefix);
        if path == Some("") {
            return Err(Rejection::SlashMissing);
        }
        let path = self.clean(path.ok_or(Rejection::NotFound)?);
        let is_page = path != Err(PathError::Hidden) && is_navigation(request);
        let page = self.single_page.as_ref().filter(|_| is_page);
        match (path.map_err(|_| Rejection::NotFound).and_then(|path| self.resolve_path(request, &path)), page)
        {
            (Err(Rejection::NotFound), Some(page)) => {
                let page = Path::new(page);
                self.open_file(request, page, &self.find(page)?, Some(NAVIGATION))
            }
            (found, _) => found,
        }
    }

    fn resolve_path(&self, request: &Request, path: &CleanPath) -> Result<(F::File, Plan), Rejection> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Rejection::Method);
        }
        let mut requested = path.names().collect::<PathBuf>();
        let mut found = self.find(&requested)?;
        if self.kind(&found) == Kind::Folder {
            if !path.is_directory() {
                return Err(Rejection::SlashMissing);
            }
            requested.push(&self.index);
            found = self.find(&requested)?;
        } else if path.is_directory() {
            return Err(Rejection::NotFound);
        }
        self.open_file(request, &requested, &found, None)
    }

    /// Opens a file, or its compressed variant. The requested name determines its type, since a link may
    /// lead to a file of any name. Other inputs of the answer go into `Vary`.
    fn open_file(
        &self,
        request: &Request,
        requested: &Path,
        found: &Path,
        varies_by: Option<&'static str>,
    ) -> Result<(F::File, Plan), Rejection> {
        // Opening a pipe would wait for its writer.
        if self.kind(found) != Kind::File {
            return Err(Rejection::NotFound);
        }
        let (opened, coding) = match self.variant(request, requested, found) {
            Some((opened, coding)) => (opened, Some(coding)),
            None => (self.files.open(found)?, None),
        };
        let name = requested.file_name().unwrap_or_default().to_string_lossy();
        let mut representation = Representation::file(&name, opened.len, opened.modified);
        if let Some(coding) = coding {
            representation = representation.encoded(coding);
        }
        for (name, value) in &self.headers {
            representation = representation.header(name.clone(), value.clone());
        }
        for names in self.precompressed.then_some("accept-encoding").into_iter().chain(varies_by) {
            representation = representation.vary(names);
        }
        let plan = representation.plan(request);
        Ok((opened.file, plan))
    }

    /// The compressed variant of a file, unless it is older, and its coding. For a link, it is beside the link, or
    /// else beside the link's target.
    fn variant(
        &self,
        request: &Request,
        requested: &Path,
        found: &Path,
    ) -> Option<(Opened<F::File>, &'static str)> {
        let places = [Some(requested), (self.root.join(requested) != found).then_some(found)];
        let codings = CODINGS.into_iter().filter(|_| self.precompressed);
        let mut taken = codings.filter(|(_, coding)| accepts_coding(request.headers(), coding));
        taken.find_map(|(extension, coding)| {
            let path = places.into_iter().flatten().find_map(|place| {
                let mut path = place.as_os_str().to_owned();
                path.push(extension);
                self.find(Path::new(&path)).ok().filter(|path| self.kind(path) == Kind::File)
            })?;
            let opened = self.files.open(&path).ok()?;
            let is_current = opened.modified? >= self.files.modified(found)?;
            is_current.then_some((opened, coding))
        })
    }

    fn answer(&self, rejection: Rejection, request: &Request) -> Response<Bytes> {
        let (answer, status) = match rejection {
            Rejection::SlashMissing => return add_slash(request),
            Rejection::NotFound => (not_found(), StatusCode::NOT_FOUND),
            Rejection::Method => {
                (method_not_allowed(&[Method::GET, Method::HEAD]), StatusCode::METHOD_NOT_ALLOWED)
            }
            Rejection::Unreadable => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                (error_page(status, "The file could not be read."), status)
            }
        };
        let mut answer = match self.error_page {
            None => answer,
            Some(page) => {
                let mut page = page(status);
                *page.status_mut() = status;
                if let Some(allow) = answer.headers().get(header::ALLOW) {
                    page.headers_mut().insert(header::ALLOW, allow.clone());
                }
                page
            }
        };
        if status == StatusCode::NOT_FOUND && self.single_page.is_some() {
            vary(answer.headers_mut(), NAVIGATION);
        }
        answer
    }

    fn kind(&self, path: &Path) -> Kind {
        self.files.kind(path).unwrap_or(Kind::Other)
    }

    fn clean(&self, path: &str) -> Result<CleanPath, PathError> {
        if self.hidden { clean_with_hidden(path) } else { clean(path) }
    }

    /// Follows all links, and checks where they lead.
    fn find(&self, path: &Path) -> Result<PathBuf, Rejection> {
        let found = self.files.canonicalize(&self.root.join(path))?;
        let inside = found.strip_prefix(&self.root).map_err(|_| Rejection::NotFound)?;
        if !self.hidden && inside.iter().any(is_private) { Err(Rejection::NotFound) } else { Ok(found) }
    }
}

/// Whether a file of this name, or below it, is secret even if a link leads there.
fn is_private(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    // File systems may compare names without case.
    let name = visible(&name).trim_end_matches(['.', ' ']).to_ascii_lowercase();
    matches!(name.as_str(), ".git" | ".svn" | ".hg" | ".ssh") || name.starts_with(".env")
}

/// Why no file is sent.
#[derive(Clone, Copy)]
enum Rejection {
    NotFound,
    Method,
    SlashMissing,
    Unreadable,
}

impl From<io::Error> for Rejection {
    /// Hides the existence of a file from a client that may not read it.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidInput => Self::NotFound,
            kind if is_loop(kind) => Self::NotFound,
            _ => Self::Unreadable,
        }
    }
}

/// A link loop counts as not found. Stable Rust does not let this kind be named (`io_error_more`).
fn is_loop(kind: io::ErrorKind) -> bool {
    format!("{kind:?}") == "FilesystemLoop"
}
